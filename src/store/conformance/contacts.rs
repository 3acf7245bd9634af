//! Contacts reported from outside, holds, and wishes to be called.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::consent::{HoldRecord, Purpose};
use crate::domain::ids::{CustomerId, TaskId};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::time::{MINUTE, Timestamp};
use crate::domain::touch::{State, Touch};
use crate::store::contacts::{Report, Wish};
use crate::store::{Needs, Status, Store, StoreError};

fn report(customer: CustomerId, reference: &str, disposition: Reason, at: Timestamp) -> Report {
    Report {
        source: "call-centre".into(),
        reference: reference.into(),
        customer,
        channel: Channel::Call,
        purpose: Purpose::Marketing,
        started_at: hours(1),
        disposition,
        connected_s: if disposition.is_reached() { 60 } else { 0 },
        at,
        by: "rm-7".into(),
    }
}

/// Customers of the house's run in a state.
async fn counted(store: &dyn Store, state: State) -> i64 {
    let run = store.house_run(Purpose::Marketing).await.unwrap().expect("the house's run");
    let row = store.campaign_by_id(run).await.unwrap();
    store.tallies(run).await.unwrap().customers(row.audience)[&state]
}

pub async fn a_contact_is_a_touch(store: &dyn Store) {
    let ids = people(store, 2).await;
    assert_eq!(store.house_run(Purpose::Marketing).await.unwrap(), None);
    let done = store.report_contact(&report(ids[1], "a", Reason::Interested, hours(2))).await.unwrap();
    assert!(done.made && done.changed);
    let touch = store.touch(done.contact.touch).await.unwrap().expect("the touch");
    assert_eq!((touch.state, touch.reason, touch.channel), (State::Reached, Reason::Interested, Some(Channel::Call)));
    assert_eq!((touch.started_at, touch.ended_at, touch.connected_s), (Some(hours(1)), Some(hours(1).plus(MINUTE)), 60));
    let run = store.campaign("rm-contacts", Some(false)).await.unwrap();
    assert_eq!(Some(run.id), store.house_run(Purpose::Marketing).await.unwrap());
    assert_eq!((run.audience, run.status, run.id.is_rehearsal()), (1, Status::Finished, false), "real, and closed to the engine");
    let list = store.list("rm-contacts").await.unwrap();
    assert_eq!((list.count, list.frozen_at, list.checksum.as_str()), (1, None, ""), "it stays open: nobody approves it");
    assert_eq!(store.page(list.id, CustomerId(0), 10, Needs::default()).await.unwrap().members[0].id, ids[1]);
    assert_eq!(store.history(run.id).await.unwrap().len(), 1);
    // A second contact of the same customer leaves the audience as it is.
    let second = store.report_contact(&report(ids[1], "b", Reason::NoAnswer, hours(3))).await.unwrap();
    assert_eq!(second.contact.touch.seq, 1);
    assert_eq!(store.campaign_by_id(run.id).await.unwrap().audience, 1);
    assert_eq!(counted(store, State::Reached).await, 1, "reached once is reached");
    store.report_contact(&report(ids[0], "c", Reason::Busy, hours(3))).await.unwrap();
    assert_eq!((counted(store, State::Reached).await, counted(store, State::Missed).await), (1, 1));
    assert_eq!(store.timeline(ids[1]).await.unwrap().len(), 2);
    assert_eq!(store.scan(run.id, None, 10).await.unwrap().len(), 3);
    assert_eq!(store.reported_contacts(ids[1]).await.unwrap().len(), 2);
    assert_eq!(store.reported_contact("call-centre", "b").await.unwrap(), Some(second.contact));
    assert_eq!(store.tallies(run.id).await.unwrap().get(Tally::ConnectedSeconds, 0), 60);
}

pub async fn a_repeated_report_changes_nothing(store: &dyn Store) {
    let ids = people(store, 1).await;
    let first = store.report_contact(&report(ids[0], "a", Reason::Answered, hours(2))).await.unwrap();
    let again = store.report_contact(&report(ids[0], "a", Reason::Answered, hours(2))).await.unwrap();
    assert_eq!((again.contact, again.made, again.changed), (first.contact, false, false));
    assert_eq!(store.timeline(ids[0]).await.unwrap().len(), 1);
}

pub async fn corrections_go_by_the_lattice(store: &dyn Store) {
    let ids = people(store, 1).await;
    let put = async |disposition, at| store.report_contact(&report(ids[0], "a", disposition, at)).await.unwrap();
    put(Reason::NoAnswer, hours(2)).await;
    store.report_contact(&report(ids[0], "later", Reason::Busy, hours(2))).await.unwrap();
    assert!(!put(Reason::Busy, hours(1)).await.changed, "an earlier report that comes late");
    assert!(put(Reason::Voicemail, hours(3)).await.changed, "a later one of the same kind");
    assert_eq!(counted(store, State::Missed).await, 1);
    assert!(put(Reason::Answered, hours(4)).await.changed, "missed to reached");
    assert_eq!(counted(store, State::Reached).await, 1, "the head of the customer knows, though it is another touch");
    assert!(!put(Reason::NoAnswer, hours(5)).await.changed, "never back");
    assert!(put(Reason::Interested, hours(6)).await.changed);
    let kept = store.reported_contact("call-centre", "a").await.unwrap().unwrap();
    assert_eq!(store.touch(kept.touch).await.unwrap().unwrap().reason, Reason::Interested);
}

