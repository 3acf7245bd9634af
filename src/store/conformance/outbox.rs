//! Subscriptions and the events that are told to them.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::consent::ConsentState;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::outbox::{CreditBody, EventKind, EventRow, NewWebhook, OptOutBody, Standing, StatusBody, TaskBody, TouchBody, Webhook};
use crate::store::tasks::{NewTask, TaskEvent, TaskKind};
use crate::store::{CreditRow, FactInput, Status, Store, StoreError};
use serde::de::DeserializeOwned;

fn wanted(kinds: &[EventKind]) -> NewWebhook {
    NewWebhook {
        url: "https://bank.example/hook".into(),
        kinds: kinds.iter().map(|k| k.bit()).sum(),
        campaign: None,
        batched: false,
        secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        by: "admin".into(),
        at: T0,
    }
}

async fn told(store: &dyn Store, webhook: &Webhook) -> Vec<EventRow> {
    store.outgoing(webhook, 100).await.unwrap().0
}

fn body<T: DeserializeOwned>(event: &EventRow) -> T {
    serde_json::from_str(&event.body).expect("the body that its kind says")
}

pub async fn settled_touches_are_told_to_whoever_asks(store: &dyn Store) {
    let bed = bed(store, 4).await;
    let begun = bed.start(4, T0).await;
    let touch = |n: usize| &begun.written[n].1;
    bed.record(&[ended(touch(0), State::Reached, Reason::Answered, hours(1))]).await;
    let hook = store.add_webhook(&wanted(&[EventKind::TouchSettled])).await.unwrap();
    let other = store.add_webhook(&wanted(&[EventKind::CampaignStatus])).await.unwrap();
    assert!(told(store, &hook).await.is_empty(), "what was before the subscription is not told");
    bed.record(&[accepted(touch(1), "a", hours(9)), missed(touch(2), Reason::Busy, hours(2), hours(3))]).await;
    bed.record(&[ended(touch(3), State::Uncertain, Reason::TimedOut, hours(2))]).await;
    let events = told(store, &hook).await;
    assert_eq!(events.len(), 1, "neither what was taken nor what is in doubt has ended: {events:?}");
    let event = &events[0];
    assert_eq!((event.kind, event.at, event.campaign, event.customer), (EventKind::TouchSettled, hours(2), Some(bed.run), Some(bed.ids[2])));
    let missed = body::<TouchBody>(event);
    assert_eq!((missed.seq, missed.state, missed.reason, missed.cost_micros), (0, State::Missed.code(), Reason::Busy.code(), COST));
    // A repeated report is skipped, and told by nobody; a correction is told.
    let stored = bed.stored(touch(2).key).await;
    bed.record(&[ended(touch(2), State::Missed, Reason::Busy, hours(2))]).await;
    bed.record(&[ended(&stored, State::Reached, Reason::Answered, hours(4))]).await;
    bed.record(&[ended(&bed.stored(touch(3).key).await, State::Reached, Reason::Answered, hours(5))]).await;
    let states: Vec<(i64, u16)> = told(store, &hook).await.iter().map(|e| (e.at.0, body::<TouchBody>(e).state)).collect();
    let reached = State::Reached.code();
    assert_eq!(states, [(hours(2).0, State::Missed.code()), (hours(4).0, reached), (hours(5).0, reached)]);
    assert!(told(store, &other).await.is_empty(), "not of its kinds");
    // One call that says the same of a touch twice settles it once, and it is told.
    let late = store.add_webhook(&wanted(&[EventKind::TouchSettled])).await.unwrap();
    let reached = ended(&bed.stored(touch(1).key).await, State::Reached, Reason::Answered, hours(6));
    assert_eq!(bed.record(&[reached.clone(), reached]).await.skipped, [touch(1).key]);
    assert_eq!(told(store, &late).await.len(), 1);
}

