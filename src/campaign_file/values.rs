//! The small languages inside a campaign file: durations, shares, rates, amounts, local times, zones, cron.
use super::reader::{Faults, nearest};
use super::tree::{Node, cut};
use crate::domain::campaign::Rate;
use crate::domain::money::{Currency, Money};
use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use std::str::FromStr;

/// The longest duration that a campaign file may say: ten years, in milliseconds.
const LONGEST: i64 = 3_653 * crate::domain::time::DAY;

impl Faults {
    /// Milliseconds of `30m`, `4h`, `1d`, `2h30m`; at least `least`.
    pub(super) fn duration(&mut self, node: &Node, least: i64, what: &str) -> Option<i64> {
        let expected = format!("{what}: a duration such as 30m, 4h, 1d or 2h30m");
        let text = self.written(node, &expected)?;
        if text.parse::<f64>().is_ok() && text != "0" {
            let help = format!("say the unit: {text}s, {text}m, {text}h or {text}d", text = cut(text));
            self.add(&node.at, format!("the duration {} has no unit", cut(text))).expected(expected).help(help);
            return None;
        }
        let parsed = if text == "0" { Some(std::time::Duration::ZERO) } else { humantime::parse_duration(text).ok() };
        let Some(ms) = parsed.and_then(|d| i64::try_from(d.as_millis()).ok()) else {
            let help = "units are ms, s, m (minutes), h, d, w";
            self.add(&node.at, format!("{:?} is not a duration", cut(text))).expected(expected).help(help);
            return None;
        };
        if ms < least {
            self.add(&node.at, format!("the duration {} is too short", cut(text))).expected(format!("at least {}", spoken(least)));
            return None;
        }
        if ms > LONGEST {
            self.add(&node.at, format!("the duration {} is too long", cut(text))).expected("at most ten years");
            return None;
        }
        Some(ms)
    }

    /// Parts per million of `10%` or `0.5%`, at most `most` percent.
    pub(super) fn share(&mut self, node: &Node, most: u32, what: &str) -> Option<u32> {
        let expected = format!("{what}: a share from 0% to {most}% such as 10% or 0.5%");
        let text = self.written(node, &expected)?;
        let Some(number) = text.strip_suffix('%') else {
            let help = format!("write the percent sign: {}%", cut(text));
            let noted = self.add(&node.at, format!("{:?} is not a share", cut(text))).expected(expected);
            if text.parse::<f64>().is_ok() {
                noted.help(help);
            }
            return None;
        };
        let Ok(percent) = rust_decimal::Decimal::from_str(number.trim()) else {
            self.add(&node.at, format!("{:?} is not a share", cut(text))).expected(expected);
            return None;
        };
        if percent.is_sign_negative() || percent > rust_decimal::Decimal::from(most) {
            let help = (percent.is_sign_positive()).then_some("somebody must be left to contact");
            let noted = self.add(&node.at, format!("the share {} is out of range", cut(text))).expected(expected);
            if let Some(help) = help {
                noted.help(help);
            }
            return None;
        }
        let ppm = percent * rust_decimal::Decimal::from(10_000);
        if !ppm.fract().is_zero() {
            self.add(&node.at, format!("the share {} is too fine", cut(text))).expected("at most four decimal places");
            return None;
        }
        rust_decimal::prelude::ToPrimitive::to_u32(&ppm)
    }

    /// A rate such as `200/s`.
    pub(super) fn rate(&mut self, node: &Node) -> Option<Rate> {
        let expected = "a rate such as 200/s, 100/min, 5000/h or 20000/d";
        let text = self.written(node, expected)?;
        match Rate::from_str(text) {
            Ok(rate) => Some(rate),
            Err(_) if text.split('/').next().is_some_and(|n| n.trim().parse::<f64>().is_ok_and(|n| n == 0.0)) => {
                self.add(&node.at, "a rate of 0 sends nothing").expected(expected).help("to send nothing, pause the campaign");
                None
            }
            Err(_) => {
                self.add(&node.at, format!("{:?} is not a rate", cut(text))).expected(expected);
                None
            }
        }
    }

    /// An amount above zero with its currency, no finer than the currency's minor unit.
    pub(super) fn money(&mut self, node: &Node) -> Option<Money> {
        let expected = "an amount above 0 and a currency such as 50000.00 CNY";
        let text = self.written(node, expected)?;
        if rust_decimal::Decimal::from_str(&text.replace('_', "")).is_ok() {
            let help = format!("write {} CNY", cut(text));
            self.add(&node.at, format!("the amount {} has no currency", cut(text))).expected(expected).help(help);
            return None;
        }
        match Money::from_str(text) {
            Ok(money) if money.minor > 0 => Some(money),
            Ok(_) => {
                self.add(&node.at, format!("the amount {} is not above 0", cut(text))).expected(expected);
                None
            }
            Err(why) => {
                let message = if why.starts_with("expected") { format!("{:?} is not an amount", cut(text)) } else { why };
                self.add(&node.at, message).expected(expected);
                None
            }
        }
    }

