//! `[mail]`: how the finance export is mailed.
use crate::finance::MailTls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the finance export is mailed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MailConfig {
    /// The SMTP server; left out: nothing is mailed.
    pub host: Option<String>,
    /// Its port.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Encryption.
    pub tls: MailTls,
    /// The sender's address.
    pub from: String,
    /// The account, if the server asks for one.
    pub user: Option<String>,
    /// Its password: from the environment alone (`TOUCHLINE_MAIL_PASSWORD`).
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// PEM file of the bank's own certificate authority, trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Seconds that each answer of the server may take.
    pub timeout_s: u64,
    /// Data files are attached while they have no more bytes than this together; else the mail names the export's folder.
    pub attach_limit_bytes: u64,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            host: None,
            port: 587,
            tls: MailTls::Starttls,
            from: "touchline@localhost".to_owned(),
            user: None,
            password: None,
            ca_file: None,
            timeout_s: 30,
            attach_limit_bytes: 10 << 20,
        }
    }
}

/// A text that never prints itself.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the server that asks for it alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
