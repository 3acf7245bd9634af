//! Pacing: never more than a rate in any sliding window, spread evenly by governor's GCRA within it.
use super::campaign::Rate;
use super::time::{MINUTE, Timestamp};
use governor::clock::{Clock, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

/// Added to every window, in milliseconds: our clock counts whole milliseconds, and a send reaches the carrier up to some
/// milliseconds after its stamp; so the limit holds at the carrier too. Costs 0.4 % of a limit per second.
pub const GUARD_MS: i64 = 4;

/// When to look again for room that only a hand-over can make, in milliseconds.
const LOOK_AGAIN_MS: i64 = 2;

/// The exact law: a log of what was handed over in the current window. Half open: hand-overs at `t` and `t + window` share none.
/// What was taken and is not yet handed over counts until it is: a machine under load may come to it late.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    limit: u64,
    window_ms: i64,
    log: VecDeque<(Timestamp, u64)>,
    /// Those of the log, and those on their way.
    taken: u64,
    under_way: u64,
}

impl SlidingWindow {
    /// For a rate; the window is the rate's span plus `GUARD_MS`.
    pub fn new(rate: Rate) -> Self {
        Self { limit: u64::from(rate.count), window_ms: rate.per_ms + GUARD_MS, log: VecDeque::new(), taken: 0, under_way: 0 }
    }
    fn forget(&mut self, at: Timestamp) {
        while let Some((then, n)) = self.log.front().copied() {
            if at.since(then) < self.window_ms {
                break;
            }
            self.taken -= n;
            self.log.pop_front();
        }
    }
    /// Units that may be taken at `at`. Time must not go back between calls; where it does, the later time holds.
    pub fn available(&mut self, at: Timestamp) -> u64 {
        self.forget(at);
        self.limit.saturating_sub(self.taken)
    }
    /// Takes units; the caller has asked `available`, and says when they are handed over.
    pub fn take(&mut self, units: u64) {
        self.taken += units;
        self.under_way += units;
    }
    /// Units taken before were handed over, at `at` at the latest.
    pub fn handed_over(&mut self, at: Timestamp, units: u64) {
        let units = units.min(self.under_way);
        self.under_way -= units;
        let at = self.log.back().map_or(at, |(last, _)| at.max(*last));
        match self.log.back_mut() {
            Some((last, n)) if *last == at => *n += units,
            _ => self.log.push_back((at, units)),
        }
    }
    /// Takes units at an instant that may lie before others.
    fn remember(&mut self, at: Timestamp, units: u64) {
        let place = self.log.partition_point(|(then, _)| *then <= at);
        self.log.insert(place, (at, units));
        self.taken += units;
    }
    /// When the next unit may have room, if none has at `at`.
    pub fn next_room(&self, at: Timestamp) -> Timestamp {
        self.log.front().map_or_else(|| at.plus(LOOK_AGAIN_MS), |(then, _)| then.plus(self.window_ms))
    }
}

type Governor = RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<<FakeRelativeClock as Clock>::Instant>>;

/// A limiter: governor spreads the units over the window, the log makes the limit exact.
pub struct Pacer {
    window: SlidingWindow,
    governor: Option<Governor>,
    clock: FakeRelativeClock,
    last: Option<Timestamp>,
}

impl std::fmt::Debug for Pacer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.window.fmt(f)
    }
}

