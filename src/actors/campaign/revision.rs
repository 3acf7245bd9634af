//! A running campaign goes on by a new approved version of itself: another pace, budget, window, schedule or other routes, the same
//! journey and audience.
//!
//! Nobody is lost or contacted twice, since the machine stays the same: what waits unsent in routes is given back, what is being
//! decided is committed and then given back, what is with a carrier settles as it was started and is counted all the while. Then,
//! while nothing is being decided, the store is asked where the run stands, and the new definition takes the place of the old one.
use super::{Busy, Campaign, Phase};
use crate::actors::doubt::Doubt;
use crate::actors::perform::StoreCall;
use crate::actors::running::Running;
use crate::actors::{Effect, Note, channel, conductor, customer_list, recorder, scheduler};
use crate::domain::time::Timestamp;
use crate::store::SentParts;
use std::sync::Arc;

impl Campaign {
    pub(super) fn revise(&mut self, running: Arc<Running>, effects: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Running | Phase::Paused) {
            tracing::info!(campaign = %self.running.campaign.name, "a new version comes to a run that is at its end, and changes nothing");
            return;
        }
        self.put_back(effects);
        self.revision = Some(running);
    }

    /// Asks where the run stands, once nothing is being decided.
    pub(super) fn take_revision(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.busy != Busy::No || self.draining {
            return;
        }
        let Some(running) = self.revision.take() else { return };
        if !matches!(self.phase, Phase::Running | Phase::Paused) {
            return;
        }
        self.busy = Busy::Revising;
        // What the pacer remembers reaches as far back as the old limit; a longer one asks the ledger for the rest.
        let known_ms = self.running.campaign.limits.rate.map_or(0, |rate| rate.per_ms);
        let since = running.campaign.limits.rate.filter(|rate| rate.per_ms > known_ms).map(|rate| at.plus(-rate.per_ms));
        effects.push(Effect::Store(StoreCall::Revise { running, since }));
    }

    pub(super) fn revised(&mut self, at: Timestamp, running: Arc<Running>, past: Vec<SentParts>, effects: &mut Vec<Effect>) {
        if self.busy != Busy::Revising {
            return;
        }
        self.busy = Busy::No;
        if self.draining {
            // The next process takes the run up by its new version.
            return;
        }
        let old = std::mem::replace(&mut self.running, Arc::clone(&running));
        let id = running.id;
        let (before, after) = (old.all_routes(), running.all_routes());
        effects.push(Effect::Limit { campaign: id, rate: running.campaign.limits.rate, past });
        effects.push(Effect::Tell(Note::Recorder(recorder::Input::Register(Arc::clone(&running)))));
        effects.push(Effect::Tell(Note::Scheduler(scheduler::Input::Revise(Arc::clone(&running)))));
        effects.push(Effect::Tell(Note::List(id, customer_list::Input::Revise(Arc::clone(&running)))));
        effects.push(Effect::Tell(Note::Conductor(conductor::Input::Revised(Arc::clone(&running)))));
        for route in before.iter().filter(|route| !after.contains(route)) {
            effects.push(Effect::Tell(Note::Channel(*route, channel::Input::Leave(id))));
        }
        for route in &after {
            effects.push(Effect::Tell(Note::Channel(*route, channel::Input::Join(Arc::clone(&running)))));
        }
        // Members that were read for the old version are read again, with what the new one needs, from the cursor on.
        self.held = None;
        self.asks.retain(|(route, _)| after.contains(route));
        self.resting.clear();
        self.out_of_budget_at = None;
        self.next_due = after.into_iter().map(|route| (route, Timestamp(0))).collect();
        self.wake = Some(running.ends_at);
        self.doubt = Doubt::new(running.askable);
        if let Some(open) = running.waves.iter().rev().find(|w| w.fired_at.is_some() && self.wave.is_none_or(|known| known <= w.due_at)) {
            self.wave = Some(open.due_at);
            self.wave_left = open.left;
        }
        tracing::info!(campaign = %running.campaign.name, version = running.row.version, "goes on by its new version, from {at} on");
    }
}
