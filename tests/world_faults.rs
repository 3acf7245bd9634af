//! Simulations of what can go wrong between the machines: notes that cross, stores that are slow, answers that come too early
//! or too late, ends that come in the middle. Each was a fault of the engine once, or is a near miss of one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use support::scene::Scene;
use support::*;
use touchline::actors::world::End;
use touchline::actors::{Note, campaign, conductor};
use touchline::domain::campaign::{Campaign, Rate};
use touchline::domain::channel::Channel;
use touchline::domain::ids::{CustomerId, StepNo};
use touchline::domain::law::{LawBook, Whereabouts, WindowVerdict};
use touchline::domain::money::{Currency, Money};
use touchline::domain::outcome::{Reason, SendResult};
use touchline::domain::tally::Tally;
use touchline::domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use touchline::domain::touch::State;
use touchline::store::{CampaignBook, LeaseTable, Status, TouchLedger, Wanted};

fn per_second(count: u32) -> Option<Rate> {
    Some(Rate { count, per_ms: SECOND })
}

fn in_order(seed: u64, end: &End) -> Timestamp {
    let End::Done(at) = end else { panic!("seed {seed}: {end:?}") };
    *at
}

#[test]
fn a_touch_that_waits_in_a_route_past_its_window_is_not_sent() {
    // Ten seconds before nine in the evening in New York; it is day in Shanghai and Apia. The queue holds touches of all three.
    let edge = START.plus(HOUR);
    let mut late = 0;
    for seed in seeds(8) {
        let lawful = campaign("edge", |c| c.policy = vec!["us-tcpa-call".to_owned()]);
        let law = law(&lawful);
        let mut scene = Scene::new(300, vec![lawful], &[Channel::Call], Script { latency_ms: 500, ..Script::kind(seed) });
        scene.routes[0].limit = per_second(5);
        let from = edge.plus(-10 * SECOND - 137 * i64::try_from(seed).unwrap());
        in_order(seed, &scene.run(&mut scene.world(from), None));
        scene.all_closed();
        for (at, d) in &scene.memory.lock().unwrap().sends {
            let index = usize::try_from(d.touch.customer.0 - 1).unwrap() % ZONES.len();
            let whereabouts = ZONES[index].map_or(Whereabouts::CallingCode(86), Whereabouts::Zone);
            let verdict = law.window(*at, Channel::Call, whereabouts);
            assert!(matches!(verdict, WindowVerdict::Open { .. }), "seed {seed}: {at} to customer {}: {verdict:?}", d.touch.customer);
            late += usize::from(index == 1 && at.since(edge).abs() < 5 * SECOND);
        }
    }
    assert!(late > 10, "the edge was not played at: {late} calls to New York close to it");
}

/// Pauses at many moments while the store answers late: nothing leaves the house after the pause, and nobody is lost.
#[test]
fn a_pause_holds_at_once_whatever_is_under_way() {
    for seed in seeds(25) {
        let mut scene = Scene::new(60, vec![campaign("held", |_| {})], &[Channel::Call], Script { latency_ms: 400, ..Script::rough(seed) });
        scene.routes[0].limit = per_second(40);
        let id = now(scene.store.campaign("held", Some(false))).unwrap().id;
        let mut world = scene.world(START).with_slow_store(delays(seed, 60));
        let control = |wanted| Note::Campaign(id, campaign::Input::Control(wanted));
        // The engine is up after a quarter of a second at the latest; wishes before that stand in the campaign's row.
        let pause = START.plus(250 + 53 * i64::try_from(seed).unwrap());
        let resume = pause.plus(HOUR);
        world.tell(pause, control(Wanted::Pause));
        world.tell(resume, control(Wanted::Run));
        in_order(seed, &scene.run(&mut world, None));
        scene.all_closed();
        let sends = &scene.memory.lock().unwrap().sends;
        if let Some((at, d)) = sends.iter().find(|(at, _)| *at > pause && *at < resume) {
            panic!("seed {seed}: {} left at {at}, {} ms after the pause", d.touch, at.since(pause));
        }
    }
}

