//! What the simulations share: a bank of made-up customers, campaigns, and a scripted provider that remembers every send.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
pub mod faulty;
pub mod scene;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use touchline::actors::conductor::Patience;
use touchline::actors::hosted::Setup;
use touchline::actors::running::{Route, Running};
use touchline::actors::world::VirtualCarrier;
use touchline::channels::{CarrierEvent, Dispatch, Receipt};
use touchline::domain::campaign::{Audience, CallMode, Campaign, Limits, Opportunity, Rate, ReachRule, Schedule, Step, StopOn};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose};
use touchline::domain::contact::{EmailAddress, Phone, PushToken};
use touchline::domain::ids::{CustomerId, RouteId, TouchKey};
use touchline::domain::law::LawBook;
use touchline::domain::money::Currency;
use touchline::domain::outcome::{Outcome, Reason, SendResult};
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::window::Law;
use touchline::store::{CustomerInput, NewCampaign, Status, StatusChange, Store};

/// 2026-11-24T01:00Z, nine in the morning in Shanghai.
pub const START: Timestamp = Timestamp(1_795_482_000_000);

/// Runs a future that never waits (the memory store's).
pub fn now<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).expect("the memory store never waits")
}

/// A campaign of one call step over the list `all`, wide open, for a week.
pub fn campaign(name: &str, change: impl FnOnce(&mut Campaign)) -> Campaign {
    let day = |d| chrono::NaiveDate::from_ymd_opt(2026, 11, d).unwrap().and_hms_opt(9, 0, 0).unwrap();
    let mut campaign = Campaign {
        name: name.to_owned(),
        title: "A test".to_owned(),
        opportunity: Opportunity::Investment,
        owner: "tests".to_owned(),
        purpose: Purpose::Marketing,
        priority: 5,
        audience: Audience { list: "all".to_owned(), filter: None, holdout_ppm: 0 },
        schedule: Schedule { start: day(24), end: day(30), timezone: chrono_tz::Asia::Shanghai, cron: None, wave: None, lateness_ms: 2 * HOUR },
        policy: vec!["wide-open".to_owned()],
        limits: Limits::default(),
        steps: vec![step("call", Channel::Call)],
        stop_on: StopOn::default(),
        conversions: Vec::new(),
        finance: None,
        currency: Currency::CNY,
        source: format!("campaign: {name}"),
    };
    change(&mut campaign);
    campaign
}

/// A step with three attempts.
pub fn step(name: &str, channel: Channel) -> Step {
    Step {
        name: name.to_owned(),
        after: None,
        when: None,
        wait_ms: 0,
        channel,
        routes: Vec::new(),
        mode: CallMode::Progressive,
        attempts: 3,
        retry: BTreeMap::from([(Reason::NoAnswer, HOUR), (Reason::Busy, 10 * MINUTE), (Reason::Undelivered, HOUR)]),
        reached: ReachRule::default_of(channel),
        content: Vec::new(),
        validity_ms: None,
        skill: None,
    }
}

/// Zones that the made-up customers live in; `None`: not known.
pub const ZONES: [Option<chrono_tz::Tz>; 5] =
    [Some(chrono_tz::Asia::Shanghai), Some(chrono_tz::America::New_York), Some(chrono_tz::Europe::Lisbon), Some(chrono_tz::Pacific::Apia), None];

/// Fills the store with `n` customers who consent to everything, and freezes the list `all`.
pub async fn bank(store: &dyn Store, n: usize) {
    let granted = |channel| ConsentRecord {
        channel,
        purpose: Purpose::Marketing,
        state: ConsentState::Granted,
        at: Timestamp(0),
        source: "branch form".to_owned(),
    };
    let customers: Vec<CustomerInput> = (0..n)
        .map(|i| CustomerInput {
            reference: format!("c{i:05}"),
            phone: Some(Phone::new(format!("+861380000{i:04}"))),
            email: Some(EmailAddress::new(format!("c{i}@example.com"))),
            push: Some(PushToken::new(format!("token-{i}"))),
            timezone: ZONES[i % ZONES.len()],
            consents: Channel::ALL.into_iter().map(granted).collect(),
            ..CustomerInput::default()
        })
        .collect();
    store.put_customers(&customers, None).await.unwrap();
    let list = store.open_list("all", START).await.unwrap();
    store.add_all_customers(list).await.unwrap();
    store.freeze_list(list, START).await.unwrap();
}

