//! `begin`.
use super::kit::*;
use crate::domain::caps::{Cap, PastContact, blocked};
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentState, Purpose};
use crate::domain::ids::{CustomerId, RuleNo, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::time::HOUR;
use crate::domain::touch::{State, Touch};
use crate::store::{BeginRequest, Begun, Candidate, ContactFacts, FactInput, Store};

/// A first row that is no attempt.
fn still(key: TouchKey, state: State, reason: Reason) -> Touch {
    Touch {
        key,
        attempt: 0,
        channel: None,
        route: None,
        state,
        reason,
        started_at: None,
        ended_at: Some(T0),
        cost_micros: 0,
        parts: 0,
        ..started(key, crate::domain::ids::RouteId(0), T0)
    }
}

/// What `decide` was told of each candidate.
#[derive(Debug, PartialEq)]
struct Told {
    customer: CustomerId,
    history: Vec<PastContact>,
    sms: ConsentState,
    converted: bool,
}

/// Begins and writes down what was told, deciding `Started` for all.
async fn told(bed: &Bed<'_>, request: BeginRequest) -> (Begun, Vec<Told>) {
    let (run, at, route) = (request.campaign, request.at, bed.route);
    let mut seen = Vec::new();
    let mut decide = |c: &Candidate, facts: ContactFacts<'_>| {
        let sms = facts.contactability.consent(Channel::Sms, Purpose::Marketing);
        seen.push(Told { customer: c.member.id, history: facts.history.to_vec(), sms, converted: facts.converted });
        Some(begun_of(c, run, route, at))
    };
    let begun = bed.store.begin(request, &mut decide).await.expect("begin");
    (begun, seen)
}

pub async fn all_verdicts(store: &dyn Store) {
    let bed = bed(store, 8).await;
    let (candidates, seen) = bed.first_timers(bed.run, 8).await;
    let (ids, route, run) = (bed.ids.clone(), bed.route, bed.run);
    let mut decide = |c: &Candidate, _: ContactFacts<'_>| {
        let key = TouchKey { customer: c.member.id, campaign: run, seq: 0 };
        let row = started(key, route, T0);
        Some(match ids.iter().position(|id| *id == c.member.id).unwrap() {
            0 => row,
            1 => Touch { channel: Some(Channel::Sms), parts: 3, cost_micros: 90_000, ..row },
            2 => Touch { due_at: Some(hours(5)), reason: Reason::OutsideWindow, route: None, ..still(key, State::Scheduled, Reason::None) },
            3 => still(key, State::Suppressed, Reason::OptedOut),
            4 => still(key, State::Suppressed, Reason::Cap),
            5 => still(key, State::HeldOut, Reason::HeldOut),
            6 => still(key, State::Expired, Reason::Validity),
            _ => still(key, State::Cancelled, Reason::Converted),
        })
    };
    let begun = store.begin(bed.request(run, T0, candidates, seen), &mut decide).await.unwrap();
    assert_eq!((begun.consumed, begun.written.len()), (8, 8));
    assert!(begun.batch.is_some());
    let states = [
        (State::Pending, 0),
        (State::Started, 2),
        (State::Scheduled, 1),
        (State::Suppressed, 2),
        (State::HeldOut, 1),
        (State::Expired, 1),
        (State::Cancelled, 1),
    ];
    for (state, n) in states {
        assert_eq!(bed.customers(state).await, n, "{state} customers");
    }
    let code = |reason: Reason| i64::from(reason.code());
    for (tally, key, n) in [
        (Tally::Suppressed, code(Reason::OptedOut), 1),
        (Tally::Suppressed, code(Reason::Cap), 1),
        (Tally::CalledOff, code(Reason::Validity), 1),
        (Tally::CalledOff, code(Reason::Converted), 1),
        (Tally::AttemptsByChannel, i64::from(Channel::Call.code()), 1),
        (Tally::AttemptsByChannel, i64::from(Channel::Sms.code()), 1),
        (Tally::AttemptsByRoute, i64::from(route.0), 2),
        (Tally::CostMicros, 0, COST + 90_000),
        (Tally::Parts, 0, 4),
    ] {
        assert_eq!(bed.tally(tally, key).await, n, "{tally} of {key}");
    }
    assert_eq!(nonzero(&begun.tallies), nonzero(&store.tallies(run).await.unwrap()), "a first batch changes what it is");
    for (_, row) in &begun.written {
        assert_eq!(store.touch(row.key).await.unwrap().as_ref(), Some(row), "the row is stored as decided");
        assert_eq!(store.head(run, row.key.customer).await.unwrap().as_ref(), Some(row));
    }
}

