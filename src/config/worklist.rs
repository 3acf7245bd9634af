//! `[worklist]`: how tasks are given to relationship managers.
use crate::domain::time::MINUTE;
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How tasks are given to relationship managers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorklistConfig {
    /// The zone whose days an RM's daily capacity counts.
    #[serde(with = "zone")]
    #[schemars(with = "String")]
    pub timezone: Tz,
    /// Minutes that a claim holds unless it is renewed.
    #[schemars(range(min = 1, max = 1_440))]
    pub lease_min: u32,
}

impl Default for WorklistConfig {
    fn default() -> Self {
        Self { timezone: Tz::UTC, lease_min: 15 }
    }
}

impl WorklistConfig {
    /// Faults that types alone do not exclude.
    pub fn faults(&self) -> Vec<String> {
        if (1..=1_440).contains(&self.lease_min) {
            Vec::new()
        } else {
            vec![format!("worklist.lease_min: expected 1 to 1440, found {}", self.lease_min)]
        }
    }
    /// How long a claim holds, in milliseconds.
    pub fn lease_ms(&self) -> i64 {
        i64::from(self.lease_min) * MINUTE
    }
}

/// A zone by its IANA name.
mod zone {
    use super::Tz;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(zone: &Tz, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(zone.name())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tz, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(|_| D::Error::custom(format!("expected an IANA zone such as Asia/Shanghai, found {name:?}")))
    }
}
