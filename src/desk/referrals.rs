//! Referrals of a transaction from one person or channel to another, and checkpoints: where the customer left off.
use super::contacts::{customer_of, name_fault};
use super::worklist::may_see;
use super::{DeskError, DeskResult};
use crate::domain::access::Actor;
use crate::domain::channel::Channel;
use crate::domain::ids::TaskId;
use crate::domain::law::{ConsentVerdict, LawBook, Whereabouts, WindowVerdict};
use crate::domain::time::{DAY, Timestamp};
use crate::domain::worklist::lease::SKEW_MS;
use crate::domain::worklist::{Checkpoint, NewTask, Task, TaskKind};
use crate::store::{CustomerRow, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a customer left off.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSaid {
    /// What they were doing (`loan-application`): one open checkpoint of a name a customer.
    pub name: String,
    /// How far they got.
    pub step: String,
    /// Where: a channel's or a system's name.
    pub left_on: String,
    /// What the next one needs to go on: a JSON object of at most 16 KiB.
    #[serde(default)]
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// When (RFC 3339): of checkpoints of a name the newest rules. Left out: now.
    #[serde(default, with = "crate::domain::time::iso_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// They have finished, or given up.
    #[serde(default)]
    pub closed: bool,
}

/// A checkpoint as kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointSeen {
    /// What they were doing.
    pub name: String,
    /// How far they got.
    pub step: String,
    /// Where.
    pub left_on: String,
    /// What the next one needs to go on.
    pub detail: serde_json::Value,
    /// When.
    pub at: String,
    /// They have finished, or given up.
    pub closed: bool,
}

impl From<Checkpoint> for CheckpointSeen {
    fn from(kept: Checkpoint) -> Self {
        let detail = serde_json::from_str(&kept.detail).unwrap_or_default();
        Self { name: kept.name, step: kept.step, left_on: kept.left_on, detail, at: kept.at.to_string(), closed: kept.closed }
    }
}

/// Bytes of a checkpoint's detail at most.
const DETAIL_BYTES: usize = 16 * 1024;

fn checked(customer: &CustomerRow, said: &CheckpointSaid, now: Timestamp, faults: &mut Vec<String>) -> Checkpoint {
    faults.extend(name_fault("checkpoint.name", &said.name, 64));
    faults.extend(name_fault("checkpoint.step", &said.step, 200));
    faults.extend(name_fault("checkpoint.left_on", &said.left_on, 64));
    let at = said.at.unwrap_or(now);
    if at > now.plus(SKEW_MS) {
        faults.push(format!("checkpoint.at: expected when they left off, found an instant after the present ({now})"));
    }
    let detail = serde_json::Value::Object(said.detail.clone()).to_string();
    if detail.len() > DETAIL_BYTES {
        faults.push(format!("checkpoint.detail: expected at most {DETAIL_BYTES} bytes, found {}", detail.len()));
    }
    Checkpoint {
        customer: customer.id,
        name: said.name.clone(),
        step: said.step.clone(),
        left_on: said.left_on.clone(),
        detail,
        at,
        closed: said.closed,
    }
}

/// Keeps a checkpoint; an older one than what is on record changes nothing. Gives the customer's, newest first.
pub async fn put_checkpoint(
    store: &dyn Store,
    actor: &Actor,
    reference: &str,
    said: &CheckpointSaid,
    now: Timestamp,
) -> DeskResult<Vec<CheckpointSeen>> {
    let customer = customer_of(store, actor, reference).await?;
    let mut faults = Vec::new();
    let checkpoint = checked(&customer, said, now, &mut faults);
    if !faults.is_empty() {
        return Err(DeskError::Unfit(faults));
    }
    store.put_checkpoint(&checkpoint).await?;
    of(store, &customer).await
}

/// A customer's checkpoints, newest first, closed ones too.
pub async fn checkpoints(store: &dyn Store, actor: &Actor, reference: &str) -> DeskResult<Vec<CheckpointSeen>> {
    of(store, &customer_of(store, actor, reference).await?).await
}

async fn of(store: &dyn Store, customer: &CustomerRow) -> DeskResult<Vec<CheckpointSeen>> {
    Ok(store.checkpoints(customer.id).await?.into_iter().map(CheckpointSeen::from).collect())
}

/// A referral: to one RM, to a branch, or on to another channel.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Referred {
    /// The referrer's own name for it: the same again changes nothing.
    pub id: String,
    /// The bank's reference of the customer; left out where the task that it comes from says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// To this RM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_rm: Option<String>,
    /// To this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_branch: Option<String>,
    /// On to this channel: whoever takes the task goes on there, when law and consent allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_channel: Option<Channel>,
    /// What is to be done, in one line without personal data.
    pub title: String,
    /// What whoever takes it must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Where the customer left off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointSaid>,
}

/// What became of a referral.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferralSeen {
    /// The task that it is.
    pub task: i64,
    /// Not before: for another channel the next lawful instant.
    pub due_at: String,
    /// It was not on record before.
    #[serde(skip)]
    pub made: bool,
}

