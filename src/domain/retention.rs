//! How long what is not for ever is kept. What the law asks to be kept stays at least as long; what nobody asks for goes soon (PIPL art. 19,
//! GDPR art. 5(1)(e): no longer than is needed). The ledger (touches, tallies, credits, exports), consents and suppressions with their proof are never
//! forgotten by time: proof of consent is to be kept at least five years after its last use (DE UWG 7a \[verify\]; US TSR, 16 CFR 310.5, five
//! years, 89 FR 26783), and an opt-out holds for good.
use super::time::{DAY, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Days that things are kept. To be confirmed by counsel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retention {
    /// Raw receipts of providers, matched or not. US TSR: records of each call, its disposition among them, five years (16 CFR 310.5 as amended
    /// in 2024, 89 FR 26783); CN SMS: records of sending at least five months \[verify\].
    #[schemars(range(min = 1, max = 36_500))]
    pub receipts_days: u32,
    /// Scripts and notes of tasks, after these are closed; their results stay. Three years: US Reg F 12 CFR 1006.100 \[verify\], the longest that
    /// is asked of what was said in a conversation.
    #[schemars(range(min = 1, max = 36_500))]
    pub tasks_days: u32,
    /// Checkpoints, after they are closed. No law asks for them.
    #[schemars(range(min = 1, max = 36_500))]
    pub checkpoints_days: u32,
    /// Dead letters, after somebody has dealt with them. No law asks for them.
    #[schemars(range(min = 1, max = 36_500))]
    pub dead_letters_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { receipts_days: 1_827, tasks_days: 1_096, checkpoints_days: 180, dead_letters_days: 180 }
    }
}

impl Retention {
    /// What is older than so many days at `at`.
    pub fn before(days: u32, at: Timestamp) -> Timestamp {
        at.plus(-i64::from(days) * DAY)
    }
    /// Faults of the settings.
    pub fn faults(&self) -> Vec<String> {
        let days = [
            ("receipts_days", self.receipts_days),
            ("tasks_days", self.tasks_days),
            ("checkpoints_days", self.checkpoints_days),
            ("dead_letters_days", self.dead_letters_days),
        ];
        let wrong = days.into_iter().filter(|(_, n)| !(1..=36_500).contains(n));
        wrong.map(|(key, n)| format!("retention.{key}: expected 1 to 36500 days, found {n}")).collect()
    }
}
