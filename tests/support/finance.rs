//! A small bank for the finance tests: customers, a campaign of two steps, and scripted outcomes played into a store.
#![allow(dead_code, reason = "each test program uses its own part of it")]
use std::collections::BTreeMap;
use std::path::Path;
use touchline::domain::campaign::*;
use touchline::domain::channel::Channel;
use touchline::domain::consent::Purpose;
use touchline::domain::experiment::is_held_out;
use touchline::domain::ids::*;
use touchline::domain::law::Rule;
use touchline::domain::money::{Currency, Money};
use touchline::domain::outcome::Reason;
use touchline::domain::template::Template;
use touchline::domain::time::{DAY, HOUR, MINUTE, Timestamp};
use touchline::domain::touch::{State, Touch};
use touchline::finance::{ExportReport, ExportRequest, What, export, verify};
use touchline::store::memory::MemoryStore;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::*;

/// 2026-11-24T01:00:00Z.
pub const T0: Timestamp = Timestamp(1_795_482_000_000);
/// 0.045 of the unit.
pub const COST: i64 = 45_000;

/// What happens to a customer's n-th touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Reached for so many seconds; the journey ends.
    Reach(u32),
    /// Missed; a retry is scheduled.
    Miss,
    /// Missed, and nothing follows.
    Last,
    Refuse,
    Doubt,
    LeaveStarted,
    Suppress,
    Defer,
}

/// In which store a bank is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Memory,
    Sqlite,
}

pub struct Bank {
    pub store: Box<dyn Store>,
    /// Of a store that is a file.
    pub folder: Option<tempfile::TempDir>,
    pub fence: i64,
    pub campaign: Campaign,
    pub run: CampaignId,
    pub ids: Vec<CustomerId>,
    pub route: RouteId,
    pub round: i64,
}

pub fn reference(n: usize) -> String {
    // Some begin like a formula, one has quotes and a comma, one a line break: all come from real core banks.
    match n {
        1 => "=1+1".into(),
        2 => "-000042".into(),
        3 => "@ref, \"old\"".into(),
        4 => "two\nlines".into(),
        n => format!("{n:08}"),
    }
}

pub fn campaign(name: &str, holdout_ppm: u32, credit: Credit) -> Campaign {
    let text = |t: &str| Text { subject: None, body: Template::compile(t).unwrap() };
    let variant = |name: &str| Variant { name: name.into(), weight: 1, texts: vec![("en".into(), text("Hello"))] };
    let step = |name: &str, after, channel, content| Step {
        name: name.into(),
        after,
        when: None,
        wait_ms: 0,
        channel,
        routes: Vec::new(),
        mode: CallMode::Progressive,
        attempts: 9,
        retry: BTreeMap::new(),
        reached: ReachRule::default_of(channel),
        content,
        validity_ms: None,
        skill: None,
    };
    Campaign {
        name: name.into(),
        title: name.into(),
        opportunity: Opportunity::Investment,
        owner: "centre".into(),
        purpose: Purpose::Marketing,
        priority: 5,
        audience: Audience { list: "everybody".into(), filter: None, holdout_ppm },
        schedule: Schedule {
            start: T0.utc().naive_utc(),
            end: T0.plus(30 * DAY).utc().naive_utc(),
            timezone: chrono_tz::UTC,
            cron: None,
            wave: None,
            lateness_ms: HOUR,
        },
        policy: vec!["wide-open".into()],
        limits: Limits::default(),
        steps: vec![
            step("call", None, Channel::Call, vec![]),
            step("follow-up", Some(StepNo(0)), Channel::Sms, vec![variant("warm"), variant("brief")]),
        ],
        stop_on: StopOn::default(),
        conversions: vec![
            ConversionRule {
                name: "deposit".into(),
                fact: "aum_daily_average".into(),
                product: Some("term-deposit".into()),
                window_ms: 10 * DAY,
                credit,
            },
            ConversionRule { name: "any-aum".into(), fact: "aum_daily_average".into(), product: None, window_ms: 10 * DAY, credit },
        ],
        finance: None,
        currency: Currency::CNY,
        source: format!("campaign: {name}\n"),
    }
}

pub fn rule(preset: &str, name: &str) -> Rule {
    Rule { preset: preset.into(), name: name.into(), text: "in words".into(), source: "a law".into() }
}

