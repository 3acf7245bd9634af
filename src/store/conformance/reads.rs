//! The ledger's reads, and calling off.
use super::kit::*;
use crate::domain::ids::{RouteId, StepNo};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::touch::{State, Touch};
use crate::store::{Needs, ReceiptRow, Settled, Store};

pub async fn due_soonest_first(store: &dyn Store) {
    let bed = bed(store, 4).await;
    let begun = bed.start(4, T0).await;
    let touch = |i: usize| &begun.written[i].1;
    bed.record(&[
        missed(touch(0), Reason::Busy, hours(1), hours(6)),
        missed(touch(1), Reason::Busy, hours(1), hours(4)),
        missed(touch(2), Reason::Busy, hours(1), hours(9)),
        missed(touch(3), Reason::Busy, hours(1), hours(4)),
    ])
    .await;
    let steps = [StepNo(0)];
    assert_eq!(store.next_due(bed.run, &steps).await.unwrap(), Some(hours(4)));
    let just_before = crate::domain::time::Timestamp(hours(4).0 - 1);
    assert!(store.due(bed.run, just_before, &steps, 10, Needs::default()).await.unwrap().touches.is_empty());
    let due = store.due(bed.run, hours(6), &steps, 10, Needs { phone: true, ..Needs::default() }).await.unwrap();
    let keys: Vec<_> = due.touches.iter().map(|(t, _)| t.key).collect();
    assert_eq!(keys, [bed.key(1, 1), bed.key(3, 1), bed.key(0, 1)], "soonest first, then by customer, the instant itself included");
    assert!(due.touches.iter().all(|(t, m)| t.key.customer == m.id && m.phone.is_some() && m.email.is_none()));
    let two = store.due(bed.run, hours(6), &steps, 2, Needs::default()).await.unwrap();
    assert_eq!(two.touches.iter().map(|(t, _)| t.key).collect::<Vec<_>>(), keys[..2]);
}

pub async fn due_only_of_these_steps(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let begun = bed.start(2, T0).await;
    let (first, second) = (&begun.written[0].1, &begun.written[1].1);
    let sms = Settled { next: Some(waiting(second, 1, Reason::NextStep, hours(2))), ..ended(second, State::Missed, Reason::NoAnswer, hours(1)) };
    bed.record(&[missed(first, Reason::Busy, hours(1), hours(3)), sms]).await;
    assert_eq!(store.next_due(bed.run, &[StepNo(0)]).await.unwrap(), Some(hours(3)));
    assert_eq!(store.next_due(bed.run, &[StepNo(1)]).await.unwrap(), Some(hours(2)));
    assert_eq!(store.next_due(bed.run, &[StepNo(0), StepNo(1)]).await.unwrap(), Some(hours(2)));
    assert_eq!(store.next_due(bed.run, &[StepNo(2)]).await.unwrap(), None);
    assert_eq!(store.next_due(bed.run, &[]).await.unwrap(), None);
    let due = store.due(bed.run, hours(9), &[StepNo(1)], 10, Needs::default()).await.unwrap();
    assert_eq!(due.touches.iter().map(|(t, _)| t.key).collect::<Vec<_>>(), [bed.key(1, 1)]);
    assert!(store.due(bed.run, hours(9), &[], 10, Needs::default()).await.unwrap().touches.is_empty());
    let other = campaign(store, "other", bed.list, false).await.id;
    assert_eq!(store.next_due(other, &[StepNo(0), StepNo(1)]).await.unwrap(), None, "another campaign's");
}

pub async fn awaiting_by_providers_name(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let begun = bed.start(3, T0).await;
    let touch = |i: usize| &begun.written[i].1;
    bed.record(&[accepted(touch(0), "m-0", hours(5)), accepted(touch(1), "m-1", hours(5)), accepted(touch(2), "m-2", hours(5))]).await;
    bed.record(&[ended(touch(1), State::Uncertain, Reason::NoReceipt, hours(5)), ended(touch(2), State::Missed, Reason::Undelivered, hours(2))])
        .await;
    let found = store.awaiting(bed.route, &["m-2", "m-0", "nothing", "m-1"]).await.unwrap();
    let states: Vec<_> = found.iter().map(|t| (t.key, t.state)).collect();
    assert_eq!(
        states,
        [(bed.key(0, 0), State::Started), (bed.key(1, 0), State::Uncertain), (bed.key(2, 0), State::Missed)],
        "also those that a late receipt may correct"
    );
    assert!(store.awaiting(RouteId(bed.route.0 + 1), &["m-0"]).await.unwrap().is_empty(), "another route's names are other names");
    assert!(store.awaiting(bed.route, &[]).await.unwrap().is_empty());
}

