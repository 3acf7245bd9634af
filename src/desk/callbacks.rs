//! Customers' wishes to be called at a time: checked against the law of their own clock, kept, and brought onto a worklist; and the round
//! that reminds of them and escalates the missed ones.
//!
//! The wish on record rules (the newest word of its source, `domain::callback::Wish`); its task follows. Both are steps of their own, so that
//! a crash in between leaves a wish that is not settled, which the next round settles.
use super::contacts::{name_fault, no_faults, source_of, unknown};
use super::{DeskError, DeskResult};
use crate::domain::access::Actor;
use crate::domain::callback::{self, CALLBACK_PRIORITY, CallbackTimes, NotThen, Nudge, Wish, agreed, local};
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::ids::TaskId;
use crate::domain::law::LawBook;
use crate::domain::time::Timestamp;
use crate::domain::window::Law;
use crate::domain::worklist::lease::{self, SKEW_MS};
use crate::domain::worklist::{NewTask, Task, TaskEvent, TaskKind, TaskState};
use crate::store::contacts::WishRow;
use crate::store::{CustomerRow, Needs, Store, StoreError};
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A wish to be called.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The system that has taken it down; left out: whoever calls. Only a system may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// That system's own name for the wish: a later word under the same name changes its time, or cancels it.
    pub id: String,
    /// The bank's reference of the customer.
    pub customer: String,
    /// When, by the clock on the customer's wall (`2026-11-25T15:30`). Left out only when it is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<String>,
    /// The zone of that clock (`Asia/Shanghai`); left out: the customer's own, which must then be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What about, in one line without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The customer does not want it any more.
    #[serde(default)]
    pub cancelled: bool,
    /// When the customer said so (RFC 3339): of words under one name the newest rules. Left out: now.
    #[serde(default, with = "crate::domain::time::iso_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// How a wish stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WishSeen {
    /// The system that has taken it down.
    pub source: String,
    /// Its name there.
    pub id: String,
    /// When the customer wants to be called; `null`: not any more.
    pub wanted_at: Option<String>,
    /// The same by their own clock.
    pub local_time: Option<String>,
    /// The task on a worklist.
    pub task: Option<i64>,
    /// Whether the word that was sent is the one that rules; `false`: a newer one is on record, and this changed nothing.
    pub taken: bool,
}

/// The law of callbacks: presets, for service by call.
pub fn law(policy: &[String]) -> DeskResult<Law> {
    Law::compose(policy, Purpose::Service, &[Channel::Call], &[]).map_err(DeskError::Law)
}

/// Takes a customer's wish down, and brings its task onto the worklist. `made`: its task is new.
pub async fn wanted(
    store: &dyn Store,
    actor: &Actor,
    law: &dyn LawBook,
    times: &CallbackTimes,
    asked: &Wanted,
    now: Timestamp,
) -> DeskResult<(WishSeen, bool)> {
    let mut faults = Vec::new();
    let source = source_of(actor, asked.source.as_deref(), &mut faults);
    faults.extend(name_fault("id", &asked.id, 100));
    let topic = asked.topic.clone().unwrap_or_else(|| "as the customer wished".to_owned());
    faults.extend(name_fault("topic", &topic, 200));
    let at = asked.at.unwrap_or(now);
    if at > now.plus(SKEW_MS) {
        faults.push(format!("at: expected when it was said, found an instant after the present ({now})"));
    }
    let customer = super::contacts::customer_of(store, actor, &asked.customer).await.map(Some).or_else(unknown)?;
    let zone = zone_of(asked, customer.as_ref(), &mut faults);
    let on_record = store.wish(&source, &asked.id).await?;
    let overtaken = on_record.as_ref().is_some_and(|known| known.wish.at > at);
    let wanted_at = match (&asked.local_time, asked.cancelled) {
        (_, true) => None,
        (None, false) => {
            faults.push("local_time: expected a time by the customer's clock such as 2026-11-25T15:30, found none".to_owned());
            None
        }
        (Some(text), false) => {
            zone.and_then(|zone| read_local(text, &mut faults).and_then(|local| instant(law, zone, local, now, overtaken, &mut faults)))
        }
    };
    if customer.as_ref().is_some_and(|c| c.contactability.is_suppressed(Channel::Call) && !asked.cancelled) {
        faults.push("customer: on a suppression list for calls; have it lifted first, or write to the customer".to_owned());
    }
    let customer = no_faults(faults, customer, &asked.customer)?;
    let zone = zone.or(customer.timezone).unwrap_or(Tz::UTC);
    let wish = Wish { source, reference: asked.id.clone(), customer: customer.id, wanted_at, zone, topic, at, by: actor.name.clone() };
    let (row, _) = store.put_wish(&wish).await?;
    let taken = row.wish == wish;
    let (task, made) = settle(store, &row, &customer_needs(&customer), times, now).await?;
    Ok((seen(&row.wish, task.or(row.task), taken), made))
}

