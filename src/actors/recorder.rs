//! The recorder: groups outcomes and receipts, settles them, commits them with the rows that they lead to, and only then
//! gives credit back.
use super::definitions::Definitions;
use super::machine::Machine;
use super::perform::StoreCall;
use super::running::Running;
use super::standing::Stand;
use super::{Effect, Note, campaign, channel, conductor, janitor};
use crate::channels::Receipt;
use crate::domain::ids::{BatchId, CampaignId, RouteId};
use crate::domain::journey;
use crate::domain::outcome::{Outcome, SendResult};
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::{ReceiptRow, Recorded, SentParts, Settled};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// A touch that was handed to a carrier.
#[derive(Debug)]
pub struct InFlight {
    /// The row as committed.
    pub touch: Touch,
    /// Its batch.
    pub batch: BatchId,
    /// Its campaign.
    pub running: Arc<Running>,
    /// The customer's attributes, if the campaign's conditions read them.
    pub attributes: Option<Arc<str>>,
}

/// A touch and what was told of it.
#[derive(Debug)]
pub struct Told {
    /// The touch.
    pub in_flight: InFlight,
    /// What came of it.
    pub outcome: Outcome,
}

/// A receipt, and how often its touch has been looked for in vain.
#[derive(Debug)]
pub struct Heard {
    /// The receipt.
    pub receipt: Receipt,
    /// Looks in vain.
    pub tries: u8,
}

/// The touch that a receipt speaks of, and the customer's attributes where the campaign's conditions read them.
pub type Meant = (Touch, Option<Arc<str>>);

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// A campaign is being run, or goes on by a new version.
    Register(Arc<Running>),
    /// Take up a campaign: read how it stands while nothing is being committed, and start its machines.
    TakeUp(Arc<Running>),
    /// It stands so.
    Stands {
        /// Which.
        running: Arc<Running>,
        /// Its tallies.
        tallies: Tallies,
        /// What was sent, as far as its limit looks back, oldest first.
        past: Vec<SentParts>,
    },
    /// Everything is launched: receipts that came before are looked at now.
    Open,
    /// A campaign is run no more.
    Retired(CampaignId),
    /// Definitions of campaigns that are not run; `None`: it cannot be read.
    Loaded(Vec<(CampaignId, Option<Arc<Running>>)>),
    /// A batch was committed `Started`; so many first results are to come.
    Opened(BatchId, usize),
    /// First results from a route.
    Outcomes {
        /// Which gets its credit back when they are committed.
        route: RouteId,
        /// The results.
        told: Vec<Told>,
    },
    /// Receipts, not yet matched.
    Receipts(Vec<Receipt>),
    /// Receipts with the touches that they speak of, and attributes where needed.
    Matched(Vec<(Heard, Option<Meant>)>),
    /// Outcomes that the janitor found out (left by a crash, overdue), and batches that they close.
    Found {
        /// Touches and what to make of them.
        found: Vec<(Touch, Outcome)>,
        /// Batches that are closed by it.
        closed: Vec<BatchId>,
    },
    /// A commit is done.
    Committed(Recorded),
    /// The process ends: commit everything at once, and say so to the conductor.
    Flush,
    /// Look at the clock.
    Wake,
}

#[derive(Debug, Default)]
struct Group {
    settlements: Vec<Settled>,
    closed: Vec<BatchId>,
    receipts: Vec<ReceiptRow>,
    credit: BTreeMap<RouteId, usize>,
    first_results: BTreeMap<CampaignId, usize>,
    next_due: BTreeMap<CampaignId, Timestamp>,
    janitor: usize,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.settlements.is_empty() && self.closed.is_empty() && self.receipts.is_empty()
    }
}

