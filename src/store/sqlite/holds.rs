//! Holds of relationship managers, as a log with its provenance.
use super::batches::json_arguments;
use super::{SqliteStore, contactable};
use crate::domain::consent::{Contactability, HoldRecord};
use crate::domain::ids::CustomerId;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::store::StoreResult;
use sqlx::{Row, SqliteConnection};

/// See [`crate::store::ConsentList::hold`].
pub(super) async fn hold(store: &SqliteStore, customer: CustomerId, entry: &HoldRecord) -> StoreResult<Option<Timestamp>> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    super::contacts::must_be_known(&mut writing.tx, customer).await?;
    sqlx::query("INSERT OR IGNORE INTO contact_hold (customer_id, at, until, by, why) VALUES (?, ?, ?, ?, ?)")
        .bind(customer.0)
        .bind(entry.at.0)
        .bind(entry.until.map_or(0, |until| until.0.max(1)))
        .bind(&entry.by)
        .bind(&entry.why)
        .execute(&mut *writing.tx)
        .await?;
    contactable::recompute(&mut writing, &[customer]).await?;
    let packed = sqlx::query_scalar("SELECT contactability FROM customer WHERE id = ?").bind(customer.0).fetch_one(&mut *writing.tx).await?;
    let until = Contactability(packed).held_until();
    let due = until.unwrap_or(entry.at).0;
    sqlx::query("UPDATE touch SET due_at = ?1 WHERE customer_id = ?2 AND campaign_id > 0 AND state = 1 AND reason = ?3 AND due_at > ?1")
        .bind(due)
        .bind(customer.0)
        .bind(i64::from(Reason::Held.code()))
        .execute(&mut *writing.tx)
        .await?;
    writing.commit().await?;
    Ok(until)
}

/// A customer's log, oldest first.
pub(super) async fn of(conn: &mut SqliteConnection, customer: CustomerId) -> StoreResult<Vec<HoldRecord>> {
    sqlx::query("SELECT at, until, by, why FROM contact_hold WHERE customer_id = ? ORDER BY at, until, by, why")
        .bind(customer.0)
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            let until: i64 = row.try_get(1)?;
            Ok(HoldRecord {
                until: (until > 0).then_some(Timestamp(until)),
                by: row.try_get(2)?,
                why: row.try_get(3)?,
                at: Timestamp(row.try_get(0)?),
            })
        })
        .collect()
}

/// The end of the hold that rules, of those among these customers who have a log (`domain::consent::ruling_hold`: the latest entry, and of
/// two at the same instant the longer).
pub(super) async fn ruling(conn: &mut SqliteConnection, customers: &[CustomerId]) -> StoreResult<Vec<(i64, Option<Timestamp>)>> {
    // One row a customer: of several that share the greatest (at, until) any will do.
    let sql = "SELECT h.customer_id, h.at, max(h.until) FROM json_each(?) j CROSS JOIN contact_hold h ON h.customer_id = j.value \
               WHERE h.at = (SELECT max(at) FROM contact_hold m WHERE m.customer_id = h.customer_id) GROUP BY h.customer_id, h.at";
    sqlx::query_with(sql, json_arguments(&customers)?)
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            let until: i64 = row.try_get(2)?;
            Ok((row.try_get(0)?, (until > 0).then_some(Timestamp(until))))
        })
        .collect()
}
