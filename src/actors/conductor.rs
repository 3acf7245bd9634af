//! The conductor: start-up order, campaigns that come later, operators' wishes, the drain, and the end.
use super::machine::Machine;
use super::perform::StoreCall;
use super::running::Running;
use super::standing::{Phase, Stand};
use super::{Effect, Note, campaign, channel, janitor, recorder, scheduler};
use crate::domain::ids::{CampaignId, CustomerId, RouteId};
use crate::domain::tally::Tallies;
use crate::domain::time::{MINUTE, Timestamp};
use crate::store::{SentParts, Status, Wanted};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// Begin.
    Start,
    /// What a crash left is settled.
    Rescued,
    /// How the campaigns stand after that, and what was sent as far back as the longest limit looks.
    Standing(Vec<(CampaignId, Tallies)>, Vec<SentParts>),
    /// Take up a campaign, now or when everything is launched.
    Adopt(Arc<Running>),
    /// Its machines are there.
    Adopted(Arc<Running>),
    /// Let go of a campaign that is held, as if the process ended for it alone.
    Release(CampaignId),
    /// A campaign that is held shall go on by this new version of it.
    Revise(Arc<Running>),
    /// It does.
    Revised(Arc<Running>),
    /// These customers opted out: what routes hold unsent for them is given back, and so asked again.
    Withdrawn(Arc<HashSet<CustomerId>>),
    /// A campaign has come to its end.
    Ended(CampaignId, Status),
    /// What operators want.
    Wanted(Vec<(CampaignId, Wanted)>),
    /// End in order.
    Drain,
    /// A draining campaign has nothing under way.
    Quiet(CampaignId),
    /// A draining route has nothing under way.
    Drained(RouteId),
    /// Everything that was told to the recorder is committed.
    Flushed,
    /// Something broke; nothing can be trusted to go on.
    Fault(String),
    /// Look at the clock.
    Wake,
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often operators' wishes are read, in milliseconds.
    pub poll_ms: i64,
    /// How long a drain waits for touches in flight, in milliseconds.
    pub drain_ms: i64,
}

/// The machine.
#[derive(Debug)]
pub struct Conductor {
    phase: Phase,
    patience: Patience,
    /// It stays when no campaign is left, and takes up others.
    resident: bool,
    /// Those that came before everything was launched, or are being taken up.
    adopting: BTreeMap<CampaignId, Arc<Running>>,
    /// Those that are held no more as soon as nothing of them is under way.
    releasing: BTreeSet<CampaignId>,
    campaigns: BTreeMap<CampaignId, (Arc<Running>, Wanted)>,
    /// Campaigns or routes that the drain waits for.
    quieting: BTreeSet<CampaignId>,
    draining: BTreeSet<RouteId>,
    routes: Vec<RouteId>,
    /// How far back the longest limit looks, when the ledger must be asked what was sent; in milliseconds.
    look_back_ms: Option<i64>,
    next_poll: Option<Timestamp>,
    deadline: Option<Timestamp>,
}

impl Conductor {
    /// For these campaigns on these routes. A resident one stays when none is left.
    pub fn new(campaigns: Vec<Arc<Running>>, routes: Vec<RouteId>, look_back_ms: Option<i64>, resident: bool, patience: Patience) -> Self {
        let campaigns = campaigns.into_iter().map(|r| (r.id, (Arc::clone(&r), r.row.wanted))).collect();
        Self {
            phase: Phase::Starting,
            patience,
            resident,
            adopting: BTreeMap::new(),
            releasing: BTreeSet::new(),
            campaigns,
            quieting: BTreeSet::new(),
            draining: BTreeSet::new(),
            routes,
            look_back_ms,
            next_poll: None,
            deadline: None,
        }
    }

