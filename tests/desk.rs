//! The desk's use cases over the store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
use touchline::campaign_file;
use touchline::desk::approve::{self, Eyes};
use touchline::desk::{DeskError, control, doctor, explain, plan, report, resolve, submit};
use touchline::domain::access::Actor;
use touchline::domain::campaign::Campaign;
use touchline::domain::channel::Channel;
use touchline::domain::contact::Phone;
use touchline::domain::ids::{RuleNo, StepNo, TouchKey};
use touchline::domain::journey;
use touchline::domain::outcome::{Reason, SendResult};
use touchline::domain::planning::Assumptions;
use touchline::domain::time::{DAY, HOUR, Timestamp};
use touchline::domain::touch::{State, Touch};
use touchline::store::memory::MemoryStore;
use touchline::store::*;

/// 2026-11-24T09:00Z, a Tuesday.
const NOW: Timestamp = Timestamp(1_795_510_800_000);

fn campaign_of(extra: &str, title: &str) -> Campaign {
    let text = format!(
        "campaign: spring\ntitle: {title}\nopportunity: service\nowner: desk\naudience: {{list: all{extra}}}\n\
         schedule: {{start: 2026-11-24T09:00, end: 2026-12-04T20:00, timezone: UTC}}\npolicy: [wide-open]\nlimits: {{rate: 100/s}}\n\
         journey:\n  - step: call\n    channel: call\n    attempts: 2\n    retry: {{no_answer: 4h}}\n"
    );
    campaign_file::load("spring.yaml", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// `n` customers c0.. with balance 100 * i (every seventh has none), in the frozen list `all`.
async fn store_with(n: usize) -> MemoryStore {
    let store = MemoryStore::new();
    let customers: Vec<CustomerInput> = (0..n)
        .map(|i| {
            let mut attributes = serde_json::Map::new();
            if i % 7 != 6 {
                attributes.insert("balance".into(), serde_json::json!(100 * i));
            }
            let phone = (i % 5 != 4).then(|| Phone::new(format!("+8613800{i:06}")));
            CustomerInput { reference: format!("c{i}"), phone, attributes, ..CustomerInput::default() }
        })
        .collect();
    store.put_customers(&customers, None).await.unwrap();
    let list = store.open_list("all", NOW).await.unwrap();
    store.add_all_customers(list).await.unwrap();
    store.freeze_list(list, NOW).await.unwrap();
    store
}

async fn start_first(store: &MemoryStore, run: &CampaignRow, fence: i64, n: usize) -> Vec<Touch> {
    let route = store.route_id("sip").await.unwrap();
    let page = store.page(run.audience_list, run.cursor, n, Needs::default()).await.unwrap();
    let candidates = page.members.into_iter().map(|member| Candidate { member, head: None }).collect();
    let request = BeginRequest {
        campaign: run.id,
        purpose: touchline::domain::consent::Purpose::Marketing,
        fence,
        at: NOW,
        candidates,
        seen_change: page.seen_change,
        history_ms: 0,
        conversion_facts: Vec::new(),
        conversion_since: NOW,
        wave: None,
    };
    let mut decide = |candidate: &Candidate, _: ContactFacts<'_>| {
        Some(Touch {
            key: TouchKey { customer: candidate.member.id, campaign: run.id, seq: 0 },
            step: StepNo(0),
            attempt: 1,
            channel: Some(Channel::Call),
            route: Some(route),
            variant: 0,
            state: State::Started,
            reason: Reason::None,
            rule: RuleNo(0),
            due_at: None,
            started_at: Some(NOW),
            ended_at: None,
            connected_s: 0,
            cost_micros: 120_000,
            parts: 1,
            flags: 0,
            agenda: None,
            provider_ref: None,
        })
    };
    let begun = store.begin(request, &mut decide).await.unwrap();
    begun.written.into_iter().map(|(_, touch)| touch).collect()
}

async fn running(store: &MemoryStore, c: &Campaign) -> CampaignRow {
    let submit::Submitted { campaign: run, seal, .. } = submit::submit(store, c, false, "ann", NOW).await.unwrap();
    approve::approve(store, &run.name, &seal.seal, "bob", "checked", true, NOW).await.unwrap();
    let change = StatusChange { to: Status::Running, by: "engine".into(), why: "schedule".into(), at: NOW, reason: None };
    store.set_status(run.id, &change).await.unwrap()
}

fn settle(c: &Campaign) -> impl Fn(&Touch, &touchline::domain::outcome::Outcome) -> journey::Settled + Sync + '_ {
    |touch, outcome| journey::settle(c, c.schedule.ends_at(), touch, outcome, None, &mut Vec::new())
}

