//! The worklist's book. A list is one index range a state, in the order of the list; several states are merged here.
mod roster;
mod rows;

use super::SqliteStore;
use super::batches::json_arguments;
use crate::domain::ids::{CustomerId, TaskId};
use crate::domain::time::Timestamp;
use crate::store::sealing::Sealer;
use crate::store::tasks::{Checkpoint, Load, NewTask, Rm, Task, TaskBook, TaskEvent, TaskFilter, TaskState};
use crate::store::{StoreError, StoreResult};
use async_trait::async_trait;
use rows::{add, add_events, insert, integers, select, update};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection, Row, SqliteConnection};
use std::sync::Arc;

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn no_task(id: TaskId) -> StoreError {
    StoreError::NotFound { what: "task", name: id.to_string(), hint: String::new() }
}

async fn one(conn: &mut SqliteConnection, sealer: &Sealer, id: TaskId) -> StoreResult<Option<Task>> {
    Ok(select(conn, sealer, "WHERE id = ?", integers(&[id.0])?).await?.pop())
}

/// A filter's page of one state.
async fn of_state(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    filter: &TaskFilter,
    state: TaskState,
    after: Option<(i64, i64, i64)>,
) -> StoreResult<Vec<Task>> {
    let mut rest = String::from("WHERE state = ?");
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, i64::from(state.code()))?;
    if let Some(customer) = filter.customer {
        rest.push_str(" AND customer_id = ?");
        add(&mut arguments, customer.0)?;
    }
    match filter.rm.as_deref() {
        // Written out, so that the partial index of what nobody has serves it.
        Some("") => rest.push_str(" AND rm = ''"),
        Some(rm) => {
            rest.push_str(" AND rm = ?");
            add(&mut arguments, rm.to_owned())?;
        }
        None => {}
    }
    if let Some(branch) = &filter.branch {
        // The unary plus keeps an RM's list on the RM's own index.
        let plus = if filter.rm.as_deref().is_some_and(|rm| !rm.is_empty()) || filter.customer.is_some() { "+" } else { "" };
        rest.push_str(" AND ");
        rest.push_str(plus);
        rest.push_str("branch = ?");
        add(&mut arguments, branch.clone())?;
    }
    if let Some((urgency, due, id)) = after {
        rest.push_str(" AND (urgency, due_at, id) > (?, ?, ?)");
        for n in [urgency, due, id] {
            add(&mut arguments, n)?;
        }
    }
    rest.push_str(" ORDER BY urgency, due_at, id LIMIT ?");
    add(&mut arguments, limit_of(filter.limit))?;
    select(conn, sealer, &rest, arguments).await
}

