//! What goes wrong at a simulated carrier: each fault a share of the touches or a schedule; none unless asked for.
use super::latency::Latency;
use crate::channels::text::{Share, Span};
use crate::domain::campaign::Rate;
use crate::domain::time::Timestamp;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The faults of a carrier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Refused since the number or sender is blocked (`provider_blocked`); nothing is sent.
    pub blocked: Share,
    /// Refused for another reason (`provider_refused`); nothing is sent.
    pub refused: Share,
    /// The answer never comes (`Unknown`), and yet the touch was carried out.
    pub timeout_after_acceptance: Option<TimeOut>,
    /// Receipts that come later than they should, also past their deadline.
    pub late_receipts: Option<Late>,
    /// Receipts that come more than once.
    pub repeated_receipts: Option<Repeated>,
    /// Receipts that never come.
    pub lost_receipts: Share,
    /// Receipts that overtake the acceptance they belong to.
    pub receipt_before_acceptance: Share,
    /// After `delivered` a contradicting `undelivered` follows.
    pub undelivered_after_delivered: Option<Contradicted>,
    /// Above this rate the provider takes nothing.
    pub throttle: Option<Throttle>,
    /// When the provider takes nothing at all.
    pub outages: Vec<Outage>,
}

/// See [`Faults::timeout_after_acceptance`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeOut {
    /// Of how many touches.
    pub share: Share,
    /// How long our side waits before it gives up.
    pub wait: Latency,
    /// For how many of them a receipt tells what came of them after all.
    #[serde(default)]
    pub receipt: Share,
}

/// See [`Faults::late_receipts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// Of how many receipts.
    pub share: Share,
    /// By how much.
    pub by: Latency,
}

/// See [`Faults::repeated_receipts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// Of how many receipts.
    pub share: Share,
    /// How many copies follow the first, 1 to 10.
    pub times: u8,
    /// Between one and the next.
    pub apart: Latency,
}

/// See [`Faults::undelivered_after_delivered`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contradicted {
    /// Of how many deliveries.
    pub share: Share,
    /// How long after.
    pub after: Latency,
}

/// See [`Faults::throttle`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Taken at most, in any sliding window.
    #[serde(with = "crate::channels::text::rate")]
    #[schemars(with = "String")]
    pub rate: Rate,
    /// The least that the provider asks us to wait.
    #[serde(default)]
    pub again_after: Span,
}

/// A time in which the provider takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it begins (RFC 3339).
    #[schemars(with = "String")]
    pub start: DateTime<Utc>,
    /// How long it lasts.
    pub lasts: Span,
    /// After how long it comes again; left out: once only.
    #[serde(default)]
    pub every: Option<Span>,
}

impl Outage {
    /// The end of the outage that covers `at`, if one does.
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let since = at.since(self.start.into());
        let into = match self.every {
            _ if since < 0 => return None,
            Some(every) if every.0 > 0 => since % every.0,
            _ => since,
        };
        (into < self.lasts.0).then(|| at.plus(self.lasts.0 - into))
    }
}

impl Faults {
    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), String> {
        if self.blocked.0 + self.refused.0 > Share::ALL.0 {
            return Err(format!("blocked and refused make up more than 100%, found {} and {}", self.blocked, self.refused));
        }
        if let Some(repeated) = &self.repeated_receipts
            && !(1..=10).contains(&repeated.times)
        {
            return Err(format!("repeated_receipts.times must be from 1 to 10, found {}", repeated.times));
        }
        if let Some(outage) = self.outages.iter().find(|o| o.lasts.0 <= 0 || o.every.is_some_and(|every| every <= o.lasts)) {
            return Err(format!("an outage must last more than 0 and less than the time after which it comes again, found lasts {}", outage.lasts));
        }
        let latencies = [
            self.timeout_after_acceptance.as_ref().map(|f| &f.wait),
            self.late_receipts.as_ref().map(|f| &f.by),
            self.repeated_receipts.as_ref().map(|f| &f.apart),
            self.undelivered_after_delivered.as_ref().map(|f| &f.after),
        ];
        latencies.into_iter().flatten().try_for_each(Latency::check)
    }
}

/// Counts what was taken in the sliding window of a throttle.
#[derive(Debug)]
pub(super) struct Gate {
    throttle: Throttle,
    /// Instants (ms) with how many were taken in each, ascending; never more entries than the rate's count.
    taken: VecDeque<(i64, u32)>,
    total: u32,
}

impl Gate {
    pub fn new(throttle: Throttle) -> Self {
        Self { throttle, taken: VecDeque::new(), total: 0 }
    }

    /// Takes one at `at`, or says when to come again.
    pub fn admit(&mut self, at: Timestamp) -> Result<(), Timestamp> {
        let Rate { count, per_ms } = self.throttle.rate;
        while let Some(&(oldest, taken)) = self.taken.front()
            && at.0 - oldest >= per_ms
        {
            self.total -= taken;
            self.taken.pop_front();
        }
        if self.total >= count {
            let opens = self.taken.front().map_or(at, |&(oldest, _)| Timestamp(oldest).plus(per_ms));
            return Err(opens.max(at.plus(self.throttle.again_after.0)));
        }
        self.total += 1;
        match self.taken.back_mut() {
            // Two threads may ask in the other order than they read the clock: the later instant counts, which is the stricter.
            Some((last, taken)) if *last >= at.0 => *taken += 1,
            _ => self.taken.push_back((at.0, 1)),
        }
        Ok(())
    }
}
