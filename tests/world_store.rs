//! Simulations of a store that fails in the middle, and of rehearsals beside what is real.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use support::faulty::Faulty;
use support::scene::Scene;
use support::*;
use touchline::actors::running::Running;
use touchline::actors::world::{End, World};
use touchline::actors::{Note, conductor};
use touchline::channels::Dispatch;
use touchline::domain::campaign::{Campaign, Rate};
use touchline::domain::channel::Channel;
use touchline::domain::consent::SuppressionRecord;
use touchline::domain::expression::Expression;
use touchline::domain::ids::{CustomerId, StepNo};
use touchline::domain::outcome::{Reason, SendResult};
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::touch::State;
use touchline::store::{CampaignBook, ConsentList, LeaseTable, NewCampaign, Status, StatusChange, Store, TouchLedger};

fn in_order(seed: u64, end: &End) -> Timestamp {
    let End::Done(at) = end else { panic!("seed {seed}: {end:?}") };
    *at
}

fn journey() -> Campaign {
    campaign("faulty", |c| {
        let mut text = step("text", Channel::Sms);
        text.after = Some(StepNo(0));
        text.when = Some(Expression::compile(r#"outcome == "no_answer""#).unwrap());
        c.steps.push(text);
        c.schedule.cron = Some("0 0 9 * * *".to_owned());
        c.schedule.wave = Some(7);
    })
}

/// The store fails at every call in turn: the engine ends and says why, and the next process goes on where it stood.
#[test]
fn a_store_that_fails_ends_the_engine_and_a_restart_goes_on() {
    let mut failed = 0;
    for seed in seeds(2) {
        for n in 5.. {
            let script = Script { latency_ms: 5_000, ..Script::rough(seed) };
            let scene = Scene::new(12, vec![journey()], &[Channel::Call, Channel::Sms], script);
            let store = Arc::new(Faulty::new(Arc::clone(&scene.store), n));
            let end = scene.run(&mut scene.world_over(store, START).with_slow_store(delays(seed, 30)), None);
            let End::Fault(text) = end else {
                in_order(seed, &end);
                assert!(n > 40, "the campaign is too small to prove anything: {n} calls");
                break;
            };
            assert!(text.contains("the disk is gone"), "seed {seed}, call {n}: {text}");
            failed += 1;
            scene.sums_close();
            let last = scene.memory.lock().unwrap().sends.last().map_or(START, |(at, _)| *at);
            let after = scene.after_a_kill();
            in_order(seed, &after.run(&mut after.world(last.plus(MINUTE)), None));
            after.all_closed();
        }
    }
    assert!(failed > 80, "{failed} failures were played");
}

/// The whole campaign under stores of every slowness: calls overtake each other.
#[test]
fn a_slow_store_breaks_no_law_and_no_sum() {
    for seed in seeds(12) {
        let mut scene = Scene::new(80, vec![journey()], &[Channel::Call, Channel::Sms], Script { latency_ms: 700, ..Script::rough(seed) });
        scene.campaigns[0].schedule.wave = None;
        scene.routes[0].limit = Some(Rate { count: 20, per_ms: SECOND });
        let most = [5, 60, 900][usize::try_from(seed % 3).unwrap()];
        in_order(seed, &scene.run(&mut scene.world(START).with_slow_store(delays(seed, most)), None));
        scene.all_closed();
        scene.memory.lock().unwrap().within_rate(Rate { count: 20, per_ms: SECOND }, |d| d.channel == Channel::Call);
    }
}

#[test]
fn a_drain_before_anything_has_begun_ends_at_once() {
    let scene = Scene::new(10, vec![journey()], &[Channel::Call, Channel::Sms], Script::kind(1));
    for delay in [0, 20] {
        let mut world = scene.world(START).with_slow_store(delays(1, delay));
        world.tell(START, Note::Conductor(conductor::Input::Drain));
        let at = in_order(1, &scene.run(&mut world, None));
        assert!(at.since(START) < SECOND, "the drain took {} ms", at.since(START));
        now(scene.store.release(if delay == 0 { 1 } else { 2 })).unwrap();
    }
    assert!(scene.memory.lock().unwrap().sends.is_empty());
}

/// Days pass in a rehearsal. Real suppressions do not lapse by it, real receipts are not overdue, real orphans are nobody's.
#[test]
fn a_rehearsal_leaves_what_is_real_alone() {
    let texts = campaign("real", |c| c.steps = vec![step("text", Channel::Sms)]);
    let played = campaign("played", |c| c.schedule.end += chrono::Duration::days(10));
    let mut scene = Scene::new(10, vec![texts], &[Channel::Sms, Channel::Call], Script::kind(1));
    let why =
        SuppressionRecord { channel: None, why: "mourning".to_owned(), at: START, until: Some(START.plus(2 * DAY)), source: "branch".to_owned() };
    now(scene.store.put_suppressions(&[("c00002".to_owned(), why)], None)).unwrap();
    // Half of the texts are taken by the provider, half are in flight when the process dies.
    let answer = |d: &Dispatch, at: Timestamp, out: &mut Vec<_>| {
        let wait = if d.touch.customer.0 % 2 == 0 { 10 } else { HOUR };
        out.push(said(d, at.plus(wait), SendResult::Accepted { provider_ref: format!("p-{}", d.touch).into(), deadline: at.plus(5 * HOUR) }));
    };
    let mut world = scene.world_told(START, answer);
    let mut steps = 0;
    let end = now(world.run(None, async |at, step| {
        if at.since(START) < MINUTE {
            steps = step;
        }
    }));
    in_order(1, &end);
    // Once more, killed a minute in.
    scene = Scene { memory: Arc::default(), ..Scene::new(10, scene.campaigns, &[Channel::Sms, Channel::Call], scene.script) };
    let why =
        SuppressionRecord { channel: None, why: "mourning".to_owned(), at: START, until: Some(START.plus(2 * DAY)), source: "branch".to_owned() };
    now(scene.store.put_suppressions(&[("c00002".to_owned(), why)], None)).unwrap();
    assert!(matches!(scene.run(&mut scene.world_told(START, answer), Some(steps)), End::Cut(_)));
    let scene = scene.after_a_kill();
    let real = now(scene.store.campaign("real", Some(false))).unwrap().id;
    let before = now(scene.store.scan(real, None, 99)).unwrap();
    assert!(before.iter().filter(|t| t.state == State::Started).count() >= 8, "{before:?}");

    let rehearsed = now(rehearse(&scene, &played));
    let counts = now(scene.store.tallies(rehearsed)).unwrap().customers(10);
    assert_eq!(counts[&State::Reached] + counts[&State::Missed] + counts[&State::Suppressed], 10, "{counts:?}");
    assert_eq!(now(scene.store.scan(real, None, 99)).unwrap(), before, "the ledger of the real run");
    let suppressed = now(scene.store.contactability(CustomerId(3))).unwrap();
    assert!(suppressed.is_suppressed(Channel::Call), "the rehearsal's days lifted a real suppression");

    // The real run goes on afterwards: what was in flight is in doubt, what was taken gets its receipt or its deadline.
    let again: Arc<Mutex<HashMap<CustomerId, usize>>> = Arc::default();
    in_order(1, &scene.run(&mut scene.world(START.plus(HOUR)), None));
    scene.all_closed();
    assert!(again.lock().unwrap().is_empty());
    assert!(now(scene.store.touches(&before.iter().map(|t| t.key).collect::<Vec<_>>())).unwrap().iter().any(|t| t.reason == Reason::Interrupted));
}

async fn rehearse(scene: &Scene, played: &Campaign) -> touchline::domain::ids::CampaignId {
    let store: Arc<dyn Store> = Arc::clone(&scene.store) as Arc<dyn Store>;
    let list = store.list("all").await.unwrap();
    let law = Arc::new(law(played));
    let new = NewCampaign {
        name: played.name.clone(),
        rehearsal: true,
        source: played.source.clone(),
        hash: played.hash(),
        audience: list.id,
        list: list.id,
        currency: played.currency,
        by: "author".to_owned(),
        at: START,
    };
    let mut row = store.create_campaign(&new, touchline::domain::law::LawBook::rules(law.as_ref())).await.unwrap();
    for to in [Status::Approved, Status::Running] {
        let change = StatusChange { to, by: "approver".to_owned(), why: "test".to_owned(), at: START, reason: None };
        row = store.set_status(row.id, &change).await.unwrap();
    }
    let id = row.id;
    let mut setup = setup(Arc::clone(&store), &[], &scene.routes, START).await;
    setup.campaigns = vec![Arc::new(Running::new(row, played.clone(), law, Vec::new(), &scene.routes, setup.fence).unwrap())];
    let retry = |d: &Dispatch, at: Timestamp, out: &mut Vec<_>| {
        // Tried again every day, so that the rehearsal takes days.
        out.push(said(d, at.plus(SECOND), SendResult::NotSent { reason: Reason::NotSent, again_at: at.plus(DAY) }));
        if at.since(START) > 5 * DAY {
            out.pop();
            out.push(done(d, at.plus(SECOND), Reason::Answered, None));
        }
    };
    let mut world = World::new(&setup, told(&scene.routes, &Arc::default(), retry), START);
    let end = world.run(None, async |_, _| {}).await;
    let at = in_order(1, &end);
    assert!(at.since(START) > 4 * DAY, "the rehearsal was over too soon to prove anything");
    store.release(setup.fence).await.unwrap();
    id
}
