//! Requests at a fixed rate, whatever the answers take (an open loop): a slow answer does not make the next request come later, so
//! that a stall counts for every request that would have come in it.
use crate::clock::{monotonic, sleep_ms};
use serde::Serialize;
use std::time::Duration;
use tokio::task::JoinSet;

/// What the requests took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latencies {
    /// Requests made.
    pub requests: usize,
    /// Of them refused or failed.
    pub failed: usize,
    /// Requests a second that were asked for.
    pub rate_per_s: u32,
    /// Requests a second that were answered.
    pub answered_per_s: f64,
    /// Half were answered within so many milliseconds of the moment at which they were due.
    pub p50_ms: f64,
    /// 95 of 100.
    pub p95_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// All.
    pub max_ms: f64,
}

/// Makes `rate_per_s * seconds` requests; `call` is given the number of each (from 0) and says whether it was answered well.
pub async fn at_rate<F, C>(rate_per_s: u32, seconds: u32, call: F) -> Latencies
where
    F: Fn(usize) -> C,
    C: Future<Output = bool> + Send + 'static,
{
    let total = usize::try_from(u64::from(rate_per_s) * u64::from(seconds)).unwrap_or(usize::MAX);
    let between = Duration::from_secs(1) / rate_per_s.max(1);
    let begun = monotonic();
    let (mut under_way, mut made) = (JoinSet::new(), 0_usize);
    let (mut took, mut failed) = (Vec::with_capacity(total), 0);
    let mut take = |answer: Option<Result<(Duration, bool), tokio::task::JoinError>>| match answer {
        Some(Ok((latency, true))) => took.push(latency),
        // One that panicked was not answered well either.
        Some(Ok((_, false)) | Err(_)) => failed += 1,
        None => {}
    };
    while made < total {
        let due = between * u32::try_from(made).unwrap_or(u32::MAX);
        let ahead = due.saturating_sub(begun.elapsed());
        if ahead > Duration::ZERO {
            // The timer's grain is a millisecond: requests that fall due meanwhile follow at once.
            sleep_ms(u64::try_from(ahead.as_millis()).unwrap_or(0).max(1)).await;
            continue;
        }
        let (answer, due) = (call(made), begun + due);
        under_way.spawn(async move {
            let well = answer.await;
            (due.elapsed(), well)
        });
        made += 1;
        while let Some(answer) = under_way.try_join_next() {
            take(Some(answer));
        }
    }
    while let Some(answer) = under_way.join_next().await {
        take(Some(answer));
    }
    let answered_per_s = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let ms = |share: f64| percentile(&took, share).as_secs_f64() * 1000.0;
    Latencies {
        requests: made,
        failed,
        rate_per_s,
        answered_per_s,
        p50_ms: ms(0.5),
        p95_ms: ms(0.95),
        p99_ms: ms(0.99),
        p999_ms: ms(0.999),
        max_ms: ms(1.0),
    }
}

/// The smallest value that at least this share of the sorted values does not exceed (nearest rank); zero of none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is a place in it")]
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |n: u64| (1..=n).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentile(&of(100), 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&of(1000), 0.5), Duration::from_millis(500));
        assert_eq!(percentile(&of(3), 1.0), Duration::from_millis(3));
        assert_eq!(percentile(&of(1), 0.01), Duration::from_millis(1));
        assert_eq!(percentile(&[], 0.99), Duration::ZERO);
    }

    #[tokio::test]
    async fn every_request_is_made_and_told_apart() {
        let measured = at_rate(1_000, 1, |n| async move { n % 10 != 0 }).await;
        assert_eq!((measured.requests, measured.failed), (1_000, 100));
        assert!(measured.p50_ms <= measured.p99_ms && measured.p99_ms <= measured.max_ms);
    }
}
