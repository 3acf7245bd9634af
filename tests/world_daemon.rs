//! The resident engine in virtual time: campaigns that are taken up, changed and let go while others run, receipts of runs that are
//! over, opt-outs of what is started and not sent. The seed is in every message; `TOUCHLINE_SEED=n` runs one alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use support::scene::Scene;
use support::*;
use touchline::actors::hosted::Setup;
use touchline::actors::perform::Loader;
use touchline::actors::running::{Route, Running};
use touchline::actors::world::{End, World};
use touchline::actors::{Note, channel, conductor};
use touchline::channels::CarrierEvent;
use touchline::domain::campaign::{Campaign, Rate};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose};
use touchline::domain::ids::{CampaignId, CustomerId, TouchKey};
use touchline::domain::money::{Currency, Money};
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::touch::State;
use touchline::store::{CampaignBook, ConsentList, LeaseTable, Status, Store, TouchLedger};

const fn per_second(count: u32) -> Option<Rate> {
    Some(Rate { count, per_ms: SECOND })
}

/// Two routes for calls, `call-main` and `call-other`.
fn two_routes(scene: &mut Scene) {
    let other = Route { id: now(scene.store.route_id("call-other")).unwrap(), name: "call-other".to_owned(), ..scene.routes[0].clone() };
    scene.routes.push(other);
}

fn running(scene: &Scene, campaign: &Campaign, fence: i64) -> Arc<Running> {
    let row = now(scene.store.campaign(&campaign.name, Some(false))).unwrap();
    let waves = now(scene.store.waves(row.id)).unwrap();
    Arc::new(Running::new(row, campaign.clone(), Arc::new(law(campaign)), waves, &scene.routes, fence).unwrap())
}

/// As the daemon loads a run that it does not hold.
fn loader(scene: &Scene, fence: i64) -> Loader {
    let (store, campaigns) = (Arc::clone(&scene.store), scene.campaigns.clone());
    Arc::new(move |id| {
        let row = now(store.campaign_by_id(id)).unwrap();
        let campaign = campaigns.iter().find(|c| c.name == row.name).unwrap().clone();
        let law = Arc::new(law(&campaign));
        Box::pin(async move { Ok(Some(Arc::new(Running::at_rest(row, campaign, law, fence)))) })
    })
}

/// A resident engine over the scene that begins with the first `n` of its campaigns.
fn resident(scene: &Scene, n: usize, at: Timestamp) -> Setup {
    let store: Arc<dyn Store> = Arc::clone(&scene.store) as Arc<dyn Store>;
    let setup = now(setup(store, &scene.campaigns[..n], &scene.routes, at));
    Setup { resident: true, load: Some(loader(scene, setup.fence)), ..setup }
}

fn adopt(scene: &Scene, world: &mut World, at: Timestamp, campaign: &Campaign, fence: i64) {
    if !scene.status(&campaign.name).is_closed() {
        world.tell(at, Note::Conductor(conductor::Input::Adopt(running(scene, campaign, fence))));
    }
}

fn drain(world: &mut World, at: Timestamp) {
    world.tell(at, Note::Conductor(conductor::Input::Drain));
}

/// Every send after `since` finds no more than the rate in the span before it, whoever sent it.
fn within_since(memory: &Memory, seed: u64, rate: Rate, id: CampaignId, since: Timestamp) {
    let sends: Vec<Timestamp> = memory.sends.iter().filter(|(_, d)| d.touch.campaign == id).map(|(at, _)| *at).collect();
    for (i, at) in sends.iter().enumerate().filter(|(_, at)| **at > since) {
        let before = sends[..=i].iter().rev().take_while(|t| at.since(**t) < rate.per_ms).count();
        assert!(before <= rate.count as usize, "seed {seed}: {before} in {} ms up to {at}", rate.per_ms);
    }
}

fn three() -> Vec<Campaign> {
    ["first", "second", "third"].map(|name| campaign(name, |c| c.limits.rate = per_second(5))).to_vec()
}

