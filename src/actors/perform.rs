//! Performs what machines ask of the store, and brings the answers back as notes. No transaction is open while a provider is called.
use super::recorder::{self, Heard};
use super::running::{Route, Running};
use super::sender::dispatch;
use super::{Note, campaign, channel, conductor, customer_list, janitor};
use crate::channels::Dispatch;
use crate::domain::decision::{Candidate, Decider, Grounds, Written};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, RouteId, StepNo, TouchKey};
use crate::domain::law::WindowVerdict;
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::{BeginRequest, Needs, Settled, Status, StatusChange, Store, StoreResult, WaveRow};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tracing::Instrument;

/// Batches of orphans, overdue touches: so many at once.
pub const ROUND: usize = 5_000;

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
    /// The wave that first-time candidates are taken from.
    pub wave: Option<Timestamp>,
}

/// Finds the definition of a run that this engine does not hold; `None`: there is none that can be read.
pub type Loader = Arc<dyn Fn(CampaignId) -> BoxFuture<'static, StoreResult<Option<Arc<Running>>>> + Send + Sync>;

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
        heard: Vec<Heard>,
        /// Campaigns whose conditions read attributes.
        with_attributes: Vec<CampaignId>,
    },
    /// Touches that a crash left.
    Orphans {
        /// Below this fencing number.
        fence: i64,
        /// Of rehearsals, or of real runs.
        rehearsal: bool,
    },
    /// Lapse suppressions and find overdue receipts.
    Round {
        /// Now.
        at: Timestamp,
        /// Of rehearsals, or of real runs.
        rehearsal: bool,
    },
    /// Ask the providers about a campaign's touches in doubt.
    Doubtful(Arc<Running>),
    /// Where a run stands that goes on by a new version.
    Revise {
        /// The new version.
        running: Arc<Running>,
        /// What it has sent since then is asked for too.
        since: Option<Timestamp>,
    },
    /// How a campaign stands that is taken up.
    TakeUp {
        /// Which.
        running: Arc<Running>,
        /// What it has sent since then is asked for too.
        since: Option<Timestamp>,
    },
    /// The definitions of runs that are not held, for receipts that speak of them.
    Load(Vec<CampaignId>),
    /// A wave fired or was skipped.
    Wave {
        /// Whose.
        campaign: CampaignId,
        /// The wave.
        wave: WaveRow,
    },
    /// What operators want.
    Wanted(Vec<CampaignId>),
    /// When a campaign's next scheduled touch is due.
    NextDue(Arc<Running>),
    /// The tallies of campaigns, and what has been sent.
    Standing {
        /// Which.
        campaigns: Vec<CampaignId>,
        /// What was sent since then; `None`: not asked.
        since: Option<Timestamp>,
    },
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

impl StoreCall {
    /// What a trace calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Page { .. } => "page",
            Self::Due { .. } => "due",
            Self::Begin(_) => "begin",
            Self::Record { .. } => "record",
            Self::Match { .. } => "match",
            Self::Orphans { .. } => "orphans",
            Self::Round { .. } => "round",
            Self::Doubtful(_) => "doubtful",
            Self::Revise { .. } => "revise",
            Self::TakeUp { .. } => "take_up",
            Self::Load(_) => "load",
            Self::Wave { .. } => "wave",
            Self::Wanted(_) => "wanted",
            Self::NextDue(_) => "next_due",
            Self::Standing { .. } => "standing",
            Self::CallOff { .. } => "call_off",
            Self::Status { .. } => "status",
        }
    }
}

/// What performing needs beside the call.
pub struct Performer {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Routes by number.
    pub routes: HashMap<RouteId, Route>,
    /// Finds the definition of a run that is not held.
    pub load: Option<Loader>,
}

