//! The simulated carriers in virtual time: shares against their published figures, determinism, every fault, replay, and the
//! reservation that makes a budget a hard stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test")]
use std::collections::{BTreeMap, HashMap};
use touchline::channels::simulator::Simulator;
use touchline::channels::simulator::faults::Faults;
use touchline::channels::simulator::profile::{ProfileRef, shipped_names};
use touchline::channels::{CarrierEvent, Dispatch, Receipt, RouteSpec, default_routes};
use touchline::domain::campaign::Rate;
use touchline::domain::channel::Channel;
use touchline::domain::contact::Address;
use touchline::domain::ids::{CampaignId, CustomerId, RouteId, StepNo, TouchKey};
use touchline::domain::outcome::{Outcome, Reason, SendResult};
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};

const ROUTE: RouteId = RouteId(7);
/// 2026-11-24T09:00:00Z.
const START: Timestamp = Timestamp(1_795_510_800_000);
const DRAWS: i64 = 100_000;

type Timed = (Timestamp, CarrierEvent);
type Shares = &'static [(Reason, f64)];

fn dispatch(channel: Channel, customer: i64, attempt: u16) -> Dispatch {
    Dispatch {
        touch: TouchKey { customer: CustomerId(customer), campaign: CampaignId(1), seq: u32::from(attempt) - 1 },
        route: ROUTE,
        channel,
        step: StepNo(0),
        attempt,
        address: Address::new("+8613800138000"),
        message: None,
        parts: 1,
        attributes: None,
    }
}

fn route(channel: Channel, profile: &str) -> RouteSpec {
    let profile = Some(ProfileRef::shipped(profile).unwrap());
    RouteSpec { profile, ..RouteSpec::simulated("a", channel, Rate { count: 1_000, per_ms: SECOND }) }
}

fn simulator(channel: Channel, profile: &str) -> Simulator {
    Simulator::new(&route(channel, profile), ROUTE, 42)
}

/// A simulator of text messages, all delivered after acceptance, with the faults of a YAML text.
fn faulty(faults: &str) -> Simulator {
    let profile =
        "channels: [sms]\naccept: {fixed: 200ms}\noutcomes:\n  - {disposition: delivered, share: 100%, told: receipt, after: {fixed: 4s}}\n";
    let spec = RouteSpec {
        profile: Some(ProfileRef::inline(serde_saphyr::from_str(profile).unwrap()).unwrap()),
        faults: Some(serde_saphyr::from_str::<Faults>(faults).unwrap()),
        ..RouteSpec::simulated("a", Channel::Sms, Rate { count: 1_000, per_ms: SECOND })
    };
    assert_eq!(spec.check(), Vec::<String>::new());
    Simulator::new(&spec, ROUTE, 42)
}

fn outcome(events: &[Timed]) -> (Timestamp, &Outcome) {
    let mut outcomes = events.iter().filter_map(|(due, e)| if let CarrierEvent::Outcome(o) = e { Some((*due, o)) } else { None });
    let first = outcomes.next().expect("one outcome for every dispatch");
    assert!(outcomes.next().is_none(), "more than one outcome: {events:?}");
    first
}

fn receipts(events: &[Timed]) -> Vec<(Timestamp, &Receipt)> {
    events.iter().filter_map(|(due, e)| if let CarrierEvent::Receipt(r) = e { Some((*due, r)) } else { None }).collect()
}

/// How often each disposition was told, in an answer or in a receipt.
fn told(simulator: &Simulator, channel: Channel) -> BTreeMap<Reason, i64> {
    let mut counts = BTreeMap::new();
    for customer in 0..DRAWS {
        let events = simulator.answer(&dispatch(channel, customer, 1), START);
        if let SendResult::Done { disposition, .. } = outcome(&events).1.result {
            *counts.entry(disposition).or_default() += 1;
        }
        for (_, receipt) in receipts(&events) {
            *counts.entry(receipt.disposition).or_default() += 1;
        }
    }
    counts
}

/// Within five standard deviations of a binomial: a right simulator fails once in 1.7 million such comparisons.
fn assert_share(found: i64, of: i64, expected: f64, what: &str) {
    let mean = of as f64 * expected;
    let bound = 5.0 * (of as f64 * expected * (1.0 - expected)).sqrt();
    assert!((found as f64 - mean).abs() <= bound, "{what}: {found} of {of}, expected {mean:.0} within {bound:.0}");
}

