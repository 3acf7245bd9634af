//! A task's row: how it is written and read.
use super::super::fault::unknown;
use super::super::sealed::{self, NOTES, SCRIPT};
use crate::domain::ids::{CampaignId, CustomerId, TaskId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::store::sealing::Sealer;
use crate::store::tasks::{NewTask, Task, TaskEvent, TaskKind, TaskResult, TaskState};
use crate::store::{StoreError, StoreResult};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};

/// Columns in the order that [`task_row`] reads.
pub(super) const COLUMNS: &str = "id, key, kind, customer_id, touch_campaign, touch_seq, title, language, skill, urgency, wanted_rm, branch, \
     due_at, expires_at, made_at, version, state, rm, assigned_at, claimed_by, lease_until, reminded_at, escalated_at, wakes_at, disposition, \
     connected_s, next_contact, result_at, closed_at, script, notes";

fn time(row: &SqliteRow, column: usize) -> StoreResult<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp))
}

fn small<T: TryFrom<i64>>(row: &SqliteRow, column: usize, what: &str) -> StoreResult<T> {
    let n: i64 = row.try_get(column)?;
    T::try_from(n).map_err(|_| unknown(what, n))
}

pub(super) fn task_row(row: &SqliteRow, sealer: &Sealer) -> StoreResult<Task> {
    let customer = CustomerId(row.try_get(3)?);
    let touch = match row.try_get::<Option<i64>, _>(4)? {
        Some(campaign) => Some(TouchKey { customer, campaign: CampaignId(campaign), seq: small(row, 5, "a touch's number")? }),
        None => None,
    };
    let kind: i64 = row.try_get(2)?;
    let state: i64 = row.try_get(16)?;
    let rm: String = row.try_get(17)?;
    let result = match row.try_get::<Option<i64>, _>(24)? {
        None => None,
        Some(code) => Some(TaskResult {
            disposition: Reason::from_code(code).ok_or_else(|| unknown("a disposition", code))?,
            connected_s: small(row, 25, "seconds of conversation")?,
            notes: sealed::cell(row, 30, sealer, NOTES, customer)?,
            next_contact: time(row, 26)?,
            at: time(row, 27)?.unwrap_or_default(),
        }),
    };
    Ok(Task {
        id: TaskId(row.try_get(0)?),
        made: NewTask {
            key: row.try_get(1)?,
            kind: TaskKind::from_code(kind).ok_or_else(|| unknown("a task's kind", kind))?,
            customer,
            touch,
            title: row.try_get(6)?,
            script: sealed::cell(row, 29, sealer, SCRIPT, customer)?,
            language: row.try_get(7)?,
            skill: row.try_get(8)?,
            priority: 9_u8.saturating_sub(small(row, 9, "an urgency")?),
            wanted_rm: row.try_get(10)?,
            branch: row.try_get(11)?,
            due_at: Timestamp(row.try_get(12)?),
            expires_at: time(row, 13)?,
            at: Timestamp(row.try_get(14)?),
        },
        version: row.try_get(15)?,
        state: TaskState::from_code(state).ok_or_else(|| unknown("a task's state", state))?,
        rm: Some(rm).filter(|rm| !rm.is_empty()),
        assigned_at: time(row, 18)?,
        claimed_by: row.try_get(19)?,
        lease_until: time(row, 20)?,
        reminded_at: time(row, 21)?,
        escalated_at: time(row, 22)?,
        wakes_at: time(row, 23)?,
        result,
        closed_at: time(row, 28)?,
    })
}

