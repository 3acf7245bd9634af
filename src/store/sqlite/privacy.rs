//! Erasing, forgetting what has been kept long enough, sealing anew.
use super::{SqliteStore, erase, seal_anew};
use crate::domain::contact::Phone;
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::privacy::{Erased, Erasure, PersonalData, Retained, SealRound, SealedUnder};
use crate::store::{StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::Row;

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
        seal_anew::round(self, after, limit).await
    }

    async fn sealed_under(&self) -> StoreResult<Vec<SealedUnder>> {
        seal_anew::counts(self).await
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
            Retained::Tasks => {
                let sql = "SELECT count(*) FROM task WHERE closed_at < ? AND (script IS NOT NULL OR notes IS NOT NULL)";
                sqlx::query_scalar(sql).bind(before.0).fetch_one(&mut *reader).await?
            }
            Retained::Checkpoints => {
                sqlx::query_scalar("SELECT count(*) FROM checkpoint WHERE closed = 1 AND at < ?").bind(before.0).fetch_one(&mut *reader).await?
            }
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
            Retained::Tasks => {
                let sql = "UPDATE task SET script = NULL, notes = NULL WHERE id IN \
                     (SELECT id FROM task WHERE closed_at < ? AND (script IS NOT NULL OR notes IS NOT NULL) LIMIT ?)";
                sqlx::query(sql).bind(before.0).bind(limit).execute(&mut *writing.tx).await?.rows_affected()
            }
            Retained::Checkpoints => {
                let sql = "DELETE FROM checkpoint WHERE (customer_id, name) IN \
                     (SELECT customer_id, name FROM checkpoint WHERE closed = 1 AND at < ? LIMIT ?)";
                sqlx::query(sql).bind(before.0).bind(limit).execute(&mut *writing.tx).await?.rows_affected()
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