pub async fn overdue_and_next_deadline(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let begun = bed.start(3, T0).await;
    let touch = |i: usize| &begun.written[i].1;
    assert_eq!(store.next_deadline().await.unwrap(), None);
    bed.record(&[accepted(touch(0), "m-0", hours(7)), accepted(touch(1), "m-1", hours(5)), accepted(touch(2), "m-2", hours(6))]).await;
    assert_eq!(store.next_deadline().await.unwrap(), Some(hours(5)));
    let keys = |rows: Vec<Touch>| rows.into_iter().map(|t| t.key).collect::<Vec<_>>();
    assert_eq!(keys(store.overdue(hours(4), false, 10).await.unwrap()), []);
    assert_eq!(keys(store.overdue(hours(6), false, 10).await.unwrap()), [bed.key(1, 0), bed.key(2, 0)], "soonest first, the instant itself included");
    assert_eq!(keys(store.overdue(hours(9), false, 1).await.unwrap()), [bed.key(1, 0)]);
    bed.record(&[ended(touch(1), State::Uncertain, Reason::NoReceipt, hours(5)), ended(touch(2), State::Reached, Reason::Delivered, hours(5))]).await;
    assert_eq!(store.next_deadline().await.unwrap(), Some(hours(7)));
    assert_eq!(keys(store.overdue(hours(6), false, 10).await.unwrap()), []);
}

pub async fn orphans_after_a_new_fence(store: &dyn Store) {
    let bed = bed(store, 9).await;
    let first = bed.start(4, T0).await;
    let second = bed.start(2, T0).await;
    let done = bed.start(1, T0).await;
    let touch = |i: usize| &first.written[i].1;
    // Of the first batch: a result, an acceptance, one put back, one without any result.
    let settled =
        [ended(touch(0), State::Reached, Reason::Answered, hours(1)), accepted(touch(1), "m", hours(9)), put_back(touch(2), hours(2), hours(1))];
    bed.record(&settled).await;
    let last = [ended(&done.written[0].1, State::Missed, Reason::Busy, hours(1))];
    store.record(bed.fence, &last, &[done.batch.unwrap()]).await.unwrap();
    assert!(store.orphans(bed.fence, false, 100).await.unwrap().is_empty(), "the owner's own touches are in flight, not orphans");
    store.release(bed.fence).await.unwrap();
    let fence = store.acquire(false, hours(2)).await.unwrap();
    let orphans = store.orphans(fence, false, 100).await.unwrap();
    let told: Vec<_> = orphans.iter().map(|(batch, touches)| (*batch, touches.iter().map(|t| t.key).collect::<Vec<_>>())).collect();
    let expected = [(first.batch.unwrap(), vec![bed.key(3, 0)]), (second.batch.unwrap(), vec![bed.key(4, 0), bed.key(5, 0)])];
    assert_eq!(told, expected, "by batch; not what is closed, taken, ended or put back");
    assert_eq!(store.orphans(fence, false, 1).await.unwrap().len(), 1, "whole batches until the limit is reached");
    let doubt: Vec<Settled> =
        orphans.iter().flat_map(|(_, touches)| touches).map(|t| ended(t, State::Uncertain, Reason::Interrupted, hours(2))).collect();
    let batches: Vec<_> = orphans.iter().map(|(batch, _)| *batch).collect();
    assert!(store.record(fence, &doubt, &batches).await.unwrap().skipped.is_empty());
    assert!(store.orphans(fence, false, 100).await.unwrap().is_empty());
    assert_eq!(bed.customers(State::Uncertain).await, 3);
}

pub async fn uncertain_are_listed(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let begun = bed.start(3, T0).await;
    let doubt: Vec<_> = begun.written.iter().map(|(_, t)| ended(t, State::Uncertain, Reason::TimedOut, hours(1))).collect();
    bed.record(&doubt).await;
    let found = store.uncertain(bed.run, 10).await.unwrap();
    assert_eq!(found.iter().map(|t| t.key).collect::<Vec<_>>(), [bed.key(0, 0), bed.key(1, 0), bed.key(2, 0)]);
    assert_eq!(store.uncertain(bed.run, 2).await.unwrap().len(), 2);
    bed.record(&[ended(&begun.written[1].1, State::Reached, Reason::Answered, hours(2))]).await;
    assert_eq!(store.uncertain(bed.run, 10).await.unwrap().len(), 2);
}

pub async fn scan_goes_on(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let begun = bed.start(3, T0).await;
    bed.record(&[missed(&begun.written[0].1, Reason::Busy, hours(1), hours(2)), missed(&begun.written[2].1, Reason::Busy, hours(1), hours(2))]).await;
    let other = campaign(store, "other", bed.list, false).await.id;
    let (candidates, seen) = bed.first_timers(other, 3).await;
    bed.start_these(other, candidates, seen, hours(1)).await;
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let rows = store.scan(bed.run, after, 2).await.unwrap();
        let Some(last) = rows.last() else { break };
        assert!(rows.len() <= 2);
        after = Some((last.key.customer, last.key.seq));
        keys.extend(rows.iter().map(|t| t.key));
    }
    assert_eq!(keys, [bed.key(0, 0), bed.key(0, 1), bed.key(1, 0), bed.key(2, 0), bed.key(2, 1)]);
}

