//! Subscriptions of other systems: made, shown, replayed; and what they are told, as CloudEvents 1.0 without contact details.
use super::{DeskError, DeskResult};
use crate::campaign_file;
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::ids::{CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::money::{Currency, Money, micros_to_decimal};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::domain::webhook::EventKind;
use crate::domain::worklist::TaskKind;
use crate::store::outbox::{CreditBody, EventRow, NewWebhook, OptOutBody, StatusBody, TaskBody, TouchBody, Webhook};
use crate::store::{CampaignRow, Needs, Status, Store};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A subscription as it is shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Its number.
    pub id: i64,
    /// Where to.
    pub url: String,
    /// Types of events.
    pub types: Vec<String>,
    /// Only of campaigns of this name.
    pub campaign: Option<String>,
    /// Several events in one delivery.
    pub batched: bool,
    /// Who made it.
    pub by: String,
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub made_at: Timestamp,
    /// Whether it is sent to.
    pub enabled: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Since the first of them.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub failing_since: Option<Timestamp>,
    /// Not before.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub next_at: Timestamp,
    /// Events up to this number are dealt with.
    pub sent: i64,
}

impl From<&Webhook> for Shown {
    fn from(webhook: &Webhook) -> Self {
        let made = &webhook.made;
        Self {
            id: webhook.id,
            url: made.url.clone(),
            types: EventKind::patterns(made.kinds),
            campaign: made.campaign.clone(),
            batched: made.batched,
            by: made.by.clone(),
            made_at: made.at,
            enabled: webhook.standing.disabled_at.is_none(),
            failures: webhook.standing.tries,
            failing_since: webhook.standing.failing_since,
            next_at: webhook.standing.next_at,
            sent: webhook.sent,
        }
    }
}

/// Makes a subscription of an address that has been checked.
pub async fn add(store: &dyn Store, new: NewWebhook, types: &[String]) -> DeskResult<Webhook> {
    let mut kinds = 0;
    for pattern in types {
        kinds |= EventKind::bits(pattern).ok_or_else(|| {
            DeskError::Refused(format!("expected types among {}, or *; found {pattern:?}", EventKind::patterns(i64::MAX).join(", ")))
        })?;
    }
    if kinds == 0 {
        return Err(DeskError::Refused("expected at least one type of event".to_owned()));
    }
    Ok(store.add_webhook(&NewWebhook { kinds, ..new }).await?)
}

/// Writes events out; keeps what it has looked up of campaigns, which do not change their names and steps.
pub struct Renderer {
    source: String,
    campaigns: HashMap<CampaignId, (CampaignRow, Vec<String>)>,
    routes: HashMap<RouteId, String>,
}

