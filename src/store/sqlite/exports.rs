//! Exports as finance got them.
use super::{SqliteStore, packed};
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::time::Timestamp;
use crate::store::{ExportBook, ExportRow, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};

const SELECT: &str = "SELECT number, campaign_id, what, manifest_hash, corrects, as_of, row_count FROM export";

fn export_row(row: &SqliteRow) -> StoreResult<ExportRow> {
    Ok(ExportRow {
        number: row.try_get(0)?,
        campaign: CampaignId(row.try_get(1)?),
        what: row.try_get(2)?,
        manifest_hash: row.try_get(3)?,
        corrects: row.try_get(4)?,
        as_of: Timestamp(row.try_get(5)?),
        rows: row.try_get(6)?,
    })
}

#[async_trait]
impl ExportBook for SqliteStore {
    async fn next_export(&self) -> StoreResult<i64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let number = sqlx::query_scalar("INSERT INTO export DEFAULT VALUES RETURNING number").fetch_one(&mut *writing.tx).await?;
        writing.commit().await?;
        Ok(number)
    }

    async fn put_export(&self, export: &ExportRow) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let written = sqlx::query(
            "UPDATE export SET campaign_id = ?2, what = ?3, manifest_hash = ?4, corrects = ?5, as_of = ?6, row_count = ?7 \
             WHERE number = ?1 AND campaign_id IS NULL",
        )
        .bind(export.number)
        .bind(export.campaign.0)
        .bind(&export.what)
        .bind(&export.manifest_hash)
        .bind(export.corrects)
        .bind(export.as_of.0)
        .bind(export.rows)
        .execute(&mut *writing.tx)
        .await?
        .rows_affected();
        if written != 1 {
            return Err(StoreError::Conflict(format!(
                "export {} was not reserved, or is recorded already; an export is never rewritten, take the next number",
                export.number
            )));
        }
        writing.commit().await
    }

    async fn export(&self, number: Option<i64>) -> StoreResult<Option<ExportRow>> {
        let mut reader = self.reader().await?;
        let sql = format!("{SELECT} WHERE campaign_id IS NOT NULL AND (?1 IS NULL OR number = ?1) ORDER BY number DESC LIMIT 1");
        sqlx::query(AssertSqlSafe(sql)).bind(number).fetch_optional(&mut *reader).await?.as_ref().map(export_row).transpose()
    }

    async fn exports(&self, campaign: CampaignId) -> StoreResult<Vec<ExportRow>> {
        let mut reader = self.reader().await?;
        let sql = format!("{SELECT} WHERE campaign_id = ? ORDER BY number");
        sqlx::query(AssertSqlSafe(sql)).bind(campaign.0).fetch_all(&mut *reader).await?.iter().map(export_row).collect()
    }

    async fn references(&self, from: CustomerId, to: CustomerId) -> StoreResult<Vec<(CustomerId, Box<str>)>> {
        let mut reader = self.reader().await?;
        let sql: std::sync::Arc<str> =
            packed::pack(&["c.id", &packed::quoted("c.reference")], "FROM customer c WHERE c.id BETWEEN ? AND ? ORDER BY c.id LIMIT 5000").into();
        let (mut references, mut next) = (Vec::new(), from.0);
        loop {
            let mut arguments = SqliteArguments::default();
            for n in [next, to.0] {
                arguments.add(n).map_err(sqlx::Error::Encode)?;
            }
            let text = packed::fetch(&mut reader, std::sync::Arc::clone(&sql), arguments).await?;
            if text.is_empty() {
                return Ok(references);
            }
            for mut row in packed::rows(&text) {
                let id = row.int()?;
                references.push((CustomerId(id), row.maybe_quoted()?.unwrap_or_default().into_boxed_str()));
                next = id + 1;
            }
        }
    }
}
