//! Small writes that come at the same time share one transaction, and so one wait for the disk: a hundred results of relationship
//! managers a second cost a handful of commits, and the engine's batches stand behind one of them instead of behind all.
//!
//! Whoever gets the writing connection does everybody's work, each in a savepoint of its own: what fails is undone by itself and told
//! to whom it belongs; the others are committed.
use super::SqliteStore;
use crate::store::{StoreError, StoreResult};
use futures_util::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Writes done in one transaction at most; the rest have the next one.
const AT_ONCE: usize = 256;

/// Does a write on the connection, and says whether it is to stand.
type Work = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, bool> + Send>;

struct Pending {
    number: u64,
    work: Work,
    /// Told when the transaction has ended: committed, or with what fault.
    ended: oneshot::Sender<StoreResult<()>>,
}

#[derive(Default)]
struct Queue {
    last: u64,
    waiting: Vec<Pending>,
}

/// Those who wait for the connection with a small write.
#[derive(Default)]
pub(super) struct Together(Mutex<Queue>);

impl Together {
    fn take(&self) -> Vec<Pending> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = queue.waiting.len().min(AT_ONCE);
        queue.waiting.drain(..n).collect()
    }
}

/// Takes a write back whose caller has gone away before it was begun.
struct Place<'s>(&'s Together, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).waiting.retain(|p| p.number != self.1);
    }
}

impl SqliteStore {
    /// Does a small write together with those that wait at the same time. An error of `work` undoes its own part alone.
    pub(super) async fn together<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, StoreResult<T>> + Send + 'static,
    {
        let slot: Arc<Mutex<Option<StoreResult<T>>>> = Arc::default();
        let (ended, mut told) = oneshot::channel();
        let place = {
            let slot = Arc::clone(&slot);
            let work: Work = Box::new(move |conn| {
                let doing = work(conn);
                Box::pin(async move {
                    let done = doing.await;
                    let stands = done.is_ok();
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
                    stands
                })
            });
            let mut queue = self.together.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.last += 1;
            let number = queue.last;
            queue.waiting.push(Pending { number, work, ended });
            Place(&self.together, number)
        };
        let end = loop {
            tokio::select! {
                biased;
                end = &mut told => break end,
                mut writer = self.writer.lock() => {
                    let all = self.together.take();
                    if !all.is_empty() {
                        let (tell, end) = self.write_all(&mut writer, all).await;
                        tell.into_iter().for_each(|ended| drop(ended.send(again(&end))));
                    }
                }
            }
        };
        drop(place);
        match end {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(fault),
            Err(_) => return Err(StoreError::Backend("the write was given up with one beside it; nothing of it was kept: try again".to_owned())),
        }
        let done = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        done.unwrap_or_else(|| Err(StoreError::Backend("a write ended without a word".to_owned())))
    }

    async fn write_all(&self, writer: &mut super::Writer, all: Vec<Pending>) -> (Vec<oneshot::Sender<StoreResult<()>>>, StoreResult<()>) {
        let (works, tell): (Vec<_>, Vec<_>) = all.into_iter().map(|p| (p.work, p.ended)).unzip();
        let end = async {
            let mut writing = writer.begin().await?;
            for work in works {
                let mut part = writing.tx.begin().await?;
                if work(&mut part).await { part.commit().await? } else { part.rollback().await? }
            }
            writing.commit().await
        };
        let end = end.await;
        (tell, end)
    }
}

/// The end of a transaction, for each who had a part in it.
fn again(end: &StoreResult<()>) -> StoreResult<()> {
    match end {
        Ok(()) => Ok(()),
        Err(StoreError::Full(text)) => Err(StoreError::Full(text.clone())),
        Err(StoreError::Unusable(text)) => Err(StoreError::Unusable(text.clone())),
        Err(other) => Err(StoreError::Backend(other.to_string())),
    }
}
