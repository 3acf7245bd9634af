//! A campaign that is being run, with everything that does not change while it runs.
use crate::domain::campaign::{Campaign, Rate};
use crate::domain::channel::Channel;
use crate::domain::ids::{CampaignId, ListId, RouteId, StepNo};
use crate::domain::journey;
use crate::domain::law::LawBook;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, Needs, WaveRow};
use std::sync::Arc;

/// What the machines need to know of a route.
#[derive(Clone)]
pub struct Route {
    /// Its number in the store.
    pub id: RouteId,
    /// Its name.
    pub name: String,
    /// What it carries.
    pub channel: Channel,
    /// Its own limit.
    pub limit: Option<Rate>,
    /// The account that it shares with others, and that account's limit.
    pub provider: Option<(String, Option<Rate>)>,
    /// Touches in flight at most.
    pub concurrency: u32,
    /// Share of a step's touches when several routes can take them.
    pub weight: u32,
    /// The provider sends a repeated touch once only.
    pub idempotent: bool,
    /// Its provider can be asked what became of a touch.
    pub askable: bool,
    /// Carriers of this route replay attributes.
    pub wants_attributes: bool,
    /// The most that a touch of so many parts costs, in millionths of the currency unit.
    pub reserve: Arc<dyn Fn(u16) -> i64 + Send + Sync>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({})", self.name)
    }
}

/// A campaign being run.
#[derive(Clone)]
pub struct Running {
    /// Its run.
    pub id: CampaignId,
    /// What the file says.
    pub campaign: Campaign,
    /// Its composed law.
    pub law: Arc<dyn LawBook>,
    /// First instant.
    pub starts_at: Timestamp,
    /// Nothing starts at or after.
    pub ends_at: Timestamp,
    /// The frozen audience.
    pub list: ListId,
    /// Customers in it.
    pub audience: i64,
    /// Where it stood when this process took it up.
    pub row: CampaignRow,
    /// Waves so far.
    pub waves: Vec<WaveRow>,
    /// What pages must carry.
    pub needs: Needs,
    /// Routes by step.
    pub routes: Vec<Vec<RouteId>>,
    /// The fencing number under which it is run.
    pub fence: i64,
    /// Some route of it can be asked what became of a touch.
    pub askable: bool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.campaign.name)
    }
}

impl Running {
    /// Puts a run together; `routes` are all configured ones. Faults: steps without any route.
    pub fn new(
        row: CampaignRow,
        campaign: Campaign,
        law: Arc<dyn LawBook>,
        waves: Vec<WaveRow>,
        routes: &[Route],
        fence: i64,
    ) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut by_step = Vec::new();
        for step in &campaign.steps {
            let fits = |r: &&Route| r.channel == step.channel && (step.routes.is_empty() || step.routes.contains(&r.name));
            let ids: Vec<RouteId> = routes.iter().filter(fits).map(|r| r.id).collect();
            if ids.is_empty() {
                faults.push(format!("step {}: no configured route carries {} for it; see [[routes]] in the configuration", step.name, step.channel));
            }
            by_step.push(ids);
        }
        if faults.is_empty() { Ok(Self::on(row, campaign, law, waves, routes, by_step, fence)) } else { Err(faults) }
    }
    /// A run that is not being run, for receipts that still come for it: it needs no routes.
    pub fn at_rest(row: CampaignRow, campaign: Campaign, law: Arc<dyn LawBook>, fence: i64) -> Self {
        Self::on(row, campaign, law, Vec::new(), &[], Vec::new(), fence)
    }
    fn on(
        row: CampaignRow,
        campaign: Campaign,
        law: Arc<dyn LawBook>,
        waves: Vec<WaveRow>,
        routes: &[Route],
        by_step: Vec<Vec<RouteId>>,
        fence: i64,
    ) -> Self {
        let used: Vec<&Route> = routes.iter().filter(|r| by_step.iter().flatten().any(|id| *id == r.id)).collect();
        let needs = needs(&campaign, used.iter().any(|r| r.wants_attributes));
        Self {
            id: row.id,
            starts_at: campaign.schedule.starts_at(),
            ends_at: campaign.schedule.ends_at(),
            list: row.audience_list,
            audience: row.audience,
            row,
            campaign,
            law,
            waves,
            needs,
            routes: by_step,
            fence,
            askable: used.iter().any(|r| r.askable),
        }
    }
    /// Every route that any step uses.
    pub fn all_routes(&self) -> Vec<RouteId> {
        let mut all: Vec<RouteId> = self.routes.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
    /// Steps that a route serves.
    pub fn steps_of(&self, route: RouteId) -> Vec<StepNo> {
        self.campaign.numbered().filter(|(no, _)| self.routes.get(usize::from(no.0)).is_some_and(|r| r.contains(&route))).map(|(no, _)| no).collect()
    }
    /// The step that a customer's journey opens with.
    pub fn first_step(&self) -> StepNo {
        journey::opening(&self.campaign, self.starts_at).map_or(StepNo(0), |(step, ..)| step)
    }
    /// Whether touches must carry attributes.
    pub fn carries_attributes(&self) -> bool {
        self.needs.attributes
    }
}

fn needs(campaign: &Campaign, replay: bool) -> Needs {
    let uses = |c: Channel| campaign.steps.iter().any(|s| s.channel == c);
    let texts = campaign.steps.iter().any(|s| !s.content.is_empty());
    Needs {
        // The number also tells the country when a customer's zone is not known.
        phone: true,
        email: uses(Channel::Email),
        push: uses(Channel::Push),
        person: texts || uses(Channel::Worklist),
        attributes: replay || texts || journey::needs_attributes(campaign),
    }
}
