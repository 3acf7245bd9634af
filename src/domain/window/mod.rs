//! The composed law of a campaign and its answers: lawful hours, consent, caps. The strictest rule wins at every question.
mod compose;
mod wall;

use super::caps::Cap;
use super::channel::Channel;
use super::consent::{ConsentState, Purpose};
use super::ids::RuleNo;
use super::law::{ConsentVerdict, LawBook, Rule, Whereabouts, WindowVerdict};
use super::time::{DAY, Timestamp};
use super::zones;
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use wall::{Change, OpenHours, State};

/// A closed window looks for its next opening up to the end of this many UTC days after the day that is asked about.
pub const SEARCH_DAYS: i64 = 60;

/// The composed law of one campaign.
#[derive(Clone, Debug)]
pub struct Law {
    rules: Vec<Rule>,
    caps: Vec<Cap>,
    purpose: Purpose,
    /// Per channel: the windows that restrict it, in the order of their rules, and the rule that leaves it open when none does.
    windows: [Windows; Channel::ALL.len()],
    /// Per channel: the verdict for each state on record.
    consents: [[ConsentVerdict; 3]; Channel::ALL.len()],
    /// Candidates of a customer of whom nothing is known.
    zones: Vec<Tz>,
    /// The dates between which every preset is in force, for [`Law::not_in_force`].
    in_force: Vec<compose::InForce>,
    /// Verdicts by what was asked, each with the stretch of time for which it holds. Shared by clones: the law never changes.
    verdicts: Arc<RwLock<HashMap<(Channel, Whereabouts), Held>>>,
}

/// The windows of one channel.
#[derive(Clone, Debug)]
struct Windows {
    /// Those that restrict.
    restricting: Vec<OpenHours>,
    /// The rule that says "always" (`RuleNo(0)`: no rule applies).
    always: RuleNo,
}

/// A verdict, and from when (inclusive) until when (exclusive) it is the answer.
#[derive(Clone, Copy, Debug)]
struct Held {
    from: i64,
    until: i64,
    verdict: WindowVerdict,
}

impl Law {
    /// Composes the named presets and the campaign's own caps. Every fault at once: unknown preset (with the nearest name), none named, none
    /// that covers a channel in use for the purpose, a cap without a length. Whether the presets are in force depends on when the campaign
    /// runs: [`Law::not_in_force`].
    pub fn compose(presets: &[String], purpose: Purpose, channels: &[Channel], own_caps: &[Cap]) -> Result<Self, Vec<String>> {
        compose::compose(presets, purpose, channels, own_caps, &[])
    }

    /// The same, numbered on from rules that a run's touches already name: a rule that is among `earlier` keeps its number, one that is not
    /// comes after them. So a law may change while a run goes on, and every touch still names the rule by which it was decided.
    pub fn compose_onto(earlier: &[Rule], presets: &[String], purpose: Purpose, channels: &[Channel], own_caps: &[Cap]) -> Result<Self, Vec<String>> {
        compose::compose(presets, purpose, channels, own_caps, earlier)
    }

    /// A sentence for every preset that is not in force throughout `from..=until`. The engine applies a preset whatever the date, since a rule
    /// too many is only stricter; a campaign that relies on one before its time, or on one that has lapsed, must be told.
    pub fn not_in_force(&self, from: Timestamp, until: Timestamp) -> Vec<String> {
        self.in_force.iter().filter_map(|preset| preset.fault(from, until)).collect()
    }

    /// What [`LawBook::window`] says, computed anew. The cache holds nothing else; a property test compares the two.
    pub fn window_anew(&self, at: Timestamp, channel: Channel, whereabouts: Whereabouts) -> WindowVerdict {
        self.held(at, channel, whereabouts).verdict
    }

    fn windows_of(&self, channel: Channel) -> Option<&Windows> {
        // Codes run from 1 to 5.
        self.windows.get(usize::from(channel.code()).wrapping_sub(1))
    }

    fn held(&self, at: Timestamp, channel: Channel, whereabouts: Whereabouts) -> Held {
        let Some(windows) = self.windows_of(channel).filter(|w| !w.restricting.is_empty()) else {
            let rule = self.windows_of(channel).map_or(RuleNo(0), |w| w.always);
            return Held { from: i64::MIN, until: i64::MAX, verdict: WindowVerdict::Open { until: Timestamp::FAR, rule } };
        };
        match whereabouts {
            Whereabouts::Zone(zone) => decide(&windows.restricting, &[zone], at),
            Whereabouts::CallingCode(code) => decide(&windows.restricting, zones::of_calling_code(code).unwrap_or(&self.zones), at),
            Whereabouts::Unknown => decide(&windows.restricting, &self.zones, at),
        }
    }
}