#[test]
fn calls_come_out_as_the_baylor_study_has_them() {
    use Reason::{Answered, CallbackRequested, Interested, InvalidAddress, NoAnswer, NotInterested};
    let counts = told(&simulator(Channel::Call, "telephone-consumer"), Channel::Call);
    // The published shares are rounded and make up 100.01 %.
    let answered: i64 = [Answered, Interested, NotInterested, CallbackRequested].iter().map(|d| counts[d]).sum();
    assert_share(answered, DRAWS, 0.2837 / 1.0001, "answered");
    assert_share(counts[&NoAnswer], DRAWS, 0.5508 / 1.0001, "no answer");
    assert_share(counts[&InvalidAddress], DRAWS, 0.1656 / 1.0001, "not working");
    assert_share(counts[&Interested], DRAWS, 0.2837 * 0.0107, "interested");
    assert_eq!(counts.values().sum::<i64>(), DRAWS);
}

#[test]
fn the_other_profiles_keep_to_their_figures() {
    use Reason::{Busy, Clicked, Delivered, InvalidAddress, NoAnswer, NotReached, Opened, Undelivered};
    let cases: &[(&str, Channel, Shares)] = &[
        ("telephone-bank-cn", Channel::Call, &[(NoAnswer, 0.63), (Busy, 0.045)]),
        ("telephone-known-caller", Channel::Call, &[(NoAnswer, 0.235)]),
        ("sms-promotional", Channel::Sms, &[(Delivered, 0.925), (Undelivered, 0.065), (InvalidAddress, 0.01)]),
        ("sms-transactional", Channel::Sms, &[(Delivered, 0.965)]),
        ("push-android", Channel::Push, &[(Delivered, 0.45), (Opened, 0.45 * 0.107)]),
        ("push-ios", Channel::Push, &[(Delivered, 0.835), (Opened, 0.835 * 0.049)]),
        (
            "email-finance",
            Channel::Email,
            &[(InvalidAddress, 0.0043), (Undelivered, 0.0055), (Opened, 0.9902 * 0.2156), (Clicked, 0.9902 * 0.2156 * 0.1262)],
        ),
        ("worklist-rm", Channel::Worklist, &[(NotReached, 0.5053)]),
    ];
    for (profile, channel, shares) in cases {
        let counts = told(&simulator(*channel, profile), *channel);
        for (disposition, share) in *shares {
            assert_share(counts[disposition], DRAWS, *share, &format!("{profile}: {disposition}"));
        }
    }
}

#[test]
fn opens_follow_deliveries_and_clicks_follow_opens() {
    let simulator = simulator(Channel::Email, "email-finance");
    let mut clicks = 0;
    for customer in 0..20_000 {
        let events = simulator.answer(&dispatch(Channel::Email, customer, 1), START);
        let times: HashMap<Reason, Timestamp> = receipts(&events).iter().map(|(due, r)| (r.disposition, *due)).collect();
        if let Some(opened) = times.get(&Reason::Opened) {
            assert!(times[&Reason::Delivered] <= *opened);
        }
        if let Some(clicked) = times.get(&Reason::Clicked) {
            assert!(times[&Reason::Opened] <= *clicked);
            clicks += 1;
        }
    }
    assert!(clicks > 0);
}

#[test]
fn every_answer_is_one_outcome_none_early_and_in_order() {
    for name in shipped_names() {
        let profile = ProfileRef::shipped(name).unwrap();
        for channel in profile.profile().channels.clone() {
            let simulator = simulator(channel, name);
            for customer in 0..5_000 {
                let events = simulator.answer(&dispatch(channel, customer, 1), START);
                let (due, outcome) = outcome(&events);
                assert_eq!((outcome.touch.customer, outcome.at), (CustomerId(customer), due));
                assert!(events.iter().all(|(due, _)| *due >= START), "{name}");
                assert!(events.is_sorted_by_key(|(due, _)| *due), "{name}");
                if let SendResult::Accepted { provider_ref, deadline } = &outcome.result {
                    assert_eq!(*deadline, START.plus(DAY));
                    assert!(receipts(&events).iter().all(|(_, r)| r.provider_ref == *provider_ref && r.route == ROUTE));
                }
            }
        }
    }
}

