//! The use cases, over both stores.
use crate::{rm, stores, system};
use touchline::desk::DeskError;
use touchline::desk::callbacks::{Wanted, callbacks_round, law, wanted};
use touchline::desk::contacts::{Happened, Heard, HoldAsked, happened, hold, lift};
use touchline::desk::referrals::{CheckpointSaid, Referred, checkpoints, put_checkpoint, refer, task_of};
use touchline::desk::timeline::timeline;
use touchline::domain::access::Actor;
use touchline::domain::callback::CallbackTimes;
use touchline::domain::channel::Channel;
use touchline::domain::consent::Purpose;
use touchline::domain::ids::TaskId;
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE, Timestamp};
use touchline::domain::window::Law;
use touchline::domain::worklist::lease::{LEASE_MS, claim};
use touchline::domain::worklist::{Rm, Task, TaskKind, TaskState};
use touchline::store::{Store, StoreError};

/// 2026-11-24T01:00Z, nine in the morning in Shanghai.
const T0: Timestamp = Timestamp(1_795_482_000_000);
const TIMES: fn() -> CallbackTimes = CallbackTimes::default;

fn said(id: &str, customer: &str) -> Happened {
    serde_json::from_value(serde_json::json!({
        "id": id, "customer": customer, "started_at": "2026-11-24T00:30:00Z", "disposition": "interested", "connected_s": 120
    }))
    .unwrap()
}

fn wish(id: &str, local: &str, at: Timestamp) -> Wanted {
    Wanted {
        source: None,
        id: id.to_owned(),
        customer: "c0".to_owned(),
        local_time: Some(local.to_owned()),
        timezone: None,
        topic: Some("mortgage".to_owned()),
        cancelled: false,
        at: Some(at),
    }
}

fn bank() -> Law {
    law(&["cn-bank".to_owned()]).unwrap()
}

fn faults<T: std::fmt::Debug>(result: Result<T, DeskError>) -> Vec<String> {
    match result {
        Err(DeskError::Unfit(faults)) => faults,
        other => panic!("expected faults, found {other:?}"),
    }
}

fn is_missing<T>(result: &Result<T, DeskError>, what: &str) -> bool {
    matches!(result, Err(DeskError::Store(StoreError::NotFound { what: found, .. })) if *found == what)
}

#[tokio::test]
async fn a_call_that_happened_is_a_contact_or_a_receipt() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let Heard::Contact { contact, made } = happened(store, &rm(), &said("a", "c0"), T0).await.unwrap() else { panic!() };
        assert!(made);
        assert_eq!((contact.source.as_str(), contact.state.as_str(), contact.reported_at.as_str()), ("li.wei", "reached", "2026-11-24T00:32:00Z"));
        let again = happened(store, &rm(), &said("a", "c0"), T0.plus(HOUR)).await.unwrap();
        assert_eq!(again, Heard::Contact { contact: contact.clone(), made: false }, "the same answer");
        // The touch that it names must be the customer's own.
        let named = Happened { touch: Some(contact.touch.clone()), ..said("b", "c0") };
        let Heard::Receipt(receipt) = happened(store, &system(), &named, T0).await.unwrap() else { panic!() };
        assert_eq!((receipt.touch.to_string(), receipt.disposition, receipt.connected_s), (contact.touch.clone(), Reason::Interested, 120));
        assert!(is_missing(&happened(store, &system(), &Happened { customer: "c1".into(), ..named }, T0).await, "touch"));
        assert!(is_missing(&happened(store, &system(), &Happened { task: Some(99), ..said("b", "c0") }, T0).await, "task"));
        assert_eq!(store.reported_contacts(store.customer("c0").await.unwrap().unwrap().id).await.unwrap().len(), 1, "receipts are no contacts");
    }
}

