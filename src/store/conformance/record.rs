//! `record`.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::ids::{CustomerId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::touch::{EVER_REACHED, State, Touch, WAS_PUT_BACK};
use crate::store::{Settled, Store};

async fn attempts(bed: &Bed<'_>) -> i64 {
    bed.tally(Tally::AttemptsByChannel, i64::from(Channel::Call.code())).await
}

async fn disposition(bed: &Bed<'_>, reason: Reason) -> i64 {
    bed.tally(Tally::AttemptsByDisposition, i64::from(reason.code())).await
}

/// A bed of one customer whose first call is under way.
async fn one_call(store: &dyn Store) -> (Bed<'_>, Touch) {
    let bed = bed(store, 1).await;
    let touch = bed.start(1, T0).await.written.remove(0).1;
    (bed, touch)
}

pub async fn reached_counts(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    let mut settled = ended(&touch, State::Reached, Reason::Answered, hours(1));
    settled.touch.cost_micros = 2 * COST;
    let recorded = bed.record(&[settled]).await;
    assert!(recorded.skipped.is_empty());
    assert_eq!(recorded.tallies.len(), 1);
    let row = bed.stored(touch.key).await;
    assert_eq!((row.state, row.reason, row.connected_s, row.cost_micros), (State::Reached, Reason::Answered, 42, 2 * COST));
    assert_eq!((row.started_at, row.ended_at), (Some(T0), Some(hours(1))));
    assert_eq!((bed.customers(State::Reached).await, bed.customers(State::Started).await), (1, 0));
    assert_eq!((attempts(&bed).await, disposition(&bed, Reason::Answered).await), (1, 1));
    assert_eq!(
        (bed.tally(Tally::CostMicros, 0).await, bed.tally(Tally::ConnectedSeconds, 0).await),
        (2 * COST, 42),
        "the actual cost replaces the reserved"
    );
}

pub async fn missed_and_retry(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[missed(&touch, Reason::Busy, hours(1), hours(2))]).await;
    assert_eq!((bed.customers(State::Scheduled).await, bed.customers(State::Missed).await), (1, 0), "the head is the retry");
    assert_eq!(bed.stored(bed.key(0, 1)).await, waiting(&touch, 0, Reason::Retry, hours(2)));
    assert_eq!(store.head(bed.run, bed.ids[0]).await.unwrap().unwrap().key.seq, 1);
    assert_eq!((attempts(&bed).await, disposition(&bed, Reason::Busy).await), (1, 1));
    let again = bed.start_due(hours(2)).await.written.remove(0).1;
    bed.record(&[ended(&again, State::Missed, Reason::NoAnswer, hours(3))]).await;
    assert_eq!((bed.customers(State::Missed).await, attempts(&bed).await, bed.tally(Tally::CostMicros, 0).await), (1, 2, 2 * COST));
}

pub async fn put_back_gives_back(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[put_back(&touch, hours(2), hours(1))]).await;
    let row = bed.stored(touch.key).await;
    assert_eq!(
        (row.state, row.attempt, row.started_at, row.cost_micros, row.parts),
        (State::Scheduled, 1, None, 0, 0),
        "the same touch, as if never made"
    );
    assert_ne!(row.flags & WAS_PUT_BACK, 0);
    assert_eq!((attempts(&bed).await, bed.tally(Tally::CostMicros, 0).await, bed.tally(Tally::Parts, 0).await), (0, 0, 0));
    assert_eq!(bed.tally(Tally::AttemptsByRoute, i64::from(bed.route.0)).await, 0);
    assert_eq!(bed.customers(State::Scheduled).await, 1);
    let again = bed.start_due(hours(2)).await.written.remove(0).1;
    assert_eq!((again.key, again.started_at), (touch.key, Some(hours(2))));
    bed.record(&[ended(&again, State::Reached, Reason::Answered, hours(3))]).await;
    assert_eq!((attempts(&bed).await, bed.customers(State::Reached).await), (1, 1));
}

