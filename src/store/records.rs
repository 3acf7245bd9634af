//! The rows that go in and out of a store.
use crate::domain::consent::{ConsentRecord, Contactability};
use crate::domain::contact::{EmailAddress, Phone, PushToken};
pub use crate::domain::decision::{Candidate, ContactFacts, Member, Person};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, ListId, RouteId, TouchKey};
pub use crate::domain::journey::{Before, Settled};
use crate::domain::money::Money;
use crate::domain::outcome::{Reason, coded};
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// A customer as an intake brings it.
#[derive(Clone, Debug, Default)]
pub struct CustomerInput {
    /// The bank's own number for the customer; unique.
    pub reference: String,
    /// E.164.
    pub phone: Option<Phone>,
    /// Address.
    pub email: Option<EmailAddress>,
    /// Token of the bank's app.
    pub push: Option<PushToken>,
    /// Own zone.
    pub timezone: Option<Tz>,
    /// BCP 47 tag.
    pub language: Option<String>,
    /// Branch.
    pub branch: Option<String>,
    /// The relationship manager's reference.
    pub rm: Option<String>,
    /// Attributes by name, flat.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// Consents that came with the row.
    pub consents: Vec<ConsentRecord>,
}

/// A customer as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerRow {
    /// Our number.
    pub id: CustomerId,
    /// The bank's number.
    pub reference: String,
    /// E.164.
    pub phone: Option<Phone>,
    /// Address.
    pub email: Option<EmailAddress>,
    /// Token.
    pub push: Option<PushToken>,
    /// Own zone.
    pub timezone: Option<Tz>,
    /// BCP 47 tag.
    pub language: Option<String>,
    /// Branch.
    pub branch: Option<String>,
    /// Relationship manager.
    pub rm: Option<String>,
    /// A JSON object.
    pub attributes: String,
    /// Packed consent and suppression.
    pub contactability: Contactability,
}

/// What a put did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutCount {
    /// New rows.
    pub inserted: u64,
    /// Changed rows.
    pub updated: u64,
    /// Rows that were there already, the same.
    pub duplicates: u64,
    /// Rows not taken: index in the batch, and why.
    pub rejected: Vec<(usize, String)>,
}

/// How far an intake got: kept in the same transaction as its rows, so that a kill loses and repeats nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntakeProgress {
    /// What is taken in: kind, name and content hash of file and mapping.
    pub key: String,
    /// Rows of the file dealt with.
    pub rows_read: u64,
    /// Rows taken.
    pub accepted: u64,
    /// Rows left out by the mapping's `where`.
    pub filtered: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Rows that repeat one taken before.
    pub duplicates: u64,
    /// Bytes of the rejects file that belong to these rows.
    pub rejects_bytes: u64,
    /// Whether the whole file is done.
    pub done: bool,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListRow {
    /// Number.
    pub id: ListId,
    /// Name.
    pub name: String,
    /// Members; final once frozen.
    pub count: i64,
    /// Hex; empty while open.
    pub checksum: String,
    /// When it was frozen.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub frozen_at: Option<Timestamp>,
}

/// What a page of members must carry; nothing is read that nobody needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Telephone number.
    pub phone: bool,
    /// E-mail address.
    pub email: bool,
    /// Push token.
    pub push: bool,
    /// Language, branch and RM.
    pub person: bool,
    /// Attributes.
    pub attributes: bool,
}

/// Members in customer order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The members.
    pub members: Vec<Member>,
    /// Place in the contactability change log before the read.
    pub seen_change: i64,
    /// Nothing comes after these.
    pub last: bool,
}

/// Scheduled touches that are due.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The touches and their members, soonest first.
    pub touches: Vec<(Touch, Member)>,
    /// Place in the contactability change log before the read.
    pub seen_change: i64,
}

