//! From a closed task to its touch: the RM's result is the receipt that the touch waits for.
//!
//! A task that is closed counts as untold until the ledger has a result of its touch. So whatever ends in between (this process, the
//! engine, the machine), the next one tells it again, and the lattice takes it once. A task that nobody did tells that the customer was
//! not reached.
use crate::channels::Receipt;
use crate::desk::DeskResult;
use crate::domain::ids::TaskId;
use crate::domain::outcome::Reason;
use crate::domain::touch::{State, Touch};
use crate::domain::worklist::Task;
use crate::store::Store;
use std::collections::HashMap;

/// Untold tasks that are read at a time.
const PAGE: usize = 500;

/// Tells touches what became of their tasks, each version of a task once in a process.
#[derive(Debug, Default)]
pub struct Teller {
    told: HashMap<TaskId, i64>,
}

/// What a task says of its touch; `None`: it has nothing to say that the ledger does not have.
fn receipt(task: &Task, touch: &Touch) -> Option<Receipt> {
    let (disposition, connected_s, at) = match &task.result {
        Some(result) => (result.disposition, result.connected_s, result.at),
        None => (Reason::NotReached, 0, task.closed_at.unwrap_or(task.made.at)),
    };
    let corrects = touch.state == State::Missed && disposition.is_reached();
    let waits = matches!(touch.state, State::Started | State::Uncertain | State::Scheduled) || corrects;
    let (route, touch_key) = (touch.route?, touch.key);
    waits.then(|| Receipt { route, provider_ref: task.id.to_string().into(), touch: Some(touch_key), at, disposition, connected_s })
}

impl Teller {
    /// Receipts for the engine that are not on their way yet: to be called at the start and then every second. Tasks whose touch has its
    /// result are marked, and not looked at again.
    pub async fn receipts(&mut self, store: &dyn Store) -> DeskResult<Vec<Receipt>> {
        let mut receipts = Vec::new();
        let mut untold = HashMap::new();
        let mut after = TaskId(0);
        loop {
            let page = store.untold_tasks(after, PAGE).await?;
            let keys: Vec<_> = page.iter().filter_map(|t| t.made.touch).collect();
            let touches: HashMap<_, Touch> = store.touches(&keys).await?.into_iter().map(|t| (t.key, t)).collect();
            let mut known = Vec::new();
            for task in &page {
                match task.made.touch.and_then(|key| touches.get(&key)).and_then(|touch| Some((touch, receipt(task, touch)?))) {
                    None => known.push(task.id),
                    Some((touch, receipt)) => {
                        // What was put back is told when it has been handed over again.
                        let waits = touch.state != State::Scheduled;
                        if waits && self.told.get(&task.id) != Some(&task.version) {
                            receipts.push(receipt);
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
