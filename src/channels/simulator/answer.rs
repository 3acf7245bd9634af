//! The answers of a simulated carrier: pure, but for the counter of a throttle.
use super::Simulator;
use super::draws::{Draws, Question};
use super::latency::Sampler;
use super::plan::{Chance, Plan};
use super::profile::Told;
use crate::channels::{CarrierEvent, Dispatch, Receipt};
use crate::domain::outcome::{Disposition, Outcome, Reason, SendResult};
use crate::domain::time::{SECOND, Timestamp};
use std::sync::PoisonError;

/// What an attempt comes to, whoever learns of it and when.
struct Fate {
    disposition: Disposition,
    connected_s: u32,
    /// Milliseconds from the sending, or from the acceptance.
    after: i64,
    told: Told,
}

impl Simulator {
    /// What the carrier says to a dispatch, and when: exactly one `Outcome` and any number of receipts, in the order of their
    /// instants, none before `at`. The same for the same seed, touch, attempt and instant, whatever was asked before; only a
    /// throttle counts what it has taken.
    pub fn answer(&self, dispatch: &Dispatch, at: Timestamp) -> Vec<(Timestamp, CarrierEvent)> {
        let mut events = Vec::with_capacity(2);
        self.answer_into(dispatch, at, &mut events);
        events
    }

    /// As [`Self::answer`], appended to `out`.
    pub fn answer_into(&self, dispatch: &Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>) {
        let first = out.len();
        self.decide(dispatch, at, out);
        if let Some(own) = out.get_mut(first..)
            && own.len() > 1
        {
            own.sort_by_key(|(due, _)| *due);
        }
    }

    fn decide(&self, dispatch: &Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>) {
        let plan = &self.plan;
        if let Some(again_at) = self.closed_until(at) {
            return out.push(said(dispatch, at, SendResult::NotSent { reason: Reason::NotSent, again_at }));
        }
        let draws = Draws::new(self.seed, dispatch.touch, dispatch.attempt);
        let accepted = at.plus(self.paced(plan.accept.draw(draws.ask(Question::Accept))));
        let Some(fate) = plan.refusal(draws).map_or_else(|| self.fate(dispatch, draws), Err).map_or_else(
            |reason| {
                out.push(said(dispatch, accepted, SendResult::Refused { reason }));
                None
            },
            Some,
        ) else {
            return;
        };
        let done = at.plus(self.paced(fate.after));
        if let Some(fault) = &plan.timeout
            && fault.share.takes(draws.ask(Question::TimeOut))
        {
            let gave_up = at.plus(self.paced(fault.wait.draw(draws.ask(Question::TimeOutWait))));
            out.push(said(dispatch, gave_up, SendResult::Unknown { reason: Reason::TimedOut }));
            if fault.receipt.takes(draws.ask(Question::TimeOutReceipt)) {
                let so = if fate.told == Told::Receipt { accepted.plus(self.paced(fate.after)) } else { done };
                self.receipts(dispatch, draws, &fate, so, None, out);
            }
            return;
        }
        match fate.told {
            Told::Answer => {
                let cost = if fate.disposition == Reason::InvalidAddress { 0 } else { self.price_micros(dispatch.parts, fate.connected_s) };
                let result = SendResult::Done { disposition: fate.disposition, connected_s: fate.connected_s, cost_micros: Some(cost) };
                out.push(said(dispatch, done, result));
            }
            Told::Receipt => {
                let deadline = at.plus(self.receipt_deadline_ms());
                let so = accepted.plus(self.paced(fate.after));
                // What overtakes the acceptance is put first, so that it stays first in the same instant.
                let early = plan.early.takes(draws.ask(Question::Early)).then(|| at.plus(accepted.since(at) / 2));
                if let Some(early) = early {
                    self.receipts(dispatch, draws, &fate, early, Some(early), out);
                }
                let result = SendResult::Accepted { provider_ref: self.provider_ref(dispatch), deadline };
                out.push(said(dispatch, accepted, result));
                if early.is_none() {
                    self.receipts(dispatch, draws, &fate, so, None, out);
                }
            }
        }
    }

    /// The end of the outage or the throttled time at `at`, if the carrier takes nothing.
    fn closed_until(&self, at: Timestamp) -> Option<Timestamp> {
        let outage = self.plan.outages.iter().filter_map(|o| o.until(at)).max();
        outage.or_else(|| {
            let mut gate = self.gate.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
            gate.admit(at).err()
        })
    }

