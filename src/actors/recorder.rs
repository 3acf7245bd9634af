//! The recorder: groups outcomes and receipts, settles them, commits them with the rows that they lead to, and only then
//! gives credit back.
use super::machine::Machine;
use super::perform::StoreCall;
use super::running::Running;
use super::{Effect, Note, campaign, channel, janitor};
use crate::channels::Receipt;
use crate::domain::ids::{BatchId, CampaignId, RouteId};
use crate::domain::journey;
use crate::domain::outcome::{Outcome, SendResult};
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::{ReceiptRow, Recorded, Settled};
use std::collections::{BTreeMap, HashMap};
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

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// A campaign is being run.
    Register(Arc<Running>),
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
    Matched(Vec<(Receipt, Option<(Touch, Option<Arc<str>>)>)>),
    /// Outcomes that the janitor found out (left by a crash, overdue), and batches that they close.
    Found {
        /// Touches and what to make of them.
        found: Vec<(Touch, Outcome)>,
        /// Batches that are closed by it.
        closed: Vec<BatchId>,
    },
    /// A commit is done.
    Committed(Recorded),
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
    running: HashMap<CampaignId, Arc<Running>>,
    open: HashMap<BatchId, usize>,
    waiting: Group,
    since: Option<Timestamp>,
    committing: Option<Group>,
    matching: usize,
}

impl Recorder {
    /// Under a fencing number; commits wait up to `linger_ms` for company, or until `batch` settlements are there.
    pub fn new(fence: i64, linger_ms: i64, batch: usize) -> Self {
        Self {
            fence,
            linger_ms,
            batch,
            running: HashMap::new(),
            open: HashMap::new(),
            waiting: Group::default(),
            since: None,
            committing: None,
            matching: 0,
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
    fn receipts(&mut self, matched: Vec<(Receipt, Option<(Touch, Option<Arc<str>>)>)>) {
        self.matching -= 1;
        for (receipt, touch) in matched {
            let mut row = ReceiptRow {
                route: receipt.route,
                provider_ref: receipt.provider_ref.to_string(),
                touch: touch.as_ref().map(|(t, _)| t.key),
                at: receipt.at,
                said: receipt.disposition.name().to_owned(),
                applied: false,
            };
            if let Some((touch, attributes)) = touch
                && let Some(running) = self.running.get(&touch.key.campaign)
            {
                let result = SendResult::Done { disposition: receipt.disposition, connected_s: receipt.connected_s, cost_micros: None };
                let outcome = Outcome { touch: touch.key, at: receipt.at, result };
                let settled = Self::settle(running, &touch, &outcome, attributes.as_deref());
                if settled.touch.state.rank() > touch.state.rank() {
                    row.applied = true;
                    self.add(settled);
                }
            }
            self.waiting.receipts.push(row);
        }
    }

    fn commit(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.waiting.is_empty() {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(at);
        let full = self.waiting.settlements.len() >= self.batch;
        if self.committing.is_some() || !(full || at.since(since) >= self.linger_ms) {
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
            Input::Register(running) => {
                self.running.insert(running.id, running);
            }
            Input::Opened(batch, n) => {
                self.open.insert(batch, n);
            }
            Input::Outcomes { route, told } => self.outcomes(route, told),
            Input::Receipts(receipts) => {
                self.matching += 1;
                let with_attributes = self.running.values().filter(|r| r.carries_attributes()).map(|r| (r.id, r.list)).collect();
                effects.push(Effect::Store(StoreCall::Match { receipts, with_attributes }));
            }
            Input::Matched(matched) => self.receipts(matched),
            Input::Found { found, closed } => {
                self.waiting.janitor += 1;
                self.waiting.closed.extend(closed);
                for (touch, outcome) in found {
                    let settled = journey::settle_open(&touch, &outcome)
                        .or_else(|| self.running.get(&touch.key.campaign).map(|r| Self::settle(r, &touch, &outcome, None)));
                    if let Some(settled) = settled {
                        self.add(settled);
                    }
                }
            }
            Input::Committed(recorded) => self.committed(recorded, effects),
            Input::Wake => {}
        }
        self.commit(at, effects);
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        if self.committing.is_some() { None } else { self.since.map(|since| since.plus(self.linger_ms)) }
    }
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.committing.is_none() && self.matching == 0
    }
}