    /// A currency of three capital letters.
    pub(super) fn currency(&mut self, node: &Node) -> Option<Currency> {
        let expected = "a currency of three capital letters such as CNY";
        let text = self.written(node, expected)?;
        let upper = text.to_ascii_uppercase();
        match Currency::from_str(text) {
            Ok(currency) => Some(currency),
            Err(_) => {
                let noted = self.add(&node.at, format!("{:?} is not a currency", cut(text))).expected(expected);
                if Currency::from_str(&upper).is_ok() {
                    noted.help(format!("did you mean `{upper}`?"));
                }
                None
            }
        }
    }

    /// A local date and time without a zone.
    pub(super) fn local_time(&mut self, node: &Node) -> Option<NaiveDateTime> {
        let expected = "a local date and time such as 2026-11-24T09:00";
        let text = self.written(node, expected)?;
        for format in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                if (2000..=2200).contains(&chrono::Datelike::year(&time)) {
                    return Some(time);
                }
                self.add(&node.at, format!("the year of {} is out of range", cut(text))).expected("a year from 2000 to 2200");
                return None;
            }
        }
        let date = text.get(..10).filter(|d| d.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() }));
        let rest = date.and_then(|d| text.strip_prefix(d)).unwrap_or("");
        let (message, help) = match date.map(|d| (d, NaiveDate::parse_from_str(d, "%Y-%m-%d"))) {
            Some((d, Err(_))) => (format!("{d} is not a day of the calendar"), last_day(d)),
            Some((d, Ok(_))) if rest.is_empty() => (format!("the time of day is missing after {d}"), Some(format!("write {d}T09:00"))),
            Some((_, Ok(_))) if rest.ends_with('Z') || rest.get(1..).is_some_and(|r| r.contains(['+', '-'])) => {
                (format!("{:?} carries a zone of its own", cut(text)), Some("leave it out: `timezone` says the zone".into()))
            }
            Some((_, Ok(_))) => {
                (format!("{:?} is not a time of day", cut(rest.trim_start_matches(['T', ' ']))), Some("hours go to 23, minutes to 59".into()))
            }
            None => (format!("{:?} is not a date and time", cut(text)), None),
        };
        let noted = self.add(&node.at, message).expected(expected);
        if let Some(help) = help {
            noted.help(help);
        }
        None
    }

    /// A time zone of the IANA list.
    pub(super) fn zone(&mut self, node: &Node) -> Option<Tz> {
        let expected = "a time zone of the IANA list such as Asia/Shanghai";
        let text = self.text(node, expected)?;
        if let Ok(zone) = Tz::from_str(text) {
            return Some(zone);
        }
        let by_city = chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()).find(|n| n.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(text)));
        let near = by_city.or_else(|| nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())));
        let noted = self.add(&node.at, format!("the time zone {:?} is not known", cut(text))).expected(expected);
        if let Some(name) = near {
            noted.help(format!("did you mean `{name}`?"));
        }
        None
    }

    /// A cron expression of six fields, as it stands.
    pub(super) fn cron(&mut self, node: &Node) -> Option<String> {
        let expected = "six cron fields: second minute hour day month weekday, such as \"0 0 9 * * Mon-Fri\"";
        let text = self.text(node, expected)?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != 6 {
            let noted = self
                .add(&node.at, format!("the cron expression has {} field{}", fields.len(), if fields.len() == 1 { "" } else { "s" }))
                .expected(expected);
            match fields.len() {
                5 => drop(noted.help(format!("put the second in front: \"0 {}\"", cut(&fields.join(" "))))),
                7 => drop(noted.help("leave out the year: `start` and `end` bound the campaign")),
                _ => {}
            }
            return None;
        }
        // The parser is only given what it knows: short words, lists, ranges and steps of numbers of at most four digits.
        let known = |f: &&str| {
            f.len() <= 200
                && f.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'*' | b',' | b'-' | b'/' | b'?'))
                && f.split(|c: char| !c.is_ascii_digit()).all(|n| n.len() <= 4)
                && !f.split('/').skip(1).any(|step| step.parse() == Ok(0))
        };
        if let Some(bad) = fields.iter().find(|f| !known(f)) {
            let message = format!("the cron field {:?} cannot be read", cut(bad));
            self.add(&node.at, message).expected(expected);
            return None;
        }
        let joined = fields.join(" ");
        match cron::Schedule::from_str(&joined) {
            Ok(_) => Some(joined),
            Err(e) => {
                let why = e.to_string();
                let why = why.lines().next().unwrap_or("").trim();
                let message = if why.is_empty() {
                    format!("the cron expression {:?} cannot be read", cut(text))
                } else {
                    format!("the cron expression cannot be read: {why}")
                };
                self.add(&node.at, message).expected(expected);
                None
            }
        }
    }
}

fn last_day(date: &str) -> Option<String> {
    let mut parts = date.split('-').map(|p| p.parse::<u32>().ok());
    let (year, month) = (i32::try_from(parts.next()??).ok()?, parts.next()??);
    if !(1..=12).contains(&month) {
        return Some("months go from 01 to 12".into());
    }
    let next = if month == 12 { NaiveDate::from_ymd_opt(year + 1, 1, 1) } else { NaiveDate::from_ymd_opt(year, month + 1, 1) }?;
    let last = chrono::Datelike::day(&next.pred_opt()?);
    Some(format!("{year:04}-{month:02} has {last} days"))
}

fn spoken(ms: i64) -> String {
    humantime::format_duration(std::time::Duration::from_millis(ms.unsigned_abs())).to_string()
}
