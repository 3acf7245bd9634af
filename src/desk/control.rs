//! Operating a run: start it, hold it, let it go on, end it, put it away; what there is.
use super::approve::{self, Eyes};
use super::{DeskError, DeskResult, draft};
use crate::domain::eyes;
use crate::domain::ids::CampaignId;
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::{CampaignRow, Status, StatusChange, Store, StoreError, Wanted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Asks for a pause: nothing new starts; what is with a carrier comes home. The process that runs the campaign polls it.
pub async fn pause(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    want(store, name, Wanted::Pause, by, why, at).await
}

/// Whether somebody wants the run held.
pub fn is_held(row: &CampaignRow) -> bool {
    row.wanted == Wanted::Pause
}

/// Lets a paused run go on.
pub async fn resume(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    let row = open_run(store, name).await?;
    if row.emergency {
        return Err(held(&row));
    }
    if row.wanted == Wanted::Stop {
        return Err(DeskError::Refused(format!("campaign {name:?} is being stopped; a stopped run does not come back: submit it anew")));
    }
    want(store, name, Wanted::Run, by, why, at).await
}

/// Makes an approved run ready to go, if its approval still holds: it is scheduled, and begins at its first moment in the process that serves
/// the store. A run that is under way and held goes on.
pub async fn start(store: &dyn Store, name: &str, by: &str, why: &str, eyes: Eyes, at: Timestamp) -> DeskResult<CampaignRow> {
    let row = open_run(store, name).await?;
    if row.emergency {
        return Err(held(&row));
    }
    approve::ensure(store, &row, eyes, at).await?;
    if row.status == Status::Approved {
        named(by, why)?;
        let change = StatusChange { to: Status::Scheduled, by: by.to_owned(), why: why.to_owned(), at, reason: None };
        store.set_status(row.id, &change).await?;
    }
    resume(store, name, by, why, at).await
}

/// Puts a closed run away, or a draft (which its authors alone may): it is listed only when it is asked for.
pub async fn archive(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    named(by, why)?;
    let row = store.campaign(name, Some(false)).await?;
    match row.status {
        Status::Archived => Ok(row),
        Status::Draft => draft::discard(store, &row, by, why, at).await,
        Status::Finished | Status::Stopped => {
            let change = StatusChange { to: Status::Archived, by: by.to_owned(), why: why.to_owned(), at, reason: None };
            Ok(store.set_status(row.id, &change).await?)
        }
        other => Err(DeskError::Refused(format!(
            "campaign {name:?} version {} is {other}; only a finished or stopped one is put away (touchline campaign stop {name} ends it)",
            row.label()
        ))),
    }
}

/// Asks for an early end: the process that runs the campaign calls off what has not started. For a run that no process
/// holds, follow with [`close_stopped`] under a fence of your own.
pub async fn stop(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    want(store, name, Wanted::Stop, by, why, at).await
}

/// Ends a run that is wanted stopped, by the holder of `fence`: calls off what is scheduled and pending, then sets the status.
/// Touches already started keep their own end (a receipt, or uncertain).
pub async fn close_stopped(store: &dyn Store, fence: i64, id: CampaignId, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    store.call_off(fence, id, Reason::Stopped, at).await?;
    let change = StatusChange { to: Status::Stopped, by: by.to_owned(), why: why.to_owned(), at, reason: Some(Reason::Stopped) };
    Ok(store.set_status(id, &change).await?)
}

/// Stops a run from a process that is not the sender (the command line): the wish is recorded; when no process holds the
/// store, the run is closed at once, else its holder does it. Returns the run, and whether it is closed already. Never call
/// it from inside the sending process, whose fence it would take.
pub async fn stop_from_outside(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<(CampaignRow, bool)> {
    let row = stop(store, name, by, why, at).await?;
    match store.acquire(false, at).await {
        Ok(fence) => {
            let closed = close_stopped(store, fence, row.id, by, why, at).await;
            store.release(fence).await?;
            Ok((closed?, true))
        }
        Err(StoreError::Fenced(_)) => Ok((row, false)),
        Err(other) => Err(other.into()),
    }
}

/// A run by name that is neither closed nor a draft.
pub(super) async fn open_run(store: &dyn Store, name: &str) -> DeskResult<CampaignRow> {
    let row = store.campaign(name, Some(false)).await?;
    if row.status.is_closed() {
        return Err(DeskError::Refused(format!("campaign {name:?} version {} is {}; it has no more to do", row.label(), row.status)));
    }
    if row.status == Status::Draft {
        return Err(DeskError::Refused(format!("campaign {name:?} is a draft; hand it in first: touchline campaign submit {name}")));
    }
    Ok(row)
}

/// The refusal of whoever wants a run to go on that was stopped in an emergency.
fn held(row: &CampaignRow) -> DeskError {
    DeskError::Refused(format!(
        "campaign {:?} was stopped in an emergency; it goes on when two different persons have said so: touchline campaign restart {} --why TEXT",
        row.name, row.name
    ))
}

/// Who does it and why, as a history needs it.
fn named(by: &str, why: &str) -> DeskResult<()> {
    eyes::check(by).map_err(DeskError::Refused)?;
    if why.trim().is_empty() {
        return Err(DeskError::Refused("expected a reason (--why TEXT): it is kept in the campaign's history".to_owned()));
    }
    Ok(())
}

async fn want(store: &dyn Store, name: &str, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    named(by, why)?;
    let row = open_run(store, name).await?;
    store.set_wanted(row.id, wanted, by, why, at).await?;
    Ok(store.campaign_by_id(row.id).await?)
}

/// One line of `campaign list`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// The run.
    #[serde(flatten)]
    pub campaign: CampaignRow,
    /// Whether it is a rehearsal.
    pub rehearsal: bool,
    /// Customers by state.
    pub counts: BTreeMap<String, i64>,
    /// Attempts made.
    pub attempts: i64,
}

/// Real runs, newest first; those put away only when they are asked for.
pub async fn runs(store: &dyn Store, archived: bool) -> DeskResult<Vec<CampaignRow>> {
    let all = store.campaigns().await?;
    Ok(all.into_iter().filter(|c| !c.id.is_rehearsal() && (archived || c.status != Status::Archived)).collect())
}

/// All runs, newest first, with where their customers stand; those put away only when they are asked for.
pub async fn list(store: &dyn Store, archived: bool) -> DeskResult<Vec<Listed>> {
    let mut listed = Vec::new();
    for campaign in store.campaigns().await?.into_iter().filter(|c| archived || c.status != Status::Archived) {
        listed.push(self::listed(store, campaign).await?);
    }
    Ok(listed)
}

/// A run with where its customers stand.
pub async fn listed(store: &dyn Store, campaign: CampaignRow) -> DeskResult<Listed> {
    let tallies = store.tallies(campaign.id).await?;
    Ok(Listed {
        rehearsal: campaign.id.is_rehearsal(),
        counts: tallies.customers(campaign.audience).into_iter().map(|(s, n)| (State::name(s).to_owned(), n)).collect(),
        attempts: tallies.of(Tally::AttemptsByChannel).map(|(_, n)| n).sum(),
        campaign,
    })
}

/// What happened to a run, oldest first: submissions, approvals, pauses, settlements, its end.
pub async fn history(store: &dyn Store, name: &str, rehearsal: Option<bool>) -> DeskResult<(CampaignRow, Vec<StatusChange>)> {
    let row = store.campaign(name, rehearsal).await?;
    let changes = store.history(row.id).await?;
    Ok((row, changes))
}

/// A line of a campaign's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    pub at: Timestamp,
    /// The status from then on.
    pub status: Status,
    /// Who did it (`engine`: the engine).
    pub by: String,
    /// What, and why.
    pub why: String,
}

/// The history of a campaign's newest real run, or of its rehearsal where there is no real run, for people.
pub async fn told(store: &dyn Store, name: &str) -> DeskResult<Vec<Event>> {
    let (_, changes) = history(store, name, None).await?;
    Ok(changes.into_iter().map(|c| Event { at: c.at, status: c.to, by: c.by, why: c.why }).collect())
}
