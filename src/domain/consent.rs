//! Consent and suppression: what a customer allows, per channel and purpose, and how it is packed beside the customer.
use super::channel::Channel;
use super::outcome::coded;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

coded!(
    /// What the law takes a contact for.
    Purpose {
        /// Selling: the strictest.
        Marketing = 0 "marketing",
        /// Serving a contract that exists.
        Service = 1 "service",
        /// Collecting a debt.
        Collection = 2 "collection",
    }
);

coded!(
    /// What is on record for a channel and purpose.
    ConsentState {
        /// Nothing on record.
        Unknown = 0 "unknown",
        /// Given.
        Granted = 1 "granted",
        /// Refused or taken back.
        Withdrawn = 2 "withdrawn",
    }
);

/// Consent for all channels and purposes and suppression, packed into one integer that is stored beside the customer:
/// two bits per (channel, purpose), then one suppression bit per channel, then one for "has complained".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contactability(pub i64);

const SUPPRESSED: u32 = 32;
const COMPLAINED: u32 = 40;

fn shift(channel: Channel, purpose: Purpose) -> u32 {
    // 5 channels x 3 purposes x 2 bits = 30 bits, below SUPPRESSED.
    (u32::from(channel.code()) - 1) * 6 + u32::from(purpose.code()) * 2
}

impl Contactability {
    /// What is on record.
    pub fn consent(self, channel: Channel, purpose: Purpose) -> ConsentState {
        ConsentState::from_code((self.0 >> shift(channel, purpose)) & 3).unwrap_or(ConsentState::Withdrawn)
    }
    /// With another state for one channel and purpose.
    #[must_use]
    pub fn with_consent(self, channel: Channel, purpose: Purpose, state: ConsentState) -> Self {
        let at = shift(channel, purpose);
        Self((self.0 & !(3 << at)) | (i64::from(state.code()) << at))
    }
    /// Whether the customer is on a suppression list for the channel.
    pub fn is_suppressed(self, channel: Channel) -> bool {
        self.0 >> (SUPPRESSED + u32::from(channel.code()) - 1) & 1 == 1
    }
    /// With or without suppression on a channel.
    #[must_use]
    pub fn with_suppressed(self, channel: Channel, on: bool) -> Self {
        let bit = 1_i64 << (SUPPRESSED + u32::from(channel.code()) - 1);
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
    /// Whether the customer has complained.
    pub fn has_complained(self) -> bool {
        self.0 >> COMPLAINED & 1 == 1
    }
    /// With a complaint on record.
    #[must_use]
    pub fn with_complaint(self) -> Self {
        Self(self.0 | 1 << COMPLAINED)
    }
}

/// One consent given or taken back, with its provenance. Kept for ever; the latest `at` rules, withdrawal wins a tie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConsentRecord {
    /// For which channel.
    pub channel: Channel,
    /// For which purpose.
    pub purpose: Purpose,
    /// Granted or withdrawn.
    pub state: ConsentState,
    /// When it was given.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Where it comes from (form, call recording, branch, keyword ...).
    pub source: String,
}

/// One suppression, with its provenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SuppressionRecord {
    /// On which channel; `None`: on all.
    pub channel: Option<Channel>,
    /// `complaint`, `deceased`, `legal_hold`, `do_not_contact`, ...; `complaint` also marks the customer as having complained.
    pub why: String,
    /// Since when.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Until when; `None`: for ever.
    #[serde(with = "crate::domain::time::iso_option", default)]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// Where it comes from.
    pub source: String,
}
