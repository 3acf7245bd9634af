//! What comes in from providers and the bank's other systems: receipts that are kept before they are answered, names of messages that
//! were taken, dead letters, ratings.
use super::StoreResult;
use crate::domain::ids::{CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::outcome::{Disposition, coded};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A receipt as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReceipt {
    /// On which route.
    pub route: RouteId,
    /// The provider's name for the touch; it or `touch` is there.
    pub provider_ref: Option<String>,
    /// Our own name for it.
    pub touch: Option<TouchKey>,
    /// When it was so.
    pub at: Timestamp,
    /// What came of it.
    pub disposition: Disposition,
    /// Seconds of conversation.
    pub connected_s: u32,
    /// What the provider charges, in millionths of a unit of the campaign's currency.
    pub cost_micros: Option<i64>,
}

/// A receipt that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxReceipt {
    /// Its number.
    pub id: i64,
    /// As it was posted.
    pub receipt: NewReceipt,
    /// When it came.
    pub received_at: Timestamp,
    /// Times handed to an engine.
    pub tries: u32,
}

coded!(
    /// What a dead letter is.
    DeadKind {
        /// A whole message of a provider that cannot be read.
        Receipts = 0 "receipts",
        /// One receipt of a message: its disposition is not known, or no touch of ours is.
        Receipt = 1 "receipt",
        /// An event that a person must look at.
        Event = 2 "event",
    }
);

/// A dead letter to be kept.
#[derive(Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The route's name, or the source of an event.
    pub source: String,
    /// What it is.
    pub kind: DeadKind,
    /// Why it could not be taken. No personal data.
    pub reason: String,
    /// What was sent, as it was sent. May hold personal data.
    pub raw: Vec<u8>,
}

impl std::fmt::Debug for NewDeadLetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewDeadLetter({}, {}, {}, {} bytes)", self.source, self.kind, self.reason, self.raw.len())
    }
}

/// A dead letter that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// As it was kept.
    pub letter: NewDeadLetter,
    /// When it came.
    pub received_at: Timestamp,
    /// When it was dealt with, and how.
    pub closed: Option<(Timestamp, String)>,
}

/// A rating of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// The system that tells it, and its name for the event.
    pub event: (String, String),
    /// Whose.
    pub customer: CustomerId,
    /// Of which touch, where it is known.
    pub touch: Option<TouchKey>,
    /// 1 (worst) to 5.
    pub rating: u8,
    /// When.
    pub at: Timestamp,
}

/// One post of a provider.
#[derive(Clone, Debug)]
pub struct Post<'a> {
    /// The route's name.
    pub source: &'a str,
    /// The message's name.
    pub id: &'a str,
    /// What it says.
    pub receipts: &'a [NewReceipt],
    /// What of it cannot be taken.
    pub dead: &'a [NewDeadLetter],
    /// When it came.
    pub at: Timestamp,
    /// When receipts are handed over (again) at the soonest.
    pub next_at: Timestamp,
}

/// The inbox.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Keeps a post in one transaction. `false`: a message of this source and name was taken before, and nothing was kept.
    async fn take_post(&self, post: &Post<'_>) -> StoreResult<bool>;
    /// Receipts that no engine has on record and whose time has come (`None`: all), in the order of their numbers, after one.
    async fn open_receipts(&self, due: Option<Timestamp>, after: i64, limit: usize) -> StoreResult<Vec<InboxReceipt>>;
    /// Of these, those that the engine has on record: a raw receipt of the same touch, time and disposition is kept. They are
    /// marked applied, and returned.
    async fn confirm_receipts(&self, receipts: &[(i64, TouchKey)]) -> StoreResult<Vec<i64>>;
    /// They were handed over: one try more, and not again before `next_at`.
    async fn receipts_handed(&self, ids: &[i64], next_at: Timestamp) -> StoreResult<()>;
    /// Gives receipts up: each becomes a dead letter with this reason and this text, and is marked applied, in one transaction.
    async fn bury_receipts(&self, buried: &[(i64, NewDeadLetter)], at: Timestamp) -> StoreResult<()>;
    /// Keeps dead letters.
    async fn keep_dead_letters(&self, letters: &[NewDeadLetter], at: Timestamp) -> StoreResult<()>;
    /// Dead letters after a number; `open`: only those that nobody has dealt with.
    async fn dead_letters(&self, open: bool, after: i64, limit: usize) -> StoreResult<Vec<DeadLetter>>;
    /// One of them.
    async fn dead_letter(&self, id: i64) -> StoreResult<Option<DeadLetter>>;
    /// Marks one as dealt with; `false`: it was already.
    async fn close_dead_letter(&self, id: i64, how: &str, at: Timestamp) -> StoreResult<bool>;
    /// Which of these events (source, id) were taken before.
    async fn known_events(&self, events: &[(String, String)]) -> StoreResult<Vec<bool>>;
    /// Marks events as taken, and keeps their ratings, in one transaction.
    async fn keep_events(&self, events: &[(String, String)], ratings: &[Rating], at: Timestamp) -> StoreResult<()>;
    /// How often each rating from 1 to 5 was given: for touches of a campaign, or for all.
    async fn ratings(&self, campaign: Option<CampaignId>) -> StoreResult<[i64; 5]>;
    /// Forgets names of messages and applied receipts that are older; returns how many.
    async fn forget_messages(&self, before: Timestamp) -> StoreResult<u64>;
}