pub async fn cursor_and_end_of_batch(store: &dyn Store) {
    let bed = bed(store, 6).await;
    let (candidates, seen) = bed.first_timers(bed.run, 6).await;
    let (run, route) = (bed.run, bed.route);
    let mut asked = Vec::new();
    let mut decide = |c: &Candidate, _: ContactFacts<'_>| {
        asked.push(c.member.id);
        (asked.len() < 4).then(|| begun_of(c, run, route, T0))
    };
    let begun = store.begin(bed.request(run, T0, candidates, seen), &mut decide).await.unwrap();
    assert_eq!(asked, bed.ids[..4], "asked in order, and nobody after the first `None`");
    assert_eq!((begun.consumed, begun.written.iter().map(|(i, _)| *i).collect::<Vec<_>>()), (3, vec![0, 1, 2]));
    assert_eq!(store.campaign_by_id(run).await.unwrap().cursor, bed.ids[2]);
    assert_eq!(bed.customers(State::Pending).await, 3);
    let rest = bed.start(10, hours(1)).await;
    assert_eq!(rest.written.iter().map(|(_, t)| t.key.customer).collect::<Vec<_>>(), bed.ids[3..]);
    assert_eq!(store.campaign_by_id(run).await.unwrap().cursor, bed.ids[5]);
    let (none, seen) = bed.first_timers(run, 10).await;
    let empty = bed.start_these(run, none, seen, hours(2)).await;
    assert_eq!((empty.batch, empty.consumed, empty.written.len()), (None, 0, 0));
}

pub async fn nobody_twice(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let (candidates, seen) = bed.first_timers(bed.run, 3).await;
    bed.start_these(bed.run, candidates.clone(), seen, T0).await;
    let (again, asked) = told(&bed, bed.request(bed.run, hours(1), candidates.clone(), seen)).await;
    assert!(asked.is_empty(), "a page handed in again is not decided on again: {asked:?}");
    assert_eq!((again.consumed, again.written.len(), again.batch), (3, 0, None));
    let twice: Vec<Candidate> = candidates.iter().chain(&candidates).cloned().collect();
    let other = campaign(store, "other", bed.list, false).await.id;
    let (begun, _) = told(&bed, bed.request(other, hours(2), twice, seen)).await;
    assert_eq!((begun.consumed, begun.written.len()), (6, 3), "nor within one batch");
    let third = campaign(store, "third", bed.list, false).await.id;
    told(&bed, bed.request(third, hours(3), candidates[1..2].to_vec(), seen)).await;
    let (behind, asked) = told(&bed, bed.request(third, hours(3), candidates.clone(), seen)).await;
    assert_eq!(asked.iter().map(|t| t.customer).collect::<Vec<_>>(), bed.ids[2..], "the cursor only goes forward");
    assert_eq!((behind.consumed, behind.written.len()), (3, 1));
}

pub async fn stale_fence_is_refused(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let (candidates, seen) = bed.first_timers(bed.run, 2).await;
    store.release(bed.fence).await.unwrap();
    let mut never = |_: &Candidate, _: ContactFacts<'_>| panic!("decided under a stale fence");
    expect_fenced(store.begin(bed.request(bed.run, T0, candidates.clone(), seen), &mut never).await, "begin after the release");
    store.acquire(false, hours(1)).await.unwrap();
    expect_fenced(store.begin(bed.request(bed.run, T0, candidates, seen), &mut never).await, "begin with the number before");
    assert_eq!(store.campaign_by_id(bed.run).await.unwrap().cursor, CustomerId(0));
}

