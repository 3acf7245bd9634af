//! Contacts that happened elsewhere, as RMs and other systems report them; and the hold: "I am meeting her".
use super::{DeskError, DeskResult};
use crate::domain::access::{Actor, Role};
use crate::domain::channel::Channel;
use crate::domain::consent::{HoldRecord, LATEST_HOLD, Purpose};
use crate::domain::ids::{TaskId, TouchKey};
use crate::domain::outcome::{Disposition, Reason};
use crate::domain::reported::Report;
use crate::domain::time::{DAY, SECOND, Timestamp};
use crate::domain::worklist::TaskResult;
use crate::domain::worklist::lease::SKEW_MS;
use crate::store::{CustomerRow, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A contact that happened, as it is reported.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// The system that reports; left out: whoever calls. Only a system may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// That system's own name for the contact: the same again, later and corrected, is the same contact.
    pub id: String,
    /// The bank's reference of the customer.
    pub customer: String,
    /// How; a conversation face to face is `worklist`.
    #[serde(default = "by_call")]
    pub channel: Channel,
    /// What for; left out: `marketing`, the strictest, so that a purpose left unsaid passes no cap.
    #[serde(default = "for_marketing")]
    pub purpose: Purpose,
    /// When it began (RFC 3339).
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// What came of it: a disposition of a customer reached or missed.
    pub disposition: Disposition,
    /// Seconds of conversation.
    #[serde(default)]
    pub connected_s: u32,
    /// When this was reported: a later report corrects an earlier one. Left out: when the contact ended.
    #[serde(default, with = "crate::domain::time::iso_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// The campaign's touch that it is the outcome of (campaign-customer-seq), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<String>,
    /// The task that it is the outcome of, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<i64>,
}

fn by_call() -> Channel {
    Channel::Call
}

fn for_marketing() -> Purpose {
    Purpose::Marketing
}

/// A recorded contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ContactSeen {
    /// The system that reported it.
    pub source: String,
    /// Its name there.
    pub id: String,
    /// The touch that it is.
    pub touch: String,
    /// `reached` or `missed`.
    pub state: String,
    /// What came of it.
    pub disposition: Disposition,
    /// When it began.
    pub started_at: String,
    /// When the report that rules was made.
    pub reported_at: String,
}

/// What a report is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A contact of its own, recorded; `made`: it was not known before.
    Contact {
        /// As it stands.
        contact: ContactSeen,
        /// New.
        made: bool,
    },
    /// The outcome of a campaign's touch: a receipt, for the engine to record.
    Receipt(TouchHeard),
    /// The outcome of a task: a result, for the worklist to record.
    Task(TaskId, TaskResult),
}

/// What was heard of a campaign's touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TouchHeard {
    /// Which.
    pub touch: TouchKey,
    /// What came of it.
    pub disposition: Disposition,
    /// Seconds of conversation.
    pub connected_s: u32,
    /// When it was so.
    pub at: Timestamp,
}

/// A customer whom the actor may see; for all others the answer is that there is none.
pub async fn customer_of(store: &dyn Store, actor: &Actor, reference: &str) -> DeskResult<CustomerRow> {
    let found = store.customer(reference).await?.filter(|c| actor.sees(c.branch.as_deref(), c.rm.as_deref()));
    found.ok_or_else(|| no_customer(reference))
}

fn no_customer(reference: &str) -> DeskError {
    StoreError::NotFound { what: "customer", name: reference.to_owned(), hint: "; give the bank's own number".to_owned() }.into()
}

/// What is wrong with a name of at most `most` characters, if anything.
pub(super) fn name_fault(field: &str, text: &str, most: usize) -> Option<String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Some(format!("{field}: expected 1 to {most} characters, found none"))
    } else if length > most {
        Some(format!("{field}: expected 1 to {most} characters, found {length}"))
    } else if text.chars().any(char::is_control) {
        Some(format!("{field}: expected one line of text, found a control character"))
    } else {
        None
    }
}

/// The source that a report counts as: what it names, which only a system may, else the caller.
pub(super) fn source_of(actor: &Actor, named: Option<&str>, faults: &mut Vec<String>) -> String {
    let source = named.unwrap_or(&actor.name);
    faults.extend(name_fault("source", source, 100));
    if source != actor.name && !actor.roles.has(Role::System) {
        faults.push("source: only a system may report for another source; leave it out".to_owned());
    }
    source.to_owned()
}

/// Answers with every fault; when the only one is a customer who is not known (to this caller), with that.
pub(super) fn no_faults(faults: Vec<String>, customer: Option<CustomerRow>, reference: &str) -> DeskResult<CustomerRow> {
    match customer {
        Some(customer) if faults.is_empty() => Ok(customer),
        None if faults.is_empty() => Err(no_customer(reference)),
        None => Err(DeskError::Unfit([faults, vec!["customer: expected one that is known; give the bank's own number".to_owned()]].concat())),
        Some(_) => Err(DeskError::Unfit(faults)),
    }
}