    fn launch(&mut self, at: Timestamp, standing: Vec<(CampaignId, Tallies)>, past: Vec<SentParts>, effects: &mut Vec<Effect>) {
        self.phase = Phase::Running;
        let past = Arc::new(past);
        // A run that was begun before may have sent something a moment ago; so may one that has ended since, of which a resident
        // engine knows by the ledger alone.
        let hold = self.campaigns.values().any(|(running, _)| running.row.cursor.0 > 0)
            || (self.resident && past.iter().any(|sent| at.since(sent.at) <= MINUTE));
        self.next_poll = Some(at.plus(self.patience.poll_ms));
        let mut standing: BTreeMap<CampaignId, Tallies> = standing.into_iter().collect();
        for (running, _) in self.campaigns.values() {
            effects.push(Effect::Spawn(Arc::clone(running), standing.remove(&running.id).unwrap_or_default()));
            effects.push(Effect::Tell(Note::Recorder(recorder::Input::Register(Arc::clone(running)))));
            Self::start(running, effects);
        }
        effects.push(Effect::Tell(Note::Recorder(recorder::Input::Open)));
        effects.push(Effect::Tell(Note::Janitor(janitor::Input::Rounds)));
        // Before any campaign has answered a route's first ask: so no limit is asked before it knows.
        effects.extend(self.routes.iter().map(|r| Effect::Tell(Note::Channel(*r, channel::Input::Resume { past: Arc::clone(&past), hold }))));
        for running in std::mem::take(&mut self.adopting).into_values() {
            self.adopt(running, effects);
        }
        if self.campaigns.is_empty() && !self.resident {
            self.drain(at, effects);
        }
    }

    fn start(running: &Arc<Running>, effects: &mut Vec<Effect>) {
        // A wish that was made before this process began, or while none was there to hear it.
        effects.push(Effect::Tell(Note::Campaign(running.id, campaign::Input::Control(running.row.wanted))));
        for route in running.all_routes() {
            effects.push(Effect::Tell(Note::Channel(route, channel::Input::Join(Arc::clone(running)))));
        }
        effects.push(Effect::Tell(Note::Scheduler(scheduler::Input::Register(Arc::clone(running)))));
    }

    fn adopt(&mut self, running: Arc<Running>, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Starting => {
                self.adopting.insert(running.id, running);
            }
            Phase::Running => {
                if !self.campaigns.contains_key(&running.id) && !self.adopting.contains_key(&running.id) {
                    self.adopting.insert(running.id, Arc::clone(&running));
                    // By the recorder: nothing of the run may be committed between the reading of its tallies and its first step.
                    effects.push(Effect::Tell(Note::Recorder(recorder::Input::TakeUp(running))));
                }
            }
            // The next process takes it up.
            Phase::Quieting | Phase::Draining | Phase::Flushing | Phase::Over => {}
        }
    }

    fn adopted(&mut self, running: Arc<Running>, effects: &mut Vec<Effect>) {
        self.adopting.remove(&running.id);
        if self.phase != Phase::Running {
            effects.push(Effect::Retire(running.id));
            return;
        }
        tracing::info!(campaign = %running.campaign.name, version = running.row.version, "taken up");
        Self::start(&running, effects);
        self.campaigns.insert(running.id, (Arc::clone(&running), running.row.wanted));
    }

    fn drain(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        let launched = match self.phase {
            Phase::Starting => false,
            Phase::Running => true,
            Phase::Quieting | Phase::Draining | Phase::Flushing | Phase::Over => return,
        };
        self.phase = Phase::Quieting;
        self.deadline = Some(at.plus(self.patience.drain_ms));
        self.quieting = self.campaigns.keys().copied().filter(|_| launched).collect();
        effects.extend(self.quieting.iter().map(|id| Effect::Tell(Note::Campaign(*id, campaign::Input::Drain))));
        self.drain_routes(effects);
    }

    fn drain_routes(&mut self, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Quieting && self.quieting.is_empty() {
            self.phase = Phase::Draining;
            self.draining = self.routes.iter().copied().collect();
            effects.extend(self.routes.iter().map(|r| Effect::Tell(Note::Channel(*r, channel::Input::Drain))));
        }
        self.flush_if_drained(effects);
    }

    fn flush_if_drained(&mut self, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Draining && self.draining.is_empty() {
            self.phase = Phase::Flushing;
            effects.push(Effect::Tell(Note::Recorder(recorder::Input::Flush)));
        }
    }

    fn ended(&mut self, at: Timestamp, id: CampaignId, effects: &mut Vec<Effect>) {
        self.releasing.remove(&id);
        if let Some((running, _)) = self.campaigns.remove(&id) {
            for route in running.all_routes() {
                effects.push(Effect::Tell(Note::Channel(route, channel::Input::Leave(id))));
            }
            effects.push(Effect::Tell(Note::Scheduler(scheduler::Input::Forget(id))));
            if self.resident {
                effects.push(Effect::Tell(Note::Recorder(recorder::Input::Retired(id))));
            }
            effects.push(Effect::Retire(id));
        }
        if self.campaigns.is_empty() && self.phase == Phase::Running && !self.resident {
            self.drain(at, effects);
        }
    }
}