fn seen(wish: &Wish, task: Option<TaskId>, taken: bool) -> WishSeen {
    WishSeen {
        source: wish.source.clone(),
        id: wish.reference.clone(),
        wanted_at: wish.wanted_at.map(|at| at.to_string()),
        local_time: wish.wanted_at.map(|at| local(at, wish.zone)),
        task: task.map(|id| id.0),
        taken,
    }
}

fn zone_of(asked: &Wanted, customer: Option<&CustomerRow>, faults: &mut Vec<String>) -> Option<Tz> {
    match asked.timezone.as_deref() {
        Some(name) => name.parse().map_err(|_| faults.push("timezone: expected a zone of the IANA database such as Asia/Shanghai".to_owned())).ok(),
        None => {
            let own = customer.and_then(|c| c.timezone);
            if own.is_none() && customer.is_some() && !asked.cancelled {
                faults.push("timezone: the customer's own zone is not known; ask, and say it (such as Asia/Shanghai)".to_owned());
            }
            own
        }
    }
}

fn read_local(text: &str, faults: &mut Vec<String>) -> Option<NaiveDateTime> {
    let read = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    if read.is_none() {
        faults.push("local_time: expected date and time by the customer's clock, without a zone, such as 2026-11-25T15:30".to_owned());
    }
    read
}

/// The instant that was agreed, or the fault with the next lawful one by both clocks. A word that a newer one has overtaken changes nothing,
/// and may therefore be of a time that is over.
fn instant(law: &dyn LawBook, zone: Tz, wall: NaiveDateTime, now: Timestamp, overtaken: bool, faults: &mut Vec<String>) -> Option<Timestamp> {
    let both = |at: Timestamp| format!("{} for the customer, {at} in UTC", local(at, zone));
    let text = match agreed(law, zone, wall, now) {
        Ok(at) => return Some(at),
        Err(NotThen::Past) if overtaken => return callback::instants(zone, wall).first().copied(),
        Err(NotThen::Past) => format!("it is over there; it is {} now", both(now)),
        Err(NotThen::TooFar) => "it is more than 90 days ahead; wish for a time within them".to_owned(),
        Err(NotThen::Skipped(next)) => format!("clocks there are set forward over it; the next time is {}", both(next)),
        Err(NotThen::Unlawful(opens, rule)) => {
            format!("no call is lawful then ({} of {}: {}); the next lawful time is {}", rule.name, rule.preset, rule.text, both(opens))
        }
        Err(NotThen::Unknown(rule)) => format!("whether a call is lawful then cannot be told ({} of {})", rule.name, rule.preset),
    };
    faults.push(format!("local_time: {text}"));
    None
}

/// Of a customer, what a task needs.
struct For {
    language: Option<String>,
    branch: Option<String>,
    rm: Option<String>,
}

fn customer_needs(customer: &CustomerRow) -> For {
    For { language: customer.language.clone(), branch: customer.branch.clone(), rm: customer.rm.clone() }
}

/// How often a task that others change at the same time is read again.
const TRIES: usize = 5;

/// Brings the task of a wish in line with it. Gives the task, and whether it is new.
async fn settle(store: &dyn Store, row: &WishRow, whom: &For, times: &CallbackTimes, now: Timestamp) -> DeskResult<(Option<TaskId>, bool)> {
    if row.settled {
        return Ok((row.task, false));
    }
    let wish = &row.wish;
    for _ in 0..TRIES {
        let task = match row.task {
            Some(id) => store.task(id).await?,
            None => store.task_by_key(&wish.task_key()).await?,
        };
        let (task, made) = match (task, wish.wanted_at) {
            (None, None) => (None, false),
            (Some(task), None) => match cancelled(store, &task, wish, now).await {
                Err(DeskError::Store(StoreError::Conflict(_))) => continue,
                done => (Some(done?), false),
            },
            (Some(task), Some(due)) if !task.state.is_closed() => match move_to(store, &task, due, wish, times, now).await {
                Err(DeskError::Store(StoreError::Conflict(_))) => continue,
                done => (Some(done?), false),
            },
            // The customer was called as wished: only a new time is a new call.
            (Some(task), Some(due)) if task.state == TaskState::Done && task.made.due_at == due => (Some(task.id), false),
            (closed, Some(due)) => {
                let key = closed.map_or_else(|| wish.task_key(), |_| format!("{}#{}", wish.task_key(), wish.at.0));
                let (task, made) = make(store, key, due, wish, whom, times, now).await?;
                (Some(task), made)
            }
        };
        store.settle_wish(wish, task).await?;
        return Ok((task, made));
    }
    Err(StoreError::Conflict(
        "the task of this wish is being changed by others all the time; the wish is kept, and a round will bring it about".into(),
    )
    .into())
}

