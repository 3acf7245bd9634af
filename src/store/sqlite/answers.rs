//! First answers by idempotency key.
use super::SqliteStore;
use crate::domain::time::Timestamp;
use crate::store::idempotency::Hash;
use crate::store::{Claim, IdempotencyBook, KeptAnswer, StoreResult};
use async_trait::async_trait;
use sqlx::Row;

#[async_trait]
impl IdempotencyBook for SqliteStore {
    async fn claim_key(&self, key: &Hash, request: &Hash, at: Timestamp, stale: Timestamp, kept_since: Timestamp) -> StoreResult<Claim> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let known = sqlx::query("SELECT request, claimed_at, status, content_type, body FROM answer WHERE key = ? AND claimed_at >= ?")
            .bind(key.as_slice())
            .bind(kept_since.0)
            .fetch_optional(&mut *writing.tx)
            .await?;
        if let Some(row) = known {
            let (theirs, claimed_at, status): (Vec<u8>, i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if theirs != request.as_slice() {
                return Ok(Claim::Other);
            }
            if let Some(status) = status {
                let status = u16::try_from(status).map_err(|_| super::fault::unknown("an answer's status", status))?;
                return Ok(Claim::Done(KeptAnswer { status, content_type: row.try_get(3)?, body: row.try_get(4)? }));
            }
            if claimed_at >= stale.0 {
                return Ok(Claim::Busy);
            }
        }
        sqlx::query("INSERT OR REPLACE INTO answer (key, request, claimed_at) VALUES (?, ?, ?)")
            .bind(key.as_slice())
            .bind(request.as_slice())
            .bind(at.0)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await?;
        Ok(Claim::Mine)
    }

    async fn answer_key(&self, key: &Hash, claimed_at: Timestamp, answer: &KeptAnswer) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        sqlx::query("UPDATE answer SET status = ?3, content_type = ?4, body = ?5 WHERE key = ?1 AND claimed_at = ?2 AND status IS NULL")
            .bind(key.as_slice())
            .bind(claimed_at.0)
            .bind(i64::from(answer.status))
            .bind(&answer.content_type)
            .bind(&answer.body)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await
    }

    async fn release_key(&self, key: &Hash, claimed_at: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        sqlx::query("DELETE FROM answer WHERE key = ? AND claimed_at = ? AND status IS NULL")
            .bind(key.as_slice())
            .bind(claimed_at.0)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await
    }

    async fn purge_keys(&self, before: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let purged = sqlx::query("DELETE FROM answer WHERE claimed_at < ?").bind(before.0).execute(&mut *writing.tx).await?.rows_affected();
        writing.commit().await?;
        Ok(purged)
    }
}
