//! Presets: rules of law with their numbers, read from versioned data files. A new law is one file in `presets/` and one line in `FILES`.
use super::channel::Channel;
use super::consent::Purpose;
use super::time::{DAY, HOUR, MINUTE};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Whether the author of the file read the rule in the source named beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Read in a public source.
    Seen,
    /// From memory or practice: to be verified before anybody relies on it.
    Verify,
}

/// One preset: what a law (or a practice) asks, with its numbers and where they come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name in campaign files.
    pub preset: String,
    /// Version of the file, stored with each touch as evidence.
    pub version: String,
    /// For people.
    pub title: String,
    /// What a reader must know before relying on it.
    pub notice: String,
    /// Where it holds.
    pub jurisdiction: Jurisdiction,
    /// The laws it renders.
    pub law: Vec<String>,
    /// When these numbers hold.
    pub effective: Effective,
    /// The purposes that it speaks of.
    pub purposes: Vec<Purpose>,
    /// The channels that it speaks of.
    pub channels: Vec<Channel>,
    /// Whether working days are told from holidays by the table of `jurisdiction.country`; then a year without a table is refused.
    /// Otherwise Monday to Friday are working days.
    pub needs_calendar: bool,
    /// Lawful hours by the customer's own clock. A channel without a rule has no hours.
    pub windows: Vec<WindowRule>,
    /// Contact caps.
    pub caps: Vec<CapRule>,
    /// On what a contact must rest.
    pub consent: Vec<ConsentRule>,
    /// How a customer opts out, and how soon it must be honoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<OptOutRule>,
    /// What the customer must be told or shown.
    pub identification: Vec<Duty>,
    /// Limits on calls that no person takes in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandon: Option<AbandonRule>,
    /// Registers against which numbers are screened.
    #[serde(default)]
    pub screening: Vec<Screening>,
    /// What must be kept, and for how long.
    pub retention: Vec<Retention>,
    /// What was read, or not.
    pub sources: Vec<Source>,
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

impl Preset {
    /// Reads a preset file and checks that it is consistent in itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let preset: Self = serde_saphyr::from_str(text).map_err(|e| format!("preset file: {e}"))?;
        let faults = preset.faults();
        if faults.is_empty() { Ok(preset) } else { Err(format!("preset {}: {}", preset.preset, faults.join("; "))) }
    }

    /// Its name and version as evidence (`cn-bank@2026.1`).
    pub fn stamp(&self) -> String {
        format!("{}@{}", self.preset, self.version)
    }

    /// Whether it speaks of such contacts.
    pub fn covers(&self, channel: Channel, purpose: Purpose) -> bool {
        self.channels.contains(&channel) && self.purposes.contains(&purpose)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for rule in &self.windows {
            let days = [Some(&rule.working), Some(&rule.weekend), rule.sunday.as_ref(), rule.holiday.as_ref()];
            for hours in days.into_iter().flatten() {
                if hours.iter().zip(hours.iter().skip(1)).any(|(a, b)| a.to >= b.from) {
                    faults.push(format!("{}: hours of a day must be in order and apart from each other", rule.name));
                }
            }
            if rule.holiday.is_some() != self.needs_calendar {
                faults.push(format!("{}: `holiday` hours and `needs_calendar: true` go together", rule.name));
            }
            if !rule.is_always() && self.jurisdiction.zones.is_empty() {
                faults.push(format!("{}: hours need the zones of the jurisdiction, for customers whose zone is unknown", rule.name));
            }
        }
        if self.needs_calendar && super::holiday::calendar(&self.jurisdiction.country).is_none() {
            faults.push(format!("needs_calendar: no holiday table of {:?} is shipped", self.jurisdiction.country));
        }
        if self.effective.until.is_some_and(|until| until < self.effective.from) {
            faults.push("effective: ends before it begins".to_owned());
        }
        let rules =
            self.windows.iter().map(|r| (&r.name, &r.channels, &r.purposes)).chain(self.consent.iter().map(|r| (&r.name, &r.channels, &r.purposes)));
        for (name, channels, purposes) in rules {
            if channels.iter().any(|c| !self.channels.contains(c)) || purposes.iter().any(|p| !self.purposes.contains(p)) {
                faults.push(format!("{name}: names a channel or purpose that the preset does not cover"));
            }
        }
        faults
    }
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

const FILES: [&str; 9] = [
    include_str!("presets/cn-bank.yaml"),
    include_str!("presets/cn-collection.yaml"),
    include_str!("presets/eu-eprivacy.yaml"),
    include_str!("presets/in-trai.yaml"),
    include_str!("presets/uk-call.yaml"),
    include_str!("presets/us-fl.yaml"),
    include_str!("presets/us-reg-f.yaml"),
    include_str!("presets/us-tcpa-call.yaml"),
    include_str!("presets/wide-open.yaml"),
];

static SHIPPED: LazyLock<Result<Vec<Preset>, String>> = LazyLock::new(|| FILES.iter().map(|text| Preset::parse(text)).collect());

/// The shipped presets, or why a file cannot be read (a test keeps that from ever being shipped).
pub fn shipped() -> Result<&'static [Preset], &'static str> {
    SHIPPED.as_ref().map(Vec::as_slice).map_err(String::as_str)
}

/// Every preset that is shipped, by name: for lists and reports.
pub fn presets() -> &'static [Preset] {
    shipped().unwrap_or_default()
}

/// The preset of a name (`cn-bank`, or pinned to a version: `cn-bank@2026.1`); the fault names the nearest right name.
pub fn find(name: &str) -> Result<&'static Preset, String> {
    let (bare, version) = name.split_once('@').map_or((name, None), |(bare, version)| (bare, Some(version)));
    let shipped = shipped()?;
    if let Some(preset) = shipped.iter().find(|p| p.preset == bare) {
        return match version {
            Some(version) if version != preset.version => Err(format!(
                "policy preset {bare:?} is shipped in version {}, the file asks for {version}: review the new version and name it",
                preset.version
            )),
            _ => Ok(preset),
        };
    }
    let nearest =
        shipped.iter().map(|p| (strsim::jaro_winkler(bare, &p.preset), p)).filter(|(likeness, _)| *likeness > 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
    let known = shipped.iter().map(|p| p.preset.as_str()).collect::<Vec<_>>().join(", ");
    Err(match nearest {
        Some((_, preset)) => format!("unknown policy preset {bare:?}: did you mean {:?}? Known are {known}", preset.preset),
        None => format!("unknown policy preset {bare:?}: known are {known}"),
    })
}
