//! Simulations of limits, law and time: routes side by side, providers shared, parts of long texts, days of the clock's change,
//! leap days, suppressions that lapse, opt-outs in the middle of a decision, restarts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use support::scene::Scene;
use support::*;
use touchline::actors::running::Route;
use touchline::actors::world::End;
use touchline::channels::Dispatch;
use touchline::domain::campaign::{Campaign, Rate, Text, Variant};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose, SuppressionRecord};
use touchline::domain::expression::Expression;
use touchline::domain::ids::{CustomerId, RouteId, StepNo};
use touchline::domain::law::{LawBook, Whereabouts, WindowVerdict};
use touchline::domain::outcome::{Reason, SendResult};
use touchline::domain::template::Template;
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::touch::State;
use touchline::store::{CampaignBook, ConsentList, Status, TouchLedger};

fn per(count: u32, per_ms: i64) -> Rate {
    Rate { count, per_ms }
}

fn in_order(seed: u64, end: &End) -> Timestamp {
    let End::Done(at) = end else { panic!("seed {seed}: {end:?}") };
    *at
}

/// A second route of the same channel.
fn beside(scene: &mut Scene, name: &str) -> RouteId {
    let id = now(scene.store.route_id(name)).unwrap();
    let route = Route { id, name: name.to_owned(), ..scene.routes[0].clone() };
    scene.routes.push(route);
    id
}

#[test]
fn two_routes_of_one_step_each_keep_their_own_limit_and_both_are_used() {
    for seed in seeds(3) {
        let mut scene = Scene::new(400, vec![campaign("both", |_| {})], &[Channel::Call], Script { latency_ms: 2_000, ..Script::rough(seed) });
        let (north, south) = (scene.routes[0].id, beside(&mut scene, "call-south"));
        scene.routes[0].limit = Some(per(30, SECOND));
        scene.routes[1].limit = Some(per(10, SECOND));
        in_order(seed, &scene.run(&mut scene.world(START), None));
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        memory.within_rate(per(30, SECOND), |d| d.route == north);
        memory.within_rate(per(10, SECOND), |d| d.route == south);
        let early = |route| memory.sends.iter().filter(|(at, d)| d.route == route && at.since(START) < 5 * SECOND).count();
        assert!(early(north) >= 140 && early(south) >= 45, "seed {seed}: {} and {} in five seconds", early(north), early(south));
    }
}

#[test]
fn a_campaign_limit_and_a_provider_limit_hold_over_all_their_routes() {
    for seed in seeds(3) {
        let campaigns = vec![campaign("narrow", |c| c.limits.rate = Some(per(12, SECOND))), campaign("wide", |_| {})];
        let mut scene = Scene::new(250, campaigns, &[Channel::Call], Script { latency_ms: 2_000, ..Script::rough(seed) });
        beside(&mut scene, "call-south");
        for route in &mut scene.routes {
            route.limit = Some(per(25, SECOND));
            route.provider = Some(("carrier".to_owned(), Some(per(40, SECOND))));
        }
        let narrow = now(scene.store.campaign("narrow", Some(false))).unwrap().id;
        in_order(seed, &scene.run(&mut scene.world(START), None));
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        memory.within_rate(per(40, SECOND), |_| true);
        memory.within_rate(per(12, SECOND), |d| d.touch.campaign == narrow);
        let early = memory.sends.iter().filter(|(at, _)| at.since(START) < 5 * SECOND).count();
        assert!(early >= 180, "seed {seed}: {early} in five seconds of a provider's 40/s");
    }
}

/// A text with a name in it: the same template is of one part for some and of three for others.
fn texts(name: &str, body: &str) -> Campaign {
    let text = Text { subject: None, body: Template::compile(body).unwrap() };
    campaign(name, |c| {
        c.steps = vec![step("text", Channel::Sms)];
        c.steps[0].content = vec![Variant { name: "a".to_owned(), weight: 1, texts: vec![("zh-CN".to_owned(), text)] }];
    })
}

#[test]
fn parts_of_long_texts_count_in_the_limit_and_in_the_ledger() {
    for (body, parts) in [("Dear {{ reference }}", 1), (&*"尊敬的客户，您的定期存款即将到期。".repeat(9), 3)] {
        let mut scene = Scene::new(120, vec![texts("parts", body)], &[Channel::Sms], Script { latency_ms: 100, ..Script::rough(1) });
        scene.routes[0].limit = Some(per(30, SECOND));
        in_order(1, &scene.run(&mut scene.world(START), None));
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        assert!(memory.sends.iter().all(|(_, d)| d.parts == parts), "{:?} is of {parts} parts", &body[..12]);
        let times: Vec<(Timestamp, u32)> = memory.sends.iter().map(|(at, d)| (*at, u32::from(d.parts))).collect();
        for (i, (from, _)) in times.iter().enumerate() {
            let sum: u32 = times[i..].iter().take_while(|(at, _)| at.since(*from) < SECOND).map(|(_, n)| n).sum();
            assert!(sum <= 30, "{sum} parts within a second from {from}");
        }
        let early: u32 = times.iter().filter(|(at, _)| at.since(START) < 3 * SECOND).map(|(_, n)| n).sum();
        assert!(early >= 80, "{early} parts in three seconds of 30/s");
    }
}

