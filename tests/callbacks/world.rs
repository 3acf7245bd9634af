//! Holds in virtual time: who is held is contacted after the hold, not in it; lifted early, within a second of it.
use crate::support::scene::Scene;
use crate::support::*;
use std::sync::Arc;
use touchline::actors::conductor::Patience;
use touchline::actors::world::{End, World};
use touchline::domain::channel::Channel;
use touchline::domain::consent::HoldRecord;
use touchline::domain::ids::{CustomerId, StepNo};
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::touch::State;
use touchline::store::{ConsentList, Store, TouchLedger};

fn word(until: Option<Timestamp>, at: Timestamp) -> HoldRecord {
    HoldRecord { until, by: "rm-1".into(), why: "meeting".into(), at }
}

const WHO: CustomerId = CustomerId(7);

/// A world whose wishes are polled each second, as in the daemon.
fn world(scene: &Scene, at: Timestamp) -> World {
    let store: Arc<dyn Store> = Arc::clone(&scene.store) as Arc<dyn Store>;
    let mut setup = now(setup(store, &scene.campaigns, &scene.routes, at));
    setup.patience = Patience { poll_ms: SECOND, ..setup.patience };
    World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), at)
}

/// When the customer was contacted.
fn sends(scene: &Scene, channel: Channel) -> Vec<Timestamp> {
    scene.memory.lock().unwrap().sends.iter().filter(|(_, d)| d.touch.customer == WHO && d.channel == channel).map(|(at, _)| *at).collect()
}

#[test]
fn a_held_customer_is_contacted_after_the_hold_and_the_worklist_goes_on() {
    for seed in seeds(4) {
        let two = campaign("held", |c| c.steps.push(step("task", Channel::Worklist)));
        let scene = Scene::new(40, vec![two], &[Channel::Call, Channel::Worklist], Script::rough(seed));
        let until = START.plus(3 * HOUR);
        now(scene.store.hold(WHO, &word(Some(until), START.plus(-MINUTE)))).unwrap();
        let end = scene.run(&mut scene.world(START), None);
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let (calls, tasks) = (sends(&scene, Channel::Call), sends(&scene, Channel::Worklist));
        assert!(calls.iter().all(|at| *at >= until), "seed {seed}: called in the hold: {calls:?}");
        assert!(calls.first().is_some_and(|at| at.since(until) < MINUTE), "seed {seed}: called when the hold ends: {calls:?}");
        assert!(!tasks.is_empty(), "seed {seed}: the RM's own worklist is not held");
    }
}

#[test]
fn a_hold_in_the_middle_stops_the_retries_until_its_end() {
    for seed in seeds(4) {
        let scene = Scene::new(60, vec![campaign("retries", |_| {})], &[Channel::Call], Script { no_answer: 100, ..Script::kind(seed) });
        let (from, until) = (START.plus(30 * MINUTE), START.plus(5 * HOUR));
        let store = Arc::clone(&scene.store);
        let mut said = false;
        let end = now(scene.world(START).run(None, async |at, _| {
            if at >= from && !said {
                said = true;
                store.hold(WHO, &word(Some(until), at)).await.unwrap();
            }
        }));
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let calls = sends(&scene, Channel::Call);
        assert_eq!(calls.len(), 3, "seed {seed}: all three attempts are made, none is dropped: {calls:?}");
        assert!(calls.iter().all(|at| *at < from.plus(HOUR) && *at <= from || *at >= until), "seed {seed}: {calls:?}");
    }
}

#[test]
fn a_hold_that_is_lifted_early_is_over_within_a_second() {
    for seed in seeds(4) {
        let scene = Scene::new(40, vec![campaign("lifted", |_| {})], &[Channel::Call], Script { no_answer: 0, ..Script::kind(seed) });
        now(scene.store.hold(WHO, &word(Some(START.plus(2 * DAY)), START.plus(-MINUTE)))).unwrap();
        let lifted = START.plus(HOUR + 137);
        let (store, mut done) = (Arc::clone(&scene.store), None);
        let end = now(world(&scene, START).run(None, async |at, _| {
            if at >= lifted && done.is_none() {
                done = Some(at);
                assert_eq!(store.hold(WHO, &word(None, at)).await.unwrap(), None);
            }
        }));
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        scene.all_closed();
        let (calls, done) = (sends(&scene, Channel::Call), done.unwrap());
        assert_eq!(calls.len(), 1, "seed {seed}");
        assert!(calls[0] >= done && calls[0].since(done) <= SECOND, "seed {seed}: lifted at {done}, called at {}", calls[0]);
    }
}

#[test]
fn a_hold_beyond_the_end_is_counted_with_what_the_end_left() {
    let scene = Scene::new(20, vec![campaign("ends", |_| {})], &[Channel::Call], Script::kind(1));
    now(scene.store.hold(WHO, &word(Some(START.plus(60 * DAY)), START))).unwrap();
    let end = scene.run(&mut scene.world(START), None);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    scene.all_closed();
    assert!(sends(&scene, Channel::Call).is_empty());
    let run = now(scene.store.timeline(WHO)).unwrap().pop().unwrap();
    assert_eq!((run.state, run.reason, run.step), (State::Cancelled, Reason::CampaignEnded, StepNo(0)));
}
