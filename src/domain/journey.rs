//! The walk of one customer through a campaign: from an outcome to the touch's new state and to the next row.
use super::campaign::{Campaign, ReachRule, Step};
use super::channel::Channel;
use super::expression::Value;
use super::ids::{RuleNo, StepNo, TouchKey};
use super::outcome::{Disposition, Outcome, Reason, SendResult};
use super::time::Timestamp;
use super::touch::{EVER_REACHED, State, Touch, WAS_PUT_BACK};
use serde::{Deserialize, Serialize};

/// What came of a touch, as rows.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The touch as it shall be.
    pub touch: Touch,
    /// Its state and cost before, for the tallies: as it stood when it was started or last recorded.
    pub before: Before,
    /// The next row of this customer, committed with it.
    pub next: Option<Touch>,
    /// A receipt is awaited until then.
    pub receipt_by: Option<Timestamp>,
}

/// What the tallies need to know of a touch before its settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// State.
    pub state: State,
    /// Flags.
    pub flags: u32,
    /// Cost.
    pub cost_micros: i64,
    /// Parts.
    pub parts: u16,
    /// Seconds.
    pub connected_s: u32,
    /// Reason.
    pub reason: Reason,
}

impl Before {
    /// Of a touch as it stands.
    pub fn of(touch: &Touch) -> Self {
        Self {
            state: touch.state,
            flags: touch.flags,
            cost_micros: touch.cost_micros,
            parts: touch.parts,
            connected_s: touch.connected_s,
            reason: touch.reason,
        }
    }
    /// As a weight for the tallies, with channel and route of the settled touch (which a settlement never changes).
    pub fn weight(&self, touch: &Touch) -> super::tally::Weight {
        super::tally::Weight {
            state: self.state,
            reason: self.reason,
            flags: self.flags,
            channel: touch.channel,
            route: touch.route,
            cost_micros: self.cost_micros,
            parts: self.parts,
            connected_s: self.connected_s,
        }
    }
}

/// A later step that waits its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Which step.
    pub step: StepNo,
    /// When.
    pub due: Timestamp,
}

fn read_agenda(text: Option<&str>) -> Vec<Planned> {
    text.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default()
}

fn write_agenda(planned: &[Planned]) -> Option<Box<str>> {
    if planned.is_empty() { None } else { serde_json::to_string(planned).ok().map(Into::into) }
}

/// The steps that start the journey: the first, and the rest as an agenda. A customer has one touch at a time in a campaign.
pub fn opening(campaign: &Campaign, at: Timestamp) -> Option<(StepNo, Timestamp, Option<Box<str>>)> {
    let mut planned: Vec<Planned> = campaign.followers(None).map(|(step, s)| Planned { step, due: at.plus(s.wait_ms) }).collect();
    take_next(&mut planned).map(|next| (next.step, next.due, write_agenda(&planned)))
}

/// A step that was closed before it started does not swallow the steps that stand beside it: the next of the agenda, in the same
/// row; `None` when none waits.
pub fn pass_over(campaign: &Campaign, touch: &Touch, at: Timestamp) -> Option<Touch> {
    let mut planned = read_agenda(touch.agenda.as_deref());
    let next = take_next(&mut planned)?;
    let channel = campaign.step(next.step)?.channel;
    Some(Touch {
        key: touch.key,
        rule: touch.rule,
        flags: touch.flags,
        ..successor(touch, next.step, channel, next.due.max(at), Reason::NextStep, write_agenda(&planned))
    })
}

fn take_next(planned: &mut Vec<Planned>) -> Option<Planned> {
    let soonest = planned.iter().enumerate().min_by_key(|(i, p)| (p.due, *i)).map(|(i, _)| i)?;
    Some(planned.remove(soonest))
}

/// Whether a disposition with these seconds is effective reach under the rule; the disposition may be told apart further.
fn judge(rule: ReachRule, disposition: Disposition, connected_s: u32) -> (State, Disposition) {
    if !disposition.is_reached() {
        return (State::Missed, disposition);
    }
    match rule {
        ReachRule::ConnectedSeconds(least) if connected_s < least => (State::Missed, Reason::Short),
        ReachRule::Opened if disposition == Reason::Delivered => (State::Missed, Reason::NotOpened),
        ReachRule::ConnectedSeconds(_) | ReachRule::Opened | ReachRule::Delivered | ReachRule::Completed => (State::Reached, disposition),
    }
}

/// What an outcome makes of a touch, and what comes next for the customer: a retry of the step, the next step, or nothing.
///
/// `ends_at` is the campaign's end: what would be due at or after it is not planned, the journey closes as it stands.
/// `attributes` is the customer's JSON object, needed only when a condition of the journey reads attributes.
/// Faults are conditions that could not be evaluated (they count as not true), for the log.
pub fn settle(
    campaign: &Campaign,
    ends_at: Timestamp,
    touch: &Touch,
    outcome: &Outcome,
    attributes: Option<&str>,
    faults: &mut Vec<String>,
) -> Settled {
    if let Some(open) = settle_open(touch, outcome) {
        return open;
    }
    let before = Before::of(touch);
    let mut after = touch.clone();
    after.ended_at = Some(outcome.at);
    match &outcome.result {
        SendResult::Accepted { .. } | SendResult::Unknown { .. } | SendResult::NotSent { .. } => {}
        SendResult::Refused { reason } => {
            after.state = State::Refused;
            after.reason = *reason;
            give_back(&mut after);
        }
        SendResult::Done { disposition, connected_s, cost_micros } => {
            let rule = campaign.step(touch.step).map_or(ReachRule::Delivered, |s| s.reached);
            (after.state, after.reason) = judge(rule, *disposition, *connected_s);
            after.connected_s = *connected_s;
            if let Some(cost) = cost_micros {
                after.cost_micros = *cost;
            }
        }
    }
    if after.state == State::Reached {
        after.flags |= EVER_REACHED;
    }
    // A missed touch that was reached after all goes on as a reached one; the store takes that row only in place of the one that
    // the miss had led to. Any other correction changes the touch alone: its journey went on already.
    let corrects = before.state == State::Missed && after.state == State::Reached;
    let goes_on = corrects || !before.state.is_closed();
    let next = if goes_on { next_row(campaign, ends_at, &after, outcome.at, attributes, faults) } else { None };
    Settled { touch: after, before, next, receipt_by: None }
}

