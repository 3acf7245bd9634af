//! Events that we send to the bank's other systems, and when a delivery is tried again. Delays as Standard Webhooks recommends them.
use super::outcome::coded;
use super::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

coded!(
    /// What an event tells. The number is what the store keeps.
    EventKind {
        /// A touch that was made came to its end: reached, missed or refused; once more when a late receipt corrects it.
        TouchSettled = 0 "touchline.touch.settled",
        /// A campaign changed its status.
        CampaignStatus = 1 "touchline.campaign.status",
        /// A fact (or a share of one) was credited to a touch, or a credit was taken back.
        ConversionCredited = 2 "touchline.conversion.credited",
        /// A customer took back a consent.
        OptedOut = 3 "touchline.customer.opted_out",
        /// Something happened to a task of a relationship manager.
        Task = 4 "touchline.task",
    }
);

impl EventKind {
    /// Its bit in a subscription.
    pub fn bit(self) -> i64 {
        1 << self.code()
    }
    /// The bits of all that a pattern names: a type, `touchline.task.*`, or `*`.
    pub fn bits(pattern: &str) -> Option<i64> {
        match pattern {
            "*" => Some(Self::ALL.iter().map(|k| k.bit()).sum()),
            "touchline.task.*" => Some(Self::Task.bit()),
            name => Self::from_name(name).filter(|k| *k != Self::Task).map(Self::bit),
        }
    }
    /// The patterns of a subscription's bits.
    pub fn patterns(bits: i64) -> Vec<String> {
        let of = |k: &Self| if *k == Self::Task { "touchline.task.*".to_owned() } else { k.name().to_owned() };
        Self::ALL.iter().filter(|k| bits & k.bit() != 0).map(of).collect()
    }
}

/// Milliseconds before the second, third ... try; the last is repeated. (Standard Webhooks 1.0.0, "Deliverability and reliability".)
pub const DELAYS: [i64; 9] = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, DAY];

/// How long to wait after the `tries`-th failure (from 1): the delay and up to a fifth more, drawn from the seed, so that receivers that
/// were down together are not all called at one instant.
pub fn delay(tries: u32, seed: u64) -> i64 {
    let place = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS.len() - 1);
    let base = DELAYS.get(place).copied().unwrap_or(DAY);
    let draw = xxh3_64_with_seed(&tries.to_le_bytes(), seed) >> 32;
    base + i64::try_from(draw).unwrap_or(0) * (base / 5) / (1 << 32)
}

/// Where the deliveries of one subscription stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Failures in a row.
    pub tries: u32,
    /// Since the first of them.
    pub failing_since: Option<Timestamp>,
    /// Not before.
    pub next_at: Timestamp,
    /// Given up then; nothing is sent until somebody enables it.
    pub disabled_at: Option<Timestamp>,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Taken (2xx).
    Taken,
    /// Not taken; `after`: seconds that the receiver asked to wait.
    Failed {
        /// `Retry-After`, in seconds.
        after: Option<u32>,
    },
    /// The receiver says that it is there no more (410).
    Gone,
}

impl Standing {
    /// After a try. `give_up`: milliseconds of failures in a row after which it is disabled.
    #[must_use]
    pub fn after(self, tried: Tried, at: Timestamp, give_up: i64, seed: u64) -> Self {
        match tried {
            Tried::Taken => Self { next_at: at, ..Self::default() },
            Tried::Gone => Self { disabled_at: Some(at), failing_since: self.failing_since.or(Some(at)), ..self },
            Tried::Failed { after } => {
                let tries = self.tries.saturating_add(1);
                let since = self.failing_since.unwrap_or(at);
                let disabled_at = (at.since(since) >= give_up).then_some(at);
                let wait = delay(tries, seed).max(after.map_or(0, |s| i64::from(s) * SECOND).min(DAY));
                Self { tries, failing_since: Some(since), next_at: at.plus(wait), disabled_at }
            }
        }
    }
    /// Whether it may be tried.
    pub fn is_due(self, at: Timestamp) -> bool {
        self.disabled_at.is_none() && self.next_at <= at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Tried = Tried::Failed { after: None };

    #[test]
    fn delays_grow_and_are_spread_by_a_fifth() {
        for (tries, base) in DELAYS.iter().enumerate() {
            let all: Vec<i64> = (0..200).map(|seed| delay(u32::try_from(tries).unwrap() + 1, seed)).collect();
            assert!(all.iter().all(|d| (*base..=base + base / 5).contains(d)), "try {tries}");
            assert!(all.iter().max().unwrap() - all.iter().min().unwrap() > base / 10, "they are spread");
        }
        assert_eq!(delay(3, 7), delay(3, 7));
        assert!(delay(50, 7) >= DAY);
    }

    #[test]
    fn five_days_of_failure_disable() {
        let (mut at, mut standing, mut tries) = (Timestamp(0), Standing::default(), 0);
        while standing.disabled_at.is_none() {
            assert!(standing.is_due(at));
            standing = standing.after(FAILED, at, 5 * DAY, 1);
            tries += 1;
            at = standing.next_at;
        }
        let since = standing.disabled_at.unwrap().0;
        assert!((5 * DAY..=6 * DAY + 5 * HOUR).contains(&since), "{since}");
        assert!((10..=14).contains(&tries), "{tries}");
        assert!(!standing.is_due(Timestamp::FAR));
        assert_eq!(standing.after(Tried::Taken, at, 5 * DAY, 1), Standing { next_at: at, ..Standing::default() });
    }

    #[test]
    fn what_is_gone_is_not_asked_again_and_a_wish_to_wait_is_kept() {
        assert!(Standing::default().after(Tried::Gone, Timestamp(9), DAY, 1).disabled_at.is_some());
        let waits = Standing::default().after(Tried::Failed { after: Some(120) }, Timestamp(0), DAY, 1);
        assert_eq!(waits.next_at, Timestamp(120 * SECOND));
    }

    #[test]
    fn patterns_and_bits() {
        assert_eq!(EventKind::bits("touchline.task.*"), Some(16));
        assert_eq!(EventKind::bits("touchline.touch.settled"), Some(1));
        assert_eq!(EventKind::bits("*"), Some(31));
        assert_eq!(EventKind::bits("touchline.nothing"), None);
        assert_eq!(EventKind::patterns(17), ["touchline.touch.settled", "touchline.task.*"]);
    }
}
