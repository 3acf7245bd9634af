//! From a closed task to its touch: the RM's result is the receipt that the touch waits for.
//!
//! A task that is closed counts as untold until the ledger has a result of its touch. So whatever ends in between (this process, the
//! engine, the machine), the next one tells it again, and the lattice takes it once. A task that nobody did tells that the customer was
//! not reached.
use crate::desk::DeskResult;
use crate::domain::ids::{RouteId, TaskId, TouchKey};
use crate::domain::outcome::{Disposition, Reason};
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::domain::worklist::Task;
use crate::store::Store;
use std::collections::HashMap;

/// Untold tasks that are read at a time.
const PAGE: usize = 500;

/// What a task says of its touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The route that the touch went by.
    pub route: RouteId,
    /// The task: the provider's name for the touch.
    pub task: TaskId,
    /// The touch.
    pub touch: TouchKey,
    /// When it was so.
    pub at: Timestamp,
    /// What came of it.
    pub disposition: Disposition,
    /// Seconds of conversation.
    pub connected_s: u32,
}

/// Tells touches what became of their tasks, each version of a task once in a process.
#[derive(Debug, Default)]
pub struct Teller {
    told: HashMap<TaskId, i64>,
}

/// What a task says of its touch; `None`: it has nothing to say that the ledger does not have.
fn told(task: &Task, touch: &Touch) -> Option<Told> {
    let (disposition, connected_s, at) = match &task.result {
        Some(result) => (result.disposition, result.connected_s, result.at),
        None => (Reason::NotReached, 0, task.closed_at.unwrap_or(task.made.at)),
    };
    let corrects = touch.state == State::Missed && disposition.is_reached();
    let waits = matches!(touch.state, State::Started | State::Uncertain | State::Scheduled) || corrects;
    let route = touch.route?;
    waits.then_some(Told { route, task: task.id, touch: touch.key, at, disposition, connected_s })
}

impl Teller {
    /// What the engine is to hear as receipts, and has not heard yet: to be called at the start and then every second. Tasks whose touch has its
    /// result are marked, and not looked at again.
    pub async fn receipts(&mut self, store: &dyn Store) -> DeskResult<Vec<Told>> {
        let mut receipts = Vec::new();
        let mut untold = HashMap::new();
        let mut after = TaskId(0);
        loop {
            let page = store.untold_tasks(after, PAGE).await?;
            let keys: Vec<_> = page.iter().filter_map(|t| t.made.touch).collect();
            let touches: HashMap<_, Touch> = store.touches(&keys).await?.into_iter().map(|t| (t.key, t)).collect();
            let mut known = Vec::new();
            for task in &page {
                match task.made.touch.and_then(|key| touches.get(&key)).and_then(|touch| Some((touch, told(task, touch)?))) {
                    None => known.push(task.id),
                    Some((touch, said)) => {
                        // What was put back is told when it has been handed over again.
                        let waits = touch.state != State::Scheduled;
                        if waits && self.told.get(&task.id) != Some(&task.version) {
                            receipts.push(said);
                        }
                        if waits {
                            untold.insert(task.id, task.version);
                        }
                    }
                }
            }
            store.mark_told(&known).await?;
            match page.last() {
                Some(last) if page.len() == PAGE => after = last.id,
                _ => break,
            }
        }
        self.told = untold;
        Ok(receipts)
    }
}