impl Bank {
    pub async fn open(on: On, customers: usize, campaign: Campaign) -> Self {
        let (store, folder): (Box<dyn Store>, _) = match on {
            On::Memory => (Box::new(MemoryStore::new()), None),
            On::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let options = Options { create: true, durable: false, ..Options::default() };
                (Box::new(SqliteStore::open_with(&folder.path().join("bank.db"), options).await.unwrap()), Some(folder))
            }
        };
        let inputs: Vec<CustomerInput> = (1..=customers).map(|n| CustomerInput { reference: reference(n), ..CustomerInput::default() }).collect();
        store.put_customers(&inputs, None).await.unwrap();
        let list = store.open_list("everybody", T0).await.unwrap();
        store.add_all_customers(list).await.unwrap();
        let list = store.freeze_list(list, T0).await.unwrap().id;
        let references: Vec<String> = (1..=customers).map(reference).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        let ids = store.customer_ids(&references).await.unwrap().into_iter().flatten().collect();
        let route = store.route_id("sip-north").await.unwrap();
        let fence = store.acquire(false, T0).await.unwrap();
        let run = hand_in(store.as_ref(), &campaign, list, false).await;
        Self { store, folder, fence, campaign, run, ids, route, round: 0 }
    }

    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub fn now(&self) -> Timestamp {
        T0.plus(self.round * HOUR)
    }

    pub async fn row(&self) -> CampaignRow {
        self.store.campaign_by_id(self.run).await.unwrap()
    }

    /// Plays one round: first touches of the next `first` customers and everything that is due, by each customer's script.
    pub async fn play(&mut self, first: usize, script: &(dyn Fn(CustomerId, u32) -> Act + Sync)) {
        let at = self.now();
        let row = self.row().await;
        let page = self.store.page(row.audience_list, row.cursor, first.max(1), Needs::default()).await.unwrap();
        let mut candidates: Vec<Candidate> = page.members.into_iter().take(first).map(|member| Candidate { member, head: None }).collect();
        let due = self.store.due(self.run, at, &[StepNo(0), StepNo(1)], 100_000, Needs::default()).await.unwrap();
        candidates.extend(due.touches.into_iter().map(|(head, member)| Candidate { member, head: Some(head) }));
        let request = BeginRequest {
            campaign: self.run,
            purpose: Purpose::Marketing,
            fence: self.fence,
            at,
            candidates,
            seen_change: due.seen_change,
            history_ms: 0,
            conversion_facts: Vec::new(),
            conversion_since: T0,
            wave: None,
        };
        let (run, route, name, ppm) = (self.run, self.route, self.campaign.name.clone(), self.campaign.audience.holdout_ppm);
        let decide = |c: &Candidate| {
            let customer = c.member.id;
            let seq = c.head.as_ref().map_or(0, |h| h.key.seq);
            let mut touch = blank(TouchKey { customer, campaign: run, seq });
            if is_held_out(&name, customer, ppm) {
                return Touch { state: State::HeldOut, reason: Reason::HeldOut, ended_at: Some(at), ..touch };
            }
            // Odd touches are messages of the second step.
            let step = u16::from(seq % 2 == 1);
            touch.step = StepNo(step);
            touch.attempt = 1;
            touch.channel = Some(if step == 0 { Channel::Call } else { Channel::Sms });
            touch.variant = u8::try_from(customer.0 % 2).unwrap() * u8::try_from(step).unwrap();
            touch.rule = RuleNo(u16::try_from(customer.0 % 3).unwrap());
            match script(customer, seq) {
                Act::Suppress => Touch { state: State::Suppressed, reason: Reason::NoConsent, ended_at: Some(at), ..touch },
                Act::Defer => Touch { state: State::Scheduled, reason: Reason::OutsideWindow, due_at: Some(at.plus(HOUR)), ..touch },
                _ => Touch { state: State::Started, started_at: Some(at), route: Some(route), cost_micros: COST, parts: 1, ..touch },
            }
        };
        let begun = self.store.begin(request, &mut |c: &Candidate, _: ContactFacts<'_>| Some(decide(c))).await.unwrap();
        let mut settled = Vec::new();
        for (_, touch) in begun.written.into_iter().filter(|(_, t)| t.state == State::Started) {
            let act = script(touch.key.customer, touch.key.seq);
            let (state, reason, seconds) = match act {
                Act::Reach(seconds) => (State::Reached, Reason::Answered, seconds),
                Act::Miss | Act::Last => (State::Missed, Reason::NoAnswer, 0),
                Act::Refuse => (State::Refused, Reason::ProviderRefused, 0),
                Act::Doubt => (State::Uncertain, Reason::TimedOut, 0),
                _ => continue,
            };
            let after =
                Touch { state, reason, connected_s: seconds, ended_at: Some(at.plus(MINUTE)), provider_ref: Some("=p-1".into()), ..touch.clone() };
            let next = (act == Act::Miss).then(|| Touch {
                state: State::Scheduled,
                reason: Reason::Retry,
                step: StepNo(u16::from(touch.key.seq % 2 == 0)),
                channel: Some(if touch.key.seq % 2 == 0 { Channel::Sms } else { Channel::Call }),
                due_at: Some(at.plus(HOUR)),
                attempt: 1,
                ..blank(TouchKey { seq: touch.key.seq + 1, ..touch.key })
            });
            settled.push(Settled { before: Before::of(&touch), touch: after, next, receipt_by: None });
        }
        let recorded = self.store.record(self.fence, &settled, &[]).await.unwrap();
        assert!(recorded.skipped.is_empty(), "{:?}", recorded.skipped);
        self.round += 1;
    }

    pub async fn facts(&self, facts: &[(usize, &str, &str, i64, &str, Timestamp)]) {
        let inputs: Vec<FactInput> = facts
            .iter()
            .map(|(n, fact_ref, product, minor, currency, at)| FactInput {
                fact_ref: (*fact_ref).into(),
                customer: reference(*n),
                kind: "aum_daily_average".into(),
                product: (!product.is_empty()).then(|| (*product).into()),
                amount: Money { minor: *minor, currency: currency.parse().unwrap() },
                at: *at,
            })
            .collect();
        let put = self.store.put_facts(&inputs, None).await.unwrap();
        assert_eq!(put.inserted, inputs.len() as u64, "{put:?}");
    }
}