#[test]
fn a_limit_per_day_or_hour_holds_across_restarts() {
    for span in [SECOND, MINUTE, HOUR] {
        for n in (20..200).step_by(23) {
            let mut scene = Scene::new(200, vec![campaign("counted", |_| {})], &[Channel::Call], Script { latency_ms: 20, ..Script::kind(1) });
            beside(&mut scene, "call-south");
            for route in &mut scene.routes {
                route.limit = Some(per(20, span));
                route.provider = Some(("carrier".to_owned(), Some(per(30, span))));
            }
            let End::Cut(died_at) = scene.run(&mut scene.world(START), Some(n)) else { panic!("{n} steps are not in the middle") };
            let after = scene.after_a_kill();
            in_order(n, &after.run(&mut after.world(died_at.plus(20)), None));
            after.sums_close();
            let memory = after.memory.lock().unwrap();
            memory.within_rate(per(30, span), |_| true);
            for route in &after.routes {
                memory.within_rate(per(20, span), |d| d.route == route.id);
            }
        }
    }
}

#[test]
fn variants_are_shared_by_weight_and_stay_with_their_customer() {
    let ab = || {
        let text = |body: &str| vec![("en".to_owned(), Text { subject: None, body: Template::compile(body).unwrap() })];
        campaign("ab", |c| {
            c.steps = vec![step("text", Channel::Sms)];
            c.steps[0].content = vec![
                Variant { name: "short".to_owned(), weight: 3, texts: text("A {{ reference }}") },
                Variant { name: "long".to_owned(), weight: 1, texts: text("B {{ reference }}") },
            ];
        })
    };
    let mut first: HashMap<CustomerId, String> = HashMap::new();
    for seed in seeds(2) {
        let scene = Scene::new(400, vec![ab()], &[Channel::Sms], Script { no_answer: 50, ..Script::kind(seed) });
        in_order(seed, &scene.run(&mut scene.world(START), None));
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        assert!(memory.sends.len() > 500, "retries are part of it");
        for (_, d) in &memory.sends {
            let body = &d.message.as_ref().unwrap().body;
            let known = first.entry(d.touch.customer).or_insert_with(|| body.clone());
            assert_eq!(known, body, "seed {seed}: customer {} got both texts", d.touch.customer);
            let stored = now(scene.store.touch(d.touch)).unwrap().unwrap();
            assert_eq!(stored.variant, u8::from(body.starts_with('B')));
        }
    }
    let long = first.values().filter(|body| body.starts_with('B')).count();
    assert!((70..=130).contains(&long), "{long} of 400 for a weight of one in four");
}