pub async fn contradictions_and_strangers_are_refused(store: &dyn Store) {
    let ids = people(store, 2).await;
    let stranger = store.report_contact(&report(CustomerId(99), "a", Reason::Answered, hours(2))).await;
    assert!(matches!(stranger, Err(StoreError::NotFound { what: "customer", .. })), "{stranger:?}");
    assert_eq!(store.house_run(Purpose::Marketing).await.unwrap(), None, "nothing of it is written");
    store.report_contact(&report(ids[0], "a", Reason::Answered, hours(2))).await.unwrap();
    expect_conflict(store.report_contact(&report(ids[1], "a", Reason::Answered, hours(3))).await, "another customer");
    let service = Report { purpose: Purpose::Service, ..report(ids[0], "a", Reason::Answered, hours(3)) };
    expect_conflict(store.report_contact(&service).await, "another purpose");
    let own = Report { reference: "s".into(), ..service };
    store.report_contact(&own).await.unwrap();
    let runs = store.campaigns().await.unwrap();
    assert_eq!(runs.len(), 2, "a run a purpose");
}

pub async fn the_names_of_the_house_are_reserved(store: &dyn Store) {
    people(store, 1).await;
    for name in ["rm-contacts", "rm-contacts-service", "rm-contacts-collection"] {
        expect_conflict(store.open_list(name, T0).await, name);
        let list = everybody(store, &format!("for {name}")).await;
        expect_conflict(store.create_campaign(&handed_in(name, list, false, T0), &[]).await, name);
    }
}

pub async fn later_campaigns_see_reported_contacts(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let service = Report { purpose: Purpose::Service, ..report(bed.ids[0], "a", Reason::Answered, hours(2)) };
    store.report_contact(&service).await.unwrap();
    let (candidates, seen) = bed.first_timers(bed.run, 2).await;
    let request = bed.request(bed.run, hours(3), candidates, seen);
    let mut seen = Vec::new();
    let (run, route) = (bed.run, bed.route);
    let mut decide = |c: &crate::store::Candidate, facts: crate::store::ContactFacts<'_>| {
        seen.extend(facts.history.iter().map(|past| (c.member.id, past.at, past.channel, past.purpose)));
        Some(begun_of(c, run, route, hours(3)))
    };
    store.begin(request, &mut decide).await.unwrap();
    assert_eq!(seen, [(bed.ids[0], hours(1), Channel::Call, Purpose::Service)]);
}

fn word(until: Option<Timestamp>, at: Timestamp) -> HoldRecord {
    HoldRecord { until, by: "rm-7".into(), why: "meeting".into(), at }
}

pub async fn the_latest_hold_rules(store: &dyn Store) {
    let ids = people(store, 2).await;
    let list = everybody(store, "all").await;
    let before = store.page(list, CustomerId(0), 1, Needs::default()).await.unwrap().seen_change;
    assert_eq!(store.hold(ids[0], &word(Some(hours(9)), hours(2))).await.unwrap(), Some(hours(9)));
    assert_eq!(store.contactability(ids[0]).await.unwrap().held_until(), Some(hours(9)));
    assert_eq!(store.contactability(ids[1]).await.unwrap().held_until(), None);
    let page = store.page(list, CustomerId(0), 2, Needs::default()).await.unwrap();
    assert!(page.seen_change > before, "a hold is a change of contactability");
    assert_eq!(page.members[0].contactability.held_until(), Some(hours(9)));
    store.hold(ids[0], &word(Some(hours(5)), hours(1))).await.unwrap();
    assert_eq!(store.contactability(ids[0]).await.unwrap().held_until(), Some(hours(9)), "an older word that comes late");
    assert_eq!(store.hold(ids[0], &word(Some(hours(9)), hours(2))).await.unwrap(), Some(hours(9)), "the same again");
    assert_eq!(store.holds(ids[0]).await.unwrap(), [word(Some(hours(5)), hours(1)), word(Some(hours(9)), hours(2))]);
    assert_eq!(store.hold(ids[0], &word(None, hours(3))).await.unwrap(), None);
    assert_eq!(store.contactability(ids[0]).await.unwrap(), crate::domain::consent::Contactability::default());
    let late = store.hold(CustomerId(99), &word(None, hours(3))).await;
    assert!(matches!(late, Err(StoreError::NotFound { what: "customer", .. })), "{late:?}");
    assert_eq!(store.hold(ids[1], &word(Some(hours(2).plus(1)), hours(1))).await.unwrap(), Some(hours(2).plus(15 * MINUTE)), "rounded up");
}