impl Pacer {
    /// For a rate. The burst is a twentieth of the rate (at least 2), so that a timer that is late by some milliseconds loses nothing.
    pub fn new(rate: Rate) -> Self {
        let clock = FakeRelativeClock::default();
        let span = Duration::from_millis(u64::try_from(rate.per_ms).unwrap_or(1_000));
        let burst = NonZeroU32::new((rate.count / 20).max(2)).unwrap_or(NonZeroU32::MIN);
        let governor =
            Quota::with_period(span / rate.count.max(1)).map(|quota| RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone()));
        Self { window: SlidingWindow::new(rate), governor, clock, last: None }
    }
    /// One that knows nothing of what was sent before it; [`Self::change`] tells it.
    pub fn unknowing(rate: Rate) -> Self {
        let mut pacer = Self::new(rate);
        pacer.window.window_ms = 0;
        pacer
    }
    /// Goes on under another rate. What was taken in the window so far counts in the new one; of `past`, oldest first, only what is
    /// older than that window is new to it. When a touch was started stands there, when it was sent does not: up to a minute later.
    pub fn change(&mut self, at: Timestamp, rate: Rate, past: impl Iterator<Item = (Timestamp, u64)>) {
        let known_ms = self.window.window_ms;
        let mut next = Self::new(rate);
        if (next.window.window_ms, next.window.limit) == (known_ms, self.window.limit) {
            return;
        }
        next.window.log = std::mem::take(&mut self.window.log);
        next.window.taken = self.window.taken;
        next.window.under_way = self.window.under_way;
        let span = next.window.window_ms;
        for (then, units) in past {
            let sent = then.plus(MINUTE).min(at.plus(-known_ms));
            if at.since(then) >= known_ms && at.since(sent) < span {
                next.window.remember(sent, units);
            }
        }
        *self = next;
    }
    /// Counts what was sent before, oldest first. With `hold` the units of the last minute are not known exactly: they count as
    /// taken at `at`, and a span of up to a minute is taken as full.
    pub fn resume(&mut self, at: Timestamp, sent: impl Iterator<Item = (Timestamp, u64)>, hold: bool) {
        let span = self.window.window_ms;
        for (then, units) in sent.filter(|(then, _)| at.since(*then) < span) {
            let moment = if hold && at.since(then) < MINUTE { at } else { then };
            self.window.remember(moment, units);
        }
        if hold && span <= MINUTE + GUARD_MS {
            self.window.remember(at, self.window.limit);
        }
    }
    /// Units taken before were handed over, at `at` at the latest.
    pub fn handed_over(&mut self, at: Timestamp, units: u64) {
        self.window.handed_over(at, units);
    }
    fn set_clock(&mut self, at: Timestamp) {
        let ms = self.last.map_or(0, |last| at.since(last));
        if ms > 0 {
            self.clock.advance(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        }
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
    /// Asks governor for one touch of `units`; on a no, when to ask again.
    fn spread(&self, at: Timestamp, units: u32) -> Result<(), Timestamp> {
        let (Some(governor), Some(units)) = (&self.governor, NonZeroU32::new(units)) else { return Ok(()) };
        match governor.check_n(units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.clock.now()).as_millis();
                Err(at.plus(i64::try_from(wait).unwrap_or(i64::MAX).max(1)))
            }
            // More parts than a burst holds: the window alone rules.
            Err(_) => Ok(()),
        }
    }
}

