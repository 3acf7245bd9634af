//! What the engine asks of a store beside deciding and recording: bulk reads, rehearsals apart, waves, limits, runs that ended.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::ids::{CustomerId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::touch::{State, Touch};
use crate::store::{Before, BeginRequest, Needs, SentParts, Settled, Status, Store, WaveRow};

pub async fn touches_and_members_in_bulk(store: &dyn Store) {
    let bed = bed(store, 5).await;
    let begun = bed.start(3, T0).await;
    let rows: Vec<Touch> = begun.written.into_iter().map(|(_, touch)| touch).collect();
    let stranger = TouchKey { customer: CustomerId(999), ..rows[0].key };
    let found = store.touches(&[rows[2].key, stranger, rows[0].key, rows[2].key]).await.unwrap();
    assert_eq!(found, [rows[0].clone(), rows[2].clone()], "in key order, each once, without strangers");
    assert!(store.touches(&[]).await.unwrap().is_empty());
    let needs = Needs { attributes: true, ..Needs::default() };
    let members = store.members(&[bed.ids[4], CustomerId(999), bed.ids[1], bed.ids[4]], needs).await.unwrap();
    assert_eq!(members.iter().map(|m| m.id).collect::<Vec<_>>(), [bed.ids[1], bed.ids[4]]);
    let balance = |n: usize| -> serde_json::Value { serde_json::from_str(members[n].attributes.as_deref().unwrap()).unwrap() };
    assert_eq!((&balance(0)["balance"], &balance(1)["balance"]), (&serde_json::json!(2), &serde_json::json!(5)));
    assert!(members.iter().all(|m| m.phone.is_none() && m.timezone.is_some()));
    assert!(store.members(&[], needs).await.unwrap().is_empty());
}

/// A rehearsal in a time of its own leaves what is real alone, and is left alone.
pub async fn rehearsals_are_another_time(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let rehearsal = campaign(store, "played", bed.list, true).await.id;
    let real = bed.start(2, T0).await;
    let (candidates, seen) = bed.first_timers(rehearsal, 2).await;
    let played = bed.start_these(rehearsal, candidates, seen, T0).await;
    let first = |begun: &crate::store::Begun| begun.written[0].1.clone();
    bed.record(&[accepted(&first(&real), "real", hours(3)), accepted(&first(&played), "played", hours(3))]).await;
    let keys = |rows: Vec<Touch>| rows.into_iter().map(|t| t.key).collect::<Vec<_>>();
    assert_eq!(keys(store.overdue(hours(9), false, 10).await.unwrap()), [first(&real).key]);
    assert_eq!(keys(store.overdue(hours(9), true, 10).await.unwrap()), [first(&played).key]);
    store.release(bed.fence).await.unwrap();
    let fence = store.acquire(false, hours(1)).await.unwrap();
    for (rehearsal, begun) in [(false, &real), (true, &played)] {
        let orphans = store.orphans(fence, rehearsal, 10).await.unwrap();
        assert_eq!(orphans.len(), 1, "rehearsal: {rehearsal}");
        assert_eq!((Some(orphans[0].0), keys(orphans[0].1.clone())), (begun.batch, vec![begun.written[1].1.key]), "rehearsal: {rehearsal}");
    }
}

pub async fn a_wave_is_counted_down(store: &dyn Store) {
    let bed = bed(store, 6).await;
    let row = |h, left| WaveRow { due_at: hours(h), fired_at: Some(hours(h)), left };
    store.record_wave(bed.run, &row(0, Some(5))).await.unwrap();
    store.record_wave(bed.run, &row(1, None)).await.unwrap();
    let start = async |n: usize, wave| {
        let (candidates, seen) = bed.first_timers(bed.run, n).await;
        let request = BeginRequest { wave, ..bed.request(bed.run, hours(1), candidates, seen) };
        let mut decide = |c: &crate::store::Candidate, _: crate::store::ContactFacts<'_>| Some(begun_of(c, bed.run, bed.route, hours(1)));
        store.begin(request, &mut decide).await.unwrap()
    };
    let begun = start(3, Some(hours(0))).await;
    start(1, Some(hours(1))).await;
    start(1, None).await;
    start(1, Some(hours(7))).await;
    assert_eq!(store.waves(bed.run).await.unwrap(), [row(0, Some(2)), row(1, None)], "the wave named, where it has a limit");
    // A retry is no first touch.
    bed.record(&[missed(&begun.written[0].1, Reason::Busy, hours(2), hours(3))]).await;
    let (candidates, seen) = bed.due(bed.run, hours(3)).await;
    assert_eq!(candidates.len(), 1);
    let request = BeginRequest { wave: Some(hours(0)), ..bed.request(bed.run, hours(3), candidates, seen) };
    store.begin(request, &mut |c, _| Some(begun_of(c, bed.run, bed.route, hours(3)))).await.unwrap();
    assert_eq!(store.waves(bed.run).await.unwrap()[0], row(0, Some(2)));
}