/// The first is there from the start, the second comes while the engine starts, the third in the midst of it.
fn three_world(scene: &Scene, at: Timestamp) -> World {
    let initial = usize::from(!scene.status("first").is_closed());
    let setup = resident(scene, initial, at);
    let fence = setup.fence;
    let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), at);
    for (campaign, late) in scene.campaigns.iter().skip(1).zip([0, 4 * SECOND]) {
        adopt(scene, &mut world, at.plus(late), campaign, fence);
        adopt(scene, &mut world, at.plus(late), campaign, fence);
    }
    drain(&mut world, START.plus(8 * DAY));
    world
}

#[test]
fn campaigns_are_adopted_while_others_run() {
    for seed in seeds(4) {
        let scene = Scene::new(60, three(), &[Channel::Call], Script::rough(seed));
        let mut world = three_world(&scene, START).with_slow_store(delays(seed, 40));
        let end = scene.run(&mut world, None);
        assert!(matches!(end, End::Done(at) if at >= START.plus(8 * DAY)), "seed {seed}: a resident engine stays until it is drained: {end:?}");
        scene.all_closed();
        for name in ["first", "second", "third"] {
            assert_eq!(scene.status(name), Status::Finished, "seed {seed}: {name}");
            let id = now(scene.store.campaign(name, Some(false))).unwrap().id;
            within_since(&scene.memory.lock().unwrap(), seed, per_second(5).unwrap(), id, START);
        }
        assert!(world.standing().routes.is_empty(), "seed {seed}: {}", world.standing());
    }
}

#[test]
fn whatever_step_it_dies_after_adopted_campaigns_go_on() {
    for seed in seeds(2) {
        for n in 1.. {
            let scene = Scene::new(4, three(), &[Channel::Call], Script { latency_ms: 4_000, ..Script::rough(seed) });
            let mut first = three_world(&scene, START);
            let End::Cut(died_at) = scene.run(&mut first, Some(n)) else {
                assert!(n > 100, "seed {seed}: too small to prove anything: {n} steps");
                break;
            };
            if died_at >= START.plus(7 * DAY) {
                break;
            }
            let after = scene.after_a_kill();
            after.sums_close();
            let end = after.run(&mut three_world(&after, died_at.plus(MINUTE)), None);
            assert!(matches!(end, End::Done(_)), "seed {seed}, killed after step {n}: {end:?}");
            after.all_closed();
        }
    }
}

/// Pace halved, the other route, an earlier end, a smaller budget.
fn revised(c: &Campaign) -> Campaign {
    let mut c = c.clone();
    c.limits.rate = per_second(10);
    c.limits.budget = Some(Money { minor: 100_000, currency: Currency::CNY });
    c.steps[0].routes = vec!["call-other".to_owned()];
    c.schedule.end = c.schedule.end.checked_sub_signed(chrono::Duration::days(1)).unwrap();
    c.source.push_str(", revised");
    c
}

fn fast() -> Campaign {
    campaign("changed", |c| {
        c.limits.rate = per_second(20);
        c.steps[0].routes = vec!["call-main".to_owned()];
    })
}

fn revise(scene: &Scene, world: &mut World, at: Timestamp, campaign: &Campaign, fence: i64) {
    world.tell(at, Note::Conductor(conductor::Input::Revise(running(scene, campaign, fence))));
}