impl Performer {
    /// Performs a call; a failing store becomes a fault for the conductor, who ends the process: the ledger makes a restart safe.
    pub async fn perform(&self, call: StoreCall, now: Timestamp) -> Vec<Note> {
        let span = tracing::info_span!("store", call = call.name());
        match self.attempt(call, now).instrument(span).await {
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
            StoreCall::Match { heard, with_attributes } => vec![self.matched(heard, &with_attributes).await?],
            StoreCall::Orphans { fence, rehearsal } => {
                vec![Note::Janitor(janitor::Input::Orphans(store.orphans(fence, rehearsal, ROUND).await?))]
            }
            StoreCall::Round { at, rehearsal } => {
                // A suppression is real: it does not lapse in a rehearsal's time.
                if !rehearsal {
                    store.lapse_suppressions(at).await?;
                }
                vec![Note::Janitor(janitor::Input::Overdue(store.overdue(at, rehearsal, ROUND).await?))]
            }
            StoreCall::Doubtful(running) => {
                let mut by_route: BTreeMap<RouteId, Vec<TouchKey>> = BTreeMap::new();
                for touch in store.uncertain(running.id, ROUND).await? {
                    if let Some(route) = touch.route {
                        by_route.entry(route).or_default().push(touch.key);
                    }
                }
                by_route.into_iter().map(|(route, touches)| Note::Channel(route, channel::Input::Query(touches))).collect()
            }
            StoreCall::Revise { running, since } => vec![self.revise(&running, since).await?],
            StoreCall::TakeUp { running, since } => {
                let past = if let Some(since) = since { store.sent_since(since).await? } else { Vec::new() };
                let tallies = store.tallies(running.id).await?;
                vec![Note::Recorder(recorder::Input::Stands { running, tallies, past })]
            }
            StoreCall::Load(ids) => {
                let mut loaded = Vec::new();
                for id in ids {
                    let running = if let Some(load) = &self.load { load(id).await? } else { None };
                    loaded.push((id, running));
                }
                vec![Note::Recorder(recorder::Input::Loaded(loaded))]
            }
            StoreCall::Wave { campaign, wave } => {
                store.record_wave(campaign, &wave).await?;
                let open = campaign::Input::Open { wave: wave.due_at, left: wave.left };
                wave.fired_at.map(|_| Note::Campaign(campaign, open)).into_iter().collect()
            }
            StoreCall::Wanted(ids) => {
                let mut wanted = Vec::new();
                for id in ids {
                    wanted.push((id, store.campaign_by_id(id).await?.wanted));
                }
                vec![Note::Conductor(conductor::Input::Wanted(wanted))]
            }
            StoreCall::NextDue(running) => {
                let mut due = Vec::new();
                for route in running.all_routes() {
                    due.extend(store.next_due(running.id, &running.steps_of(route)).await?.map(|at| (route, at)));
                }
                vec![Note::Campaign(running.id, campaign::Input::Sooner(due))]
            }
            StoreCall::Standing { campaigns, since } => {
                let mut standing = Vec::new();
                for id in campaigns {
                    standing.push((id, store.tallies(id).await?));
                }
                let past = if let Some(since) = since { store.sent_since(since).await? } else { Vec::new() };
                vec![Note::Conductor(conductor::Input::Standing(standing, past))]
            }
            StoreCall::CallOff { running, reason, at } => {
                let tallies = store.call_off(running.fence, running.id, reason, at).await?;
                vec![Note::Campaign(running.id, campaign::Input::CalledOff(tallies))]
            }
            StoreCall::Status { running, to, reason, at } => {
                let why = reason.map_or_else(|| to.name().to_owned(), |r| r.name().to_owned());
                let change = StatusChange { to, by: "engine".to_owned(), why, at, reason };
                store.set_status(running.id, &change).await?;
                // A touch in doubt may have been settled, with a next row, just before the status was set.
                let scheduled = i64::from(State::Scheduled.code());
                if to == Status::Finished && store.tallies(running.id).await?.get(Tally::Customers, scheduled) > 0 {
                    store.call_off(running.fence, running.id, Reason::CampaignEnded, at).await?;
                }
                vec![Note::Campaign(running.id, campaign::Input::StatusSet(to))]
            }
        })
    }

    /// Nothing of the run is being decided: its row, waves and cursor are exact. An open wave that has more left than the new version
    /// gives a wave is cut to that, on record.
    async fn revise(&self, running: &Arc<Running>, since: Option<Timestamp>) -> StoreResult<Note> {
        let row = self.store.campaign_by_id(running.id).await?;
        let mut waves = self.store.waves(running.id).await?;
        let most = running.campaign.schedule.wave.and_then(|n| i64::try_from(n).ok());
        let open = waves.iter_mut().rev().find(|w| w.fired_at.is_some());
        if let (Some(open), Some(most)) = (open, most)
            && open.left.is_none_or(|left| left > most)
        {
            open.left = Some(most);
            self.store.record_wave(running.id, open).await?;
        }
        let past = if let Some(since) = since { self.store.sent_since(since).await? } else { Vec::new() };
        let running = Arc::new(Running { row, waves, ..Running::clone(running) });
        Ok(Note::Campaign(running.id, campaign::Input::Revised { running, past }))
    }

    async fn begin(&self, begin: Begin, now: Timestamp) -> StoreResult<Note> {
        let Begin { running, route, mut candidates, seen_change, budget_left, wave } = begin;
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
            wave,
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
        let rest = if budget_exhausted { candidates.split_off(begun.consumed.min(candidates.len())) } else { Vec::new() };
        Ok(Note::Campaign(
            running.id,
            campaign::Input::Begun { started, consumed: begun.consumed, rest, tallies: begun.tallies, next_due, budget_exhausted },
        ))
    }

    /// By our own name where the provider hands it back, else by the provider's. Three reads, however many receipts.
    async fn matched(&self, heard: Vec<Heard>, with_attributes: &[CampaignId]) -> StoreResult<Note> {
        let mut by_route: BTreeMap<RouteId, Vec<&str>> = BTreeMap::new();
        for receipt in heard.iter().map(|h| &h.receipt).filter(|r| r.touch.is_none()) {
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
        let keys: Vec<TouchKey> = heard.iter().filter_map(|h| h.receipt.touch).collect();
        let by_key: HashMap<TouchKey, Touch> =
            if keys.is_empty() { HashMap::new() } else { self.store.touches(&keys).await?.into_iter().map(|t| (t.key, t)).collect() };
        let mut matched: Vec<(Heard, Option<Touch>)> = Vec::with_capacity(heard.len());
        for heard in heard {
            let touch = match heard.receipt.touch {
                Some(key) => by_key.get(&key).cloned(),
                None => by_ref.get(&(heard.receipt.route, heard.receipt.provider_ref.clone())).cloned(),
            };
            matched.push((heard, touch));
        }
        let asking = |touch: &Touch| with_attributes.contains(&touch.key.campaign);
        let who: Vec<CustomerId> = matched.iter().filter_map(|(_, t)| t.as_ref()).filter(|t| asking(t)).map(|t| t.key.customer).collect();
        let needs = Needs { attributes: true, ..Needs::default() };
        let members = if who.is_empty() { Vec::new() } else { self.store.members(&who, needs).await? };
        let attributes: HashMap<CustomerId, Arc<str>> = members.into_iter().filter_map(|m| Some((m.id, m.attributes?))).collect();
        let matched = matched.into_iter().map(|(heard, touch)| {
            let attributes = touch.as_ref().filter(|t| asking(t)).and_then(|t| attributes.get(&t.key.customer).map(Arc::clone));
            (heard, touch.map(|t| (t, attributes)))
        });
        Ok(Note::Recorder(recorder::Input::Matched(matched.collect())))
    }
}
