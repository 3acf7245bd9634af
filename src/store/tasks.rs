//! The worklist's book: tasks, the roster of relationship managers, checkpoints.
//!
//! A store only keeps and finds: what a task becomes is decided in `domain::worklist` and `desk::worklist`, and written back under
//! the version that it was decided on.
use super::StoreResult;
use crate::domain::ids::{CustomerId, TaskId};
use crate::domain::time::Timestamp;
pub use crate::domain::worklist::{Checkpoint, Load, NewTask, Rm, Task, TaskEvent, TaskKind, TaskResult, TaskState};
use async_trait::async_trait;

/// Which tasks are asked for. Every `None` asks for all.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// On this RM's list (assigned to them), or on nobody's when `Some("")`.
    pub rm: Option<String>,
    /// Of this branch.
    pub branch: Option<String>,
    /// About this customer.
    pub customer: Option<CustomerId>,
    /// In these states; empty: in any.
    pub states: Vec<TaskState>,
    /// After this one in (priority descending, due time, id) order: the last of the page before.
    pub after: Option<TaskId>,
    /// How many at most.
    pub limit: usize,
}

/// The book.
#[async_trait]
pub trait TaskBook: Send + Sync {
    /// Makes tasks, in order, in one transaction; gives each one's row and whether it is new. One whose key is on record is left as it is.
    /// A new one is open, of version 1, on nobody's list, and wakes at once (when it was made), so that the next round gives it to
    /// somebody; its history begins with `made` by `engine`.
    async fn make_tasks(&self, new: &[NewTask]) -> StoreResult<Vec<(Task, bool)>>;
    /// One task.
    async fn task(&self, id: TaskId) -> StoreResult<Option<Task>>;
    /// The task of a key.
    async fn task_by_key(&self, key: &str) -> StoreResult<Option<Task>>;
    /// Tasks in (priority descending, due time, id) order. An `after` that is no task is `NotFound`.
    async fn tasks(&self, filter: &TaskFilter) -> StoreResult<Vec<Task>>;
    /// Writes tasks back, each decided on `version`: the stored version must still be that one, and becomes one more. All or nothing, in one
    /// transaction with their histories' new lines. A task that has moved on is a conflict that names it, one that is not there `NotFound`.
    /// What a task is for stays as it was made: its key, kind, customer, touch, and when it was made. One that carries out a touch and is
    /// closed by the change counts as not told.
    async fn change_tasks(&self, changes: &[(Task, Vec<TaskEvent>)]) -> StoreResult<()>;
    /// Tasks whose `wakes_at` is not after `at`, soonest first.
    async fn waking_tasks(&self, at: Timestamp, limit: usize) -> StoreResult<Vec<Task>>;
    /// Lets every open task on nobody's list wake at `at` (the roster has changed), unless it wakes before; gives how many. No
    /// version grows: nothing was decided.
    async fn wake_unassigned(&self, at: Timestamp) -> StoreResult<u64>;
    /// Open and claimed tasks that carry out a touch, after this one, by id: what a stopped campaign or an opt-out calls back.
    async fn open_touch_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>>;
    /// Closed tasks that carried out a touch and are not marked as told, after this one, by id.
    async fn untold_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>>;
    /// Marks tasks whose touch has its result in the ledger; those that are not closed or unknown are left out. No version grows.
    async fn mark_told(&self, tasks: &[TaskId]) -> StoreResult<()>;
    /// A task's history, oldest first.
    async fn task_history(&self, id: TaskId) -> StoreResult<Vec<TaskEvent>>;
    /// What each RM has, for all of the roster; `since`: the start of the day.
    async fn loads(&self, since: Timestamp) -> StoreResult<Vec<(String, Load)>>;
    /// Sets relationship managers, by reference.
    async fn put_rms(&self, rms: &[Rm]) -> StoreResult<()>;
    /// The roster, by reference.
    async fn rms(&self) -> StoreResult<Vec<Rm>>;
    /// Sets a checkpoint; one of an earlier `at` than what is on record for that customer and name changes nothing. Says whether it was taken.
    async fn put_checkpoint(&self, checkpoint: &Checkpoint) -> StoreResult<bool>;
    /// A customer's checkpoints, newest first.
    async fn checkpoints(&self, customer: CustomerId) -> StoreResult<Vec<Checkpoint>>;
}
