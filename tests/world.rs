//! Simulations in virtual time over the memory store: the laws hold after every step, whatever the provider does and
//! wherever the process dies. The seed is in every message; `TOUCHLINE_SEED=n` runs one alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use support::scene::Scene;
use support::*;
use touchline::actors::world::End;
use touchline::actors::{Note, campaign, conductor};
use touchline::domain::campaign::{Campaign, Rate};
use touchline::domain::caps::Cap;
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose, SuppressionRecord};
use touchline::domain::expression::Expression;
use touchline::domain::ids::{CustomerId, RuleNo, StepNo};
use touchline::domain::law::{LawBook, Whereabouts, WindowVerdict};
use touchline::domain::money::{Currency, Money};
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::touch::State;
use touchline::store::{CampaignBook, ConsentList, LeaseTable, Status, TouchLedger, Wanted};

#[test]
fn a_campaign_reaches_or_misses_everybody_and_finishes() {
    for seed in seeds(5) {
        let scene = Scene::new(300, vec![campaign("plain", |_| {})], &[Channel::Call], Script::kind(seed));
        let end = scene.run(&mut scene.world(START), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let counts = scene.counts("plain");
        assert_eq!(counts[&State::Reached] + counts[&State::Missed], 300, "seed {seed}: {counts:?}");
        assert!(counts[&State::Missed] < 30, "three attempts at 70 % miss 2.7 %: {counts:?}");
        assert_eq!(scene.status("plain"), Status::Finished);
    }
}

fn journey(name: &str) -> Campaign {
    campaign(name, |c| {
        let mut follow = step("follow-up", Channel::Sms);
        follow.after = Some(StepNo(0));
        follow.when = Some(Expression::compile(r#"outcome in ["no_answer", "voicemail"]"#).unwrap());
        follow.wait_ms = DAY;
        let mut rm = step("rm", Channel::Worklist);
        rm.after = Some(StepNo(0));
        rm.when = Some(Expression::compile(r#"state == "reached" && attempt >= 1"#).unwrap());
        rm.attempts = 1;
        c.steps.push(follow);
        c.steps.push(rm);
        c.audience.holdout_ppm = 100_000;
    })
}

const ALL: [Channel; 3] = [Channel::Call, Channel::Sms, Channel::Worklist];

#[test]
fn a_rough_provider_breaks_no_law_and_no_sum() {
    for seed in seeds(12) {
        let scene = Scene::new(200, vec![journey("rough")], &ALL, Script::rough(seed));
        let end = scene.run(&mut scene.world(START), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let counts = scene.counts("rough");
        assert!(counts[&State::HeldOut] > 5, "seed {seed}: {counts:?}");
        let memory = scene.memory.lock().unwrap();
        let row = now(scene.store.campaign("rough", Some(false))).unwrap();
        for id in 1..=200 {
            let head = now(scene.store.head(row.id, CustomerId(id))).unwrap().unwrap();
            assert!(head.state != State::HeldOut || memory.sends_to(CustomerId(id)) == 0, "seed {seed}: the holdout is left alone");
        }
    }
}

/// Kills everything after step n, for every n, and goes on from what the store holds.
#[test]
fn whatever_step_it_dies_after_nobody_is_contacted_twice() {
    for seed in seeds(2) {
        let mut n = 1;
        loop {
            let scene = Scene::new(6, vec![journey("crash")], &ALL, Script { latency_ms: 5_000, ..Script::rough(seed) });
            let mut first = scene.world(START);
            let cut = scene.run(&mut first, Some(n));
            let End::Cut(died_at) = cut else {
                assert!(matches!(cut, End::Done(_)), "seed {seed}, step {n}: {cut:?}");
                assert!(n > 40, "the campaign is too small to prove anything: {n} steps");
                break;
            };
            drop(first);
            let after = Scene { store: Arc::new(scene.store.snapshot()), campaigns: scene.campaigns.clone(), routes: scene.routes.clone(), ..scene };
            after.sums_close();
            let end = after.run(&mut after.world(died_at.plus(MINUTE)), None);
            assert!(matches!(end, End::Done(_)), "seed {seed}, killed after step {n}: {end:?}");
            after.all_closed();
            n += 1;
        }
    }
}

#[test]
fn the_limits_hold_in_every_window_narrow_and_wide() {
    for seed in seeds(3) {
        let rate = |count| Rate { count, per_ms: SECOND };
        let slow = campaign("slow", |c| c.limits.rate = Some(rate(7)));
        let fast = campaign("fast", |_| {});
        let mut scene = Scene::new(400, vec![slow, fast], &[Channel::Call], Script { latency_ms: 2_000, ..Script::rough(seed) });
        scene.routes[0].limit = Some(rate(40));
        scene.routes[0].provider = Some(("carrier".to_owned(), Some(rate(30))));
        let ids: Vec<_> = ["slow", "fast"].map(|n| now(scene.store.campaign(n, Some(false))).unwrap().id).into();
        let end = scene.run(&mut scene.world(START), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        memory.within_rate(rate(30), |_| true);
        memory.within_rate(rate(7), |d| d.touch.campaign == ids[0]);
        // The fast one is not throttled by the slow one's own limit.
        let in_first_5s = memory.sends.iter().filter(|(t, d)| d.touch.campaign == ids[1] && t.since(START) < 5 * SECOND).count();
        assert!(in_first_5s > 90, "seed {seed}: {in_first_5s} in five seconds of a limit of 30/s");
    }
}

#[test]
fn two_equal_campaigns_share_a_route_and_a_higher_priority_goes_first() {
    let rate = Some(Rate { count: 10, per_ms: SECOND });
    let at = |names: [(&str, u8); 2]| {
        let campaigns = names.map(|(n, priority)| campaign(n, |c| c.priority = priority)).to_vec();
        let mut scene = Scene::new(200, campaigns, &[Channel::Call], Script { no_answer: 0, ..Script::kind(1) });
        scene.routes[0].limit = rate;
        let id = now(scene.store.campaign(names[0].0, Some(false))).unwrap().id;
        scene.run(&mut scene.world(START), None);
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        memory.sends.iter().take(100).filter(|(_, d)| d.touch.campaign == id).count()
    };
    let equal = at([("one", 5), ("two", 5)]);
    assert!((35..=65).contains(&equal), "{equal} of the first 100 for one of two equals");
    let higher = at([("urgent", 9), ("later", 1)]);
    assert!(higher >= 75, "{higher} of the first 100 for the higher priority");
}

#[test]
fn ten_campaigns_that_start_at_once_stay_under_one_cap() {
    for seed in seeds(3) {
        let cap = Cap { count: 2, per_ms: DAY, channel: None, purpose: None, rule: RuleNo(0) };
        let campaigns: Vec<Campaign> = (0..10).map(|i| campaign(&format!("c{i}"), |c| c.limits.caps = vec![cap.clone()])).collect();
        let scene = Scene::new(40, campaigns, &[Channel::Call], Script::rough(seed));
        let end = scene.run(&mut scene.world(START), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        // By the ledger: contacts that stand. (A send that the provider refused to take is no contact.)
        for id in 1..=40 {
            let mut at: Vec<Timestamp> = now(scene.store.timeline(CustomerId(id))).unwrap().iter().filter_map(|t| t.started_at).collect();
            at.sort_unstable();
            for three in at.windows(3) {
                assert!(three[2].since(three[0]) >= DAY, "seed {seed}: customer {id} was contacted three times within a day: {three:?}");
            }
        }
    }
}

#[test]
fn nobody_is_called_outside_the_lawful_window_of_his_own_zone() {
    for seed in seeds(3) {
        let lawful = campaign("lawful", |c| c.policy = vec!["us-tcpa-call".to_owned()]);
        let law = law(&lawful);
        let scene = Scene::new(150, vec![lawful], &[Channel::Call], Script::rough(seed));
        let end = scene.run(&mut scene.world(START), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        assert!(memory.sends.len() > 150, "seed {seed}: {} sends", memory.sends.len());
        for (at, d) in &memory.sends {
            let index = usize::try_from(d.touch.customer.0 - 1).unwrap() % ZONES.len();
            let whereabouts = ZONES[index].map_or(Whereabouts::CallingCode(86), Whereabouts::Zone);
            let verdict = law.window(*at, Channel::Call, whereabouts);
            assert!(matches!(verdict, WindowVerdict::Open { .. }), "seed {seed}: {at} to customer {}: {verdict:?}", d.touch.customer);
        }
    }
}

#[test]
fn an_opt_out_holds_for_everything_not_yet_started() {
    for seed in seeds(3) {
        let slow = campaign("opt-out", |c| c.limits.rate = Some(Rate { count: 2, per_ms: SECOND }));
        let scene = Scene::new(200, vec![slow], &[Channel::Call], Script::rough(seed));
        let mut world = scene.world(START);
        let out_at = Mutex::new(None);
        let end = now(world.run(None, async |at, _| {
            if at.since(START) > 20 * SECOND && out_at.lock().unwrap().is_none() {
                *out_at.lock().unwrap() = Some(at);
                let record = |channel| ConsentRecord {
                    channel,
                    purpose: Purpose::Marketing,
                    state: ConsentState::Withdrawn,
                    at,
                    source: "keyword".to_owned(),
                };
                let all: Vec<_> = (0..200).step_by(2).map(|i| (format!("c{i:05}"), record(Channel::Call))).collect();
                assert!(scene.store.put_consents(&all, None).await.unwrap().rejected.is_empty());
                let why = SuppressionRecord { channel: None, why: "complaint".to_owned(), at, until: None, source: "desk".to_owned() };
                scene.store.put_suppressions(&[("c00001".to_owned(), why)], None).await.unwrap();
            }
        }));
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let out_at = out_at.lock().unwrap().unwrap();
        let row = now(scene.store.campaign("opt-out", Some(false))).unwrap();
        let mut stopped = 0;
        for id in (1..=200).step_by(2).chain([2]) {
            for touch in now(scene.store.timeline(CustomerId(id))).unwrap() {
                assert!(touch.started_at.is_none_or(|at| at <= out_at), "seed {seed}: {} started after the opt-out", touch.key);
            }
            let head = now(scene.store.head(row.id, CustomerId(id))).unwrap().unwrap();
            stopped += usize::from(matches!(head.reason, Reason::OptedOut | Reason::Complained | Reason::OnSuppressionList));
        }
        assert!(stopped > 40, "seed {seed}: only {stopped} were stopped by the opt-out");
    }
}

#[test]
fn pause_resume_stop_and_drain_lose_and_repeat_nobody() {
    for seed in seeds(4) {
        let slow = campaign("held", |c| c.limits.rate = Some(Rate { count: 5, per_ms: SECOND }));
        let scene = Scene::new(150, vec![slow], &[Channel::Call], Script::rough(seed));
        let id = now(scene.store.campaign("held", Some(false))).unwrap().id;
        let mut world = scene.world(START);
        let control = |wanted| Note::Campaign(id, campaign::Input::Control(wanted));
        let (pause, resume) = (START.plus(5 * SECOND), START.plus(2 * HOUR));
        world.tell(pause, control(Wanted::Pause));
        world.tell(resume, control(Wanted::Run));
        world.tell(resume.plus(6 * SECOND), Note::Conductor(conductor::Input::Drain));
        let end = scene.run(&mut world, None);
        let End::Done(at) = end else { panic!("seed {seed}: {end:?}") };
        assert!(scene.memory.lock().unwrap().sends.iter().all(|(t, _)| *t <= pause || *t >= resume), "seed {seed}: a send while paused");
        let counts = scene.counts("held");
        assert!(counts[&State::Pending] > 0, "seed {seed}: drained before the end: {counts:?}");
        // The process that drained had the first fencing number; it gives the store back and another takes it up.
        now(scene.store.release(1)).unwrap();
        let end = scene.run(&mut scene.world(at.plus(MINUTE)), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();

        let scene = Scene::new(
            150,
            vec![campaign("stopped", |c| c.limits.rate = Some(Rate { count: 5, per_ms: SECOND }))],
            &[Channel::Call],
            Script::rough(seed),
        );
        let id = now(scene.store.campaign("stopped", Some(false))).unwrap().id;
        let mut world = scene.world(START);
        world.tell(START.plus(5 * SECOND), Note::Campaign(id, campaign::Input::Control(Wanted::Stop)));
        let end = scene.run(&mut world, None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.sums_close();
        let counts = scene.counts("stopped");
        assert_eq!(counts[&State::Pending] + counts[&State::Scheduled], 0, "seed {seed}: {counts:?}");
        assert!(counts[&State::Cancelled] > 50, "seed {seed}: {counts:?}");
        assert_eq!(scene.status("stopped"), Status::Stopped);
    }
}

#[test]
fn a_budget_is_a_hard_stop() {
    // A touch is reserved at 0.05: 2.00 buys forty.
    let poor = campaign("poor", |c| c.limits.budget = Some(Money { minor: 200, currency: Currency::CNY }));
    let scene = Scene::new(300, vec![poor], &[Channel::Call], Script::kind(3));
    let end = scene.run(&mut scene.world(START), None);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    scene.sums_close();
    assert_eq!(scene.memory.lock().unwrap().sends.len(), 40);
    let counts = scene.counts("poor");
    assert_eq!(counts.values().sum::<i64>(), 300);
    assert_eq!(counts[&State::Pending] + counts[&State::Scheduled] + counts[&State::Started], 0, "{counts:?}");
    let row = now(scene.store.campaign("poor", Some(false))).unwrap();
    assert_eq!((row.status, row.stop_reason), (Status::Stopped, Some(Reason::Budget)));
}

#[test]
fn waves_take_their_share_and_a_late_one_is_skipped() {
    let waved = campaign("waves", |c| {
        c.schedule.cron = Some("0 0 10 * * *".to_owned());
        c.schedule.wave = Some(50);
    });
    let scene = Scene::new(180, vec![waved], &[Channel::Call], Script { no_answer: 0, ..Script::kind(1) });
    // The process comes up at noon of the second day: the waves of ten o'clock on both days are late by 26 and 2 hours.
    let noon = START.plus(DAY + 3 * HOUR);
    let end = scene.run(&mut scene.world(noon), None);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    scene.all_closed();
    let row = now(scene.store.campaign("waves", Some(false))).unwrap();
    let fired: Vec<bool> = now(scene.store.waves(row.id)).unwrap().iter().map(|w| w.fired_at.is_some()).collect();
    assert_eq!(fired, [false, true, true, true, true]);
    let mut by_day = std::collections::BTreeMap::new();
    for (at, _) in &scene.memory.lock().unwrap().sends {
        *by_day.entry(at.since(START) / DAY).or_insert(0) += 1;
    }
    assert_eq!(by_day.into_values().collect::<Vec<_>>(), [50, 50, 50, 30]);
}

#[test]
fn what_waited_past_its_validity_expires() {
    let stale = campaign("stale", |c| {
        c.limits.validity_ms = Some(MINUTE);
        c.limits.rate = Some(Rate { count: 1, per_ms: 10 * SECOND });
        c.steps[0].retry.insert(Reason::NoAnswer, 5 * SECOND);
    });
    let scene = Scene::new(60, vec![stale], &[Channel::Call], Script { no_answer: 90, latency_ms: 10, ..Script::kind(2) });
    let end = scene.run(&mut scene.world(START), None);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    scene.all_closed();
    for (at, dispatch) in &scene.memory.lock().unwrap().sends {
        let touch = now(scene.store.touch(dispatch.touch)).unwrap().unwrap();
        assert!(
            touch.due_at.is_none_or(|due| at.since(due) <= MINUTE + 30 * SECOND),
            "{} was sent {} ms after its due time",
            touch.key,
            at.since(touch.due_at.unwrap())
        );
    }
}

/// A provider that can be asked: it forgets to answer, and tells when it is asked.
struct Forgetful {
    asked: usize,
}

impl touchline::actors::world::VirtualCarrier for Forgetful {
    fn answer(&mut self, dispatch: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, touchline::channels::CarrierEvent)>) {
        let result = touchline::domain::outcome::SendResult::Unknown { reason: Reason::TimedOut };
        let outcome = touchline::domain::outcome::Outcome { touch: dispatch.touch, at, result };
        out.push((at.plus(SECOND), touchline::channels::CarrierEvent::Outcome(outcome)));
    }
    fn recall(&mut self, touch: touchline::domain::ids::TouchKey, at: Timestamp, out: &mut Vec<(Timestamp, touchline::channels::CarrierEvent)>) {
        self.asked += 1;
        // It has never heard of every fifth customer.
        if touch.customer.0 % 5 != 0 {
            let receipt = touchline::channels::Receipt {
                route: touchline::domain::ids::RouteId(1),
                provider_ref: touch.to_string().into(),
                touch: Some(touch),
                at,
                disposition: Reason::Answered,
                connected_s: 10,
                cost_micros: None,
            };
            out.push((at.plus(SECOND), touchline::channels::CarrierEvent::Receipt(receipt)));
        }
    }
}

#[test]
fn a_provider_that_can_be_asked_resolves_what_is_in_doubt() {
    let scene = Scene::new(50, vec![campaign("asked", |_| {})], &[Channel::Call], Script::kind(1));
    let mut routes = scene.routes.clone();
    routes[0].askable = true;
    let store: Arc<dyn touchline::store::Store> = Arc::clone(&scene.store) as Arc<dyn touchline::store::Store>;
    let setup = now(setup(store, &scene.campaigns, &routes, START));
    let carrier: Box<dyn touchline::actors::world::VirtualCarrier> = Box::new(Forgetful { asked: 0 });
    let mut world = touchline::actors::world::World::new(&setup, [(routes[0].id, carrier)].into(), START);
    let end = scene.run(&mut world, None);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    scene.sums_close();
    let counts = scene.counts("asked");
    assert_eq!((counts[&State::Reached], counts[&State::Uncertain]), (40, 10), "{counts:?}");
    assert_eq!(scene.status("asked"), Status::Finished);
}
