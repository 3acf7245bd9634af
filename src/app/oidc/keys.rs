//! The provider's keys: fetched, kept, fetched anew when they are old or a JWT names one that is not among them (rotation), but at most
//! once a minute, whatever is shown to us. While the provider is down the keys at hand serve for a bounded time.
use super::super::{Failure, tls};
use super::Unknown;
use super::jwt::fits;
use crate::config::OidcConfig;
use crate::domain::time::{MINUTE, SECOND, Timestamp};
use futures_util::StreamExt;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Keys are fetched anew after so long (milliseconds), if anybody asks.
const FRESH_MS: i64 = 10 * MINUTE;
/// Fetches are so far apart at least (milliseconds).
const PAUSE_MS: i64 = MINUTE;
/// Longest answer of a provider that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// A provider answers within this time.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keys, and where they come from.
pub(super) struct Keys {
    provider: Arc<Provider>,
    stale_ms: i64,
    kept: Arc<Mutex<Kept>>,
    /// One fetch at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Where keys are fetched.
struct Provider {
    client: reqwest::Client,
    issuer: String,
    jwks_url: Option<String>,
}

#[derive(Default)]
struct Kept {
    keys: Arc<[Jwk]>,
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    pub(super) fn new(config: &OidcConfig, issuer: &str) -> Result<Self, Failure> {
        tls::provider();
        let mut builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|e| Failure::file("cannot read oidc.ca_file", path, &e))?;
            let fault = |e: reqwest::Error| Failure::use_(format!("oidc.ca_file {}: expected certificates in PEM: {e}", path.display()));
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem).map_err(fault)?);
        }
        let client = builder.build().map_err(|e| Failure::reach(format!("no HTTP client for the identity provider: {e}")))?;
        let stale_ms = i64::from(config.stale_s) * SECOND;
        let provider = Arc::new(Provider { client, issuer: issuer.to_owned(), jwks_url: config.jwks_url.clone() });
        Ok(Self { provider, stale_ms, kept: Arc::default(), turn: Arc::default() })
    }

    /// The key that a JWT names; one that names none gets the only key of its algorithm.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm, at: Timestamp) -> Result<Jwk, Unknown> {
        let (keys, is_fresh) = self.at_hand(at);
        let found = pick(&keys, kid, algorithm);
        if let (Some(key), true) = (&found, is_fresh) {
            return Ok(key.clone());
        }
        self.refresh(at, found.is_none()).await;
        let (keys, _) = self.at_hand(at);
        if keys.is_empty() {
            return Err(Unknown::Unreachable);
        }
        pick(&keys, kid, algorithm).ok_or(Unknown::Refused("its key is not one of the provider's"))
    }

    /// The keys that may be used, and whether they need no look at the provider.
    fn at_hand(&self, at: Timestamp) -> (Arc<[Jwk]>, bool) {
        let kept = self.lock();
        let age = kept.fetched_at.map_or(i64::MAX, |then| at.since(then));
        let keys = if age < FRESH_MS + self.stale_ms { Arc::clone(&kept.keys) } else { Arc::from([]) };
        (keys, age < FRESH_MS)
    }

    fn may_fetch(&self, at: Timestamp) -> bool {
        self.lock().tried_at.is_none_or(|then| at.since(then) >= PAUSE_MS)
    }

    /// Fetches, if it is time. Whoever has no key waits for another's fetch; whoever has one that will do does not.
    async fn refresh(&self, at: Timestamp, waits: bool) {
        let turn = Arc::clone(&self.turn);
        let turn = if waits { Some(turn.lock_owned().await) } else { turn.try_lock_owned().ok() };
        if turn.is_none() || !self.may_fetch(at) {
            return;
        }
        self.lock().tried_at = Some(at);
        let (provider, kept) = (Arc::clone(&self.provider), Arc::clone(&self.kept));
        // A task of its own: whoever shows a made-up key and goes away does not take the minute's fetch along.
        let fetched = tokio::spawn(async move {
            let _turn = turn;
            match provider.fetch().await {
                Ok(keys) => {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    (kept.keys, kept.fetched_at) = (keys.into(), Some(at));
                }
                Err(fault) => tracing::warn!(fault, "the identity provider's keys could not be fetched; those at hand serve until they are too old"),
            }
        });
        let _ = fetched.await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider {
    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
                let found: Discovery = self.get(&url).await?;
                if found.issuer != self.issuer {
                    return Err(format!("{url} is the document of another issuer; expected {}", self.issuer));
                }
                let is_safe = OidcConfig { jwks_url: Some(found.jwks_uri.clone()), issuer: Some(self.issuer.clone()), ..OidcConfig::default() };
                if !is_safe.faults().is_empty() {
                    return Err(format!("{url} names a jwks_uri without TLS"));
                }
                found.jwks_uri
            }
        };
        let set: Set = self.get(&url).await?;
        // A key of a kind that is not known here takes none of the others along.
        let keys: Vec<Jwk> = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        if keys.is_empty() { Err(format!("{url} holds no key of a known kind")) } else { Ok(keys) }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let fault = |e: reqwest::Error| format!("{url}: {}", e.without_url());
        let answer = self.client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(fault)?;
        let (mut body, mut chunks) = (Vec::new(), answer.bytes_stream());
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(fault)?);
            if body.len() > LONGEST {
                return Err(format!("{url}: the answer is longer than {LONGEST} bytes"));
            }
        }
        serde_json::from_slice(&body).map_err(|e| format!("{url}: not the JSON that was expected: {e}"))
    }
}

fn pick(keys: &[Jwk], kid: Option<&str>, algorithm: Algorithm) -> Option<Jwk> {
    let mut fitting = keys.iter().filter(|key| fits(key, algorithm) && (kid.is_none() || key.common.key_id.as_deref() == kid));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}