#[test]
fn the_seed_the_touch_and_the_attempt_decide_and_nothing_else_does() {
    let first = simulator(Channel::Sms, "sms-promotional");
    let forwards: Vec<_> = (0..2_000).map(|c| first.answer(&dispatch(Channel::Sms, c, 1), START)).collect();
    let second = simulator(Channel::Sms, "sms-promotional");
    let mut backwards: Vec<_> = (0..2_000).rev().map(|c| second.answer(&dispatch(Channel::Sms, c, 1), START)).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    assert_eq!(first.answer(&dispatch(Channel::Sms, 5, 1), START), forwards[5]);
    let mut into = Vec::new();
    (0..2_000).for_each(|c| first.answer_into(&dispatch(Channel::Sms, c, 1), START, &mut into));
    assert_eq!(into, forwards.concat());

    let other_seed = Simulator::new(&route(Channel::Sms, "sms-promotional"), ROUTE, 43);
    let differs = |f: &dyn Fn(i64) -> Vec<Timed>| (0..2_000).filter(|c| f(*c) != forwards[*c as usize]).count();
    assert!(differs(&|c| other_seed.answer(&dispatch(Channel::Sms, c, 1), START)) > 1_900);
    let retried = |c| Dispatch { attempt: 2, ..dispatch(Channel::Sms, c, 1) };
    assert!(differs(&|c| first.answer(&retried(c), START)) > 1_900);
    // A route's own seed goes before the run's.
    let pinned = RouteSpec { seed: Some(42), ..route(Channel::Sms, "sms-promotional") };
    assert_eq!(differs(&|c| Simulator::new(&pinned, ROUTE, 99).answer(&dispatch(Channel::Sms, c, 1), START)), 0);
}

#[test]
fn one_fault_more_leaves_the_other_draws_alone() {
    let plain = simulator(Channel::Sms, "sms-promotional");
    let mut spec = route(Channel::Sms, "sms-promotional");
    spec.faults = Some(serde_saphyr::from_str("lost_receipts: 50%").unwrap());
    let lossy = Simulator::new(&spec, ROUTE, 42);
    for customer in 0..1_000 {
        let (all, some) = (plain.answer(&dispatch(Channel::Sms, customer, 1), START), lossy.answer(&dispatch(Channel::Sms, customer, 1), START));
        assert!(some.iter().all(|event| all.contains(event)));
    }
}

#[test]
fn the_instant_profile_takes_no_time_on_any_channel() {
    for (channel, expected) in
        Channel::ALL.into_iter().zip([Reason::Answered, Reason::Delivered, Reason::Delivered, Reason::Delivered, Reason::Completed])
    {
        let events = simulator(channel, "instant").answer(&dispatch(channel, 1, 1), START);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].0, START);
        assert!(matches!(outcome(&events).1.result, SendResult::Done { disposition, .. } if disposition == expected), "{channel}");
    }
}

#[test]
fn timed_out_touches_are_unknown_and_some_are_told_of_later() {
    let simulator = faulty("timeout_after_acceptance: {share: 20%, wait: {fixed: 30s}, receipt: 60%}");
    let (mut unknown, mut told) = (0, 0);
    for customer in 0..DRAWS {
        let events = simulator.answer(&dispatch(Channel::Sms, customer, 1), START);
        let (due, outcome) = outcome(&events);
        if let SendResult::Unknown { reason } = outcome.result {
            assert_eq!((reason, due), (Reason::TimedOut, START.plus(30 * SECOND)));
            unknown += 1;
            if let [(_, receipt)] = receipts(&events)[..] {
                assert_eq!((receipt.disposition, receipt.touch), (Reason::Delivered, Some(outcome.touch)));
                told += 1;
            }
        }
    }
    assert_share(unknown, DRAWS, 0.2, "timed out");
    assert_share(told, unknown, 0.6, "told of after all");
}

#[test]
fn receipts_are_lost_late_repeated_and_reordered_as_asked() {
    let share = |faults: &str, has: &dyn Fn(&[Timed]) -> bool| {
        let simulator = faulty(faults);
        (0..DRAWS).filter(|c| has(&simulator.answer(&dispatch(Channel::Sms, *c, 1), START))).count() as i64
    };
    let usual = START.plus(4_200);
    let lost = share("lost_receipts: 5%", &|e| receipts(e).is_empty());
    assert_share(lost, DRAWS, 0.05, "lost");
    let late = share("late_receipts: {share: 3%, by: {fixed: 2d}}", &|e| {
        let (due, receipt) = receipts(e)[0];
        let SendResult::Accepted { deadline, .. } = outcome(e).1.result else { panic!("accepted") };
        assert_eq!(receipt.at, usual, "it was so when it was so, whenever we hear of it");
        assert!(due == usual || due > deadline);
        due == usual.plus(2 * DAY)
    });
    assert_share(late, DRAWS, 0.03, "late");
    let repeated = share("repeated_receipts: {share: 4%, times: 2, apart: {fixed: 5s}}", &|e| {
        let all = receipts(e);
        assert!(all.iter().all(|(_, r)| *r == all[0].1), "copies are alike");
        assert!(all.len() == 1 || all.iter().map(|(due, _)| due.since(usual)).eq([0, 5_000, 10_000]));
        all.len() == 3
    });
    assert_share(repeated, DRAWS, 0.04, "repeated");
    let early = share("receipt_before_acceptance: 2%", &|e| matches!(e[0].1, CarrierEvent::Receipt(_)) && e[0].0 <= outcome(e).0);
    assert_share(early, DRAWS, 0.02, "before its acceptance");
    let contradicted = share("undelivered_after_delivered: {share: 1%, after: {fixed: 1m}}", &|e| {
        receipts(e).iter().map(|(due, r)| (due.since(usual), r.disposition)).eq([(0, Reason::Delivered), (MINUTE, Reason::Undelivered)])
    });
    assert_share(contradicted, DRAWS, 0.01, "undelivered after delivered");
}

