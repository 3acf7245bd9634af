//! What goes out: subscriptions of other systems, and the events that are told to them. An event is written in the transaction that makes
//! it true, and only while somebody subscribes to its kind: none is lost, none invented, and nobody pays for what nobody wants.
use super::StoreResult;
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
pub use crate::domain::webhook::{EventKind, Standing};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A subscription to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where to.
    pub url: String,
    /// Kinds, as bits.
    pub kinds: i64,
    /// Only of campaigns of this name.
    pub campaign: Option<String>,
    /// Several events in one delivery.
    pub batched: bool,
    /// `whsec_...`.
    pub secret: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl std::fmt::Debug for NewWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the secret nor the URL, which may bear one.
        write!(f, "NewWebhook(kinds {}, campaign {:?}, by {})", self.kinds, self.campaign, self.by)
    }
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its number.
    pub id: i64,
    /// As it was made.
    pub made: NewWebhook,
    /// Events up to this number are dealt with.
    pub sent: i64,
    /// Where its deliveries stand.
    pub standing: Standing,
}

/// An event to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number: unique and growing in the store.
    pub n: i64,
    /// What it tells.
    pub kind: EventKind,
    /// When it came about.
    pub at: Timestamp,
    /// Of which run.
    pub campaign: Option<CampaignId>,
    /// Whose.
    pub customer: Option<CustomerId>,
    /// The rest, as one of the bodies below, in JSON.
    pub body: String,
}

/// The body of [`EventKind::TouchSettled`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of a touch, by codes")]
pub struct TouchBody {
    pub seq: u32,
    pub step: u16,
    pub attempt: u16,
    pub channel: Option<u8>,
    pub route: Option<i32>,
    pub state: u16,
    pub reason: u16,
    pub started_at: Option<i64>,
    pub connected_s: u32,
    pub cost_micros: i64,
    pub parts: u16,
}

impl TouchBody {
    /// What is told of a touch.
    pub fn of(touch: &Touch) -> Self {
        Self {
            seq: touch.key.seq,
            step: touch.step.0,
            attempt: touch.attempt,
            channel: touch.channel.map(crate::domain::channel::Channel::code),
            route: touch.route.map(|r| r.0),
            state: touch.state.code(),
            reason: touch.reason.code(),
            started_at: touch.started_at.map(|t| t.0),
            connected_s: touch.connected_s,
            cost_micros: touch.cost_micros,
            parts: touch.parts,
        }
    }
    /// Whether a touch in this state has come to an end that is told.
    pub fn is_told(state: State) -> bool {
        matches!(state, State::Reached | State::Missed | State::Refused)
    }
}

/// The body of [`EventKind::CampaignStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "codes of the status and of the reason")]
pub struct StatusBody {
    pub status: i64,
    pub reason: Option<i64>,
}

/// The body of [`EventKind::ConversionCredited`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditBody {
    /// The conversion's name.
    pub rule: String,
    /// The core bank's number for the fact, and its kind.
    pub fact_ref: String,
    /// Kind of the fact.
    pub fact_kind: String,
    /// The touch that is credited.
    pub seq: i64,
    /// The share, in minor units.
    pub amount_minor: i64,
    /// Its currency.
    pub currency: String,
    /// 1: the credit was taken back.
    pub reversed: u8,
}

/// The body of [`EventKind::OptedOut`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "codes of the channel and of the purpose")]
pub struct OptOutBody {
    pub channel: i64,
    pub purpose: i64,
}

/// The body of [`EventKind::Task`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskBody {
    /// Which task.
    pub task: i64,
    /// What happened (`made`, `claimed`, `done` ...): the end of the event's type.
    pub what: String,
    /// The code of what the task comes from.
    pub kind: i64,
}

/// The outbox.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Makes a subscription; it is told what happens from now on.
    async fn add_webhook(&self, new: &NewWebhook) -> StoreResult<Webhook>;
    /// All of them, by number.
    async fn webhooks(&self) -> StoreResult<Vec<Webhook>>;
    /// One; `NotFound` where there is none.
    async fn webhook(&self, id: i64) -> StoreResult<Webhook>;
    /// Ends one.
    async fn remove_webhook(&self, id: i64) -> StoreResult<()>;
    /// Lets one that was disabled, or that waits, go on at once.
    async fn enable_webhook(&self, id: i64, at: Timestamp) -> StoreResult<Webhook>;
    /// Goes back to the first event kept whose time is not before `since`; returns how many events (of all kinds) lie before it again.
    async fn replay_webhook(&self, id: i64, since: Timestamp) -> StoreResult<u64>;
    /// Events for a subscription after what it was sent, in order, and up to which number they have been looked through.
    async fn outgoing(&self, webhook: &Webhook, limit: usize) -> StoreResult<(Vec<EventRow>, i64)>;
    /// A try was made from `from`: events up to `to` are dealt with, and it stands so. `false`: the subscription has been moved or ended
    /// meanwhile, and stays as it is.
    async fn report_delivery(&self, id: i64, from: i64, to: i64, standing: Standing) -> StoreResult<bool>;
    /// Drops events that were written of times before; returns how many.
    async fn trim_events(&self, before: Timestamp) -> StoreResult<u64>;
}