pub async fn change_since_page_is_seen(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let grant = [(reference(1), consent(Channel::Sms, ConsentState::Granted, T0)), (reference(2), consent(Channel::Sms, ConsentState::Granted, T0))];
    store.put_consents(&grant, None).await.unwrap();
    let (candidates, seen) = bed.first_timers(bed.run, 2).await;
    store.put_consents(&[(reference(2), consent(Channel::Sms, ConsentState::Withdrawn, hours(1)))], None).await.unwrap();
    let (_, asked) = told(&bed, bed.request(bed.run, hours(1), candidates, seen)).await;
    let sms: Vec<ConsentState> = asked.iter().map(|t| t.sms).collect();
    assert_eq!(sms, [ConsentState::Granted, ConsentState::Withdrawn], "an opt-out after the page was read is seen (law 3)");
}

pub async fn unchanged_is_as_read(store: &dyn Store) {
    let bed = bed(store, 1).await;
    store.put_consents(&[(reference(1), consent(Channel::Sms, ConsentState::Granted, T0))], None).await.unwrap();
    let (candidates, seen) = bed.first_timers(bed.run, 1).await;
    // The same record again, and an older one, change nothing; neither may hide what the page said.
    let old = crate::domain::time::Timestamp(T0.0 - HOUR);
    store.put_consents(&[(reference(1), consent(Channel::Sms, ConsentState::Withdrawn, old))], None).await.unwrap();
    let (_, asked) = told(&bed, bed.request(bed.run, hours(1), candidates, seen)).await;
    assert_eq!(asked[0].sms, ConsentState::Granted);
}

pub async fn caps_across_campaigns(store: &dyn Store) {
    let bed = bed(store, 4).await;
    let first = bed.start(4, T0).await;
    let touch = |i: usize| first.written[i].1.clone();
    bed.record(&[
        ended(&touch(0), State::Reached, Reason::Answered, hours(1)),
        put_back(&touch(1), hours(48), hours(1)),
        ended(&touch(2), State::Refused, Reason::ProviderBlocked, hours(1)),
        ended(&touch(3), State::Uncertain, Reason::TimedOut, hours(1)),
    ])
    .await;
    let other = campaign(store, "other", bed.list, false).await.id;
    let (candidates, seen) = bed.first_timers(other, 4).await;
    let (_, asked) = told(&bed, BeginRequest { purpose: Purpose::Service, ..bed.request(other, hours(2), candidates, seen) }).await;
    let contact = |at, purpose| PastContact { at, channel: Channel::Call, purpose };
    let made = vec![contact(T0, Purpose::Marketing)];
    let histories: Vec<_> = asked.into_iter().map(|t| t.history).collect();
    assert_eq!(histories, [made.clone(), vec![], vec![], made], "what was put back or refused is no contact; what is in doubt is");

    let third = campaign(store, "third", bed.list, false).await.id;
    let (candidates, seen) = bed.first_timers(third, 1).await;
    let (_, asked) = told(&bed, bed.request(third, hours(3), candidates, seen)).await;
    let mut history = asked[0].history.clone();
    history.sort_by_key(|c| c.at);
    assert_eq!(history, [contact(T0, Purpose::Marketing), contact(hours(2), Purpose::Service)], "each under the purpose of its own campaign");
}

pub async fn ten_campaigns_one_touch(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let caps = [Cap { count: 1, per_ms: 24 * HOUR, channel: None, purpose: None, rule: RuleNo(0) }];
    let mut started_for = vec![0; 3];
    for n in 0..10 {
        let run = campaign(store, &format!("campaign-{n}"), bed.list, false).await.id;
        let (candidates, seen) = bed.first_timers(run, 3).await;
        let (ids, route) = (bed.ids.clone(), bed.route);
        // All ten at the same instant: only the ledger tells them apart.
        let mut decide = |c: &Candidate, facts: ContactFacts<'_>| {
            let key = TouchKey { customer: c.member.id, campaign: run, seq: 0 };
            if blocked(&caps, facts.history, Channel::Call, Purpose::Marketing, T0).is_some() {
                return Some(still(key, State::Suppressed, Reason::Cap));
            }
            started_for[ids.iter().position(|id| *id == c.member.id).unwrap()] += 1;
            Some(started(key, route, T0))
        };
        let request = BeginRequest { history_ms: 24 * HOUR, ..bed.request(run, T0, candidates, seen) };
        store.begin(request, &mut decide).await.unwrap();
    }
    assert_eq!(started_for, [1, 1, 1], "one touch each over ten campaigns with a cap of 1");
    let runs = store.campaigns().await.unwrap();
    let mut suppressed = 0;
    for run in &runs {
        suppressed += store.tallies(run.id).await.unwrap().get(Tally::Suppressed, i64::from(Reason::Cap.code()));
    }
    assert_eq!(suppressed, 27);
}

