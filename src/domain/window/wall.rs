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