/// Takes touches through several limiters at once, narrow to wide; `units` are their parts in order.
/// Returns how many touches may go at `at`, and when to ask again if not all. Whoever hands them over says so to each pacer.
pub fn take(pacers: &mut [&mut Pacer], at: Timestamp, units: impl IntoIterator<Item = u16>) -> (usize, Option<Timestamp>) {
    for pacer in pacers.iter_mut() {
        pacer.set_clock(at);
    }
    let mut granted = 0;
    for unit in units {
        let unit = u64::from(unit.max(1));
        for pacer in pacers.iter_mut() {
            // A message of more parts than the whole limit goes alone in an empty window, rather than never.
            let room = pacer.window.available(at);
            if room < unit && !(room == pacer.window.limit && room > 0) {
                return (granted, Some(pacer.window.next_room(at)));
            }
        }
        for pacer in pacers.iter() {
            if let Err(again) = pacer.spread(at, u32::try_from(unit).unwrap_or(u32::MAX)) {
                return (granted, Some(again));
            }
        }
        for pacer in pacers.iter_mut() {
            pacer.window.take(unit);
        }
        granted += 1;
    }
    (granted, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes and hands over in the same instant.
    fn take(pacers: &mut [&mut Pacer], at: Timestamp, units: impl IntoIterator<Item = u16> + Clone) -> (usize, Option<Timestamp>) {
        let (n, again) = super::take(pacers, at, units.clone());
        let sum = units.into_iter().take(n).map(u64::from).sum();
        pacers.iter_mut().for_each(|p| p.handed_over(at, sum));
        (n, again)
    }

    /// Whatever the moments of asking, no half-open window of the span holds more than the limit.
    fn check(rate: Rate, moments: &[i64], want: u16) -> Vec<i64> {
        let mut pacer = Pacer::new(rate);
        let (mut at, mut sent) = (0, Vec::new());
        for step in moments {
            at += step;
            let (n, again) = take(&mut [&mut pacer], Timestamp(at), std::iter::repeat_n(1, usize::from(want)));
            assert!(n == usize::from(want) || again.is_some_and(|a| a > Timestamp(at)), "a refusal says when to come back");
            sent.extend(std::iter::repeat_n(at, n));
        }
        for (i, first) in sent.iter().enumerate() {
            let within = sent.get(i..).unwrap_or(&[]).iter().take_while(|t| **t < first + rate.per_ms).count();
            assert!(within <= rate.count as usize, "{within} in a window of {} ms from {first}", rate.per_ms);
        }
        sent
    }

    proptest! {
        #[test]
        fn never_above_the_rate_in_any_window(count in 1_u32..400, moments in proptest::collection::vec(0_i64..700, 1..200), want in 1_u16..80) {
            check(Rate { count, per_ms: 1_000 }, &moments, want);
        }
    }

    proptest! {
        /// What is handed over late, by a machine under load, stays within the rate as it is handed over.
        #[test]
        fn never_above_the_rate_however_late_the_hand_over(count in 1_u32..400, delays in proptest::collection::vec(0_i64..120, 1..300)) {
            let mut pacer = Pacer::new(Rate { count, per_ms: 1_000 });
            let (mut at, mut sent, mut under_way) = (0, Vec::new(), VecDeque::new());
            for delay in delays {
                let (n, again) = super::take(&mut [&mut pacer], Timestamp(at), std::iter::repeat_n(1, 500));
                if n > 0 {
                    let last = under_way.back().map_or(0, |(due, _)| *due);
                    under_way.push_back((last.max(at + delay), n));
                }
                at = again.map_or(at + 1, |a| a.0);
                while let Some((due, n)) = under_way.front().copied().filter(|(due, _)| *due <= at) {
                    under_way.pop_front();
                    pacer.handed_over(Timestamp(due), n as u64);
                    sent.extend(std::iter::repeat_n(due, n));
                }
            }
            for (i, first) in sent.iter().enumerate() {
                let within = sent.get(i..).unwrap_or(&[]).iter().take_while(|t| **t < first + 1_000).count();
                prop_assert!(within <= count as usize, "{} in a second from {}", within, first);
            }
        }
    }

    #[test]
    fn uses_99_percent_of_the_rate_when_asked_when_told() {
        for count in [10_u32, 200, 5_000] {
            let mut pacer = Pacer::new(Rate { count, per_ms: 1_000 });
            let (mut at, mut sent) = (Timestamp(0), 0_usize);
            while at < Timestamp(60_000) {
                let (n, again) = take(&mut [&mut pacer], at, std::iter::repeat_n(1, 5_000));
                sent += n;
                // A timer that is late by one millisecond each time.
                at = again.map_or(at.plus(1), |a| a.plus(1));
            }
            assert!(sent as f64 >= 0.99 * 60.0 * f64::from(count), "{count}/s: {sent} in a minute");
        }
    }

    #[test]
    fn parts_count_not_messages() {
        let mut pacer = Pacer::new(Rate { count: 40, per_ms: 1_000 });
        let (mut at, mut parts) = (Timestamp(0), 0_u32);
        while at < Timestamp(1_000) {
            let (n, _) = take(&mut [&mut pacer], at, std::iter::repeat_n(2, 100));
            parts += 2 * u32::try_from(n).unwrap();
            at = at.plus(10);
        }
        assert!((36..=40).contains(&parts), "{parts} parts in a second");
    }

    #[test]
    fn the_narrowest_limiter_rules_and_takes_nothing_from_others_that_it_refuses() {
        let (mut narrow, mut wide) = (Pacer::new(Rate { count: 2, per_ms: 1_000 }), Pacer::new(Rate { count: 1_000, per_ms: 1_000 }));
        let (n, _) = take(&mut [&mut narrow, &mut wide], Timestamp(0), std::iter::repeat_n(1, 50));
        assert_eq!(n, 2);
        assert_eq!(wide.window.available(Timestamp(0)), 998);
    }
}