pub async fn rehearsals_see_real_and_themselves(store: &dyn Store) {
    let bed = bed(store, 1).await;
    bed.start(1, T0).await;
    let mut contacts_seen = Vec::new();
    for (name, rehearsal) in [("r1", true), ("r2", true), ("real", false)] {
        let run = campaign(store, name, bed.list, rehearsal).await.id;
        let (candidates, seen) = bed.first_timers(run, 1).await;
        let (begun, asked) = told(&bed, bed.request(run, hours(1), candidates, seen)).await;
        contacts_seen.push(asked[0].history.len());
        bed.record(&[missed(&begun.written[0].1, Reason::Busy, hours(1), hours(2))]).await;
        let (candidates, seen) = bed.due(run, hours(2)).await;
        let (_, asked) = told(&bed, bed.request(run, hours(2), candidates, seen)).await;
        contacts_seen.push(asked[0].history.len());
    }
    // r1: the real touch, then its own too. r2: not r1's. The real one: no rehearsal's.
    assert_eq!(contacts_seen, [1, 2, 1, 2, 1, 2]);
}

pub async fn horizon_is_half_open(store: &dyn Store) {
    let bed = bed(store, 1).await;
    bed.start(1, T0).await;
    for (n, (ms_before, contacts)) in [(HOUR, 0), (HOUR + 1, 1), (0, 0)].into_iter().enumerate() {
        let run = campaign(store, &format!("r{n}"), bed.list, true).await.id;
        let (candidates, seen) = bed.first_timers(run, 1).await;
        let (_, asked) = told(&bed, BeginRequest { history_ms: ms_before, ..bed.request(run, hours(1), candidates, seen) }).await;
        assert_eq!(asked[0].history.len(), contacts, "with a horizon of {ms_before} ms, one hour after the touch");
    }
}

pub async fn conversion_is_seen(store: &dyn Store) {
    let bed = bed(store, 4).await;
    let fact = |n: usize, kind: &str, product: Option<&str>, at| FactInput {
        fact_ref: format!("f{n}"),
        customer: reference(n),
        kind: kind.into(),
        product: product.map(Into::into),
        amount: cny(100),
        at,
    };
    let before = crate::domain::time::Timestamp(T0.0 - 1);
    let facts = [
        fact(1, "loan_drawdown", Some("home"), T0),
        fact(2, "loan_drawdown", Some("home"), before),
        fact(3, "loan_drawdown", Some("car"), hours(1)),
        fact(4, "deposit", None, hours(1)),
    ];
    store.put_facts(&facts, None).await.unwrap();
    let kinds = |kinds: &[(&str, Option<&str>)]| kinds.iter().map(|(k, p)| ((*k).to_owned(), p.map(str::to_owned))).collect::<Vec<_>>();
    for (conversion_facts, expected) in [
        (kinds(&[("loan_drawdown", Some("home"))]), [true, false, false, false]),
        (kinds(&[("loan_drawdown", None), ("deposit", None)]), [true, false, true, true]),
        (kinds(&[("deposit", Some("term"))]), [false; 4]),
        (kinds(&[]), [false; 4]),
    ] {
        let run = campaign(store, "r", bed.list, true).await.id;
        let (candidates, seen) = bed.first_timers(run, 4).await;
        let (_, asked) =
            told(&bed, BeginRequest { conversion_facts: conversion_facts.clone(), ..bed.request(run, hours(2), candidates, seen) }).await;
        assert_eq!(asked.iter().map(|t| t.converted).collect::<Vec<_>>(), expected, "{conversion_facts:?}");
    }
}

