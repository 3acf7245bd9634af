//! The walk that seals everything under the first key: what another key has sealed, and what is still open from before 0006. A round is one
//! short transaction; whatever others write meanwhile is read again in it, so that nothing of theirs is lost.
use super::batches::json_arguments;
use super::fault::unknown;
use super::sealed::{self, DETAIL, NOTES, RAW, SCRIPT, stale};
use super::{SqliteStore, contact_hash, customers, put_customers};
use crate::domain::ids::CustomerId;
use crate::store::privacy::{SealRound, SealedUnder};
use crate::store::sealing::{self, KeyId, Sealer};
use crate::store::{CustomerRow, StoreResult};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::collections::BTreeMap;

/// The sealed columns of `customer`, each with what stands in it when there is nothing to seal.
const OF_CUSTOMER: [(&str, &str); 4] = [("phone", ""), ("email", ""), ("push", ""), ("attributes", "{}")];

/// Every sealed column with its table.
const EVERYWHERE: [(&str, &str, &str); 9] = [
    ("customer", "phone", ""),
    ("customer", "email", ""),
    ("customer", "push", ""),
    ("customer", "attributes", "{}"),
    ("task", "script", ""),
    ("task", "notes", ""),
    ("checkpoint", "detail", ""),
    ("dead_letter", "raw", ""),
    ("sealing", "secret", ""),
];

/// Customers looked at in one statement.
const LOOK: i64 = 50_000;

/// Customers after `after` who are to be sealed anew; and where to look next: the last one looked at, or `None` at the end.
async fn next_customers(conn: &mut SqliteConnection, key: KeyId, after: i64, limit: i64) -> StoreResult<(Vec<i64>, Option<i64>)> {
    let condition = OF_CUSTOMER.map(|(column, nothing)| stale(column, nothing)).join(" OR ");
    let sql = format!("SELECT id FROM customer WHERE id > ?2 AND id <= ?2 + {LOOK} AND ({condition}) ORDER BY id LIMIT ?3");
    let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(key.0.as_slice()).bind(after).bind(limit).fetch_all(&mut *conn).await?;
    let next = match ids.last() {
        Some(last) if i64::try_from(ids.len()).is_ok_and(|n| n >= limit) => Some(*last),
        _ if customers::last_id(conn).await? > after + LOOK => Some(after + LOOK),
        _ => None,
    };
    Ok((ids, next))
}

async fn seal_customers(store: &SqliteStore, ids: &[i64]) -> StoreResult<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let from = "FROM json_each(?) j CROSS JOIN customer c ON c.id = j.value";
    let rows = customers::fetch(&mut writing.tx, &store.sealer, from, json_arguments(&ids)?).await?;
    let rows: Vec<&CustomerRow> = rows.iter().collect();
    let sealed = put_customers::update(&mut writing, &store.sealer, &rows).await?;
    let mut hashes = contact_hash::Changes::new(&store.sealer);
    for row in rows {
        hashes.of(row.id, (None, None), (row.phone.as_ref(), row.email.as_ref()));
    }
    hashes.write(&mut writing).await?;
    writing.commit().await?;
    Ok(sealed)
}