pub async fn refused_gives_back(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[ended(&touch, State::Refused, Reason::ProviderBlocked, hours(1))]).await;
    let row = bed.stored(touch.key).await;
    assert_eq!((row.state, row.started_at, row.cost_micros, row.parts, row.ended_at), (State::Refused, None, 0, 0, Some(hours(1))));
    assert_eq!((attempts(&bed).await, bed.tally(Tally::CostMicros, 0).await, bed.tally(Tally::Parts, 0).await), (0, 0, 0));
    assert_eq!((disposition(&bed, Reason::ProviderBlocked).await, bed.customers(State::Refused).await), (1, 1));
}

pub async fn accepted_then_reached(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[accepted(&touch, "m-1", hours(9))]).await;
    let row = bed.stored(touch.key).await;
    assert_eq!((row.state, row.provider_ref.as_deref()), (State::Started, Some("m-1")));
    assert_eq!((bed.customers(State::Started).await, attempts(&bed).await), (1, 1));
    assert_eq!(store.next_deadline().await.unwrap(), Some(hours(9)));
    // The receipt's settlement is made from the row as it was started: the provider's name stays.
    bed.record(&[ended(&touch, State::Reached, Reason::Delivered, hours(2))]).await;
    let row = bed.stored(touch.key).await;
    assert_eq!((row.state, row.provider_ref.as_deref()), (State::Reached, Some("m-1")));
    assert_eq!(store.next_deadline().await.unwrap(), None, "nothing is awaited any more");
}

pub async fn receipt_before_acceptance(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[ended(&touch, State::Reached, Reason::Delivered, hours(1))]).await;
    let recorded = bed.record(&[accepted(&touch, "m-1", hours(9))]).await;
    assert_eq!(recorded.skipped, [touch.key]);
    assert_eq!(bed.stored(touch.key).await.state, State::Reached);
    assert_eq!(store.next_deadline().await.unwrap(), None);
}

pub async fn duplicates_are_held_back(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[accepted(&touch, "m-1", hours(9))]).await;
    let again = bed.record(&[accepted(&touch, "m-2", hours(12))]).await;
    assert_eq!(again.skipped, [touch.key], "a second acceptance");
    assert_eq!((bed.stored(touch.key).await.provider_ref.as_deref(), store.next_deadline().await.unwrap()), (Some("m-1"), Some(hours(9))));
    let miss = missed(&touch, Reason::Busy, hours(1), hours(2));
    let twice = bed.record(&[miss.clone(), miss.clone()]).await;
    assert_eq!(twice.skipped, [touch.key], "the same result twice in one call");
    let thrice = bed.record(&[miss]).await;
    assert_eq!(thrice.skipped, [touch.key]);
    assert!(thrice.tallies.iter().all(|(_, t)| nonzero(t).is_empty()), "what is skipped changes nothing");
    assert_eq!(store.scan(bed.run, None, 10).await.unwrap().len(), 2, "one touch and one retry");
    assert_eq!((attempts(&bed).await, disposition(&bed, Reason::Busy).await), (1, 1));
}

pub async fn lattice_never_falls(store: &dyn Store) {
    let targets = [State::Started, State::Uncertain, State::Missed, State::Refused, State::Reached, State::Scheduled];
    let bed = bed(store, 30).await;
    let begun = bed.start(30, T0).await;
    let settle = |touch: &Touch, to: State, h: i64| -> Settled {
        match to {
            State::Started => accepted(touch, "m", hours(h + 9)),
            State::Scheduled => put_back(touch, hours(h + 9), hours(h)),
            State::Uncertain => ended(touch, to, Reason::NoReceipt, hours(h)),
            State::Missed => ended(touch, to, Reason::Undelivered, hours(h)),
            State::Refused => ended(touch, to, Reason::ProviderRefused, hours(h)),
            _ => ended(touch, to, Reason::Delivered, hours(h)),
        }
    };
    let pairs = targets[1..].iter().flat_map(|from| targets.iter().map(move |to| (*from, *to)));
    for ((from, to), (_, touch)) in pairs.zip(&begun.written) {
        bed.record(&[settle(touch, from, 1)]).await;
        let recorded = bed.record(&[settle(touch, to, 2)]).await;
        let taken = recorded.skipped.is_empty();
        let lawful = matches!((from, to), (State::Uncertain, State::Missed | State::Refused | State::Reached) | (State::Missed, State::Reached));
        assert_eq!(taken, lawful, "{from} then {to}");
        assert_eq!(bed.stored(touch.key).await.state, if lawful { to } else { from }, "{from} then {to}");
    }
}