/// The decision: the row to write, or `None` to end the batch here.
pub type Decide<'a> = &'a mut (dyn FnMut(&Candidate, ContactFacts<'_>) -> Option<Touch> + Send);

/// A batch to decide and commit.
#[derive(Clone, Debug)]
pub struct BeginRequest {
    /// Whose run.
    pub campaign: CampaignId,
    /// Of what purpose (for the contact history that later campaigns read).
    pub purpose: crate::domain::consent::Purpose,
    /// The fencing number of the sender.
    pub fence: i64,
    /// Now.
    pub at: Timestamp,
    /// In order; first-time ones in customer order.
    pub candidates: Vec<Candidate>,
    /// See `Page::seen_change`.
    pub seen_change: i64,
    /// How far back contact history matters; 0: not at all.
    pub history_ms: i64,
    /// Kinds (and products) of facts that end a journey.
    pub conversion_facts: Vec<(String, Option<String>)>,
    /// From when such facts count.
    pub conversion_since: Timestamp,
    /// The due time of the wave that first-time candidates are taken from; `None`: of no wave on record.
    pub wave: Option<Timestamp>,
}

/// What a begin did.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    /// The open batch, when any touch was started.
    pub batch: Option<BatchId>,
    /// The rows written, in candidate order, with the index of their candidate.
    pub written: Vec<(usize, Touch)>,
    /// How many candidates were dealt with (written or skipped); the rest stay as they were.
    pub consumed: usize,
    /// What it changed.
    pub tallies: Tallies,
}

/// What a record did.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Settlements that the lattice held back.
    pub skipped: Vec<TouchKey>,
    /// Changes per campaign.
    pub tallies: Vec<(CampaignId, Tallies)>,
}

/// Parts that were sent on a route for a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentParts {
    /// For which run.
    pub campaign: CampaignId,
    /// On which route.
    pub route: RouteId,
    /// When.
    pub at: Timestamp,
    /// How many.
    pub parts: u64,
}

/// A raw receipt, as a provider sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRow {
    /// On which route.
    pub route: RouteId,
    /// The provider's name for the touch.
    pub provider_ref: String,
    /// Which touch it was matched to.
    pub touch: Option<TouchKey>,
    /// When it came.
    pub at: Timestamp,
    /// What it said (a disposition's name, or the provider's words without personal data).
    pub said: String,
    /// Whether it changed anything.
    pub applied: bool,
}

coded!(
    /// Where a campaign run stands.
    Status {
        /// Handed in; its list is frozen.
        Submitted = 0 "submitted",
        /// Approved.
        Approved = 1 "approved",
        /// Being run.
        Running = 2 "running",
        /// Held by an operator.
        Paused = 3 "paused",
        /// Every customer is in a closed state.
        Finished = 4 "finished",
        /// Ended early; what was left is cancelled.
        Stopped = 5 "stopped",
        /// A file kept and checked, not handed in: no list is frozen yet, and its author may still write it anew.
        Draft = 6 "draft",
        /// Approved and told to start: it waits for its first moment, or for the engine.
        Scheduled = 7 "scheduled",
        /// A closed run put away: listed only when it is asked for.
        Archived = 8 "archived",
    }
);

impl Status {
    /// Whether a run in this status may change to `to`. Closed runs stay closed; a change to the same status is none. Back to `Submitted`
    /// goes a run whose approval is void.
    pub fn may_become(self, to: Self) -> bool {
        match self {
            Self::Draft => matches!(to, Self::Submitted | Self::Archived),
            Self::Submitted => matches!(to, Self::Approved | Self::Stopped),
            Self::Approved => matches!(to, Self::Submitted | Self::Scheduled | Self::Running | Self::Paused | Self::Stopped),
            Self::Scheduled => matches!(to, Self::Submitted | Self::Running | Self::Paused | Self::Stopped),
            Self::Running => matches!(to, Self::Submitted | Self::Paused | Self::Finished | Self::Stopped),
            Self::Paused => matches!(to, Self::Submitted | Self::Running | Self::Finished | Self::Stopped),
            Self::Finished | Self::Stopped => to == Self::Archived,
            Self::Archived => false,
        }
    }
    /// Whether nothing more is begun in a run of this status.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Archived)
    }
    /// Whether a run in this status has an approval that counts.
    pub fn is_approved(self) -> bool {
        matches!(self, Self::Approved | Self::Scheduled | Self::Running | Self::Paused)
    }
}

coded!(
    /// What an operator wants of a campaign.
    Wanted {
        /// As the schedule says.
        Run = 0 "run",
        /// Hold.
        Pause = 1 "pause",
        /// End early.
        Stop = 2 "stop",
    }
);

