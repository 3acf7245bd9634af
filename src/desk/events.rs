//! Events that the bank's other systems tell: opens, clicks, complaints, ratings, opt-outs, texts of customers. CloudEvents in, each told
//! by its place in the batch what became of it; an event that was taken before changes nothing.
mod find;
mod read;

pub use read::{EventData, IncomingEvent};

use super::DeskResult;
use crate::domain::access::Actor;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentRecord, ConsentState, Purpose, SuppressionRecord};
use crate::domain::ids::CustomerId;
use crate::domain::keywords::{self, Heard};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::inbox::{DeadKind, NewDeadLetter, NewReceipt, Rating};
use find::Found;
use read::{Kind, Read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// Events in one batch at most.
pub const MOST: usize = 1_000;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was taken.
    Taken,
    /// It had been taken before; nothing was changed.
    Repeated,
    /// It is kept as a dead letter for a person to look at.
    ForAPerson,
    /// It was not taken; `detail` says why.
    Rejected,
}

/// What became of the event at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventResult {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, or what was done.
    pub detail: String,
}

/// What a batch is to change. Made by [`plan`], written by [`withdraw`] and then [`keep`].
#[derive(Debug, Default)]
pub struct Plan {
    /// What became of each.
    pub results: Vec<EventResult>,
    /// Who has opted out or complained: the engine must know as soon as it is committed.
    pub withdrawn: Vec<CustomerId>,
    /// Opens and clicks, as receipts of touches.
    pub receipts: Vec<NewReceipt>,
    consents: Vec<(String, ConsentRecord)>,
    suppressions: Vec<(String, SuppressionRecord)>,
    ratings: Vec<Rating>,
    letters: Vec<NewDeadLetter>,
    taken: Vec<(String, String)>,
}

/// Reads a batch and finds out what it means. `again`: a dead letter that is tried once more (taken though its event is known).
pub async fn plan(store: &dyn Store, actor: &Actor, batch: &[Value], again: bool, at: Timestamp) -> DeskResult<Plan> {
    let mut plan = Plan::default();
    let read: Vec<Result<Read, String>> = batch.iter().map(read::read).collect();
    let names: Vec<(String, String)> = read.iter().flatten().map(|r| r.name.clone()).collect();
    let known = store.known_events(&names).await?;
    let known: HashSet<&(String, String)> = names.iter().zip(&known).filter(|(_, known)| **known && !again).map(|(name, _)| name).collect();
    let found = find::find(store, actor, read.iter().flatten().filter(|r| !known.contains(&r.name))).await?;
    let mut seen = HashSet::new();
    for (index, (event, raw)) in read.iter().zip(batch).enumerate() {
        let (verdict, detail) = match event {
            Err(why) => (Verdict::Rejected, why.clone()),
            Ok(event) if known.contains(&event.name) || !seen.insert(&event.name) => (Verdict::Repeated, "taken before".to_owned()),
            Ok(event) => {
                let (verdict, detail) = plan.add(store, event, &found, at).await?;
                if verdict == Verdict::ForAPerson {
                    let raw = serde_json::to_vec(raw).unwrap_or_default();
                    plan.letters.push(NewDeadLetter { source: event.name.0.clone(), kind: DeadKind::Event, reason: detail.clone(), raw });
                }
                if verdict != Verdict::Rejected {
                    plan.taken.push(event.name.clone());
                }
                (verdict, detail)
            }
        };
        plan.results.push(EventResult { index, verdict, detail });
    }
    plan.withdrawn.sort_unstable();
    plan.withdrawn.dedup();
    Ok(plan)
}

/// Commits opt-outs and complaints: first of all, and in as few transactions as there are kinds.
pub async fn withdraw(store: &dyn Store, plan: &Plan) -> DeskResult<()> {
    if !plan.consents.is_empty() {
        store.put_consents(&plan.consents, None).await?;
    }
    if !plan.suppressions.is_empty() {
        store.put_suppressions(&plan.suppressions, None).await?;
    }
    Ok(())
}

/// Commits the rest: dead letters (not of one that is tried again), ratings, and last the events' names: what a kill leaves undone is done
/// when the batch comes again. Receipts are the caller's to post before.
pub async fn keep(store: &dyn Store, plan: &Plan, again: bool, at: Timestamp) -> DeskResult<()> {
    if !plan.letters.is_empty() && !again {
        store.keep_dead_letters(&plan.letters, at).await?;
    }
    if !plan.taken.is_empty() {
        store.keep_events(&plan.taken, &plan.ratings, at).await?;
    }
    Ok(())
}