#[test]
fn a_drain_at_any_moment_loses_and_repeats_nobody() {
    for seed in seeds(25) {
        let mut scene =
            Scene::new(60, vec![campaign("drained", |_| {})], &[Channel::Call], Script { latency_ms: 400, unknown: 0, ..Script::rough(seed) });
        scene.routes[0].limit = per_second(40);
        let mut world = scene.world(START).with_slow_store(delays(seed, 60));
        let drain = START.plus(53 * (i64::try_from(seed).unwrap() - 1));
        world.tell(drain, Note::Conductor(conductor::Input::Drain));
        let at = in_order(seed, &scene.run(&mut world, None));
        assert!(at.since(drain) < 10 * SECOND, "seed {seed}: the drain took {} ms", at.since(drain));
        assert_eq!(scene.counts("drained")[&State::Uncertain], 0, "seed {seed}: a drain leaves nothing in doubt");
        now(scene.store.release(1)).unwrap();
        let mut world = scene.world(at.plus(MINUTE)).with_slow_store(delays(seed, 60));
        in_order(seed, &scene.run(&mut world, None));
        scene.all_closed();
    }
}

#[test]
fn a_pause_and_a_resume_between_two_processes_are_heard() {
    let scene = Scene::new(40, vec![campaign("between", |c| c.limits.rate = per_second(2))], &[Channel::Call], Script::kind(1));
    let id = now(scene.store.campaign("between", Some(false))).unwrap().id;
    let mut world = scene.world(START);
    world.tell(START.plus(5 * SECOND), Note::Campaign(id, campaign::Input::Control(Wanted::Pause)));
    now(scene.store.set_wanted(id, Wanted::Pause, "desk", "look", START)).unwrap();
    world.tell(START.plus(MINUTE), Note::Conductor(conductor::Input::Drain));
    let at = in_order(1, &scene.run(&mut world, None));
    assert_eq!(scene.status("between"), Status::Paused);
    now(scene.store.release(1)).unwrap();
    // The wish changes while nobody runs the campaign.
    now(scene.store.set_wanted(id, Wanted::Run, "desk", "seen", at)).unwrap();
    in_order(1, &scene.run(&mut scene.world(at.plus(MINUTE)), None));
    scene.all_closed();
    let counts = scene.counts("between");
    assert_eq!(counts[&State::Cancelled] + counts[&State::Expired], 0, "it went on to its end: {counts:?}");
    assert_eq!(scene.status("between"), Status::Finished);

    // And the other way round: a pause wished for while nobody runs the campaign is heard before the first touch.
    let scene = Scene::new(40, vec![campaign("between", |_| {})], &[Channel::Call], Script::kind(1));
    let id = now(scene.store.campaign("between", Some(false))).unwrap().id;
    now(scene.store.set_wanted(id, Wanted::Pause, "desk", "look", START)).unwrap();
    let mut world = scene.world(START);
    world.tell(START.plus(MINUTE), Note::Conductor(conductor::Input::Drain));
    in_order(1, &scene.run(&mut world, None));
    assert_eq!((scene.memory.lock().unwrap().sends.len(), scene.status("between")), (0, Status::Paused));
}

#[test]
fn a_wave_takes_its_share_once_although_the_process_dies_in_it() {
    for n in (1..60).step_by(3) {
        let waved = campaign("waves", |c| {
            c.schedule.cron = Some("0 0 10 * * *".to_owned());
            c.schedule.wave = Some(50);
            c.limits.rate = per_second(20);
        });
        let scene = Scene::new(180, vec![waved], &[Channel::Call], Script { no_answer: 0, latency_ms: 900, ..Script::kind(1) });
        let end = scene.run(&mut scene.world(START), Some(n));
        let End::Cut(died_at) = end else { panic!("{n} steps: {end:?}") };
        let after = scene.after_a_kill();
        in_order(n, &after.run(&mut after.world(died_at.plus(MINUTE)), None));
        after.all_closed();
        let row = now(after.store.campaign("waves", Some(false))).unwrap();
        let mut by_day = std::collections::BTreeMap::new();
        for id in 1..=180 {
            let first = now(after.store.timeline(CustomerId(id))).unwrap().into_iter().find(|t| t.key.campaign == row.id).unwrap();
            *by_day.entry(first.started_at.unwrap().since(START) / DAY).or_insert(0) += 1;
        }
        assert_eq!(by_day.into_values().collect::<Vec<_>>(), [50, 50, 50, 30], "killed after step {n}");
    }
}

