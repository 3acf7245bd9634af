//! `[callbacks]`: the law and the times of callbacks that customers wish for.
use crate::domain::callback::CallbackTimes;
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::time::MINUTE;
use crate::domain::window::Law;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The law and the times of callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CallbacksConfig {
    /// Presets whose hours for service calls a wished time must keep, by the customer's own clock.
    pub policy: Vec<String>,
    /// Minutes before the agreed time at which the RM is reminded.
    #[schemars(range(max = 1_440))]
    pub remind_before_min: u32,
    /// Minutes after the agreed time at which a call that was not made goes to the branch's lead.
    #[schemars(range(min = 1, max = 10_080))]
    pub escalate_after_min: u32,
    /// Minutes after the agreed time at which nobody is to make it any more.
    #[schemars(range(min = 1, max = 43_200))]
    pub expire_after_min: u32,
}

impl Default for CallbacksConfig {
    fn default() -> Self {
        let CallbackTimes { remind_before_ms, escalate_after_ms, expire_after_ms } = CallbackTimes::default();
        let minutes = |ms: i64| u32::try_from(ms / MINUTE).unwrap_or(0);
        Self {
            policy: vec!["cn-bank".to_owned()],
            remind_before_min: minutes(remind_before_ms),
            escalate_after_min: minutes(escalate_after_ms),
            expire_after_min: minutes(expire_after_ms),
        }
    }
}

impl CallbacksConfig {
    /// The times as the domain takes them.
    pub fn times(&self) -> CallbackTimes {
        let ms = |minutes: u32| i64::from(minutes) * MINUTE;
        CallbackTimes {
            remind_before_ms: ms(self.remind_before_min),
            escalate_after_ms: ms(self.escalate_after_min),
            expire_after_ms: ms(self.expire_after_min),
        }
    }
    /// Faults that types alone do not exclude.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let limits = [
            ("remind_before_min", self.remind_before_min, 0, 1_440),
            ("escalate_after_min", self.escalate_after_min, 1, 10_080),
            ("expire_after_min", self.expire_after_min, 1, 43_200),
        ];
        for (key, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                faults.push(format!("callbacks.{key}: expected {least} to {most}, found {value}"));
            }
        }
        if self.escalate_after_min >= self.expire_after_min {
            faults.push(
                "callbacks.expire_after_min: expected more than callbacks.escalate_after_min: who is told of a missed call must have time for it"
                    .to_owned(),
            );
        }
        if let Err(law) = Law::compose(&self.policy, Purpose::Service, &[Channel::Call], &[]) {
            faults.extend(law.into_iter().map(|fault| format!("callbacks.policy: {fault}")));
        }
        faults
    }
}
