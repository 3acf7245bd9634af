//! Callbacks that customers wish for: when they may be, by the customer's own clock and the law, and what a later word changes.
use super::channel::Channel;
use super::ids::CustomerId;
use super::law::{LawBook, Rule, Whereabouts, WindowVerdict};
use super::time::{DAY, MINUTE, Timestamp};
use chrono::{MappedLocalTime, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// A customer's wish to be called, as its source has it. Of the words of one (source, reference) the newest rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The system that has taken it down.
    pub source: String,
    /// That system's own name for it.
    pub reference: String,
    /// Whose.
    pub customer: CustomerId,
    /// When they want to be called; `None`: not any more.
    pub wanted_at: Option<Timestamp>,
    /// The zone in which they said so.
    pub zone: Tz,
    /// What about, in one line without personal data.
    pub topic: String,
    /// When it was said.
    pub at: Timestamp,
    /// Who took it down (an actor's name).
    pub by: String,
}

impl Wish {
    /// Whether `other`, of the same source and reference, is the newer word. Of two of the same instant a cancellation wins, then the later
    /// time, so that it does not matter which came first.
    pub fn gives_way_to(&self, other: &Self) -> bool {
        let weight = |w: &Self| (w.at, w.wanted_at.is_none(), w.wanted_at);
        (weight(self), self.zone.name(), &self.topic, &self.by) < (weight(other), other.zone.name(), &other.topic, &other.by)
    }
    /// The key of its task.
    pub fn task_key(&self) -> String {
        format!("callback:{}/{}", self.source, self.reference)
    }
}

/// When a callback is reminded of, escalated and given up, in milliseconds from its due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTimes {
    /// The RM is reminded so long before.
    pub remind_before_ms: i64,
    /// It counts as missed, and goes to the branch's lead, so long after.
    pub escalate_after_ms: i64,
    /// Nobody is to call any more so long after.
    pub expire_after_ms: i64,
}

impl Default for CallbackTimes {
    fn default() -> Self {
        Self { remind_before_ms: 15 * MINUTE, escalate_after_ms: 30 * MINUTE, expire_after_ms: DAY }
    }
}

/// Wishes further ahead than this are refused: a year's holidays are known two months ahead, and a slip of the year is likelier.
pub const FURTHEST_AHEAD_MS: i64 = 90 * DAY;

/// Why a wished time is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotThen {
    /// Clocks in the zone skip it: the first time after the gap.
    Skipped(Timestamp),
    /// It is over.
    Past,
    /// Beyond [`FURTHEST_AHEAD_MS`].
    TooFar,
    /// Not lawful then: the next lawful instant, and the rule that forbids.
    Unlawful(Timestamp, Box<Rule>),
    /// The law cannot be told so far ahead (no holiday table), by this rule.
    Unknown(Box<Rule>),
}

/// The instants that a wall clock shows as `local`: none in a gap, two when clocks are set back.
fn instants(zone: Tz, local: NaiveDateTime) -> Vec<Timestamp> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(one) => vec![one.to_utc().into()],
        MappedLocalTime::Ambiguous(first, second) => {
            let mut both: Vec<Timestamp> = vec![first.to_utc().into(), second.to_utc().into()];
            both.sort_unstable();
            both
        }
        MappedLocalTime::None => Vec::new(),
    }
}

/// The first instant after the gap in which `local` lies, to the minute.
fn after_the_gap(zone: Tz, local: NaiveDateTime) -> Option<Timestamp> {
    // The widest gap on record is a whole day (Samoa went without the 30th of December 2011).
    (1..=25 * 60).find_map(|minutes| instants(zone, local + chrono::Duration::minutes(minutes)).first().copied())
}

/// The instant of a wished callback. An hour that the clock shows twice is the first lawful one of the two that is still to come.
pub fn agreed(law: &dyn LawBook, zone: Tz, local: NaiveDateTime, now: Timestamp) -> Result<Timestamp, NotThen> {
    let candidates = instants(zone, local);
    let Some(last) = candidates.last() else {
        return Err(after_the_gap(zone, local).map_or(NotThen::TooFar, NotThen::Skipped));
    };
    if *last <= now {
        return Err(NotThen::Past);
    }
    if last.since(now) > FURTHEST_AHEAD_MS {
        return Err(NotThen::TooFar);
    }
    let mut fault = NotThen::Past;
    for at in candidates.into_iter().filter(|at| *at > now) {
        let rule = |no: super::ids::RuleNo| Box::new(law.rules().get(usize::from(no.0)).cloned().unwrap_or_else(no_rule));
        match law.window(at, Channel::Call, Whereabouts::Zone(zone)) {
            WindowVerdict::Open { .. } => return Ok(at),
            WindowVerdict::Closed { opens, rule: no } => fault = NotThen::Unlawful(opens, rule(no)),
            WindowVerdict::Refused { rule: no } => fault = NotThen::Unknown(rule(no)),
        }
    }
    Err(fault)
}

fn no_rule() -> Rule {
    Rule { preset: "none".to_owned(), name: "none".to_owned(), text: "no rule applied".to_owned(), source: String::new() }
}

/// What the clock of a zone shows at an instant, as people write it there (`2026-11-24T09:00:00+08:00`).
pub fn local(at: Timestamp, zone: Tz) -> String {
    at.utc().with_timezone(&zone).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)
}
