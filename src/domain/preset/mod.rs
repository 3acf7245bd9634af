//! Presets: rules of law with their numbers, read from versioned data files. A new law is one file in `presets/` and one line in `FILES`.
mod rules;

use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
pub use rules::{
    AbandonRule, Basis, CapRule, ConsentRule, Duty, Effective, Hours, Jurisdiction, Mark, OptOutRule, Retention, Screening, Source, Span, WindowRule,
};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

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
        if self.needs_calendar && crate::domain::holiday::calendar(&self.jurisdiction.country).is_none() {
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

const FILES: [&str; 9] = [
    include_str!("../presets/cn-bank.yaml"),
    include_str!("../presets/cn-collection.yaml"),
    include_str!("../presets/eu-eprivacy.yaml"),
    include_str!("../presets/in-trai.yaml"),
    include_str!("../presets/uk-call.yaml"),
    include_str!("../presets/us-fl.yaml"),
    include_str!("../presets/us-reg-f.yaml"),
    include_str!("../presets/us-tcpa-call.yaml"),
    include_str!("../presets/wide-open.yaml"),
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
