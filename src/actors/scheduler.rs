//! The scheduler: fires the waves of every campaign, each once, and skips those that come too late.
use super::machine::Machine;
use super::perform::StoreCall;
use super::running::Running;
use super::{Effect, Note, campaign};
use crate::domain::ids::CampaignId;
use crate::domain::time::Timestamp;
use crate::domain::waves::next_wave;
use crate::store::WaveRow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// A campaign is being run.
    Register(Arc<Running>),
    /// A campaign goes on by a new version: its open wave stays open, further ones come by the new schedule.
    Revise(Arc<Running>),
    /// A campaign has ended.
    Forget(CampaignId),
    /// Look at the clock.
    Wake,
}

#[derive(Debug)]
struct Planned {
    running: Arc<Running>,
    /// The last wave that was fired or skipped.
    last: Timestamp,
    next: Option<Timestamp>,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Scheduler {
    campaigns: BTreeMap<CampaignId, Planned>,
}

impl Scheduler {
    /// What is left of the newest wave goes on after a restart; waves since then are fired or skipped below.
    fn register(&mut self, running: Arc<Running>, effects: &mut Vec<Effect>) {
        if let Some(fired) = running.waves.iter().rev().find(|w| w.fired_at.is_some()) {
            effects.push(Effect::Tell(Note::Campaign(running.id, campaign::Input::Open { wave: fired.due_at, left: fired.left })));
        }
        self.plan(running, Timestamp(i64::MIN));
    }

    fn plan(&mut self, running: Arc<Running>, not_before: Timestamp) {
        let last = running.waves.last().map_or(not_before, |w| w.due_at.max(not_before));
        let next = next_wave(&running.campaign.schedule, last);
        self.campaigns.insert(running.id, Planned { running, last, next });
    }

    fn fire(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        for planned in self.campaigns.values_mut() {
            while let Some(due_at) = planned.next.filter(|due| *due <= at) {
                let schedule = &planned.running.campaign.schedule;
                // A campaign of one wave is never "missed": it starts late and says so by its dates.
                let too_late = schedule.cron.is_some() && at.since(due_at) > schedule.lateness_ms;
                let left = schedule.wave.and_then(|n| i64::try_from(n).ok());
                let wave = WaveRow { due_at, fired_at: (!too_late).then_some(at), left };
                if too_late {
                    tracing::warn!(campaign = %planned.running.campaign.name, %due_at, "a wave was missed by more than the allowed lateness and is skipped");
                }
                // The campaign hears of it when it is on record: what it takes of the wave is counted there.
                effects.push(Effect::Store(StoreCall::Wave { campaign: planned.running.id, wave }));
                planned.next = next_wave(schedule, due_at);
                planned.last = due_at;
            }
        }
    }
}

impl Machine for Scheduler {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Register(running) => self.register(running, effects),
            Input::Revise(running) => {
                // A wave may be fired and not yet be on record: it is not fired again.
                if let Some(last) = self.campaigns.get(&running.id).map(|known| known.last) {
                    self.plan(running, last);
                }
            }
            Input::Forget(id) => {
                self.campaigns.remove(&id);
            }
            Input::Wake => {}
        }
        self.fire(at, effects);
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        self.campaigns.values().filter_map(|p| p.next).min()
    }
    fn is_idle(&self) -> bool {
        true
    }
}
