//! Subscriptions as operators keep them: made, listed, ended, enabled, replayed.
use super::{check_url, new_secret};
use crate::app::App;
use crate::desk::webhooks::{self, Shown};
use crate::desk::{DeskError, DeskResult};
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::outbox::NewWebhook;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wanted of a new subscription.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// Where to: https, or http to loopback where `webhooks.allow_private` allows it.
    pub url: String,
    /// Types: `touchline.touch.settled`, `touchline.campaign.status`, `touchline.conversion.credited`, `touchline.customer.opted_out`,
    /// `touchline.task.*`, or `*`.
    pub types: Vec<String>,
    /// Only of campaigns of this name.
    #[serde(default)]
    pub campaign: Option<String>,
    /// Up to 100 events in one delivery (CloudEvents' batch mode).
    #[serde(default)]
    pub batched: bool,
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wanted({:?}, campaign {:?})", self.types, self.campaign)
    }
}

/// A new subscription, with its secret: shown this once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The subscription.
    #[serde(flatten)]
    pub webhook: Shown,
    /// The secret by which deliveries are signed (Standard Webhooks).
    pub secret: String,
}

impl App {
    /// Makes a subscription.
    pub async fn add_webhook(&self, wanted: &Wanted, by: &str) -> DeskResult<Made> {
        check_url(&wanted.url, self.config.webhooks.allow_private).map_err(DeskError::Refused)?;
        let secret = new_secret().map_err(|failure| StoreError::Backend(failure.text))?;
        let new = NewWebhook {
            url: wanted.url.clone(),
            kinds: 0,
            campaign: wanted.campaign.clone(),
            batched: wanted.batched,
            secret: secret.clone(),
            by: by.to_owned(),
            at: self.now(),
        };
        let made = webhooks::add(self.store.as_ref(), new, &wanted.types).await?;
        Ok(Made { webhook: Shown::from(&made), secret })
    }
    /// All of them.
    pub async fn webhooks(&self) -> DeskResult<Vec<Shown>> {
        Ok(self.store.webhooks().await?.iter().map(Shown::from).collect())
    }
    /// Ends one.
    pub async fn remove_webhook(&self, id: i64) -> DeskResult<()> {
        Ok(self.store.remove_webhook(id).await?)
    }
    /// Lets one go on that was disabled, or that waits.
    pub async fn enable_webhook(&self, id: i64) -> DeskResult<Shown> {
        Ok(Shown::from(&self.store.enable_webhook(id, self.now()).await?))
    }
    /// Tells again what came about since; returns how many events lie before it.
    pub async fn replay_webhook(&self, id: i64, since: Timestamp) -> DeskResult<u64> {
        Ok(self.store.replay_webhook(id, since).await?)
    }
}