#[test]
fn a_revision_in_mid_flight_loses_and_repeats_nobody_and_holds_from_then_on() {
    for seed in seeds(3) {
        // Without and with a store that takes its time.
        for slow in [0, 60] {
            let beside = campaign("beside", |_| {});
            let mut scene = Scene::new(400, vec![fast(), beside], &[Channel::Call], Script { latency_ms: 20_000, ..Script::rough(seed) });
            two_routes(&mut scene);
            scene.routes[0].limit = per_second(30);
            let setup = resident(&scene, 2, START);
            let (id, routes) = (setup.campaigns[0].id, [scene.routes[0].id, scene.routes[1].id]);
            let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START).with_slow_store(delays(seed, slow));
            let (when, new) = (START.plus(7 * SECOND + 300), revised(&scene.campaigns[0]));
            revise(&scene, &mut world, when, &new, setup.fence);
            drain(&mut world, START.plus(8 * DAY));
            let end = scene.run(&mut world, None);
            assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
            scene.all_closed();
            assert_eq!(scene.status("changed"), Status::Finished, "seed {seed}");
            let memory = scene.memory.lock().unwrap();
            let of = |route| memory.sends.iter().filter(move |(_, d)| d.touch.campaign == id && d.route == route);
            // What was being decided is given back too: nothing goes the old way once the new version has come to the campaign.
            assert!(of(routes[0]).all(|(at, _)| *at <= when.plus(1)), "seed {seed}: a send by the old route after the revision");
            assert!(of(routes[0]).count() > 80 && of(routes[1]).count() > 200, "seed {seed}: both versions have sent");
            let first_new = of(routes[1]).next().unwrap().0;
            within_since(&memory, seed, per_second(10).unwrap(), id, first_new.plus(-1));
            memory.within_rate(per_second(20).unwrap(), |d| d.touch.campaign == id);
            // It goes on at once and at the new pace, while what the old version sent is still answered.
            let next = of(routes[1]).filter(|(at, _)| at.since(when) < 20 * SECOND).count();
            assert!((150..=200).contains(&next), "seed {seed}: {next} in 20 s at 10/s");
            let ends_at = new.schedule.ends_at();
            assert!(memory.sends.iter().all(|(at, d)| d.touch.campaign != id || *at < ends_at), "seed {seed}: a send after the new end");
        }
    }
}

#[test]
fn whatever_step_it_dies_after_a_revised_campaign_goes_on() {
    for seed in seeds(2) {
        for n in 1.. {
            let mut scene = Scene::new(8, vec![fast()], &[Channel::Call], Script { latency_ms: 4_000, ..Script::rough(seed) });
            two_routes(&mut scene);
            scene.campaigns[0].limits.rate = per_second(4);
            let when = START.plus(600);
            let setup = resident(&scene, 1, START);
            let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START).with_slow_store(delays(seed, 30));
            let new = revised(&scene.campaigns[0]);
            revise(&scene, &mut world, when, &new, setup.fence);
            drain(&mut world, START.plus(8 * DAY));
            let end = scene.run(&mut world, Some(n));
            let died_at = match end {
                End::Cut(at) if at < START.plus(5 * DAY) => at,
                _ => {
                    assert!(n > 60, "seed {seed}: too small to prove anything: {n} steps, {end:?}");
                    break;
                }
            };
            let mut after = scene.after_a_kill();
            if died_at >= when {
                after.campaigns[0] = new;
            }
            after.sums_close();
            let again = died_at.plus(MINUTE);
            let setup = resident(&after, usize::from(!after.status("changed").is_closed()), again);
            let mut world = World::new(&setup, carriers(&after.routes, after.script, &after.memory), again);
            drain(&mut world, START.plus(8 * DAY));
            let end = after.run(&mut world, None);
            assert!(matches!(end, End::Done(_)), "seed {seed}, killed after step {n}: {end:?}");
            after.all_closed();
        }
    }
}

#[test]
fn a_revision_at_any_moment_and_many_of_them() {
    for seed in seeds(3) {
        for first in (0..3_000).step_by(170) {
            let mut scene = Scene::new(40, vec![fast()], &[Channel::Call], Script { latency_ms: 1_500, ..Script::rough(seed) });
            two_routes(&mut scene);
            let setup = resident(&scene, 1, START);
            let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START).with_slow_store(delays(seed, 90));
            let (old, new) = (scene.campaigns[0].clone(), revised(&scene.campaigns[0]));
            for (i, version) in [&new, &old, &new, &old, &new].into_iter().enumerate() {
                let after = i64::try_from(i).unwrap() * 110;
                revise(&scene, &mut world, START.plus(first + after), version, setup.fence);
            }
            drain(&mut world, START.plus(8 * DAY));
            let end = scene.run(&mut world, None);
            assert!(matches!(end, End::Done(_)), "seed {seed}, from {first} ms: {end:?}");
            scene.all_closed();
            assert_eq!(scene.status("changed"), Status::Finished, "seed {seed}, from {first} ms");
        }
    }
}

