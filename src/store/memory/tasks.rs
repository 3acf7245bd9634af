//! The worklist's book.
use super::{MemoryStore, not_found};
use crate::domain::ids::{CampaignId, CustomerId, TaskId};
use crate::domain::time::Timestamp;
use crate::store::privacy::ERASED;
use crate::store::tasks::{Checkpoint, Load, NewTask, Rm, Task, TaskBook, TaskEvent, TaskFilter, TaskKind, TaskState};
use crate::store::{StoreError, StoreResult};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

/// Place of a task in every list: priority descending, due time, id.
type Place = (u8, Timestamp, TaskId);

/// The rows of the worklist, and the indexes that follow them.
#[derive(Clone, Default)]
pub(super) struct Worklist {
    tasks: BTreeMap<TaskId, Task>,
    by_key: BTreeMap<String, TaskId>,
    order: BTreeSet<Place>,
    waking: BTreeSet<(Timestamp, TaskId)>,
    /// Closed tasks of touches whose result is not in the ledger, as far as is known.
    untold: BTreeSet<TaskId>,
    history: BTreeMap<TaskId, Vec<TaskEvent>>,
    rms: BTreeMap<String, Rm>,
    checkpoints: BTreeMap<(CustomerId, String), Checkpoint>,
}

fn place(task: &Task) -> Place {
    (9_u8.saturating_sub(task.made.priority), task.made.due_at, task.id)
}

impl Worklist {
    /// Writes a row; every index follows.
    fn put(&mut self, task: Task) {
        if let Some(old) = self.tasks.get(&task.id) {
            self.order.remove(&place(old));
            if let Some(at) = old.wakes_at {
                self.waking.remove(&(at, old.id));
            }
        }
        self.order.insert(place(&task));
        if let Some(at) = task.wakes_at {
            self.waking.insert((at, task.id));
        }
        self.tasks.insert(task.id, task);
    }

    /// Closed tasks that still have a script or notes.
    pub(super) fn wordy(&self, before: Timestamp) -> impl Iterator<Item = TaskId> {
        let has_words = |t: &&Task| t.made.script.is_some() || t.result.as_ref().is_some_and(|r| r.notes.is_some());
        self.tasks.values().filter(move |t| t.closed_at.is_some_and(|at| at < before)).filter(has_words).map(|t| t.id)
    }

    /// Checkpoints that are closed.
    pub(super) fn closed_checkpoints(&self, before: Timestamp) -> impl Iterator<Item = &(CustomerId, String)> {
        self.checkpoints.iter().filter(move |(_, c)| c.closed && c.at < before).map(|(key, _)| key)
    }

    fn wipe(&mut self, id: TaskId) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let notes = task.result.as_mut().and_then(|r| r.notes.take());
        task.made.script.take().is_some() || notes.is_some()
    }

    pub(super) fn forget_words(&mut self, before: Timestamp, limit: usize) -> usize {
        let gone: Vec<TaskId> = self.wordy(before).take(limit).collect();
        gone.iter().filter(|id| self.wipe(**id)).count()
    }

    pub(super) fn forget_checkpoints(&mut self, before: Timestamp, limit: usize) -> usize {
        let gone: Vec<_> = self.closed_checkpoints(before).take(limit).cloned().collect();
        gone.iter().filter(|key| self.checkpoints.remove(key).is_some()).count()
    }

    /// What tasks and checkpoints say of a customer; returns how many of each said anything.
    pub(super) fn erase(&mut self, customer: CustomerId) -> (u64, u64) {
        let own: Vec<TaskId> = self.tasks.values().filter(|t| t.made.customer == customer).map(|t| t.id).collect();
        let mut tasks = 0;
        for id in own {
            let wiped = self.wipe(id);
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            // The title of a callback or a referral is what somebody wrote down of the customer; a journey's is its campaign's.
            let titled = task.made.touch.is_none() && task.made.title != ERASED;
            if titled {
                task.made.title = ERASED.to_owned();
            }
            if wiped || titled {
                tasks += 1;
                task.version += 1;
            }
        }
        let before = self.checkpoints.len();
        self.checkpoints.retain(|(of, _), _| *of != customer);
        (tasks, (before - self.checkpoints.len()) as u64)
    }

    fn make(&mut self, new: &NewTask) -> (Task, bool) {
        if let Some(task) = self.by_key.get(&new.key).and_then(|id| self.tasks.get(id)) {
            return (task.clone(), false);
        }
        let id = TaskId(self.tasks.keys().next_back().map_or(1, |last| last.0 + 1));
        let task = new.row(id);
        self.by_key.insert(new.key.clone(), id);
        self.history.insert(id, vec![TaskEvent::made(new)]);
        self.put(task.clone());
        (task, true)
    }

    fn after<'a>(&'a self, filter: &TaskFilter) -> StoreResult<impl Iterator<Item = &'a Task> + 'a> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = match filter.after {
            None => Unbounded,
            Some(id) => Excluded(place(self.tasks.get(&id).ok_or_else(|| not_found("task", id))?)),
        };
        Ok(self.order.range((from, Unbounded)).filter_map(|(.., id)| self.tasks.get(id)))
    }
}