/// Where referrals stand in a list: before the ordinary work, after callbacks.
const PRIORITY: u8 = 6;
/// A referral that nobody takes up in this time has gone cold.
const EXPIRES_MS: i64 = 14 * DAY;

/// Refers a transaction. `law` composes the law of a channel, for service (`callbacks.policy`).
pub async fn refer(
    store: &dyn Store,
    actor: &Actor,
    law: &(dyn Fn(Channel) -> DeskResult<crate::domain::window::Law> + Sync),
    reference: &str,
    said: &Referred,
    now: Timestamp,
) -> DeskResult<ReferralSeen> {
    let customer = customer_of(store, actor, reference).await?;
    let mut faults: Vec<String> = [name_fault("id", &said.id, 100), name_fault("title", &said.title, 200)].into_iter().flatten().collect();
    let to = [said.to_rm.is_some(), said.to_branch.is_some(), said.to_channel.is_some()].into_iter().filter(|given| *given).count();
    if to != 1 {
        faults.push(format!("to_rm, to_branch, to_channel: expected one of them, found {to}"));
    }
    if let Some(rm) = &said.to_rm
        && !store.rms().await?.iter().any(|known| known.reference == *rm && !known.left)
    {
        faults.push("to_rm: expected a relationship manager of the roster who is there; see GET /v1/rms".to_owned());
    }
    let checkpoint = said.checkpoint.as_ref().map(|said| checked(&customer, said, now, &mut faults));
    let due_at = match said.to_channel {
        Some(channel) => onward(&law(channel)?, channel, &customer, now, &mut faults),
        None => now,
    };
    if !faults.is_empty() {
        return Err(DeskError::Unfit(faults));
    }
    // First where they left off: whoever finds the task finds it too.
    if let Some(checkpoint) = checkpoint {
        store.put_checkpoint(&checkpoint).await?;
    }
    let onto = said.to_channel.map_or_else(String::new, |channel| format!(", on the channel {channel}"));
    let new = NewTask {
        key: format!("referral:{}/{}", actor.name, said.id),
        kind: TaskKind::Referral,
        customer: customer.id,
        touch: None,
        title: format!("{}{onto} (referred by {})", said.title, actor.name),
        script: None,
        language: customer.language.clone(),
        skill: said.skill.clone(),
        priority: PRIORITY,
        wanted_rm: if said.to_branch.is_some() { None } else { said.to_rm.clone().or(customer.rm) },
        branch: if said.to_rm.is_some() { None } else { said.to_branch.clone().or(customer.branch) },
        due_at,
        expires_at: Some(due_at.plus(EXPIRES_MS)),
        at: now,
    };
    let (task, made) =
        store.make_tasks(&[new]).await?.pop().ok_or_else(|| DeskError::Broken("a task was made, and the store gave none back".to_owned()))?;
    if task.made.customer != customer.id {
        return Err(DeskError::Refused(format!("the referral {:?} is on record for another customer: give another id", said.id)));
    }
    Ok(ReferralSeen { task: task.id.0, due_at: task.made.due_at.to_string(), made })
}

/// When a customer may be met on another channel, by consent as on record and the law of this moment.
fn onward(law: &dyn LawBook, channel: Channel, customer: &CustomerRow, now: Timestamp, faults: &mut Vec<String>) -> Timestamp {
    let on_record = customer.contactability;
    if on_record.is_suppressed(channel) {
        faults.push(format!("to_channel: the customer is on a suppression list for {channel}; choose another channel"));
    }
    if let ConsentVerdict::Forbidden(_, reason) = law.consent(channel, on_record.consent(channel, law.purpose())) {
        faults.push(format!("to_channel: {channel} is forbidden for this customer ({reason}); choose another channel"));
    }
    let whereabouts = match (customer.timezone, &customer.phone) {
        (Some(zone), _) => Whereabouts::Zone(zone),
        (None, Some(phone)) => phone.calling_code().map_or(Whereabouts::Unknown, Whereabouts::CallingCode),
        (None, None) => Whereabouts::Unknown,
    };
    match law.window(now, channel, whereabouts) {
        WindowVerdict::Open { .. } => now,
        WindowVerdict::Closed { opens, .. } => opens,
        WindowVerdict::Refused { .. } => {
            faults.push(format!("to_channel: when {channel} is lawful next cannot be told (no holiday table); refer to a person"));
            now
        }
    }
}

/// A task that the actor may see, with its customer; for all others there is none.
pub async fn task_of(store: &dyn Store, actor: &Actor, id: i64) -> DeskResult<(Task, CustomerRow)> {
    let missing = || DeskError::from(StoreError::NotFound { what: "task", name: id.to_string(), hint: "; read the list again".to_owned() });
    let task = store.task(TaskId(id)).await?.ok_or_else(missing)?;
    let reference = store.references(task.made.customer, task.made.customer).await?.pop().map(|(_, reference)| reference);
    let customer = store.customer(reference.as_deref().unwrap_or_default()).await?.ok_or_else(missing)?;
    // As in the worklist: a task that has come to an RM by cover, assignment or referral is theirs to see, whosever the customer is.
    if may_see(actor, &task) { Ok((task, customer)) } else { Err(missing()) }
}