pub async fn rehearsals_are_not_told(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let hook = store.add_webhook(&wanted(&[EventKind::TouchSettled, EventKind::CampaignStatus])).await.unwrap();
    let run = campaign(store, "dry", bed.list, true).await.id;
    let (candidates, seen) = bed.first_timers(run, 1).await;
    let begun = bed.start_these(run, candidates, seen, T0).await;
    bed.record(&[ended(&begun.written[0].1, State::Reached, Reason::Answered, hours(1))]).await;
    assert!(told(store, &hook).await.is_empty());
}

pub async fn changes_of_status_are_told(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let hook = store.add_webhook(&wanted(&[EventKind::CampaignStatus])).await.unwrap();
    let run = campaign(store, "second", bed.list, false).await.id;
    store.set_wanted(run, crate::store::Wanted::Pause, "op", "lunch", hours(1)).await.unwrap();
    store.set_status(bed.run, &crate::store::StatusChange { reason: Some(Reason::Stopped), ..change(Status::Stopped, hours(2)) }).await.unwrap();
    let events = told(store, &hook).await;
    let expected = [(Some(run), Status::Submitted, None), (Some(bed.run), Status::Stopped, Some(i64::from(Reason::Stopped.code())))];
    let found: Vec<_> = events.iter().map(|e| (e.campaign, body::<StatusBody>(e))).collect();
    assert_eq!(found, expected.map(|(run, status, reason)| (run, StatusBody { status: status.code().into(), reason })), "a wish is no change");
    let only = store.add_webhook(&NewWebhook { campaign: Some("second".into()), ..wanted(&[EventKind::CampaignStatus]) }).await.unwrap();
    let only = Webhook { sent: 0, ..only };
    assert_eq!(told(store, &only).await.len(), 1, "of one campaign alone");
    assert_eq!(store.outgoing(&only, 100).await.unwrap().1, 2, "and looked through to the end");
}

pub async fn withdrawn_consents_are_told_once(store: &dyn Store) {
    let ids = people(store, 2).await;
    let hook = store.add_webhook(&wanted(&[EventKind::OptedOut])).await.unwrap();
    let withdrawn = (reference(2), consent(Channel::Sms, ConsentState::Withdrawn, hours(1)));
    let granted = (reference(1), consent(Channel::Sms, ConsentState::Granted, hours(1)));
    for _ in 0..2 {
        store.put_consents(&[granted.clone(), withdrawn.clone()], None).await.unwrap();
    }
    let events = told(store, &hook).await;
    assert_eq!(events.len(), 1, "a duplicate is not told");
    assert_eq!((events[0].customer, events[0].at), (Some(ids[1]), hours(1)));
    assert_eq!(body::<OptOutBody>(&events[0]), OptOutBody { channel: Channel::Sms.code().into(), purpose: 0 });
}

pub async fn credits_are_told_as_they_change(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let fact = |n: usize| FactInput {
        fact_ref: format!("F{n}"),
        customer: reference(n),
        kind: "loan_drawdown".into(),
        product: None,
        amount: cny(1000),
        at: hours(5),
    };
    store.put_facts(&[fact(1), fact(2)], None).await.unwrap();
    let ids: Vec<i64> =
        [store.customer_facts(bed.ids[0]).await.unwrap(), store.customer_facts(bed.ids[1]).await.unwrap()].concat().iter().map(|f| f.id).collect();
    let hook = store.add_webhook(&wanted(&[EventKind::ConversionCredited])).await.unwrap();
    let credit = |n: usize, minor, seq| CreditRow {
        campaign: bed.run,
        rule: "loan".into(),
        fact: ids[n],
        customer: bed.ids[n],
        seq,
        amount: cny(minor),
        at: hours(5),
    };
    let put = async |credits: &[CreditRow]| store.put_credits(bed.run, "loan", credits, true, true).await.unwrap();
    put(&[credit(0, 1000, Some(0))]).await;
    put(&[credit(0, 1000, Some(0))]).await;
    put(&[credit(0, 600, Some(0)), credit(1, 1000, None)]).await;
    put(&[]).await;
    let told: Vec<(String, i64, u8)> = told(store, &hook)
        .await
        .iter()
        .map(|e| {
            let body = body::<CreditBody>(e);
            (body.fact_ref, body.amount_minor, body.reversed)
        })
        .collect();
    let line = |minor, reversed| ("F1".to_owned(), minor, reversed);
    assert_eq!(told, [line(1000, 0), line(1000, 1), line(600, 0), line(600, 1)], "what stays is not told again, and the holdout never");
}