/// Tasks, checkpoints and dead letters, up to `limit` of each.
async fn seal_worklist(store: &SqliteStore, key: KeyId, limit: i64) -> StoreResult<u64> {
    let sealer = &*store.sealer;
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let sql = format!("SELECT id, customer_id, script, notes FROM task WHERE {} OR {} LIMIT ?2", stale("script", ""), stale("notes", ""));
    let tasks = sqlx::query(AssertSqlSafe(sql)).bind(key.0.as_slice()).bind(limit).fetch_all(&mut *writing.tx).await?;
    for row in &tasks {
        let customer = CustomerId(row.try_get(1)?);
        let script = sealed::cell(row, 2, sealer, SCRIPT, customer)?;
        let notes = sealed::cell(row, 3, sealer, NOTES, customer)?;
        sqlx::query("UPDATE task SET script = ?, notes = ? WHERE id = ?")
            .bind(sealer.seal_some(SCRIPT, customer.0, script.as_deref())?)
            .bind(sealer.seal_some(NOTES, customer.0, notes.as_deref())?)
            .bind(row.try_get::<i64, _>(0)?)
            .execute(&mut *writing.tx)
            .await?;
    }
    let sql = format!("SELECT customer_id, name, detail FROM checkpoint WHERE {} LIMIT ?2", stale("detail", ""));
    let checkpoints = sqlx::query(AssertSqlSafe(sql)).bind(key.0.as_slice()).bind(limit).fetch_all(&mut *writing.tx).await?;
    for row in &checkpoints {
        let customer = CustomerId(row.try_get(0)?);
        let detail = sealed::cell(row, 2, sealer, DETAIL, customer)?.unwrap_or_default();
        sqlx::query("UPDATE checkpoint SET detail = ? WHERE customer_id = ? AND name = ?")
            .bind(sealer.seal(DETAIL, customer.0, &detail)?)
            .bind(customer.0)
            .bind(row.try_get::<String, _>(1)?)
            .execute(&mut *writing.tx)
            .await?;
    }
    // Those from before they were sealed are BLOBs too, which do not begin with the version of a sealed value.
    let sql = "SELECT id, raw FROM dead_letter WHERE substr(raw,1,1)<>x'01' OR substr(raw,2,4)<>?1 LIMIT ?2";
    let letters = sqlx::query(sql).bind(key.0.as_slice()).bind(limit).fetch_all(&mut *writing.tx).await?;
    for row in &letters {
        let raw = sealed::raw(sealer, row.try_get(1)?)?;
        sqlx::query("UPDATE dead_letter SET raw = ? WHERE id = ?")
            .bind(sealer.seal_bytes(RAW, 0, &raw)?)
            .bind(row.try_get::<i64, _>(0)?)
            .execute(&mut *writing.tx)
            .await?;
    }
    writing.commit().await?;
    Ok((tasks.len() + checkpoints.len() + letters.len()) as u64)
}

/// Seals the database's own secret under the first key: the end of a rotation, after which the old key opens nothing more.
async fn seal_secret(store: &SqliteStore) -> StoreResult<u64> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT secret FROM sealing").fetch_one(&mut *writing.tx).await?;
    let ring = store.sealer.ring();
    if Sealer::key_of(&sealed) == store.sealer.sealing_key() {
        return Ok(0);
    }
    let anew = sealing::seal_secret(ring, &sealing::open_secret(ring, &sealed)?)?;
    sqlx::query("UPDATE sealing SET secret = ?").bind(anew).execute(&mut *writing.tx).await?;
    writing.commit().await?;
    Ok(1)
}

/// See [`crate::store::PersonalData::seal_anew`].
pub(super) async fn round(store: &SqliteStore, after: CustomerId, limit: usize) -> StoreResult<SealRound> {
    let key = store.sealer.sealing_key().ok_or_else(|| unknown("no key", "at all"))?;
    let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
    // Looked for outside of the transaction: a walk over ten million customers bars nobody from writing.
    let (ids, next) = next_customers(&mut *store.reader().await?, key, after.0, limit).await?;
    let mut sealed = seal_customers(store, &ids).await?;
    if next.is_some() {
        return Ok(SealRound { next: next.map(CustomerId), sealed });
    }
    let worklist = seal_worklist(store, key, limit).await?;
    sealed += worklist;
    if worklist > 0 {
        let last = ids.last().copied().unwrap_or(after.0);
        return Ok(SealRound { next: Some(CustomerId(last)), sealed });
    }
    sealed += seal_secret(store).await?;
    Ok(SealRound { next: None, sealed })
}

/// See [`crate::store::PersonalData::sealed_under`].
pub(super) async fn counts(store: &SqliteStore) -> StoreResult<Vec<SealedUnder>> {
    let mut reader = store.reader().await?;
    let mut values: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for (table, column, nothing) in EVERYWHERE {
        let sql = format!(
            "SELECT iif(typeof({column})='blob' AND substr({column},1,1)=x'01',lower(hex(substr({column},2,4))),NULL) AS key, count(*) FROM {table} \
             WHERE {column} IS NOT NULL AND {column}<>'{nothing}' GROUP BY key"
        );
        for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *reader).await? {
            let n: i64 = row.try_get(1)?;
            *values.entry(row.try_get(0)?).or_default() += n.unsigned_abs();
        }
    }
    let current = store.sealer.sealing_key().map(|k| k.to_string());
    Ok(values.into_iter().map(|(key, values)| SealedUnder { current: key.is_some() && key == current, key, values }).collect())
}
