//! `[webhooks]`: how events are sent to other systems.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebhooksConfig {
    /// What CloudEvents call this house: a URI reference.
    pub source: String,
    /// Whether events may be sent to private and loopback addresses, and by plain http to loopback.
    pub allow_private: bool,
    /// Seconds that a receiver may take to answer.
    #[schemars(range(min = 1, max = 60))]
    pub timeout_s: u32,
    /// Days of failures in a row after which a subscription is disabled.
    #[schemars(range(min = 1, max = 30))]
    pub give_up_days: u32,
    /// Days that events and names of messages are kept.
    #[schemars(range(min = 1, max = 365))]
    pub keep_days: u32,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { source: "urn:touchline".to_owned(), allow_private: false, timeout_s: 15, give_up_days: 5, keep_days: 30 }
    }
}

impl WebhooksConfig {
    /// Faults that types alone do not exclude.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, value, most) in [("timeout_s", self.timeout_s, 60), ("give_up_days", self.give_up_days, 30), ("keep_days", self.keep_days, 365)] {
            if !(1..=most).contains(&value) {
                faults.push(format!("webhooks.{key}: expected 1 to {most}, found {value}"));
            }
        }
        if self.source.trim().is_empty() {
            faults.push("webhooks.source: expected a URI reference such as urn:touchline".to_owned());
        }
        faults
    }
}
