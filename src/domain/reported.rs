//! Contacts that happened outside every campaign's touch (an RM's own call, a visit to the branch) and are reported afterwards.
//!
//! Each becomes a touch of the house's own run for its purpose, so that caps count it, timelines show it and sums close. A report names
//! its contact by (source, reference); of several reports of one contact the outcome is the same in whatever order, and however often,
//! they come: [`Report::gives_way_to`] is a total order, and the greatest report rules.
use super::channel::Channel;
use super::consent::Purpose;
use super::ids::{CampaignId, CustomerId, RouteId, RuleNo, StepNo, TouchKey};
use super::outcome::Disposition;
use super::time::Timestamp;
use super::touch::{EVER_REACHED, State, Touch};
use serde::{Deserialize, Serialize};

/// The campaign file of the house's runs: what they are, in the form in which every report and export can read it. `NAME` and `PURPOSE`
/// stand for the run's.
pub const HOUSE_FILE: &str = include_str!("reported.yaml");

/// The route on which such touches are counted: no provider account, but whoever had the contact.
pub const HOUSE_ROUTE: &str = "rm-contacts";

/// The name of the house's run for contacts of a purpose. The names are reserved: no campaign and no list may bear them.
pub fn house_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Marketing => "rm-contacts",
        Purpose::Service => "rm-contacts-service",
        Purpose::Collection => "rm-contacts-collection",
    }
}

/// Whether a name is reserved for the house's runs.
pub fn is_house_name(name: &str) -> bool {
    Purpose::ALL.iter().any(|purpose| house_name(*purpose) == name)
}

/// The file of the house's run for a purpose.
pub fn house_file(purpose: Purpose) -> String {
    HOUSE_FILE.replace("NAME", house_name(purpose)).replace("PURPOSE", purpose.name())
}

/// A report of a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The system that reports, unique in the bank.
    pub source: String,
    /// That system's own name for the contact.
    pub reference: String,
    /// Whom it was with.
    pub customer: CustomerId,
    /// How.
    pub channel: Channel,
    /// What for: caps of a purpose count it.
    pub purpose: Purpose,
    /// When it began.
    #[serde(with = "super::time::iso")]
    pub started_at: Timestamp,
    /// What came of it: reached or missed.
    pub disposition: Disposition,
    /// Seconds of conversation.
    pub connected_s: u32,
    /// When the report was made; a later one corrects an earlier one.
    #[serde(with = "super::time::iso")]
    pub at: Timestamp,
    /// Who reports (an actor's name).
    pub by: String,
}

impl Report {
    /// The state of the touch.
    pub fn state(&self) -> State {
        if self.disposition.is_reached() { State::Reached } else { State::Missed }
    }

    /// Whether `other`, of the same contact, is to be believed rather than this one. By the lattice of outcomes first: that a customer was
    /// reached is never taken back, and shows as soon as any report says so. Of reports that agree on it the later one; of two of the
    /// same instant the one with the greater content, so that it does not matter which came first.
    pub fn gives_way_to(&self, other: &Self) -> bool {
        let weight = |r: &Self| (r.state().rank(), r.at, r.disposition.code(), r.connected_s, r.started_at, r.channel.code());
        (weight(self), &self.by) < (weight(other), &other.by)
    }

    /// The touch that keeps it, on the route [`HOUSE_ROUTE`].
    pub fn touch(&self, campaign: CampaignId, seq: u32, route: RouteId, earlier_flags: u32) -> Touch {
        let state = self.state();
        let reached = if state == State::Reached { EVER_REACHED } else { 0 };
        Touch {
            key: TouchKey { customer: self.customer, campaign, seq },
            // The file has a step a channel, in the order of their codes, which begin with 1.
            step: StepNo(u16::from(self.channel.code()) - 1),
            attempt: 1,
            channel: Some(self.channel),
            route: Some(route),
            variant: 0,
            state,
            reason: self.disposition,
            rule: RuleNo(0),
            due_at: None,
            started_at: Some(self.started_at),
            ended_at: Some(self.started_at.plus(i64::from(self.connected_s) * super::time::SECOND)),
            connected_s: self.connected_s,
            cost_micros: 0,
            parts: 1,
            flags: earlier_flags & EVER_REACHED | reached,
            agenda: None,
            provider_ref: None,
        }
    }

    /// What two reports of one contact must agree on, in words, when they do not.
    pub fn contradicts(&self, other: &Self) -> Option<&'static str> {
        if self.customer != other.customer {
            Some("another customer")
        } else if self.purpose != other.purpose {
            Some("another purpose")
        } else {
            None
        }
    }
}
