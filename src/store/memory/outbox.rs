//! Subscriptions, and the events that are told to them.
use super::MemoryStore;
use super::state::State;
use crate::domain::consent::{ConsentRecord, ConsentState};
use crate::domain::ids::TaskId;
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use crate::store::outbox::{CreditBody, EventKind, EventRow, NewWebhook, OptOutBody, Outbox, Standing, StatusBody, TaskBody, TouchBody, Webhook};
use crate::store::tasks::{TaskEvent, TaskKind};
use crate::store::{CreditRow, StoreError, StoreResult};
use async_trait::async_trait;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is kept of what goes out.
#[derive(Clone, Default)]
pub(super) struct Outbound {
    webhooks: BTreeMap<i64, Webhook>,
    made: i64,
    events: BTreeMap<i64, EventRow>,
    told: i64,
}

fn no_webhook(id: i64) -> StoreError {
    StoreError::NotFound { what: "webhook", name: id.to_string(), hint: "; `touchline webhooks list` shows those there are".to_owned() }
}

impl State {
    fn is_wanted(&self, kind: EventKind) -> bool {
        self.outbound.webhooks.values().any(|w| w.made.kinds & kind.bit() != 0)
    }

    fn tell(&mut self, kind: EventKind, at: Timestamp, campaign: Option<CampaignId>, customer: Option<CustomerId>, body: &impl Serialize) {
        self.outbound.told += 1;
        let n = self.outbound.told;
        let body = serde_json::to_string(body).unwrap_or_default();
        self.outbound.events.insert(n, EventRow { n, kind, at, campaign, customer, body });
    }

    /// Tells of a touch that has been settled.
    pub(super) fn tell_settled(&mut self, touch: &Touch) {
        if TouchBody::is_told(touch.state) && !touch.key.campaign.is_rehearsal() && self.is_wanted(EventKind::TouchSettled) {
            let at = touch.ended_at.or(touch.started_at).unwrap_or_default();
            self.tell(EventKind::TouchSettled, at, Some(touch.key.campaign), Some(touch.key.customer), &TouchBody::of(touch));
        }
    }

    /// Tells of the newest entry of a run's history, if it changed the status.
    pub(super) fn tell_status(&mut self, run: CampaignId) {
        let history = self.runs.get(&run).map(|r| r.history.as_slice()).unwrap_or_default();
        let (Some(change), before) = (history.last().cloned(), history.iter().rev().nth(1).map(|h| h.to)) else { return };
        if before != Some(change.to) && !run.is_rehearsal() && self.is_wanted(EventKind::CampaignStatus) {
            let body = StatusBody { status: change.to.code().into(), reason: change.reason.map(|r| r.code().into()) };
            self.tell(EventKind::CampaignStatus, change.at, Some(run), None, &body);
        }
    }

    /// Tells of lines that were added to a task's history.
    pub(super) fn tell_task(&mut self, task: TaskId, about: (CustomerId, TaskKind, Option<CampaignId>), events: &[TaskEvent]) {
        let (customer, kind, campaign) = about;
        for event in events {
            if self.is_wanted(EventKind::Task) {
                let body = TaskBody { task: task.0, what: event.what.clone(), kind: kind.code().into() };
                self.tell(EventKind::Task, event.at, campaign, Some(customer), &body);
            }
        }
    }

    /// Tells of a consent that is new on record, if it is taken back by it.
    pub(super) fn tell_consent(&mut self, customer: CustomerId, record: &ConsentRecord) {
        if record.state == ConsentState::Withdrawn && self.is_wanted(EventKind::OptedOut) {
            let body = OptOutBody { channel: record.channel.code().into(), purpose: record.purpose.code().into() };
            self.tell(EventKind::OptedOut, record.at, None, Some(customer), &body);
        }
    }