/// The verdict of all windows in all candidate zones together.
fn decide(windows: &[OpenHours], zones: &[Tz], at: Timestamp) -> Held {
    let at = at.0.clamp(wall::FIRST, Timestamp::FAR.0);
    let pairs = || windows.iter().flat_map(|hours| zones.iter().map(move |zone| (hours, *zone)));
    // The state of every pair at `at`, and how long it lasts without a change in any of them.
    let mut steady = i64::MAX;
    let (mut closed_by, mut unknown_by) = (None, None);
    for (hours, zone) in pairs() {
        let stretch = hours.stretch(zone, at);
        steady = steady.min(stretch.until);
        match stretch.state {
            State::Open => {}
            State::Closed => closed_by = closed_by.or(Some(hours.rule)),
            State::Unknown => unknown_by = unknown_by.or(Some(hours.rule)),
        }
    }
    let held = |until: i64, verdict: WindowVerdict| Held { from: at, until, verdict };
    if zones.is_empty() {
        // Presets with hours name their zones, which is checked when they are read; were it not so, nobody's clock would say no.
        unknown_by = windows.first().map(|hours| hours.rule);
    }
    if let Some(rule) = unknown_by {
        return held(steady, WindowVerdict::Refused { rule });
    }
    let Some(rule) = closed_by else {
        // Windows stand in the order of their rules, so that the first of equals is the one with the lowest number.
        let mut first = (i64::MAX, RuleNo(0));
        for (hours, zone) in pairs() {
            let until = hours.closes(zone, at);
            if until < first.0 {
                first = (until, hours.rule);
            }
        }
        let until = Timestamp(first.0.min(Timestamp::FAR.0));
        return held(first.0, WindowVerdict::Open { until, rule: first.1 });
    };
    // The limit is the same for every instant of a UTC day, so that a verdict holds as long as nothing changes within the day.
    let day_ends = at - at.rem_euclid(DAY) + DAY;
    let limit = day_ends + SEARCH_DAYS * DAY;
    let mut candidate = at;
    loop {
        let mut next = candidate;
        for (hours, zone) in pairs() {
            match hours.opens(zone, candidate, limit) {
                Change::At(opens) => next = next.max(opens),
                Change::Unknown => return held(steady, WindowVerdict::Refused { rule: hours.rule }),
                Change::NotBefore => return held(steady.min(day_ends), WindowVerdict::Refused { rule }),
            }
        }
        if next == candidate {
            return held(steady, WindowVerdict::Closed { opens: Timestamp(candidate), rule });
        }
        candidate = next;
    }
}

impl LawBook for Law {
    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn window(&self, at: Timestamp, channel: Channel, whereabouts: Whereabouts) -> WindowVerdict {
        if self.windows_of(channel).is_none_or(|w| w.restricting.is_empty()) {
            return self.window_anew(at, channel, whereabouts);
        }
        // Codes that the table does not know share one answer; this bounds the map by zones and countries.
        let whereabouts = match whereabouts {
            Whereabouts::CallingCode(code) if zones::of_calling_code(code).is_none() => Whereabouts::Unknown,
            known => known,
        };
        let key = (channel, whereabouts);
        let found = self.verdicts.read().ok().and_then(|verdicts| verdicts.get(&key).copied());
        if let Some(held) = found.filter(|held| held.from <= at.0 && at.0 < held.until) {
            return held.verdict;
        }
        let held = self.held(at, channel, whereabouts);
        // A poisoned lock costs time, not correctness: every verdict is then computed anew.
        if let Ok(mut verdicts) = self.verdicts.write() {
            verdicts.insert(key, held);
        }
        held.verdict
    }

    fn consent(&self, channel: Channel, state: ConsentState) -> ConsentVerdict {
        // Both indices are codes of closed enums; the last arm is never taken and would be the strict answer.
        self.consents
            .get(usize::from(channel.code()).wrapping_sub(1))
            .and_then(|by_state| by_state.get(usize::from(state.code())))
            .copied()
            .unwrap_or(ConsentVerdict::Forbidden(RuleNo(0), super::outcome::Reason::NoConsent))
    }

    fn caps(&self) -> &[Cap] {
        &self.caps
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }
}
