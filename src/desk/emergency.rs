//! The emergency stop: one person holds everything at once, two persons let it go on.
use super::control::open_run;
use super::{DeskError, DeskResult};
use crate::domain::eyes;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, Status, StatusChange, Store, StoreError};
pub use crate::store::{EmergencyRow, Restart};
use serde::Serialize;

/// What a person's word for a restart came to.
#[derive(Clone, Debug, Serialize)]
pub struct Restarted {
    /// The run.
    #[serde(flatten)]
    pub campaign: CampaignRow,
    /// What it came to.
    pub restart: Restart,
    /// The stop that still holds the run.
    pub held_by: Option<EmergencyRow>,
}

/// Stops a run in an emergency: nothing new starts, what is started and not sent is put back, and nobody can resume it alone. The process
/// that runs it hears of it within its poll.
pub async fn stop(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    told(by, why)?;
    let row = open_run(store, name).await?;
    Ok(store.emergency_stop(row.id, by, why, at).await?)
}

/// Stops every real run that is not closed, newest first.
pub async fn stop_all(store: &dyn Store, by: &str, why: &str, at: Timestamp) -> DeskResult<Vec<CampaignRow>> {
    told(by, why)?;
    let mut stopped = Vec::new();
    for row in store.campaigns().await? {
        if row.id.is_rehearsal() || row.status.is_closed() || row.status == Status::Draft {
            continue;
        }
        match store.emergency_stop(row.id, by, why, at).await {
            Ok(row) => stopped.push(row),
            // It has ended meanwhile: the rest must be stopped all the same.
            Err(StoreError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(stopped)
}

/// After [`stop`] or [`stop_all`] from a process that is not the sender: runs that nobody runs are set to paused at once; while a process
/// holds the store, it does so itself. Never call it from inside the sending process, whose fence it would take.
pub async fn pause_unheld(store: &dyn Store, rows: Vec<CampaignRow>, by: &str, why: &str, at: Timestamp) -> DeskResult<Vec<CampaignRow>> {
    let fence = match store.acquire(false, at).await {
        Ok(fence) => fence,
        Err(StoreError::Fenced(_)) => return Ok(rows),
        Err(other) => return Err(other.into()),
    };
    let paused = pause_each(store, rows, by, why, at).await;
    store.release(fence).await?;
    paused
}

async fn pause_each(store: &dyn Store, rows: Vec<CampaignRow>, by: &str, why: &str, at: Timestamp) -> DeskResult<Vec<CampaignRow>> {
    let mut paused = Vec::new();
    for row in rows {
        let row = store.campaign_by_id(row.id).await?;
        if row.emergency && row.status.may_become(Status::Paused) {
            let change = StatusChange { to: Status::Paused, by: by.to_owned(), why: why.to_owned(), at, reason: None };
            paused.push(store.set_status(row.id, &change).await?);
        } else {
            paused.push(row);
        }
    }
    Ok(paused)
}

/// One person's word that a run may go on after an emergency stop. The second of two different persons lifts it; whoever stopped it may be
/// one of them. The same person again changes nothing.
pub async fn restart(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<Restarted> {
    told(by, why)?;
    let row = open_run(store, name).await?;
    let restart = store.emergency_restart(row.id, by, why, at).await?;
    let held_by = store.emergency(row.id).await?;
    Ok(Restarted { campaign: store.campaign_by_id(row.id).await?, restart, held_by })
}

fn told(by: &str, why: &str) -> DeskResult<()> {
    eyes::check(by).map_err(DeskError::Refused)?;
    if why.trim().is_empty() {
        return Err(DeskError::Refused("expected a reason (--why TEXT): it is kept in the campaign's history".to_owned()));
    }
    Ok(())
}
