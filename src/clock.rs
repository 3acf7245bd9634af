//! The only reader of the system's time.
use crate::domain::time::Timestamp;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
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