#[tokio::test]
async fn a_filter_counts_everybody() {
    let store = store_with(70).await;
    let c = campaign_of(", where: 'balance >= 1000'", "Spring");
    let submitted = submit::submit(&store, &c, false, "ann", NOW).await.unwrap();
    let f = submitted.filter.unwrap();
    assert_eq!((f.members, f.kept, f.left_out, f.filter_errors), (70, 51, 9, 10));
    assert_eq!(f.kept + f.left_out + f.filter_errors, f.members);
    assert_eq!(f.examples.len(), 5);
    assert_eq!((f.examples[0].reference.as_str(), f.examples[0].error.as_str()), ("c6", "`balance >= 1000` cannot be told: no value for balance"));
    assert_eq!(submitted.campaign.audience, 51);
    let derived = store.list("all@spring#1").await.unwrap();
    assert_eq!((derived.count, derived.id), (51, submitted.campaign.audience_list));
    assert!(derived.frozen_at.is_some() && !submitted.continued);
}

#[tokio::test]
async fn the_same_file_goes_on_and_another_is_refused_until_the_run_has_ended() {
    let store = store_with(20).await;
    let first = submit::submit(&store, &campaign_of("", "Spring"), false, "ann", NOW).await.unwrap();
    let again = submit::submit(&store, &campaign_of("", "Spring"), false, "ann", NOW.plus(1)).await.unwrap();
    assert!(again.continued);
    assert_eq!(again.campaign, first.campaign);
    let other = submit::submit(&store, &campaign_of("", "Summer"), false, "ann", NOW).await.unwrap_err();
    assert!(matches!(&other, DeskError::Refused(text) if text.contains("touchline campaign stop spring")), "{other}");
    assert_eq!(other.exit_code(), 1);
    let (stopped, closed) = control::stop_from_outside(&store, "spring", "ann", "wrong text", NOW).await.unwrap();
    assert!(closed);
    assert_eq!(stopped.status, Status::Stopped);
    let report = report::build(&store, &stopped, Vec::new(), Vec::new(), NOW).await.unwrap();
    assert_eq!((report.count(State::Cancelled), report.called_off.get("stopped")), (20, Some(&20)));
    let second = submit::submit(&store, &campaign_of("", "Summer"), false, "ann", NOW).await.unwrap();
    assert_eq!((second.campaign.version, second.continued), (2, false));
}

#[tokio::test]
async fn a_rehearsal_replaces_the_one_before_it() {
    let store = store_with(20).await;
    let first = submit::submit(&store, &campaign_of("", "Spring"), true, "ann", NOW).await.unwrap().campaign;
    let second = submit::submit(&store, &campaign_of("", "Spring"), true, "ann", NOW).await.unwrap().campaign;
    assert!(first.id.is_rehearsal() && second.id.is_rehearsal() && first.id != second.id);
    assert_eq!(store.campaigns().await.unwrap().len(), 1);
    // Filtered rehearsals leave their lists behind; the next one takes another name.
    let c = campaign_of(", where: '1 < 2'", "Spring");
    for _ in 0..3 {
        assert_eq!(submit::submit(&store, &c, true, "ann", NOW).await.unwrap().campaign.audience, 20);
    }
}