pub async fn uncertain_is_resolved(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let begun = bed.start(3, T0).await;
    let touch = |i: usize| begun.written[i].1.clone();
    let doubt: Vec<_> = (0..3).map(|i| ended(&touch(i), State::Uncertain, Reason::Interrupted, hours(1))).collect();
    bed.record(&doubt).await;
    assert_eq!(
        (bed.customers(State::Uncertain).await, attempts(&bed).await, bed.tally(Tally::CostMicros, 0).await),
        (3, 3, 3 * COST),
        "it may have been made: it counts and costs"
    );
    assert_eq!(disposition(&bed, Reason::Interrupted).await, 0, "it has not ended");
    bed.record(&[
        ended(&touch(0), State::Reached, Reason::Answered, hours(2)),
        missed(&touch(1), Reason::NoAnswer, hours(2), hours(5)),
        ended(&touch(2), State::Refused, Reason::ProviderRefused, hours(2)),
    ])
    .await;
    let counts = [State::Uncertain, State::Reached, State::Scheduled, State::Refused];
    for (state, n) in counts.into_iter().zip([0, 1, 1, 1]) {
        assert_eq!(bed.customers(state).await, n, "{state}");
    }
    assert_eq!((attempts(&bed).await, bed.tally(Tally::CostMicros, 0).await), (2, 2 * COST));
}

pub async fn correction_cancels_the_retry(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[missed(&touch, Reason::Undelivered, hours(1), hours(8))]).await;
    let late =
        Settled { before: crate::store::Before::of(&bed.stored(touch.key).await), ..ended(&touch, State::Reached, Reason::Delivered, hours(3)) };
    assert!(bed.record(&[late]).await.skipped.is_empty());
    assert_eq!(bed.stored(touch.key).await.state, State::Reached);
    let head = bed.stored(bed.key(0, 1)).await;
    assert_eq!((head.state, head.reason), (State::Cancelled, Reason::ReachedAfterAll));
    assert_ne!(head.flags & EVER_REACHED, 0);
    assert_eq!((bed.customers(State::Reached).await, bed.customers(State::Cancelled).await), (1, 0), "the customer counts as reached");
    assert_eq!((disposition(&bed, Reason::Undelivered).await, disposition(&bed, Reason::Delivered).await), (0, 1), "the disposition is moved");
    assert_eq!(attempts(&bed).await, 1);
    assert!(bed.due(bed.run, hours(99)).await.0.is_empty(), "nobody is contacted again");
}

pub async fn correction_marks_a_started_head(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[missed(&touch, Reason::Undelivered, hours(1), hours(2))]).await;
    let second = bed.start_due(hours(2)).await.written.remove(0).1;
    let before = crate::store::Before::of(&bed.stored(touch.key).await);
    bed.record(&[Settled { before, ..ended(&touch, State::Reached, Reason::Delivered, hours(3)) }]).await;
    assert_eq!(bed.stored(second.key).await.state, State::Started, "what is in flight stays in flight");
    assert_eq!(bed.customers(State::Started).await, 1);
    bed.record(&[ended(&second, State::Missed, Reason::Undelivered, hours(4))]).await;
    assert_eq!((bed.customers(State::Reached).await, bed.customers(State::Missed).await), (1, 0), "reached once is reached");
    assert_ne!(bed.stored(second.key).await.flags & EVER_REACHED, 0);
}

