//! Relationship managers, how much each has, and checkpoints.
use super::super::fault::unknown;
use super::super::sealed::{self, DETAIL};
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::sealing::Sealer;
use crate::store::tasks::{Checkpoint, Load, Rm};
use crate::store::{StoreError, StoreResult};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// Seeks in the indexes of what is open and of what came today: what is done long since costs nothing.
const LOADS: &str = "SELECT r.reference, \
     (SELECT count(*) FROM task t WHERE t.rm = r.reference AND t.state = 0) + (SELECT count(*) FROM task t WHERE t.rm = r.reference AND t.state = 1), \
     (SELECT count(*) FROM task t WHERE t.rm = r.reference AND t.assigned_at >= ?) FROM rm r ORDER BY r.reference";

pub(super) async fn loads(conn: &mut SqliteConnection, since: Timestamp) -> StoreResult<Vec<(String, Load)>> {
    let count = |row: &SqliteRow, column: usize| -> StoreResult<u32> {
        let n: i64 = row.try_get(column)?;
        Ok(u32::try_from(n).unwrap_or(u32::MAX))
    };
    let rows = sqlx::query(LOADS).bind(since.0).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, Load { open: count(row, 1)?, today: count(row, 2)? }))).collect()
}

fn json(value: &impl serde::Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend(format!("a list could not be written as JSON: {e}")))
}

pub(super) async fn put(conn: &mut SqliteConnection, rms: &[Rm]) -> StoreResult<()> {
    for rm in rms {
        sqlx::query("INSERT OR REPLACE INTO rm (reference, branch, languages, skills, daily_capacity, gone, leaves) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(&rm.reference)
            .bind(&rm.branch)
            .bind(json(&rm.languages)?)
            .bind(json(&rm.skills)?)
            .bind(i64::from(rm.daily_capacity))
            .bind(i64::from(rm.left))
            .bind(json(&rm.leaves)?)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

pub(super) async fn all(conn: &mut SqliteConnection) -> StoreResult<Vec<Rm>> {
    fn list<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: usize) -> StoreResult<Vec<T>> {
        let text: String = row.try_get(column)?;
        serde_json::from_str(&text).map_err(|_| unknown("a list of the roster", "in another form"))
    }
    let sql = "SELECT reference, branch, languages, skills, daily_capacity, gone, leaves FROM rm ORDER BY reference";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    let rm = |row: &SqliteRow| {
        let capacity: i64 = row.try_get(4)?;
        Ok(Rm {
            reference: row.try_get(0)?,
            branch: row.try_get(1)?,
            languages: list(row, 2)?,
            skills: list(row, 3)?,
            daily_capacity: u32::try_from(capacity).map_err(|_| unknown("a daily capacity", capacity))?,
            left: row.try_get(5)?,
            leaves: list(row, 6)?,
        })
    };
    rows.iter().map(rm).collect()
}

pub(super) async fn put_checkpoint(conn: &mut SqliteConnection, sealer: &Sealer, checkpoint: &Checkpoint) -> StoreResult<bool> {
    let written = sqlx::query(
        "INSERT INTO checkpoint (customer_id, name, step, left_on, at, closed, detail) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (customer_id, name) DO UPDATE SET step = excluded.step, left_on = excluded.left_on, at = excluded.at, \
         closed = excluded.closed, detail = excluded.detail WHERE excluded.at >= checkpoint.at",
    )
    .bind(checkpoint.customer.0)
    .bind(&checkpoint.name)
    .bind(&checkpoint.step)
    .bind(&checkpoint.left_on)
    .bind(checkpoint.at.0)
    .bind(checkpoint.closed)
    .bind(sealer.seal(DETAIL, checkpoint.customer.0, &checkpoint.detail)?)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(written == 1)
}

pub(super) async fn checkpoints(conn: &mut SqliteConnection, sealer: &Sealer, customer: CustomerId) -> StoreResult<Vec<Checkpoint>> {
    let sql = "SELECT name, step, left_on, at, closed, detail FROM checkpoint WHERE customer_id = ? ORDER BY at DESC, name";
    let rows = sqlx::query(sql).bind(customer.0).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(Checkpoint {
                customer,
                name: row.try_get(0)?,
                step: row.try_get(1)?,
                left_on: row.try_get(2)?,
                at: Timestamp(row.try_get(3)?),
                closed: row.try_get(4)?,
                detail: sealed::cell(row, 5, sealer, DETAIL, customer)?.unwrap_or_default(),
            })
        })
        .collect()
}