/// The machine.
#[derive(Debug)]
pub struct Recorder {
    fence: i64,
    linger_ms: i64,
    batch: usize,
    definitions: Definitions,
    open: HashMap<BatchId, usize>,
    waiting: Group,
    since: Option<Timestamp>,
    committing: Option<Group>,
    /// Campaigns to be taken up between two commits, and the one that is.
    taking_up: VecDeque<Arc<Running>>,
    reading: bool,
    /// Receipts that came before everything was launched: how a run stands is being read.
    unopened: Option<Vec<Heard>>,
    matching: usize,
    /// Receipts that came before the acceptance was on record in which the provider names the touch: by when to look again.
    early: BTreeMap<Timestamp, Vec<Heard>>,
    flushing: bool,
    flushed_told: bool,
}

/// A receipt is looked up so often before it is taken for a stranger's; the waits double, from `FIRST_LOOK_MS` on.
const LOOKS: u8 = 10;
/// After so many milliseconds for the second time: 102 seconds in all.
const FIRST_LOOK_MS: i64 = 100;
/// So many receipts wait for their acceptance at most. (Each is kept raw before.)
const EARLY: usize = 50_000;

impl Recorder {
    /// Under a fencing number; commits wait up to `linger_ms` for company, or until `batch` settlements are there. With `loads`
    /// the definition of a campaign that is not run can be asked for.
    pub fn new(fence: i64, linger_ms: i64, batch: usize, loads: bool) -> Self {
        Self {
            fence,
            linger_ms,
            batch,
            definitions: Definitions::new(loads),
            open: HashMap::new(),
            waiting: Group::default(),
            since: None,
            committing: None,
            taking_up: VecDeque::new(),
            reading: false,
            unopened: Some(Vec::new()),
            matching: 0,
            early: BTreeMap::new(),
            flushing: false,
            flushed_told: false,
        }
    }

    fn add(&mut self, settled: Settled) {
        let id = settled.touch.key.campaign;
        let own_due = (settled.touch.state == State::Scheduled).then_some(settled.touch.due_at).flatten();
        for due in [own_due, settled.next.as_ref().and_then(|n| n.due_at)].into_iter().flatten() {
            let known = self.waiting.next_due.entry(id).or_insert(due);
            *known = (*known).min(due);
        }
        self.waiting.settlements.push(settled);
    }

    fn settle(running: &Running, touch: &Touch, outcome: &Outcome, attributes: Option<&str>) -> Settled {
        let mut faults = Vec::new();
        let settled = journey::settle(&running.campaign, running.ends_at, touch, outcome, attributes, &mut faults);
        for fault in faults {
            tracing::warn!(campaign = %running.campaign.name, %fault, "a condition could not be evaluated and counts as not true");
        }
        settled
    }

    fn outcomes(&mut self, route: RouteId, told: Vec<Told>) {
        *self.waiting.credit.entry(route).or_insert(0) += told.len();
        for Told { in_flight, outcome } in told {
            let InFlight { touch, batch, running, attributes } = in_flight;
            *self.waiting.first_results.entry(running.id).or_insert(0) += 1;
            if let Some(left) = self.open.get_mut(&batch) {
                *left -= 1;
                if *left == 0 {
                    self.open.remove(&batch);
                    self.waiting.closed.push(batch);
                }
            }
            let settled = Self::settle(&running, &touch, &outcome, attributes.as_deref());
            self.add(settled);
        }
    }

    /// A receipt changes a touch only upwards in the lattice; it is kept in any case.
    fn receipts(&mut self, at: Timestamp, matched: Vec<(Heard, Option<Meant>)>, effects: &mut Vec<Effect>) {
        self.matching = self.matching.saturating_sub(1);
        let mut load = Vec::new();
        for (Heard { receipt, tries }, touch) in matched {
            if touch.is_none() && tries > 0 {
                // It is on record already, as one of no touch of ours.
                self.look_again(at, receipt, tries);
                continue;
            }
            if let Some(id) = touch.as_ref().map(|(t, _)| t.key.campaign).filter(|id| self.definitions.is_unknown(*id)) {
                if self.definitions.wait(id, Heard { receipt, tries }) {
                    load.push(id);
                }
                continue;
            }
            let mut row = ReceiptRow {
                route: receipt.route,
                provider_ref: receipt.provider_ref.to_string(),
                touch: touch.as_ref().map(|(t, _)| t.key),
                at: receipt.at,
                said: receipt.disposition.name().to_owned(),
                applied: false,
            };
            let is_stranger = touch.is_none();
            if let Some((touch, attributes)) = touch
                && let Some(running) = self.definitions.get(touch.key.campaign)
            {
                let result =
                    SendResult::Done { disposition: receipt.disposition, connected_s: receipt.connected_s, cost_micros: receipt.cost_micros };
                let outcome = Outcome { touch: touch.key, at: receipt.at, result };
                let settled = Self::settle(running, &touch, &outcome, attributes.as_deref());
                if settled.touch.state.rank() > touch.state.rank() {
                    row.applied = true;
                    self.add(settled);
                }
            }
            self.waiting.receipts.push(row);
            if is_stranger {
                self.look_again(at, receipt, tries);
            }
        }
        if !load.is_empty() {
            effects.push(Effect::Store(StoreCall::Load(load)));
        }
    }

