//! Events to other systems: signed by Standard Webhooks, at least once, in order for each subscription, tried again with growing delays.
mod address;
mod keep;

pub use address::check_url;
pub use keep::{Made, Wanted};

use super::{App, Failure, tls};
use crate::clock::{Clock, sleep_ms};
use crate::config::WebhooksConfig;
use crate::desk::webhooks::Renderer;
use crate::desk::{DeskError, DeskResult};
use crate::domain::signature::{SECRET_PREFIX, SigningSecret, sign};
use crate::domain::time::DAY;
use crate::domain::webhook::{Standing, Tried};
use crate::store::Store;
use crate::store::outbox::Webhook;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Events taken out of the outbox for a subscription at once; after them its place is written.
const PAGE: usize = 100;
/// How often the outbox is looked at, in milliseconds.
const LOOK_MS: u64 = 500;
/// Bytes of an answer that are read; the rest is dropped with the connection.
const ANSWER_BYTES: usize = 1024;

/// A new secret: `whsec_` and 32 random bytes in base64.
pub fn new_secret() -> Result<String, Failure> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut_slice())
        .map_err(|_| Failure::reach("the system gives no random bytes, and without them there is no secret"))?;
    Ok(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes.as_slice())))
}

/// Delivers.
pub struct Postman {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    client: reqwest::Client,
    source: String,
    allow_private: bool,
    give_up: i64,
    seed: u64,
}

/// What a visit to a subscription came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// Events that were taken.
    pub delivered: u64,
    /// Whether a try failed.
    pub failed: bool,
    /// Whether there may be more.
    pub more: bool,
}

impl Postman {
    /// By these settings; `seed`: of the jitter.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: &WebhooksConfig, seed: u64) -> Result<Self, Failure> {
        tls::provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.timeout_s.into()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("touchline/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(address::Resolver { allow_private: config.allow_private }))
            .build()
            .map_err(|e| Failure::reach(format!("webhooks cannot be sent: {e}")))?;
        let give_up = i64::from(config.give_up_days) * DAY;
        Ok(Self { store, clock, client, source: config.source.clone(), allow_private: config.allow_private, give_up, seed })
    }

    /// Visits every subscription whose time has come, all at once.
    pub async fn round(&self) -> DeskResult<Visit> {
        let at = self.clock.now();
        let due: Vec<Webhook> = self.store.webhooks().await?.into_iter().filter(|w| w.standing.is_due(at)).collect();
        let visits = futures_util::future::join_all(due.iter().map(|webhook| self.visit(webhook))).await;
        let mut all = Visit::default();
        for visit in visits {
            let visit = visit?;
            all = Visit { delivered: all.delivered + visit.delivered, failed: all.failed | visit.failed, more: all.more | visit.more };
        }
        Ok(all)
    }

    /// Delivers a page to one subscription, in order; at the first failure it stops, and waits.
    pub async fn visit(&self, webhook: &Webhook) -> DeskResult<Visit> {
        let (events, seen) = self.store.outgoing(webhook, PAGE).await?;
        if seen == webhook.sent {
            return Ok(Visit::default());
        }
        let mut visit = Visit { more: events.len() == PAGE, ..Visit::default() };
        let secret = SigningSecret::standard(&webhook.made.secret).map_err(DeskError::Broken)?;
        let rendered = Renderer::new(&self.source).render(self.store.as_ref(), &events).await?;
        let mut sent = webhook.sent;
        let deliveries: Vec<(i64, usize, Value)> = match (webhook.made.batched, events.last()) {
            (true, Some(last)) => vec![(last.n, events.len(), Value::Array(rendered))],
            _ => events.iter().zip(rendered).map(|(event, value)| (event.n, 1, value)).collect(),
        };
        let first = events.first().map_or(0, |e| e.n);
        let mut standing = Standing { next_at: self.clock.now(), ..Standing::default() };
        for (upto, count, value) in deliveries {
            let id = if webhook.made.batched { format!("evt_{first}-{upto}") } else { format!("evt_{upto}") };
            let tried = self.post(webhook, &secret, &id, &value).await;
            metrics::counter!("touchline_webhook_deliveries_total", "result" => if tried == Tried::Taken { "taken" } else { "failed" }).increment(1);
            if tried == Tried::Taken {
                (sent, visit.delivered) = (upto, visit.delivered + count as u64);
                continue;
            }
            // A success before it in this page has ended what failed before.
            let before = if sent == webhook.sent { webhook.standing } else { Standing::default() };
            let at = self.clock.now();
            standing = before.after(tried, at, self.give_up, self.seed ^ webhook.id.unsigned_abs());
            (visit.failed, visit.more) = (true, false);
            if standing.disabled_at.is_some() {
                tracing::error!(
                    webhook = webhook.id,
                    failures = standing.tries,
                    "a subscription is disabled: its receiver has failed for too long, or is gone. Mend it, then `touchline webhooks enable`"
                );
            }
            break;
        }
        let to = if visit.failed { sent } else { seen };
        if !self.store.report_delivery(webhook.id, webhook.sent, to, standing).await? {
            tracing::info!(webhook = webhook.id, "a subscription was moved or ended while it was served");
        }
        Ok(visit)
    }