/// What an event tells of a task beside what happened.
fn about(task: &Task) -> (CustomerId, TaskKind, Option<CampaignId>) {
    (task.made.customer, task.made.kind, task.made.touch.map(|t| t.campaign))
}

fn fits(filter: &TaskFilter, task: &Task) -> bool {
    filter.rm.as_deref().is_none_or(|rm| task.rm.as_deref().unwrap_or_default() == rm)
        && filter.branch.as_deref().is_none_or(|branch| task.made.branch.as_deref() == Some(branch))
        && filter.customer.is_none_or(|customer| task.made.customer == customer)
        && (filter.states.is_empty() || filter.states.contains(&task.state))
}

#[async_trait]
impl TaskBook for MemoryStore {
    async fn make_tasks(&self, new: &[NewTask]) -> StoreResult<Vec<(Task, bool)>> {
        let mut state = self.lock();
        let mut made = Vec::with_capacity(new.len());
        for new in new {
            let (task, is_new) = state.worklist.make(new);
            if is_new {
                state.tell_task(task.id, about(&task), &[TaskEvent::made(new)]);
            }
            made.push((task, is_new));
        }
        Ok(made)
    }

    async fn task(&self, id: TaskId) -> StoreResult<Option<Task>> {
        Ok(self.lock().worklist.tasks.get(&id).cloned())
    }

    async fn task_by_key(&self, key: &str) -> StoreResult<Option<Task>> {
        let state = self.lock();
        Ok(state.worklist.by_key.get(key).and_then(|id| state.worklist.tasks.get(id)).cloned())
    }

    async fn tasks(&self, filter: &TaskFilter) -> StoreResult<Vec<Task>> {
        let state = self.lock();
        Ok(state.worklist.after(filter)?.filter(|task| fits(filter, task)).take(filter.limit).cloned().collect())
    }

    async fn change_tasks(&self, changes: &[(Task, Vec<TaskEvent>)]) -> StoreResult<()> {
        let mut state = self.lock();
        let book = &mut state.worklist;
        let mut seen = BTreeSet::new();
        for (task, _) in changes {
            let stored = book.tasks.get(&task.id).ok_or_else(|| not_found("task", task.id))?;
            if stored.version != task.version || !seen.insert(task.id) {
                return Err(StoreError::Conflict(task.moved_on()));
            }
        }
        let mut told = Vec::with_capacity(changes.len());
        for (task, events) in changes {
            let mut task = task.clone();
            task.version += 1;
            if let Some(stored) = book.tasks.get(&task.id) {
                task.made.keep_purpose(&stored.made);
                if task.state.is_closed() && task.made.touch.is_some() {
                    book.untold.insert(task.id);
                }
            }
            book.history.entry(task.id).or_default().extend(events.iter().cloned());
            told.push((task.id, about(&task), events));
            book.put(task);
        }
        for (id, about, events) in told {
            state.tell_task(id, about, events);
        }
        Ok(())
    }

