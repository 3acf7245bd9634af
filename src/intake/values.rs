//! Texts into typed values. Reasons never quote the value (law 7).
use super::mapping::ValueType;
use crate::domain::campaign::instant as local_instant;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentState, Purpose};
use crate::domain::time::Timestamp;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::borrow::Cow;

type Reason = Cow<'static, str>;

/// A text of at most so many bytes, without control characters.
pub(super) fn short(text: &str, most: usize) -> Result<&str, Reason> {
    if text.len() > most {
        return Err(Cow::Owned(format!("is longer than {most} bytes")));
    }
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(Cow::Borrowed("holds a control character"));
    }
    Ok(text)
}

/// A name such as `loan_drawdown`.
pub(super) fn word(text: &str) -> Result<&str, Reason> {
    let good = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if good { Ok(text) } else { Err(Cow::Borrowed("is no name of letters, digits, `_`, `-` and `.` (at most 64)")) }
}

/// An address with one `@`, something before it and a domain with a dot after it.
pub(super) fn email(text: &str) -> Result<&str, Reason> {
    let good = text.len() <= 254
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.contains('@')
                && domain.split('.').count() >= 2
                && domain.split('.').all(|l| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-'))
        });
    if good { Ok(text) } else { Err(Cow::Borrowed("is no e-mail address")) }
}

/// A BCP 47 tag by its form.
pub(super) fn language(text: &str) -> Result<&str, Reason> {
    let mut parts = text.split('-');
    let good = text.len() <= 35
        && parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphabetic()))
        && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()));
    if good { Ok(text) } else { Err(Cow::Borrowed("is no language tag such as zh-CN")) }
}

/// Granted, withdrawn or unknown, in the usual words.
pub(super) fn consent(text: &str) -> Result<ConsentState, &'static str> {
    let is = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(text));
    if is(&["granted", "yes", "y", "true", "1"]) {
        Ok(ConsentState::Granted)
    } else if is(&["withdrawn", "no", "n", "false", "0"]) {
        Ok(ConsentState::Withdrawn)
    } else if is(&["unknown"]) {
        Ok(ConsentState::Unknown)
    } else {
        Err("is neither granted, withdrawn nor unknown (or yes, no, 1, 0); say what it means with `map:`")
    }
}

/// A channel by name.
pub(super) fn channel(text: &str) -> Result<Channel, Reason> {
    Channel::from_name(text).ok_or_else(|| Cow::Owned(format!("is no channel; known: {}", Channel::ALL.map(Channel::name).join(", "))))
}

/// A purpose by name.
pub(super) fn purpose(text: &str) -> Result<Purpose, Reason> {
    Purpose::from_name(text).ok_or(Cow::Borrowed("is no purpose; known: marketing, service, collection"))
}

/// A decimal number; blanks, `_`, `'` and the mark that is not the decimal mark may group thousands.
pub(super) fn decimal(text: &str, comma: bool) -> Result<Decimal, Reason> {
    let fault = Cow::Borrowed(if comma { "is no decimal number with a decimal comma" } else { "is no decimal number with a decimal point" });
    let (mark, group) = if comma { (',', '.') } else { ('.', ',') };
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-' || (b == b'.' && !comma));
    let parsed = if plain {
        text.parse()
    } else {
        // A group mark after the decimal mark, or groups of other than three digits, would be a number of another notation.
        let (whole, rest) = text.split_once(mark).unwrap_or((text, ""));
        let groups: Vec<&str> = whole.split([group, ' ', '\u{a0}', '\u{202f}', '_', '\'']).collect();
        let grouped =
            groups.iter().skip(1).all(|g| g.len() == 3) && (groups.len() == 1 || groups.first().is_some_and(|g| !g.is_empty() && g.len() <= 4));
        if !grouped || rest.contains(|c: char| !c.is_ascii_digit()) || text.contains(['e', 'E']) {
            return Err(fault);
        }
        let whole = groups.concat();
        if text.contains(mark) { format!("{whole}.{rest}").parse() } else { whole.parse() }
    };
    parsed.map_err(|_| fault)
}

