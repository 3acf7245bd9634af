//! The composed law of a campaign: presets and own limits, the strictest rule winning at every question.
use super::caps::Cap;
use super::channel::Channel;
use super::consent::{ConsentState, Purpose};
use super::ids::RuleNo;
use super::time::Timestamp;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// One rule as evidence: stored with the campaign, named by its number in every touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rule {
    /// The preset it comes from, with its version (`cn-bank@2026.1`), or `campaign`.
    pub preset: String,
    /// Its name in the preset (`window.call`, `cap.daily`, `consent.sms`).
    pub name: String,
    /// In words, with its numbers.
    pub text: String,
    /// Where it comes from, as the preset says it.
    pub source: String,
}

/// Where a customer may be, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whereabouts {
    /// The customer's own zone is known.
    Zone(Tz),
    /// Only the country calling code of the telephone number is known: every zone of that country is a candidate.
    CallingCode(u16),
    /// Nothing is known: every zone of the presets' jurisdictions is a candidate.
    Unknown,
}

/// What the window rules say of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowVerdict {
    /// Lawful now, and until `until` (exclusive).
    Open {
        /// The first instant that is not lawful any more.
        until: Timestamp,
        /// The rule that closes first.
        rule: RuleNo,
    },
    /// Not lawful now; the next lawful instant is `opens`.
    Closed {
        /// First lawful instant.
        opens: Timestamp,
        /// The rule that forbids now.
        rule: RuleNo,
    },
    /// Cannot be told (a year without a holiday table, within the next 60 days too): refused, not guessed.
    Refused {
        /// The rule that needs what is missing.
        rule: RuleNo,
    },
}

/// What the consent rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentVerdict {
    /// Allowed by this rule.
    Allowed(RuleNo),
    /// Forbidden: `NoConsent` when nothing is on record and the rule asks for consent; `OptedOut` when it was withdrawn.
    Forbidden(RuleNo, super::outcome::Reason),
}

pub use super::window::Law;

/// The questions that the engine asks of the law; [`Law`] answers them.
pub trait LawBook: Send + Sync {
    /// Every rule, `RuleNo` being its place. Place 0 is "no rule applied".
    fn rules(&self) -> &[Rule];
    /// May the customer be contacted on the channel at `at`?
    fn window(&self, at: Timestamp, channel: Channel, whereabouts: Whereabouts) -> WindowVerdict;
    /// Does consent as on record allow it?
    fn consent(&self, channel: Channel, state: ConsentState) -> ConsentVerdict;
    /// All contact caps, of presets and of the campaign.
    fn caps(&self) -> &[Cap];
    /// The purpose that the campaign was composed for.
    fn purpose(&self) -> Purpose;
}
