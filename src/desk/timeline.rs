//! A customer's timeline, as the RM finds it with a task: what was done and by which rule, tasks, holds, wishes, and where they left off.
use super::DeskResult;
use super::contacts::customer_of;
use super::explain::{self, Explanation};
use super::referrals::CheckpointSeen;
use crate::domain::access::Actor;
use crate::domain::callback::local;
use crate::domain::consent::HoldRecord;
use crate::domain::time::Timestamp;
use crate::domain::worklist::{TaskEvent, TaskKind, TaskState};
use crate::store::Store;
use crate::store::tasks::TaskFilter;
use serde::Serialize;

/// What is known of one customer.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// Consents, suppressions, touches by campaign, facts.
    #[serde(flatten)]
    pub explained: Explanation,
    /// Until when touches of other channels than the RM's worklist wait; `null`: nothing holds them.
    pub held_until: Option<String>,
    /// The log of holds, oldest first.
    pub holds: Vec<HoldRecord>,
    /// Where they left off, newest first.
    pub checkpoints: Vec<CheckpointSeen>,
    /// Tasks of worklists, the most urgent first.
    pub tasks: Vec<TaskOfCustomer>,
    /// Wishes to be called, newest word first.
    pub wishes: Vec<WishOfCustomer>,
    /// Contacts that were reported from outside, with who reported them, by their start.
    pub reported: Vec<ReportOfCustomer>,
}

/// A task. Its notes are left to the task itself.
#[derive(Clone, Debug, Serialize)]
pub struct TaskOfCustomer {
    /// Its number.
    pub id: i64,
    /// Where it comes from.
    pub kind: TaskKind,
    /// Where it stands.
    pub state: TaskState,
    /// What is to be done.
    pub title: String,
    /// On whose list it is.
    pub rm: Option<String>,
    /// Not before.
    pub due_at: String,
    /// What came of it.
    pub disposition: Option<&'static str>,
    /// Its history, oldest first.
    pub history: Vec<TaskEvent>,
}

/// A wish to be called.
#[derive(Clone, Debug, Serialize)]
pub struct WishOfCustomer {
    /// Who has taken it down.
    pub source: String,
    /// Its name there.
    pub id: String,
    /// When; `null`: cancelled.
    pub wanted_at: Option<String>,
    /// The same by the customer's clock.
    pub local_time: Option<String>,
    /// What about.
    pub topic: String,
    /// When it was said.
    pub at: String,
}

/// A contact that was reported from outside.
#[derive(Clone, Debug, Serialize)]
pub struct ReportOfCustomer {
    /// Which system.
    pub source: String,
    /// Its name there.
    pub id: String,
    /// The touch that it is.
    pub touch: String,
    /// Who reported it.
    pub by: String,
    /// When.
    pub at: String,
}

/// Tasks shown at most.
const TASKS: usize = 200;

/// The timeline of a customer whom the actor may see.
pub async fn timeline(store: &dyn Store, actor: &Actor, reference: &str, now: Timestamp) -> DeskResult<Timeline> {
    let customer = customer_of(store, actor, reference).await?;
    let mut tasks = Vec::new();
    for task in store.tasks(&TaskFilter { customer: Some(customer.id), limit: TASKS, ..TaskFilter::default() }).await? {
        tasks.push(TaskOfCustomer {
            id: task.id.0,
            kind: task.made.kind,
            state: task.state,
            title: task.made.title,
            rm: task.rm,
            due_at: task.made.due_at.to_string(),
            disposition: task.result.map(|r| r.disposition.name()),
            history: store.task_history(task.id).await?,
        });
    }
    let wishes = store.wishes(customer.id).await?.into_iter().map(|row| row.wish).map(|wish| WishOfCustomer {
        wanted_at: wish.wanted_at.map(|at| at.to_string()),
        local_time: wish.wanted_at.map(|at| local(at, wish.zone)),
        source: wish.source,
        id: wish.reference,
        topic: wish.topic,
        at: wish.at.to_string(),
    });
    let reported = store.reported_contacts(customer.id).await?.into_iter().map(|contact| ReportOfCustomer {
        touch: contact.touch.to_string(),
        source: contact.report.source,
        id: contact.report.reference,
        by: contact.report.by,
        at: contact.report.at.to_string(),
    });
    Ok(Timeline {
        held_until: customer.contactability.held_until().filter(|until| *until > now).map(|until| until.to_string()),
        holds: store.holds(customer.id).await?,
        checkpoints: store.checkpoints(customer.id).await?.into_iter().map(CheckpointSeen::from).collect(),
        tasks,
        wishes: wishes.collect(),
        reported: reported.collect(),
        explained: explain::explain(store, reference, None, actor).await?,
    })
}