/// Every call reserves its longest; most cost a hundredth of that. What is given back can be used.
#[test]
fn a_budget_ends_a_campaign_when_it_is_spent_not_when_it_is_reserved() {
    let poor = |minor| campaign("poor", |c| c.limits.budget = Some(Money { minor, currency: Currency::CNY }));
    let cheap =
        |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| out.push(done(d, at.plus(30 * SECOND), Reason::Answered, Some(10_000)));
    let run = |budget| {
        let mut scene = Scene::new(300, vec![poor(budget)], &[Channel::Call], Script::kind(1));
        scene.routes[0].reserve = std::sync::Arc::new(|_| 1_000_000);
        let end = scene.run(&mut scene.world_told(START, cheap), None);
        in_order(1, &end);
        scene.sums_close();
        let row = now(scene.store.campaign("poor", Some(false))).unwrap();
        let spent = now(scene.store.tallies(row.id)).unwrap().get(Tally::CostMicros, 0);
        let counts = scene.counts("poor");
        assert!(spent <= budget * 10_000, "{spent} millionths of a budget of {budget} cents");
        (row.status, row.stop_reason, counts[&State::Reached], counts[&State::Cancelled])
    };
    assert_eq!(run(500), (Status::Finished, None, 300, 0), "5.00 covers 300 calls of 0.01, five at a time, and four at the end");
    let (status, reason, reached, cancelled) = run(200);
    assert_eq!((status, reason, reached + cancelled), (Status::Stopped, Some(Reason::Budget), 300));
    assert!((100..=101).contains(&reached), "2.00 covers 100 calls of 0.01 until a call that may cost 1.00 does not fit: {reached}");
}

/// The provider's receipt, in which it names the touch in its own way alone, overtakes its answer.
#[test]
fn a_receipt_that_overtakes_the_acceptance_is_not_lost() {
    for late in [0, 10, 200, 5 * SECOND, 20 * SECOND] {
        let texts = campaign("texts", |c| c.steps = vec![step("text", Channel::Sms)]);
        let scene = Scene::new(50, vec![texts], &[Channel::Sms], Script::kind(1));
        let answer = move |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| {
            out.push(receipt(d, at.plus(5), Reason::Delivered, false));
            out.push(taken(d, at.plus(5 + late)));
        };
        in_order(1, &scene.run(&mut scene.world_told(START, answer).with_slow_store(delays(1, 30)), None));
        scene.all_closed();
        assert_eq!(scene.counts("texts")[&State::Reached], 50, "the answer came {late} ms after the receipt");
    }
}

#[test]
fn what_came_just_before_a_drain_is_recorded() {
    for gap in [0, 1, 20, 49, 60] {
        let texts = campaign("texts", |c| c.steps = vec![step("text", Channel::Sms)]);
        let scene = Scene::new(20, vec![texts], &[Channel::Sms], Script::kind(1));
        let answer = |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| {
            out.push(taken(d, at.plus(10)));
            out.push(receipt(d, START.plus(MINUTE), Reason::Delivered, false));
        };
        let mut world = scene.world_told(START, answer).with_slow_store(delays(1, 20));
        world.tell(START.plus(MINUTE + gap), Note::Conductor(conductor::Input::Drain));
        in_order(1, &scene.run(&mut world, None));
        assert_eq!(scene.counts("texts")[&State::Reached], 20, "drained {gap} ms after the receipts came");
    }
}