/// A campaign to be created.
#[derive(Clone, Debug)]
pub struct NewCampaign {
    /// Name.
    pub name: String,
    /// Contacts nobody.
    pub rehearsal: bool,
    /// The file.
    pub source: String,
    /// Its hash.
    pub hash: String,
    /// The frozen audience (the list itself, or the list filtered by `where`).
    pub audience: ListId,
    /// The list as the file names it.
    pub list: ListId,
    /// The currency of its costs.
    pub currency: crate::domain::money::Currency,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A campaign run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CampaignRow {
    /// Number.
    pub id: CampaignId,
    /// Name.
    pub name: String,
    /// Version, from 1, per name and mode.
    pub version: i64,
    /// The revision that it follows; 0: the file as it was handed in.
    pub revision: i64,
    /// The file.
    #[serde(skip)]
    pub source: String,
    /// Its hash.
    pub hash: String,
    /// Where it stands.
    pub status: Status,
    /// What an operator wants.
    pub wanted: Wanted,
    /// The frozen audience.
    pub audience_list: ListId,
    /// The list named in the file.
    pub list: ListId,
    /// Customers in the audience.
    pub audience: i64,
    /// The audience's checksum.
    pub checksum: String,
    /// The currency of costs.
    pub currency: crate::domain::money::Currency,
    /// Members up to here have been looked at.
    pub cursor: CustomerId,
    /// Why it was stopped.
    pub stop_reason: Option<Reason>,
    /// Stopped in an emergency: it goes on only when two persons have said so.
    pub emergency: bool,
    /// When it was handed in.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub submitted_at: Timestamp,
    /// When its first touch could start.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub finished_at: Option<Timestamp>,
}

impl CampaignRow {
    /// The version as people name it: `2`, or `2.1` after its first revision.
    pub fn label(&self) -> String {
        if self.revision == 0 { self.version.to_string() } else { format!("{}.{}", self.version, self.revision) }
    }
    /// Whether it ever had an audience: drafts, and drafts put away, have none.
    pub fn is_handed_in(&self) -> bool {
        self.audience_list != ListId(0)
    }
    /// How a closed run came to its end, also when it has been put away since.
    pub fn ended_as(&self) -> Option<Status> {
        match self.status {
            Status::Finished | Status::Stopped => Some(self.status),
            Status::Archived if matches!(self.stop_reason, None | Some(Reason::CampaignEnded)) => Some(Status::Finished),
            Status::Archived => Some(Status::Stopped),
            Status::Draft | Status::Submitted | Status::Approved | Status::Scheduled | Status::Running | Status::Paused => None,
        }
    }
}

/// A change of status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// To what.
    pub to: Status,
    /// By whom (a user, or `engine`).
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// For `Stopped`: what the cancelled customers are counted under.
    pub reason: Option<Reason>,
}

/// A wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveRow {
    /// When it was due.
    pub due_at: Timestamp,
    /// When it fired; `None`: skipped as too late.
    pub fired_at: Option<Timestamp>,
    /// First touches that it may still take; `None`: no limit.
    pub left: Option<i64>,
}

/// Customers by state and attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptsBin {
    /// State of the customer.
    pub state: State,
    /// Attempts made in all steps.
    pub attempts: i64,
    /// How many customers.
    pub customers: i64,
}

/// A fact as an intake brings it.
#[derive(Clone, Debug)]
pub struct FactInput {
    /// The core bank's own number for it; unique per kind.
    pub fact_ref: String,
    /// Whose.
    pub customer: String,
    /// `loan_drawdown`, `loan_balance`, `aum_daily_average` ...
    pub kind: String,
    /// Product.
    pub product: Option<String>,
    /// How much.
    pub amount: Money,
    /// When it came about.
    pub at: Timestamp,
}

/// A fact as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactRow {
    /// Our number.
    pub id: i64,
    /// The core bank's.
    pub fact_ref: String,
    /// Whose.
    pub customer: CustomerId,
    /// Kind.
    pub kind: String,
    /// Product.
    pub product: Option<String>,
    /// How much.
    pub amount: Money,
    /// When.
    pub at: Timestamp,
}

/// The credit for (a share of) one fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreditRow {
    /// To which run.
    pub campaign: CampaignId,
    /// By which conversion rule of it.
    pub rule: String,
    /// Which fact.
    pub fact: i64,
    /// Whose.
    pub customer: CustomerId,
    /// To which touch (seq), `None` for a customer of the holdout (counted, never credited).
    pub seq: Option<u32>,
    /// The share of the amount.
    pub amount: Money,
    /// When the fact came about.
    pub at: Timestamp,
}

/// A finished export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExportRow {
    /// Number.
    pub number: i64,
    /// Which run.
    pub campaign: CampaignId,
    /// What of it (`results`, `touches`, `conversions`).
    pub what: String,
    /// BLAKE3 or SHA-256 of the manifest, hex.
    pub manifest_hash: String,
    /// The export that this one corrects.
    pub corrects: Option<i64>,
    /// As of when.
    pub as_of: Timestamp,
    /// Rows.
    pub rows: i64,
}