pub async fn tasks_are_told(store: &dyn Store) {
    let ids = people(store, 1).await;
    let hook = store.add_webhook(&wanted(&[EventKind::Task])).await.unwrap();
    let new = NewTask {
        key: "callback:app/1".into(),
        kind: TaskKind::Callback,
        customer: ids[0],
        touch: None,
        title: "call back".into(),
        script: None,
        language: None,
        skill: None,
        priority: 5,
        wanted_rm: None,
        branch: None,
        due_at: hours(1),
        expires_at: None,
        at: T0,
    };
    let task = store.make_tasks(std::slice::from_ref(&new)).await.unwrap().remove(0).0;
    store.make_tasks(&[new]).await.unwrap();
    store.change_tasks(&[(task.clone(), vec![TaskEvent::new("assigned", "engine", "own", hours(1))])]).await.unwrap();
    let events = told(store, &hook).await;
    let found: Vec<_> = events.iter().map(|e| (e.customer, e.at, body::<TaskBody>(e))).collect();
    let line = |what: &str, at| (Some(ids[0]), at, TaskBody { task: task.id.0, what: what.into(), kind: TaskKind::Callback.code().into() });
    assert_eq!(found, [line("made", T0), line("assigned", hours(1))]);
}

pub async fn deliveries_go_on_replay_and_end(store: &dyn Store) {
    people(store, 1).await;
    let hook = store.add_webhook(&wanted(&[EventKind::OptedOut])).await.unwrap();
    assert_eq!(store.webhooks().await.unwrap(), std::slice::from_ref(&hook));
    for h in 1..=5 {
        store.put_consents(&[(reference(1), consent(Channel::Sms, ConsentState::Withdrawn, hours(h)))], None).await.unwrap();
    }
    let (first, seen) = store.outgoing(&hook, 2).await.unwrap();
    assert_eq!((first.len(), seen), (2, first[1].n), "no further than what was given");
    let failing = Standing { tries: 2, failing_since: Some(hours(6)), next_at: hours(7), disabled_at: Some(hours(8)) };
    assert!(store.report_delivery(hook.id, hook.sent, seen, failing).await.unwrap());
    assert!(!store.report_delivery(hook.id, hook.sent, seen, failing).await.unwrap(), "decided on a place that it has left");
    let now = store.webhook(hook.id).await.unwrap();
    assert_eq!((now.sent, now.standing), (seen, failing));
    assert_eq!(told(store, &now).await.len(), 3);
    let enabled = store.enable_webhook(hook.id, hours(9)).await.unwrap();
    assert_eq!(enabled.standing, Standing { next_at: hours(9), ..Standing::default() });
    assert_eq!(store.replay_webhook(hook.id, hours(2)).await.unwrap(), 4);
    assert_eq!(told(store, &store.webhook(hook.id).await.unwrap()).await.len(), 4);
    assert_eq!(store.replay_webhook(hook.id, hours(99)).await.unwrap(), 0, "nothing is of that time or later: it stays");
    assert_eq!(told(store, &store.webhook(hook.id).await.unwrap()).await.len(), 4);
    assert_eq!(store.trim_events(hours(4)).await.unwrap(), 3);
    assert_eq!(told(store, &store.webhook(hook.id).await.unwrap()).await.len(), 2);
    assert_eq!(store.trim_events(Timestamp::FAR).await.unwrap(), 2);
    let late = store.add_webhook(&wanted(&[EventKind::OptedOut])).await.unwrap();
    assert_eq!(late.sent, 5, "numbers are not given twice");
    store.remove_webhook(hook.id).await.unwrap();
    assert!(matches!(store.remove_webhook(hook.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.webhook(hook.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.replay_webhook(hook.id, T0).await, Err(StoreError::NotFound { .. })));
}