#[tokio::test]
async fn bad_reports_are_refused_with_every_fault() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let bad = Happened {
            source: Some("elsewhere".into()),
            disposition: Reason::NoConsent,
            started_at: T0.plus(HOUR),
            connected_s: 90_000,
            touch: Some("x".into()),
            task: Some(1),
            ..said(" ", "nobody")
        };
        let all = faults(happened(store, &rm(), &bad, T0).await);
        for part in ["source:", "id:", "started_at:", "disposition:", "connected_s:", "at:", "touch:", "touch, task:", "customer:"] {
            assert!(all.iter().any(|fault| fault.starts_with(part)), "{part} is missing in {all:?}");
        }
        assert!(is_missing(&happened(store, &rm(), &said("a", "nobody"), T0).await, "customer"));
        assert!(is_missing(&happened(store, &rm(), &said("a", "c1"), T0).await, "customer"), "another RM's customer is none");
        assert!(store.campaigns().await.unwrap().is_empty(), "nothing was kept");
    }
}

async fn task_at(store: &dyn Store, id: Option<i64>) -> Task {
    store.task(TaskId(id.unwrap())).await.unwrap().unwrap()
}

/// What the worklist's own round does: it puts the task onto a list.
async fn assign(store: &dyn Store, id: Option<i64>, now: Timestamp) {
    let mut task = task_at(store, id).await;
    touchline::domain::worklist::assign::put(&mut task, Some("rm-1"), now);
    task.sleep_until(None);
    store.change_tasks(&[(task, Vec::new())]).await.unwrap();
}

#[tokio::test]
async fn a_wish_becomes_a_task_is_reminded_of_and_escalated() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let (seen, made) = wanted(store, &system(), &bank(), &TIMES(), &wish("w", "2026-11-24T15:00", T0), T0).await.unwrap();
        assert!(made && seen.taken);
        assert_eq!((seen.wanted_at.as_deref(), seen.local_time.as_deref()), (Some("2026-11-24T07:00:00Z"), Some("2026-11-24T15:00:00+08:00")));
        let due = T0.plus(6 * HOUR);
        let task = task_at(store, seen.task).await;
        assert_eq!((task.made.kind, task.made.due_at, task.made.expires_at), (TaskKind::Callback, due, Some(due.plus(DAY))));
        assert_eq!((task.made.wanted_rm.as_deref(), task.made.title.as_str()), (Some("rm-1"), "Call back: mortgage"));
        assign(store, seen.task, T0).await;
        let round = async |at| callbacks_round(store, &TIMES(), at).await.unwrap();
        assert_eq!(round(T0.plus(1000)).await.reminded, 0);
        assert_eq!(task_at(store, seen.task).await.wakes_at, Some(due.plus(-15 * MINUTE)), "it sleeps until its reminder");
        assert_eq!(round(due.plus(-15 * MINUTE - 1)).await, Default::default());
        assert_eq!(round(due.plus(-15 * MINUTE)).await.reminded, 1);
        assert_eq!(task_at(store, seen.task).await.reminded_at, Some(due.plus(-15 * MINUTE)));
        assert_eq!(round(due.plus(30 * MINUTE - 1)).await, Default::default(), "reminded once");
        assert_eq!(round(due.plus(30 * MINUTE)).await.escalated, 1);
        let missed = task_at(store, seen.task).await;
        assert_eq!((missed.escalated_at, missed.made.priority, missed.wakes_at), (Some(due.plus(30 * MINUTE)), 9, Some(due.plus(DAY))));
        let history: Vec<String> = store.task_history(missed.id).await.unwrap().into_iter().map(|e| e.what).collect();
        assert_eq!(history, ["made", "reminded", "escalated"]);
    }
}

#[tokio::test]
async fn whoever_is_at_work_is_neither_reminded_nor_passed_over() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let (seen, _) = wanted(store, &system(), &bank(), &TIMES(), &wish("w", "2026-11-24T15:00", T0), T0).await.unwrap();
        assign(store, seen.task, T0).await;
        let due = T0.plus(6 * HOUR);
        let claimed_at = due.plus(25 * MINUTE);
        let claimed = claim(&task_at(store, seen.task).await, "rm-1", claimed_at, LEASE_MS).unwrap();
        store.change_tasks(&[(claimed, Vec::new())]).await.unwrap();
        assert_eq!(callbacks_round(store, &TIMES(), due.plus(31 * MINUTE)).await.unwrap(), Default::default());
        let after_lease = claimed_at.plus(LEASE_MS);
        assert_eq!(callbacks_round(store, &TIMES(), after_lease).await.unwrap().escalated, 1, "once their lease is over");
    }
}

