//! Performs what machines ask of the store, and brings the answers back as notes. No transaction is open while a provider is called.
use super::recorder;
use super::running::{Route, Running};
use super::sender::dispatch;
use super::{Note, campaign, conductor, customer_list, janitor};
use crate::channels::{Dispatch, Receipt};
use crate::domain::decision::{Candidate, Decider, Grounds, Written};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, ListId, RouteId, StepNo, TouchKey};
use crate::domain::law::WindowVerdict;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::{BeginRequest, Needs, Settled, Status, StatusChange, Store, StoreResult, WaveRow};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Batches of orphans, overdue touches: so many at once.
const ROUND: usize = 5_000;

/// A touch that is committed `Started`, ready to send.
#[derive(Debug)]
pub struct Started {
    /// The row.
    pub touch: Touch,
    /// Its batch.
    pub batch: BatchId,
    /// What the carrier gets.
    pub dispatch: Dispatch,
    /// The lawful window ends then: not sent at or after.
    pub until: Timestamp,
}

/// A batch to decide and commit.
#[derive(Debug)]
pub struct Begin {
    /// Whose.
    pub running: Arc<Running>,
    /// The route that has room.
    pub route: RouteId,
    /// In order.
    pub candidates: Vec<Candidate>,
    /// See `Page::seen_change`.
    pub seen_change: i64,
    /// In millionths of the currency unit; `None`: no budget.
    pub budget_left: Option<i64>,
}

/// What is asked of the store.
#[derive(Debug)]
pub enum StoreCall {
    /// Members of a list.
    Page {
        /// Whose.
        running: Arc<Running>,
        /// After this one.
        after: CustomerId,
        /// How many.
        limit: usize,
    },
    /// Scheduled touches that are due.
    Due {
        /// Whose.
        running: Arc<Running>,
        /// Now.
        at: Timestamp,
        /// Of these steps.
        steps: Vec<StepNo>,
        /// How many.
        limit: usize,
    },
    /// Decide and commit.
    Begin(Box<Begin>),
    /// Commit outcomes.
    Record {
        /// Fencing number.
        fence: i64,
        /// What came of touches.
        settlements: Vec<Settled>,
        /// Batches without open touches.
        closed: Vec<BatchId>,
        /// Raw receipts.
        receipts: Vec<crate::store::ReceiptRow>,
    },
    /// Find the touches that receipts speak of.
    Match {
        /// The receipts.
        receipts: Vec<Receipt>,
        /// Campaigns whose conditions read attributes, with their lists.
        with_attributes: Vec<(CampaignId, ListId)>,
    },
    /// Touches that a crash left.
    Orphans {
        /// Below this fencing number.
        fence: i64,
    },
    /// Lapse suppressions and find overdue receipts.
    Round {
        /// Now.
        at: Timestamp,
    },
    /// A wave fired or was skipped.
    Wave {
        /// Whose.
        campaign: CampaignId,
        /// The wave.
        wave: WaveRow,
    },
    /// What operators want.
    Wanted(Vec<CampaignId>),
    /// The tallies of campaigns.
    Standing(Vec<CampaignId>),
    /// Call off what is left.
    CallOff {
        /// Whose.
        running: Arc<Running>,
        /// Why.
        reason: Reason,
        /// Now.
        at: Timestamp,
    },
    /// Set the status.
    Status {
        /// Whose.
        running: Arc<Running>,
        /// To what.
        to: Status,
        /// For a stop: why.
        reason: Option<Reason>,
        /// Now.
        at: Timestamp,
    },
}

/// What performing needs beside the call.
pub struct Performer {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Routes by number.
    pub routes: HashMap<RouteId, Route>,
}

impl Performer {
    /// Performs a call; a failing store becomes a fault for the conductor, who ends the process: the ledger makes a restart safe.
    pub async fn perform(&self, call: StoreCall, now: Timestamp) -> Vec<Note> {
        match self.attempt(call, now).await {
            Ok(notes) => notes,
            Err(e) => vec![Note::Conductor(conductor::Input::Fault(e.to_string()))],
        }
    }

    async fn attempt(&self, call: StoreCall, now: Timestamp) -> StoreResult<Vec<Note>> {
        let store = &self.store;
        Ok(match call {
            StoreCall::Page { running, after, limit } => {
                let page = store.page(running.list, after, limit, running.needs).await?;
                vec![Note::List(running.id, customer_list::Input::Read(page))]
            }
            StoreCall::Due { running, at, steps, limit } => {
                let due = store.due(running.id, at, &steps, limit, running.needs).await?;
                let next = if due.touches.is_empty() { store.next_due(running.id, &steps).await? } else { None };
                vec![Note::Campaign(running.id, campaign::Input::DueRead { due, next })]
            }
            StoreCall::Begin(begin) => vec![self.begin(*begin, now).await?],
            StoreCall::Record { fence, settlements, closed, receipts } => {
                if !receipts.is_empty() {
                    store.keep_receipts(&receipts).await?;
                }
                let recorded = store.record(fence, &settlements, &closed).await?;
                vec![Note::Recorder(recorder::Input::Committed(recorded))]
            }
            StoreCall::Match { receipts, with_attributes } => vec![self.matched(receipts, &with_attributes).await?],
            StoreCall::Orphans { fence } => vec![Note::Janitor(janitor::Input::Orphans(store.orphans(fence, ROUND).await?))],
            StoreCall::Round { at } => {
                store.lapse_suppressions(at).await?;
                vec![Note::Janitor(janitor::Input::Overdue(store.overdue(at, ROUND).await?))]
            }
            StoreCall::Wave { campaign, wave } => {
                store.record_wave(campaign, &wave).await?;
                Vec::new()
            }
            StoreCall::Wanted(ids) => {
                let mut wanted = Vec::new();
                for id in ids {
                    wanted.push((id, store.campaign_by_id(id).await?.wanted));
                }
                vec![Note::Conductor(conductor::Input::Wanted(wanted))]
            }
            StoreCall::Standing(ids) => {
                let mut standing = Vec::new();
                for id in ids {
                    standing.push((id, store.tallies(id).await?));
                }
                vec![Note::Conductor(conductor::Input::Standing(standing))]
            }
            StoreCall::CallOff { running, reason, at } => {
                let tallies = store.call_off(running.fence, running.id, reason, at).await?;
                vec![Note::Campaign(running.id, campaign::Input::CalledOff(tallies))]
            }
            StoreCall::Status { running, to, reason, at } => {
                let why = reason.map_or_else(|| to.name().to_owned(), |r| r.name().to_owned());
                let change = StatusChange { to, by: "engine".to_owned(), why, at, reason };
                store.set_status(running.id, &change).await?;
                vec![Note::Campaign(running.id, campaign::Input::StatusSet(to))]
            }
        })
    }

