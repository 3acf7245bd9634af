//! Receipts that providers post: read, kept before they are answered, handed to the engine until it has them on record, and given up as
//! dead letters when no touch is theirs.
use super::DeskResult;
use crate::domain::ids::{CustomerId, RouteId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::store::Store;
use crate::store::inbox::{DeadKind, InboxReceipt, NewDeadLetter, NewReceipt, Post};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Receipts in one message at most.
pub const MOST: usize = 1_000;
/// A receipt that was handed over is handed over again after so long (milliseconds) when it is not on record; the last is repeated.
const AGAIN: [i64; 4] = [2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR];
/// A receipt of no touch of ours is given up after a day, one that the engine does not take after a week.
const STRANGER_MS: i64 = DAY;
const UNTAKEN_MS: i64 = 7 * DAY;

/// Where receipts and opt-outs go: the engine, when one runs in this process.
pub trait Ear: Send + Sync {
    /// Receipts of a route. `false`: nobody hears them; they stay in the inbox.
    fn receipts(&self, route: RouteId, receipts: &[NewReceipt]) -> bool;
    /// These customers have opted out, and that is committed. `false`: nobody hears it, and nobody is sending.
    fn withdrawn(&self, customers: &[CustomerId]) -> bool;
}

/// Nobody's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Ear for Deaf {
    fn receipts(&self, _: RouteId, _: &[NewReceipt]) -> bool {
        false
    }
    fn withdrawn(&self, _: &[CustomerId]) -> bool {
        false
    }
}

/// A receipt in our canonical form.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PostedReceipt {
    /// The provider's name for the touch, as it gave it when it took the touch. It or `touch`.
    #[serde(default)]
    pub provider_ref: Option<String>,
    /// Our own name for the touch (`campaign-customer-seq`), as it was given to the provider.
    #[serde(default)]
    pub touch: Option<String>,
    /// What came of it, by our name or by one that the route's settings translate.
    pub disposition: String,
    /// When it was so (RFC 3339).
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Seconds of conversation.
    #[serde(default)]
    pub connected_s: u32,
    /// What the provider charges, as decimal text in the campaign's currency.
    #[serde(default)]
    pub cost: Option<String>,
}

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Posted {
    /// Receipts kept.
    pub taken: u64,
    /// Receipts (or whole messages) that could not be read: kept as dead letters.
    pub dead_letters: u64,
    /// The message had been taken before; nothing was changed.
    pub repeated: bool,
}

/// What a message says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Receipts.
    pub receipts: Vec<NewReceipt>,
    /// What could not be read.
    pub dead: Vec<NewDeadLetter>,
}

/// Reads a message of a route: a list of receipts, or one alone. `words`: the provider's names of dispositions.
pub fn read(route: (&str, RouteId), words: &BTreeMap<String, String>, body: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let whole = |reason: String| NewDeadLetter { source: route.0.to_owned(), kind: DeadKind::Receipts, reason, raw: body.to_vec() };
    let items = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(items)) => items,
        Ok(item @ Value::Object(_)) => vec![item],
        Ok(_) => {
            reading.dead.push(whole("expected a list of receipts, found another JSON value".to_owned()));
            return reading;
        }
        // The text of the fault names a place, never what stands there.
        Err(e) => {
            reading.dead.push(whole(format!("expected JSON: fault at line {}, column {}", e.line(), e.column())));
            return reading;
        }
    };
    if items.len() > MOST {
        reading.dead.push(whole(format!("expected at most {MOST} receipts in a message, found {}", items.len())));
        return reading;
    }
    for item in items {
        match read_one(route.1, words, &item) {
            Ok(receipt) => reading.receipts.push(receipt),
            Err(reason) => {
                reading.dead.push(NewDeadLetter { source: route.0.to_owned(), kind: DeadKind::Receipt, reason, raw: item.to_string().into_bytes() })
            }
        }
    }
    reading
}

fn read_one(route: RouteId, words: &BTreeMap<String, String>, item: &Value) -> Result<NewReceipt, String> {
    // What serde says of a wrong value quotes it: which key is wrong is found out without it.
    let posted: PostedReceipt = serde_json::from_value(item.clone())
        .map_err(|_| "expected provider_ref or touch, disposition, at (RFC 3339), and optionally connected_s (a number) and cost (decimal text)")?;
    let touch = posted.touch.as_deref().map(str::parse::<TouchKey>).transpose().map_err(|_| "touch: expected campaign-customer-seq")?;
    let provider_ref = posted.provider_ref.filter(|name| !name.trim().is_empty());
    if touch.is_none() && provider_ref.is_none() {
        return Err("expected provider_ref or touch".to_owned());
    }
    if provider_ref.as_ref().is_some_and(|name| name.len() > 200) {
        return Err("provider_ref: expected at most 200 bytes".to_owned());
    }
    let word = words.get(&posted.disposition).map_or(posted.disposition.as_str(), String::as_str);
    let disposition = Reason::from_name(word).filter(|r| r.is_reached() || r.is_missed()).ok_or_else(|| {
        let known: Vec<&str> = Reason::ALL.iter().filter(|r| r.is_reached() || r.is_missed()).map(|r| r.name()).collect();
        format!("disposition: not known here; say in [receipts.ROUTE.dispositions] which of {} it is", known.join(", "))
    })?;
    let cost_micros = posted.cost.as_deref().map(micros).transpose()?;
    Ok(NewReceipt { route, provider_ref, touch, at: posted.at, disposition, connected_s: posted.connected_s, cost_micros })
}

fn micros(text: &str) -> Result<i64, String> {
    let fault = || "cost: expected decimal text of at most six places, not negative, such as 0.045".to_owned();
    let amount: Decimal = text.trim().parse().map_err(|_| fault())?;
    let scaled = amount.checked_mul(Decimal::from(1_000_000)).filter(|n| n.fract().is_zero() && !n.is_sign_negative()).ok_or_else(fault)?;
    scaled.to_i64().ok_or_else(fault)
}