impl Renderer {
    /// `source`: what CloudEvents call us.
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), campaigns: HashMap::new(), routes: HashMap::new() }
    }

    /// Events as CloudEvents, in order. The id of each is its number: the same in every repetition.
    pub async fn render(&mut self, store: &dyn Store, events: &[EventRow]) -> DeskResult<Vec<Value>> {
        let customers: Vec<CustomerId> = events.iter().filter_map(|e| e.customer).collect();
        let needs = Needs { person: true, ..Needs::default() };
        let members = if customers.is_empty() { Vec::new() } else { store.members(&customers, needs).await? };
        let people: HashMap<CustomerId, String> = members.into_iter().filter_map(|m| m.person.map(|p| (m.id, p.reference))).collect();
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            if let Some(id) = event.campaign
                && !self.campaigns.contains_key(&id)
                && let Ok(row) = store.campaign_by_id(id).await
            {
                let steps = campaign_file::load(&row.name, &row.source).map(|c| c.steps.into_iter().map(|s| s.name).collect()).unwrap_or_default();
                self.campaigns.insert(id, (row, steps));
            }
            all.push(self.one(store, event, &people).await?);
        }
        Ok(all)
    }

    async fn one(&mut self, store: &dyn Store, event: &EventRow, people: &HashMap<CustomerId, String>) -> DeskResult<Value> {
        let campaign = event.campaign.and_then(|id| self.campaigns.get(&id));
        let customer = event.customer.and_then(|id| people.get(&id));
        let mut kind = event.kind.name().to_owned();
        let mut data = json!({});
        if let Some(customer) = customer {
            put(&mut data, "customer", customer.as_str());
        }
        if let Some((row, _)) = campaign {
            put(&mut data, "campaign", row.name.as_str());
            put(&mut data, "campaign_version", row.version);
        }
        let currency = campaign.map_or(Currency::CNY, |(row, _)| row.currency);
        match event.kind {
            EventKind::TouchSettled => {
                let body: TouchBody = read(event)?;
                let step = campaign.and_then(|(_, steps)| steps.get(usize::from(body.step))).cloned();
                if let Some(route) = body.route.map(RouteId) {
                    if !self.routes.contains_key(&route) {
                        self.routes = store.routes().await?.into_iter().collect();
                    }
                    put(&mut data, "route", self.routes.get(&route).cloned());
                }
                if let (Some(customer), Some(campaign)) = (event.customer, event.campaign) {
                    put(&mut data, "touch", TouchKey { customer, campaign, seq: body.seq }.to_string());
                }
                put(&mut data, "step", step);
                put(&mut data, "attempt", body.attempt);
                put(&mut data, "channel", body.channel.and_then(|c| Channel::from_code(c.into())).map(Channel::name));
                put(&mut data, "state", State::from_code(body.state.into()).map(State::name));
                put(&mut data, "reason", Reason::from_code(body.reason.into()).map(Reason::name));
                put(&mut data, "started_at", body.started_at.map(|t| Timestamp(t).to_string()));
                put(&mut data, "ended_at", event.at.to_string());
                put(&mut data, "connected_s", body.connected_s);
                put(&mut data, "cost", json!({"amount": micros_to_decimal(body.cost_micros).to_string(), "currency": currency.code()}));
                put(&mut data, "parts", body.parts);
            }
            EventKind::CampaignStatus => {
                let body: StatusBody = read(event)?;
                put(&mut data, "status", Status::from_code(body.status).map(Status::name));
                put(&mut data, "reason", body.reason.and_then(Reason::from_code).map(Reason::name));
            }
            EventKind::ConversionCredited => {
                let body: CreditBody = read(event)?;
                let currency: Currency = body.currency.parse().map_err(DeskError::Broken)?;
                let amount = Money { minor: body.amount_minor, currency }.decimal().to_string();
                if let (Some(customer), Some(campaign), Ok(seq)) = (event.customer, event.campaign, u32::try_from(body.seq)) {
                    put(&mut data, "touch", TouchKey { customer, campaign, seq }.to_string());
                }
                put(&mut data, "conversion", body.rule);
                put(&mut data, "fact", body.fact_ref);
                put(&mut data, "fact_kind", body.fact_kind);
                put(&mut data, "amount", json!({"amount": amount, "currency": currency.code()}));
                put(&mut data, "reversed", body.reversed == 1);
                put(&mut data, "at", event.at.to_string());
            }
            EventKind::OptedOut => {
                let body: OptOutBody = read(event)?;
                put(&mut data, "channel", Channel::from_code(body.channel).map(Channel::name));
                put(&mut data, "purpose", Purpose::from_code(body.purpose).map(Purpose::name));
            }
            EventKind::Task => {
                let body: TaskBody = read(event)?;
                kind = format!("{kind}.{}", body.what);
                put(&mut data, "task", body.task);
                put(&mut data, "kind", TaskKind::from_code(body.kind).map(TaskKind::name));
            }
        }
        let subject = customer.cloned().or_else(|| campaign_name(self, event));
        let mut out = json!({
            "specversion": "1.0", "id": event.n.to_string(), "source": self.source, "type": kind, "time": event.at.to_string(),
            "datacontenttype": "application/json", "data": data,
        });
        if let Some(subject) = subject {
            put(&mut out, "subject", subject);
        }
        Ok(out)
    }
}

fn campaign_name(renderer: &Renderer, event: &EventRow) -> Option<String> {
    event.campaign.and_then(|id| renderer.campaigns.get(&id)).map(|(row, _)| row.name.clone())
}

fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

fn read<T: DeserializeOwned>(event: &EventRow) -> DeskResult<T> {
    serde_json::from_str(&event.body).map_err(|e| DeskError::Broken(format!("event {} cannot be read: {e}", event.n)))
}