/// Routes of the given channels without limits, one each.
pub async fn routes(store: &dyn Store, channels: &[Channel]) -> Vec<Route> {
    let mut routes = Vec::new();
    for channel in channels {
        let name = format!("{channel}-main");
        routes.push(Route {
            id: store.route_id(&name).await.unwrap(),
            name,
            channel: *channel,
            limit: None,
            provider: None,
            concurrency: 10_000,
            weight: 1,
            idempotent: false,
            askable: false,
            wants_attributes: false,
            reserve: Arc::new(|parts| 50_000 * i64::from(parts)),
        });
    }
    routes
}

/// Submits and approves.
pub async fn enter(store: &dyn Store, campaign: &Campaign) {
    let list = store.list(&campaign.audience.list).await.unwrap();
    let law = law(campaign);
    let new = NewCampaign {
        name: campaign.name.clone(),
        rehearsal: false,
        source: campaign.source.clone(),
        hash: campaign.hash(),
        audience: list.id,
        list: list.id,
        currency: campaign.currency,
        by: "author".to_owned(),
        at: START,
    };
    let row = store.create_campaign(&new, law.rules()).await.unwrap();
    for to in [Status::Approved, Status::Running] {
        let change = StatusChange { to, by: "approver".to_owned(), why: "test".to_owned(), at: START, reason: None };
        store.set_status(row.id, &change).await.unwrap();
    }
}

pub fn law(campaign: &Campaign) -> Law {
    let channels: Vec<Channel> = campaign.steps.iter().map(|s| s.channel).collect();
    Law::compose(&campaign.policy, campaign.purpose, &channels, &campaign.limits.caps).unwrap()
}

/// Takes the lease and puts an engine together from what the store holds: what a restart does.
pub async fn setup(store: Arc<dyn Store>, campaigns: &[Campaign], routes: &[Route], at: Timestamp) -> Setup {
    let fence = store.acquire(true, at).await.unwrap();
    let mut running = Vec::new();
    for campaign in campaigns {
        let row = store.campaign(&campaign.name, Some(false)).await.unwrap();
        if matches!(row.status, Status::Finished | Status::Stopped) {
            continue;
        }
        let waves = store.waves(row.id).await.unwrap();
        let law = Arc::new(law(campaign));
        running.push(Arc::new(Running::new(row, campaign.clone(), law, waves, routes, fence).unwrap()));
    }
    let patience = Patience { poll_ms: 365 * DAY, drain_ms: DAY };
    Setup {
        store,
        routes: routes.to_vec(),
        campaigns: running,
        fence,
        patience,
        linger_ms: 50,
        janitor_ms: HOUR,
        sizes: touchline::actors::hosted::Sizes::default(),
        resident: false,
        load: None,
    }
}

/// What a provider has been told, across every crash of its client.
#[derive(Default)]
pub struct Memory {
    /// Every send: when, which touch, to whom, which attempt of which step.
    pub sends: Vec<(Timestamp, Dispatch)>,
    /// Touches that the provider refused to take: these alone may come again.
    not_sent: HashMap<TouchKey, usize>,
    pub faults: Vec<String>,
}

/// How often a scripted provider does what, in percent; the rest is reached.
#[derive(Clone, Copy)]
pub struct Script {
    pub seed: u64,
    pub no_answer: u32,
    pub unknown: u32,
    pub not_sent: u32,
    pub refused: u32,
    /// Accepted with a receipt to follow, which may be late, doubled, out of order or lost.
    pub accepted: u32,
    pub latency_ms: i64,
}

impl Script {
    pub fn kind(seed: u64) -> Self {
        Self { seed, no_answer: 30, unknown: 0, not_sent: 0, refused: 0, accepted: 0, latency_ms: 30_000 }
    }
    pub fn rough(seed: u64) -> Self {
        Self { seed, no_answer: 25, unknown: 5, not_sent: 10, refused: 5, accepted: 30, latency_ms: 90_000 }
    }
}