pub async fn a_hold_and_consents_leave_each_other(store: &dyn Store) {
    let ids = people(store, 1).await;
    store.hold(ids[0], &word(Some(hours(9)), hours(2))).await.unwrap();
    let granted = consent(Channel::Sms, crate::domain::consent::ConsentState::Granted, hours(1));
    store.put_consents(&[(reference(1), granted)], None).await.unwrap();
    let packed = store.contactability(ids[0]).await.unwrap();
    assert_eq!(packed.held_until(), Some(hours(9)));
    assert_eq!(packed.consent(Channel::Sms, Purpose::Marketing), crate::domain::consent::ConsentState::Granted);
    store.hold(ids[0], &word(None, hours(3))).await.unwrap();
    assert_eq!(store.contactability(ids[0]).await.unwrap(), packed.with_hold(None));
}

pub async fn a_lifted_hold_brings_forward(store: &dyn Store) {
    let bed = bed(store, 2).await;
    for id in &bed.ids {
        store.hold(*id, &word(Some(hours(20)), T0)).await.unwrap();
    }
    let (candidates, seen) = bed.first_timers(bed.run, 2).await;
    let request = bed.request(bed.run, hours(1), candidates, seen);
    let (run, route) = (bed.run, bed.route);
    let mut decide = |c: &crate::store::Candidate, facts: crate::store::ContactFacts<'_>| {
        let due_at = facts.contactability.held_until();
        // Of the second customer something else stands in the way: no lifted hold touches that.
        let reason = if c.member.id == CustomerId(1) { Reason::Held } else { Reason::CapWait };
        let touch = begun_of(c, run, route, hours(1));
        Some(Touch { state: State::Scheduled, reason, due_at, started_at: None, route: None, cost_micros: 0, parts: 0, ..touch })
    };
    store.begin(request, &mut decide).await.unwrap();
    let steps = [crate::domain::ids::StepNo(0)];
    assert_eq!(store.next_due(run, &steps).await.unwrap(), Some(hours(20)));
    store.hold(bed.ids[0], &word(Some(hours(10)), hours(2))).await.unwrap();
    assert_eq!(store.next_due(run, &steps).await.unwrap(), Some(hours(10)), "a shorter hold");
    store.hold(bed.ids[0], &word(Some(hours(15)), hours(3))).await.unwrap();
    assert_eq!(store.next_due(run, &steps).await.unwrap(), Some(hours(10)), "a longer one is seen when the touch is due");
    for id in &bed.ids {
        store.hold(*id, &word(None, hours(4))).await.unwrap();
    }
    assert_eq!(store.next_due(run, &steps).await.unwrap(), Some(hours(4)));
    let due = store.due(run, hours(4), &steps, 10, Needs::default()).await.unwrap();
    assert_eq!(due.touches.iter().map(|(t, _)| t.key.customer).collect::<Vec<_>>(), [bed.ids[0]]);
}

fn wish(customer: CustomerId, wanted_at: Option<Timestamp>, at: Timestamp) -> Wish {
    Wish {
        source: "app".into(),
        reference: "w-1".into(),
        customer,
        wanted_at,
        zone: chrono_tz::Asia::Shanghai,
        topic: "mortgage".into(),
        at,
        by: "app".into(),
    }
}

pub async fn the_newest_wish_rules(store: &dyn Store) {
    let ids = people(store, 2).await;
    let first = wish(ids[0], Some(hours(30)), hours(2));
    assert!(store.put_wish(&first).await.unwrap().1);
    assert!(!store.put_wish(&first).await.unwrap().1, "the same again");
    assert!(!store.put_wish(&wish(ids[0], Some(hours(20)), hours(1))).await.unwrap().1, "an older word");
    let open = store.unsettled_wishes(10).await.unwrap();
    assert_eq!((open.len(), &open[0].wish), (1, &first));
    store.settle_wish(&first, Some(TaskId(7))).await.unwrap();
    assert!(store.unsettled_wishes(10).await.unwrap().is_empty());
    let cancelled = wish(ids[0], None, hours(3));
    let (row, taken) = store.put_wish(&cancelled).await.unwrap();
    assert_eq!((taken, row.settled, row.task), (true, false, Some(TaskId(7))));
    store.settle_wish(&first, None).await.unwrap();
    assert_eq!(store.unsettled_wishes(10).await.unwrap().len(), 1, "a word that has been overtaken settles nothing");
    assert_eq!(store.wish("app", "w-1").await.unwrap(), Some(row.clone()));
    assert_eq!(store.wishes(ids[0]).await.unwrap(), [row]);
    assert!(store.wishes(ids[1]).await.unwrap().is_empty());
    expect_conflict(store.put_wish(&wish(ids[1], None, hours(9))).await, "another customer");
    let stranger = store.put_wish(&Wish { reference: "w-2".into(), ..wish(CustomerId(99), None, hours(9)) }).await;
    assert!(matches!(stranger, Err(StoreError::NotFound { what: "customer", .. })), "{stranger:?}");
}
