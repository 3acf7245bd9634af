//! The worklist: tasks for relationship managers, and who they are.
pub mod assign;
pub mod lease;

use super::ids::{CustomerId, TaskId, TouchKey};
use super::outcome::coded;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

coded!(
    /// Where a task comes from.
    TaskKind {
        /// A step of a campaign's journey on the channel `worklist`.
        Journey = 0 "journey",
        /// A call that an agent or a machine handed over to the customer's RM.
        HandedOver = 1 "handed_over",
        /// The customer wants to be called at a time.
        Callback = 2 "callback",
        /// A transaction that another channel or person referred.
        Referral = 3 "referral",
    }
);

coded!(
    /// Where a task stands.
    TaskState {
        /// Waiting to be claimed.
        Open = 0 "open",
        /// Claimed under a lease.
        Claimed = 1 "claimed",
        /// Done, with a result.
        Done = 2 "done",
        /// No longer wanted (its campaign was stopped, the customer has opted out, was erased ...).
        Cancelled = 3 "cancelled",
        /// Nobody did it before it expired.
        Expired = 4 "expired",
    }
);

impl TaskState {
    /// Whether nothing more comes of a task in this state.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Expired)
    }
}

/// A task to be made. Making it again under the same key changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Unique: what the task is made for (`touch:<customer>/<campaign>/<seq>`, `callback:<source>/<id>` ...).
    pub key: String,
    /// Where it comes from.
    pub kind: TaskKind,
    /// Whom it is about.
    pub customer: CustomerId,
    /// The touch that it carries out, for a journey's.
    pub touch: Option<TouchKey>,
    /// In one line: what is to be done. No personal data.
    pub title: String,
    /// What to say, written out in the customer's language; sealed at rest like any personal data.
    pub script: Option<String>,
    /// What the RM must be able to speak.
    pub language: Option<String>,
    /// What the RM must know.
    pub skill: Option<String>,
    /// 0 (last) to 9 (first).
    pub priority: u8,
    /// The RM whose it should be (the customer's own, or the one that a referral names).
    pub wanted_rm: Option<String>,
    /// Whose customers it belongs to.
    pub branch: Option<String>,
    /// Not before: a callback's agreed time; else when it was made.
    pub due_at: Timestamp,
    /// Nobody is to do it from then on.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub at: Timestamp,
}

impl NewTask {
    /// The row of a new task: open, on nobody's list, and awake, so that the next round gives it to somebody.
    pub fn row(&self, id: TaskId) -> Task {
        Task {
            id,
            made: self.clone(),
            version: 1,
            state: TaskState::Open,
            rm: None,
            assigned_at: None,
            claimed_by: None,
            lease_until: None,
            reminded_at: None,
            escalated_at: None,
            wakes_at: Some(self.at),
            result: None,
            closed_at: None,
        }
    }
    /// What a task is for never changes: takes it over from the stored one.
    pub fn keep_purpose(&mut self, stored: &Self) {
        self.key.clone_from(&stored.key);
        (self.kind, self.customer, self.touch, self.at) = (stored.kind, stored.customer, stored.touch, stored.at);
    }
}

/// A task as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// As it was made.
    pub made: NewTask,
    /// Grows by one with every change; a change names the version that it was decided on.
    pub version: i64,
    /// Where it stands.
    pub state: TaskState,
    /// On whose list it is; `None`: nobody's yet.
    pub rm: Option<String>,
    /// When it came onto the list that it is on.
    pub assigned_at: Option<Timestamp>,
    /// Claimed by whom (the RM's reference).
    pub claimed_by: Option<String>,
    /// The claim ends then, unless it is renewed.
    pub lease_until: Option<Timestamp>,
    /// The RM was reminded then.
    pub reminded_at: Option<Timestamp>,
    /// It was missed, and taken to the branch's lead, then.
    pub escalated_at: Option<Timestamp>,
    /// When somebody must look at it again (lease, reminder, escalation, expiry); `None`: never.
    pub wakes_at: Option<Timestamp>,
    /// What came of it; set with `Done`.
    pub result: Option<TaskResult>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

impl Task {
    /// What is said to whoever decided on a task that has changed meanwhile.
    pub fn moved_on(&self) -> String {
        format!("task {} has changed since version {} of it was read: read it again, and decide anew", self.id, self.version)
    }
}

/// A line of a task's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskEvent {
    /// What happened (`made`, `assigned`, `claimed`, `released`, `recalled`, `reminded`, `escalated`, `done`, `cancelled`, `expired`).
    pub what: String,
    /// Who did it (an actor's name, or `engine`).
    pub by: String,
    /// In a few words without personal data.
    pub why: String,
    /// When.
    #[serde(with = "super::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl TaskEvent {
    /// A line.
    pub fn new(what: &str, by: &str, why: impl Into<String>, at: Timestamp) -> Self {
        Self { what: what.to_owned(), by: by.to_owned(), why: why.into(), at }
    }
    /// The first line of a history.
    pub fn made(new: &NewTask) -> Self {
        Self::new("made", "engine", new.kind.name(), new.at)
    }
}

/// How much an RM has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Open and claimed tasks on their list.
    pub open: u32,
    /// Tasks that came onto their list since the start of the day that was asked for.
    pub today: u32,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskResult {
    /// A disposition by name (`completed`, `interested`, `not_interested`, `callback_requested`, `not_reached` ...).
    pub disposition: super::outcome::Disposition,
    /// Seconds of conversation.
    #[serde(default)]
    pub connected_s: u32,
    /// What the RM wrote; personal data, sealed at rest.
    #[serde(default)]
    pub notes: Option<String>,
    /// When the customer wants to hear next.
    #[serde(default, with = "super::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub next_contact: Option<Timestamp>,
    /// When it was so.
    #[serde(with = "super::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// A relationship manager, as the bank's roster has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rm {
    /// The bank's reference, as customers name it.
    pub reference: String,
    /// Branch.
    pub branch: Option<String>,
    /// BCP 47 tags.
    #[serde(default)]
    pub languages: Vec<String>,
    /// What they know.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Tasks that may come onto their list in a day at most.
    pub daily_capacity: u32,
    /// No longer there: nothing new comes to them.
    #[serde(default)]
    pub left: bool,
    /// Away, and who covers.
    #[serde(default)]
    pub leaves: Vec<Leave>,
}

/// An absence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Leave {
    /// From (included).
    #[serde(with = "super::time::iso")]
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// To (not included).
    #[serde(with = "super::time::iso")]
    #[schemars(with = "String")]
    pub to: Timestamp,
    /// Who takes their customers meanwhile; `None`: the branch.
    #[serde(default)]
    pub cover: Option<String>,
}

/// Where a customer left off in a transaction, so that the next channel or person goes on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose.
    pub customer: CustomerId,
    /// What they were doing (`loan-application`): one open checkpoint of a name a customer.
    pub name: String,
    /// How far they got, in the words of the channel that wrote it.
    pub step: String,
    /// Where: a channel's or a system's name.
    pub left_on: String,
    /// What the next one needs to go on (a JSON object); personal data, sealed at rest.
    pub detail: String,
    /// When.
    pub at: Timestamp,
    /// They have finished, or given up.
    pub closed: bool,
}
