//! The worklist: who sees which tasks, what they do with them, and what the house does by itself ([`rounds`]).
//!
//! An RM sees their own list and what nobody has in their branch; a branch's lead the branch's; whoever is bound to nothing everything.
//! What somebody may not see is not there for them. Every change is decided on the version that was read, and tried again on the next
//! one when somebody was quicker.
pub mod call_off;
pub mod receipts;
pub mod rounds;
mod view;

pub use call_off::{CallOff, call_off_round};
pub use receipts::{Teller, Told};
pub use rounds::{Rounds, assign_round, cover_round};
pub use view::{Contact, TaskLine, TaskView, TimelineLine};

use super::{DeskError, DeskResult};
use crate::domain::access::Actor;
use crate::domain::ids::TaskId;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::worklist::lease::{self, Held};
use crate::domain::worklist::{Rm, Task, TaskEvent, TaskResult, TaskState, assign};
use crate::store::tasks::TaskFilter;
use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// So often a change is tried on a task that others change at the same time.
const TRIES: usize = 5;
/// Relationship managers in one change of the roster at most.
pub const ROSTER_AT_ONCE: usize = 1_000;

/// Which tasks somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// On this RM's list; empty: on nobody's.
    pub rm: Option<String>,
    /// Of this branch.
    pub branch: Option<String>,
    /// In these states; empty: open and claimed.
    pub states: Vec<TaskState>,
    /// After this task.
    pub after: Option<TaskId>,
    /// How many at most.
    pub limit: usize,
}

/// What an RM reports.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// What came of it: `completed`, `interested`, `not_interested`, `callback_requested`, `not_reached`, `wrong_person`, `no_answer`,
    /// `busy`, `voicemail`, `rejected` or `invalid_address`.
    pub disposition: Reason,
    /// Seconds of conversation.
    #[serde(default)]
    pub connected_s: u32,
    /// Up to 4,000 characters.
    #[serde(default)]
    pub notes: Option<String>,
    /// When the customer wants to hear next: to come.
    #[serde(default, with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub next_contact: Option<Timestamp>,
    /// When it was so; left out: now.
    #[serde(default, with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// Whether somebody may see a task.
pub fn may_see(actor: &Actor, task: &Task) -> bool {
    if actor.sees_all() {
        return true;
    }
    let of_branch = task.made.branch.is_some() && task.made.branch == actor.branch;
    match actor.rm.as_deref() {
        None => of_branch,
        Some(own) => match task.rm.as_deref() {
            Some(rm) => rm == own,
            None => of_branch || task.made.wanted_rm.as_deref() == Some(own),
        },
    }
}

/// Under what name somebody holds a task: an RM's reference, else their own name.
fn holder(actor: &Actor) -> &str {
    actor.rm.as_deref().unwrap_or(&actor.name)
}

fn no_task(id: TaskId) -> DeskError {
    StoreError::NotFound { what: "task", name: id.to_string(), hint: String::new() }.into()
}

fn held(why: Held) -> DeskError {
    DeskError::Refused(why.to_string())
}

async fn seen(store: &dyn Store, actor: &Actor, id: TaskId) -> DeskResult<Task> {
    store.task(id).await?.filter(|task| may_see(actor, task)).ok_or_else(|| no_task(id))
}