/// The provider: checks the laws at the moment of every send.
pub struct Scripted {
    script: Script,
    pub memory: Arc<Mutex<Memory>>,
    rng: ChaCha8Rng,
}

impl Scripted {
    pub fn new(script: Script, memory: Arc<Mutex<Memory>>) -> Self {
        Self { script, memory, rng: ChaCha8Rng::seed_from_u64(script.seed) }
    }
}

impl VirtualCarrier for Scripted {
    fn answer(&mut self, dispatch: &Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>) {
        let mut memory = self.memory.lock().unwrap();
        memory.sends.push((at, dispatch.clone()));
        let Script { no_answer, unknown, not_sent, refused, accepted, latency_ms, .. } = self.script;
        let due = at.plus(self.rng.random_range(0..=latency_ms));
        let mut roll = self.rng.next_u32() % 100;
        let mut hit = |share: u32| {
            let yes = roll < share;
            roll = if yes { u32::MAX } else { roll - share };
            yes
        };
        let done = |disposition| SendResult::Done { disposition, connected_s: 60, cost_micros: None };
        let missed = if dispatch.channel == Channel::Call { Reason::NoAnswer } else { Reason::Undelivered };
        let reached = match dispatch.channel {
            Channel::Call => Reason::Answered,
            Channel::Worklist => Reason::Completed,
            _ => Reason::Delivered,
        };
        let result = if hit(no_answer) {
            done(missed)
        } else if hit(unknown) {
            SendResult::Unknown { reason: Reason::TimedOut }
        } else if hit(not_sent) {
            *memory.not_sent.entry(dispatch.touch).or_insert(0) += 1;
            SendResult::NotSent { reason: Reason::NotSent, again_at: due.plus(MINUTE) }
        } else if hit(refused) {
            SendResult::Refused { reason: Reason::ProviderRefused }
        } else if hit(accepted) {
            let provider_ref: Box<str> = format!("p-{}", dispatch.touch).into();
            for _ in 0..self.rng.random_range(0..3) {
                let disposition = if self.rng.random_bool(0.8) { reached } else { missed };
                let when = at.plus(self.rng.random_range(0..5 * latency_ms + 1));
                let touch = self.rng.random_bool(0.5).then_some(dispatch.touch);
                let receipt = Receipt {
                    route: dispatch.route,
                    provider_ref: provider_ref.clone(),
                    touch,
                    at: when,
                    disposition,
                    connected_s: 0,
                    cost_micros: None,
                };
                out.push((when, CarrierEvent::Receipt(receipt)));
            }
            SendResult::Accepted { provider_ref, deadline: at.plus(2 * HOUR) }
        } else {
            done(reached)
        };
        out.push((due, CarrierEvent::Outcome(Outcome { touch: dispatch.touch, at: due, result })));
    }
}

/// What a provider says of a dispatch at an instant.
pub trait Answer: FnMut(&Dispatch, Timestamp, &mut Vec<(Timestamp, CarrierEvent)>) + Send {}
impl<F: FnMut(&Dispatch, Timestamp, &mut Vec<(Timestamp, CarrierEvent)>) + Send> Answer for F {}

/// A provider that answers by a closure, and remembers every send.
struct ToldWhat<F>(F, Arc<Mutex<Memory>>);

impl<F: Answer> VirtualCarrier for ToldWhat<F> {
    fn answer(&mut self, dispatch: &Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>) {
        self.1.lock().unwrap().sends.push((at, dispatch.clone()));
        (self.0)(dispatch, at, out);
    }
}

/// The same provider on every route.
pub fn told(routes: &[Route], memory: &Arc<Mutex<Memory>>, answer: impl Answer + Clone + 'static) -> HashMap<RouteId, Box<dyn VirtualCarrier>> {
    let carrier = || Box::new(ToldWhat(answer.clone(), Arc::clone(memory))) as Box<dyn VirtualCarrier>;
    routes.iter().map(|r| (r.id, carrier())).collect()
}