#[test]
fn a_budget_that_is_raised_lets_a_held_up_campaign_go_on_and_a_wave_is_cut() {
    let poor = campaign("poor", |c| {
        c.limits.budget = Some(Money { minor: 200, currency: Currency::CNY });
        c.limits.rate = per_second(2);
    });
    let waved = campaign("waved", |c| {
        c.schedule.cron = Some("0 0 10 * * *".to_owned());
        c.schedule.wave = Some(60);
        c.limits.rate = per_second(1);
    });
    let scene = Scene::new(100, vec![poor, waved], &[Channel::Call], Script { no_answer: 0, latency_ms: 1_000, ..Script::kind(1) });
    let setup = resident(&scene, 2, START);
    let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START);
    let mut rich = scene.campaigns[0].clone();
    rich.limits.budget = Some(Money { minor: 100_000, currency: Currency::CNY });
    let mut smaller = scene.campaigns[1].clone();
    smaller.schedule.wave = Some(15);
    // A touch is reserved at 0.05: the budget of 2.00 ends after twenty seconds; the wave of ten o'clock has taken ten by then.
    revise(&scene, &mut world, START.plus(10 * SECOND), &rich, setup.fence);
    revise(&scene, &mut world, START.plus(HOUR + 10 * SECOND), &smaller, setup.fence);
    drain(&mut world, START.plus(10 * DAY));
    let end = scene.run(&mut world, None);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    scene.sums_close();
    assert_eq!(scene.status("poor"), Status::Finished);
    assert_eq!(scene.counts("poor")[&State::Reached], 100);
    let id = setup.campaigns[1].id;
    let memory = scene.memory.lock().unwrap();
    let on_day = |day: i64| memory.sends.iter().filter(|(at, d)| d.touch.campaign == id && at.since(START).div_euclid(DAY) == day).count();
    assert!((24..=28).contains(&on_day(0)), "about ten of the old wave and fifteen more: {}", on_day(0));
    assert_eq!([on_day(1), on_day(2), on_day(3)], [15, 15, 15]);
}

#[test]
fn a_pace_per_day_that_comes_by_revision_counts_what_was_sent_before() {
    for seed in seeds(2) {
        let scene = Scene::new(200, vec![campaign("daily", |c| c.limits.rate = per_second(2))], &[Channel::Call], Script::kind(seed));
        let setup = resident(&scene, 1, START);
        let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START);
        let daily = Rate { count: 50, per_ms: DAY };
        let mut new = scene.campaigns[0].clone();
        new.limits.rate = Some(daily);
        let when = START.plus(15 * SECOND);
        revise(&scene, &mut world, when, &new, setup.fence);
        drain(&mut world, START.plus(8 * DAY));
        assert!(matches!(scene.run(&mut world, None), End::Done(_)), "seed {seed}");
        scene.all_closed();
        let memory = scene.memory.lock().unwrap();
        within_since(&memory, seed, daily, setup.campaigns[0].id, when);
        let first_day = memory.sends.iter().filter(|(at, _)| at.since(START) < DAY).count();
        assert!((45..=50).contains(&first_day), "seed {seed}: {first_day} on the first day");
    }
}

fn key(id: CampaignId, customer: i64, seq: u32) -> TouchKey {
    TouchKey { campaign: id, customer: CustomerId(customer), seq }
}

