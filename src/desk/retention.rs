//! Forgetting by time: once a day, in short transactions, what has been kept long enough.
use super::DeskResult;
use crate::domain::retention::Retention;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::privacy::Retained;
use serde::Serialize;

/// Rows removed in one transaction.
const ROWS: usize = 2_000;
/// Transactions of one kind in a round: what is left over is done by the next.
const ROUNDS: usize = 5_000;

/// What of one kind was, or would be, removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Of which kind.
    pub what: Retained,
    /// Older than this.
    pub before: String,
    /// How much.
    pub rows: u64,
}

/// Until when things of a kind are outdated at `at`.
fn before(policy: &Retention, what: Retained, at: Timestamp) -> Timestamp {
    match what {
        Retained::Receipts => Retention::before(policy.receipts_days, at),
        Retained::Tasks => Retention::before(policy.tasks_days, at),
        Retained::Checkpoints => Retention::before(policy.checkpoints_days, at),
        // Needed for as long as a page that was read is being decided on: what was read before is asked for again.
        Retained::ContactChanges => at,
    }
}

/// What a round would remove.
pub async fn preview(store: &dyn Store, policy: &Retention, at: Timestamp) -> DeskResult<Vec<Forgotten>> {
    let mut found = Vec::new();
    for what in Retained::ALL {
        let before = before(policy, what, at);
        found.push(Forgotten { what, before: before.to_string(), rows: store.outdated(what, before).await? });
    }
    Ok(found)
}

/// Removes what is outdated. Bounded: a round that a great deal has waited for leaves the rest to the next.
pub async fn retention_round(store: &dyn Store, policy: &Retention, at: Timestamp) -> DeskResult<Vec<Forgotten>> {
    let mut found = Vec::new();
    for what in Retained::ALL {
        let before = before(policy, what, at);
        let mut rows = 0;
        for _ in 0..ROUNDS {
            match store.forget(what, before, ROWS).await? {
                0 => break,
                n => rows += n,
            }
        }
        found.push(Forgotten { what, before: before.to_string(), rows });
    }
    Ok(found)
}
