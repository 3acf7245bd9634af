//! What the database itself can do, without the engine: the yardstick beside the engine's own figure.
use super::bulk;
use super::rows::{INSERT, SETTLE, cells, change};
use super::{Options, SqliteStore};
use crate::domain::channel::Channel;
use crate::domain::ids::{CampaignId, CustomerId, RouteId, RuleNo, StepNo, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::{EVER_REACHED, State, Touch};
use crate::store::{Before, StoreResult};
use std::path::Path;

/// Rows a transaction, as the engine's batches.
const BATCH: usize = 5_000;

/// 2026-11-24T00:00Z: rows need an instant, and any will do.
const AT: i64 = 1_795_478_400_000;

fn started(customer: i64) -> Touch {
    Touch {
        key: TouchKey { customer: CustomerId(customer), campaign: CampaignId(1), seq: 0 },
        step: StepNo(0),
        attempt: 1,
        channel: Some(Channel::Call),
        route: Some(RouteId(1)),
        variant: 0,
        state: State::Started,
        reason: Reason::None,
        rule: RuleNo(1),
        due_at: None,
        started_at: Some(Timestamp(AT)),
        ended_at: None,
        connected_s: 0,
        cost_micros: 45_000,
        parts: 1,
        flags: 0,
        agenda: None,
        provider_ref: None,
    }
}

fn reached(started: &Touch) -> Touch {
    let seconds = started.key.customer.0 % 240;
    Touch {
        state: State::Reached,
        reason: Reason::Answered,
        ended_at: Some(Timestamp(AT + seconds * 1_000)),
        connected_s: u32::try_from(seconds).unwrap_or(0),
        flags: EVER_REACHED,
        ..started.clone()
    }
}

/// Inserts `n` started touches and updates them to reached, in a scratch file in `dir` (removed afterwards), in transactions of 5,000 rows
/// with the settings and statements of the real store: rows a second of each.
pub async fn raw_limit(dir: &Path, n: usize) -> StoreResult<(f64, f64)> {
    let path = dir.join(format!("raw-limit-{}.db", std::process::id()));
    let measured = measure(&path, n).await;
    for ending in ["", "-wal", "-shm", ".key"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = std::fs::remove_file(name);
    }
    measured
}

async fn measure(path: &Path, n: usize) -> StoreResult<(f64, f64)> {
    let store = SqliteStore::open_with(path, Options { create: true, ..Options::default() }).await?;
    let mut seconds = [0.0_f64; 2];
    {
        let mut writer = store.writer.lock().await;
        // Insert and update in turn, as the engine does: an update finds the pages of its insert in the cache.
        for from in (0..n).step_by(BATCH) {
            let to = n.min(from + BATCH);
            let before: Vec<Touch> = (from..to).filter_map(|c| i64::try_from(c + 1).ok()).map(started).collect();
            let after: Vec<Touch> = before.iter().map(reached).collect();
            let inserts: Vec<_> = before.iter().map(cells).collect();
            let updates: Vec<_> = after.iter().zip(&before).map(|(after, before)| change(after, &Before::of(before), None)).collect();
            let begun = crate::clock::monotonic();
            let mut writing = writer.begin().await?;
            bulk::write(&mut writing.tx, writing.texts, &INSERT, &inserts).await?;
            writing.commit().await?;
            seconds[0] += begun.elapsed().as_secs_f64();
            let begun = crate::clock::monotonic();
            let mut writing = writer.begin().await?;
            bulk::write(&mut writing.tx, writing.texts, &SETTLE, &updates).await?;
            writing.commit().await?;
            seconds[1] += begun.elapsed().as_secs_f64();
        }
    }
    store.close().await?;
    let [insert, update] = seconds.map(|s| n as f64 / s.max(f64::MIN_POSITIVE));
    Ok((insert, update))
}