/// Inserts a new task; `None`: its key is on record.
pub(super) async fn insert(conn: &mut SqliteConnection, sealer: &Sealer, new: &NewTask) -> StoreResult<Option<TaskId>> {
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO task (key, kind, customer_id, touch_campaign, touch_seq, title, language, skill, urgency, wanted_rm, branch, due_at, \
         expires_at, made_at, version, state, wakes_at, script) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?) \
         ON CONFLICT (key) DO NOTHING RETURNING id",
    )
    .bind(&new.key)
    .bind(i64::from(new.kind.code()))
    .bind(new.customer.0)
    .bind(new.touch.map(|t| t.campaign.0))
    .bind(new.touch.map(|t| i64::from(t.seq)))
    .bind(&new.title)
    .bind(&new.language)
    .bind(&new.skill)
    .bind(i64::from(9_u8.saturating_sub(new.priority)))
    .bind(&new.wanted_rm)
    .bind(&new.branch)
    .bind(new.due_at.0)
    .bind(new.expires_at.map(|t| t.0))
    .bind(new.at.0)
    .bind(new.at.0)
    .bind(sealer.seal_some(SCRIPT, new.customer.0, new.script.as_deref())?)
    .fetch_optional(conn)
    .await?;
    Ok(id.map(TaskId))
}

/// Writes a changed task back; `false`: the stored version is another one.
pub(super) async fn update(conn: &mut SqliteConnection, sealer: &Sealer, task: &Task) -> StoreResult<bool> {
    let (made, result) = (&task.made, task.result.as_ref());
    let written = sqlx::query(
        "UPDATE task SET version = version + 1, title = ?, language = ?, skill = ?, urgency = ?, wanted_rm = ?, branch = ?, due_at = ?, \
         expires_at = ?, state = ?, rm = ?, assigned_at = ?, claimed_by = ?, lease_until = ?, reminded_at = ?, escalated_at = ?, wakes_at = ?, \
         disposition = ?, connected_s = ?, next_contact = ?, result_at = ?, closed_at = ?, script = ?, notes = ?, told = 0 WHERE id = ? AND version = ?",
    )
    .bind(&made.title)
    .bind(&made.language)
    .bind(&made.skill)
    .bind(i64::from(9_u8.saturating_sub(made.priority)))
    .bind(&made.wanted_rm)
    .bind(&made.branch)
    .bind(made.due_at.0)
    .bind(made.expires_at.map(|t| t.0))
    .bind(i64::from(task.state.code()))
    .bind(task.rm.as_deref().unwrap_or_default())
    .bind(task.assigned_at.map(|t| t.0))
    .bind(&task.claimed_by)
    .bind(task.lease_until.map(|t| t.0))
    .bind(task.reminded_at.map(|t| t.0))
    .bind(task.escalated_at.map(|t| t.0))
    .bind(task.wakes_at.map(|t| t.0))
    .bind(result.map(|r| i64::from(r.disposition.code())))
    .bind(result.map_or(0, |r| i64::from(r.connected_s)))
    .bind(result.and_then(|r| r.next_contact).map(|t| t.0))
    .bind(result.map(|r| r.at.0))
    .bind(task.closed_at.map(|t| t.0))
    .bind(sealer.seal_some(SCRIPT, made.customer.0, made.script.as_deref())?)
    .bind(sealer.seal_some(NOTES, made.customer.0, result.and_then(|r| r.notes.as_deref()))?)
    .bind(task.id.0)
    .bind(task.version)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(written == 1)
}

/// Lines of a task's history.
pub(super) async fn add_events(conn: &mut SqliteConnection, task: TaskId, events: &[TaskEvent]) -> StoreResult<()> {
    for event in events {
        sqlx::query("INSERT INTO task_event (task_id, what, by, why, at) VALUES (?, ?, ?, ?, ?)")
            .bind(task.0)
            .bind(&event.what)
            .bind(&event.by)
            .bind(&event.why)
            .bind(event.at.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Tasks by a condition over the table `task`, whose parameters are integers and texts in this order.
pub(super) async fn select(conn: &mut SqliteConnection, sealer: &Sealer, rest: &str, arguments: SqliteArguments) -> StoreResult<Vec<Task>> {
    let sql = format!("SELECT {COLUMNS} FROM task {rest}");
    sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(conn).await?.iter().map(|row| task_row(row, sealer)).collect()
}

/// Integers as arguments.
pub(super) fn integers(values: &[i64]) -> StoreResult<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        add(&mut arguments, *value)?;
    }
    Ok(arguments)
}

/// One more argument.
pub(super) fn add<'q, T>(arguments: &mut SqliteArguments, value: T) -> StoreResult<()>
where
    T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    arguments.add(value).map_err(|error| StoreError::from(sqlx::Error::Encode(error)))
}
