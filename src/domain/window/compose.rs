//! From presets to one law: rules numbered, windows and consent resolved for the campaign's purpose, caps together.
use super::wall::OpenHours;
use super::{Law, Windows};
use crate::domain::caps::Cap;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentState, Purpose};
use crate::domain::holiday;
use crate::domain::ids::RuleNo;
use crate::domain::law::{ConsentVerdict, Rule};
use crate::domain::outcome::Reason;
use crate::domain::preset::{self, Basis, CapRule, ConsentRule, Effective, Mark, Preset, Span, WindowRule};
use crate::domain::time::Timestamp;
use crate::domain::zones;
use chrono_tz::Tz;

/// When a preset is in force.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    stamp: String,
    effective: Effective,
}

impl InForce {
    /// Says so when the preset is not in force throughout `from..=until` (days by UTC).
    pub(super) fn fault(&self, from: Timestamp, until: Timestamp) -> Option<String> {
        let (first, last) = (from.utc().date_naive(), until.utc().date_naive());
        let Effective { from, until, .. } = &self.effective;
        match until {
            _ if first < *from => Some(format!("preset {} is in force from {from}, the campaign starts on {first}", self.stamp)),
            Some(until) if last > *until => Some(format!("preset {} is in force until {until}, the campaign ends on {last}", self.stamp)),
            _ => None,
        }
    }
}

/// See [`Law::compose`].
pub(super) fn compose(names: &[String], purpose: Purpose, channels: &[Channel], own_caps: &[Cap], earlier: &[Rule]) -> Result<Law, Vec<String>> {
    let mut faults = Vec::new();
    // Tables that cannot be read must not look like countries or years that are not there.
    faults.extend(holiday::calendars().err().map(str::to_owned));
    faults.extend(zones::calling_codes().err().map(str::to_owned));
    let mut presets: Vec<&'static Preset> = Vec::new();
    for name in names {
        match preset::find(name) {
            Ok(found) if presets.iter().any(|p| p.preset == found.preset) => {}
            Ok(found) => presets.push(found),
            Err(fault) => faults.push(fault),
        }
    }
    let known = faults.is_empty();
    if names.is_empty() {
        faults.push("policy names no preset: name at least one (`wide-open` must be said)".to_owned());
    } else if known {
        let bare = |c: &&Channel| channels.contains(c) && !presets.iter().any(|p| p.covers(**c, purpose));
        faults.extend(Channel::ALL.iter().filter(bare).map(|c| uncovered(*c, purpose, names)));
    }
    faults.extend(
        own_caps
            .iter()
            .enumerate()
            .filter(|(_, cap)| cap.per_ms <= 0)
            .map(|(place, cap)| format!("cap {} of the campaign: expected a window longer than nothing, found {} ms", place + 1, cap.per_ms)),
    );
    if faults.is_empty() { Ok(build(&presets, purpose, channels, own_caps, earlier)) } else { Err(faults) }
}

fn uncovered(channel: Channel, purpose: Purpose, names: &[String]) -> String {
    let who: Vec<_> = preset::presets().iter().filter(|p| p.covers(channel, purpose)).map(|p| p.preset.as_str()).collect();
    format!("policy [{}] has no rule for {purpose} by {channel}: add one of {}", names.join(", "), who.join(", "))
}

/// Numbers the rules as they are added.
struct RuleBook<'a> {
    rules: Vec<Rule>,
    /// Rules that have their numbers already; they stand first.
    earlier: &'a [Rule],
}

impl RuleBook<'_> {
    fn add(&mut self, preset: String, name: &str, text: String, source: String) -> RuleNo {
        let rule = Rule { preset, name: name.to_owned(), text, source };
        let known = self.earlier.iter().position(|r| *r == rule);
        // A law has some dozens of rules; the number saturates rather than wrap.
        let number = RuleNo(u16::try_from(known.unwrap_or(self.rules.len())).unwrap_or(u16::MAX));
        if known.is_none() {
            self.rules.push(rule);
        }
        number
    }
}