    async fn begin(&self, begin: Begin, now: Timestamp) -> StoreResult<Note> {
        let Begin { running, route, candidates, seen_change, budget_left } = begin;
        let nothing: Arc<dyn Fn(u16) -> i64 + Send + Sync> = Arc::new(|_| 0);
        let reserve = self.routes.get(&route).map_or(nothing, |r| Arc::clone(&r.reserve));
        let grounds = Grounds {
            campaign: &running.campaign,
            id: running.id,
            law: running.law.as_ref(),
            ends_at: running.ends_at,
            route,
            reserve: reserve.as_ref(),
        };
        let mut decider = Decider::new(grounds, now, budget_left);
        let facts = if running.campaign.stop_on.conversion {
            running.campaign.conversions.iter().map(|c| (c.fact.clone(), c.product.clone())).collect()
        } else {
            Vec::new()
        };
        let members: HashMap<CustomerId, usize> =
            if running.campaign.steps.is_empty() { HashMap::new() } else { candidates.iter().enumerate().map(|(i, c)| (c.member.id, i)).collect() };
        let request = BeginRequest {
            campaign: running.id,
            purpose: running.campaign.purpose,
            fence: running.fence,
            at: now,
            candidates: candidates.clone(),
            seen_change,
            history_ms: crate::domain::caps::horizon(running.law.caps()),
            conversion_facts: facts,
            conversion_since: running.starts_at,
        };
        let begun = self.store.begin(request, &mut |candidate, facts| decider.decide(candidate, &facts)).await?;
        let budget_exhausted = decider.budget_exhausted;
        let mut written: HashMap<TouchKey, Written> = decider.written.drain(..).collect();
        let mut started = Vec::new();
        let mut next_due: Option<Timestamp> = None;
        for (_, touch) in begun.written {
            if touch.state == State::Scheduled {
                next_due = [next_due, touch.due_at].into_iter().flatten().min();
                continue;
            }
            let (State::Started, Some(batch)) = (touch.state, begun.batch) else { continue };
            let Some(candidate) = members.get(&touch.key.customer).and_then(|i| candidates.get(*i)) else { continue };
            let until = match touch.channel.map(|c| running.law.window(now, c, candidate.member.whereabouts())) {
                Some(WindowVerdict::Open { until, .. }) => until.min(running.ends_at),
                _ => now,
            };
            if let Some(dispatch) = dispatch(&touch, &candidate.member, written.remove(&touch.key)) {
                started.push(Started { touch, batch, dispatch, until });
            }
        }
        Ok(Note::Campaign(
            running.id,
            campaign::Input::Begun { started, consumed: begun.consumed, tallies: begun.tallies, next_due, budget_exhausted },
        ))
    }

    /// By our own name where the provider hands it back, else by the provider's.
    async fn matched(&self, receipts: Vec<Receipt>, with_attributes: &[(CampaignId, ListId)]) -> StoreResult<Note> {
        let mut by_route: BTreeMap<RouteId, Vec<&str>> = BTreeMap::new();
        for receipt in receipts.iter().filter(|r| r.touch.is_none()) {
            by_route.entry(receipt.route).or_default().push(&receipt.provider_ref);
        }
        let mut by_ref: HashMap<(RouteId, Box<str>), Touch> = HashMap::new();
        for (route, refs) in by_route {
            for touch in self.store.awaiting(route, &refs).await? {
                if let Some(provider_ref) = touch.provider_ref.clone() {
                    by_ref.insert((route, provider_ref), touch);
                }
            }
        }
        let mut matched = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let touch = match receipt.touch {
                Some(key) => self.store.touch(key).await?,
                None => by_ref.get(&(receipt.route, receipt.provider_ref.clone())).cloned(),
            };
            let mut attributes = None;
            if let Some(touch) = &touch
                && let Some((_, list)) = with_attributes.iter().find(|(id, _)| *id == touch.key.campaign)
            {
                let needs = Needs { attributes: true, ..Needs::default() };
                let before = CustomerId(touch.key.customer.0 - 1);
                attributes = self.store.page(*list, before, 1, needs).await?.members.pop().and_then(|m| m.attributes);
            }
            matched.push((receipt, touch.map(|t| (t, attributes))));
        }
        Ok(Note::Recorder(recorder::Input::Matched(matched)))
    }
}