#[tokio::test]
async fn the_newest_word_moves_or_cancels_and_old_ones_change_nothing() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let put = async |asked: &Wanted| wanted(store, &system(), &bank(), &TIMES(), asked, T0.plus(5 * MINUTE)).await.unwrap();
        let (first, _) = put(&wish("w", "2026-11-24T15:00", T0)).await;
        let (moved, made) = put(&wish("w", "2026-11-25T10:00", T0.plus(MINUTE))).await;
        assert_eq!((moved.task, made), (first.task, false));
        assert_eq!(task_at(store, first.task).await.made.due_at, T0.plus(25 * HOUR));
        let (late, _) = put(&wish("w", "2026-11-24T15:00", T0)).await;
        assert_eq!((late.taken, late.wanted_at, late.task), (false, moved.wanted_at.clone(), first.task), "the answer is what is on record");
        assert_eq!(task_at(store, first.task).await.made.due_at, T0.plus(25 * HOUR));
        let cancelled = Wanted { cancelled: true, local_time: None, ..wish("w", "", T0.plus(2 * MINUTE)) };
        put(&cancelled).await;
        assert_eq!(task_at(store, first.task).await.state, TaskState::Cancelled);
        put(&cancelled).await;
        let (again, made) = put(&wish("w", "2026-11-26T10:00", T0.plus(3 * MINUTE))).await;
        assert!(made && again.task != first.task, "wished for again: a task of its own");
        assert_eq!(task_at(store, again.task).await.state, TaskState::Open);
        // Cancelled before anybody heard of it.
        let (nothing, made) = put(&Wanted { id: "never".into(), ..cancelled.clone() }).await;
        assert_eq!((nothing.task, made), (None, false));
        let (late, made) = put(&wish("never", "2026-11-24T15:00", T0)).await;
        assert_eq!((late.taken, late.task, made), (false, None, false), "the wish that comes after its cancellation");
    }
}

#[tokio::test]
async fn a_wish_without_its_task_is_brought_about_by_the_round() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let customer = store.customer("c0").await.unwrap().unwrap().id;
        let wish = touchline::store::contacts::Wish {
            source: "app".into(),
            reference: "w".into(),
            customer,
            wanted_at: Some(T0.plus(6 * HOUR)),
            zone: chrono_tz::Asia::Shanghai,
            topic: "mortgage".into(),
            at: T0,
            by: "app".into(),
        };
        // What a crash leaves between the wish and its task.
        store.put_wish(&wish).await.unwrap();
        assert_eq!(callbacks_round(store, &TIMES(), T0).await.unwrap().settled, 1);
        let task = store.task_by_key("callback:app/w").await.unwrap().expect("the task");
        assert_eq!((task.made.wanted_rm.as_deref(), task.made.branch.as_deref()), (Some("rm-1"), Some("west")));
        assert_eq!(callbacks_round(store, &TIMES(), T0).await.unwrap().settled, 0);
    }
}

#[tokio::test]
async fn unlawful_and_unclear_wishes_are_refused_with_the_next_lawful_time() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let refused = async |asked: Wanted| faults(wanted(store, &system(), &bank(), &TIMES(), &asked, T0).await).join("\n");
        let night = refused(wish("w", "2026-11-24T23:00", T0)).await;
        assert!(night.contains("no call is lawful then"), "{night}");
        assert!(night.contains("T08:00:00+08:00") || night.contains("T09:00:00+08:00"), "by the customer's clock: {night}");
        assert!(night.contains("Z in UTC"), "{night}");
        let unknown = refused(Wanted { customer: "c1".into(), ..wish("w", "2026-11-24T15:00", T0) }).await;
        assert!(unknown.contains("timezone: the customer's own zone is not known"), "{unknown}");
        let given = Wanted { customer: "c1".into(), timezone: Some("Europe/Lisbon".into()), ..wish("w", "2026-11-24T15:00", T0) };
        let (seen, _) = wanted(store, &system(), &bank(), &TIMES(), &given, T0).await.unwrap();
        assert_eq!(seen.wanted_at.as_deref(), Some("2026-11-24T15:00:00Z"));
        let nonsense = Wanted { local_time: Some("soon".into()), timezone: Some("Mars".into()), at: Some(T0.plus(HOUR)), ..wish("", "", T0) };
        let all = faults(wanted(store, &system(), &bank(), &TIMES(), &nonsense, T0).await);
        for part in ["id:", "timezone:", "at:"] {
            assert!(all.iter().any(|fault| fault.starts_with(part)), "{part} is missing in {all:?}");
        }
        assert!(store.wish("call-centre", "w").await.unwrap().is_some_and(|row| row.wish.zone == chrono_tz::Europe::Lisbon));
    }
}

