//! The definitions by which outcomes and receipts are settled: of the campaigns that are run, and of a few that are not (finished
//! long ago, or not taken up yet), which are read when a receipt speaks of them.
use super::recorder::Heard;
use super::running::Running;
use crate::domain::ids::CampaignId;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// So many definitions of campaigns that are not run are kept at most, the newest.
const AT_REST: usize = 64;

/// The definitions.
#[derive(Debug)]
pub(super) struct Definitions {
    running: HashMap<CampaignId, Arc<Running>>,
    /// `None`: there is none that can be read.
    at_rest: VecDeque<(CampaignId, Option<Arc<Running>>)>,
    /// Whether others can be asked for.
    loads: bool,
    /// Receipts that wait for a definition.
    loading: BTreeMap<CampaignId, Vec<Heard>>,
}

impl Definitions {
    /// With `loads` those that are not known can be asked for.
    pub(super) fn new(loads: bool) -> Self {
        Self { running: HashMap::new(), at_rest: VecDeque::new(), loads, loading: BTreeMap::new() }
    }
    /// Of a campaign, if it is known.
    pub(super) fn get(&self, id: CampaignId) -> Option<&Arc<Running>> {
        self.running.get(&id).or_else(|| self.at_rest.iter().find(|(known, _)| *known == id).and_then(|(_, running)| running.as_ref()))
    }
    /// A campaign is being run, or goes on by a new version.
    pub(super) fn register(&mut self, running: Arc<Running>) {
        self.at_rest.retain(|(known, _)| *known != running.id);
        self.running.insert(running.id, running);
    }
    /// A campaign is run no more.
    pub(super) fn retire(&mut self, id: CampaignId) {
        if let Some(running) = self.running.remove(&id) {
            self.rest(id, Some(running));
        }
    }
    fn rest(&mut self, id: CampaignId, running: Option<Arc<Running>>) {
        self.at_rest.retain(|(known, _)| *known != id);
        self.at_rest.push_back((id, running));
        if self.at_rest.len() > AT_REST {
            self.at_rest.pop_front();
        }
    }
    /// Whether a receipt must wait for a definition that can be asked for.
    pub(super) fn is_unknown(&self, id: CampaignId) -> bool {
        self.loads && !self.running.contains_key(&id) && !self.at_rest.iter().any(|(known, _)| *known == id)
    }
    /// Lets a receipt wait; tells whether the definition is to be asked for.
    pub(super) fn wait(&mut self, id: CampaignId, heard: Heard) -> bool {
        let waiting = self.loading.entry(id).or_default();
        waiting.push(heard);
        waiting.len() == 1
    }
    /// A definition is read; returns the receipts that waited for it.
    pub(super) fn loaded(&mut self, id: CampaignId, running: Option<Arc<Running>>) -> Vec<Heard> {
        if running.is_none() {
            tracing::warn!(campaign = %id, "the file of this run cannot be read: receipts for it are kept as they come");
        }
        if !self.running.contains_key(&id) {
            self.rest(id, running);
        }
        self.loading.remove(&id).unwrap_or_default()
    }
    /// Receipts that wait.
    pub(super) fn waiting(&self) -> usize {
        self.loading.values().map(Vec::len).sum()
    }
    /// Campaigns whose conditions read attributes.
    pub(super) fn with_attributes(&self) -> Vec<CampaignId> {
        let at_rest = self.at_rest.iter().filter_map(|(_, running)| running.as_ref());
        self.running.values().chain(at_rest).filter(|r| r.carries_attributes()).map(|r| r.id).collect()
    }
}
