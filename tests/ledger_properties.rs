//! Random lives of a ledger: whatever is begun, reported, repeated, reordered, corrected, called off or crashed, the sums close,
//! kept tallies equal recounted ones, states only move as the lattice allows, and no cap is ever exceeded.
//!
//! `TOUCHLINE_SEED=n` chooses the sequence (it is printed with a failure), `TOUCHLINE_CASES=n` how many are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Helpers of tests, outside any `#[test]`.
use futures_util::FutureExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::collections::BTreeMap;
use touchline::domain::caps::{Cap, blocked};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentState, Purpose};
use touchline::domain::ids::{BatchId, CampaignId, CustomerId, ListId, RouteId, RuleNo, StepNo, TouchKey};
use touchline::domain::outcome::Reason;
use touchline::domain::tally::{Tally, closed_sum};
use touchline::domain::time::{DAY, HOUR, Timestamp};
use touchline::domain::touch::{EVER_REACHED, State, Touch};
use touchline::store::conformance::kit;
use touchline::store::memory::MemoryStore;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::{Before, BeginRequest, Candidate, ContactFacts, Needs, Settled, Store};

const CUSTOMERS: usize = 6;
const CAP: usize = 2;

/// What happens next. Picks are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next members of a campaign's page are decided on; `defer` of 8 decides what else than starting comes of them.
    Begin {
        run: u8,
        members: u8,
        defer: u8,
    },
    /// What is due is decided on.
    BeginDue {
        run: u8,
    },
    /// A report on any touch there ever was, lawful or not, with what was known when it was started.
    Report {
        touch: u16,
        kind: u8,
        retry: bool,
    },
    /// A report made from the touch as it stands (a late receipt).
    Receipt {
        touch: u16,
        reached: bool,
    },
    OptOut {
        customer: u8,
    },
    CallOff {
        run: u8,
    },
    /// The process dies; the next one finds the orphans.
    Crash,
    Wait {
        hours: u8,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3u8, 1..4u8, 0..8u8).prop_map(|(run, members, defer)| Event::Begin { run, members, defer }),
        4 => (0..3u8).prop_map(|run| Event::BeginDue { run }),
        10 => (any::<u16>(), 0..6u8, any::<bool>()).prop_map(|(touch, kind, retry)| Event::Report { touch, kind, retry }),
        3 => (any::<u16>(), any::<bool>()).prop_map(|(touch, reached)| Event::Receipt { touch, reached }),
        1 => (0..6u8).prop_map(|customer| Event::OptOut { customer }),
        1 => (0..12u8).prop_map(|run| Event::CallOff { run }),
        1 => Just(Event::Crash),
        3 => (1..20u8).prop_map(|hours| Event::Wait { hours }),
    ]
}

/// Where the ledger is kept.
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
enum Shelf {
    Memory(MemoryStore),
    /// The store, and its file's folder.
    Sqlite(SqliteStore, tempfile::TempDir),
}

impl std::ops::Deref for Shelf {
    type Target = dyn Store;
    fn deref(&self) -> &Self::Target {
        match self {
            Self::Memory(store) => store,
            Self::Sqlite(store, _) => store,
        }
    }
}

impl Shelf {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::Sqlite(Self::open(&folder).await, folder)
    }

    async fn open(folder: &tempfile::TempDir) -> SqliteStore {
        let options = Options { create: true, durable: false, ..Options::default() };
        SqliteStore::open_with(&folder.path().join("bank.db"), options).await.unwrap()
    }

    /// What the next process finds: all that was committed, and no owner.
    async fn crash(self) -> Self {
        match self {
            Self::Memory(store) => Self::Memory(store.snapshot()),
            Self::Sqlite(store, folder) => {
                drop(store);
                Self::Sqlite(Self::open(&folder).await, folder)
            }
        }
    }
}