#[tokio::test]
async fn a_hold_has_its_bounds_and_its_owner() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let asked = |until| HoldAsked { until, why: "meeting on Friday".into() };
        let held = hold(store, &rm(), "c0", &asked(T0.plus(HOUR)), T0).await.unwrap();
        assert_eq!(held.held_until.as_deref(), Some("2026-11-24T02:00:00Z"));
        assert_eq!(faults(hold(store, &rm(), "c0", &HoldAsked { until: T0, why: String::new() }, T0).await).len(), 2);
        assert_eq!(faults(hold(store, &rm(), "c0", &asked(T0.plus(91 * DAY)), T0).await).len(), 1);
        assert!(is_missing(&hold(store, &rm(), "c1", &asked(T0.plus(HOUR)), T0).await, "customer"));
        assert!(is_missing(&lift(store, &rm(), "c1", T0).await, "customer"));
        assert_eq!(lift(store, &rm(), "c0", T0.plus(MINUTE)).await.unwrap().held_until, None);
        let log = store.holds(store.customer("c0").await.unwrap().unwrap().id).await.unwrap();
        assert_eq!(
            log.iter().map(|e| (e.by.as_str(), e.why.as_str(), e.until.is_some())).collect::<Vec<_>>(),
            [("li.wei", "meeting on Friday", true), ("li.wei", "lifted", false)]
        );
    }
}

fn left_off(step: &str, at: Timestamp) -> CheckpointSaid {
    let detail = serde_json::json!({"application": "A-17"}).as_object().cloned().unwrap();
    CheckpointSaid { name: "loan-application".into(), step: step.into(), left_on: "app".into(), detail, at: Some(at), closed: false }
}

#[tokio::test]
async fn referrals_come_with_their_checkpoint() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        let rms = [Rm {
            reference: "rm-9".into(),
            branch: Some("east".into()),
            languages: Vec::new(),
            skills: Vec::new(),
            daily_capacity: 9,
            left: false,
            leaves: Vec::new(),
        }];
        store.put_rms(&rms).await.unwrap();
        let law = |channel: Channel| Law::compose(&["cn-bank".to_owned()], Purpose::Service, &[channel], &[]).map_err(DeskError::Law);
        let asked = Referred {
            id: "f-1".into(),
            customer: None,
            to_rm: Some("rm-9".into()),
            to_branch: None,
            to_channel: None,
            title: "Finish the loan application".into(),
            skill: Some("loans".into()),
            checkpoint: Some(left_off("income", T0)),
        };
        let seen = refer(store, &rm(), &law, "c0", &asked, T0).await.unwrap();
        assert!(seen.made);
        let task = task_at(store, Some(seen.task)).await;
        assert_eq!((task.made.kind, task.made.wanted_rm.as_deref(), task.made.due_at), (TaskKind::Referral, Some("rm-9"), T0));
        assert!(task.made.title.ends_with("(referred by li.wei)"), "{}", task.made.title);
        let again = refer(store, &rm(), &law, "c0", &asked, T0.plus(HOUR)).await.unwrap();
        assert_eq!((again.task, again.made), (seen.task, false));
        assert_eq!(checkpoints(store, &rm(), "c0").await.unwrap()[0].step, "income");
        // Whoever has the task sees it, whosever the customer is; a stranger does not.
        let mut onto = task.clone();
        touchline::domain::worklist::assign::put(&mut onto, Some("rm-9"), T0);
        store.change_tasks(&[(onto, Vec::new())]).await.unwrap();
        let taker = Actor { branch: Some("east".into()), rm: Some("rm-9".into()), ..rm() };
        assert_eq!(task_of(store, &taker, seen.task).await.unwrap().1.reference, "c0");
        let stranger = Actor { rm: Some("rm-8".into()), ..taker };
        assert!(is_missing(&task_of(store, &stranger, seen.task).await, "task"));
        // On to a channel: at the next lawful time, if consent allows.
        let night = T0.plus(13 * HOUR);
        let onward = Referred { id: "f-2".into(), to_rm: None, to_channel: Some(Channel::Call), checkpoint: None, ..asked.clone() };
        let seen = refer(store, &rm(), &law, "c0", &onward, night).await.unwrap();
        assert!(task_at(store, Some(seen.task)).await.made.due_at > night, "not at ten in the evening: {}", seen.due_at);
        let bad = Referred { to_branch: Some("x".into()), to_rm: Some("nobody".into()), title: String::new(), ..onward };
        assert_eq!(faults(refer(store, &rm(), &law, "c0", &bad, T0).await).len(), 3);
    }
}