pub async fn due_head_is_begun(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let begun = bed.start(2, T0).await;
    bed.record(&[missed(&begun.written[0].1, Reason::NoAnswer, hours(1), hours(4))]).await;
    let (mut candidates, seen) = bed.due(bed.run, hours(4)).await;
    candidates.extend(bed.first_timers(bed.run, 5).await.0);
    let both = bed.start_these(bed.run, candidates, seen, hours(4)).await;
    let keys: Vec<_> = both.written.iter().map(|(_, t)| t.key).collect();
    assert_eq!(keys, [bed.key(0, 1), bed.key(2, 0)], "due and first-time candidates in one batch");
    assert_eq!(store.campaign_by_id(bed.run).await.unwrap().cursor, bed.ids[2]);
    let row = bed.stored(bed.key(0, 1)).await;
    assert_eq!((row.state, row.attempt, row.due_at, row.started_at), (State::Started, 2, Some(hours(4)), Some(hours(4))));
    assert_eq!((bed.customers(State::Started).await, bed.customers(State::Scheduled).await), (3, 0));
    assert_eq!(bed.tally(Tally::AttemptsByChannel, i64::from(Channel::Call.code())).await, 4);
    assert_eq!(store.next_due(bed.run, &[crate::domain::ids::StepNo(0)]).await.unwrap(), None);
}

pub async fn due_head_gone_is_skipped(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let begun = bed.start(2, T0).await;
    bed.record(&[
        missed(&begun.written[0].1, Reason::NoAnswer, hours(1), hours(4)),
        missed(&begun.written[1].1, Reason::NoAnswer, hours(1), hours(4)),
    ])
    .await;
    let (candidates, seen) = bed.due(bed.run, hours(4)).await;
    assert_eq!(candidates.len(), 2);
    bed.start_these(bed.run, candidates[..1].to_vec(), seen, hours(4)).await;
    let (again, asked) = told(&bed, bed.request(bed.run, hours(5), candidates, seen)).await;
    assert_eq!((again.consumed, again.written.len(), asked.len()), (2, 1, 1), "the one that was started is skipped");
    assert_eq!(again.written[0].0, 1, "indexes are those of the candidates");
    assert_eq!(again.written[0].1.key, bed.key(1, 1));
}

pub async fn bad_rows_write_nothing(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let (run, route) = (bed.run, bed.route);
    let bad: [Fault; 5] = [
        ("another customer's key", |t| t.key.customer = CustomerId(t.key.customer.0 + 1)),
        ("a seq that skips", |t| t.key.seq = 1),
        ("started without an instant", |t| t.started_at = None),
        ("a result before the sending", |t| t.state = State::Reached),
        ("scheduled without a due time", |t| t.state = State::Scheduled),
    ];
    for (what, spoil) in bad {
        let (candidates, seen) = bed.first_timers(run, 3).await;
        let mut n = 0;
        let mut decide = |c: &Candidate, _: ContactFacts<'_>| {
            let mut row = begun_of(c, run, route, T0);
            n += 1;
            if n == 2 {
                spoil(&mut row);
            }
            Some(row)
        };
        expect_conflict(store.begin(bed.request(run, T0, candidates, seen), &mut decide).await, what);
        assert_eq!(store.scan(run, None, 10).await.unwrap(), [], "{what}: nothing of the batch is written");
        assert_eq!(store.campaign_by_id(run).await.unwrap().cursor, CustomerId(0), "{what}");
    }
    assert_eq!(bed.start(3, T0).await.written.len(), 3, "and the right rows go through afterwards");
}

pub async fn batch_only_for_started(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let (candidates, seen) = bed.first_timers(bed.run, 1).await;
    let run = bed.run;
    let mut decide =
        |c: &Candidate, _: ContactFacts<'_>| Some(still(TouchKey { customer: c.member.id, campaign: run, seq: 0 }, State::HeldOut, Reason::HeldOut));
    let begun = store.begin(bed.request(run, T0, candidates, seen), &mut decide).await.unwrap();
    assert_eq!(begun.batch, None, "nothing in flight, no batch");
    let first = bed.start(1, T0).await.batch.expect("a touch in flight");
    assert_eq!(bed.customers(State::HeldOut).await, 1);
    let other = campaign(store, "other", bed.list, false).await.id;
    let (candidates, seen) = bed.first_timers(other, 2).await;
    assert_ne!(bed.start_these(other, candidates, seen, T0).await.batch, Some(first), "each batch has its own number");
}
