//! Where the keys of personal data are.
use super::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the keys are that personal data are sealed under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PersonalDataConfig {
    /// A file of keys, one a line: the first seals, all open. Left out: a file beside the database, made with it.
    pub key_file: Option<PathBuf>,
    /// The keys themselves, parted by commas: from the environment alone (`TOUCHLINE_PERSONAL_DATA_KEY`).
    #[serde(skip_serializing)]
    pub key: Option<Secret>,
}

impl PersonalDataConfig {
    /// Faults that types alone do not exclude.
    pub(super) fn faults(&self) -> Vec<String> {
        if self.key_file.is_some() && self.key.is_some() {
            return vec![
                "personal_data.key_file: TOUCHLINE_PERSONAL_DATA_KEY is set as well, and only one may say where the keys are; leave one out"
                    .to_owned(),
            ];
        }
        Vec::new()
    }
}

impl super::Config {
    /// Whether the key lies beside the data that it opens, because the settings name no other: whoever copies the folder has both.
    pub fn personal_data_key_is_beside(&self) -> bool {
        self.personal_data.key_file.is_none() && self.personal_data.key.is_none()
    }
}
