//! What came of a touch: dispositions, the reasons of every state, and what a channel reports.
use super::ids::TouchKey;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant = $code,)* }
        impl $name {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The number under which the store keeps it.
            pub fn code(self) -> u16 { self as u16 }
            /// Its name in files and reports.
            pub fn name(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
            /// The one with this number.
            pub fn from_code(code: i64) -> Option<Self> { Self::ALL.iter().copied().find(|v| i64::from(v.code()) == code) }
            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> { Self::ALL.iter().copied().find(|v| v.name() == name) }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.name()) }
        }
    };
}
pub(crate) use coded;

coded!(
    /// Why a touch, or a customer in a campaign, is in its state. Codes below 100 are dispositions (what came of an
    /// attempt that was made); 100s suppress, 200s refuse, 300s expire or cancel, 400s defer.
    Reason {
        /// Nothing to say: scheduled or started in the ordinary way.
        None = 0 "none",
        /// The call was answered by the customer, for at least the seconds of the reach rule.
        Answered = 1 "answered",
        /// Reached, and the customer wants to know more or to buy.
        Interested = 2 "interested",
        /// Reached, and the customer does not want this.
        NotInterested = 3 "not_interested",
        /// Reached, and the customer asks to be called at another time.
        CallbackRequested = 4 "callback_requested",
        /// The message arrived at the handset, inbox or device.
        Delivered = 5 "delivered",
        /// The message was opened.
        Opened = 6 "opened",
        /// A link of the message was followed.
        Clicked = 7 "clicked",
        /// The RM finished the task with the customer.
        Completed = 8 "completed",
        /// It rang and nobody answered.
        NoAnswer = 20 "no_answer",
        /// The line was busy.
        Busy = 21 "busy",
        /// An answering machine or voicemail answered.
        Voicemail = 22 "voicemail",
        /// The network had no line.
        Congestion = 23 "congestion",
        /// The callee rejected the call.
        Rejected = 24 "rejected",
        /// Answered, but for fewer seconds than the reach rule asks.
        Short = 25 "short",
        /// The number, address or token does not exist.
        InvalidAddress = 26 "invalid_address",
        /// Accepted by the provider, but not delivered.
        Undelivered = 27 "undelivered",
        /// Somebody else answered.
        WrongPerson = 28 "wrong_person",
        /// Delivered, but not opened within the time that the reach rule gives.
        NotOpened = 29 "not_opened",
        /// The RM could not reach the customer.
        NotReached = 30 "not_reached",
        /// The provider's answer does not tell whether it happened.
        TimedOut = 40 "timed_out",
        /// The process stopped between the commit of `Started` and the answer.
        Interrupted = 41 "interrupted",
        /// No receipt came before its deadline.
        NoReceipt = 42 "no_receipt",
        /// No consent on record for this channel and purpose where the law asks for one.
        NoConsent = 100 "no_consent",
        /// The customer has opted out.
        OptedOut = 101 "opted_out",
        /// On a suppression list (complaint, deceased, legal hold, do-not-contact register ...).
        OnSuppressionList = 102 "suppression_list",
        /// A contact cap leaves no room before the campaign ends.
        Cap = 103 "cap",
        /// No number, address, token or RM for the channel.
        NoAddress = 104 "no_address",
        /// No lawful hour is left before the campaign ends.
        NoWindow = 105 "no_window",
        /// The year of the contact has no holiday table, and the rule needs one.
        NoCalendar = 106 "no_calendar",
        /// The customer has complained.
        Complained = 107 "complained",
        /// The message cannot be written for this customer (a variable without a value).
        NoContent = 108 "no_content",
        /// Chosen by the salted draw to be left alone.
        HeldOut = 120 "held_out",
        /// The provider said no to this message or number; nothing was sent.
        ProviderRefused = 200 "provider_refused",
        /// The provider says that the number or sender is blocked.
        ProviderBlocked = 201 "provider_blocked",
        /// It waited past its validity.
        Validity = 300 "validity",
        /// The campaign's end came first.
        CampaignEnded = 301 "campaign_ended",
        /// An operator stopped the campaign.
        Stopped = 302 "stopped",
        /// The budget was used up.
        Budget = 303 "budget",
        /// The customer had already converted.
        Converted = 304 "converted",
        /// A later receipt showed that the customer had been reached after all.
        ReachedAfterAll = 305 "reached_after_all",
        /// Waiting for a retry.
        Retry = 400 "retry",
        /// Waiting for the next step.
        NextStep = 401 "next_step",
        /// Waiting for a lawful hour.
        OutsideWindow = 402 "outside_window",
        /// Waiting for room under a contact cap.
        CapWait = 403 "cap_wait",
        /// The provider did not take it (throttled, unavailable); nothing was sent.
        NotSent = 404 "not_sent",
        /// Put back while the campaign was paused or the process drained; nothing was sent.
        PutBack = 405 "put_back",
        /// Waiting for the end of a relationship manager's hold ("I am meeting her").
        Held = 406 "held",
    }
);

/// A disposition is a reason below 100: what came of an attempt that was made.
pub type Disposition = Reason;

impl Reason {
    /// Whether this is a disposition: the result of an attempt that was made.
    pub fn is_disposition(self) -> bool {
        (1..100).contains(&self.code())
    }
    /// Whether this disposition is one of a customer reached (subject to the step's reach rule).
    pub fn is_reached(self) -> bool {
        (1..20).contains(&self.code())
    }
    /// Whether this disposition is one of a customer missed.
    pub fn is_missed(self) -> bool {
        (20..40).contains(&self.code())
    }
}

/// What a channel says of one touch that it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which touch.
    pub touch: TouchKey,
    /// When it was so, by our clock.
    pub at: Timestamp,
    /// What happened.
    pub result: SendResult,
}

/// The four things that can have happened to a send, told apart because each has another consequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SendResult {
    /// Over and known: an attempt was made and this came of it.
    Done {
        /// A disposition (`Reason::is_disposition`).
        disposition: Disposition,
        /// Seconds of conversation; 0 where there was none.
        connected_s: u32,
        /// What the provider charges, in millionths of the campaign's currency unit; `None`: as reserved at the start.
        cost_micros: Option<i64>,
    },
    /// Taken by the provider; a receipt will tell, or the deadline makes it uncertain.
    Accepted {
        /// The provider's own name for it, by which the receipt will speak.
        provider_ref: Box<str>,
        /// When to stop waiting.
        deadline: Timestamp,
    },
    /// A definite no for this customer or message; nothing was sent. Caps and budget are given back.
    Refused {
        /// 200s.
        reason: Reason,
    },
    /// Definitely not sent, and not the customer's fault (throttled, route down, drained). It goes back to the schedule,
    /// with the same attempt number. Caps and budget are given back.
    NotSent {
        /// `NotSent` or `PutBack`.
        reason: Reason,
        /// When to try again.
        again_at: Timestamp,
    },
    /// It may or may not have happened: never repeated without a receipt, a query or a person.
    Unknown {
        /// 40s.
        reason: Reason,
    },
}
