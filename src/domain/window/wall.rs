//! The customer's own wall clock: in which state a window rule is at an instant in a zone, and until when exactly.
//! Everything walks forward in UTC over stretches in which the zone's offset is one number, so that daylight saving needs no special case: a
//! local time that is skipped never comes, one that is repeated counts both times.
use crate::domain::holiday::{Calendar, DayKind};
use crate::domain::ids::RuleNo;
use crate::domain::preset::Hours;
use crate::domain::time::{DAY, Timestamp};
use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

/// The earliest instant that is looked at (0001-01-01T00:00Z); earlier ones are taken for it.
pub(super) const FIRST: i64 = -62_135_596_800_000;

/// A window rule ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct OpenHours {
    /// The rule's number in the composed law.
    pub rule: RuleNo,
    /// Hours of working days.
    pub working: Vec<Hours>,
    /// Hours of Saturdays that are weekend days.
    pub saturday: Vec<Hours>,
    /// Hours of Sundays that are weekend days.
    pub sunday: Vec<Hours>,
    /// Hours of public holidays.
    pub holiday: Vec<Hours>,
    /// Tells the kinds of days; `None`: the weekday alone does.
    pub calendar: Option<&'static Calendar>,
}

/// What a rule says of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Inside the hours.
    Open,
    /// Outside.
    Closed,
    /// The date's year has no holiday table.
    Unknown,
}

/// A state, and the instant until which it certainly lasts (exclusive).
pub(super) struct Stretch {
    pub state: State,
    pub until: i64,
}

/// When a closed rule opens.
pub(super) enum Change {
    /// At this instant.
    At(i64),
    /// Not before the limit.
    NotBefore,
    /// It cannot be told: a year without a table comes first.
    Unknown,
}

impl OpenHours {
    /// The state at `at` by the clock of `zone`, until the next edge of hours, the next midnight, or the next change of the zone's offset.
    pub(super) fn stretch(&self, zone: Tz, at: i64) -> Stretch {
        let offset = offset_ms(zone, at);
        let (day, clock) = ((at + offset).div_euclid(DAY), (at + offset).rem_euclid(DAY));
        let (state, edge) = match self.hours(day) {
            None => (State::Unknown, DAY),
            Some(hours) => match hours.iter().find(|span| clock < span.to) {
                None => (State::Closed, DAY),
                Some(span) if clock < span.from => (State::Closed, span.from),
                Some(span) => (State::Open, span.to),
            },
        };
        Stretch { state, until: same_offset_until(zone, offset, at, at - clock + edge) }
    }

    /// The hours of a local day, counted from 1970-01-01; `None`: its kind is not known.
    fn hours(&self, day: i64) -> Option<&[Hours]> {
        // 1970-01-01 was a Thursday: Monday is 0.
        let weekday = (day + 3).rem_euclid(7);
        let kind = match self.calendar {
            Some(calendar) => calendar.kind(i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days)?)?,
            None if weekday >= 5 => DayKind::Weekend,
            None => DayKind::Working,
        };
        Some(match kind {
            DayKind::Working => &self.working,
            DayKind::Weekend if weekday == 6 => &self.sunday,
            DayKind::Weekend => &self.saturday,
            DayKind::Holiday => &self.holiday,
        })
    }

    /// The first instant from `at` on at which the rule is not open.
    pub(super) fn closes(&self, zone: Tz, mut at: i64) -> i64 {
        while at < Timestamp::FAR.0 {
            let stretch = self.stretch(zone, at);
            if stretch.state != State::Open {
                return at;
            }
            at = stretch.until;
        }
        i64::MAX
    }

    /// The first instant from `at` on, up to `limit`, at which the rule is open.
    pub(super) fn opens(&self, zone: Tz, mut at: i64, limit: i64) -> Change {
        while at <= limit {
            let stretch = self.stretch(zone, at);
            match stretch.state {
                State::Open => return Change::At(at),
                State::Closed => at = stretch.until,
                State::Unknown => return Change::Unknown,
            }
        }
        Change::NotBefore
    }
}

/// The zone's offset from UTC in milliseconds.
fn offset_ms(zone: Tz, at: i64) -> i64 {
    let utc = DateTime::from_timestamp(at.div_euclid(1_000), 0).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * 1_000
}