#[test]
fn receipts_of_runs_that_are_not_held_are_applied_and_start_nothing() {
    for seed in seeds(3) {
        let quiet = campaign("over", |c| c.steps = vec![step("text", Channel::Sms)]);
        let waiting = campaign("waiting", |c| c.steps = vec![step("text", Channel::Sms)]);
        let scene = Scene::new(30, vec![quiet, waiting], &[Channel::Sms], Script::kind(seed));
        // Everything is taken by the provider, and no receipt comes in time.
        let first = resident(&scene, 2, START);
        let ids = [first.campaigns[0].id, first.campaigns[1].id];
        let taken_all = |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>| out.push(taken(d, at.plus(50)));
        let mut world = World::new(&first, told(&scene.routes, &scene.memory, taken_all), START);
        drain(&mut world, START.plus(10 * SECOND));
        assert!(matches!(scene.run(&mut world, None), End::Done(_)), "seed {seed}");
        now(scene.store.release(first.fence)).unwrap();
        // A later process holds the first only; it comes to its end with everybody in doubt.
        let again = START.plus(MINUTE);
        let second = resident(&scene, 1, again);
        let mut world = World::new(&second, told(&scene.routes, &scene.memory, taken_all), again).with_slow_store(delays(seed, 30));
        let (soon, over) = (START.plus(2 * MINUTE), START.plus(8 * DAY));
        let route = scene.routes[0].id;
        let say = |at, id, customer, disposition, with_name| {
            let dispatch = scene.memory.lock().unwrap().sends.iter().find(|(_, d)| d.touch == key(id, customer, 0)).unwrap().1.clone();
            Note::Channel(route, channel::Input::Events(vec![receipt(&dispatch, at, disposition, with_name).1]))
        };
        for customer in 1..=20 {
            // Twice, and a late "not delivered" that changes nothing.
            world.tell(over.plus(customer), say(over, ids[0], customer, Reason::Delivered, customer % 2 == 0));
            world.tell(over.plus(customer + 100), say(over, ids[0], customer, Reason::Delivered, true));
            world.tell(over.plus(customer + 200), say(over, ids[0], customer, Reason::Undelivered, false));
        }
        // The other is not held at all: a retry is scheduled, and waits for whoever takes it up.
        for customer in 1..=10 {
            world.tell(soon, say(soon, ids[1], customer, Reason::Undelivered, customer % 2 == 0));
            world.tell(soon, say(soon, ids[1], customer + 10, Reason::Delivered, false));
        }
        let sent = scene.memory.lock().unwrap().sends.len();
        drain(&mut world, over.plus(MINUTE));
        assert!(matches!(scene.run(&mut world, None), End::Done(_)), "seed {seed}");
        scene.sums_close();
        assert_eq!(scene.status("over"), Status::Finished, "seed {seed}");
        let counts = scene.counts("over");
        assert_eq!((counts[&State::Reached], counts[&State::Uncertain]), (20, 10), "seed {seed}: {counts:?}");
        let counts = scene.counts("waiting");
        assert_eq!((counts[&State::Reached], counts[&State::Scheduled]), (10, 10), "seed {seed}: {counts:?}");
        assert_eq!(scene.memory.lock().unwrap().sends.len(), sent, "seed {seed}: a receipt starts nothing");
        let receipts = now(scene.store.receipts(key(ids[0], 3, 0))).unwrap();
        assert_eq!(receipts.iter().filter(|r| r.applied).count(), 1, "seed {seed}: {receipts:?}");
        assert_eq!(receipts.len(), 3, "seed {seed}: all are kept");
    }
}

/// An opt-out that is committed holds also for what is started and waits in a route for a slow pace.
#[test]
fn what_waits_in_a_route_is_withdrawn_with_its_customer() {
    let mut waited = 0;
    for seed in seeds(6) {
        for slow in [0, 80] {
            // Six a minute: what is asked for waits up to ten seconds; at two a second, and for lower priorities, some seconds.
            let six = Some(Rate { count: 6, per_ms: MINUTE });
            let pace = |name, rate, priority| {
                campaign(name, |c| {
                    c.limits.rate = rate;
                    c.priority = priority;
                })
            };
            let campaigns = vec![pace("slow", six, 5), pace("steady", per_second(2), 5), pace("later", None, 1)];
            let mut scene = Scene::new(120, campaigns, &[Channel::Call], Script::rough(seed));
            scene.routes[0].limit = per_second(3);
            let setup = resident(&scene, 3, START);
            let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START).with_slow_store(delays(seed, slow));
            drain(&mut world, START.plus(8 * DAY));
            let moment = START.plus(20 * SECOND + i64::try_from(seed).unwrap() * 777);
            for n in 1.. {
                assert!(matches!(now(world.run(Some(n), async |_, _| {})), End::Cut(_)), "seed {seed}");
                if world.now() >= moment {
                    break;
                }
            }
            // Half of the customers opt out. Their word is committed, and then told to the engine.
            let at = world.now();
            let out_of = |i: i64| (i * 7_919 + i64::try_from(seed).unwrap() * 31) % 13 < 7;
            let is_out = |id: CustomerId| out_of(id.0);
            let out = |i| {
                let state = ConsentState::Withdrawn;
                let consent = ConsentRecord { channel: Channel::Call, purpose: Purpose::Marketing, state, at, source: "keyword".to_owned() };
                (format!("c{i:05}"), consent)
            };
            now(scene.store.put_consents(&(0..120).filter(|i| out_of(i + 1)).map(out).collect::<Vec<_>>(), None)).unwrap();
            let sent: HashSet<TouchKey> = scene.memory.lock().unwrap().sends.iter().map(|(_, d)| d.touch).collect();
            for campaign in &setup.campaigns {
                let touches = now(scene.store.scan(campaign.id, None, 1_000)).unwrap();
                waited += touches.iter().filter(|t| t.state == State::Started && is_out(t.key.customer) && !sent.contains(&t.key)).count();
            }
            let who: HashSet<CustomerId> = (1..=120).map(CustomerId).filter(|id| is_out(*id)).collect();
            world.tell(at, Note::Conductor(conductor::Input::Withdrawn(Arc::new(who))));
            let end = scene.run(&mut world, None);
            assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
            scene.all_closed();
            let memory = scene.memory.lock().unwrap();
            for (sent_at, d) in &memory.sends {
                assert!(*sent_at <= at || !is_out(d.touch.customer), "seed {seed}: {} was sent at {sent_at}, after the opt-out of {at}", d.touch);
            }
            assert!(memory.sends.iter().filter(|(sent_at, _)| *sent_at > at).count() > 80, "seed {seed}: the others go on");
        }
    }
    assert!(waited > 20, "only {waited} were started and not sent when their customers opted out");
}