/// Two roots with waits, a follow-up of each: every step once, at its time, one touch of a customer at a time.
#[test]
fn journeys_with_two_roots_and_waits_come_to_every_step_once() {
    let both = || {
        campaign("roots", |c| {
            c.steps = vec![step("call", Channel::Call), step("text", Channel::Sms), step("task", Channel::Worklist), step("mail", Channel::Email)];
            (c.steps[0].wait_ms, c.steps[1].wait_ms) = (2 * HOUR, HOUR);
            (c.steps[2].after, c.steps[3].after) = (Some(StepNo(0)), Some(StepNo(1)));
            c.steps[2].when = Some(Expression::compile(r#"state == "reached""#).unwrap());
            c.steps[3].wait_ms = 12 * HOUR;
            c.schedule.start = c.schedule.start.with_minute(0).unwrap();
        })
    };
    for seed in seeds(3) {
        let channels = [Channel::Call, Channel::Sms, Channel::Worklist, Channel::Email];
        let scene = Scene::new(60, vec![both()], &channels, Script { accepted: 20, ..Script::kind(seed) });
        in_order(seed, &scene.run(&mut scene.world(START), None));
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        for id in 1..=60 {
            let rows = now(scene.store.timeline(CustomerId(id))).unwrap();
            let steps: HashSet<StepNo> = rows.iter().filter(|r| r.started_at.is_some()).map(|r| r.step).collect();
            let reached = |step| rows.iter().any(|r| r.step == StepNo(step) && r.state == State::Reached);
            // What is in doubt leads no further; its agenda waits for the answer.
            if rows.iter().any(|r| r.state == State::Uncertain) {
                continue;
            }
            assert!([0, 1, 3].iter().all(|s| steps.contains(&StepNo(*s))), "seed {seed}: customer {id} came to {steps:?}");
            assert_eq!(steps.contains(&StepNo(2)), reached(0), "seed {seed}: customer {id}");
            let first = |step| rows.iter().filter(|r| r.step == StepNo(step)).filter_map(|r| r.started_at).min();
            assert!(first(1).unwrap().since(START) >= HOUR && first(0).unwrap().since(START) >= 2 * HOUR, "seed {seed}: customer {id}");
        }
        assert!(memory.sends.len() > 180);
    }
}

use chrono::Timelike;

#[test]
fn an_end_in_the_middle_calls_off_everybody_once() {
    for seed in seeds(4) {
        let ending = campaign("ending", |c| {
            c.schedule.end = c.schedule.start + chrono::Duration::seconds(40);
            c.steps[0].retry.insert(Reason::NoAnswer, 5 * SECOND);
            let mut text = step("text", Channel::Sms);
            text.after = Some(StepNo(0));
            c.steps.push(text);
        });
        let mut scene = Scene::new(300, vec![ending], &[Channel::Call, Channel::Sms], Script { latency_ms: 9_000, ..Script::rough(seed) });
        scene.routes[0].limit = Some(per(5, SECOND));
        let ends = scene.campaigns[0].schedule.ends_at();
        let mut world = scene.world(START).with_slow_store(delays(seed, 40));
        in_order(seed, &scene.run(&mut world, None));
        scene.all_closed();
        let counts = scene.counts("ending");
        assert!(counts[&State::Cancelled] > 90, "seed {seed}: {counts:?}");
        assert!(scene.memory.lock().unwrap().sends.iter().all(|(at, _)| *at < ends), "seed {seed}: sent after the end");
        assert_eq!(scene.status("ending"), Status::Finished);
    }
}

/// Where a made-up customer is, as the law sees it.
fn whereabouts(d: &Dispatch) -> Whereabouts {
    let index = usize::try_from(d.touch.customer.0 - 1).unwrap() % ZONES.len();
    ZONES[index].map_or(Whereabouts::CallingCode(86), Whereabouts::Zone)
}

#[test]
fn windows_hold_on_days_of_the_clocks_change_and_on_leap_days_in_every_zone() {
    // The nights of both changes in New York and Lisbon, and a leap day (the zones of the bank beside them run through).
    for (y, m, day) in [(2026, 3, 7), (2026, 3, 28), (2026, 10, 24), (2026, 10, 31), (2028, 2, 28)] {
        let start = chrono::NaiveDate::from_ymd_opt(y, m, day).unwrap().and_hms_opt(12, 0, 0).unwrap();
        let night = campaign("night", |c| {
            c.policy = vec!["us-tcpa-call".to_owned()];
            (c.schedule.start, c.schedule.end) = (start, start + chrono::Duration::days(3));
            c.steps[0].retry = BTreeMap::from([(Reason::NoAnswer, 50 * MINUTE)]);
            c.steps[0].attempts = 90;
        });
        let (law, starts) = (law(&night), night.schedule.starts_at());
        let scene = Scene::new(5, vec![night], &[Channel::Call], Script { no_answer: 100, ..Script::kind(1) });
        in_order(1, &scene.run(&mut scene.world(starts), None));
        scene.sums_close();
        let memory = scene.memory.lock().unwrap();
        let mut hours: BTreeMap<usize, HashSet<u32>> = BTreeMap::new();
        for (at, d) in &memory.sends {
            let verdict = law.window(*at, Channel::Call, whereabouts(d));
            assert!(matches!(verdict, WindowVerdict::Open { .. }), "{y}-{m}-{day}: {at} to customer {}: {verdict:?}", d.touch.customer);
            // Once more by the wall clock alone.
            let index = usize::try_from(d.touch.customer.0 - 1).unwrap() % ZONES.len();
            if let Some(zone) = ZONES[index] {
                let hour = at.utc().with_timezone(&zone).hour();
                assert!((8..21).contains(&hour), "{y}-{m}-{day}: {at} is {hour} o'clock in {zone}");
                hours.entry(index).or_default().insert(hour);
            }
        }
        for (index, hours) in &hours {
            assert!(hours.contains(&8) && hours.contains(&20), "{y}-{m}-{day}: the window of zone {index} is used to both edges: {hours:?}");
        }
    }
}

/// Opt-outs that come between the read of a page and its commit, and between a commit and the next step.
#[test]
fn an_opt_out_at_any_moment_is_heard_before_the_next_start() {
    for seed in seeds(10) {
        let scene = Scene::new(60, vec![campaign("heard", |c| c.limits.rate = Some(per(20, SECOND)))], &[Channel::Call], Script::kind(seed));
        let out: Mutex<HashMap<CustomerId, Timestamp>> = Mutex::default();
        let mut world = scene.world(START).with_slow_store(delays(seed, 400));
        let end = now(world.run(None, async |at, step| {
            // One customer after another, one every other step.
            let i = step / 2;
            if step % 2 == 0 && i < 60 && (i + seed) % 3 == 0 {
                let state = ConsentState::Withdrawn;
                let record = ConsentRecord { channel: Channel::Call, purpose: Purpose::Marketing, state, at, source: "keyword".to_owned() };
                scene.store.put_consents(&[(format!("c{i:05}"), record)], None).await.unwrap();
                out.lock().unwrap().insert(CustomerId(i64::try_from(i).unwrap() + 1), at);
            }
        }));
        in_order(seed, &end);
        scene.all_closed();
        let out = out.lock().unwrap();
        assert!(out.len() >= 19, "{} opted out", out.len());
        let mut stopped = 0;
        for (customer, at) in out.iter() {
            let rows = now(scene.store.timeline(*customer)).unwrap();
            stopped += usize::from(rows.iter().any(|r| r.reason == Reason::OptedOut));
            for touch in rows {
                assert!(touch.started_at.is_none_or(|started| started <= *at), "seed {seed}: {} started after the opt-out at {at}", touch.key);
            }
        }
        assert!(stopped > 3, "seed {seed}: {stopped} were stopped");
    }
}

#[test]
fn a_suppression_that_lapses_lets_the_next_step_through_and_not_before() {
    let two = campaign("lapse", |c| {
        let mut text = step("text", Channel::Sms);
        (text.after, text.wait_ms) = (Some(StepNo(0)), DAY);
        c.steps.push(text);
    });
    let scene = Scene::new(20, vec![two], &[Channel::Call, Channel::Sms], Script { no_answer: 0, ..Script::kind(1) });
    let until = |hours| SuppressionRecord {
        channel: Some(Channel::Sms),
        why: "mourning".to_owned(),
        at: START,
        until: Some(START.plus(hours * HOUR)),
        source: "branch".to_owned(),
    };
    let short: Vec<_> = (0..10).map(|i| (format!("c{i:05}"), until(if i < 5 { 20 } else { 30 }))).collect();
    now(scene.store.put_suppressions(&short, None)).unwrap();
    in_order(1, &scene.run(&mut scene.world(START), None));
    scene.all_closed();
    let memory = scene.memory.lock().unwrap();
    let texted: HashSet<i64> = memory.sends.iter().filter(|(_, d)| d.channel == Channel::Sms).map(|(_, d)| d.touch.customer.0).collect();
    assert_eq!(texted, (1..=5).chain(11..=20).collect::<HashSet<_>>(), "20 hours are over after a day, 30 are not");
}

/// The provider sends a touch once however often it gets it: after a kill what was in flight is sent again under the same name.
#[test]
fn an_idempotent_route_goes_on_after_a_kill_with_the_same_names() {
    let mut again = 0;
    for n in (5..80).step_by(5) {
        let mut scene = Scene::new(40, vec![campaign("push", |c| c.steps = vec![step("push", Channel::Push)])], &[Channel::Push], Script::kind(1));
        scene.routes[0].idempotent = true;
        scene.routes[0].limit = Some(per(20, SECOND));
        // What the provider has really sent, by our name.
        let sent: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let answer = {
            let sent = Arc::clone(&sent);
            move |d: &Dispatch, at: Timestamp, out: &mut Vec<_>| {
                *sent.lock().unwrap().entry(d.touch.to_string()).or_insert(0) += 1;
                out.push(said(d, at.plus(700), SendResult::Done { disposition: Reason::Delivered, connected_s: 0, cost_micros: None }));
            }
        };
        let mut world = scene.world_told(START, answer.clone());
        let End::Cut(died_at) = scene.run(&mut world, Some(n)) else { panic!("{n} steps are not in the middle") };
        let after = scene.after_a_kill();
        in_order(n, &after.run(&mut after.world_told(died_at.plus(MINUTE), answer), None));
        after.sums_close();
        assert_eq!(after.counts("push")[&State::Reached], 40, "killed after step {n}: nobody is left in doubt");
        let sent = sent.lock().unwrap();
        assert_eq!(sent.len(), 40, "one name a customer, whatever was sent again");
        again += sent.values().filter(|n| **n > 1).count();
    }
    assert!(again > 10, "only {again} were in flight at a kill");
}