    /// The provider's answer may still be on its way, or not yet be committed.
    fn look_again(&mut self, at: Timestamp, receipt: Receipt, tries: u8) {
        let is_known_by_us = receipt.touch.is_some();
        if is_known_by_us || self.flushing || tries >= LOOKS || self.early.values().map(Vec::len).sum::<usize>() >= EARLY {
            tracing::warn!(route = %receipt.route, "a receipt is of no touch that is on record; it is kept as it came");
            return;
        }
        self.early.entry(at.plus(FIRST_LOOK_MS << tries)).or_default().push(Heard { receipt, tries: tries + 1 });
    }

    /// Looks for the touches of receipts whose time has come; of all when the process ends.
    fn look(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        let later = if self.flushing { BTreeMap::new() } else { self.early.split_off(&at.plus(1)) };
        let heard: Vec<Heard> = std::mem::replace(&mut self.early, later).into_values().flatten().collect();
        self.find(heard, effects);
    }

    fn find(&mut self, heard: Vec<Heard>, effects: &mut Vec<Effect>) {
        if !heard.is_empty() {
            self.matching += 1;
            effects.push(Effect::Store(StoreCall::Match { heard, with_attributes: self.definitions.with_attributes() }));
        }
    }

    /// One thing at a time is asked of the store.
    fn is_busy(&self) -> bool {
        self.committing.is_some() || self.reading
    }

    fn take_up(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.is_busy() {
            return;
        }
        let Some(running) = self.taking_up.pop_front() else { return };
        self.reading = true;
        // A run that has sent before: its limit must know what.
        let since = running.campaign.limits.rate.filter(|_| running.row.cursor.0 > 0).map(|rate| at.plus(-rate.per_ms));
        effects.push(Effect::Store(StoreCall::TakeUp { running, since }));
    }

    fn start(&mut self, running: Arc<Running>, tallies: Tallies, past: Vec<SentParts>, effects: &mut Vec<Effect>) {
        self.reading = false;
        effects.push(Effect::Limit { campaign: running.id, rate: running.campaign.limits.rate, past });
        effects.push(Effect::Spawn(Arc::clone(&running), tallies));
        self.definitions.register(Arc::clone(&running));
        effects.push(Effect::Tell(Note::Conductor(conductor::Input::Adopted(running))));
    }