/// Touches in doubt are settled by late receipts after their campaign has finished, while another goes on.
#[test]
fn a_receipt_after_the_end_settles_its_touch_and_starts_nothing() {
    let short = campaign("short", |c| c.audience.holdout_ppm = 0);
    let long = campaign("long", |c| c.steps[0].wait_ms = DAY);
    let scene = Scene::new(30, vec![short, long], &[Channel::Call], Script::kind(1));
    let id = now(scene.store.campaign("short", Some(false))).unwrap().id;
    let answer = move |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| {
        if d.touch.campaign == id {
            out.push(said(d, at.plus(SECOND), SendResult::Unknown { reason: Reason::TimedOut }));
            // Missed: the step would be tried again, but the campaign has ended.
            out.push(receipt(d, at.plus(HOUR), Reason::NoAnswer, true));
        } else {
            out.push(done(d, at.plus(SECOND), Reason::Answered, None));
        }
    };
    in_order(1, &scene.run(&mut scene.world_told(START, answer), None));
    scene.all_closed();
    let counts = scene.counts("short");
    assert_eq!((counts[&State::Uncertain], counts[&State::Missed] + counts[&State::Cancelled]), (0, 30), "{counts:?}");
    assert_eq!(scene.memory.lock().unwrap().sends.len(), 60);
}

/// A campaign is stopped while texts are with the provider; their receipts would lead to retries.
#[test]
fn receipts_after_a_stop_or_an_end_lead_to_no_retry() {
    for stop in [true, false] {
        let texts = campaign("texts", |c| {
            c.steps = vec![step("text", Channel::Sms)];
            c.steps[0].retry = [(Reason::Undelivered, SECOND)].into();
        });
        let other = campaign("other", |c| c.steps[0].wait_ms = 2 * DAY);
        let scene = Scene::new(20, vec![texts, other], &[Channel::Sms, Channel::Call], Script::kind(1));
        let id = now(scene.store.campaign("texts", Some(false))).unwrap().id;
        let ends = scene.campaigns[0].schedule.ends_at();
        let answer = move |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| {
            if d.channel == Channel::Call {
                out.push(done(d, at.plus(SECOND), Reason::Answered, None));
                return;
            }
            out.push(said(d, at.plus(10), SendResult::Accepted { provider_ref: format!("p-{}", d.touch).into(), deadline: ends.plus(DAY) }));
            // So it was a minute before the end; it is told after it.
            let was_so = if stop { START.plus(HOUR) } else { ends.plus(-MINUTE) };
            let (_, event) = receipt(d, was_so, Reason::Undelivered, true);
            out.push((if stop { START.plus(HOUR) } else { ends.plus(HOUR) }, event));
        };
        let mut world = scene.world_told(START, answer);
        if stop {
            world.tell(START.plus(MINUTE), Note::Campaign(id, campaign::Input::Control(Wanted::Stop)));
        }
        in_order(1, &scene.run(&mut world, None));
        scene.all_closed();
        assert_eq!(scene.memory.lock().unwrap().sends.iter().filter(|(_, d)| d.channel == Channel::Sms).count(), 20, "stop: {stop}");
    }
}

/// A provider that takes nothing for an hour, and asks to be left alone until then or says nothing of it.
#[test]
fn a_route_that_is_down_is_left_in_peace() {
    for again in [HOUR, 0] {
        let scene = Scene::new(400, vec![campaign("down", |_| {})], &[Channel::Call], Script::kind(1));
        let up = START.plus(HOUR);
        let answer = move |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| {
            if at < up {
                out.push(said(d, at.plus(5), SendResult::NotSent { reason: Reason::NotSent, again_at: if again > 0 { up } else { at } }));
            } else {
                out.push(done(d, at.plus(SECOND), Reason::Answered, None));
            }
        };
        in_order(1, &scene.run(&mut scene.world_told(START, answer), None));
        scene.sums_close();
        assert_eq!(scene.counts("down")[&State::Reached], 400);
        let in_vain = scene.memory.lock().unwrap().sends.iter().filter(|(at, _)| *at < up).count();
        // One page goes out before the first refusal; then the breaker opens, at most for as long as the provider says.
        assert!(in_vain <= if again > 0 { 400 } else { 400 + 3_600 }, "{in_vain} sends in vain, told to come again after {again} ms");
    }
}

