//! The touch: states, the lattice by which they may change, and the row that the ledger keeps.
use super::channel::Channel;
use super::ids::{RouteId, RuleNo, StepNo, TouchKey};
use super::outcome::{Reason, coded};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

coded!(
    /// The state of a touch, and, by its head, of a customer in a campaign. `Pending` has no row: the list and its cursor are the plan.
    State {
        /// In the audience, not yet looked at.
        Pending = 0 "pending",
        /// Waiting for its due time.
        Scheduled = 1 "scheduled",
        /// Committed before the provider is called.
        Started = 2 "started",
        /// Effectively reached by the step's rule.
        Reached = 3 "reached",
        /// Attempted, and not reached.
        Missed = 4 "missed",
        /// The provider said no; nothing was sent.
        Refused = 5 "refused",
        /// Nobody knows yet whether it happened; not repeated.
        Uncertain = 6 "uncertain",
        /// Law, consent, suppression or cap forbade it.
        Suppressed = 7 "suppressed",
        /// In the holdout: never touched.
        HeldOut = 8 "held_out",
        /// Waited past its validity.
        Expired = 9 "expired",
        /// Called off before it started.
        Cancelled = 10 "cancelled",
    }
);

impl State {
    /// The height in the outcome lattice of a touch that was started: a report of lower or equal rank never overwrites a
    /// higher one. `Missed` may still be corrected to `Reached` by a later receipt, never the other way round.
    pub fn rank(self) -> u8 {
        match self {
            Self::Pending | Self::Scheduled => 0,
            Self::Started => 1,
            Self::Uncertain => 2,
            Self::Missed | Self::Refused => 3,
            Self::Reached => 4,
            Self::Suppressed | Self::HeldOut | Self::Expired | Self::Cancelled => 5,
        }
    }
    /// Whether nothing more will happen to a customer whose head is in this state, unless something outside does.
    pub fn is_closed(self) -> bool {
        !matches!(self, Self::Pending | Self::Scheduled | Self::Started | Self::Uncertain)
    }
    /// Whether the sending of a touch in this state stands: it was made, or may have been made, and was not given back. Only
    /// such touches count as attempts, cost money and use up caps; put-back (`Scheduled`) and `Refused` ones do not.
    pub fn stands(self) -> bool {
        matches!(self, Self::Started | Self::Uncertain | Self::Reached | Self::Missed)
    }
    /// Whether a recorded result may move a stored touch from this state to `to`: the one lattice guard that all stores share.
    /// Upwards by rank from `Started` and `Uncertain`; `Started` back to `Scheduled` when it was not sent; `Missed` to `Reached`
    /// by a late receipt. `Started` to `Started` (taken by the provider) is for the caller to judge: only where no
    /// `provider_ref` is on record yet. Everything else stays as it is.
    pub fn may_settle_as(self, to: Self) -> bool {
        match (self, to) {
            (Self::Started, Self::Started | Self::Scheduled | Self::Uncertain) | (Self::Missed, Self::Reached) => true,
            (Self::Started | Self::Uncertain, Self::Missed | Self::Reached | Self::Refused) => self.rank() < to.rank(),
            _ => false,
        }
    }
}

/// The customer was reached by an earlier or this touch of the campaign.
pub const EVER_REACHED: u32 = 1;
/// The touch was made at least once before and put back without being sent.
pub const WAS_PUT_BACK: u32 = 2;

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Touch {
    /// Whose, in which campaign, which one.
    pub key: TouchKey,
    /// Which step of the journey.
    pub step: StepNo,
    /// The attempt within the step, from 1; 0 for rows that are no attempt (held out, suppressed at first sight).
    pub attempt: u16,
    /// On which channel; `None` for a holdout.
    pub channel: Option<Channel>,
    /// On which route, once started.
    pub route: Option<RouteId>,
    /// Which content variant, from 0.
    pub variant: u8,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// The rule of the campaign's law that allowed, deferred or forbade it.
    pub rule: RuleNo,
    /// When it may start; set while `Scheduled`, kept afterwards.
    #[serde(with = "crate::domain::time::iso_option", default)]
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// When `Started` was committed.
    #[serde(with = "crate::domain::time::iso_option", default)]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When its last state came about.
    #[serde(with = "crate::domain::time::iso_option", default)]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// Seconds of conversation.
    pub connected_s: u32,
    /// Cost in millionths of the campaign's currency unit: reserved while started, actual afterwards, 0 when nothing was sent.
    pub cost_micros: i64,
    /// Message parts (SMS); 1 for other channels, 0 when nothing was sent.
    pub parts: u16,
    /// Bits: `EVER_REACHED`, `WAS_PUT_BACK`.
    pub flags: u32,
    /// Steps still to come after this one, when more than one waits (`journey::Agenda`, JSON).
    pub agenda: Option<Box<str>>,
    /// The provider's name for it while a receipt is awaited or after.
    pub provider_ref: Option<Box<str>>,
}

impl Touch {
    /// Nothing is scheduled in a run that has ended: a row that would be is called off instead, for the run's reason.
    pub fn cancel_if_ended(&mut self, ended: Option<super::outcome::Reason>, at: Option<Timestamp>) {
        if let Some(reason) = ended
            && self.state == State::Scheduled
        {
            (self.state, self.reason, self.ended_at) = (State::Cancelled, reason, at.or(self.due_at));
        }
    }
    /// The one state in which this head counts its customer: reached once is reached, whatever a later step came to.
    pub fn customer_state(&self) -> State {
        customer_state(self.state, self.flags)
    }
}

/// See [`Touch::customer_state`].
pub fn customer_state(head: State, flags: u32) -> State {
    if head.is_closed() && flags & EVER_REACHED != 0 { State::Reached } else { head }
}