    /// One delivery.
    async fn post(&self, webhook: &Webhook, secret: &SigningSecret, id: &str, value: &Value) -> Tried {
        let failed = Tried::Failed { after: None };
        // Also where it was allowed when the subscription was made.
        let Ok(url) = check_url(&webhook.made.url, self.allow_private) else { return failed };
        let body = value.to_string();
        let second = self.clock.now().0.div_euclid(1000);
        let content_type =
            if value.is_array() { "application/cloudevents-batch+json; charset=utf-8" } else { "application/cloudevents+json; charset=utf-8" };
        let request = self
            .client
            .post(url)
            .header("content-type", content_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", second.to_string())
            .header("webhook-signature", sign(secret, id, second, body.as_bytes()))
            .body(body);
        let Ok(answer) = request.send().await else {
            // The text of the error names the URL, which may bear a secret.
            tracing::info!(webhook = webhook.id, "a receiver could not be reached in time");
            return failed;
        };
        let status = answer.status();
        let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
        drain(answer).await;
        if status.is_success() {
            return Tried::Taken;
        }
        tracing::info!(webhook = webhook.id, %status, "a receiver did not take an event");
        if status.as_u16() == 410 { Tried::Gone } else { Tried::Failed { after } }
    }
}

/// Reads the beginning of an answer, so that the connection can be used again; more than that ends the connection.
async fn drain(answer: reqwest::Response) {
    let mut read = 0;
    let mut stream = answer.bytes_stream();
    while let Some(Ok(bytes)) = stream.next().await {
        read += bytes.len();
        if read > ANSWER_BYTES {
            return;
        }
    }
}

impl App {
    /// Whoever delivers events, by the settings.
    pub fn postman(&self, seed: u64) -> Result<Postman, Failure> {
        Postman::new(Arc::clone(&self.store), Arc::clone(&self.clock), &self.config.webhooks, seed)
    }
}

/// Delivers until its runtime ends: each subscription on its own, so that a slow receiver holds up nobody else.
pub async fn deliver(postman: Arc<Postman>) {
    let busy: Arc<Mutex<BTreeSet<i64>>> = Arc::default();
    loop {
        match postman.store.webhooks().await {
            Err(fault) => tracing::warn!(%fault, "subscriptions could not be read; it is tried again"),
            Ok(all) => {
                let at = postman.clock.now();
                for webhook in all.into_iter().filter(|w| w.standing.is_due(at)) {
                    if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(webhook.id) {
                        continue;
                    }
                    let (postman, busy) = (Arc::clone(&postman), Arc::clone(&busy));
                    tokio::spawn(async move {
                        serve(&postman, webhook.id).await;
                        busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&webhook.id);
                    });
                }
            }
        }
        sleep_ms(LOOK_MS).await;
    }
}

/// Delivers to one subscription while there is more.
async fn serve(postman: &Postman, id: i64) {
    loop {
        let visit = match postman.store.webhook(id).await {
            Ok(webhook) if webhook.standing.is_due(postman.clock.now()) => postman.visit(&webhook).await,
            // Ended or disabled meanwhile.
            _ => return,
        };
        match visit {
            Ok(visit) if visit.more => {}
            Ok(_) => return,
            Err(fault) => {
                tracing::warn!(webhook = id, %fault, "events could not be delivered; it is tried again");
                return;
            }
        }
    }
}