/// Takes a message: on disk first, then to the engine. A repeated one changes nothing.
pub async fn post(store: &dyn Store, ear: &dyn Ear, route: (&str, RouteId), id: &str, reading: &Reading, at: Timestamp) -> DeskResult<Posted> {
    let next_at = at.plus(AGAIN.first().copied().unwrap_or(MINUTE));
    let message = Post { source: route.0, id, receipts: &reading.receipts, dead: &reading.dead, at, next_at };
    if !store.take_post(&message).await? {
        return Ok(Posted { repeated: true, ..Posted::default() });
    }
    if !reading.receipts.is_empty() {
        // Nobody there: the inbox has them, and the round at the start of an engine hands them over.
        ear.receipts(route.1, &reading.receipts);
    }
    Ok(Posted { taken: reading.receipts.len() as u64, dead_letters: reading.dead.len() as u64, repeated: false })
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Receipts that the engine has on record by now.
    pub confirmed: u64,
    /// Receipts handed over again.
    pub handed: u64,
    /// Receipts given up as dead letters.
    pub buried: u64,
}

/// Goes through the receipts that no engine has on record: confirms, hands over again, gives up. `all`: also those whose time has not come
/// (at the start of an engine: what an engine before it was handed is lost with it; the lattice makes a repetition harmless).
pub async fn round(store: &dyn Store, ear: &dyn Ear, all: bool, at: Timestamp) -> DeskResult<Round> {
    let (mut round, mut after) = (Round::default(), 0);
    loop {
        let open = store.open_receipts((!all).then_some(at), after, MOST).await?;
        let Some(last) = open.last() else { return Ok(round) };
        after = last.id;
        let touches = touches_of(store, &open).await?;
        let known: Vec<(i64, TouchKey)> = open.iter().filter_map(|r| touches.get(&r.id).map(|key| (r.id, *key))).collect();
        let confirmed = store.confirm_receipts(&known).await?;
        round.confirmed += confirmed.len() as u64;
        let mut buried = Vec::new();
        let mut by_route: BTreeMap<(RouteId, u32), Vec<&InboxReceipt>> = BTreeMap::new();
        for open in open.iter().filter(|r| !confirmed.contains(&r.id)) {
            let age = at.since(open.received_at);
            let is_known = touches.contains_key(&open.id);
            if open.tries > 0 && age >= if is_known { UNTAKEN_MS } else { STRANGER_MS } {
                buried.push((open.id, letter(store, open, is_known).await?));
            } else {
                by_route.entry((open.receipt.route, open.tries)).or_default().push(open);
            }
        }
        for ((route, tries), receipts) in by_route {
            let batch: Vec<NewReceipt> = receipts.iter().map(|r| r.receipt.clone()).collect();
            if ear.receipts(route, &batch) {
                let ids: Vec<i64> = receipts.iter().map(|r| r.id).collect();
                let place = usize::try_from(tries).unwrap_or(usize::MAX).min(AGAIN.len() - 1);
                store.receipts_handed(&ids, at.plus(AGAIN.get(place).copied().unwrap_or(HOUR))).await?;
                round.handed += ids.len() as u64;
            }
        }
        if !buried.is_empty() {
            store.bury_receipts(&buried, at).await?;
            round.buried += buried.len() as u64;
        }
    }
}

/// Which touches kept receipts speak of.
async fn touches_of(store: &dyn Store, open: &[InboxReceipt]) -> DeskResult<HashMap<i64, TouchKey>> {
    let mut found: HashMap<i64, TouchKey> = open.iter().filter_map(|r| r.receipt.touch.map(|key| (r.id, key))).collect();
    let mut names: BTreeMap<RouteId, Vec<&str>> = BTreeMap::new();
    for receipt in open.iter().filter(|r| r.receipt.touch.is_none()) {
        names.entry(receipt.receipt.route).or_default().extend(receipt.receipt.provider_ref.as_deref());
    }
    let mut keys: HashMap<(RouteId, Box<str>), TouchKey> = HashMap::new();
    for (route, names) in names {
        for touch in store.awaiting(route, &names).await? {
            if let Some(name) = touch.provider_ref {
                keys.insert((route, name), touch.key);
            }
        }
    }
    for receipt in open {
        if let Some(name) = &receipt.receipt.provider_ref
            && let Some(key) = keys.get(&(receipt.receipt.route, name.as_str().into()))
        {
            found.entry(receipt.id).or_insert(*key);
        }
    }
    Ok(found)
}

async fn letter(store: &dyn Store, open: &InboxReceipt, is_known: bool) -> DeskResult<NewDeadLetter> {
    let receipt = &open.receipt;
    let source = store.routes().await?.into_iter().find(|(id, _)| *id == receipt.route).map(|(_, name)| name).unwrap_or_default();
    let posted = PostedReceipt {
        provider_ref: receipt.provider_ref.clone(),
        touch: receipt.touch.map(|key| key.to_string()),
        disposition: receipt.disposition.name().to_owned(),
        at: receipt.at,
        connected_s: receipt.connected_s,
        cost: receipt.cost_micros.map(|n| crate::domain::money::micros_to_decimal(n).to_string()),
    };
    let reason = if is_known {
        "handed to the engine for a week, and not on record: its campaign's file may not be readable"
    } else {
        "no touch of this name was found within a day: the provider's answer to the send may be missing"
    };
    let raw = serde_json::to_vec(&posted).unwrap_or_default();
    Ok(NewDeadLetter { source, kind: DeadKind::Receipt, reason: reason.to_owned(), raw })
}