impl Machine for Conductor {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Start => effects.push(Effect::Tell(Note::Janitor(janitor::Input::Rescue))),
            Input::Rescued => {
                let since = self.look_back_ms.map(|ms| at.plus(-ms));
                effects.push(Effect::Store(StoreCall::Standing { campaigns: self.campaigns.keys().copied().collect(), since }));
            }
            Input::Standing(standing, past) if self.phase == Phase::Starting => self.launch(at, standing, past, effects),
            Input::Standing(..) => {}
            Input::Adopt(running) => self.adopt(running, effects),
            Input::Adopted(running) => self.adopted(running, effects),
            Input::Release(id) => {
                if self.phase == Phase::Running && self.campaigns.contains_key(&id) && self.releasing.insert(id) {
                    effects.push(Effect::Tell(Note::Campaign(id, campaign::Input::Drain)));
                }
            }
            Input::Revise(running) => {
                if self.phase == Phase::Running && self.campaigns.contains_key(&running.id) {
                    effects.push(Effect::Tell(Note::Campaign(running.id, campaign::Input::Revise(running))));
                }
            }
            Input::Revised(running) => {
                if let Some((known, _)) = self.campaigns.get_mut(&running.id) {
                    *known = running;
                }
            }
            Input::Withdrawn(who) => {
                let note = |r: &RouteId| Effect::Tell(Note::Channel(*r, channel::Input::Withdrawn(Arc::clone(&who))));
                effects.extend(self.routes.iter().map(note));
            }
            Input::Ended(id, status) => {
                tracing::info!(campaign = %id, %status, "campaign ended");
                self.ended(at, id, effects);
                self.quieting.remove(&id);
                self.drain_routes(effects);
            }
            Input::Wanted(all) => {
                for (id, wanted) in all {
                    if let Some((_, known)) = self.campaigns.get_mut(&id)
                        && *known != wanted
                    {
                        *known = wanted;
                        effects.push(Effect::Tell(Note::Campaign(id, campaign::Input::Control(wanted))));
                    }
                }
            }
            Input::Drain => self.drain(at, effects),
            Input::Quiet(id) if self.phase == Phase::Running => {
                if self.releasing.contains(&id) {
                    tracing::info!(campaign = %id, "let go");
                    self.ended(at, id, effects);
                }
            }
            Input::Quiet(id) => {
                self.quieting.remove(&id);
                self.drain_routes(effects);
            }
            Input::Drained(route) => {
                self.draining.remove(&route);
                self.flush_if_drained(effects);
            }
            Input::Flushed if self.phase == Phase::Flushing => {
                self.phase = Phase::Over;
                effects.push(Effect::Exit(Ok(())));
            }
            Input::Flushed => {}
            Input::Fault(text) => {
                self.phase = Phase::Over;
                effects.push(Effect::Exit(Err(text)));
            }
            Input::Wake => {}
        }
        if self.phase == Phase::Running && self.next_poll.is_some_and(|poll| at >= poll) {
            self.next_poll = Some(at.plus(self.patience.poll_ms));
            effects.push(Effect::Store(StoreCall::Wanted(self.campaigns.keys().copied().collect())));
            // A hold that was lifted, by this process or another, has brought scheduled touches forward.
            effects.extend(self.campaigns.values().map(|(running, _)| Effect::Store(StoreCall::NextDue(Arc::clone(running)))));
        }
        if matches!(self.phase, Phase::Quieting | Phase::Draining | Phase::Flushing) && self.deadline.is_some_and(|deadline| at >= deadline) {
            self.phase = Phase::Over;
            tracing::warn!(
                campaigns = ?self.quieting, routes = ?self.draining,
                "the drain waited long enough: what these still have in flight will be in doubt at the next start, and not repeated"
            );
            effects.push(Effect::Exit(Ok(())));
        }
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Running => self.next_poll,
            Phase::Quieting | Phase::Draining | Phase::Flushing => self.deadline,
            Phase::Starting | Phase::Over => None,
        }
    }
    fn is_idle(&self) -> bool {
        self.phase == Phase::Over
    }
    fn stands(&self) -> Option<Stand> {
        let quieting = self.quieting.iter().copied().collect();
        Some(Stand::Conductor(self.phase, self.campaigns.keys().copied().collect(), quieting))
    }
}