    /// Tells of credits of a rule that are about to be replaced by `new`.
    pub(super) fn tell_credits(&mut self, campaign: CampaignId, rule: &str, new: &[CreditRow]) {
        if campaign.is_rehearsal() || !self.is_wanted(EventKind::ConversionCredited) {
            return;
        }
        let place = |c: &CreditRow| (c.customer, c.fact, c.seq);
        let old: Vec<CreditRow> = self.credits.values().filter(|c| c.campaign == campaign && c.rule == rule).cloned().collect();
        let same = |a: &CreditRow, all: &[CreditRow]| all.iter().any(|b| place(a) == place(b) && a.amount == b.amount);
        let mut gone: Vec<&CreditRow> = old.iter().filter(|c| c.seq.is_some() && !same(c, new)).collect();
        let mut come: Vec<&CreditRow> = new.iter().filter(|c| c.seq.is_some() && !same(c, &old)).collect();
        gone.sort_by_key(|c| place(c));
        come.sort_by_key(|c| place(c));
        for (credit, reversed) in gone.into_iter().map(|c| (c, 1)).chain(come.into_iter().map(|c| (c, 0))) {
            let Some(fact) = self.facts.get(&credit.fact).cloned() else { continue };
            let body = CreditBody {
                rule: rule.to_owned(),
                fact_ref: fact.fact_ref,
                fact_kind: fact.kind,
                seq: credit.seq.map_or(-1, i64::from),
                amount_minor: credit.amount.minor,
                currency: credit.amount.currency.code().to_owned(),
                reversed,
            };
            self.tell(EventKind::ConversionCredited, credit.at, Some(campaign), Some(credit.customer), &body);
        }
    }

    fn webhook_mut(&mut self, id: i64) -> StoreResult<&mut Webhook> {
        self.outbound.webhooks.get_mut(&id).ok_or_else(|| no_webhook(id))
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn add_webhook(&self, new: &NewWebhook) -> StoreResult<Webhook> {
        let mut state = self.lock();
        state.outbound.made += 1;
        let id = state.outbound.made;
        let made = Webhook { id, made: new.clone(), sent: state.outbound.told, standing: Standing { next_at: new.at, ..Standing::default() } };
        state.outbound.webhooks.insert(id, made.clone());
        Ok(made)
    }

    async fn webhooks(&self) -> StoreResult<Vec<Webhook>> {
        Ok(self.lock().outbound.webhooks.values().cloned().collect())
    }

    async fn webhook(&self, id: i64) -> StoreResult<Webhook> {
        self.lock().outbound.webhooks.get(&id).cloned().ok_or_else(|| no_webhook(id))
    }

    async fn remove_webhook(&self, id: i64) -> StoreResult<()> {
        self.lock().outbound.webhooks.remove(&id).map(drop).ok_or_else(|| no_webhook(id))
    }

    async fn enable_webhook(&self, id: i64, at: Timestamp) -> StoreResult<Webhook> {
        let mut state = self.lock();
        let webhook = state.webhook_mut(id)?;
        webhook.standing = Standing { next_at: at, ..Standing::default() };
        Ok(webhook.clone())
    }

    async fn replay_webhook(&self, id: i64, since: Timestamp) -> StoreResult<u64> {
        let mut state = self.lock();
        let first = state.outbound.events.values().find(|e| e.at >= since).map(|e| e.n);
        let webhook = state.webhook_mut(id)?;
        let Some(first) = first else { return Ok(0) };
        webhook.sent = webhook.sent.min(first - 1);
        let sent = webhook.sent;
        Ok(state.outbound.events.range(sent + 1..).count() as u64)
    }

    async fn outgoing(&self, webhook: &Webhook, limit: usize) -> StoreResult<(Vec<EventRow>, i64)> {
        let state = self.lock();
        let Some(newest) = state.outbound.events.keys().next_back().copied().filter(|n| *n > webhook.sent) else {
            return Ok((Vec::new(), webhook.sent));
        };
        let of_campaign = |event: &EventRow| match &webhook.made.campaign {
            None => true,
            Some(name) => event.campaign.and_then(|id| state.runs.get(&id)).is_some_and(|run| run.row.name == *name),
        };
        let events = state.outbound.events.range(webhook.sent + 1..).map(|(_, event)| event);
        let events: Vec<EventRow> = events.filter(|e| e.kind.bit() & webhook.made.kinds != 0 && of_campaign(e)).take(limit).cloned().collect();
        let seen = if events.len() < limit { newest } else { events.last().map_or(newest, |e| e.n) };
        Ok((events, seen))
    }

    async fn report_delivery(&self, id: i64, from: i64, to: i64, standing: Standing) -> StoreResult<bool> {
        let mut state = self.lock();
        let Some(webhook) = state.outbound.webhooks.get_mut(&id).filter(|w| w.sent == from) else { return Ok(false) };
        (webhook.sent, webhook.standing) = (to, standing);
        Ok(true)
    }

    async fn trim_events(&self, before: Timestamp) -> StoreResult<u64> {
        let mut state = self.lock();
        let events = &mut state.outbound.events;
        let first = events.values().find(|e| e.at >= before).map_or(i64::MAX, |e| e.n);
        let had = events.len();
        *events = events.split_off(&first);
        Ok((had - events.len()) as u64)
    }
}