struct World {
    store: Shelf,
    fence: i64,
    now: Timestamp,
    list: ListId,
    route: RouteId,
    customers: Vec<CustomerId>,
    /// Two real campaigns and a rehearsal.
    runs: [CampaignId; 3],
    /// Every touch as it was started.
    started: Vec<Touch>,
    last: BTreeMap<TouchKey, Touch>,
}

impl World {
    async fn new(store: Shelf) -> Self {
        let customers = kit::people(&*store, CUSTOMERS).await;
        let list = kit::everybody(&*store, "all").await;
        let mut runs = [CampaignId(0); 3];
        for (run, (name, rehearsal)) in runs.iter_mut().zip([("a", false), ("b", false), ("a", true)]) {
            *run = kit::campaign(&*store, name, list, rehearsal).await.id;
        }
        let route = store.route_id("sip-north").await.unwrap();
        let fence = store.acquire(false, kit::T0).await.unwrap();
        Self { store, fence, now: kit::T0, list, route, customers, runs, started: Vec::new(), last: BTreeMap::new() }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Begin { run, members, defer } => {
                let run = self.runs[usize::from(run)];
                let cursor = self.store.campaign_by_id(run).await.unwrap().cursor;
                let page = self.store.page(self.list, cursor, usize::from(members), Needs::default()).await.unwrap();
                let candidates = page.members.into_iter().map(|member| Candidate { member, head: None }).collect();
                self.begin(run, candidates, page.seen_change, defer).await;
            }
            Event::BeginDue { run } => {
                let run = self.runs[usize::from(run)];
                let due = self.store.due(run, self.now, &[StepNo(0)], 4, Needs::default()).await.unwrap();
                let candidates = due.touches.into_iter().map(|(head, member)| Candidate { member, head: Some(head) }).collect();
                self.begin(run, candidates, due.seen_change, 0).await;
            }
            Event::Report { touch, kind, retry } => {
                if let Some(touch) = self.started.get(usize::from(touch) % self.started.len().max(1)).cloned() {
                    self.record(&[self.report(&touch, kind, retry)], &[]).await;
                }
            }
            Event::Receipt { touch, reached } => {
                if let Some(key) = self.started.get(usize::from(touch) % self.started.len().max(1)).map(|t| t.key) {
                    let touch = self.store.touch(key).await.unwrap().unwrap();
                    let (state, reason) = if reached { (State::Reached, Reason::Delivered) } else { (State::Missed, Reason::Undelivered) };
                    self.record(&[kit::ended(&touch, state, reason, self.now)], &[]).await;
                }
            }
            Event::OptOut { customer } => {
                let record = kit::consent(Channel::Call, ConsentState::Withdrawn, self.now);
                self.store.put_consents(&[(kit::reference(usize::from(customer) + 1), record)], None).await.unwrap();
            }
            // One in four of the picks: a campaign that is over is dull.
            Event::CallOff { run } => {
                if let Some(run) = self.runs.get(usize::from(run)).copied() {
                    self.store.call_off(self.fence, run, Reason::Stopped, self.now).await.unwrap();
                }
            }
            Event::Crash => self.crash().await,
            Event::Wait { hours } => self.now = self.now.plus(i64::from(hours) * HOUR),
        }
        self.now = self.now.plus(1_000);
    }

    async fn begin(&mut self, run: CampaignId, candidates: Vec<Candidate>, seen_change: i64, defer: u8) {
        let (at, route) = (self.now, self.route);
        let caps = [Cap { count: u32::try_from(CAP).unwrap(), per_ms: DAY, channel: None, purpose: None, rule: RuleNo(0) }];
        let request = BeginRequest {
            campaign: run,
            purpose: Purpose::Marketing,
            fence: self.fence,
            at,
            candidates,
            seen_change,
            history_ms: DAY,
            conversion_facts: Vec::new(),
            conversion_since: kit::T0,
            wave: None,
        };
        let mut n = 0;
        let mut decide = |c: &Candidate, facts: ContactFacts<'_>| {
            n += 1;
            let row = kit::begun_of(c, run, route, at);
            let still = |state, reason| Touch { state, reason, started_at: None, ended_at: Some(at), cost_micros: 0, parts: 0, ..row.clone() };
            if facts.contactability.consent(Channel::Call, Purpose::Marketing) == ConsentState::Withdrawn {
                return Some(still(State::Suppressed, Reason::OptedOut));
            }
            if let Some((_, room)) = blocked(&caps, facts.history, Channel::Call, Purpose::Marketing, at) {
                return Some(Touch { due_at: Some(room), ..still(State::Scheduled, Reason::CapWait) });
            }
            match (defer, n) {
                (1, _) => Some(still(State::HeldOut, Reason::HeldOut)),
                (2, 2) => None,
                (3, _) => Some(still(State::Expired, Reason::Validity)),
                (4, 1) => Some(Touch { due_at: Some(at.plus(HOUR)), ..still(State::Scheduled, Reason::OutsideWindow) }),
                _ => Some(row),
            }
        };
        let begun = self.store.begin(request, &mut decide).await.unwrap();
        self.started.extend(begun.written.into_iter().map(|(_, row)| row).filter(|row| row.state == State::Started));
    }

    fn report(&self, touch: &Touch, kind: u8, retry: bool) -> Settled {
        let (at, later) = (self.now, self.now.plus(2 * HOUR));
        match kind {
            0 => kit::ended(touch, State::Reached, Reason::Answered, at),
            1 if retry => kit::missed(touch, Reason::Busy, at, later),
            1 => kit::ended(touch, State::Missed, Reason::NoAnswer, at),
            2 => kit::put_back(touch, later, at),
            3 => kit::ended(touch, State::Refused, Reason::ProviderRefused, at),
            4 => kit::ended(touch, State::Uncertain, Reason::TimedOut, at),
            _ => kit::accepted(touch, &touch.key.to_string(), later),
        }
    }

    async fn record(&mut self, settlements: &[Settled], closed: &[BatchId]) {
        self.store.record(self.fence, settlements, closed).await.unwrap();
    }

    async fn crash(&mut self) {
        let store = std::mem::replace(&mut self.store, Shelf::Memory(MemoryStore::new()));
        self.store = store.crash().await;
        self.fence = self.store.acquire(false, self.now).await.unwrap();
        let mut orphans = self.store.orphans(self.fence, false, 1_000).await.unwrap();
        orphans.extend(self.store.orphans(self.fence, true, 1_000).await.unwrap());
        let batches: Vec<BatchId> = orphans.iter().map(|(batch, _)| *batch).collect();
        let doubt: Vec<Settled> =
            orphans.iter().flat_map(|(_, touches)| touches).map(|t| kit::ended(t, State::Uncertain, Reason::Interrupted, self.now)).collect();
        self.record(&doubt, &batches).await;
        for row in self.rows().await {
            let is_in_doubt = row.state == State::Started && row.provider_ref.is_none();
            assert!(!is_in_doubt, "after a rescue touch {} is still started without a result", row.key);
        }
    }

    async fn rows(&self) -> Vec<Touch> {
        let mut rows = Vec::new();
        for run in self.runs {
            rows.extend(self.store.scan(run, None, usize::MAX).await.unwrap());
        }
        rows
    }

    /// Everything that must hold at every instant.
    async fn check(&mut self) {
        let rows = self.rows().await;
        for run in self.runs {
            let kept = self.store.tallies(run).await.unwrap();
            assert_eq!(kept, self.store.recount(run).await.unwrap(), "kept on the left, recounted on the right");
            closed_sum(i64::try_from(CUSTOMERS).unwrap(), &kept).unwrap_or_else(|why| panic!("{run}: {why}"));
            self.count_again(run, &rows, &kept);
        }
        for row in &rows {
            if let Some(before) = self.last.get(&row.key) {
                // Given back unsent to a run that has ended: off at once.
                let given_back = row.flags & touchline::domain::touch::WAS_PUT_BACK != 0 && row.started_at.is_none();
                let called_off = before.state == State::Started && row.state == State::Cancelled && given_back;
                assert!(called_off || may_become(before, row), "touch {}: {} became {}", row.key, before.state, row.state);
                assert_eq!(before.flags & !row.flags, 0, "touch {} lost a flag", row.key);
            }
        }
        assert!(self.last.keys().all(|key| rows.iter().any(|row| row.key == *key)), "a row is gone");
        self.caps_hold(&rows);
        self.last = rows.into_iter().map(|row| (row.key, row)).collect();
    }

    /// The tallies once more from the rows, by plain counting rather than by weights.
    fn count_again(&self, run: CampaignId, rows: &[Touch], kept: &touchline::domain::tally::Tallies) {
        let own: Vec<&Touch> = rows.iter().filter(|r| r.key.campaign == run).collect();
        let made = || own.iter().filter(|r| matches!(r.state, State::Started | State::Uncertain | State::Reached | State::Missed));
        assert_eq!(kept.get(Tally::AttemptsByChannel, i64::from(Channel::Call.code())), i64::try_from(made().count()).unwrap());
        assert_eq!(kept.get(Tally::CostMicros, 0), made().map(|r| r.cost_micros).sum::<i64>());
        assert!(made().all(|r| r.started_at.is_some()), "what was made has its instant");
        for customer in &self.customers {
            let of_customer: Vec<&&Touch> = own.iter().filter(|r| r.key.customer == *customer).collect();
            let head = of_customer.iter().map(|r| r.key.seq).max();
            assert!(of_customer.iter().all(|r| r.state.is_closed() || Some(r.key.seq) == head), "only the head of customer {customer} may be open");
            let was_reached = of_customer.iter().any(|r| r.state == State::Reached);
            if let Some(head) = of_customer.iter().find(|r| Some(r.key.seq) == head)
                && was_reached
            {
                assert!(head.flags & EVER_REACHED != 0, "customer {customer} was reached, and the head does not know");
            }
        }
    }

    /// Never above a cap in any window, over both real campaigns.
    fn caps_hold(&self, rows: &[Touch]) {
        for customer in &self.customers {
            let real = rows.iter().filter(|r| r.key.customer == *customer && !r.key.campaign.is_rehearsal() && r.state.stands());
            let mut at: Vec<Timestamp> = real.filter_map(|r| r.started_at).collect();
            at.sort_unstable();
            for window in at.windows(CAP + 1) {
                assert!(window[CAP].since(window[0]) >= DAY, "customer {customer} was contacted {} times within a day: {window:?}", CAP + 1);
            }
        }
    }
}

