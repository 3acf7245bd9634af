//! Erasing, forgetting what has been kept long enough, sealing anew.
use super::batches::json_arguments;
use super::fault::unknown;
use super::{SqliteStore, contact_hash, customers, erase, put_customers};
use crate::domain::contact::Phone;
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::privacy::{Erased, Erasure, PersonalData, Retained, SealRound, SealedUnder};
use crate::store::sealing::{self, KeyId, Sealer};
use crate::store::{CustomerRow, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::collections::BTreeMap;

/// The sealed columns of `customer`, each with what stands in it when there is nothing to seal.
const SEALED: [(&str, &str); 4] = [("phone", ""), ("email", ""), ("push", ""), ("attributes", "{}")];

/// Rows looked at in one statement of a walk.
const LOOK: i64 = 50_000;

/// Whether any value of a row is open, or sealed under another key than the one bound as ?1.
fn to_be_sealed() -> String {
    SEALED
        .map(|(column, nothing)| {
            format!("(typeof({column})='text' AND {column}<>'{nothing}') OR (typeof({column})='blob' AND substr({column},2,4)<>?1)")
        })
        .join(" OR ")
}

/// Customers after `after` who are to be sealed anew; and where to look next: the last one looked at, or `None` at the end.
async fn next_to_seal(conn: &mut SqliteConnection, key: KeyId, after: i64, limit: usize) -> StoreResult<(Vec<CustomerId>, Option<i64>)> {
    let sql = format!(
        "SELECT c.id FROM customer c WHERE c.id IN (SELECT id FROM customer WHERE id > ?2 AND id <= ?2 + {LOOK}) AND ({}) ORDER BY c.id LIMIT ?3",
        to_be_sealed()
    );
    let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(key.0.as_slice())
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *conn)
        .await?;
    let next = match ids.last() {
        Some(last) if ids.len() >= limit => Some(*last),
        _ if customers::last_id(conn).await? > after + LOOK => Some(after + LOOK),
        _ => None,
    };
    Ok((ids.into_iter().map(CustomerId).collect(), next))
}

/// Seals the database's own secret under the first key: the end of a rotation, after which the old key opens nothing more.
async fn seal_secret(store: &SqliteStore) -> StoreResult<bool> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT secret FROM sealing").fetch_one(&mut *writing.tx).await?;
    let ring = store.sealer.ring();
    if Sealer::key_of(&sealed) == store.sealer.sealing_key() {
        return Ok(false);
    }
    let anew = sealing::seal_secret(ring, &sealing::open_secret(ring, &sealed)?)?;
    sqlx::query("UPDATE sealing SET secret = ?").bind(anew).execute(&mut *writing.tx).await?;
    writing.commit().await?;
    Ok(true)
}

#[async_trait]
impl PersonalData for SqliteStore {
    async fn erase(&self, erasure: &Erasure) -> StoreResult<Erased> {
        erase::erase(self, erasure).await
    }

    async fn erasure(&self, customer: CustomerId) -> StoreResult<Option<Erasure>> {
        erase::of(&mut *self.reader().await?, customer).await
    }

    async fn readmit(&self, reference: Option<&str>, phone: Option<&Phone>) -> StoreResult<bool> {
        let marks = reference.map(|r| self.sealer.reference_mark(r)).into_iter().chain(phone.map(|p| self.sealer.phone_mark(p)));
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let mut removed = 0;
        for mark in marks {
            removed += sqlx::query("DELETE FROM tombstone WHERE mark = ?").bind(mark.as_slice()).execute(&mut *writing.tx).await?.rows_affected();
        }
        writing.commit().await?;
        Ok(removed > 0)
    }