pub async fn sent_since_tells_what_stands(store: &dyn Store) {
    let bed = bed(store, 6).await;
    let rehearsal = campaign(store, "played", bed.list, true).await.id;
    let (candidates, seen) = bed.first_timers(rehearsal, 6).await;
    bed.start_these(rehearsal, candidates, seen, hours(2)).await;
    bed.start(2, hours(1)).await;
    let later = bed.start(3, hours(2)).await;
    bed.record(&[
        ended(&later.written[0].1, State::Uncertain, Reason::TimedOut, hours(2)),
        put_back(&later.written[1].1, hours(5), hours(2)),
        ended(&later.written[2].1, State::Refused, Reason::ProviderRefused, hours(2)),
    ])
    .await;
    let sum = |sent: Vec<SentParts>| {
        assert!(sent.is_sorted_by_key(|s| s.at), "oldest first");
        assert!(sent.iter().all(|s| (s.campaign, s.route) == (bed.run, bed.route)));
        sent.into_iter().fold(std::collections::BTreeMap::new(), |mut sum, s| {
            *sum.entry(s.at).or_insert(0) += s.parts;
            sum
        })
    };
    assert_eq!(sum(store.sent_since(T0).await.unwrap()), [(hours(1), 2), (hours(2), 1)].into());
    assert_eq!(sum(store.sent_since(hours(1)).await.unwrap()), [(hours(2), 1)].into(), "after, not at");
    assert!(store.sent_since(hours(2)).await.unwrap().is_empty());
}

/// Outcomes that come after a run was called off are recorded, but lead to nothing.
pub async fn ended_runs_schedule_nothing(store: &dyn Store) {
    let bed = bed(store, 4).await;
    let begun = bed.start(3, T0).await;
    let touch = |i: usize| &begun.written[i].1;
    bed.record(&[ended(touch(2), State::Uncertain, Reason::TimedOut, hours(1))]).await;
    store.call_off(bed.fence, bed.run, Reason::Budget, hours(1)).await.unwrap();
    let resolved = Settled { before: Before::of(&bed.stored(touch(2).key).await), ..missed(touch(2), Reason::NoAnswer, hours(2), hours(9)) };
    bed.record(&[missed(touch(0), Reason::Busy, hours(2), hours(9)), put_back(touch(1), hours(3), hours(2)), resolved]).await;
    let row = bed.stored(bed.key(0, 1)).await;
    assert_eq!((row.state, row.reason, row.ended_at), (State::Cancelled, Reason::Budget, Some(hours(2))), "the retry");
    let row = bed.stored(bed.key(1, 0)).await;
    assert_eq!((row.state, row.reason, row.started_at, row.parts), (State::Cancelled, Reason::Budget, None, 0), "what came back unsent");
    assert_eq!(bed.stored(bed.key(2, 1)).await.state, State::Cancelled, "what followed a touch in doubt");
    assert_eq!((bed.customers(State::Scheduled).await, bed.customers(State::Cancelled).await), (0, 4));
    assert_eq!(bed.tally(Tally::CalledOff, i64::from(Reason::Budget.code())).await, 4);
}

pub async fn finished_runs_schedule_nothing(store: &dyn Store) {
    let bed = bed(store, 1).await;
    for status in [Status::Approved, Status::Running] {
        store.set_status(bed.run, &change(status, T0)).await.unwrap();
    }
    let touch = bed.start(1, T0).await.written.remove(0).1;
    let doubt = ended(&touch, State::Uncertain, Reason::TimedOut, hours(1));
    bed.record(&[doubt]).await;
    store.set_status(bed.run, &change(Status::Finished, hours(1))).await.unwrap();
    let before = Before::of(&bed.stored(touch.key).await);
    bed.record(&[Settled { before, ..missed(&touch, Reason::NoAnswer, hours(2), hours(9)) }]).await;
    let row = bed.stored(bed.key(0, 1)).await;
    assert_eq!((row.state, row.reason), (State::Cancelled, Reason::CampaignEnded));
}

/// Steps that were taken since the corrected touch are not taken again.
pub async fn further_corrections_start_nothing(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let first = bed.start(1, T0).await.written.remove(0).1;
    bed.record(&[missed(&first, Reason::Undelivered, hours(1), hours(2))]).await;
    let second = bed.start_due(hours(2)).await.written.remove(0).1;
    bed.record(&[missed(&second, Reason::Undelivered, hours(3), hours(9))]).await;
    let before = Before::of(&bed.stored(first.key).await);
    let next = Some(waiting(&first, 1, Reason::NextStep, hours(9)));
    bed.record(&[Settled { before, next, ..ended(&first, State::Reached, Reason::Delivered, hours(4)) }]).await;
    let head = bed.stored(bed.key(0, 2)).await;
    assert_eq!((head.state, head.reason), (State::Cancelled, Reason::ReachedAfterAll));
    assert_eq!(store.touch(bed.key(0, 3)).await.unwrap(), None, "the journey has gone on behind the corrected touch");
    assert_eq!(bed.customers(State::Reached).await, 1);
}

pub async fn what_a_provider_has_taken_stays(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let touch = bed.start(1, T0).await.written.remove(0).1;
    bed.record(&[accepted(&touch, "m-0", hours(5))]).await;
    let back = bed.record(&[put_back(&touch, hours(2), hours(1))]).await;
    assert_eq!(back.skipped, [touch.key], "it is not ours to send again");
    assert_eq!((bed.stored(touch.key).await.state, touch.channel), (State::Started, Some(Channel::Call)));
}