/// The first instant after `at`, at most `until`, at which the offset is not `offset` any more. `until` is at most a day away, and no zone
/// has changed its offset twice within six days since 1970, so that equal offsets at both ends mean one offset throughout.
fn same_offset_until(zone: Tz, offset: i64, at: i64, until: i64) -> i64 {
    if offset_ms(zone, until - 1) == offset {
        return until;
    }
    // Offsets change on whole seconds: `same` has the offset, `other` has another one.
    let (mut same, mut other) = (at.div_euclid(1_000), (until - 1).div_euclid(1_000));
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset_ms(zone, middle * 1_000) == offset { same = middle } else { other = middle }
    }
    other * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{HOUR, MINUTE};
    use chrono::{Datelike, Timelike};

    fn daily(hours: &[&str]) -> OpenHours {
        let hours: Vec<Hours> = hours.iter().map(|h| Hours::try_from((*h).to_owned()).unwrap()).collect();
        OpenHours { rule: RuleNo(1), working: hours.clone(), saturday: hours.clone(), sunday: hours.clone(), holiday: hours, calendar: None }
    }
    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }
    fn opens(hours: &OpenHours, zone: Tz, from: &str) -> String {
        match hours.opens(zone, at(from), at(from) + 60 * DAY) {
            Change::At(t) => Timestamp(t).to_string(),
            Change::NotBefore => "not before".to_owned(),
            Change::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn hours_that_the_clock_skips_or_repeats() {
        let zone = Tz::Europe__Berlin;
        // 2026-03-29: 01:59:59 is followed by 03:00:00 (01:00Z). 02:30 never comes: open from the gap's end.
        let night = daily(&["02:30-03:30"]);
        assert_eq!(opens(&night, zone, "2026-03-29T00:00:00+01:00"), "2026-03-29T01:00:00Z");
        assert_eq!(night.closes(zone, at("2026-03-29T01:00:00Z")), at("2026-03-29T01:30:00Z"));
        // Hours wholly inside the gap do not come that day.
        assert_eq!(opens(&daily(&["02:00-03:00"]), zone, "2026-03-29T00:00:00+01:00"), "2026-03-30T00:00:00Z");
        // An hour that holds the gap is an hour shorter, never longer by the clock.
        assert_eq!(daily(&["01:00-04:00"]).closes(zone, at("2026-03-29T00:00:00Z")), at("2026-03-29T02:00:00Z"));
        // 2026-10-25: 02:59:59 is followed by 02:00:00 (01:00Z). Open until the first 02:30, again from the second 02:00.
        let early = daily(&["02:00-02:30"]);
        assert_eq!(early.closes(zone, at("2026-10-25T00:00:00Z")), at("2026-10-25T00:30:00Z"));
        assert_eq!(opens(&early, zone, "2026-10-25T00:30:00Z"), "2026-10-25T01:00:00Z");
        assert_eq!(early.closes(zone, at("2026-10-25T01:00:00Z")), at("2026-10-25T01:30:00Z"));
    }

    #[test]
    fn midnights_that_are_skipped_days_that_do_not_exist_and_hours_over_midnight() {
        // Santiago skips 00:00-01:00 on 2026-09-06; the day begins at 01:00.
        assert_eq!(opens(&daily(&["00:00-06:00"]), Tz::America__Santiago, "2026-09-05T22:00:00-04:00"), "2026-09-06T04:00:00Z");
        // Samoa had no 2011-12-30.
        assert_eq!(opens(&daily(&["09:00-10:00"]), Tz::Pacific__Apia, "2011-12-29T12:00:00-10:00"), "2011-12-30T19:00:00Z");
        // Two stretches that meet at midnight are one.
        let late = daily(&["00:00-02:00", "20:00-24:00"]);
        assert_eq!(late.closes(Tz::UTC, at("2026-01-01T21:00:00Z")), at("2026-01-02T02:00:00Z"));
        assert_eq!(daily(&[]).closes(Tz::UTC, at("2026-01-01T21:00:00Z")), at("2026-01-01T21:00:00Z"));
        assert_eq!(opens(&daily(&[]), Tz::UTC, "2026-01-01T21:00:00Z"), "not before");
        assert_eq!(daily(&["00:00-24:00"]).closes(Tz::UTC, at("2026-01-01T21:00:00Z")), i64::MAX);
    }

    /// In every zone, over a leap year's both switches: what the walk says of each quarter of an hour and of each edge that it names is what
    /// the wall clock says. The hours have their edges where clocks are changed.
    #[test]
    fn every_zone_around_its_switches_with_edges_inside_them() {
        let hours = OpenHours { saturday: daily(&["00:15-01:45"]).working, sunday: vec![], ..daily(&["00:00-00:30", "01:30-02:30", "02:45-23:59"]) };
        let reading = |zone: Tz, t: i64| {
            let local = Timestamp(t).utc().with_timezone(&zone);
            let minute = local.hour() * 60 + local.minute();
            match local.weekday().num_days_from_monday() {
                6 => false,
                5 => (15..105).contains(&minute),
                _ => (0..30).contains(&minute) || (90..150).contains(&minute) || (165..1_439).contains(&minute),
            }
        };
        let mut switches = 0;
        for zone in chrono_tz::TZ_VARIANTS {
            let mut day = at("2024-01-01T00:00:00Z");
            while day < at("2025-01-01T00:00:00Z") {
                let next = day + DAY;
                if offset_ms(zone, day) != offset_ms(zone, next) {
                    switches += 1;
                    let mut t = day - 6 * HOUR;
                    while t < next + 6 * HOUR {
                        let stretch = hours.stretch(zone, t);
                        assert_eq!(stretch.state == State::Open, reading(zone, t), "{zone} {}", Timestamp(t));
                        assert!(stretch.until > t && stretch.until - t <= DAY, "{zone} {}", Timestamp(t));
                        assert_eq!(
                            reading(zone, stretch.until - 1),
                            reading(zone, t),
                            "{zone}: {} overruns to {}",
                            Timestamp(t),
                            Timestamp(stretch.until)
                        );
                        let (closes, limit) = (hours.closes(zone, t), t + 10 * DAY);
                        assert!(
                            !reading(zone, closes) && (closes == t || reading(zone, closes - 1)),
                            "{zone} {} closes {}",
                            Timestamp(t),
                            Timestamp(closes)
                        );
                        let Change::At(opens) = hours.opens(zone, t, limit) else { panic!("{zone} {}: never opens", Timestamp(t)) };
                        assert!(
                            reading(zone, opens) && (opens == t || !reading(zone, opens - 1)),
                            "{zone} {} opens {}",
                            Timestamp(t),
                            Timestamp(opens)
                        );
                        t += 15 * MINUTE;
                    }
                }
                day = next;
            }
        }
        assert!(switches > 200, "only {switches} switches in a year of all zones");
    }
}