pub async fn hand_in(store: &dyn Store, campaign: &Campaign, list: ListId, rehearsal: bool) -> CampaignId {
    let new = NewCampaign {
        name: campaign.name.clone(),
        rehearsal,
        source: campaign.source.clone(),
        hash: campaign.hash(),
        audience: list,
        list,
        currency: campaign.currency,
        by: "tester".into(),
        at: T0,
    };
    let rules = [rule("none", "none"), rule("cn-bank@2026.1", "window.call"), rule("cn-bank@2026.1", "consent.sms")];
    let run = store.create_campaign(&new, &rules).await.unwrap().id;
    for to in [Status::Approved, Status::Running] {
        let change = StatusChange { to, by: "tester".into(), why: "test".into(), at: T0, reason: None };
        store.set_status(run, &change).await.unwrap();
    }
    run
}

pub fn blank(key: TouchKey) -> Touch {
    Touch {
        key,
        step: StepNo(0),
        attempt: 0,
        channel: None,
        route: None,
        variant: 0,
        state: State::Scheduled,
        reason: Reason::None,
        rule: RuleNo(0),
        due_at: None,
        started_at: None,
        ended_at: None,
        connected_s: 0,
        cost_micros: 0,
        parts: 0,
        flags: 0,
        agenda: None,
        provider_ref: None,
    }
}

/// Every format.
pub const FORMATS: [ExportFormat; 3] = [ExportFormat::Csv, ExportFormat::Jsonl, ExportFormat::Parquet];

pub async fn make(bank: &Bank, out: &Path, what: What, format: ExportFormat) -> ExportReport {
    let request = ExportRequest { run: bank.run, campaign: &bank.campaign, what, format, out: out.to_owned(), as_of: bank.now() };
    export(bank.store(), request).await.unwrap()
}

pub async fn assert_intact(bank: &Bank, folder: &Path) {
    let report = verify(Some(bank.store()), folder).await.unwrap();
    assert!(report.is_intact() && report.moved_on_count == 0 && report.unchecked.is_empty(), "{report:#?}");
}

/// A file as records by column name.
pub fn csv_rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    // The apostrophe before what looks like a formula is no part of the text.
    let text = |field: &str| field.strip_prefix('\'').unwrap_or(field).to_owned();
    reader.records().map(|r| names.iter().cloned().zip(r.unwrap().iter().map(text)).collect()).collect()
}