/// Takes a report of a contact. Repeated, late and reordered reports are harmless (`domain::reported`).
pub async fn happened(store: &dyn Store, actor: &Actor, said: &Happened, now: Timestamp) -> DeskResult<Heard> {
    let mut faults = Vec::new();
    let source = source_of(actor, said.source.as_deref(), &mut faults);
    faults.extend(name_fault("id", &said.id, 100));
    if said.started_at > now.plus(SKEW_MS) {
        faults.push(format!("started_at: expected when the contact began, found an instant after the present ({now})"));
    }
    if !said.disposition.is_reached() && !said.disposition.is_missed() {
        let known: Vec<&str> = Reason::ALL.iter().filter(|r| r.is_reached() || r.is_missed()).map(|r| r.name()).collect();
        faults.push(format!("disposition: expected one of {}, found {}", known.join(", "), said.disposition));
    }
    if said.connected_s > 86_400 {
        faults.push(format!("connected_s: expected the seconds of one conversation (86400 at most), found {}", said.connected_s));
    }
    let at = said.at.unwrap_or_else(|| said.started_at.plus(i64::from(said.connected_s) * SECOND));
    if at > now.plus(SKEW_MS) {
        faults.push(format!("at: expected when the report was made, found an instant after the present ({now})"));
    }
    let touch = said.touch.as_deref().and_then(|text| text.parse::<TouchKey>().map_err(|fault| faults.push(format!("touch: {fault}"))).ok());
    if said.touch.is_some() && said.task.is_some() {
        faults.push("touch, task: expected one of them, found both".to_owned());
    }
    let customer = customer_of(store, actor, &said.customer).await.map(Some).or_else(unknown)?;
    let customer = no_faults(faults, customer, &said.customer)?;
    if let Some(key) = touch {
        let known = store.touch(key).await?.filter(|touch| touch.key.customer == customer.id);
        known.ok_or_else(|| StoreError::NotFound { what: "touch", name: key.to_string(), hint: " for this customer".to_owned() })?;
        return Ok(Heard::Receipt(TouchHeard { touch: key, disposition: said.disposition, connected_s: said.connected_s, at }));
    }
    if let Some(id) = said.task {
        let known = store.task(TaskId(id)).await?.filter(|task| task.made.customer == customer.id);
        let task = known.ok_or_else(|| StoreError::NotFound { what: "task", name: id.to_string(), hint: " for this customer".to_owned() })?;
        let result = TaskResult { disposition: said.disposition, connected_s: said.connected_s, notes: None, next_contact: None, at };
        return Ok(Heard::Task(task.id, result));
    }
    let report = Report {
        source,
        reference: said.id.clone(),
        customer: customer.id,
        channel: said.channel,
        purpose: said.purpose,
        started_at: said.started_at,
        disposition: said.disposition,
        connected_s: said.connected_s,
        at,
        by: actor.name.clone(),
    };
    let reported = store.report_contact(&report).await?;
    let kept = reported.contact;
    let contact = ContactSeen {
        state: kept.report.state().name().to_owned(),
        disposition: kept.report.disposition,
        started_at: kept.report.started_at.to_string(),
        reported_at: kept.report.at.to_string(),
        touch: kept.touch.to_string(),
        source: kept.report.source,
        id: kept.report.reference,
    };
    Ok(Heard::Contact { contact, made: reported.made })
}

/// A customer who is not there is a fault among others.
pub(super) fn unknown(fault: DeskError) -> DeskResult<Option<CustomerRow>> {
    match fault {
        DeskError::Store(StoreError::NotFound { .. }) => Ok(None),
        other => Err(other),
    }
}

/// A hold is at most so long: longer is no meeting, and a customer who wants to be left alone opts out.
pub const LONGEST_HOLD_MS: i64 = 90 * DAY;

/// "I am meeting her."
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldAsked {
    /// Until when (RFC 3339); rounded up to a quarter of an hour.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// Why, in a few words without personal data.
    pub why: String,
}

/// How a customer's hold stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HoldSeen {
    /// The customer.
    pub customer: String,
    /// Until when touches on all channels but the RM's worklist wait; `null`: nothing holds them.
    pub held_until: Option<String>,
}

/// Holds a customer's touches on all channels but the worklist. Whoever says it last rules.
pub async fn hold(store: &dyn Store, actor: &Actor, reference: &str, asked: &HoldAsked, now: Timestamp) -> DeskResult<HoldSeen> {
    let mut faults: Vec<String> = name_fault("why", &asked.why, 200).into_iter().collect();
    if asked.until <= now {
        faults.push(format!("until: expected an instant to come, found one that is over ({now}); to lift a hold: DELETE"));
    }
    if asked.until > now.plus(LONGEST_HOLD_MS).min(LATEST_HOLD) {
        faults.push("until: expected 90 days from now at most; for longer, record an opt-out or a suppression".to_owned());
    }
    let customer = customer_of(store, actor, reference).await.map(Some).or_else(unknown)?;
    let customer = no_faults(faults, customer, reference)?;
    say(store, &customer, HoldRecord { until: Some(asked.until), by: actor.name.clone(), why: asked.why.clone(), at: now }).await
}

/// Lifts a customer's hold: what it had put off is due at once.
pub async fn lift(store: &dyn Store, actor: &Actor, reference: &str, now: Timestamp) -> DeskResult<HoldSeen> {
    let customer = customer_of(store, actor, reference).await?;
    if customer.contactability.held_until().is_none() {
        return Ok(HoldSeen { customer: customer.reference, held_until: None });
    }
    say(store, &customer, HoldRecord { until: None, by: actor.name.clone(), why: "lifted".to_owned(), at: now }).await
}

async fn say(store: &dyn Store, customer: &CustomerRow, word: HoldRecord) -> DeskResult<HoldSeen> {
    let until = store.hold(customer.id, &word).await?;
    Ok(HoldSeen { customer: customer.reference.clone(), held_until: until.map(|until| until.to_string()) })
}
