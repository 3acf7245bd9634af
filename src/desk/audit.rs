//! The audit log: written in groups, verified from its first entry.
use super::{DeskError, DeskResult};
use crate::domain::audit::{Entry, Head, Linked};
use crate::store::{AuditFilter, Store};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Entries read at a time when the chain is recomputed.
const PAGE: usize = 2_000;

/// The log's pen: whoever comes while a commit is under way joins the next one. So a hundred calls at once cost two commits.
#[derive(Clone)]
pub struct Auditor {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Entry, oneshot::Sender<Result<(), String>>)>,
    is_writing: bool,
}

impl Auditor {
    /// Of a store's log.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { inner: Arc::new(Inner { store, queue: Mutex::default() }) }
    }

    /// Writes an entry; comes back once it is committed.
    pub async fn write(&self, entry: Entry) -> DeskResult<()> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut queue = self.inner.lock();
            queue.waiting.push((entry, tell));
            !std::mem::replace(&mut queue.is_writing, true)
        };
        if is_first {
            // A task of its own: a caller who goes away takes no other caller's entry along.
            tokio::spawn(Turn { inner: Arc::clone(&self.inner), is_over: false }.run());
        }
        let fault = match told.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(fault)) => fault,
            Err(_) => "the process is ending".to_owned(),
        };
        Err(DeskError::Store(crate::store::StoreError::Backend(format!("the audit log could not be written: {fault}"))))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of writing. Dropped before its end (its runtime stops), it lets the next caller write, and whoever waits is told.
struct Turn {
    inner: Arc<Inner>,
    is_over: bool,
}

impl Turn {
    async fn run(mut self) {
        loop {
            let batch = {
                let mut queue = self.inner.lock();
                if queue.waiting.is_empty() {
                    queue.is_writing = false;
                    self.is_over = true;
                    return;
                }
                std::mem::take(&mut queue.waiting)
            };
            let (entries, tell): (Vec<Entry>, Vec<_>) = batch.into_iter().unzip();
            let result = self.inner.store.append_audit(&entries).await.map(drop).map_err(|e| e.to_string());
            for tell in tell {
                // Whoever waited may have gone; the entry is in the log.
                let _ = tell.send(result.clone());
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = self.inner.lock();
            queue.is_writing = false;
            queue.waiting.clear();
        }
    }
}

/// What a look at the whole chain finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Verdict {
    /// Whether every entry follows the one before, and the head that was kept is in it.
    pub is_whole: bool,
    /// Entries that hold.
    pub entries: i64,
    /// The last that holds, as `N:HASH`: to be kept where whoever could change the log cannot.
    pub head: String,
    /// The first thing that does not hold.
    pub fault: Option<String>,
}

/// Recomputes the chain from its first entry; `kept`: a head from elsewhere that must be in it.
pub async fn verify(store: &dyn Store, kept: Option<&Head>) -> DeskResult<Verdict> {
    let mut head = Head::default();
    let mut fault = kept.filter(|k| k.number == 0 && **k != head).map(|_| "the head that was kept is of no log".to_owned());
    while fault.is_none() {
        let page = store.audit(&AuditFilter { after: head.number, limit: PAGE, ..AuditFilter::default() }).await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            if let Err(what) = follow(&mut head, row, kept) {
                fault = Some(what);
                break;
            }
        }
    }
    if let (None, Some(kept)) = (&fault, kept)
        && head.number < kept.number
    {
        fault = Some(format!("the log ends at entry {}, but entry {} was written: its end was cut off", head.number, kept.number));
    }
    Ok(Verdict { is_whole: fault.is_none(), entries: head.number, head: head.to_string(), fault })
}

fn follow(head: &mut Head, row: &Linked, kept: Option<&Head>) -> Result<(), String> {
    let before = head.clone();
    head.follow(row)?;
    match kept.filter(|k| k.number == row.number && k.hash != row.hash) {
        None => Ok(()),
        Some(kept) => {
            *head = before;
            Err(format!("entry {}: the hash that was kept elsewhere is {}, found {}: the log was written anew", row.number, kept.hash, row.hash))
        }
    }
}

/// Entries, in order.
pub async fn list(store: &dyn Store, filter: &AuditFilter) -> DeskResult<Vec<Linked>> {
    Ok(store.audit(filter).await?)
}

/// The log's end.
pub async fn head(store: &dyn Store) -> DeskResult<Head> {
    Ok(store.audit_head().await?)
}