#[tokio::test]
async fn checkpoints_are_put_overtaken_and_closed() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        put_checkpoint(store, &rm(), "c0", &left_off("income", T0), T0).await.unwrap();
        put_checkpoint(store, &rm(), "c0", &left_off("name", T0.plus(-HOUR)), T0).await.unwrap();
        let kept = checkpoints(store, &rm(), "c0").await.unwrap();
        assert_eq!((kept.len(), kept[0].step.as_str(), kept[0].detail["application"].as_str()), (1, "income", Some("A-17")));
        let closed = CheckpointSaid { closed: true, ..left_off("signed", T0.plus(MINUTE)) };
        assert!(put_checkpoint(store, &rm(), "c0", &closed, T0.plus(MINUTE)).await.unwrap()[0].closed);
        let bad = CheckpointSaid { name: String::new(), at: Some(T0.plus(HOUR)), ..left_off("", T0) };
        assert_eq!(faults(put_checkpoint(store, &rm(), "c0", &bad, T0).await).len(), 3);
        assert!(is_missing(&checkpoints(store, &rm(), "c1").await, "customer"));
    }
}

#[tokio::test]
async fn the_timeline_shows_it_all_to_whom_it_may() {
    for (store, _folder) in stores().await {
        let store = store.as_ref();
        happened(store, &system(), &said("a", "c0"), T0).await.unwrap();
        hold(store, &rm(), "c0", &HoldAsked { until: T0.plus(DAY), why: "meeting".into() }, T0).await.unwrap();
        put_checkpoint(store, &rm(), "c0", &left_off("income", T0), T0).await.unwrap();
        wanted(store, &system(), &bank(), &TIMES(), &wish("w", "2026-11-24T15:00", T0), T0).await.unwrap();
        let seen = serde_json::to_value(timeline(store, &rm(), "c0", T0.plus(MINUTE)).await.unwrap()).unwrap();
        assert_eq!(seen["held_until"], "2026-11-25T01:00:00Z");
        assert_eq!(seen["campaigns"][0]["campaign"], "rm-contacts");
        assert_eq!(seen["campaigns"][0]["touches"][0]["step"], "call", "the house's file can be read");
        assert_eq!(seen["campaigns"][0]["standing"], "reached");
        assert_eq!(seen["reported"][0]["by"], "call-centre");
        assert_eq!(seen["tasks"][0]["title"], "Call back: mortgage");
        assert_eq!(seen["wishes"][0]["local_time"], "2026-11-24T15:00:00+08:00");
        assert_eq!((&seen["checkpoints"][0]["step"], &seen["holds"][0]["by"]), (&"income".into(), &"li.wei".into()));
        assert!(is_missing(&timeline(store, &rm(), "c1", T0).await, "customer"));
        let after = timeline(store, &rm(), "c0", T0.plus(2 * DAY)).await.unwrap();
        assert_eq!(after.held_until, None, "a hold that is over holds nothing");
    }
}

#[test]
fn the_files_of_the_house_can_be_read() {
    for purpose in Purpose::ALL {
        let (name, text) = (touchline::domain::reported::house_name(*purpose), touchline::domain::reported::house_file(*purpose));
        let file = touchline::campaign_file::load(name, &text).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        assert_eq!((file.name.as_str(), file.purpose), (name, *purpose));
        let channels: Vec<Channel> = file.steps.iter().map(|s| s.channel).collect();
        assert_eq!(channels, Channel::ALL, "a step a channel, in the order of their codes");
    }
}
