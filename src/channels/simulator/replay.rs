//! Replay: two attributes of the customer decide when and for how long a call reaches them, as a file of real campaigns tells.
use super::latency::Latency;
use crate::channels::text::Span;
use schemars::JsonSchema;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Which attributes decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Holds the number of the attempt (from 1) on which the customer is reached; all before it are `no_answer`.
    pub attempts: Attribute,
    /// Holds the seconds of conversation of that attempt; 0 is legal.
    pub connected_seconds: Attribute,
    /// How long it rings, answered or not.
    #[serde(default = "ring")]
    pub ring: Latency,
}

/// 20 seconds: between the two modes of the ring times that IBM's dialler logs show, and below their time-out of 25.
fn ring() -> Latency {
    Latency::Fixed(Span(20_000))
}

/// The name of a customer's attribute, written `attr.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Attribute(String);

impl Attribute {
    /// Its name without `attr.`.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Attribute {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("attr.") {
            Some(name) if !name.is_empty() => Ok(Self(name.to_owned())),
            _ => Err(format!("expected an attribute of the list such as attr.campaign, found {text:?}")),
        }
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> Self {
        format!("attr.{}", attribute.0)
    }
}

/// What stands in the two attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub reached_on: u32,
    pub connected_s: u32,
}

impl Replay {
    /// From the names of the two attributes.
    pub fn new(attempts: Attribute, connected_seconds: Attribute) -> Self {
        Self { attempts, connected_seconds, ring: ring() }
    }

    /// Reads the two attributes and steps over all others. `None`: one is missing or no whole number of 0 or more.
    pub(super) fn read(&self, attributes: Option<&str>) -> Option<Script> {
        let mut reader = serde_json::Deserializer::from_str(attributes?);
        let (reached_on, connected_s) = reader.deserialize_map(Columns(self)).ok()?;
        Some(Script { reached_on: reached_on?, connected_s: connected_s? })
    }
}

struct Columns<'a>(&'a Replay);

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = (Option<u32>, Option<u32>);
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of attributes")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut reached_on, mut connected_s) = (None, None);
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // One column may serve both questions.
            let (is_attempts, is_seconds) = (key == self.0.attempts.name(), key == self.0.connected_seconds.name());
            if is_attempts || is_seconds {
                let Whole(number) = map.next_value()?;
                reached_on = if is_attempts { Some(number) } else { reached_on };
                connected_s = if is_seconds { Some(number) } else { connected_s };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok((reached_on, connected_s))
    }
}

/// A whole number, written as a number (also `3.0`) or as text.
struct Whole(u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyForm;
        impl Visitor<'_> for AnyForm {
            type Value = Whole;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number of 0 or more")
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Whole, E> {
                u32::try_from(v).map(Whole).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(v), &self))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Whole, E> {
                u32::try_from(v).map(Whole).map_err(|_| E::invalid_value(de::Unexpected::Signed(v), &self))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Whole, E> {
                let whole = v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&v);
                if whole { Ok(Whole(v as u32)) } else { Err(E::invalid_value(de::Unexpected::Float(v), &self)) }
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Whole, E> {
                v.trim().parse().map(Whole).map_err(|_| E::custom("expected a whole number of 0 or more"))
            }
        }
        from.deserialize_any(AnyForm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay() -> Replay {
        serde_json::from_str(r#"{"attempts": "attr.campaign", "connected_seconds": "attr.duration"}"#).unwrap()
    }

    #[test]
    fn both_columns_are_read_in_any_form_and_any_order() {
        for text in [
            r#"{"age":58,"duration":261,"campaign":3,"job":"a\u0062"}"#,
            r#"{"campaign":"3","x":{"duration":1},"duration":"261"}"#,
            r#"{"campaign":3.0,"duration":261.0}"#,
        ] {
            assert_eq!(replay().read(Some(text)), Some(Script { reached_on: 3, connected_s: 261 }), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_no_number_is_told_apart_from_zero() {
        for text in
            [r#"{"campaign":3}"#, r#"{"campaign":3,"duration":-1}"#, r#"{"campaign":3,"duration":"x"}"#, r#"{"campaign":3.5,"duration":1}"#, "[]"]
        {
            assert_eq!(replay().read(Some(text)), None, "{text}");
        }
        assert_eq!(replay().read(None), None);
        assert_eq!(replay().read(Some(r#"{"campaign":1,"duration":0}"#)), Some(Script { reached_on: 1, connected_s: 0 }));
    }

    #[test]
    fn a_column_must_be_named_as_an_attribute() {
        let fault = serde_json::from_str::<Replay>(r#"{"attempts": "campaign", "connected_seconds": "attr.duration"}"#).unwrap_err();
        assert!(fault.to_string().contains("attr.campaign"), "{fault}");
    }
}