#[test]
fn refusals_say_why_and_have_no_receipt() {
    let simulator = faulty("blocked: 2%\nrefused: 3%\n");
    let mut counts = BTreeMap::<Reason, i64>::new();
    for customer in 0..DRAWS {
        let events = simulator.answer(&dispatch(Channel::Sms, customer, 1), START);
        if let SendResult::Refused { reason } = outcome(&events).1.result {
            assert_eq!(events.len(), 1);
            *counts.entry(reason).or_default() += 1;
        }
    }
    assert_share(counts[&Reason::ProviderBlocked], DRAWS, 0.02, "blocked");
    assert_share(counts[&Reason::ProviderRefused], DRAWS, 0.03, "refused");
}

#[test]
fn a_throttle_holds_in_every_sliding_window_and_names_an_instant_that_works() {
    let simulator = faulty("throttle: {rate: 100/s, again_after: 50ms}");
    // Ten offered each millisecond pair for three seconds: far above the rate.
    let mut taken = Vec::new();
    for (customer, ms) in (0..3_000).step_by(2).flat_map(|ms| std::iter::repeat_n(ms, 10)).enumerate() {
        let at = START.plus(ms);
        match outcome(&simulator.answer(&dispatch(Channel::Sms, customer as i64, 1), at)).1.result {
            SendResult::NotSent { reason: Reason::NotSent, again_at } => assert!(again_at >= at.plus(50)),
            _ => taken.push(ms),
        }
    }
    assert_eq!(taken.len(), 300);
    assert!(taken.windows(101).all(|w| w[100] - w[0] >= 1_000));

    let simulator = faulty("throttle: {rate: 1/s}");
    let first = simulator.answer(&dispatch(Channel::Sms, 1, 1), START);
    assert!(matches!(outcome(&first).1.result, SendResult::Accepted { .. }));
    let SendResult::NotSent { again_at, .. } = outcome(&simulator.answer(&dispatch(Channel::Sms, 2, 1), START.plus(1))).1.result else {
        panic!("throttled")
    };
    assert_eq!(again_at, START.plus(SECOND));
    assert!(matches!(outcome(&simulator.answer(&dispatch(Channel::Sms, 2, 1), again_at)).1.result, SendResult::Accepted { .. }));
}

#[test]
fn nothing_is_taken_in_an_outage_and_everything_after_it() {
    let simulator = faulty("outages:\n  - {start: 2026-11-24T10:00:00Z, lasts: 5m, every: 1h}\n");
    let result = |at| outcome(&simulator.answer(&dispatch(Channel::Sms, 1, 1), at)).1.result.clone();
    let begins = START.plus(HOUR);
    assert!(matches!(result(begins.plus(-1)), SendResult::Accepted { .. }));
    for hour in 0..3 {
        let (begins, ends) = (begins.plus(hour * HOUR), begins.plus(hour * HOUR + 5 * MINUTE));
        for at in [begins, begins.plus(MINUTE), ends.plus(-1)] {
            assert_eq!(result(at), SendResult::NotSent { reason: Reason::NotSent, again_at: ends });
        }
        assert!(matches!(result(ends), SendResult::Accepted { .. }));
    }
}

