//! `[receipts.ROUTE]`: how a provider signs the receipts that it posts.
use super::place;
use crate::channels::route::RouteSpec;
use crate::domain::outcome::Reason;
use crate::domain::signature::{Encoding, Scheme, SigningSecret};
use figment::Figment;
use figment::value::{Dict, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The kind of signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemeName {
    /// Standard Webhooks.
    #[default]
    StandardWebhooks,
    /// HMAC-SHA256 of the provider's own make.
    Hmac,
    /// A shared token.
    Token,
}

/// How a provider signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiptsConfig {
    /// The kind of signature.
    pub scheme: SchemeName,
    /// The variable of the environment that holds the secrets.
    pub secret_env: Option<String>,
    /// The file that holds the secrets.
    pub secret_file: Option<PathBuf>,
    /// The header that bears the signature or the token.
    pub header: Option<String>,
    /// How the signature is written.
    pub encoding: Encoding,
    /// Text before the signature.
    pub prefix: String,
    /// The header that bears the timestamp.
    pub timestamp_header: Option<String>,
    /// The header that names the message.
    pub id_header: Option<String>,
    /// The provider's words for dispositions, and ours.
    pub dispositions: BTreeMap<String, String>,
}

impl ReceiptsConfig {
    /// The scheme.
    pub fn signed_by(&self) -> Scheme {
        let header = self.header.clone().unwrap_or_default();
        let (encoding, prefix) = (self.encoding, self.prefix.clone());
        match self.scheme {
            SchemeName::StandardWebhooks => Scheme::StandardWebhooks,
            SchemeName::Hmac => {
                Scheme::Hmac { header, encoding, prefix, timestamp_header: self.timestamp_header.clone(), id_header: self.id_header.clone() }
            }
            SchemeName::Token => Scheme::Token { header, id_header: self.id_header.clone() },
        }
    }

    /// The secrets as they stand now: read at every message, so that a replaced one is taken without a restart. Errors never quote them.
    pub fn secrets(&self) -> Result<Vec<SigningSecret>, String> {
        let text = match (&self.secret_env, &self.secret_file) {
            (Some(name), _) => std::env::var(name).map_err(|_| format!("the variable {name} is not set, or is no text"))?,
            (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| format!("the file of the secrets cannot be read: {e}"))?,
            (None, None) => return Err("expected secret_env or secret_file".to_owned()),
        };
        let text = zeroize::Zeroizing::new(text);
        let scheme = self.signed_by();
        let secrets = text.split_whitespace().map(|secret| scheme.secret(secret)).collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() { Err("expected at least one secret, found none".to_owned()) } else { Ok(secrets) }
    }
}

pub(super) fn read(figment: &Figment, root: &Dict, faults: &mut Vec<String>) -> BTreeMap<String, ReceiptsConfig> {
    let given = match root.get("receipts") {
        None => return BTreeMap::new(),
        Some(Value::Dict(_, given)) => given,
        Some(_) => {
            faults.push(format!("receipts: expected [receipts.ROUTE] tables; {}", place(figment, "receipts")));
            return BTreeMap::new();
        }
    };
    let mut all = BTreeMap::new();
    for (route, value) in given {
        match ReceiptsConfig::deserialize(value) {
            Ok(one) => drop(all.insert(route.clone(), one)),
            Err(e) => faults.push(format!("receipts.{route}: {}; {}", e.kind, place(figment, &format!("receipts.{route}")))),
        }
    }
    all
}

pub(super) fn faults(all: &BTreeMap<String, ReceiptsConfig>, routes: &[RouteSpec]) -> Vec<String> {
    let mut faults = Vec::new();
    for (route, one) in all {
        let mut fault = |text: &str| faults.push(format!("receipts.{route}: {text}"));
        if !routes.iter().any(|r| r.name == *route) {
            fault("there is no route of this name");
        }
        if one.secret_env.is_some() == one.secret_file.is_some() {
            fault("expected secret_env or secret_file, and not both");
        }
        if one.secret_env.as_ref().is_some_and(|name| name.starts_with(super::PREFIX)) {
            fault("secret_env: expected a name that does not begin with TOUCHLINE_; those are settings");
        }
        let own = one.scheme != SchemeName::StandardWebhooks;
        if own != one.header.is_some() {
            fault("header: expected with hmac and token, and with nothing else");
        }
        if one.timestamp_header.is_some() && one.scheme != SchemeName::Hmac {
            fault("timestamp_header: expected with hmac alone");
        }
        for (word, meant) in &one.dispositions {
            if !Reason::from_name(meant).is_some_and(|r| r.is_reached() || r.is_missed()) {
                fault(&format!("dispositions.{word}: {meant:?} is no disposition of ours, such as delivered or undelivered"));
            }
        }
    }
    faults
}