    fn commit(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.waiting.is_empty() {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(at);
        let full = self.waiting.settlements.len() >= self.batch;
        if self.is_busy() || !(full || self.flushing || at.since(since) >= self.linger_ms) {
            return;
        }
        self.since = None;
        let mut group = std::mem::take(&mut self.waiting);
        let settlements = std::mem::take(&mut group.settlements);
        let closed = std::mem::take(&mut group.closed);
        let receipts = std::mem::take(&mut group.receipts);
        self.committing = Some(group);
        effects.push(Effect::Store(StoreCall::Record { fence: self.fence, settlements, closed, receipts }));
    }

    fn committed(&mut self, recorded: Recorded, effects: &mut Vec<Effect>) {
        let Some(mut group) = self.committing.take() else { return };
        for (route, n) in group.credit {
            effects.push(Effect::Tell(Note::Channel(route, channel::Input::Recorded(n))));
        }
        let mut tallies: BTreeMap<CampaignId, _> = recorded.tallies.into_iter().collect();
        let ids: Vec<CampaignId> = tallies.keys().chain(group.first_results.keys()).copied().collect();
        for id in ids {
            let first_results = group.first_results.remove(&id).unwrap_or(0);
            let Some(tallies) = tallies.remove(&id).or((first_results > 0).then(Default::default)) else { continue };
            let next_due = group.next_due.get(&id).copied();
            effects.push(Effect::Tell(Note::Campaign(id, campaign::Input::Settled { first_results, tallies, next_due })));
        }
        if group.janitor > 0 {
            effects.push(Effect::Tell(Note::Janitor(janitor::Input::Committed)));
        }
    }
}

impl Machine for Recorder {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Register(running) => self.definitions.register(running),
            Input::Retired(id) => self.definitions.retire(id),
            Input::Loaded(loaded) => {
                // Looked up once more: now with attributes, where conditions of that campaign read them.
                let heard = loaded.into_iter().flat_map(|(id, running)| self.definitions.loaded(id, running)).collect();
                self.find(heard, effects);
            }
            Input::Opened(batch, n) => {
                self.open.insert(batch, n);
            }
            Input::Outcomes { route, told } => self.outcomes(route, told),
            Input::Receipts(receipts) => {
                let heard: Vec<Heard> = receipts.into_iter().map(|receipt| Heard { receipt, tries: 0 }).collect();
                match &mut self.unopened {
                    Some(waiting) => waiting.extend(heard),
                    None => self.find(heard, effects),
                }
            }
            Input::TakeUp(running) => self.taking_up.push_back(running),
            Input::Stands { running, tallies, past } => self.start(running, tallies, past, effects),
            Input::Open => {
                let heard = self.unopened.take().unwrap_or_default();
                self.find(heard, effects);
            }
            Input::Matched(matched) => self.receipts(at, matched, effects),
            Input::Found { found, closed } => {
                self.waiting.janitor += 1;
                self.waiting.closed.extend(closed);
                for (touch, outcome) in found {
                    let settled = journey::settle_open(&touch, &outcome)
                        .or_else(|| self.definitions.get(touch.key.campaign).map(|r| Self::settle(r, &touch, &outcome, None)));
                    if let Some(settled) = settled {
                        self.add(settled);
                    }
                }
                if self.waiting.is_empty() {
                    // Nothing to commit: the janitor does not wait for it.
                    self.waiting.janitor -= 1;
                    effects.push(Effect::Tell(Note::Janitor(janitor::Input::Committed)));
                }
            }
            Input::Flush => {
                self.flushing = true;
                self.taking_up.clear();
                let heard = self.unopened.take().unwrap_or_default();
                self.find(heard, effects);
            }
            Input::Committed(recorded) => self.committed(recorded, effects),
            Input::Wake => {}
        }
        // When the process ends, receipts are looked up for the last time after the acceptances before them are committed.
        if !self.flushing || (self.waiting.is_empty() && self.committing.is_none()) {
            self.look(at, effects);
        }
        self.take_up(at, effects);
        self.commit(at, effects);
        if self.flushing && self.is_idle() && !self.flushed_told {
            self.flushed_told = true;
            effects.push(Effect::Tell(Note::Conductor(conductor::Input::Flushed)));
        }
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        let commit = if self.is_busy() { None } else { self.since.map(|since| since.plus(self.linger_ms)) };
        [commit, self.early.keys().next().copied()].into_iter().flatten().min()
    }
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_busy() && self.matching == 0 && self.early.is_empty() && self.definitions.waiting() == 0
    }
    fn stands(&self) -> Option<Stand> {
        let group = |g: &Group| g.credit.values().sum::<usize>() + g.receipts.len();
        let looked_for = self.early.values().map(Vec::len).sum::<usize>() + self.definitions.waiting();
        Some(Stand::Recorder(group(&self.waiting) + self.committing.as_ref().map_or(0, |g| group(g).max(1)) + looked_for))
    }
}