async fn cancelled(store: &dyn Store, task: &Task, wish: &Wish, now: Timestamp) -> DeskResult<TaskId> {
    if let Some(after) = lease::cancel(task, now) {
        store.change_tasks(&[(after, vec![TaskEvent::new("cancelled", &wish.by, "the customer does not want the call any more", now)])]).await?;
    }
    Ok(task.id)
}

async fn move_to(store: &dyn Store, task: &Task, due: Timestamp, wish: &Wish, times: &CallbackTimes, now: Timestamp) -> DeskResult<TaskId> {
    if task.made.due_at != due {
        let after = callback::moved(task, due, times, now);
        store.change_tasks(&[(after, vec![TaskEvent::new("rescheduled", &wish.by, "the customer wants another time", now)])]).await?;
    }
    Ok(task.id)
}

async fn make(
    store: &dyn Store,
    key: String,
    due: Timestamp,
    wish: &Wish,
    whom: &For,
    times: &CallbackTimes,
    now: Timestamp,
) -> DeskResult<(TaskId, bool)> {
    let new = NewTask {
        key,
        kind: TaskKind::Callback,
        customer: wish.customer,
        touch: None,
        title: format!("Call back: {}", wish.topic),
        script: None,
        language: whom.language.clone(),
        skill: None,
        priority: CALLBACK_PRIORITY,
        wanted_rm: whom.rm.clone(),
        branch: whom.branch.clone(),
        due_at: due,
        expires_at: Some(due.plus(times.expire_after_ms)),
        at: now,
    };
    let made = store.make_tasks(&[new]).await?.pop();
    made.map(|(task, is_new)| (task.id, is_new)).ok_or_else(|| DeskError::Broken("a task was made, and the store gave none back".to_owned()))
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rounded {
    /// Wishes whose tasks were brought in line.
    pub settled: u64,
    /// RMs reminded.
    pub reminded: u64,
    /// Callbacks that were missed, and are with the branch's lead now.
    pub escalated: u64,
}

/// Tasks and wishes looked at in one round.
const ROUND: usize = 500;

/// One round, each second: wishes that a crash left without their task, reminders, escalations. Tasks that somebody changes at the same
/// moment are left for the next round. (Leases, expiry and assignment are the worklist's own round.)
pub async fn callbacks_round(store: &dyn Store, times: &CallbackTimes, now: Timestamp) -> DeskResult<Rounded> {
    let mut rounded = Rounded::default();
    for row in store.unsettled_wishes(ROUND).await? {
        let needs = Needs { person: true, ..Needs::default() };
        let person = store.members(&[row.wish.customer], needs).await?.pop().and_then(|m| m.person);
        let whom = person.map_or(For { language: None, branch: None, rm: None }, |p| For { language: p.language, branch: p.branch, rm: p.rm });
        settle(store, &row, &whom, times, now).await?;
        rounded.settled += 1;
    }
    for task in store.waking_tasks(now, ROUND).await? {
        if !matches!(task.made.kind, TaskKind::Callback | TaskKind::Referral) {
            continue;
        }
        let Some((after, nudges)) = callback::attend(&task, times, now) else { continue };
        let event = |nudge: &Nudge| match nudge {
            Nudge::Reminded => TaskEvent::new("reminded", "engine", "the agreed time is near", now),
            Nudge::Escalated => TaskEvent::new("escalated", "engine", "the agreed time has passed without a call", now),
        };
        match store.change_tasks(&[(after, nudges.iter().map(event).collect())]).await {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => continue,
            Err(other) => return Err(other.into()),
        }
        for nudge in nudges {
            match nudge {
                Nudge::Reminded => rounded.reminded += 1,
                Nudge::Escalated => rounded.escalated += 1,
            }
        }
    }
    Ok(rounded)
}