/// An attribute as JSON. Decimals become numbers, since expressions compare them; they are no ledger money.
pub(super) fn attribute(text: &str, kind: ValueType, format: Option<&str>, comma: bool) -> Result<serde_json::Value, Reason> {
    use serde_json::Value;
    match kind {
        ValueType::Text => Ok(Value::String(text.to_owned())),
        ValueType::Int => text.parse::<i64>().map(Value::from).map_err(|_| Cow::Borrowed("is no whole number")),
        ValueType::Decimal => {
            // Up to 15 plain digits are exact either way, and this way is ten times as fast.
            let plain = text.len() <= 15 && !comma && text.bytes().next_back().is_some_and(|b| b.is_ascii_digit());
            let plain = plain && text.bytes().enumerate().all(|(i, b)| b.is_ascii_digit() || b == b'.' && i > 0 || b == b'-' && i == 0);
            if plain && let Some(number) = text.parse().ok().and_then(serde_json::Number::from_f64) {
                return Ok(Value::Number(number));
            }
            let number = decimal(text, comma)?.normalize();
            // 15 digits is what a double keeps.
            let fits = number.mantissa().unsigned_abs() < 1_000_000_000_000_000;
            number
                .to_f64()
                .filter(|_| fits)
                .and_then(serde_json::Number::from_f64)
                .map(Value::Number)
                .ok_or(Cow::Borrowed("has more than 15 digits; take it as text"))
        }
        ValueType::Bool => {
            let is = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(text));
            if is(&["true", "yes", "y", "1"]) {
                Ok(Value::Bool(true))
            } else if is(&["false", "no", "n", "0"]) {
                Ok(Value::Bool(false))
            } else {
                Err(Cow::Borrowed("is neither true nor false (or yes, no, 1, 0)"))
            }
        }
        ValueType::Date => date(text, format).map(|d| Value::String(d.to_string())),
    }
}

/// A day.
fn date(text: &str, format: Option<&str>) -> Result<NaiveDate, Reason> {
    match format {
        Some(format) => NaiveDate::parse_from_str(text, format)
            .or_else(|_| NaiveDateTime::parse_from_str(text, format).map(|t| t.date()))
            .map_err(|_| Cow::Owned(format!("is no date of the form {format}"))),
        None => iso_date(text).ok_or(Cow::Borrowed("is no date such as 2026-11-24; say its `format:`")),
    }
}

/// `2026-11-24` or `20261124`, by hand: chrono's format parser takes most of a row's time.
fn iso_date(text: &str) -> Option<NaiveDate> {
    let number = |digits: &[u8]| digits.iter().try_fold(0_u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')));
    let (year, month, day) = match text.as_bytes() {
        [y @ .., b'-', m1, m2, b'-', d1, d2] if y.len() == 4 => (number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?),
        [y @ .., m1, m2, d1, d2] if y.len() == 4 => (number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?),
        _ => return None,
    };
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

/// An instant: RFC 3339, or a local time or day (its first instant) in `zone`.
pub(super) fn instant(text: &str, format: Option<&str>, zone: Tz) -> Result<Timestamp, Reason> {
    let local = |t: NaiveDateTime| local_instant(zone, t);
    if let Some(format) = format {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Ok(at.with_timezone(&chrono::Utc).into());
        }
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(local(at));
        }
        return date(text, Some(format)).map(|d| local(d.and_time(NaiveTime::MIN)));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&chrono::Utc).into());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Ok(local(at));
        }
    }
    date(text, None)
        .map(|d| local(d.and_time(NaiveTime::MIN)))
        .map_err(|_| Cow::Borrowed("is no date or time such as 2026-11-24 or 2026-11-24T09:00:00Z; say its `format:`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_both_notations() {
        let good = [
            ("1234.50", false, "1234.50"),
            ("-72", false, "-72"),
            ("1,234,567.8", false, "1234567.8"),
            ("1.234,50", true, "1234.50"),
            ("1 234,5", true, "1234.5"),
            ("-0,5", true, "-0.5"),
        ];
        for (text, comma, expected) in good {
            assert_eq!(decimal(text, comma).unwrap(), expected.parse().unwrap(), "{text}");
        }
        for (text, comma) in
            [("1,5", false), ("1.5", true), ("", false), ("1e3", false), ("12,34,567", false), ("1.2.3", false), ("--1", false), ("1.234,5,6", true)]
        {
            assert!(decimal(text, comma).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_in_their_zone() {
        let at = |text: &str, format: Option<&str>, zone: Tz| instant(text, format, zone).map(|t| t.to_string());
        assert_eq!(at("2026-11-24", None, Tz::Asia__Shanghai).unwrap(), "2026-11-23T16:00:00Z");
        assert_eq!(at("2026-11-24T09:00:00+08:00", None, Tz::UTC).unwrap(), "2026-11-24T01:00:00Z");
        assert_eq!(at("24/11/2026 09:30", Some("%d/%m/%Y %H:%M"), Tz::Europe__Lisbon).unwrap(), "2026-11-24T09:30:00Z");
        assert_eq!(at("20261124", None, Tz::UTC).unwrap(), "2026-11-24T00:00:00Z");
        assert!(at("2026-02-29", None, Tz::UTC).is_err());
        assert!(at("24.11.2026", None, Tz::UTC).is_err());
    }

    #[test]
    fn addresses_and_tags() {
        for good in ["a@example.com", "first.last+tag@mail.example.org"] {
            assert!(email(good).is_ok());
        }
        for bad in ["a@b", "a b@example.com", "@example.com", "a@@example.com", "a@example..com", "<a@example.com>"] {
            assert!(email(bad).is_err(), "{bad}");
        }
        assert!(language("zh-CN").is_ok() && language("pt").is_ok() && language("zh-Hans-CN").is_ok());
        assert!(language("chinese").is_err() && language("zh_CN").is_err() && language("").is_err());
    }
}
