//! What people see of a task: a line of a list, or all that is needed to talk to the customer.
use super::{holder, no_task};
use crate::desk::DeskResult;
use crate::desk::explain;
use crate::desk::referrals::CheckpointSeen;
use crate::domain::access::Actor;
use crate::domain::channel::Channel;
use crate::domain::ids::CustomerId;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::domain::worklist::{Task, TaskEvent, TaskKind, TaskResult, TaskState};
use crate::store::{Needs, Store};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Touches of a customer that come with a task at most, the newest.
const TIMELINE: usize = 50;

/// A task in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TaskLine {
    /// Its number.
    pub id: i64,
    /// Where it comes from.
    pub kind: TaskKind,
    /// Where it stands.
    pub state: TaskState,
    /// What is to be done, in one line.
    pub title: String,
    /// The bank's number for the customer.
    pub customer: String,
    /// 0 (last) to 9 (first).
    pub priority: u8,
    /// What the RM must be able to speak.
    pub language: Option<String>,
    /// What the RM must know.
    pub skill: Option<String>,
    /// Whose customers it belongs to.
    pub branch: Option<String>,
    /// On whose list it is; null: nobody's yet.
    pub rm: Option<String>,
    /// The touch that it carries out (campaign-customer-seq).
    pub touch: Option<String>,
    /// Not before.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub due_at: Timestamp,
    /// Nobody is to do it from then on.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub made_at: Timestamp,
    /// Whether the caller has claimed it.
    pub mine: bool,
    /// Until when it is claimed, by whomever.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub claimed_until: Option<Timestamp>,
    /// The RM was reminded then.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub reminded_at: Option<Timestamp>,
    /// It was missed, and taken to the branch's lead, then.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub escalated_at: Option<Timestamp>,
    /// What came of it.
    pub disposition: Option<Reason>,
    /// When it was closed.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
}

/// By what the customer is reached: masked, but for the telephone number in the hands of whoever has claimed the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Contact {
    /// Telephone number.
    pub phone: Option<String>,
    /// Whether the number is whole.
    pub phone_is_whole: bool,
    /// E-mail address, masked.
    pub email: Option<String>,
    /// Own zone.
    pub timezone: Option<String>,
    /// Language.
    pub language: Option<String>,
}

/// One touch of the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TimelineLine {
    /// When: its start, else its end, else when it is due.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Of which campaign.
    pub campaign: String,
    /// On which channel.
    pub channel: Option<Channel>,
    /// Where it stands.
    pub state: State,
    /// What came of it, or why it is so.
    pub reason: Reason,
    /// Seconds of conversation.
    pub connected_s: u32,
}

/// A task with all that is needed to do it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TaskView {
    /// The task.
    #[serde(flatten)]
    pub line: TaskLine,
    /// What to say, in the customer's language.
    pub script: Option<String>,
    /// By what the customer is reached.
    pub contact: Contact,
    /// Until when touches of other channels wait because an RM meets the customer.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub held_until: Option<Timestamp>,
    /// What came of it.
    pub result: Option<TaskResult>,
    /// The task's history, oldest first.
    pub history: Vec<TaskEvent>,
    /// Where the customer left off: open checkpoints, newest first.
    pub checkpoints: Vec<CheckpointSeen>,
    /// The customer's touches, newest first: at most 50.
    pub timeline: Vec<TimelineLine>,
}

fn line(actor: &Actor, task: &Task, customer: String, now: Timestamp) -> TaskLine {
    TaskLine {
        id: task.id.0,
        kind: task.made.kind,
        state: task.state,
        title: task.made.title.clone(),
        customer,
        priority: task.made.priority,
        language: task.made.language.clone(),
        skill: task.made.skill.clone(),
        branch: task.made.branch.clone(),
        rm: task.rm.clone(),
        touch: task.made.touch.map(|t| t.to_string()),
        due_at: task.made.due_at,
        expires_at: task.made.expires_at,
        made_at: task.made.at,
        mine: task.running_lease(now).is_some() && task.claimed_by.as_deref() == Some(holder(actor)),
        claimed_until: task.running_lease(now),
        reminded_at: task.reminded_at,
        escalated_at: task.escalated_at,
        disposition: task.result.as_ref().map(|r| r.disposition),
        closed_at: task.closed_at,
    }
}

async fn references(store: &dyn Store, tasks: &[Task]) -> DeskResult<HashMap<CustomerId, String>> {
    let customers: Vec<CustomerId> = tasks.iter().map(|t| t.made.customer).collect();
    let members = store.members(&customers, Needs { person: true, ..Needs::default() }).await?;
    Ok(members.into_iter().filter_map(|m| Some((m.id, m.person?.reference))).collect())
}

pub(super) async fn lines(store: &dyn Store, actor: &Actor, tasks: &[Task], now: Timestamp) -> DeskResult<Vec<TaskLine>> {
    let references = references(store, tasks).await?;
    let name = |task: &Task| references.get(&task.made.customer).cloned().unwrap_or_default();
    Ok(tasks.iter().map(|task| line(actor, task, name(task), now)).collect())
}

pub(super) async fn view(store: &dyn Store, actor: &Actor, task: Task, now: Timestamp) -> DeskResult<TaskView> {
    let reference = references(store, std::slice::from_ref(&task)).await?.remove(&task.made.customer).ok_or_else(|| no_task(task.id))?;
    let customer = store.customer(&reference).await?.ok_or_else(|| no_task(task.id))?;
    let line = line(actor, &task, reference, now);
    let whole = customer.phone.as_ref().filter(|_| line.mine).map(|phone| phone.reveal().to_owned());
    // A hold that is over stays on record.
    let held_until = customer.contactability.held_until().filter(|until| *until > now);
    let masked = explain::identity(customer);
    let mut campaigns = HashMap::new();
    let mut timeline = Vec::new();
    for touch in store.timeline(task.made.customer).await?.into_iter().rev().filter(|t| !t.key.campaign.is_rehearsal()).take(TIMELINE) {
        let id = touch.key.campaign;
        if let Entry::Vacant(place) = campaigns.entry(id) {
            place.insert(store.campaign_by_id(id).await?.name);
        }
        timeline.push(TimelineLine {
            at: touch.started_at.or(touch.ended_at).or(touch.due_at),
            campaign: campaigns.get(&id).cloned().unwrap_or_default(),
            channel: touch.channel,
            state: touch.state,
            reason: touch.reason,
            connected_s: touch.connected_s,
        });
    }
    Ok(TaskView {
        contact: Contact {
            phone_is_whole: whole.is_some(),
            phone: whole.or(masked.phone),
            email: masked.email,
            timezone: masked.timezone,
            language: masked.language,
        },
        held_until,
        checkpoints: store.checkpoints(task.made.customer).await?.into_iter().filter(|c| !c.closed).map(CheckpointSeen::from).collect(),
        history: store.task_history(task.id).await?,
        script: task.made.script,
        result: task.result,
        timeline,
        line,
    })
}
