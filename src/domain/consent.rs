//! Consent and suppression: what a customer allows, per channel and purpose, and how it is packed beside the customer.
use super::channel::Channel;
use super::outcome::coded;
use super::time::{MINUTE, Timestamp};
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

/// Consent for all channels and purposes, suppression and hold, packed into one integer that is stored beside the customer:
/// two bits per (channel, purpose), then one suppression bit per channel, one for "has complained", and the end of the hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contactability(pub i64);

const SUPPRESSED: u32 = 32;
const COMPLAINED: u32 = 40;
/// Bits 42 to 62: the end of a hold in quarter-hours since [`HOLDS_FROM`]; 0: none.
const HELD: u32 = 42;
const HELD_MOST: i64 = (1 << 21) - 1;
/// 2020-01-01T00:00Z.
const HOLDS_FROM: Timestamp = Timestamp(1_577_836_800_000);
const QUARTER: i64 = 15 * MINUTE;
/// The latest end that a hold can have (in October 2079).
pub const LATEST_HOLD: Timestamp = Timestamp(HOLDS_FROM.0 + HELD_MOST * QUARTER);

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
    /// Until when (exclusive) a relationship manager holds the customer's touches of other channels; it may have passed. `None`: no hold.
    pub fn held_until(self) -> Option<Timestamp> {
        let quarters = self.0 >> HELD & HELD_MOST;
        (quarters > 0).then(|| Timestamp(HOLDS_FROM.0 + quarters * QUARTER))
    }
    /// With a hold until an instant, rounded up to the next quarter of an hour, or without one. Before 2020 is none; after
    /// [`LATEST_HOLD`] is that.
    #[must_use]
    pub fn with_hold(self, until: Option<Timestamp>) -> Self {
        let quarters = until.map_or(0, |until| {
            let whole = until.since(HOLDS_FROM).clamp(0, HELD_MOST * QUARTER);
            whole / QUARTER + i64::from(whole % QUARTER > 0)
        });
        Self(self.0 & !(HELD_MOST << HELD) | quarters << HELD)
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

/// "I am meeting her": an entry of the log of holds. Of a customer's entries the one of the latest `at` rules, and of two at the same
/// instant the longer hold, in whatever order they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRecord {
    /// Until when; `None`: lifted.
    #[serde(with = "crate::domain::time::iso_option")]
    pub until: Option<Timestamp>,
    /// Who (an actor's name).
    pub by: String,
    /// Why, in a few words without personal data.
    pub why: String,
    /// When it was said.
    #[serde(with = "crate::domain::time::iso")]
    pub at: Timestamp,
}

/// The end of the hold that rules among a customer's entries.
pub fn ruling_hold<'a>(entries: impl IntoIterator<Item = &'a HoldRecord>) -> Option<Timestamp> {
    entries.into_iter().max_by_key(|entry| (entry.at, entry.until)).and_then(|entry| entry.until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_hold_shares_the_word_with_everything_else(at in HOLDS_FROM.0 + 1..LATEST_HOLD.0, bits in 0_i64..1 << 41) {
            let without = Contactability(bits);
            let held = without.with_hold(Some(Timestamp(at)));
            let until = held.held_until().unwrap_or_default();
            prop_assert!(until.0 >= at && until.0 - at < QUARTER && until.0 % QUARTER == 0, "rounded up: {at} became {until}");
            prop_assert_eq!(held.0 & ((1 << 41) - 1), bits);
            prop_assert!(held.0 > 0);
            prop_assert_eq!(held.with_hold(None), without);
            for channel in Channel::ALL {
                prop_assert_eq!(held.is_suppressed(channel), without.is_suppressed(channel));
                for purpose in Purpose::ALL {
                    prop_assert_eq!(held.consent(channel, *purpose), without.consent(channel, *purpose));
                    let state = ConsentState::Withdrawn;
                    prop_assert_eq!(held.with_consent(channel, *purpose, state).held_until(), Some(until));
                }
                prop_assert_eq!(held.with_suppressed(channel, true).with_complaint().held_until(), Some(until));
            }
        }
    }

    #[test]
    fn the_ends_of_a_hold() {
        let none = Contactability::default();
        assert_eq!(none.held_until(), None);
        assert_eq!(none.with_hold(Some(Timestamp(0))).held_until(), None, "before 2020");
        assert_eq!(none.with_hold(Some(HOLDS_FROM)).held_until(), None);
        assert_eq!(none.with_hold(Some(Timestamp::FAR)).held_until(), Some(LATEST_HOLD));
        assert_eq!(LATEST_HOLD.to_string(), "2079-10-23T07:45:00Z");
        assert!(none.with_hold(Some(Timestamp::FAR)).0 > 0, "the sign stays free");
    }

    #[test]
    fn the_latest_word_on_a_hold_rules() {
        let entry = |at, until: Option<i64>| HoldRecord { until: until.map(Timestamp), by: "rm-1".into(), why: "meeting".into(), at: Timestamp(at) };
        let rules = |entries: &[HoldRecord]| ruling_hold(entries).map(|t| t.0);
        assert_eq!(rules(&[]), None);
        assert_eq!(rules(&[entry(2, Some(50)), entry(1, Some(90))]), Some(50));
        assert_eq!(rules(&[entry(3, None), entry(2, Some(50))]), None, "lifted");
        assert_eq!(rules(&[entry(3, Some(60)), entry(3, None)]), Some(60), "of two at once the hold");
    }
}