    fn fate(&self, dispatch: &Dispatch, draws: Draws) -> Result<Fate, Reason> {
        if let Some((replay, ring)) = &self.replay {
            let Some(script) = replay.read(dispatch.attributes.as_deref()) else {
                // Refused, counted and said so: a guess would look like a result.
                if !self.warned.swap(true, std::sync::atomic::Ordering::Relaxed) {
                    tracing::warn!(
                        route = %dispatch.route, touch = %dispatch.touch,
                        attempts = replay.attempts.name(), connected_seconds = replay.connected_seconds.name(),
                        "replay: the customer lacks one of these attributes as a whole number, so the touch is refused; map both columns in the import"
                    );
                }
                return Err(Reason::ProviderRefused);
            };
            let ring = ring.draw(draws.ask(Question::After));
            let reached = u32::from(dispatch.attempt) >= script.reached_on;
            let connected_s = if reached { script.connected_s.min(self.longest_call_s) } else { 0 };
            let disposition = if reached { Reason::Answered } else { Reason::NoAnswer };
            return Ok(Fate { disposition, connected_s, after: ring + i64::from(connected_s) * SECOND, told: Told::Answer });
        }
        let chance = self.plan.chance(draws.ask(Question::Outcome)).ok_or(Reason::ProviderRefused)?;
        let (disposition, talk) = end_of(chance, draws);
        let talk_ms = talk.map_or(0, |t| t.draw(draws.ask(Question::Talk)));
        let connected_s = u32::try_from(talk_ms.div_euclid(SECOND)).unwrap_or(u32::MAX).min(self.longest_call_s);
        let after = chance.after.draw(draws.ask(Question::After)) + i64::from(connected_s) * SECOND;
        Ok(Fate { disposition, connected_s, after, told: chance.told })
    }

    /// The receipts of a fate that came to be at `so`; `shown`: the instant at which the first one is handed over instead.
    fn receipts(
        &self,
        dispatch: &Dispatch,
        draws: Draws,
        fate: &Fate,
        so: Timestamp,
        shown: Option<Timestamp>,
        out: &mut Vec<(Timestamp, CarrierEvent)>,
    ) {
        let plan = &self.plan;
        let mut place = 0;
        let mut put = |disposition, connected_s, so: Timestamp, shown: Option<Timestamp>, out: &mut Vec<_>| {
            let receipt = Receipt {
                route: dispatch.route,
                provider_ref: self.provider_ref(dispatch),
                touch: plan.receipts_name_touch.then_some(dispatch.touch),
                at: so,
                disposition,
                connected_s,
                cost_micros: None,
            };
            self.hand_over(draws, place, receipt, shown.unwrap_or(so), out);
            place += 1;
        };
        put(fate.disposition, fate.connected_s, so, shown, out);
        if let Some(fault) = &plan.contradicted
            && fate.disposition == Reason::Delivered
            && fault.0.takes(draws.ask(Question::Contradicted))
        {
            put(Reason::Undelivered, 0, so.plus(self.paced(fault.1.draw(draws.ask(Question::ContradictedAfter)))), None, out);
        }
        // The instants of what has come to be, by the place in `later` (0: the first receipt). Few, so a scan is the quickest.
        let mut been = [(fate.disposition, Some(so)); 1 + Plan::MOST_LATER];
        for (i, later) in plan.later.iter().enumerate().take(Plan::MOST_LATER) {
            let of = been.iter().take(i + 1).find(|(d, when)| *d == later.of && when.is_some()).and_then(|(_, when)| *when);
            let n = i as u64;
            let when = of
                .filter(|_| later.share.takes(draws.nth(Question::Later, n)))
                .map(|of| of.plus(self.paced(later.after.draw(draws.nth(Question::LaterAfter, n)))));
            if let Some(when) = when {
                put(later.disposition, 0, when, None, out);
            }
            if let Some(entry) = been.get_mut(i + 1) {
                *entry = (later.disposition, when);
            }
        }
    }

    /// One receipt through the faults of receipts: lost, late, repeated.
    fn hand_over(&self, draws: Draws, place: u64, receipt: Receipt, mut due: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>) {
        let plan = &self.plan;
        if plan.lost.takes(draws.nth(Question::Lost, place)) {
            return;
        }
        if let Some((share, by)) = &plan.late
            && share.takes(draws.nth(Question::Late, place))
        {
            due = due.plus(self.paced(by.draw(draws.nth(Question::LateBy, place))));
        }
        if let Some((share, times, apart)) = &plan.repeated
            && share.takes(draws.nth(Question::Repeated, place))
        {
            let mut again = due;
            for copy in 0..u64::from(*times) {
                again = again.plus(self.paced(apart.draw(draws.nth(Question::RepeatedApart, place * 16 + copy))));
                out.push((again, CarrierEvent::Receipt(receipt.clone())));
            }
        }
        out.push((due, CarrierEvent::Receipt(receipt)));
    }

    /// The provider's name for an attempt: the same whenever it is asked, so that a repeated dispatch is recognised.
    fn provider_ref(&self, dispatch: &Dispatch) -> Box<str> {
        format!("S{}-{}-{}", self.route, dispatch.touch, dispatch.attempt).into()
    }

    /// A span of the simulated world as it passes here.
    fn paced(&self, ms: i64) -> i64 {
        if self.plan.at_once { 0 } else { ms / self.speed }
    }
}

fn end_of(chance: &Chance, draws: Draws) -> (Disposition, Option<&Sampler>) {
    let whole = (chance.disposition, chance.talk.as_ref());
    if chance.split.is_empty() {
        return whole;
    }
    let place = crate::channels::text::scale_ppm(draws.ask(Question::Split));
    let part = chance.split.iter().find(|part| place < part.below);
    part.map_or(whole, |part| (part.disposition, part.talk.as_ref().or(chance.talk.as_ref())))
}

fn said(dispatch: &Dispatch, at: Timestamp, result: SendResult) -> (Timestamp, CarrierEvent) {
    (at, CarrierEvent::Outcome(Outcome { touch: dispatch.touch, at, result }))
}