    async fn waking_tasks(&self, at: Timestamp, limit: usize) -> StoreResult<Vec<Task>> {
        let state = self.lock();
        let book = &state.worklist;
        let due = book.waking.range(..=(at, TaskId(i64::MAX)));
        Ok(due.filter_map(|(_, id)| book.tasks.get(id)).take(limit).cloned().collect())
    }

    async fn wake_unassigned(&self, at: Timestamp) -> StoreResult<u64> {
        let mut state = self.lock();
        let book = &mut state.worklist;
        let asleep = |t: &&Task| t.state == TaskState::Open && t.rm.is_none() && t.wakes_at.is_none_or(|wakes| wakes > at);
        let sleeping: Vec<Task> = book.tasks.values().filter(asleep).cloned().collect();
        let count = sleeping.len() as u64;
        for task in sleeping {
            book.put(Task { wakes_at: Some(at), ..task });
        }
        Ok(count)
    }

    async fn open_touch_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>> {
        let state = self.lock();
        let open = state.worklist.tasks.range(TaskId(after.0.saturating_add(1))..).map(|(_, task)| task);
        Ok(open.filter(|t| t.made.touch.is_some() && !t.state.is_closed()).take(limit).cloned().collect())
    }

    async fn untold_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>> {
        let state = self.lock();
        let book = &state.worklist;
        let untold = book.untold.range(TaskId(after.0.saturating_add(1))..);
        Ok(untold.filter_map(|id| book.tasks.get(id)).take(limit).cloned().collect())
    }

    async fn mark_told(&self, tasks: &[TaskId]) -> StoreResult<()> {
        let mut state = self.lock();
        for id in tasks {
            state.worklist.untold.remove(id);
        }
        Ok(())
    }

    async fn task_history(&self, id: TaskId) -> StoreResult<Vec<TaskEvent>> {
        Ok(self.lock().worklist.history.get(&id).cloned().unwrap_or_default())
    }

    async fn loads(&self, since: Timestamp) -> StoreResult<Vec<(String, Load)>> {
        let state = self.lock();
        let mut loads: BTreeMap<&str, Load> = state.worklist.rms.keys().map(|rm| (rm.as_str(), Load::default())).collect();
        for task in state.worklist.tasks.values() {
            if let Some(load) = task.rm.as_deref().and_then(|rm| loads.get_mut(rm)) {
                load.open += u32::from(!task.state.is_closed());
                load.today += u32::from(task.assigned_at.is_some_and(|at| at >= since));
            }
        }
        Ok(loads.into_iter().map(|(rm, load)| (rm.to_owned(), load)).collect())
    }

    async fn put_rms(&self, rms: &[Rm]) -> StoreResult<()> {
        let mut state = self.lock();
        state.worklist.rms.extend(rms.iter().map(|rm| (rm.reference.clone(), rm.clone())));
        Ok(())
    }

    async fn rms(&self) -> StoreResult<Vec<Rm>> {
        Ok(self.lock().worklist.rms.values().cloned().collect())
    }

    async fn put_checkpoint(&self, checkpoint: &Checkpoint) -> StoreResult<bool> {
        let mut state = self.lock();
        let key = (checkpoint.customer, checkpoint.name.clone());
        if state.worklist.checkpoints.get(&key).is_some_and(|stored| stored.at > checkpoint.at) {
            return Ok(false);
        }
        state.worklist.checkpoints.insert(key, checkpoint.clone());
        Ok(true)
    }

    async fn checkpoints(&self, customer: CustomerId) -> StoreResult<Vec<Checkpoint>> {
        let state = self.lock();
        let mut found: Vec<Checkpoint> =
            state.worklist.checkpoints.range((customer, String::new())..).take_while(|((c, _), _)| *c == customer).map(|(_, c)| c.clone()).collect();
        // Newest first; the range has put those of one instant in order of name.
        found.sort_by_key(|c| std::cmp::Reverse(c.at));
        Ok(found)
    }
}
