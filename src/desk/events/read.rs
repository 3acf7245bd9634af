//! Reading an event: CloudEvents 1.0 in JSON.
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::contact::Phone;
use crate::domain::ids::TouchKey;
use crate::domain::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event as it is told to us.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IncomingEvent {
    /// `1.0`.
    pub specversion: String,
    /// The teller's name for it, unique within its source: an event that comes again changes nothing.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// Who tells it.
    #[schemars(length(min = 1, max = 256))]
    pub source: String,
    /// `touchline.event.opened`, `.clicked`, `.complained`, `.rated`, `.opted_out`, or `.text` (what a customer has texted).
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was so (RFC 3339); left out: now.
    #[serde(default)]
    pub time: Option<String>,
    /// What is told.
    pub data: EventData,
}

/// What an event tells. The customer is named by `customer`, by `touch`, or by `phone`.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventData {
    /// The bank's reference.
    pub customer: Option<String>,
    /// The touch that it is about (`campaign-customer-seq`).
    pub touch: Option<String>,
    /// The number from which it came (E.164).
    pub phone: Option<String>,
    /// Of opens and clicks: only of a campaign of this name.
    pub campaign: Option<String>,
    /// On which channel; of opt-outs and complaints left out: on every one; of texts left out: sms.
    pub channel: Option<Channel>,
    /// Of opt-outs: for which purpose; left out: marketing.
    pub purpose: Option<Purpose>,
    /// Of ratings: 1 (worst) to 5.
    #[schemars(range(min = 1, max = 5))]
    pub rating: Option<u8>,
    /// Of texts: what the customer wrote.
    #[schemars(length(max = 2000))]
    pub text: Option<String>,
}

impl std::fmt::Debug for EventData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventData(redacted)")
    }
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Opened,
    Clicked,
    Complained,
    Rated,
    OptedOut,
    Text,
}

/// An event that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// Source and id.
    pub name: (String, String),
    pub kind: Kind,
    pub time: Option<Timestamp>,
    pub touch: Option<TouchKey>,
    pub phone: Option<Phone>,
    pub data: EventData,
}

/// Reads one; the fault never quotes what may be personal.
pub(super) fn read(value: &Value) -> Result<Read, String> {
    // What serde says of a wrong value quotes it; the keys alone are told.
    let event: IncomingEvent = serde_json::from_value(value.clone())
        .map_err(|_| "expected a CloudEvent: specversion, id, source, type, data (see the schema in /openapi.json)")?;
    if event.specversion != "1.0" {
        return Err("specversion: expected 1.0".to_owned());
    }
    for (key, text) in [("id", &event.id), ("source", &event.source)] {
        if text.trim().is_empty() || text.len() > 256 {
            return Err(format!("{key}: expected 1 to 256 bytes"));
        }
    }
    let kind = match event.kind.as_str() {
        "touchline.event.opened" => Kind::Opened,
        "touchline.event.clicked" => Kind::Clicked,
        "touchline.event.complained" => Kind::Complained,
        "touchline.event.rated" => Kind::Rated,
        "touchline.event.opted_out" => Kind::OptedOut,
        "touchline.event.text" => Kind::Text,
        _ => return Err("type: expected touchline.event.opened, clicked, complained, rated, opted_out or text".to_owned()),
    };
    let data = event.data;
    let named = [data.customer.is_some(), data.touch.is_some(), data.phone.is_some()];
    if !named.contains(&true) {
        return Err("data: expected customer, touch or phone".to_owned());
    }
    let time = match &event.time {
        None => None,
        Some(text) => {
            let parsed = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| "time: expected RFC 3339, such as 2026-11-24T09:00:00+08:00")?;
            Some(Timestamp::from(parsed.to_utc()))
        }
    };
    let touch = data.touch.as_deref().map(str::parse::<TouchKey>).transpose().map_err(|_| "data.touch: expected campaign-customer-seq")?;
    let phone = data.phone.as_deref().map(phone).transpose()?;
    if kind == Kind::Rated && !data.rating.is_some_and(|r| (1..=5).contains(&r)) {
        return Err("data.rating: expected 1 to 5".to_owned());
    }
    if kind == Kind::Text && data.text.as_ref().is_none_or(|t| t.len() > 8_000) {
        return Err("data.text: expected a text of at most 2,000 characters".to_owned());
    }
    Ok(Read { name: (event.source, event.id), kind, time, touch, phone, data })
}

fn phone(text: &str) -> Result<Phone, String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let digits: String = digits.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    if !(6..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("data.phone: expected E.164 (a plus sign, country code and number)".to_owned());
    }
    Ok(Phone::new(format!("+{digits}")))
}
