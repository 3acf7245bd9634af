//! What comes in from providers and the bank's other systems: receipts to the inbox and the engine, opt-outs to the consents and the engine.
use super::daemon::{DaemonHandle, Receipt};
use super::{App, Failure};
use crate::clock::{monotonic, sleep_ms};
use crate::desk::DeskError;
use crate::desk::contacts::TouchHeard;
use crate::desk::events::{self, EventResult, Verdict};
use crate::desk::receipts::{self, Deaf, Ear, Posted, Reading};
use crate::domain::access::Actor;
use crate::domain::ids::{CustomerId, RouteId};
use crate::domain::reported::is_house_name;
use crate::domain::signature::Refusal;
use crate::domain::time::DAY;
use crate::store::StoreError;
use crate::store::inbox::{DeadKind, DeadLetter, NewReceipt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Where receipts and opt-outs go: to nobody, until an engine is named.
#[derive(Clone, Default)]
pub struct Ears(Arc<OnceLock<Arc<dyn Ear>>>);

impl Ears {
    /// Names the engine of this process; only the first is heard.
    pub fn name(&self, ear: Arc<dyn Ear>) {
        if self.0.set(ear).is_err() {
            tracing::warn!("receipts go to the engine that was named first");
        }
    }
    fn get(&self) -> &dyn Ear {
        self.0.get().map_or(&Deaf, |ear| ear.as_ref())
    }
}

impl Ear for DaemonHandle {
    fn receipts(&self, route: RouteId, receipts: &[NewReceipt]) -> bool {
        let of = |r: &NewReceipt| Receipt {
            route,
            provider_ref: r.provider_ref.as_deref().unwrap_or_default().into(),
            touch: r.touch,
            at: r.at,
            disposition: r.disposition,
            connected_s: r.connected_s,
            cost_micros: r.cost_micros,
        };
        DaemonHandle::receipts(self, route, receipts.iter().map(of).collect());
        true
    }
    fn withdrawn(&self, customers: &[CustomerId]) -> bool {
        DaemonHandle::withdrawn(self, customers.iter().copied());
        true
    }
}

/// Why a post is not taken.
#[derive(Debug)]
pub enum Unsigned {
    /// No receipts are taken on this route.
    NoRoute,
    /// The secrets of the route cannot be read: ours to mend.
    NoSecret,
    /// The signature does not hold.
    Refused(Refusal),
    /// It holds, and something else failed.
    Failed(Failure),
}

/// Milliseconds between two rounds of the inbox.
const ROUND_MS: u64 = 30_000;
/// Rounds between two clean-ups: an hour.
const CLEAN_ROUNDS: u64 = 120;

impl App {
    /// Takes what a provider has posted on a route.
    pub async fn take_receipts(&self, route: &str, header: impl Fn(&str) -> Option<String> + Send, body: &[u8]) -> Result<Posted, Unsigned> {
        let at = self.now();
        let (id, reading, route_id) = {
            let config = self.config.receipts.get(route).ok_or(Unsigned::NoRoute)?;
            let secrets = config.secrets().map_err(|fault| {
                tracing::error!(route, %fault, "receipts of this route are refused until its secrets can be read");
                Unsigned::NoSecret
            })?;
            let id = config.signed_by().verify(&secrets, &header, body, at).map_err(Unsigned::Refused)?;
            let route_id = self.store.route_id(route).await.map_err(|e| Unsigned::Failed(e.into()))?;
            (id, receipts::read((route, route_id), &config.dispositions, body), route_id)
        };
        let posted = receipts::post(self.store.as_ref(), self.ears.get(), (route, route_id), &id, &reading, at).await;
        let posted = posted.map_err(|e| Unsigned::Failed(e.into()))?;
        metrics::counter!("touchline_receipts_total", "route" => route.to_owned(), "what" => "taken").increment(posted.taken);
        metrics::counter!("touchline_receipts_total", "route" => route.to_owned(), "what" => "dead_letter").increment(posted.dead_letters);
        Ok(posted)
    }

    /// Takes events. `began`: when the request arrived, from which an opt-out is measured to its commit and to the engine.
    pub async fn take_events(&self, actor: &Actor, batch: &[Value], began: Instant) -> Result<Vec<EventResult>, DeskError> {
        self.take(actor, batch, false, began).await
    }

    async fn take(&self, actor: &Actor, batch: &[Value], again: bool, began: Instant) -> Result<Vec<EventResult>, DeskError> {
        let (store, at) = (self.store.as_ref(), self.now());
        let plan = events::plan(store, actor, batch, again, at).await?;
        if !plan.withdrawn.is_empty() {
            events::withdraw(store, &plan).await?;
            self.withdrawn(&plan.withdrawn, began);
        }
        let mut by_route: BTreeMap<RouteId, Vec<NewReceipt>> = BTreeMap::new();
        for receipt in &plan.receipts {
            by_route.entry(receipt.route).or_default().push(receipt.clone());
        }
        for (route, receipts) in by_route {
            // What they say names them: a batch that comes again after a kill posts the same.
            let id = blake3::hash(format!("{route} {receipts:?}").as_bytes()).to_hex().to_string();
            let reading = Reading { receipts, dead: Vec::new() };
            receipts::post(store, self.ears.get(), ("touchline.event", route), &id, &reading, at).await?;
        }
        events::keep(store, &plan, again, at).await?;
        for result in &plan.results {
            metrics::counter!("touchline_events_total", "verdict" => verdict_name(result.verdict)).increment(1);
        }
        Ok(plan.results)
    }

    /// Takes what somebody reports of a campaign's touch, as a receipt of it: on disk before it is answered, so that a kill loses nothing.
    /// `false`: the very same was taken before.
    pub async fn take_report(&self, heard: &TouchHeard) -> Result<bool, DeskError> {
        let store = self.store.as_ref();
        let never = || DeskError::Refused(format!("touch {} was never started: it has no outcome", heard.touch));
        let touch = store.touch(heard.touch).await?.ok_or_else(never)?;
        if is_house_name(&store.campaign_by_id(heard.touch.campaign).await?.name) {
            return Err(DeskError::Refused(format!(
                "touch {} is a contact that was reported: report it again by its own source and id, without `touch`, and the newer report rules",
                heard.touch
            )));
        }
        let route = touch.route.ok_or_else(never)?;
        let provider_ref = touch.provider_ref.as_deref().map_or_else(|| format!("reported:{}", heard.touch), str::to_owned);
        let receipt = NewReceipt {
            route,
            provider_ref: Some(provider_ref),
            touch: Some(heard.touch),
            at: heard.at,
            disposition: heard.disposition,
            connected_s: heard.connected_s,
            cost_micros: None,
        };
        let id = blake3::hash(format!("{} {} {} {}", heard.touch, heard.at, heard.disposition, heard.connected_s).as_bytes()).to_hex().to_string();
        let reading = Reading { receipts: vec![receipt], dead: Vec::new() };
        let posted = receipts::post(store, self.ears.get(), ("touchline.callback", route), &id, &reading, self.now()).await?;
        Ok(!posted.repeated)
    }

    /// Tells the engine of customers who have opted out, which is committed; measures from `began`. For every way in which an opt-out comes.
    pub fn withdrawn(&self, customers: &[CustomerId], began: Instant) {
        metrics::histogram!("touchline_opt_out_seconds", "to" => "commit").record(began.elapsed().as_secs_f64());
        if self.ears.get().withdrawn(customers) {
            metrics::histogram!("touchline_opt_out_seconds", "to" => "engine").record(began.elapsed().as_secs_f64());
        }
    }

    /// Tries a dead letter once more. `Ok`: it was taken and is closed.
    pub async fn retry_dead_letter(&self, actor: &Actor, id: i64) -> Result<DeadLetter, DeskError> {
        let letter = self.open_dead_letter(id).await?;
        let (store, at) = (self.store.as_ref(), self.now());
        let not_yet = |why: &str| DeskError::Refused(format!("dead letter {id} still cannot be taken: {why}. It is kept"));
        match letter.letter.kind {
            DeadKind::Event => {
                let value: Value = serde_json::from_slice(&letter.letter.raw).map_err(|_| not_yet("it is no JSON"))?;
                let results = self.take(actor, &[value], true, monotonic()).await?;
                match results.first() {
                    Some(result) if result.verdict == Verdict::Taken => {}
                    Some(result) => return Err(not_yet(&result.detail)),
                    None => return Err(not_yet("it is empty")),
                }
            }
            DeadKind::Receipts | DeadKind::Receipt => {
                let route = letter.letter.source.as_str();
                let route_id = store.route_id(route).await?;
                let words = self.config.receipts.get(route).map(|r| r.dispositions.clone()).unwrap_or_default();
                let reading = receipts::read((route, route_id), &words, &letter.letter.raw);
                if let Some(dead) = reading.dead.first() {
                    return Err(not_yet(&dead.reason));
                }
                receipts::post(store, self.ears.get(), (route, route_id), &format!("dead-letter:{id}"), &reading, at).await?;
            }
        }
        self.close(id, &format!("taken after a retry by {}", actor.name)).await
    }

    /// Closes a dead letter that somebody has dealt with otherwise.
    pub async fn close_dead_letter(&self, actor: &Actor, id: i64, why: &str) -> Result<DeadLetter, DeskError> {
        if why.trim().is_empty() {
            return Err(DeskError::Refused("expected a reason: it is kept with the dead letter".to_owned()));
        }
        self.open_dead_letter(id).await?;
        self.close(id, &format!("closed by {}: {why}", actor.name)).await
    }

    async fn open_dead_letter(&self, id: i64) -> Result<DeadLetter, DeskError> {
        let letter = self.dead_letter(id).await?;
        match letter.closed {
            None => Ok(letter),
            Some(_) => Err(DeskError::Refused(format!("dead letter {id} has been dealt with already"))),
        }
    }

    async fn close(&self, id: i64, how: &str) -> Result<DeadLetter, DeskError> {
        self.store.close_dead_letter(id, how, self.now()).await?;
        self.dead_letter(id).await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, id: i64) -> Result<DeadLetter, DeskError> {
        let missing = || StoreError::NotFound { what: "dead letter", name: id.to_string(), hint: String::new() };
        Ok(self.store.dead_letter(id).await?.ok_or_else(missing)?)
    }

    /// Goes through the inbox; `all`: at the start of an engine.
    pub async fn inbox_round(&self, all: bool) -> Result<receipts::Round, DeskError> {
        receipts::round(self.store.as_ref(), self.ears.get(), all, self.now()).await
    }

    /// Starts what comes in and goes out beside the engine: the inbox, handed to `engine` (`None`: kept until there is one), and the
    /// deliveries to other systems. `seed`: of their jitter. The tasks end with the runtime.
    pub fn start_events(self: &Arc<Self>, engine: Option<&DaemonHandle>, seed: u64) -> Result<Vec<tokio::task::JoinHandle<()>>, Failure> {
        if let Some(engine) = engine {
            self.ears.name(Arc::new(engine.clone()));
        }
        let postman = Arc::new(self.postman(seed)?);
        Ok(vec![tokio::spawn(Arc::clone(self).keep_inbox()), tokio::spawn(super::webhooks::deliver(postman))])
    }

    /// Goes through the inbox at once and then every half minute, and drops each hour what has been kept long enough. Ends with its runtime.
    pub async fn keep_inbox(self: Arc<Self>) {
        let keep = i64::from(self.config.webhooks.keep_days) * DAY;
        let mut n: u64 = 0;
        loop {
            if let Err(fault) = self.inbox_round(n == 0).await {
                tracing::warn!(%fault, "the inbox could not be gone through; it is tried again");
            }
            if n.is_multiple_of(CLEAN_ROUNDS) {
                let before = self.now().plus(-keep);
                let cleaned = self.store.forget_messages(before).await.and(self.store.trim_events(before).await).map_err(DeskError::from);
                if let Err(fault) = cleaned.and(crate::desk::idempotency::purge(self.store.as_ref(), self.now()).await) {
                    tracing::warn!(%fault, "what has been kept long enough could not be dropped; it is tried again");
                }
            }
            n += 1;
            sleep_ms(ROUND_MS).await;
        }
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Taken => "taken",
        Verdict::Repeated => "repeated",
        Verdict::ForAPerson => "for_a_person",
        Verdict::Rejected => "rejected",
    }
}
