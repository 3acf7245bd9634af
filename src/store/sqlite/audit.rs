//! The audit log.
use super::SqliteStore;
use crate::domain::audit::{Entry, Head, Linked};
use crate::domain::time::Timestamp;
use crate::store::{AuditBook, AuditFilter, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

async fn head(conn: &mut SqliteConnection) -> StoreResult<Head> {
    let last = sqlx::query("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetch_optional(conn).await?;
    last.map_or_else(|| Ok(Head::default()), |row| Ok(Head { number: row.try_get(0)?, hash: row.try_get(1)? }))
}

fn linked_row(row: &SqliteRow) -> StoreResult<Linked> {
    let entry = Entry {
        at: Timestamp(row.try_get(1)?),
        actor: row.try_get(2)?,
        token: row.try_get(3)?,
        operation: row.try_get(4)?,
        target: row.try_get(5)?,
        outcome: row.try_get(6)?,
    };
    Ok(Linked { number: row.try_get(0)?, entry, hash: row.try_get(7)? })
}

#[async_trait]
impl AuditBook for SqliteStore {
    async fn append_audit(&self, entries: &[Entry]) -> StoreResult<Head> {
        let entries = entries.to_vec();
        self.together(move |conn| {
            Box::pin(async move {
                // Read under the write lock: another process may have added meanwhile.
                let mut head = head(conn).await?;
                // Eight values a row; SQLite takes 32,766 a statement.
                for entries in entries.chunks(1_000) {
                    let mut insert =
                        QueryBuilder::<Sqlite>::new("INSERT INTO audit (number, at, actor, token_id, operation, target, outcome, hash) ");
                    insert.push_values(entries, |mut row, entry| {
                        let Linked { number, entry, hash } = head.link(entry.clone());
                        row.push_bind(number).push_bind(entry.at.0).push_bind(entry.actor).push_bind(entry.token);
                        row.push_bind(entry.operation).push_bind(entry.target).push_bind(entry.outcome).push_bind(hash);
                    });
                    insert.build().execute(&mut *conn).await?;
                }
                Ok(head)
            })
        })
        .await
    }

    async fn audit(&self, filter: &AuditFilter) -> StoreResult<Vec<Linked>> {
        let mut reader = self.reader().await?;
        let mut select =
            QueryBuilder::<Sqlite>::new("SELECT number, at, actor, token_id, operation, target, outcome, hash FROM audit WHERE number > ");
        select.push_bind(filter.after);
        if let Some(actor) = &filter.actor {
            select.push(" AND actor = ").push_bind(actor);
        }
        if let Some(since) = filter.since {
            select.push(" AND at >= ").push_bind(since.0);
        }
        if let Some(target) = &filter.target {
            select.push(" AND instr(target, ").push_bind(target).push(") > 0");
        }
        select.push(" ORDER BY number LIMIT ").push_bind(i64::try_from(filter.limit).unwrap_or(i64::MAX));
        select.build().fetch_all(&mut *reader).await?.iter().map(linked_row).collect()
    }

    async fn audit_head(&self) -> StoreResult<Head> {
        head(&mut *self.reader().await?).await
    }
}