/// The outcomes that leave a touch open (accepted, unknown, not sent) need nothing of the campaign; `None` for the others.
pub fn settle_open(touch: &Touch, outcome: &Outcome) -> Option<Settled> {
    let before = Before::of(touch);
    let mut after = touch.clone();
    let mut receipt_by = None;
    match &outcome.result {
        SendResult::Accepted { provider_ref, deadline } => {
            after.provider_ref = Some(provider_ref.clone());
            receipt_by = Some(*deadline);
        }
        SendResult::Unknown { reason } => {
            after.state = State::Uncertain;
            after.reason = *reason;
            after.ended_at = Some(outcome.at);
        }
        SendResult::NotSent { reason, again_at } => {
            after.state = State::Scheduled;
            after.reason = *reason;
            after.due_at = Some(*again_at);
            give_back(&mut after);
            after.flags |= WAS_PUT_BACK;
        }
        SendResult::Done { .. } | SendResult::Refused { .. } => return None,
    }
    Some(Settled { touch: after, before, next: None, receipt_by })
}

/// Nothing was sent: what was reserved for the touch is given back.
fn give_back(touch: &mut Touch) {
    touch.cost_micros = 0;
    touch.parts = 0;
    touch.started_at = None;
}

fn next_row(
    campaign: &Campaign,
    ends_at: Timestamp,
    touch: &Touch,
    at: Timestamp,
    attributes: Option<&str>,
    faults: &mut Vec<String>,
) -> Option<Touch> {
    let step = campaign.step(touch.step)?;
    if touch.state == State::Missed
        && touch.attempt < step.attempts
        && let Some(delay) = step.retry.get(&touch.reason)
        && at.plus(*delay) < ends_at
    {
        return Some(Touch {
            attempt: touch.attempt + 1,
            ..successor(touch, touch.step, step.channel, at.plus(*delay), Reason::Retry, touch.agenda.clone())
        });
    }
    let mut planned = read_agenda(touch.agenda.as_deref());
    for (no, follower) in campaign.followers(Some(touch.step)) {
        let due = at.plus(follower.wait_ms);
        if due < ends_at && holds(follower, touch, attributes, faults) {
            planned.push(Planned { step: no, due });
        }
    }
    let next = take_next(&mut planned)?;
    let channel = campaign.step(next.step)?.channel;
    Some(successor(touch, next.step, channel, next.due.max(at), Reason::NextStep, write_agenda(&planned)))
}

fn successor(touch: &Touch, step: StepNo, channel: Channel, due: Timestamp, reason: Reason, agenda: Option<Box<str>>) -> Touch {
    Touch {
        key: TouchKey { seq: touch.key.seq + 1, ..touch.key },
        step,
        attempt: 1,
        channel: Some(channel),
        route: None,
        variant: 0,
        state: State::Scheduled,
        reason,
        rule: RuleNo(0),
        due_at: Some(due),
        started_at: None,
        ended_at: None,
        connected_s: 0,
        cost_micros: 0,
        parts: 0,
        flags: touch.flags & EVER_REACHED,
        agenda,
        provider_ref: None,
    }
}

fn holds(step: &Step, touch: &Touch, attributes: Option<&str>, faults: &mut Vec<String>) -> bool {
    let Some(condition) = &step.when else { return true };
    let own = [
        ("outcome", Value::Text(touch.reason.name().to_owned())),
        ("disposition", Value::Text(touch.reason.name().to_owned())),
        ("state", Value::Text(touch.state.name().to_owned())),
        ("attempt", Value::Int(i64::from(touch.attempt))),
        ("connected_seconds", Value::Int(i64::from(touch.connected_s))),
    ];
    let customer = attributes.map(super::expression::attributes).unwrap_or_default();
    let values = customer.iter().map(|(n, v)| (n.as_str(), v.clone())).filter(|(n, _)| !own.iter().any(|(o, _)| o == n));
    match condition.holds(values.chain(own.iter().map(|(n, v)| (*n, v.clone())))) {
        Ok(answer) => answer,
        Err(fault) => {
            faults.push(format!("step {}, customer number {}: {fault}", step.name, touch.key.customer));
            false
        }
    }
}

/// Whether a condition of the journey reads more than the outcome: then attributes must be at hand when a touch is settled.
pub fn needs_attributes(campaign: &Campaign) -> bool {
    const OWN: [&str; 5] = ["outcome", "disposition", "state", "attempt", "connected_seconds"];
    campaign.steps.iter().filter_map(|s| s.when.as_ref()).any(|w| w.variables().iter().any(|v| !OWN.contains(&v.as_str())))
}
