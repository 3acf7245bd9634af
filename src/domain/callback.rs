//! Callbacks that customers wish for: when they may be, by the customer's own clock and the law, and what a later word changes.
use super::channel::Channel;
use super::ids::CustomerId;
use super::law::{LawBook, Rule, Whereabouts, WindowVerdict};
use super::time::{DAY, MINUTE, Timestamp};
use super::worklist::assign::TRY_AGAIN_MS;
use super::worklist::{Task, TaskKind};
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
pub fn instants(zone: Tz, local: NaiveDateTime) -> Vec<Timestamp> {
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

/// What the time made of a callback's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// Its RM was reminded.
    Reminded,
    /// It was missed: the branch's lead sees it before everything else.
    Escalated,
}

/// The priority of a callback: before the ordinary work of a list.
pub const CALLBACK_PRIORITY: u8 = 7;
/// The priority of one that was missed: before everything else.
pub const MISSED_PRIORITY: u8 = 9;

/// Looks at a callback's or a referral's task: what the time has made of it, and the task as it shall be, with its next alarm set. `None`:
/// nothing changes. (Leases, expiry and assignment are the worklist's: `worklist::lease`, `worklist::assign`.)
pub fn attend(task: &Task, times: &CallbackTimes, now: Timestamp) -> Option<(Task, Vec<Nudge>)> {
    if task.state.is_closed() {
        return None;
    }
    let (mut after, mut nudges) = (task.clone(), Vec::new());
    let is_callback = task.made.kind == TaskKind::Callback;
    let at_work = task.running_lease(now);
    let mut alarm = None;
    if is_callback && task.escalated_at.is_none() {
        // Whoever is at work on it is left in peace until their lease ends.
        let missed = task.made.due_at.plus(times.escalate_after_ms).max(at_work.unwrap_or(Timestamp(0)));
        if missed <= now {
            (after.escalated_at, after.made.priority) = (Some(now), MISSED_PRIORITY);
            nudges.push(Nudge::Escalated);
        } else {
            alarm = Some(missed);
        }
    }
    if is_callback && after.escalated_at.is_none() && task.reminded_at.is_none() && at_work.is_none() {
        let remind = task.made.due_at.plus(-times.remind_before_ms);
        // There must be somebody to remind; being put onto a list wakes the task.
        if remind <= now && task.rm.is_some() {
            after.reminded_at = Some(now);
            nudges.push(Nudge::Reminded);
        } else if remind > now {
            alarm = alarm.into_iter().chain([remind]).min();
        }
    }
    if task.rm.is_none() {
        alarm = alarm.into_iter().chain([now.plus(TRY_AGAIN_MS)]).min();
    }
    after.wakes_at = None;
    after.sleep_until(alarm);
    // A lease that is over, or the end, is the worklist's to see to, at once.
    (after != *task).then_some((after, nudges))
}

/// A task of which an earlier time was agreed, with the new one: whoever has it keeps it, and is reminded anew.
pub fn moved(task: &Task, due_at: Timestamp, times: &CallbackTimes, now: Timestamp) -> Task {
    let mut after = task.clone();
    (after.made.due_at, after.made.expires_at) = (due_at, Some(due_at.plus(times.expire_after_ms)));
    (after.reminded_at, after.escalated_at, after.made.priority) = (None, None, CALLBACK_PRIORITY);
    after.wakes_at = Some(now);
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::TaskId;
    use crate::domain::worklist::lease::{LEASE_MS, claim, lapse};
    use crate::domain::worklist::{NewTask, TaskState};
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp(1_795_478_400_000);

    fn task(kind: TaskKind, due_at: Timestamp) -> Task {
        let expires_at = Some(due_at.plus(DAY));
        let made = NewTask {
            key: "k".into(),
            kind,
            customer: CustomerId(1),
            touch: None,
            title: "t".into(),
            script: None,
            language: None,
            skill: None,
            priority: CALLBACK_PRIORITY,
            wanted_rm: None,
            branch: None,
            due_at,
            expires_at,
            at: T0,
        };
        made.row(TaskId(1))
    }

    proptest! {
        /// Looked at each minute, whatever is done in between: reminded once and before the escalation, escalated once, never while somebody
        /// is at work, and asleep afterwards unless the worklist has something to do at once.
        #[test]
        fn a_callback_is_reminded_and_escalated_once(due in 0..300_i64, assigned in 0..400_i64, claims in prop::collection::vec(0..600_i64, 0..3), referral in any::<bool>()) {
            let kind = if referral { TaskKind::Referral } else { TaskKind::Callback };
            let times = CallbackTimes::default();
            let mut task = task(kind, T0.plus(due * MINUTE));
            let mut seen = Vec::new();
            for minute in 0..600 {
                let now = T0.plus(minute * MINUTE);
                if minute == assigned {
                    task.rm = Some("rm-1".into());
                    task.sleep_until(None);
                }
                if claims.contains(&minute) {
                    task = claim(&task, "rm-1", now, LEASE_MS).unwrap_or(task);
                }
                if task.wakes_at.is_none_or(|wakes| wakes > now) {
                    continue;
                }
                task = lapse(&task, now).map_or(task, |(after, _)| after);
                let at_work = task.running_lease(now).is_some();
                if let Some((after, nudges)) = attend(&task, &times, now) {
                    prop_assert!(nudges.is_empty() || !at_work);
                    seen.extend(nudges);
                    task = after;
                }
                prop_assert!(task.wakes_at.is_none_or(|wakes| wakes > now), "still awake at minute {minute}");
            }
            prop_assert!(seen.len() <= 2 && (!referral || seen.is_empty()));
            prop_assert!(seen != [Nudge::Escalated, Nudge::Reminded] && (seen.len() < 2 || seen[0] != seen[1]));
            prop_assert!(referral || task.state != TaskState::Open || seen.contains(&Nudge::Escalated) || due > 560);
        }
    }
}