/// An answer that is the whole story.
pub fn done(dispatch: &Dispatch, at: Timestamp, disposition: Reason, cost_micros: Option<i64>) -> (Timestamp, CarrierEvent) {
    said(dispatch, at, SendResult::Done { disposition, connected_s: 60, cost_micros })
}

/// An answer.
pub fn said(dispatch: &Dispatch, at: Timestamp, result: SendResult) -> (Timestamp, CarrierEvent) {
    (at, CarrierEvent::Outcome(Outcome { touch: dispatch.touch, at, result }))
}

/// A receipt, by the provider's own name alone or with ours.
pub fn receipt(dispatch: &Dispatch, at: Timestamp, disposition: Reason, with_our_name: bool) -> (Timestamp, CarrierEvent) {
    let touch = with_our_name.then_some(dispatch.touch);
    let provider_ref = format!("p-{}", dispatch.touch).into();
    (at, CarrierEvent::Receipt(Receipt { route: dispatch.route, provider_ref, touch, at, disposition, connected_s: 0, cost_micros: None }))
}

/// Taken by the provider under the name that [`receipt`] uses.
pub fn taken(dispatch: &Dispatch, at: Timestamp) -> (Timestamp, CarrierEvent) {
    said(dispatch, at, SendResult::Accepted { provider_ref: format!("p-{}", dispatch.touch).into(), deadline: at.plus(2 * HOUR) })
}

/// Delays of up to `most` milliseconds, drawn from a seed.
pub fn delays(seed: u64, most: i64) -> touchline::actors::world::Delay {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Box::new(move || rng.random_range(0..=most))
}

impl Memory {
    /// Law 1: a touch goes out again only after the provider has said that it did not take it.
    pub fn nobody_twice(&self) {
        let mut sent: HashMap<TouchKey, usize> = HashMap::new();
        let mut intents = HashSet::new();
        for (at, d) in &self.sends {
            *sent.entry(d.touch).or_insert(0) += 1;
            intents.insert((d.touch.campaign, d.touch.customer, d.step, d.attempt));
            let allowed = 1 + self.not_sent.get(&d.touch).copied().unwrap_or(0);
            assert!(sent[&d.touch] <= allowed, "touch {} was sent again at {at}", d.touch);
        }
        assert_eq!(intents.len(), sent.len(), "two touches for one intent");
    }
    /// Law 4: no sliding window of the rate's span holds more.
    pub fn within_rate(&self, rate: Rate, of: impl Fn(&Dispatch) -> bool) {
        let times: Vec<i64> = self.sends.iter().filter(|(_, d)| of(d)).flat_map(|(t, d)| std::iter::repeat_n(t.0, usize::from(d.parts))).collect();
        let mut first = 0;
        for (i, t) in times.iter().enumerate() {
            while t - times[first] >= rate.per_ms {
                first += 1;
            }
            assert!(i - first < rate.count as usize, "{} in {} ms up to {t}", i - first + 1, rate.per_ms);
        }
    }
    pub fn sends_to(&self, customer: CustomerId) -> usize {
        self.sends.iter().filter(|(_, d)| d.touch.customer == customer).count()
    }
}

pub fn carriers(routes: &[Route], script: Script, memory: &Arc<Mutex<Memory>>) -> HashMap<RouteId, Box<dyn VirtualCarrier>> {
    routes
        .iter()
        .map(|r| {
            let script = Script { seed: script.seed ^ u64::from(r.id.0.unsigned_abs()), ..script };
            (r.id, Box::new(Scripted::new(script, Arc::clone(memory))) as Box<dyn VirtualCarrier>)
        })
        .collect()
}

/// The seeds of a simulation: `TOUCHLINE_SEED` alone, or the first `n`.
pub fn seeds(n: u64) -> Vec<u64> {
    match std::env::var("TOUCHLINE_SEED") {
        Ok(seed) => vec![seed.parse().expect("TOUCHLINE_SEED is a number")],
        Err(_) => (1..=n).collect(),
    }
}

pub const SECONDS: i64 = SECOND;