#[async_trait]
impl TaskBook for SqliteStore {
    async fn make_tasks(&self, new: &[NewTask]) -> StoreResult<Vec<(Task, bool)>> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let mut made = Vec::with_capacity(new.len());
        for new in new {
            if let Some(id) = insert(&mut writing.tx, &self.sealer, new).await? {
                add_events(&mut writing.tx, id, &[TaskEvent::made(new)]).await?;
                made.push((new.row(id), true));
            } else {
                let mut key = SqliteArguments::default();
                add(&mut key, new.key.clone())?;
                let stored = select(&mut writing.tx, &self.sealer, "WHERE key = ?", key).await?.pop();
                made.push((stored.ok_or_else(|| StoreError::Backend("a task that is on record could not be read".into()))?, false));
            }
        }
        writing.commit().await?;
        Ok(made)
    }

    async fn task(&self, id: TaskId) -> StoreResult<Option<Task>> {
        one(&mut *self.reader().await?, &self.sealer, id).await
    }

    async fn task_by_key(&self, key: &str) -> StoreResult<Option<Task>> {
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, key.to_owned())?;
        Ok(select(&mut *self.reader().await?, &self.sealer, "WHERE key = ?", arguments).await?.pop())
    }

    async fn tasks(&self, filter: &TaskFilter) -> StoreResult<Vec<Task>> {
        let mut reader = self.reader().await?;
        // One snapshot: a task that changes its state between two of these reads would be on the page twice, or not at all.
        let mut reading = reader.begin().await?;
        let after = match filter.after {
            None => None,
            Some(id) => {
                let last = one(&mut reading, &self.sealer, id).await?.ok_or_else(|| no_task(id))?;
                Some((i64::from(9_u8.saturating_sub(last.made.priority)), last.made.due_at.0, last.id.0))
            }
        };
        let states = if filter.states.is_empty() { TaskState::ALL } else { &filter.states };
        let mut found = Vec::new();
        for (place, state) in states.iter().enumerate() {
            if !states.iter().take(place).any(|before| before == state) {
                found.extend(of_state(&mut reading, &self.sealer, filter, *state, after).await?);
            }
        }
        found.sort_by_key(|t| (std::cmp::Reverse(t.made.priority), t.made.due_at, t.id));
        found.truncate(filter.limit);
        Ok(found)
    }

    async fn change_tasks(&self, changes: &[(Task, Vec<TaskEvent>)]) -> StoreResult<()> {
        let (changes, sealer) = (changes.to_vec(), Arc::clone(&self.sealer));
        self.together(move |conn| {
            Box::pin(async move {
                for (task, events) in &changes {
                    if !update(conn, &sealer, task).await? {
                        return Err(match one(conn, &sealer, task.id).await? {
                            Some(_) => StoreError::Conflict(task.moved_on()),
                            None => no_task(task.id),
                        });
                    }
                    add_events(conn, task.id, events).await?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn waking_tasks(&self, at: Timestamp, limit: usize) -> StoreResult<Vec<Task>> {
        let rest = "WHERE wakes_at <= ? ORDER BY wakes_at, id LIMIT ?";
        select(&mut *self.reader().await?, &self.sealer, rest, integers(&[at.0, limit_of(limit)])?).await
    }

    async fn wake_unassigned(&self, at: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let woken = sqlx::query("UPDATE task SET wakes_at = ?1 WHERE rm = '' AND state = 0 AND (wakes_at IS NULL OR wakes_at > ?1)")
            .bind(at.0)
            .execute(&mut *writing.tx)
            .await?
            .rows_affected();
        writing.commit().await?;
        Ok(woken)
    }

    async fn open_touch_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>> {
        let rest = "WHERE id > ? AND touch_campaign IS NOT NULL AND state IN (0, 1) ORDER BY id LIMIT ?";
        select(&mut *self.reader().await?, &self.sealer, rest, integers(&[after.0, limit_of(limit)])?).await
    }

    async fn untold_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>> {
        let rest = "WHERE id > ? AND touch_campaign IS NOT NULL AND told = 0 AND state IN (2, 3, 4) ORDER BY id LIMIT ?";
        select(&mut *self.reader().await?, &self.sealer, rest, integers(&[after.0, limit_of(limit)])?).await
    }

    async fn mark_told(&self, tasks: &[TaskId]) -> StoreResult<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let sql = "UPDATE task SET told = 1 WHERE state IN (2, 3, 4) AND id IN (SELECT value FROM json_each(?))";
        sqlx::query_with(sql, json_arguments(&tasks)?).execute(&mut *writing.tx).await?;
        writing.commit().await
    }

    async fn task_history(&self, id: TaskId) -> StoreResult<Vec<TaskEvent>> {
        let mut reader = self.reader().await?;
        let rows = sqlx::query("SELECT what, by, why, at FROM task_event WHERE task_id = ? ORDER BY n").bind(id.0).fetch_all(&mut *reader).await?;
        rows.iter()
            .map(|row| Ok(TaskEvent { what: row.try_get(0)?, by: row.try_get(1)?, why: row.try_get(2)?, at: Timestamp(row.try_get(3)?) }))
            .collect()
    }

    async fn loads(&self, since: Timestamp) -> StoreResult<Vec<(String, Load)>> {
        roster::loads(&mut *self.reader().await?, since).await
    }

    async fn put_rms(&self, rms: &[Rm]) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        roster::put(&mut writing.tx, rms).await?;
        writing.commit().await
    }

    async fn rms(&self) -> StoreResult<Vec<Rm>> {
        roster::all(&mut *self.reader().await?).await
    }

    async fn put_checkpoint(&self, checkpoint: &Checkpoint) -> StoreResult<bool> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let taken = roster::put_checkpoint(&mut writing.tx, &self.sealer, checkpoint).await?;
        writing.commit().await?;
        Ok(taken)
    }

    async fn checkpoints(&self, customer: CustomerId) -> StoreResult<Vec<Checkpoint>> {
        roster::checkpoints(&mut *self.reader().await?, &self.sealer, customer).await
    }
}
