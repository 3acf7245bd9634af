//! `[oidc]`: the bank's identity provider.
use crate::domain::access::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The bank's identity provider, and what its tokens say in our words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OidcConfig {
    /// Its name, as its tokens have it (`iss`); left out: none is trusted.
    pub issuer: Option<String>,
    /// What tokens for us carry as `aud`.
    pub audience: String,
    /// Where its keys are; left out: as its discovery document says.
    pub jwks_url: Option<String>,
    /// PEM file of the bank's own certificate authority, trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// The claim that holds the person's name.
    pub name_claim: String,
    /// The claim that holds groups or roles.
    pub roles_claim: String,
    /// The claim that holds the branch.
    pub branch_claim: String,
    /// The claim that holds the relationship manager's reference.
    pub rm_claim: String,
    /// Groups to roles; empty: groups named as our roles count as these.
    pub roles: BTreeMap<String, Role>,
    /// Seconds for which keys serve when the provider cannot be reached.
    #[schemars(range(min = 60, max = 86_400))]
    pub stale_s: u32,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: "touchline".to_owned(),
            jwks_url: None,
            ca_file: None,
            name_claim: "preferred_username".to_owned(),
            roles_claim: "roles".to_owned(),
            branch_claim: "branch".to_owned(),
            rm_claim: "rm".to_owned(),
            roles: BTreeMap::new(),
            stale_s: 3_600,
        }
    }
}

impl OidcConfig {
    /// Faults that types alone do not exclude.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, url) in [("issuer", &self.issuer), ("jwks_url", &self.jwks_url)] {
            if let Some(url) = url
                && !is_safe(url)
            {
                faults.push(format!(
                    "oidc.{key}: expected an https:// address (http:// only on this machine): keys that anybody can swap prove nothing"
                ));
            }
        }
        if self.issuer.is_none() && self.jwks_url.is_some() {
            faults.push("oidc.issuer: oidc.jwks_url is set, but not whose tokens it is for".to_owned());
        }
        if self.audience.is_empty() {
            faults.push("oidc.audience: expected what the provider writes as `aud` of tokens for this system".to_owned());
        }
        if !(60..=86_400).contains(&self.stale_s) {
            faults.push(format!("oidc.stale_s: expected 60 to 86400, found {}", self.stale_s));
        }
        faults
    }
}

/// Encrypted, or on this machine.
fn is_safe(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in ["https://id.bank.example/x", "http://127.0.0.1:8080/x", "http://localhost", "http://[::1]:9/"] {
            assert!(is_safe(good), "{good}");
        }
        for bad in ["http://id.bank.example", "http://127.0.0.1.evil.example/", "http://localhost@evil.example/", "ftp://x", ""] {
            assert!(!is_safe(bad), "{bad}");
        }
    }
}