pub async fn correction_of_the_head(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[ended(&touch, State::Missed, Reason::Undelivered, hours(1))]).await;
    let before = crate::store::Before::of(&bed.stored(touch.key).await);
    let thanks = Touch { flags: EVER_REACHED, ..waiting(&touch, 1, Reason::NextStep, hours(9)) };
    let late = Settled { before, next: Some(thanks), ..ended(&touch, State::Reached, Reason::Delivered, hours(3)) };
    assert!(bed.record(&[late]).await.skipped.is_empty());
    assert_eq!((bed.customers(State::Missed).await, bed.customers(State::Scheduled).await), (0, 1), "the step after being reached is to come");
    assert_eq!(bed.stored(bed.key(0, 1)).await.step.0, 1);
    let wrong_way = bed.record(&[ended(&touch, State::Missed, Reason::Undelivered, hours(4))]).await;
    assert_eq!(wrong_way.skipped, [touch.key], "never the other way round");
}

pub async fn flags_are_never_lost(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    bed.record(&[put_back(&touch, hours(1), hours(1))]).await;
    let again = bed.start_due(hours(1)).await.written.remove(0).1;
    assert_ne!(again.flags & WAS_PUT_BACK, 0, "decide is given the stored head");
    let mut settled = ended(&again, State::Missed, Reason::Busy, hours(2));
    settled.touch.flags = 0;
    bed.record(&[settled]).await;
    assert_ne!(bed.stored(touch.key).await.flags & WAS_PUT_BACK, 0);
}

pub async fn unknown_touch_is_skipped(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    let ghost = Touch { key: TouchKey { customer: CustomerId(987_654), ..touch.key }, ..touch.clone() };
    let recorded =
        bed.record(&[ended(&ghost, State::Reached, Reason::Answered, hours(1)), ended(&touch, State::Reached, Reason::Answered, hours(1))]).await;
    assert_eq!(recorded.skipped, [ghost.key]);
    assert_eq!(bed.customers(State::Reached).await, 1, "the others go through");
}

pub async fn stale_fence_is_refused(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    store.release(bed.fence).await.unwrap();
    let fence = store.acquire(false, hours(1)).await.unwrap();
    assert!(fence > bed.fence);
    let result = [ended(&touch, State::Reached, Reason::Answered, hours(1))];
    expect_fenced(store.record(bed.fence, &result, &[]).await, "record with the number before");
    expect_fenced(store.call_off(bed.fence, bed.run, Reason::Stopped, hours(1)).await, "calling off with the number before");
    assert_eq!(bed.stored(touch.key).await, touch);
    assert!(store.record(fence, &result, &[]).await.unwrap().skipped.is_empty());
}

pub async fn later_step_keeps_reached(store: &dyn Store) {
    let (bed, touch) = one_call(store).await;
    let next = Touch { flags: EVER_REACHED, ..waiting(&touch, 1, Reason::NextStep, hours(2)) };
    bed.record(&[Settled { next: Some(next), ..ended(&touch, State::Reached, Reason::Interested, hours(1)) }]).await;
    assert_eq!((bed.customers(State::Scheduled).await, bed.customers(State::Reached).await), (1, 0), "while a step is to come");
    let second = bed.start_due(hours(2)).await.written.remove(0).1;
    bed.record(&[ended(&second, State::Missed, Reason::NoAnswer, hours(3))]).await;
    assert_eq!((bed.customers(State::Reached).await, bed.customers(State::Missed).await), (1, 0), "missed in a later step, reached all the same");
    assert_eq!((disposition(&bed, Reason::NoAnswer).await, attempts(&bed).await), (1, 2));
}

