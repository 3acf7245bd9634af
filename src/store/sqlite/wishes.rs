//! Customers' wishes to be called.
use super::fault::unknown;
use super::{SqliteStore, contacts};
use crate::domain::ids::{CustomerId, TaskId};
use crate::domain::time::Timestamp;
use crate::store::contacts::{Wish, WishRow, check_wish};
use crate::store::{StoreError, StoreResult};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

const SELECT: &str = "SELECT source, reference, customer_id, wanted_at, zone, topic, at, by, settled, task_id FROM callback_wish";

fn wish_row(row: &SqliteRow) -> StoreResult<WishRow> {
    let zone: String = row.try_get(4)?;
    Ok(WishRow {
        wish: Wish {
            source: row.try_get(0)?,
            reference: row.try_get(1)?,
            customer: CustomerId(row.try_get(2)?),
            wanted_at: row.try_get::<Option<i64>, _>(3)?.map(Timestamp),
            zone: zone.parse().map_err(|_| unknown("the time zone", format!("{zone:?}")))?,
            topic: row.try_get(5)?,
            at: Timestamp(row.try_get(6)?),
            by: row.try_get(7)?,
        },
        settled: row.try_get(8)?,
        task: row.try_get::<Option<i64>, _>(9)?.map(TaskId),
    })
}

pub(super) async fn by_name(conn: &mut SqliteConnection, source: &str, reference: &str) -> StoreResult<Option<WishRow>> {
    let found =
        sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE source = ? AND reference = ?"))).bind(source).bind(reference).fetch_optional(conn).await?;
    found.as_ref().map(wish_row).transpose()
}

pub(super) async fn of_customer(conn: &mut SqliteConnection, customer: CustomerId) -> StoreResult<Vec<WishRow>> {
    let sql = AssertSqlSafe(format!("{SELECT} WHERE customer_id = ? ORDER BY at DESC, source, reference"));
    sqlx::query(sql).bind(customer.0).fetch_all(conn).await?.iter().map(wish_row).collect()
}

pub(super) async fn unsettled(conn: &mut SqliteConnection, limit: usize) -> StoreResult<Vec<WishRow>> {
    let sql = AssertSqlSafe(format!("{SELECT} WHERE settled = 0 ORDER BY at LIMIT ?"));
    sqlx::query(sql).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(conn).await?.iter().map(wish_row).collect()
}

/// See [`crate::store::contacts::ContactBook::put_wish`].
pub(super) async fn put(store: &SqliteStore, wish: &Wish) -> StoreResult<(WishRow, bool)> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    contacts::must_be_known(&mut writing.tx, wish.customer).await?;
    let known = by_name(&mut writing.tx, &wish.source, &wish.reference).await?;
    if let Some(known) = &known {
        check_wish(&known.wish, wish)?;
        if !known.wish.gives_way_to(wish) {
            return Ok((known.clone(), false));
        }
    }
    let task = known.and_then(|k| k.task);
    sqlx::query(
        "INSERT OR REPLACE INTO callback_wish (source, reference, customer_id, wanted_at, zone, topic, at, by, settled, task_id) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
    )
    .bind(&wish.source)
    .bind(&wish.reference)
    .bind(wish.customer.0)
    .bind(wish.wanted_at.map(|t| t.0))
    .bind(wish.zone.name())
    .bind(&wish.topic)
    .bind(wish.at.0)
    .bind(&wish.by)
    .bind(task.map(|t| t.0))
    .execute(&mut *writing.tx)
    .await?;
    writing.commit().await?;
    Ok((WishRow { wish: wish.clone(), settled: false, task }, true))
}

/// See [`crate::store::contacts::ContactBook::settle_wish`].
pub(super) async fn settle(store: &SqliteStore, wish: &Wish, task: Option<TaskId>) -> StoreResult<()> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let known = by_name(&mut writing.tx, &wish.source, &wish.reference).await?.ok_or_else(|| StoreError::NotFound {
        what: "wish",
        name: wish.reference.clone(),
        hint: String::new(),
    })?;
    sqlx::query("UPDATE callback_wish SET task_id = coalesce(?, task_id), settled = ? WHERE source = ? AND reference = ?")
        .bind(task.map(|t| t.0))
        .bind(known.settled || known.wish == *wish)
        .bind(&wish.source)
        .bind(&wish.reference)
        .execute(&mut *writing.tx)
        .await?;
    writing.commit().await
}
