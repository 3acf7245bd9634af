//! `begin`: decide and commit a batch of touches before anybody is called.
use super::batches::{self, json_arguments};
use super::bulk;
use super::consents::changed_since;
use super::rows::{INSERT, RESTART, cells, change, code};
use super::sums::Sums;
use super::{SqliteStore, Writing, packed, reports};
use crate::domain::caps::PastContact;
use crate::domain::channel::Channel;
use crate::domain::consent::{Contactability, Purpose};
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::{Before, BeginRequest, Begun, Candidate, ContactFacts, Decide, StoreError, StoreResult};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqliteConnection};
use std::collections::{HashMap, HashSet};

/// What the campaign's row says.
struct Standing {
    cursor: i64,
    called_off: bool,
}

pub(super) async fn begin(store: &SqliteStore, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun> {
    let mut writer = store.writer_after_small_ones().await;
    let mut writing = writer.begin().await?;
    // A rehearsal sends nothing: a copy of the database that does not know of it would make nobody's touch again.
    let ledger_seq = if request.campaign.is_rehearsal() {
        super::lease::check(&mut writing.tx, request.fence).await?;
        None
    } else {
        Some(super::lease::count_begin(&mut writing.tx, request.fence).await?)
    };
    let standing = standing(store, &mut writing.tx, &request).await?;
    let known = Known::read(store, &mut writing.tx, &request).await?;
    let mut decided = decide_all(request, &standing, known, decide)?;
    if decided.consumed == 0 {
        return Ok(Begun::default());
    }
    let batch = write(&mut writing, &decided).await?;
    writing.commit().await?;
    drop(writer);
    if let Some(ledger_seq) = ledger_seq {
        store.mark(ledger_seq)?;
    }
    let tallies = std::mem::take(&mut decided.tallies);
    Ok(Begun { batch, written: decided.written, consumed: decided.consumed, tallies })
}

/// Reads the campaign's row; the first begin of a run also notes its purpose there.
async fn standing(store: &SqliteStore, conn: &mut SqliteConnection, request: &BeginRequest) -> StoreResult<Standing> {
    let row = sqlx::query("SELECT cursor, called_off_at IS NOT NULL, purpose FROM campaign WHERE id = ?")
        .bind(request.campaign.0)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or_else(|| StoreError::NotFound { what: "campaign", name: request.campaign.to_string(), hint: String::new() })?;
    let purpose = i64::from(request.purpose.code());
    match row.try_get::<Option<i64>, _>(2)? {
        None => {
            sqlx::query("UPDATE campaign SET purpose = ? WHERE id = ?").bind(purpose).bind(request.campaign.0).execute(conn).await?;
        }
        Some(stored) if stored != purpose => {
            return Err(StoreError::Conflict(format!(
                "the run {} has contacted people for the purpose {}, and cannot go on for {}; submit it as a new version",
                request.campaign,
                code("the purpose", stored, Purpose::from_code)?,
                request.purpose
            )));
        }
        Some(_) => {}
    }
    if let Ok(mut purposes) = store.purposes.lock() {
        purposes.insert(request.campaign.0, request.purpose);
    }
    Ok(Standing { cursor: row.try_get(0)?, called_off: row.try_get(1)? })
}

/// What the store knows of a batch's candidates at the moment of the commit.
struct Known {
    contactability: HashMap<CustomerId, Contactability>,
    /// By customer, in order.
    history: Vec<(CustomerId, PastContact)>,
    converted: HashSet<CustomerId>,
    /// Stored rows that are still scheduled, of candidates that were due.
    heads: HashMap<CustomerId, Touch>,
}

impl Known {
    async fn read(store: &SqliteStore, conn: &mut SqliteConnection, request: &BeginRequest) -> StoreResult<Self> {
        let customers: Vec<CustomerId> = request.candidates.iter().map(|c| c.member.id).collect();
        let heads: Vec<_> = request.candidates.iter().filter_map(|c| c.head.as_ref().map(|h| h.key)).collect();
        let heads = if heads.is_empty() { Vec::new() } else { batches::by_keys(conn, &heads).await? };
        let mut converted = HashSet::new();
        for (kind, product) in &request.conversion_facts {
            read_converted(conn, &customers, kind, product.as_deref(), request.conversion_since, &mut converted).await?;
        }
        Ok(Self {
            contactability: changed_since(conn, request.seen_change, &customers).await?.into_iter().collect(),
            history: if request.history_ms > 0 { read_history(store, conn, request, &customers).await? } else { Vec::new() },
            converted,
            heads: heads.into_iter().filter(|t| t.state == State::Scheduled).map(|t| (t.key.customer, t)).collect(),
        })
    }

    /// The contacts of a customer.
    fn history_of(&self, customer: CustomerId, into: &mut Vec<PastContact>) {
        into.clear();
        let from = self.history.partition_point(|(c, _)| *c < customer);
        into.extend(self.history.iter().skip(from).take_while(|(c, _)| *c == customer).map(|(_, past)| *past));
    }
}

/// SQL that names a batch's customers as `who`, and its arguments: a range where they are dense (a page of a list of all), which
/// is one scan of the clustered ledger, else a list.
fn who(customers: &[CustomerId]) -> StoreResult<(&'static str, SqliteArguments)> {
    let first = customers.iter().min().map_or(0, |c| c.0);
    let last = customers.iter().max().map_or(-1, |c| c.0);
    let dense = last.saturating_sub(first) < 2 * i64::try_from(customers.len()).unwrap_or(i64::MAX);
    let mut arguments;
    let sql = if dense {
        arguments = SqliteArguments::default();
        for n in [first, last] {
            arguments.add(n).map_err(sqlx::Error::Encode)?;
        }
        "(SELECT ?1 AS first, ?2 AS last) w CROSS JOIN TABLE_NAME t ON t.customer_id BETWEEN w.first AND w.last"
    } else {
        let mut sorted = customers.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        arguments = json_arguments(&sorted)?;
        arguments.add(0_i64).map_err(sqlx::Error::Encode)?;
        "json_each(?1) w CROSS JOIN TABLE_NAME t ON t.customer_id = w.value AND ?2 = 0"
    };
    Ok((sql, arguments))
}

async fn read_history(
    store: &SqliteStore,
    conn: &mut SqliteConnection,
    request: &BeginRequest,
    customers: &[CustomerId],
) -> StoreResult<Vec<(CustomerId, PastContact)>> {
    let (from, mut arguments) = who(customers)?;
    arguments.add(request.at.0.saturating_sub(request.history_ms)).map_err(sqlx::Error::Encode)?;
    arguments.add(request.campaign.0).map_err(sqlx::Error::Encode)?;
    let sql = packed::pack(
        &["t.customer_id", "t.campaign_id", "t.started_at", "t.channel"],
        &format!(
            "FROM {} WHERE t.started_at > ?3 AND t.state IN (2, 3, 4, 6) AND (t.campaign_id > 0 OR t.campaign_id = ?4)",
            from.replace("TABLE_NAME", "touch")
        ),
    );
    let text = packed::fetch(conn, sql.into(), arguments).await?;
    let mut history = Vec::new();
    for mut row in packed::rows(&text) {
        let (customer, campaign) = (CustomerId(row.int()?), CampaignId(row.int()?));
        let (at, channel) = (Timestamp(row.int()?), code("the channel", row.int()?, Channel::from_code)?);
        history.push((customer, PastContact { at, channel, purpose: purpose_of(store, conn, campaign).await? }));
    }
    // Of both forms in order already, but for the order of a plan that SQLite may choose one day.
    if !history.is_sorted_by_key(|(customer, _)| *customer) {
        history.sort_by_key(|(customer, _)| *customer);
    }
    Ok(history)
}

/// The purpose of a campaign. It was noted when its first touch began; a run without any has no contacts.
async fn purpose_of(store: &SqliteStore, conn: &mut SqliteConnection, campaign: CampaignId) -> StoreResult<Purpose> {
    let known = |store: &SqliteStore| store.purposes.lock().ok().and_then(|p| p.get(&campaign.0).copied());
    if let Some(purpose) = known(store) {
        return Ok(purpose);
    }
    for row in sqlx::query("SELECT id, purpose FROM campaign WHERE purpose IS NOT NULL").fetch_all(conn).await? {
        let purpose = code("the purpose", row.try_get(1)?, Purpose::from_code)?;
        if let Ok(mut purposes) = store.purposes.lock() {
            purposes.insert(row.try_get(0)?, purpose);
        }
    }
    known(store).ok_or_else(|| super::fault::unknown("touches of a campaign without a purpose,", campaign))
}

async fn read_converted(
    conn: &mut SqliteConnection,
    customers: &[CustomerId],
    kind: &str,
    product: Option<&str>,
    since: Timestamp,
    converted: &mut HashSet<CustomerId>,
) -> StoreResult<()> {
    let (from, mut arguments) = who(customers)?;
    arguments.add(kind).map_err(sqlx::Error::Encode)?;
    arguments.add(product).map_err(sqlx::Error::Encode)?;
    arguments.add(since.0).map_err(sqlx::Error::Encode)?;
    let sql = packed::pack(
        &["t.customer_id"],
        &format!("FROM {} WHERE t.kind = ?3 AND (?4 IS NULL OR t.product = ?4) AND t.at >= ?5", from.replace("TABLE_NAME", "fact")),
    );
    let text = packed::fetch(conn, sql.into(), arguments).await?;
    for mut row in packed::rows(&text) {
        converted.insert(CustomerId(row.int()?));
    }
    Ok(())
}

/// What was decided, before it is written.
struct Decided {
    fence: i64,
    campaign: CampaignId,
    at: Timestamp,
    wave: Option<Timestamp>,
    written: Vec<(usize, Touch)>,
    /// Of written rows that were scheduled before: what they were, in the same order.
    heads: Vec<Touch>,
    consumed: usize,
    /// The last first-time candidate dealt with.
    cursor: Option<i64>,
    tallies: crate::domain::tally::Tallies,
}

fn decide_all(request: BeginRequest, standing: &Standing, mut known: Known, decide: Decide<'_>) -> StoreResult<Decided> {
    let mut decided = Decided {
        fence: request.fence,
        campaign: request.campaign,
        at: request.at,
        wave: request.wave,
        written: Vec::with_capacity(request.candidates.len()),
        heads: Vec::new(),
        consumed: 0,
        cursor: None,
        tallies: crate::domain::tally::Tallies::default(),
    };
    let mut history = Vec::new();
    let mut sums = Sums::default();
    for (index, mut candidate) in request.candidates.into_iter().enumerate() {
        let customer = candidate.member.id;
        let head = match &candidate.head {
            Some(asked) => match known.heads.remove(&customer).filter(|stored| stored.key == asked.key) {
                Some(stored) => Some(stored),
                None => {
                    decided.consumed += 1;
                    continue;
                }
            },
            None if standing.called_off || customer.0 <= decided.cursor.unwrap_or(standing.cursor) => {
                decided.consumed += 1;
                continue;
            }
            None => None,
        };
        candidate.head = head;
        known.history_of(customer, &mut history);
        let contactability = known.contactability.get(&customer).copied().unwrap_or(candidate.member.contactability);
        let facts = ContactFacts { contactability, history: &history, converted: known.converted.contains(&customer) };
        let Some(touch) = decide(&candidate, facts) else { break };
        check(&candidate, request.campaign, &touch)?;
        decided.consumed += 1;
        match candidate.head {
            Some(head) => {
                sums.add((&head).into(), true, -1);
                sums.add((&touch).into(), true, 1);
                decided.heads.push(head);
            }
            None => {
                sums.add((&touch).into(), true, 1);
                decided.cursor = Some(customer.0);
            }
        }
        decided.written.push((index, touch));
    }
    sums.flush(&mut decided.tallies);
    Ok(decided)
}

/// Whether a decision is a row that may be written for its candidate.
fn check(candidate: &Candidate, campaign: CampaignId, touch: &Touch) -> StoreResult<()> {
    let seq = candidate.head.as_ref().map_or(0, |h| h.key.seq);
    let fault = |expected: &str| Err(StoreError::Conflict(format!("a decision on touch {}: expected {expected}", touch.key)));
    if touch.key.customer != candidate.member.id || touch.key.campaign != campaign || touch.key.seq != seq {
        return fault("the key of its candidate");
    }
    match touch.state {
        State::Started if touch.started_at.is_some() && touch.channel.is_some() && touch.route.is_some() => Ok(()),
        State::Started => fault("a started touch with its start, channel and route"),
        State::Scheduled if touch.due_at.is_some() && touch.started_at.is_none() => Ok(()),
        State::Scheduled => fault("a scheduled touch with its due time and no start"),
        State::Suppressed | State::HeldOut | State::Expired | State::Cancelled if touch.started_at.is_none() => Ok(()),
        State::Suppressed | State::HeldOut | State::Expired | State::Cancelled => fault("no start of a touch that was closed before it"),
        State::Pending | State::Reached | State::Missed | State::Refused | State::Uncertain => fault("a state before or at the start"),
    }
}

async fn write(writing: &mut Writing<'_>, decided: &Decided) -> StoreResult<Option<crate::domain::ids::BatchId>> {
    let mut heads = decided.heads.iter().peekable();
    let (mut inserts, mut changes) = (Vec::with_capacity(decided.written.len()), Vec::new());
    for (_, touch) in &decided.written {
        // Heads stand in the order of their rows; a first row has none.
        match heads.next_if(|head| head.key == touch.key) {
            Some(head) => changes.push(change(touch, &Before::of(head), head.provider_ref.as_deref())),
            None => inserts.push(cells(touch)),
        }
    }
    bulk::write(&mut writing.tx, writing.texts, &INSERT, &inserts).await?;
    let changed = bulk::write(&mut writing.tx, writing.texts, &RESTART, &changes).await?;
    if changed != changes.len() as u64 {
        return Err(StoreError::Backend(format!("{} scheduled touches were to be changed, {changed} were; nothing was written", changes.len())));
    }
    reports::add(writing, decided.campaign, &decided.tallies).await?;
    if let Some(cursor) = decided.cursor {
        sqlx::query("UPDATE campaign SET cursor = ? WHERE id = ?").bind(cursor).bind(decided.campaign.0).execute(&mut *writing.tx).await?;
    }
    if let Some(wave) = decided.wave
        && !inserts.is_empty()
    {
        sqlx::query("UPDATE wave SET left_over = left_over - ? WHERE campaign_id = ? AND due_at = ?")
            .bind(i64::try_from(inserts.len()).unwrap_or(i64::MAX))
            .bind(decided.campaign.0)
            .bind(wave.0)
            .execute(&mut *writing.tx)
            .await?;
    }
    let started: Vec<(CustomerId, u32)> =
        decided.written.iter().filter(|(_, t)| t.state == State::Started).map(|(_, t)| (t.key.customer, t.key.seq)).collect();
    if started.is_empty() {
        return Ok(None);
    }
    batches::open(&mut writing.tx, decided.fence, decided.campaign, decided.at, &started).await.map(Some)
}