#[tokio::test]
async fn what_cannot_be_submitted_says_why() {
    let store = store_with(5).await;
    let nobody = submit::submit(&store, &campaign_of(", where: 'balance > 100000'", "Spring"), false, "ann", NOW).await.unwrap_err();
    assert!(nobody.to_string().contains("is empty"), "{nobody}");
    let mut c = campaign_of("", "Spring");
    c.audience.list = "al".into();
    let missing = submit::submit(&store, &c, false, "ann", NOW).await.unwrap_err();
    assert_eq!(missing.exit_code(), 2);
    store.open_list("al", NOW).await.unwrap();
    let open = submit::submit(&store, &c, false, "ann", NOW).await.unwrap_err();
    assert!(open.to_string().contains("freezes the list"), "{open}");
    c.policy = vec!["cn-bnk".into(), "us-call".into()];
    match submit::submit(&store, &c, false, "ann", NOW).await.unwrap_err() {
        DeskError::Law(faults) => assert!(faults.len() >= 2, "{faults:?}"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_approval_names_what_it_approves() {
    let store = store_with(5).await;
    let seal = submit::submit(&store, &campaign_of("", "Spring"), false, "ann", NOW).await.unwrap().seal.seal;
    assert!(control::start(&store, "spring", "ann", "go", Eyes::Four, NOW).await.unwrap_err().to_string().contains("not approved"));
    for wrong in ["", &seal[..11], "0123456789abcdef"] {
        assert!(approve::approve(&store, "spring", wrong, "bob", "ok", true, NOW).await.is_err(), "{wrong}");
    }
    let approved = approve::approve(&store, "spring", &seal[..12], "bob", "ok", true, NOW).await.unwrap();
    assert_eq!(approved.campaign.status, Status::Approved);
    assert!(approve::approve(&store, "spring", &seal[..12], "bob", "ok", true, NOW).await.is_err());
    assert_eq!(control::pause(&store, "spring", "bob", "lunch", NOW).await.unwrap().wanted, Wanted::Pause);
    assert_eq!(control::resume(&store, "spring", "bob", "back", NOW).await.unwrap().wanted, Wanted::Run);
    assert!(control::pause(&store, "spring", "bob", " ", NOW).await.is_err());
    let (_, history) = control::history(&store, "spring", None).await.unwrap();
    assert!(history.iter().any(|h| h.by == "bob" && h.why.contains("lunch")), "{history:?}");
}

#[tokio::test]
async fn the_report_has_every_state_and_refuses_a_sum_that_does_not_close() {
    let store = store_with(50).await;
    let c = campaign_of("", "Spring");
    let run = running(&store, &c).await;
    let fence = store.acquire(false, NOW).await.unwrap();
    let touches = start_first(&store, &run, fence, 10).await;
    let outcome = |t: &Touch, disposition, connected_s| touchline::domain::outcome::Outcome {
        touch: t.key,
        at: NOW.plus(HOUR),
        result: SendResult::Done { disposition, connected_s, cost_micros: Some(240_000) },
    };
    let settle = settle(&c);
    let settled: Vec<_> = touches
        .iter()
        .enumerate()
        .map(|(i, t)| settle(t, &outcome(t, if i < 4 { Reason::Answered } else { Reason::NoAnswer }, if i < 4 { 45 } else { 0 })))
        .collect();
    store.record(fence, &settled, &[]).await.unwrap();
    let run = store.campaign_by_id(run.id).await.unwrap();
    let summary = report::ConversionSummary { name: "deposit".into(), customers: 0, amounts: Vec::new() };
    let report = report::build(&store, &run, vec![summary], Vec::new(), NOW.plus(2 * HOUR)).await.unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let counts = json["counts"].as_object().unwrap();
    assert_eq!(counts.len(), 11);
    assert_eq!(counts.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), 50);
    assert_eq!((counts["pending"].as_i64(), counts["reached"].as_i64(), counts["scheduled"].as_i64()), (Some(40), Some(4), Some(6)));
    assert_eq!(json["attempts"]["total"], 10);
    assert_eq!(json["attempts"]["by_route"]["sip"], 10);
    assert_eq!(json["attempts"]["by_disposition"]["no_answer"], 6);
    assert_eq!(json["cost"], serde_json::json!({"amount": "2.40", "currency": "CNY"}));
    assert_eq!(json["conversions"][0], serde_json::json!({"name": "deposit", "customers": 0, "amount": "0.00", "currency": "CNY"}));
    assert_eq!(json["reached_by_attempts"], serde_json::json!({"1": 4}));
    assert_eq!(json["elapsed_s"], 7200.0);
    let text = touchline::cli::ui::report(&report);
    assert!(text.contains("audience") && text.contains("no_answer") && text.contains("2.40 CNY"), "{text}");
    // Forged tallies: one customer too many.
    let mut tallies = store.tallies(run.id).await.unwrap();
    tallies.add(touchline::domain::tally::Tally::Customers, i64::from(State::Reached.code()), 41);
    let broken = report::report(&run, &tallies, &[], &[], Vec::new(), Vec::new(), NOW).unwrap_err();
    assert!(matches!(&broken, DeskError::Broken(text) if text.contains("pending -1")), "{broken}");
}

#[tokio::test]
async fn touches_in_doubt_are_settled_by_a_person_and_the_journey_goes_on() {
    let store = store_with(50).await;
    let c = campaign_of("", "Spring");
    let run = running(&store, &c).await;
    let fence = store.acquire(false, NOW).await.unwrap();
    let touches = start_first(&store, &run, fence, 10).await;
    let settle = settle(&c);
    let unknown = |t: &Touch| touchline::domain::outcome::Outcome { touch: t.key, at: NOW, result: SendResult::Unknown { reason: Reason::TimedOut } };
    let settled: Vec<_> = touches.iter().map(|t| settle(t, &unknown(t))).collect();
    store.record(fence, &settled, &[]).await.unwrap();
    assert_eq!(store.uncertain(run.id, 100).await.unwrap().len(), 10);

    let some = resolve::Selection::Touches(vec![touches[0].key, touches[1].key]);
    let reached = resolve::Finding::Reached { connected_s: 40 };
    let done = resolve::resolve(&store, fence, &run, &some, reached, "eve", "heard the tape", NOW.plus(HOUR), &settle).await.unwrap();
    assert_eq!((done.settled, done.continued, done.skipped.len()), (2, 0, 0));
    let again = resolve::resolve(&store, fence, &run, &some, reached, "eve", "heard the tape", NOW.plus(HOUR), &settle).await.unwrap();
    assert_eq!((again.settled, again.skipped.len()), (0, 2));
    let missed = resolve::Finding::Missed(Reason::NoAnswer);
    let rest =
        resolve::resolve(&store, fence, &run, &resolve::Selection::All, missed, "eve", "the switch's log", NOW.plus(HOUR), &settle).await.unwrap();
    assert_eq!((rest.settled, rest.continued), (8, 8));
    let next = store.head(run.id, touches[5].key.customer).await.unwrap().unwrap();
    assert_eq!((next.state, next.reason, next.attempt, next.due_at), (State::Scheduled, Reason::Retry, 2, Some(NOW.plus(5 * HOUR))));
    let (_, history) = control::history(&store, "spring", None).await.unwrap();
    assert!(
        history.iter().any(|h| h.by == "eve" && h.why.contains("resolved 8 uncertain touches as missed (no_answer): the switch's log")),
        "{history:?}"
    );
    let wrong = resolve::Finding::Missed(Reason::Answered);
    assert!(resolve::resolve(&store, fence, &run, &resolve::Selection::All, wrong, "eve", "x", NOW, &settle).await.is_err());
    assert!(resolve::resolve(&store, fence, &run, &resolve::Selection::All, missed, "eve", "", NOW, &settle).await.is_err());

    let told = explain::explain(&store, "c0", None, &Actor::local("tests")).await.unwrap();
    assert_eq!(told.customer.phone.as_deref(), Some("+86138****0000"));
    assert_eq!((told.campaigns[0].standing.as_str(), told.campaigns[0].touches[0].step.as_str()), ("reached", "call"));
    assert!(told.campaigns[0].touches[0].receipts[0].said.contains("resolved as reached by eve"));
    let text = touchline::cli::ui::explanation(&told);
    assert!(text.contains("heard the tape") && !text.contains("+8613800"), "{text}");

    // Half a year earlier: in late November the calendar of the coming year is rightly missed.
    let checks = doctor::doctor(&store, &[], None, NOW.plus(-180 * DAY)).await.unwrap();
    assert!(!doctor::has_faults(&checks), "{checks:?}");
    let checks = doctor::doctor(&store, &["engine.batch: expected 1 to 50000, found 0".into()], Some(std::path::Path::new(".")), NOW).await.unwrap();
    assert!(doctor::has_faults(&checks));
}

#[tokio::test]
async fn a_customer_without_a_row_is_explained_too() {
    let store = store_with(20).await;
    let c = campaign_of(", where: 'balance >= 1000'", "Spring");
    submit::submit(&store, &c, false, "ann", NOW).await.unwrap();
    let new = CustomerInput { reference: "late".into(), ..CustomerInput::default() };
    store.put_customers(&[new], None).await.unwrap();
    let standing = async |who: &str| {
        let mut told = explain::explain(&store, who, Some("spring"), &Actor::local("tests")).await.unwrap();
        let run = told.campaigns.remove(0);
        (run.standing, run.why)
    };
    assert_eq!(standing("c12").await, ("pending".into(), "in the audience, not looked at yet; the run is submitted".into()));
    assert!(standing("c2").await.1.contains("left out by the campaign's `where`"));
    assert_eq!(standing("late").await, ("not_in_audience".into(), "no member of the campaign's list as it was frozen".into()));
    control::stop_from_outside(&store, "spring", "ann", "wrong", NOW).await.unwrap();
    let (state, why) = standing("c12").await;
    assert!(state == "cancelled" && why.ends_with("stopped"), "{state} {why}");
    assert_eq!(explain::explain(&store, "nobody", None, &Actor::local("tests")).await.unwrap_err().exit_code(), 2);
}

#[tokio::test]
async fn a_plan_counts_the_audience_and_names_what_collides() {
    let store = store_with(70).await;
    running(&store, &campaign_of("", "Spring")).await;
    let mut c = campaign_of(", where: 'balance >= 1000', holdout: 10%", "Autumn");
    c.name = "autumn".into();
    let assumptions = Assumptions::default();
    let routes = plan::capacities(&touchline::channels::route::default_routes(), &assumptions);
    let planned = plan::plan(&store, &c, &routes, &assumptions, NOW).await.unwrap();
    let f = &planned.forecast;
    assert_eq!(f.audience, 51);
    assert_eq!(f.reached + f.missed + f.losses.values().sum::<i64>(), 51);
    assert!(f.losses["no_address"] > 0 && f.losses["held_out"] > 0, "{:?}", f.losses);
    assert_eq!(planned.contactable[&Channel::Call].values().sum::<i64>(), 51);
    assert_eq!(planned.collisions, [plan::Collision { campaign: "spring".into(), status: Status::Running, customers: 51 }]);
    assert_eq!(planned.zones.get("+86").copied().unwrap_or(0) + planned.zones.get("unknown").copied().unwrap_or(0), 51);
    assert!(f.warnings.iter().any(|w| w.code == "cap_collision") && f.warnings.iter().any(|w| w.code == "filter_errors"), "{:?}", f.warnings);
    let text = touchline::cli::ui::plan(&planned);
    assert!(text.contains("customers expected") && text.contains("warning (cap_collision)"), "{text}");
    let without = plan::plan(&store, &c, &[], &assumptions, NOW.plus(30 * DAY)).await.unwrap();
    assert!(without.forecast.warnings.iter().any(|w| w.code == "no_route"));
}