impl Plan {
    async fn add(&mut self, store: &dyn Store, event: &Read, found: &Found, now: Timestamp) -> DeskResult<(Verdict, String)> {
        let customers = found.customers(event);
        let Some(first) = customers.first() else {
            // A wish not to be contacted is not lost because the customer is not known (by this number) yet.
            let verdict = if matches!(event.kind, Kind::OptedOut | Kind::Complained | Kind::Text) { Verdict::ForAPerson } else { Verdict::Rejected };
            return Ok((verdict, "no customer of this reference, touch or number is known".to_owned()));
        };
        // A clock ahead of ours must not outlive a consent that the customer gives tomorrow.
        let at = event.time.unwrap_or(now).min(now);
        let done = |text: &str| Ok((Verdict::Taken, text.to_owned()));
        match event.kind {
            Kind::Text => {
                let language = found.person(*first).and_then(|p| p.language.as_deref());
                match keywords::hear(event.data.text.as_deref().unwrap_or_default(), language) {
                    Heard::Nothing => done("no opt-out was heard"),
                    Heard::Mentions => Ok((Verdict::ForAPerson, "the text mentions opting out within a sentence: a person must read it".to_owned())),
                    Heard::OptOut { all, word } => {
                        let channel = if all { None } else { Some(event.data.channel.unwrap_or(Channel::Sms)) };
                        let source = format!("text {word:?} (keywords {}), told by {}", keywords::version(), event.name.0);
                        self.opt_out(found, &customers, channel, event.data.purpose.unwrap_or(Purpose::Marketing), at, &source);
                        done(if all { "opted out of every channel" } else { "opted out" })
                    }
                }
            }
            Kind::OptedOut => {
                let source = format!("event, told by {}", event.name.0);
                self.opt_out(found, &customers, event.data.channel, event.data.purpose.unwrap_or(Purpose::Marketing), at, &source);
                done("opted out")
            }
            Kind::Complained => {
                for customer in &customers {
                    let Some(person) = found.person(*customer) else { continue };
                    let source = format!("event, told by {}", event.name.0);
                    let record = SuppressionRecord { channel: event.data.channel, why: "complaint".to_owned(), at, until: None, source };
                    self.suppressions.push((person.reference.clone(), record));
                    self.withdrawn.push(*customer);
                }
                done("complaint on record")
            }
            Kind::Rated | Kind::Opened | Kind::Clicked if customers.len() > 1 => {
                Ok((Verdict::Rejected, "several customers have this number; name one by reference".to_owned()))
            }
            Kind::Rated => {
                let touch = event.touch;
                self.ratings.push(Rating { event: event.name.clone(), customer: *first, touch, rating: event.data.rating.unwrap_or_default(), at });
                done("rating kept")
            }
            Kind::Opened | Kind::Clicked => {
                let Some(touch) = find::touch(store, event, *first, found).await? else {
                    return Ok((Verdict::Rejected, "the customer has no message of ours that this could be about".to_owned()));
                };
                let Some(route) = touch.route else {
                    return Ok((Verdict::Rejected, "that touch was never sent".to_owned()));
                };
                let disposition = if event.kind == Kind::Opened { Reason::Opened } else { Reason::Clicked };
                let provider_ref = touch.provider_ref.as_deref().map(str::to_owned);
                self.receipts.push(NewReceipt { route, provider_ref, touch: Some(touch.key), at, disposition, connected_s: 0, cost_micros: None });
                done("handed to the touch")
            }
        }
    }

    fn opt_out(&mut self, found: &Found, customers: &[CustomerId], channel: Option<Channel>, purpose: Purpose, at: Timestamp, source: &str) {
        for customer in customers {
            let Some(person) = found.person(*customer) else { continue };
            for channel in Channel::ALL.into_iter().filter(|c| channel.is_none_or(|only| only == *c)) {
                let record = ConsentRecord { channel, purpose, state: ConsentState::Withdrawn, at, source: source.to_owned() };
                self.consents.push((person.reference.clone(), record));
            }
            self.withdrawn.push(*customer);
        }
    }
}