/// A campaign is let go in mid-flight and taken up again later, by the same engine; a drain then names what it waits for.
#[test]
fn what_is_let_go_goes_on_when_it_is_taken_up_again_and_a_drain_says_what_it_waits_for() {
    for seed in seeds(3) {
        let scene = Scene::new(200, vec![fast(), campaign("beside", |_| {})], &[Channel::Call], Script { latency_ms: 20_000, ..Script::rough(seed) });
        let setup = resident(&scene, 2, START);
        let (id, fence) = (setup.campaigns[0].id, setup.fence);
        let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), START).with_slow_store(delays(seed, 40));
        let (let_go, again) = (START.plus(3 * SECOND), START.plus(2 * MINUTE));
        world.tell(let_go, Note::Conductor(conductor::Input::Release(id)));
        let mut steps = 0;
        let mut run_to = |world: &mut World, at: Timestamp| {
            while world.now() < at {
                steps += 1;
                assert!(matches!(now(world.run(Some(steps), async |_, _| {})), End::Cut(_)), "seed {seed}");
            }
        };
        run_to(&mut world, let_go.plus(40 * SECOND));
        assert_eq!(world.standing().campaigns, [setup.campaigns[1].id], "seed {seed}: {}", world.standing());
        let sent = |after: Timestamp| scene.memory.lock().unwrap().sends.iter().filter(|(at, d)| d.touch.campaign == id && *at > after).count();
        assert_eq!(sent(let_go.plus(1)), 0, "seed {seed}: a send of a campaign that was let go");
        adopt(&scene, &mut world, again, &scene.campaigns[0], fence);
        run_to(&mut world, again.plus(5 * SECOND));
        assert!(sent(again) > 50, "seed {seed}: it goes on");
        let drained_at = world.now();
        drain(&mut world, drained_at);
        run_to(&mut world, drained_at.plus(100));
        let standing = world.standing();
        assert!(standing.phase.is_draining() && standing.quieting.contains(&id), "seed {seed}: {standing}");
        assert!(standing.to_string().contains("route call-main: ") && standing.routes[0].load.in_flight > 50, "seed {seed}: {standing}");
        assert!(matches!(scene.run(&mut world, None), End::Done(_)), "seed {seed}");
        scene.sums_close();
        now(scene.store.release(fence)).unwrap();
        let setup = resident(&scene, 2, again.plus(HOUR));
        let mut world = World::new(&setup, carriers(&scene.routes, scene.script, &scene.memory), again.plus(HOUR));
        drain(&mut world, START.plus(8 * DAY));
        assert!(matches!(scene.run(&mut world, None), End::Done(_)), "seed {seed}");
        scene.all_closed();
    }
}