/// Calls take a minute: the limit is used although many calls are under way at once.
#[test]
fn long_calls_do_not_hold_up_a_route_that_has_lines() {
    let mut scene = Scene::new(1_000, vec![campaign("long", |_| {})], &[Channel::Call], Script::kind(1));
    scene.routes[0].limit = per_second(10);
    let answer = |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| out.push(done(d, at.plus(MINUTE), Reason::Answered, None));
    in_order(1, &scene.run(&mut scene.world_told(START, answer), None));
    scene.all_closed();
    let memory = scene.memory.lock().unwrap();
    memory.within_rate(Rate { count: 10, per_ms: SECOND }, |_| true);
    let last = memory.sends.last().unwrap().0.since(START);
    assert!(last <= 102 * SECOND, "1,000 calls at 10 a second took {last} ms");
}

fn roots(name: &str) -> Campaign {
    campaign(name, |c| {
        let mut text = step("text", Channel::Sms);
        text.wait_ms = DAY;
        c.steps.push(text);
    })
}

/// Two steps open the journey. A customer whom the first may not contact is contacted by the second all the same.
#[test]
fn a_step_that_the_law_forbids_does_not_swallow_the_steps_beside_it() {
    use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose};
    use touchline::store::ConsentList;
    let scene = Scene::new(20, vec![roots("roots")], &[Channel::Call, Channel::Sms], Script { no_answer: 0, ..Script::kind(1) });
    let no_calls =
        ConsentRecord { channel: Channel::Call, purpose: Purpose::Marketing, state: ConsentState::Withdrawn, at: START, source: "branch".to_owned() };
    now(scene.store.put_consents(&[("c00003".to_owned(), no_calls)], None)).unwrap();
    in_order(1, &scene.run(&mut scene.world(START), None));
    scene.all_closed();
    let memory = scene.memory.lock().unwrap();
    let of = |channel| memory.sends.iter().filter(|(_, d)| d.touch.customer == CustomerId(4) && d.channel == channel).count();
    assert_eq!((of(Channel::Call), of(Channel::Sms)), (0, 1));
    assert_eq!(memory.sends.len(), 39);
}

/// A first receipt says missed, a later one reached: the retry is called off, and what follows a reach, and what stood beside it, is not.
#[test]
fn a_correction_goes_on_with_the_journey_of_the_reached() {
    use touchline::domain::expression::Expression;
    let both = campaign("corrected", |c| {
        c.steps = vec![step("text", Channel::Sms), step("mail", Channel::Email), step("task", Channel::Worklist)];
        c.steps[1].wait_ms = DAY;
        c.steps[2].after = Some(StepNo(0));
        c.steps[2].when = Some(Expression::compile(r#"state == "reached""#).unwrap());
    });
    let scene = Scene::new(20, vec![both], &[Channel::Sms, Channel::Email, Channel::Worklist], Script::kind(1));
    let answer = |d: &touchline::channels::Dispatch, at: Timestamp, out: &mut Vec<_>| match d.channel {
        Channel::Sms => {
            out.push(taken(d, at.plus(10)));
            out.push(receipt(d, at.plus(SECOND), Reason::Undelivered, true));
            out.push(receipt(d, at.plus(MINUTE), Reason::Delivered, true));
        }
        Channel::Email => out.push(done(d, at.plus(10), Reason::Delivered, None)),
        _ => out.push(done(d, at.plus(10), Reason::Completed, None)),
    };
    in_order(1, &scene.run(&mut scene.world_told(START, answer), None));
    scene.all_closed();
    let memory = scene.memory.lock().unwrap();
    let of = |channel| memory.sends.iter().filter(|(_, d)| d.channel == channel).count();
    assert_eq!((of(Channel::Sms), of(Channel::Worklist), of(Channel::Email)), (20, 20, 20));
}
