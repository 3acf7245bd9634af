//! Quantities as operators write them: shares (`16.56%`), spans (`350ms`, `2h`), rates (`200/s`), prices (`0.12 CNY/min`).
use crate::domain::campaign::Rate;
use crate::domain::money::Currency;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// Makes a type travel as the text that its `FromStr` reads and its `Display` writes.
macro_rules! as_text {
    ($name:ident, $describe:literal) => {
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "description": $describe})
            }
        }
    };
}

/// A share in parts per million, written as a percentage with at most four decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(pub u32);
as_text!(Share, "A percentage from 0% to 100%, such as 16.56%");

impl Share {
    /// Everything.
    pub const ALL: Self = Self(1_000_000);
    /// Whether a uniform draw over 64 bits falls into this share.
    #[inline]
    pub fn takes(self, draw: u64) -> bool {
        self.0 != 0 && scale_ppm(draw) < self.0
    }
}

/// A uniform draw over 64 bits as one over `0..1_000_000`.
#[inline]
pub(crate) fn scale_ppm(draw: u64) -> u32 {
    ((u128::from(draw) * 1_000_000) >> 64) as u32
}

impl FromStr for Share {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("expected a percentage from 0% to 100% such as 16.56%, found {text:?}");
        let percent: Decimal = text.trim().strip_suffix('%').ok_or_else(fault)?.trim().parse().map_err(|_| fault())?;
        let ppm = percent.checked_mul(Decimal::from(10_000)).filter(|p| p.fract().is_zero()).and_then(|p| p.to_u32()).ok_or_else(fault)?;
        if ppm <= Self::ALL.0 { Ok(Self(ppm)) } else { Err(fault()) }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", Decimal::new(i64::from(self.0), 4).normalize())
    }
}

/// A span of time in milliseconds, written as `350ms`, `20s`, `4h`, `1d 12h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub i64);
as_text!(Span, "A span of time such as 350ms, 20s, 4h or 1d 12h");

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("expected a span of time such as 350ms, 20s, 4h or 1d 12h, found {text:?}");
        let span = humantime::parse_duration(text.trim()).map_err(|_| fault())?;
        i64::try_from(span.as_millis()).map(Self).map_err(|_| fault())
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_duration(Duration::from_millis(self.0.unsigned_abs())).fmt(f)
    }
}

/// `domain::campaign::Rate` as text, for `#[serde(with)]`.
pub(crate) mod rate {
    use super::Rate;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(rate: &Rate, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(rate)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Rate, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `Option<domain::campaign::Rate>` as text, for `#[serde(with)]`.
pub(crate) mod rate_option {
    use super::Rate;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(rate: &Option<Rate>, to: S) -> Result<S::Ok, S::Error> {
        match rate {
            Some(rate) => to.collect_str(rate),
            None => to.serialize_none(),
        }
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rate>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|t| t.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

/// For what a provider charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Each attempt that the provider carried out, whatever came of it.
    Attempt,
    /// Each part of a message.
    Part,
    /// Each started increment of so many seconds of conversation; a call that nobody answers is free.
    Seconds(u32),
}

/// What a route charges: millionths of a currency unit for each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Price {
    /// Millionths of the currency's unit; never negative.
    pub micros: i64,
    /// Of which currency.
    pub currency: Currency,
    /// For what.
    pub per: Unit,
}
as_text!(Price, "A price such as 0.12 CNY/min or 0.02 CNY/6s (calls, by started increment), 0.045 CNY/part (SMS) or 0.01 CNY (an attempt)");

impl Price {
    /// Millionths of the unit for an attempt of `parts` parts and `connected_s` seconds of conversation (saturating).
    #[inline]
    pub fn of(&self, parts: u16, connected_s: u32) -> i64 {
        let units = match self.per {
            Unit::Attempt => 1,
            Unit::Part => i64::from(parts),
            Unit::Seconds(increment) => i64::from(connected_s.div_ceil(increment.max(1))),
        };
        self.micros.saturating_mul(units)
    }
}

impl FromStr for Price {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || {
            format!("expected a price such as 0.12 CNY/min, 0.02 CNY/6s, 0.045 CNY/part or 0.01 CNY, with at most six decimal places, found {text:?}")
        };
        let (amount, unit) = match text.split_once('/') {
            Some((amount, unit)) => (amount, Some(unit.trim())),
            None => (text, None),
        };
        let per = match unit {
            None | Some("attempt" | "message" | "call") => Unit::Attempt,
            Some("part") => Unit::Part,
            Some("min") => Unit::Seconds(60),
            Some("s") => Unit::Seconds(1),
            Some(seconds) => {
                Unit::Seconds(seconds.strip_suffix('s').and_then(|n| n.trim().parse().ok()).filter(|n| (1..=3_600).contains(n)).ok_or_else(fault)?)
            }
        };
        let (amount, currency) = amount.trim().split_once(char::is_whitespace).ok_or_else(fault)?;
        let amount: Decimal = amount.replace('_', "").parse().map_err(|_| fault())?;
        let micros = amount.checked_mul(Decimal::from(1_000_000)).filter(|m| m.fract().is_zero()).and_then(|m| m.to_i64()).ok_or_else(fault)?;
        if micros < 0 {
            return Err(fault());
        }
        Ok(Self { micros, currency: currency.trim().parse()?, per })
    }
}

impl std::fmt::Display for Price {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", crate::domain::money::micros_to_decimal(self.micros), self.currency)?;
        match self.per {
            Unit::Attempt => Ok(()),
            Unit::Part => f.write_str("/part"),
            Unit::Seconds(60) => f.write_str("/min"),
            Unit::Seconds(seconds) => write!(f, "/{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_a_round_trip() {
        for text in ["16.56%", "0%", "100%", "0.0001%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for text in ["0.12 CNY/min", "0.02 EUR/6s", "0.045 CNY/part", "0.01 CNY"] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), text);
        }
        for text in ["350ms", "20s", "4h"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["12", "101%", "-1%", "0.00001%", "x%"] {
            assert!(text.parse::<Share>().unwrap_err().contains("expected a percentage"), "{text}");
        }
        for text in ["0.12", "0.12 CNY/fortnight", "-1 CNY", "0.0000001 CNY", "0.1 CNY/0s"] {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
        assert!("soon".parse::<Span>().is_err());
    }

    #[test]
    fn calls_are_billed_by_the_started_increment() {
        let minute: Price = "0.12 CNY/min".parse().unwrap();
        assert_eq!([0, 1, 60, 61, 120].map(|s| minute.of(1, s)), [0, 120_000, 120_000, 240_000, 240_000]);
        let six: Price = "0.02 CNY/6s".parse().unwrap();
        assert_eq!([6, 7].map(|s| six.of(1, s)), [20_000, 40_000]);
        assert_eq!("0.045 CNY/part".parse::<Price>().unwrap().of(3, 0), 135_000);
        assert_eq!("0.01 CNY".parse::<Price>().unwrap().of(3, 99), 10_000);
    }
}