#[test]
fn a_replay_misses_until_the_attempt_that_the_list_tells() {
    let spec = default_routes().into_iter().find(|r| r.name == "uci-replay").unwrap();
    let simulator = Simulator::new(&spec, ROUTE, 1);
    for (reached_on, seconds) in [(1, 0), (1, 261), (3, 4_918), (63, 12)] {
        let attributes = format!(r#"{{"age":58,"job":"management","campaign":{reached_on},"duration":{seconds}}}"#);
        for attempt in 1..=reached_on {
            let call = Dispatch { attributes: Some(attributes.as_str().into()), ..dispatch(Channel::Call, 1, attempt) };
            let events = simulator.answer(&call, START);
            let SendResult::Done { disposition, connected_s, .. } = outcome(&events).1.result else { panic!("done") };
            let expected = if attempt < reached_on { (Reason::NoAnswer, 0) } else { (Reason::Answered, seconds) };
            assert_eq!((disposition, connected_s), expected, "attempt {attempt} of {reached_on}");
            assert!(outcome(&events).0 >= START.plus(i64::from(connected_s) * SECOND), "a conversation takes its time");
        }
    }
}

#[test]
fn a_replay_without_its_columns_is_refused_and_not_guessed() {
    let spec = default_routes().into_iter().find(|r| r.name == "uci-replay").unwrap();
    let simulator = Simulator::new(&spec, ROUTE, 1);
    for attributes in [None, Some(r#"{"campaign":1}"#), Some(r#"{"campaign":1,"duration":"long"}"#)] {
        let call = Dispatch { attributes: attributes.map(Into::into), ..dispatch(Channel::Call, 1, 1) };
        assert_eq!(outcome(&simulator.answer(&call, START)).1.result, SendResult::Refused { reason: Reason::ProviderRefused });
    }
}

#[test]
fn no_call_costs_more_than_was_reserved_for_it() {
    let mut spec = route(Channel::Call, "telephone-known-caller");
    spec.price = Some("0.12 CNY/min".parse().unwrap());
    spec.max_call_minutes = Some(2);
    let simulator = Simulator::new(&spec, ROUTE, 9);
    let (mut most, mut answered) = (0, 0);
    for customer in 0..20_000 {
        let events = simulator.answer(&dispatch(Channel::Call, customer, 1), START);
        let SendResult::Done { disposition, connected_s, cost_micros } = outcome(&events).1.result else { panic!("done") };
        let cost = cost_micros.unwrap();
        assert_eq!(cost, i64::from(connected_s.div_ceil(60)) * 120_000);
        assert!(disposition.is_reached() || cost == 0, "a missed call is free");
        answered += i32::from(disposition.is_reached());
        most = most.max(cost);
    }
    assert!(answered > 10_000);
    // Conversations with interest have a median of 180 s, so the cut at two minutes is met.
    assert_eq!(most, spec.reserve_micros(1));
    assert_eq!(most, 240_000);
}

#[test]
fn a_faster_world_comes_to_the_same_sooner() {
    let real = simulator(Channel::Call, "telephone-consumer");
    let fast = Simulator::new(&RouteSpec { speed: 100, ..route(Channel::Call, "telephone-consumer") }, ROUTE, 42);
    for customer in 0..1_000 {
        let call = dispatch(Channel::Call, customer, 1);
        let (slow, quick) = (real.answer(&call, START), fast.answer(&call, START));
        let ((slow_at, slow), (quick_at, quick)) = (outcome(&slow), outcome(&quick));
        assert_eq!(slow.result, quick.result);
        assert_eq!(quick_at.since(START), slow_at.since(START) / 100);
    }
}

#[test]
fn half_of_the_messages_arrive_within_the_median() {
    let simulator = simulator(Channel::Sms, "sms-promotional");
    let mut ways = Vec::new();
    for customer in 0..DRAWS {
        let events = simulator.answer(&dispatch(Channel::Sms, customer, 1), START);
        let accepted = outcome(&events).0;
        ways.extend(receipts(&events).iter().filter(|(_, r)| r.disposition == Reason::Delivered).map(|(due, _)| due.since(accepted)));
    }
    let within = ways.iter().filter(|ms| **ms <= 4_000).count() as i64;
    assert_share(within, ways.len() as i64, 0.5, "within 4 s");
}

/// Run with `cargo test --release --test simulator -- --ignored --nocapture` on a quiet machine.
#[test]
#[ignore = "a measurement: it means something in a release build only"]
fn an_instant_carrier_answers_two_million_times_a_second() {
    let simulator = simulator(Channel::Call, "instant");
    let calls: Vec<_> = (0..1_000).map(|c| dispatch(Channel::Call, c, 1)).collect();
    let mut events = Vec::with_capacity(calls.len());
    let began = touchline::clock::monotonic();
    for _ in 0..1_000 {
        events.clear();
        calls.iter().for_each(|call| simulator.answer_into(call, START, &mut events));
    }
    let rate = 1_000_000.0 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} answers a second");
    assert!(rate > 2_000_000.0);
}