/// A page of a worklist, the most urgent first.
pub async fn list(store: &dyn Store, actor: &Actor, wanted: &Wanted, now: Timestamp) -> DeskResult<Vec<TaskLine>> {
    let foreign = |what: &'static str, name: &str| DeskError::from(StoreError::NotFound { what, name: name.to_owned(), hint: String::new() });
    let states = if wanted.states.is_empty() { vec![TaskState::Open, TaskState::Claimed] } else { wanted.states.clone() };
    let mut filter =
        TaskFilter { rm: wanted.rm.clone(), branch: wanted.branch.clone(), customer: None, states, after: wanted.after, limit: wanted.limit };
    if let (Some(own), Some(asked)) = (&actor.branch, &wanted.branch)
        && own != asked
    {
        return Err(foreign("branch", asked));
    }
    let mut filters = Vec::new();
    match (actor.rm.as_deref(), wanted.rm.as_deref()) {
        (Some(own), Some(asked)) if !asked.is_empty() && own != asked => return Err(foreign("relationship manager", asked)),
        (Some(own), asked) => {
            if asked.is_none_or(|rm| !rm.is_empty()) {
                filters.push(TaskFilter { rm: Some(own.to_owned()), ..filter.clone() });
            }
            // Without a branch of their own there is nothing of nobody's that they may see.
            if let Some(branch) = actor.branch.clone().filter(|_| asked.is_none_or(str::is_empty)) {
                filters.push(TaskFilter { rm: Some(String::new()), branch: Some(branch), ..filter });
            }
        }
        (None, _) => {
            filter.branch = actor.branch.clone().or(filter.branch);
            filters.push(filter);
        }
    }
    let mut found = Vec::new();
    for filter in &filters {
        found.extend(store.tasks(filter).await?);
    }
    found.sort_by_key(|t| (std::cmp::Reverse(t.made.priority), t.made.due_at, t.id));
    found.truncate(wanted.limit);
    view::lines(store, actor, &found, now).await
}

/// A task with its script, its customer and their timeline.
pub async fn task_view(store: &dyn Store, actor: &Actor, id: TaskId, now: Timestamp) -> DeskResult<TaskView> {
    let task = seen(store, actor, id).await?;
    view::view(store, actor, task, now).await
}

