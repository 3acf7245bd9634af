//! The rules of a preset file, as they stand there: hours, caps, consent, and the duties that a report prints.
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::time::{DAY, HOUR, MINUTE};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Whether the author of the file read the rule in the source named beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Read in a public source.
    Seen,
    /// From memory or practice: to be verified before anybody relies on it.
    Verify,
}

/// Where a preset holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdiction {
    /// The country (`cn`), `eu`, or `any`; names the holiday table.
    pub country: String,
    /// The zones in which its people live.
    #[serde(with = "zone_names")]
    pub zones: Vec<Tz>,
}

/// When a preset's numbers hold, both ends included.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effective {
    /// First day.
    pub from: NaiveDate,
    /// Last day; absent: no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    /// Whether the date was read in a source.
    pub mark: Mark,
}

/// Hours of the customer's own clock in which contacts are lawful.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowRule {
    /// Its name (`window.call`).
    pub name: String,
    /// For contacts of these purposes.
    pub purposes: Vec<Purpose>,
    /// On these channels.
    pub channels: Vec<Channel>,
    /// Hours of working days.
    pub working: Vec<Hours>,
    /// Hours of weekend days.
    pub weekend: Vec<Hours>,
    /// Hours of Sundays that are weekend days; absent: as `weekend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunday: Option<Vec<Hours>>,
    /// Hours of public holidays; there if and only if the preset needs a calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holiday: Option<Vec<Hours>>,
    /// Where the numbers come from.
    pub source: String,
    /// Whether they were read there.
    pub mark: Mark,
}

/// A stretch of a day by the wall clock, in milliseconds after midnight; `to` is the first instant outside. Written `09:00-12:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// First millisecond inside.
    pub from: i64,
    /// First millisecond outside, at most 24 hours.
    pub to: i64,
}

impl TryFrom<String> for Hours {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let clock = |part: &str| {
            let (hours, minutes) = part.split_once(':')?;
            let two_digits = |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<i64>().ok()).flatten();
            let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
            let ms = hours * HOUR + minutes * MINUTE;
            (minutes < 60 && ms <= DAY).then_some(ms)
        };
        text.split_once('-')
            .and_then(|(from, to)| Some(Self { from: clock(from)?, to: clock(to)? }))
            .filter(|hours| hours.from < hours.to)
            .ok_or_else(|| format!("expected hours of one day as \"09:00-12:00\" (24:00 is midnight at its end), found {text:?}"))
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clock = |ms: i64| (ms / HOUR, ms % HOUR / MINUTE);
        let ((h1, m1), (h2, m2)) = (clock(self.from), clock(self.to));
        write!(f, "{h1:02}:{m1:02}-{h2:02}:{m2:02}")
    }
}

/// A contact cap of a preset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapRule {
    /// Its name (`cap.call_daily`).
    pub name: String,
    /// Counting contacts of this purpose; absent: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Counting contacts on this channel; absent: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// How many at most.
    pub count: u32,
    /// In any window of this length.
    pub per: Span,
    /// Where the number comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// A length of time in milliseconds, written `24h`, `30d`, `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub i64);

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let span = humantime::parse_duration(&text).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).filter(|ms| *ms > 0);
        span.map(Self).ok_or_else(|| format!("expected a length of time such as 24h or 30d, found {text:?}"))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not humantime's own form: it writes 30 days as days, but 31 as a month and some hours.
        for (unit, name) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1_000, "s")] {
            if self.0 % unit == 0 && (unit != DAY || self.0 > DAY) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

/// On what a contact must rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing is asked.
    None,
    /// Allowed until the customer refuses.
    UnlessWithdrawn,
    /// Allowed only with consent on record.
    Required,
}

/// A consent rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRule {
    /// Its name (`consent.sms`).
    pub name: String,
    /// For contacts of these purposes.
    pub purposes: Vec<Purpose>,
    /// On these channels.
    pub channels: Vec<Channel>,
    /// What is asked.
    pub basis: Basis,
    /// Where it comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// How a customer opts out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptOutRule {
    /// How soon it must be honoured at the latest (`10 business days`); the engine honours it at once.
    pub honour_within: String,
    /// By what means.
    pub means: Vec<String>,
    /// Where it comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// What the customer must be told or shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duty {
    /// The duty.
    pub duty: String,
    /// Where it comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// Limits on calls that no person takes in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbandonRule {
    /// At most this many of a hundred.
    pub max_percent: u8,
    /// Of which calls.
    pub scope: String,
    /// Measured over this time.
    pub per: Span,
    /// A person must be there within this time after the greeting.
    pub connect_within: Span,
    /// Ring at least so long before giving up.
    pub ring_at_least: Span,
    /// Or so many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rings_at_least: Option<u8>,
    /// After an abandoned call, further calls only with a person guaranteed for this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_guaranteed_for: Option<Span>,
    /// Where it comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// A register against which numbers are screened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screening {
    /// Which register.
    pub list: String,
    /// How old the copy may be.
    pub no_older_than: Span,
    /// Where it comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// What must be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// What.
    pub what: String,
    /// For how long (`5 years`).
    pub at_least: String,
    /// Where it comes from.
    pub source: String,
    /// Whether it was read there.
    pub mark: Mark,
}

/// A source of a preset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Whether it was read.
    pub mark: Mark,
}

impl WindowRule {
    /// Whether it forbids nothing at any hour of any day.
    pub fn is_always(&self) -> bool {
        let whole = [Hours { from: 0, to: DAY }];
        [Some(&self.working), Some(&self.weekend), self.sunday.as_ref(), self.holiday.as_ref()].into_iter().flatten().all(|hours| **hours == whole)
    }
    /// Whether holidays are lawful at the same hours as every other day, so that no table is needed to tell.
    pub fn is_same_every_day(&self) -> bool {
        [Some(&self.weekend), self.sunday.as_ref(), self.holiday.as_ref()].into_iter().flatten().all(|hours| *hours == self.working)
    }
}

/// Zones as their IANA names.
mod zone_names {
    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(zones: &[Tz], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(zones.iter().map(|zone| zone.name()))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Tz>, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        names.iter().map(|name| name.parse().map_err(|_| D::Error::custom(format!("{name:?} is no zone of the IANA database")))).collect()
    }
}
