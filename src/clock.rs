//! The only reader of the system's time.
use crate::domain::time::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock, made even: it goes by the monotonic clock and leans towards the wall clock by one part in a thousand, so that a
/// step of the wall clock (time service, virtual machine) moves no sliding window of a limit. Further than ten seconds apart it follows
/// the wall clock at once: then somebody has set it, or the machine slept.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Ten seconds, in microseconds.
const STEP_US: i64 = 10_000_000;

/// The last reading: of the monotonic clock, and the time given for it in microseconds since the epoch.
static LAST: Mutex<Option<(Instant, i64)>> = Mutex::new(None);

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
    fn now(&self) -> Timestamp {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let (instant, wall) = (Instant::now(), chrono::Utc::now().timestamp_micros());
        let us = last.map_or(wall, |(then, us)| even(us, i64::try_from(instant.duration_since(then).as_micros()).unwrap_or(i64::MAX), wall));
        *last = Some((instant, us));
        Timestamp(us.div_euclid(1_000))
    }
}

/// The next reading after `us`, when `elapsed` have passed and the wall clock says `wall`; all in microseconds.
fn even(us: i64, elapsed: i64, wall: i64) -> i64 {
    let next = us.saturating_add(elapsed);
    let off = wall.saturating_sub(next);
    if off.abs() >= STEP_US { wall } else { next + off.clamp(-elapsed / 1_000, elapsed / 1_000) }
}

/// Seconds on a clock that never goes back, for elapsed times that are reported, never for decisions.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
pub fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

/// Waits in real time. The one place that sleeps.
#[allow(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep_ms(ms: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_is_leaned_into_and_a_set_clock_followed() {
        // A second passes: the wall clock that jumped by a tenth moves the reading by a thousandth.
        assert_eq!(even(0, 1_000_000, 1_100_000), 1_001_000);
        assert_eq!(even(0, 1_000_000, 900_000), 999_000);
        assert_eq!(even(0, 1_000_000, 1_000_300), 1_000_300);
        assert_eq!(even(0, 1_000_000, 3_600_000_000), 3_600_000_000);
    }

    #[test]
    fn it_does_not_go_back() {
        let first = SystemClock.now();
        assert!((0..1_000).all(|_| SystemClock.now() >= first));
    }
}