    async fn seal_anew(&self, after: CustomerId, limit: usize) -> StoreResult<SealRound> {
        let key = self.sealer.sealing_key().ok_or_else(|| unknown("no key", "at all"))?;
        // Looked for outside of the transaction: a walk over ten million customers bars nobody from writing.
        let (ids, next) = next_to_seal(&mut *self.reader().await?, key, after.0, limit).await?;
        let mut sealed = 0;
        if !ids.is_empty() {
            let mut writer = self.writer.lock().await;
            let mut writing = writer.begin().await?;
            // Read again: whatever somebody has written meanwhile is what is sealed anew.
            let from = "FROM json_each(?) j CROSS JOIN customer c ON c.id = j.value";
            let rows = customers::fetch(&mut writing.tx, &self.sealer, from, json_arguments(&ids)?).await?;
            let rows: Vec<&CustomerRow> = rows.iter().collect();
            sealed = put_customers::update(&mut writing, &self.sealer, &rows).await?;
            let mut hashes = contact_hash::Changes::new(&self.sealer);
            for row in rows {
                hashes.of(row.id, (None, None), (row.phone.as_ref(), row.email.as_ref()));
            }
            hashes.write(&mut writing).await?;
            writing.commit().await?;
        }
        if next.is_none() {
            sealed += u64::from(seal_secret(self).await?);
        }
        Ok(SealRound { next: next.map(CustomerId), sealed })
    }

    async fn sealed_under(&self) -> StoreResult<Vec<SealedUnder>> {
        let mut reader = self.reader().await?;
        let mut values: BTreeMap<Option<String>, u64> = BTreeMap::new();
        let secret = [("secret", "", "sealing")];
        for (column, nothing, table) in SEALED.iter().map(|(c, n)| (*c, *n, "customer")).chain(secret) {
            let sql = format!(
                "SELECT iif(typeof({column})='blob',lower(hex(substr({column},2,4))),NULL) AS key, count(*) FROM {table} \
                 WHERE {column} IS NOT NULL AND {column}<>'{nothing}' GROUP BY key"
            );
            for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *reader).await? {
                let n: i64 = row.try_get(1)?;
                *values.entry(row.try_get(0)?).or_default() += n.unsigned_abs();
            }
        }
        let current = self.sealer.sealing_key().map(|k| k.to_string());
        Ok(values.into_iter().map(|(key, values)| SealedUnder { current: key.is_some() && key == current, key, values }).collect())
    }

    async fn scrub(&self, whole: bool) -> StoreResult<bool> {
        let mut writer = self.writer.lock().await;
        if whole {
            sqlx::query("VACUUM").execute(&mut writer.conn).await?;
        }
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut writer.conn).await;
        match row.map_err(StoreError::from) {
            // The first column: whether somebody was in the way.
            Ok(row) => Ok(row.try_get::<i64, _>(0)? == 0),
            Err(fault) => Err(fault),
        }
    }

    async fn outdated(&self, what: Retained, before: Timestamp) -> StoreResult<u64> {
        let mut reader = self.reader().await?;
        let n: i64 = match what {
            Retained::Receipts => sqlx::query_scalar("SELECT count(*) FROM receipt WHERE at < ?").bind(before.0).fetch_one(&mut *reader).await?,
            Retained::ContactChanges => sqlx::query_scalar("SELECT count(*) FROM contactability_change").fetch_one(&mut *reader).await?,
        };
        Ok(n.unsigned_abs())
    }

    async fn forget(&self, what: Retained, before: Timestamp, limit: usize) -> StoreResult<u64> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let removed = match what {
            // Receipts are numbered as they come: the oldest are first, and a page without an old one is the end.
            Retained::Receipts => {
                let sql = "DELETE FROM receipt WHERE id IN (SELECT id FROM receipt ORDER BY id LIMIT ?) AND at < ?";
                sqlx::query(sql).bind(limit).bind(before.0).execute(&mut *writing.tx).await?.rows_affected()
            }
            // Whoever has read a page before the floor asks for all of its customers again: nothing is overlooked.
            Retained::ContactChanges => {
                let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM (SELECT seq FROM contactability_change ORDER BY seq LIMIT ?)")
                    .bind(limit)
                    .fetch_one(&mut *writing.tx)
                    .await?;
                let Some(last) = last else { return Ok(0) };
                sqlx::query("UPDATE meta SET change_floor = max(change_floor, ?)").bind(last).execute(&mut *writing.tx).await?;
                sqlx::query("DELETE FROM contactability_change WHERE seq <= ?").bind(last).execute(&mut *writing.tx).await?.rows_affected()
            }
        };
        writing.commit().await?;
        Ok(removed)
    }
}