/// Tries a change until it is written; `None` from `decide`: there is nothing to change.
async fn change<T>(
    store: &dyn Store,
    actor: &Actor,
    id: TaskId,
    decide: impl Fn(&Task) -> DeskResult<Option<(Task, TaskEvent, T)>>,
) -> DeskResult<(Task, Option<T>)> {
    for _ in 0..TRIES {
        let task = seen(store, actor, id).await?;
        let Some((after, event, what)) = decide(&task)? else { return Ok((task, None)) };
        match store.change_tasks(&[(after.clone(), vec![event])]).await {
            Ok(()) => return Ok((Task { version: after.version + 1, ..after }, Some(what))),
            Err(StoreError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(DeskError::Refused(format!("task {id} is being changed by others; read it again, and try again")))
}

/// Claims a task for whoever asks, or renews their claim. Before that it is asked again whether the customer may still be contacted: a
/// task that must not be done any more is called off, and the claim refused.
pub async fn claim(store: &dyn Store, actor: &Actor, id: TaskId, lease_ms: i64, now: Timestamp) -> DeskResult<TaskView> {
    let task = seen(store, actor, id).await?;
    if let Some(reason) = CallOff::default().reason(store, &task).await? {
        call_off::cancel(store, &[(task, reason)], now).await?;
        return Err(DeskError::Refused(format!("this task was called off ({reason}): do not contact the customer for it")));
    }
    let who = holder(actor);
    let decide = |task: &Task| {
        let mut claimed = lease::claim(task, who, now, lease_ms).map_err(held)?;
        if claimed.rm.is_none() {
            assign::put(&mut claimed, actor.rm.as_deref(), now);
        }
        let until = claimed.lease_until.map_or_else(String::new, |until| format!("until {until}"));
        Ok(Some((claimed, TaskEvent::new("claimed", &actor.name, until, now), ())))
    };
    let (task, _) = change(store, actor, id, decide).await?;
    view::view(store, actor, task, now).await
}

/// Gives a claimed task back to the list.
pub async fn release(store: &dyn Store, actor: &Actor, id: TaskId, now: Timestamp) -> DeskResult<TaskView> {
    let decide = |task: &Task| {
        let released = lease::release(task, holder(actor), now).map_err(held)?;
        Ok(released.map(|released| (released, TaskEvent::new("released", &actor.name, "", now), ())))
    };
    let (task, _) = change(store, actor, id, decide).await?;
    view::view(store, actor, task, now).await
}

/// Reports what came of a task. The same again is the same answer; another result of a task that has one is refused. A journey's touch
/// hears of it by [`Teller`]. Gives the task, and whether the result was new.
pub async fn result(store: &dyn Store, actor: &Actor, id: TaskId, reported: &Reported, now: Timestamp) -> DeskResult<(TaskView, bool)> {
    let result = TaskResult {
        disposition: reported.disposition,
        connected_s: reported.connected_s,
        notes: reported.notes.clone().filter(|notes| !notes.is_empty()),
        next_contact: reported.next_contact,
        at: reported.at.unwrap_or(now),
    };
    let decide = |task: &Task| {
        // Before the faults: what was in order when it was taken is not refused when it is posted again later.
        if task.result.is_none() {
            let faults = lease::check(&result, task.made.at, now);
            if !faults.is_empty() {
                return Err(DeskError::Unfit(faults));
            }
        }
        let done = lease::finish(task, holder(actor), &result, reported.at.is_some(), now).map_err(held)?;
        let late =
            if task.state.is_closed() { format!("{}, after it was {}", result.disposition, task.state) } else { result.disposition.to_string() };
        Ok(done.map(|done| (done, TaskEvent::new("done", &actor.name, late, now), ())))
    };
    let (task, new) = change(store, actor, id, decide).await?;
    Ok((view::view(store, actor, task, now).await?, new.is_some()))
}

/// The roster, as far as somebody may see it: an RM themself and their branch, a branch's lead the branch.
pub async fn rms(store: &dyn Store, actor: &Actor) -> DeskResult<Vec<Rm>> {
    let visible = |rm: &Rm| actor.branch.is_none() && actor.rm.is_none() || rm.branch == actor.branch || Some(&rm.reference) == actor.rm.as_ref();
    Ok(store.rms().await?.into_iter().filter(visible).collect())
}

/// Changes the roster; every fault at once, and then nothing is changed. Whoever has left or is away hands over their tasks with the next
/// round, and what nobody could take is looked at again.
pub async fn put_rms(store: &dyn Store, actor: &Actor, rms: &[Rm], now: Timestamp) -> DeskResult<()> {
    let mut faults = Vec::new();
    if rms.is_empty() || rms.len() > ROSTER_AT_ONCE {
        faults.push(format!("expected 1 to {ROSTER_AT_ONCE} relationship managers, found {}", rms.len()));
    }
    let mut known = std::collections::BTreeSet::new();
    for (place, rm) in rms.iter().enumerate() {
        let mut fault = |text: &str| faults.push(format!("[{place}]: {text}"));
        if rm.reference.is_empty() || rm.reference.len() > 64 {
            fault("reference: expected 1 to 64 characters");
        }
        if !known.insert(&rm.reference) {
            fault("reference: it comes twice; give each RM once");
        }
        if rm.leaves.iter().any(|leave| leave.from >= leave.to) {
            fault("leaves: expected each to end after it begins");
        }
        if rm.leaves.iter().any(|leave| leave.cover.as_ref() == Some(&rm.reference)) {
            fault("leaves: nobody covers for themself; name another, or leave the cover out");
        }
        if rm.leaves.len() > 100 || rm.languages.len() > 100 || rm.skills.len() > 100 {
            fault("expected at most 100 leaves, languages and skills each");
        }
        if rm.daily_capacity > 10_000 {
            fault("daily_capacity: expected at most 10000 tasks a day");
        }
        if !actor.sees_all() && (rm.branch.is_none() || rm.branch != actor.branch) {
            fault("branch: expected your own; another branch's roster is its own or the head office's to change");
        }
    }
    if !faults.is_empty() {
        return Err(DeskError::Unfit(faults));
    }
    if !actor.sees_all() {
        // A lead takes nobody over from another branch.
        for on_record in store.rms().await? {
            if on_record.branch != actor.branch && known.contains(&on_record.reference) {
                return Err(StoreError::NotFound { what: "relationship manager", name: on_record.reference, hint: String::new() }.into());
            }
        }
    }
    store.put_rms(rms).await?;
    store.wake_unassigned(now).await?;
    Ok(())
}
