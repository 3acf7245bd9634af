//! When the waves of a campaign start.
use super::campaign::{Schedule, instant};
use super::time::Timestamp;
use chrono::{TimeZone, Utc};
use std::str::FromStr;

/// The first start of a wave after `after` (exclusive), within the campaign's span; `None`: no more.
///
/// Cron runs over local wall-clock time, each local time once: a time that daylight saving skips fires at the first instant
/// after the gap, one that it repeats fires the first time. (The `cron` crate over a zone skips the one and doubles the other.)
pub fn next_wave(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let (start, end) = (schedule.starts_at(), schedule.ends_at());
    let Some(cron) = &schedule.cron else {
        return (after < start).then_some(start);
    };
    let cron = cron::Schedule::from_str(cron).ok()?;
    // Wall-clock times are passed through the crate as if they were UTC, which has no gaps.
    let from = after.max(start.plus(-1)).utc().with_timezone(&schedule.timezone).naive_local();
    // An hour back: in an overlap the wall clock has already shown later times.
    let from = Utc.from_utc_datetime(&(from - chrono::Duration::hours(2)));
    cron.after(&from).map(|local| instant(schedule.timezone, local.naive_utc())).find(|at| *at > after && *at >= start).filter(|at| *at < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn schedule(cron: Option<&str>, zone: chrono_tz::Tz, from: (i32, u32, u32), to: (i32, u32, u32)) -> Schedule {
        let day = |(y, m, d): (i32, u32, u32)| NaiveDate::from_ymd_opt(y, m, d).unwrap().and_hms_opt(0, 0, 0).unwrap();
        Schedule { start: day(from), end: day(to), timezone: zone, cron: cron.map(str::to_owned), wave: None, lateness_ms: 0 }
    }
    fn all(s: &Schedule) -> Vec<String> {
        std::iter::successors(next_wave(s, Timestamp(0)), |at| next_wave(s, *at)).map(|at| at.to_string()).collect()
    }

    #[test]
    fn without_cron_there_is_one_wave_at_the_start() {
        assert_eq!(all(&schedule(None, chrono_tz::UTC, (2026, 11, 24), (2026, 11, 30))), ["2026-11-24T00:00:00Z"]);
    }
    #[test]
    fn a_skipped_local_time_fires_after_the_gap_and_a_doubled_one_once() {
        let spring = schedule(Some("0 30 1 * * *"), chrono_tz::Europe::Lisbon, (2026, 3, 28), (2026, 3, 31));
        assert_eq!(all(&spring), ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        let autumn = schedule(Some("0 30 1 * * *"), chrono_tz::Europe::Lisbon, (2026, 10, 24), (2026, 10, 27));
        assert_eq!(all(&autumn), ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }
    #[test]
    fn weekdays_only() {
        let s = schedule(Some("0 0 9 * * Mon-Fri"), chrono_tz::Asia::Shanghai, (2026, 11, 27), (2026, 12, 1));
        assert_eq!(all(&s), ["2026-11-27T01:00:00Z", "2026-11-30T01:00:00Z"]);
    }
}