/// The lattice, written down once more without the store's help.
fn may_become(before: &Touch, after: &Touch) -> bool {
    let same = before.state == after.state;
    same || match before.state {
        State::Scheduled => !matches!(after.state, State::Pending | State::Reached | State::Missed | State::Refused | State::Uncertain),
        State::Started => matches!(after.state, State::Scheduled | State::Uncertain | State::Missed | State::Refused | State::Reached),
        State::Uncertain => matches!(after.state, State::Missed | State::Refused | State::Reached),
        State::Missed => after.state == State::Reached,
        _ => false,
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_ledger_keeps_its_sums_whatever_happens() {
    let seed = number("TOUCHLINE_SEED", 20_261_124);
    let cases = u32::try_from(number("TOUCHLINE_CASES", 128)).unwrap();
    println!("TOUCHLINE_SEED={seed}");
    let config = Config { rng_seed: RngSeed::Fixed(seed), cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(event(), 1..80), |events| {
            let life = async {
                let mut world = World::new(Shelf::Memory(MemoryStore::new())).await;
                for event in &events {
                    world.happen(*event).await;
                    world.check().await;
                }
            };
            life.now_or_never().expect("memory answers at once");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("TOUCHLINE_SEED={seed}: {failure}"));
}

/// Settlements made from the touch as it was when it was started carry a `Before` that may be out of date: nothing depends on it.
#[test]
fn an_outdated_before_changes_no_sum() {
    let life = async {
        let mut world = World::new(Shelf::Memory(MemoryStore::new())).await;
        world.happen(Event::Begin { run: 0, members: 2, defer: 0 }).await;
        let touch = world.started[0].clone();
        world.record(&[kit::ended(&touch, State::Uncertain, Reason::TimedOut, world.now)], &[]).await;
        let outdated = Settled { before: Before::of(&touch), ..kit::ended(&touch, State::Missed, Reason::NoAnswer, world.now) };
        world.record(&[outdated], &[]).await;
        world.check().await;
        assert_eq!(world.store.tallies(world.runs[0]).await.unwrap().get(Tally::Customers, i64::from(State::Missed.code())), 1);
    };
    life.now_or_never().expect("memory answers at once");
}

/// All that a store can be asked about a life, as one text.
async fn told(world: &World) -> String {
    let store = &*world.store;
    let mut lines = Vec::new();
    for run in world.runs {
        lines.push(format!("{run} {:?}", store.campaign_by_id(run).await.unwrap()));
        lines.push(format!("{run} tallies {:?}", kit::nonzero(&store.tallies(run).await.unwrap())));
        lines.push(format!("{run} attempts {:?}", store.attempts_histogram(run).await.unwrap()));
        lines.extend(store.scan(run, None, 1_000).await.unwrap().iter().map(|row| format!("{row:?}")));
        let due = store.due(run, world.now, &[StepNo(0)], 1_000, Needs { phone: true, ..Needs::default() }).await.unwrap();
        lines.extend(due.touches.iter().map(|(touch, member)| format!("{run} due {touch:?} {member:?}")));
        lines.push(format!("{run} next due {:?}", store.next_due(run, &[StepNo(0)]).await.unwrap()));
        lines.extend(store.uncertain(run, 1_000).await.unwrap().iter().map(|row| format!("{run} uncertain {}", row.key)));
    }
    for rehearsal in [false, true] {
        lines.extend(store.overdue(world.now, rehearsal, 1_000).await.unwrap().iter().map(|row| format!("overdue {}", row.key)));
    }
    lines.push(format!("next deadline {:?}", store.next_deadline().await.unwrap()));
    for customer in &world.customers {
        lines.push(format!("{customer} {:?}", store.contactability(*customer).await.unwrap()));
        lines.extend(store.timeline(*customer).await.unwrap().iter().map(|row| format!("{customer} {}", row.key)));
    }
    lines.join("\n")
}

/// The same life in memory and in SQLite: after every event both tell the same of it.
#[test]
fn the_stores_tell_the_same_of_the_same_life() {
    let seed = number("TOUCHLINE_SEED", 20_261_124);
    let cases = u32::try_from(number("TOUCHLINE_CASES", 16)).unwrap();
    println!("TOUCHLINE_SEED={seed}");
    let config = Config { rng_seed: RngSeed::Fixed(seed), cases, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    TestRunner::new(config)
        .run(&prop::collection::vec(event(), 1..60), |events| {
            runtime.block_on(async {
                let mut memory = World::new(Shelf::Memory(MemoryStore::new())).await;
                let mut sqlite = World::new(Shelf::sqlite().await).await;
                for event in &events {
                    memory.happen(*event).await;
                    sqlite.happen(*event).await;
                    let (expected, found) = (told(&memory).await, told(&sqlite).await);
                    let differs: Vec<(&str, &str)> = expected.lines().zip(found.lines()).filter(|(a, b)| a != b).take(3).collect();
                    assert_eq!(expected, found, "after {event:?}, memory and SQLite: {differs:#?}");
                }
            });
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("TOUCHLINE_SEED={seed}: {failure}"));
}
