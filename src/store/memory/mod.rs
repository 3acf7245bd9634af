//! The store in memory: for tests in virtual time, rehearsals that need no file, and as the reference of the conformance suite.
//!
//! The whole state stands behind one mutex and every call is one critical section: it is serialisable, deterministic (ordered
//! maps only), and its futures are complete at their first poll, so that a world without a runtime can drive it.
mod access;
mod approvals;
mod begin;
mod book;
mod consents;
mod contacts;
mod customers;
mod facts;
mod inbox;
mod ledger;
mod lists;
mod outbox;
mod privacy;
mod record;
mod state;
mod tasks;

use super::{ExportBook, ExportRow, LeaseTable, Store, StoreError, StoreResult};
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use state::State;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store that lives as long as its process.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a crash at this moment leaves: all committed rows, and no owner. The next `acquire` gets the next fencing number.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let mut state = self.lock().clone();
        state.owner = None;
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Rows are written only after all checks of a call have passed, so a panic in a caller's `decide` leaves whole rows.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `; did you mean ...?` for the nearest of the known names, or nothing when none is near.
fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    // 0.8 of Jaro-Winkler: one or two slips in a name, not another name.
    known
        .map(|k| (strsim::jaro_winkler(name, k), k))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, k)| format!("; did you mean {k:?}?"))
}

fn not_found(what: &'static str, name: impl ToString) -> StoreError {
    StoreError::NotFound { what, name: name.to_string(), hint: String::new() }
}

#[async_trait]
impl ExportBook for MemoryStore {
    async fn next_export(&self) -> StoreResult<i64> {
        let mut state = self.lock();
        state.exports_reserved += 1;
        Ok(state.exports_reserved)
    }

    async fn put_export(&self, export: &ExportRow) -> StoreResult<()> {
        let mut state = self.lock();
        let number = export.number;
        if number < 1 || number > state.exports_reserved {
            return Err(StoreError::Conflict(format!(
                "expected an export number reserved before (1 to {}), found {number}: reserve one first",
                state.exports_reserved
            )));
        }
        if state.exports.contains_key(&number) {
            return Err(StoreError::Conflict(format!("export {number} is on record already: exports are never rewritten, reserve a new number")));
        }
        state.exports.insert(number, export.clone());
        Ok(())
    }

    async fn export(&self, number: Option<i64>) -> StoreResult<Option<ExportRow>> {
        let state = self.lock();
        Ok(match number {
            Some(number) => state.exports.get(&number).cloned(),
            None => state.exports.values().next_back().cloned(),
        })
    }

    async fn exports(&self, campaign: CampaignId) -> StoreResult<Vec<ExportRow>> {
        Ok(self.lock().exports.values().filter(|e| e.campaign == campaign).cloned().collect())
    }

    async fn references(&self, from: CustomerId, to: CustomerId) -> StoreResult<Vec<(CustomerId, Box<str>)>> {
        if from > to {
            return Ok(Vec::new());
        }
        Ok(self.lock().customers.range(from..=to).map(|(id, row)| (*id, row.reference.as_str().into())).collect())
    }
}

#[async_trait]
impl LeaseTable for MemoryStore {
    async fn acquire(&self, _accept_restored: bool, _at: Timestamp) -> StoreResult<i64> {
        let mut state = self.lock();
        if let Some(owner) = state.owner {
            return Err(StoreError::Fenced(format!(
                "the store is held under fencing number {owner}: stop the process that holds it, or let it finish, and run the command again"
            )));
        }
        state.fence += 1;
        state.owner = Some(state.fence);
        Ok(state.fence)
    }

    async fn release(&self, fence: i64) -> StoreResult<()> {
        let mut state = self.lock();
        state.check_fence(fence)?;
        state.owner = None;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::kit;
    use crate::store::{CampaignBook, CustomerBook, TouchLedger};

    #[tokio::test]
    async fn a_snapshot_keeps_rows_and_drops_the_owner() {
        let store = MemoryStore::new();
        let (run, key, fence) = {
            let bed = kit::bed(&store, 2).await;
            let begun = bed.start(1, kit::T0).await;
            (bed.run, begun.written[0].1.key, bed.fence)
        };
        let after = store.snapshot();
        assert_eq!(after.touch(key).await.unwrap(), store.touch(key).await.unwrap());
        assert_eq!(after.customer_count().await.unwrap(), 2);
        let next = after.acquire(false, kit::T0).await.expect("nobody holds what a crash left");
        assert_eq!(next, fence + 1);
        assert_eq!(after.orphans(next, false, 10).await.unwrap().len(), 1);
        kit::expect_fenced(store.acquire(false, kit::T0).await, "the original is still held");
        after.call_off(next, run, crate::domain::outcome::Reason::Stopped, kit::T0).await.unwrap();
        assert!(store.tallies(run).await.unwrap() != after.tallies(run).await.unwrap(), "the two live apart");
    }
}