pub async fn timeline_oldest_first(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let other = campaign(store, "other", bed.list, false).await.id;
    let (candidates, seen) = bed.first_timers(other, 1).await;
    let early = bed.start_these(other, candidates, seen, hours(1)).await.written.remove(0).1;
    let late = bed.start(1, hours(2)).await.written.remove(0).1;
    bed.record(&[missed(&early, Reason::Busy, hours(1), hours(5))]).await;
    let keys: Vec<_> = store.timeline(bed.ids[0]).await.unwrap().into_iter().map(|t| t.key).collect();
    assert_eq!(keys, [early.key, late.key, waiting(&early, 0, Reason::Retry, hours(5)).key]);
}

pub async fn call_off_closes(store: &dyn Store) {
    let bed = bed(store, 5).await;
    let begun = bed.start(3, T0).await;
    let touch = |i: usize| &begun.written[i].1;
    let reached = Settled {
        next: Some(Touch { flags: crate::domain::touch::EVER_REACHED, ..waiting(touch(1), 1, Reason::NextStep, hours(9)) }),
        ..ended(touch(1), State::Reached, Reason::Answered, hours(1))
    };
    bed.record(&[missed(touch(0), Reason::Busy, hours(1), hours(9)), reached]).await;
    let before = store.tallies(bed.run).await.unwrap();
    let change = store.call_off(bed.fence, bed.run, Reason::Budget, hours(2)).await.unwrap();
    let mut expected = before;
    expected.merge(&change);
    assert_eq!(nonzero(&expected), nonzero(&store.tallies(bed.run).await.unwrap()), "it returns what it changed");
    for (state, n) in [(State::Pending, 0), (State::Scheduled, 0), (State::Started, 1), (State::Cancelled, 3), (State::Reached, 1)] {
        assert_eq!(bed.customers(state).await, n, "{state}");
    }
    assert_eq!(bed.tally(Tally::CalledOff, i64::from(Reason::Budget.code())).await, 3);
    let row = bed.stored(bed.key(0, 1)).await;
    assert_eq!((row.state, row.reason, row.ended_at), (State::Cancelled, Reason::Budget, Some(hours(2))));
    assert_eq!(store.campaign_by_id(bed.run).await.unwrap().stop_reason, Some(Reason::Budget));
    assert_eq!(store.scan(bed.run, None, 99).await.unwrap().len(), 5, "no rows are written for those never looked at");
    let late = bed.start(5, hours(3)).await;
    assert_eq!((late.written.len(), late.consumed), (0, 2), "nobody is begun any more");
    bed.record(&[ended(touch(2), State::Reached, Reason::Answered, hours(3))]).await;
    assert_eq!((bed.customers(State::Reached).await, bed.customers(State::Started).await), (2, 0), "what was in flight is recorded");
}

pub async fn call_off_twice(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let touch = bed.start(1, T0).await.written.remove(0).1;
    store.call_off(bed.fence, bed.run, Reason::Stopped, hours(1)).await.unwrap();
    let nothing = store.call_off(bed.fence, bed.run, Reason::CampaignEnded, hours(2)).await.unwrap();
    assert!(nonzero(&nothing).is_empty(), "{nothing:?}");
    bed.record(&[missed(&touch, Reason::Busy, hours(3), hours(4))]).await;
    let nothing = store.call_off(bed.fence, bed.run, Reason::CampaignEnded, hours(5)).await.unwrap();
    assert!(nonzero(&nothing).is_empty(), "the retry was called off as it was written: {nothing:?}");
    assert_eq!(bed.tally(Tally::CalledOff, i64::from(Reason::Stopped.code())).await, 3, "the first reason stays");
    assert_eq!(bed.customers(State::Cancelled).await, 3);
}

pub async fn receipts_are_kept(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let touch = bed.start(1, T0).await.written.remove(0).1;
    let receipt = |touch, h: i64, said: &str| ReceiptRow {
        route: bed.route,
        provider_ref: "m-1".into(),
        touch,
        at: hours(h),
        said: said.into(),
        applied: said == "delivered",
    };
    let (late, early) = (receipt(Some(touch.key), 2, "delivered"), receipt(Some(touch.key), 1, "undelivered"));
    store.keep_receipts(&[late.clone(), receipt(None, 1, "unknown")]).await.unwrap();
    store.keep_receipts(&[early.clone(), late.clone()]).await.unwrap();
    assert_eq!(store.receipts(touch.key).await.unwrap(), [early, late.clone(), late], "all of them, oldest first, repeated ones too");
    assert!(store.receipts(bed.key(0, 7)).await.unwrap().is_empty());
}

pub async fn emptied_batches_can_be_closed(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let begun = bed.start(2, T0).await;
    let batch = begun.batch.unwrap();
    // All results were committed, and the process died before it closed the batch.
    let results: Vec<_> = begun.written.iter().map(|(_, t)| ended(t, State::Reached, Reason::Answered, hours(1))).collect();
    bed.record(&results).await;
    store.release(bed.fence).await.unwrap();
    let fence = store.acquire(false, hours(2)).await.unwrap();
    assert_eq!(store.orphans(fence, false, 100).await.unwrap(), [(batch, Vec::new())]);
    store.record(fence, &[], &[batch]).await.unwrap();
    assert!(store.orphans(fence, false, 100).await.unwrap().is_empty());
}