fn build(presets: &[&'static Preset], purpose: Purpose, channels: &[Channel], own_caps: &[Cap], earlier: &[Rule]) -> Law {
    let mut rules = RuleBook { rules: earlier.to_vec(), earlier };
    rules.add("none".to_owned(), "none", "no rule applied".to_owned(), String::new());
    let mut windows = Channel::ALL.map(|_| Windows { restricting: Vec::new(), always: RuleNo(0) });
    let mut consents = Channel::ALL.map(|_| (Basis::None, RuleNo(0)));
    let mut caps = Vec::new();
    for preset in presets {
        for rule in preset.windows.iter().filter(|r| r.purposes.contains(&purpose)) {
            let number = rules.add(preset.stamp(), &rule.name, window_text(rule, purpose), sourced(&rule.source, rule.mark));
            for (_, windows) in Channel::ALL.iter().zip(windows.iter_mut()).filter(|(c, _)| rule.channels.contains(c)) {
                if !rule.is_always() {
                    windows.restricting.push(hours(preset, rule, number));
                } else if windows.always == RuleNo(0) {
                    windows.always = number;
                }
            }
        }
        for rule in preset.consent.iter().filter(|r| r.purposes.contains(&purpose)) {
            let number = rules.add(preset.stamp(), &rule.name, consent_text(rule, purpose), sourced(&rule.source, rule.mark));
            for (_, strictest) in Channel::ALL.iter().zip(consents.iter_mut()).filter(|(c, _)| rule.channels.contains(c)) {
                if rule.basis > strictest.0 || strictest.1 == RuleNo(0) {
                    *strictest = (rule.basis, number);
                }
            }
        }
        let counts = |r: &&CapRule| r.purpose.is_none_or(|p| p == purpose) && r.channel.is_none_or(|c| channels.contains(&c));
        for rule in preset.caps.iter().filter(counts) {
            let text = cap_text(rule.count, rule.per.0, rule.channel, rule.purpose);
            let number = rules.add(preset.stamp(), &rule.name, text, sourced(&rule.source, rule.mark));
            caps.push(Cap { count: rule.count, per_ms: rule.per.0, channel: rule.channel, purpose: rule.purpose, rule: number });
        }
    }
    for (place, cap) in own_caps.iter().enumerate() {
        let text = cap_text(cap.count, cap.per_ms, cap.channel, cap.purpose);
        let number = rules.add("campaign".to_owned(), &format!("cap.{}", place + 1), text, "the campaign file".to_owned());
        caps.push(Cap { rule: number, ..cap.clone() });
    }
    // No preset may lift this: an objection to marketing is absolute (GDPR 21(3), PIPL 15, TCPA revocation).
    let opt_out = rules.add(
        "house".to_owned(),
        "consent.opt_out",
        "no marketing to a customer who has opted out, whatever the presets say".to_owned(),
        "law 3 of the house; GDPR article 21(3)".to_owned(),
    );
    Law {
        rules: rules.rules,
        caps,
        purpose,
        windows,
        consents: consents.map(|(basis, rule)| verdicts(basis, rule, purpose, opt_out)),
        zones: candidates(presets),
        in_force: presets.iter().map(|p| InForce { stamp: p.stamp(), effective: p.effective.clone() }).collect(),
        verdicts: std::sync::Arc::default(),
    }
}

/// The verdicts for `ConsentState`'s codes 0, 1, 2.
fn verdicts(basis: Basis, rule: RuleNo, purpose: Purpose, opt_out: RuleNo) -> [ConsentVerdict; 3] {
    [ConsentState::Unknown, ConsentState::Granted, ConsentState::Withdrawn].map(|state| match (state, basis) {
        (ConsentState::Withdrawn, Basis::Required | Basis::UnlessWithdrawn) => ConsentVerdict::Forbidden(rule, Reason::OptedOut),
        (ConsentState::Withdrawn, Basis::None) if purpose == Purpose::Marketing => ConsentVerdict::Forbidden(opt_out, Reason::OptedOut),
        (ConsentState::Unknown, Basis::Required) => ConsentVerdict::Forbidden(rule, Reason::NoConsent),
        _ => ConsentVerdict::Allowed(rule),
    })
}

/// Every zone of the presets' jurisdictions, each once.
fn candidates(presets: &[&'static Preset]) -> Vec<Tz> {
    let mut zones: Vec<Tz> = presets.iter().flat_map(|p| p.jurisdiction.zones.iter().copied()).collect();
    zones.sort_unstable_by_key(|zone| zone.name());
    zones.dedup();
    zones
}

fn hours(preset: &Preset, rule: &WindowRule, number: RuleNo) -> OpenHours {
    OpenHours {
        rule: number,
        working: rule.working.clone(),
        saturday: rule.weekend.clone(),
        sunday: rule.sunday.as_ref().unwrap_or(&rule.weekend).clone(),
        holiday: rule.holiday.as_ref().unwrap_or(&rule.working).clone(),
        // A rule with the same hours every day needs no table, so that it can be told in every year.
        calendar: if preset.needs_calendar && !rule.is_same_every_day() { holiday::calendar(&preset.jurisdiction.country) } else { None },
    }
}

fn sourced(source: &str, mark: Mark) -> String {
    match mark {
        Mark::Seen => format!("{source} [seen]"),
        Mark::Verify => format!("{source} [verify]"),
    }
}

fn window_text(rule: &WindowRule, purpose: Purpose) -> String {
    if rule.is_always() {
        return format!("{purpose} by {} at every hour", listed(&rule.channels));
    }
    let hours = |hours: &[preset::Hours]| {
        if hours.is_empty() { "never".to_owned() } else { hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ") }
    };
    let mut days = vec![format!("working days {}", hours(&rule.working)), format!("weekends {}", hours(&rule.weekend))];
    days.extend(rule.sunday.as_ref().map(|sunday| format!("Sundays {}", hours(sunday))));
    days.extend(rule.holiday.as_ref().map(|holiday| format!("holidays {}", hours(holiday))));
    format!("{purpose} by {}: {}, by the customer's own clock", listed(&rule.channels), days.join(", "))
}

fn consent_text(rule: &ConsentRule, purpose: Purpose) -> String {
    let basis = match rule.basis {
        Basis::Required => "only with consent on record",
        Basis::UnlessWithdrawn => "unless consent was refused or withdrawn",
        Basis::None => "without asking for consent",
    };
    format!("{purpose} by {} {basis}", listed(&rule.channels))
}

fn cap_text(count: u32, per_ms: i64, channel: Option<Channel>, purpose: Option<Purpose>) -> String {
    let what = purpose.map_or(String::new(), |p| format!("{p} "));
    let on = channel.map_or("on all channels together".to_owned(), |c| format!("by {c}"));
    format!("at most {count} {what}contacts {on} in any {}", Span(per_ms))
}

fn listed(channels: &[Channel]) -> String {
    channels.iter().map(|c| c.name()).collect::<Vec<_>>().join(", ")
}