pub async fn bad_next_writes_nothing(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let begun = bed.start(2, T0).await;
    let (first, second) = (begun.written[0].1.clone(), begun.written[1].1.clone());
    let good = ended(&first, State::Reached, Reason::Answered, hours(1));
    let bad: [Fault; 3] = [
        ("a row of another customer", |t| t.key.customer = CustomerId(t.key.customer.0 - 1)),
        ("a row that is started", |t| (t.state, t.started_at, t.route) = (State::Started, Some(T0), Some(crate::domain::ids::RouteId(1)))),
        ("a waiting row without a due time", |t| t.due_at = None),
    ];
    for (what, spoil) in bad {
        let mut settled = missed(&second, Reason::Busy, hours(1), hours(2));
        spoil(settled.next.as_mut().unwrap());
        expect_conflict(store.record(bed.fence, &[good.clone(), settled], &[]).await, what);
        assert_eq!(bed.stored(first.key).await, first, "{what}: nothing of the call is written");
    }
}

/// Once a provider has taken a touch, a late word that it was not sent must not put it back: it would be sent twice.
pub async fn what_was_accepted_is_never_put_back(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let touch = bed.start(1, T0).await.written.remove(0).1;
    bed.record(&[accepted(&touch, "P-1", hours(9))]).await;
    let taken = bed.stored(touch.key).await;
    for known in [&touch, &taken] {
        assert_eq!(bed.record(&[put_back(known, hours(2), hours(1))]).await.skipped, vec![touch.key]);
        assert_eq!(bed.stored(touch.key).await, taken);
    }
}

/// A provider that says it took nothing, and then reports on it: the receipt is read against the row that waits again. Nothing of it
/// is an error, since an error ends the engine.
pub async fn receipt_after_a_put_back_is_skipped(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let begun = bed.start(2, T0).await;
    let (back, gone) = (begun.written[0].1.clone(), begun.written[1].1.clone());
    bed.record(&[put_back(&back, hours(2), hours(1)), ended(&gone, State::Refused, Reason::ProviderRefused, hours(1))]).await;
    for (key, late) in [(back.key, State::Reached), (back.key, State::Missed), (gone.key, State::Reached), (gone.key, State::Uncertain)] {
        let stored = bed.stored(key).await;
        assert_eq!(stored.started_at, None, "nothing was sent");
        let reason = if late == State::Uncertain { Reason::TimedOut } else { Reason::Delivered };
        let recorded = bed.record(&[ended(&stored, late, reason, hours(3))]).await;
        assert_eq!((recorded.skipped, bed.stored(key).await), (vec![key], stored), "a receipt that it was {late}");
    }
    // And what was known when it was started does not help it either.
    let recorded = bed.record(&[ended(&back, State::Reached, Reason::Delivered, hours(4))]).await;
    assert_eq!(recorded.skipped, vec![back.key]);
}

pub async fn correction_with_a_next_row(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let begun = bed.start(2, T0).await;
    let (first, second) = (begun.written[0].1.clone(), begun.written[1].1.clone());
    bed.record(&[missed(&first, Reason::Undelivered, hours(1), hours(8)), missed(&second, Reason::Undelivered, hours(1), hours(2))]).await;
    let in_flight = bed.start_due(hours(2)).await.written.remove(0).1;
    assert_eq!(in_flight.key, bed.key(1, 1));
    for touch in [&first, &second] {
        let before = crate::store::Before::of(&bed.stored(touch.key).await);
        let next = Some(waiting(touch, 1, Reason::NextStep, hours(9)));
        bed.record(&[Settled { before, next, ..ended(touch, State::Reached, Reason::Delivered, hours(3)) }]).await;
    }
    let thanks = bed.stored(bed.key(0, 2)).await;
    assert_eq!((thanks.state, thanks.step.0, thanks.flags & EVER_REACHED), (State::Scheduled, 1, EVER_REACHED), "after the cancelled retry");
    assert_eq!(bed.stored(bed.key(0, 1)).await.state, State::Cancelled);
    assert_eq!(bed.stored(bed.key(1, 1)).await.state, State::Started);
    assert_eq!(store.touch(bed.key(1, 2)).await.unwrap(), None, "behind a touch in flight nothing is written");
    assert_eq!((bed.customers(State::Scheduled).await, bed.customers(State::Started).await), (1, 1));
}
