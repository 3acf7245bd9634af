//! Operating a run: hold it, let it go on, end it; what there is, and what differs between two versions of a file.
use super::{DeskError, DeskResult};
use crate::domain::ids::CampaignId;
use crate::domain::outcome::Reason;
use crate::domain::tally::Tally;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::{CampaignRow, Status, StatusChange, Store, StoreError, Wanted};
use serde::Serialize;
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
    if row.wanted == Wanted::Stop {
        return Err(DeskError::Refused(format!("campaign {name:?} is being stopped; a stopped run does not come back: submit it anew")));
    }
    want(store, name, Wanted::Run, by, why, at).await
}

/// Makes an approved run ready to go: it starts with the schedule, in the process that serves the store.
pub async fn start(store: &dyn Store, name: &str, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    let row = open_run(store, name).await?;
    if row.status == Status::Submitted {
        return Err(DeskError::Refused(format!(
            "campaign {name:?} version {} is not approved yet; first: touchline campaign approve {name} --hash {}",
            row.version,
            row.hash.get(..12).unwrap_or(&row.hash)
        )));
    }
    resume(store, name, by, why, at).await
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

async fn open_run(store: &dyn Store, name: &str) -> DeskResult<CampaignRow> {
    let row = store.campaign(name, Some(false)).await?;
    if matches!(row.status, Status::Finished | Status::Stopped) {
        return Err(DeskError::Refused(format!("campaign {name:?} version {} is {}; it has no more to do", row.version, row.status)));
    }
    Ok(row)
}

async fn want(store: &dyn Store, name: &str, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    if why.trim().is_empty() {
        return Err(DeskError::Refused("expected a reason (--why TEXT): it is kept in the campaign's history".to_owned()));
    }
    let row = open_run(store, name).await?;
    store.set_wanted(row.id, wanted, by, why, at).await?;
    Ok(store.campaign_by_id(row.id).await?)
}

/// One line of `campaign list`.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// The run.
    #[serde(flatten)]
    pub campaign: CampaignRow,
    /// Whether it is a rehearsal.
    pub rehearsal: bool,
    /// Customers by state.
    pub counts: BTreeMap<&'static str, i64>,
    /// Attempts made.
    pub attempts: i64,
}

/// All runs, newest first, with where their customers stand.
pub async fn list(store: &dyn Store) -> DeskResult<Vec<Listed>> {
    let mut listed = Vec::new();
    for campaign in store.campaigns().await? {
        let tallies = store.tallies(campaign.id).await?;
        listed.push(Listed {
            rehearsal: campaign.id.is_rehearsal(),
            counts: tallies.customers(campaign.audience).into_iter().map(|(s, n)| (State::name(s), n)).collect(),
            attempts: tallies.of(Tally::AttemptsByChannel).map(|(_, n)| n).sum(),
            campaign,
        });
    }
    Ok(listed)
}

/// What happened to a run, oldest first: submissions, approvals, pauses, settlements, its end.
pub async fn history(store: &dyn Store, name: &str, rehearsal: Option<bool>) -> DeskResult<(CampaignRow, Vec<StatusChange>)> {
    let row = store.campaign(name, rehearsal).await?;
    let changes = store.history(row.id).await?;
    Ok((row, changes))
}

/// A line of a diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", content = "line", rename_all = "snake_case")]
pub enum DiffLine {
    /// In both.
    Same(String),
    /// Only in the old text.
    Removed(String),
    /// Only in the new text.
    Added(String),
}

/// Cells of the table above which the middle of a diff is shown as a whole removed and a whole added (32 MiB of table).
const DIFF_CELLS: usize = 8_000_000;

/// The line diff from one version of a file to another: a longest common subsequence after the common head and tail.
pub fn diff(old_source: &str, new_source: &str) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old_source.lines().collect(), new_source.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let same = |lines: &[&str]| lines.iter().map(|l| DiffLine::Same((*l).to_owned())).collect::<Vec<_>>();
    let mut result = same(old.get(..head).unwrap_or_default());
    let middle_old = old.get(head..old.len() - tail).unwrap_or_default();
    let middle_new = new.get(head..new.len() - tail).unwrap_or_default();
    result.extend(lcs(middle_old, middle_new));
    result.extend(same(old.get(old.len() - tail..).unwrap_or_default()));
    result
}

fn lcs(old: &[&str], new: &[&str]) -> Vec<DiffLine> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > DIFF_CELLS {
        let removed = old.iter().map(|l| DiffLine::Removed((*l).to_owned()));
        return removed.chain(new.iter().map(|l| DiffLine::Added((*l).to_owned()))).collect();
    }
    // table[i * width + j]: length of the longest common subsequence of old[i..] and new[j..].
    let mut table = vec![0_u32; (old.len() + 1) * width];
    let at = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let best = if a == b { at(&table, i + 1, j + 1) + 1 } else { at(&table, i + 1, j).max(at(&table, i, j + 1)) };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                lines.push(DiffLine::Same((*a).to_owned()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) => {
                lines.push(DiffLine::Removed((*a).to_owned()));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(DiffLine::Added((*b).to_owned()));
                j += 1;
            }
            _ => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_keeps_what_is_common_and_names_what_changed() {
        let lines = diff("a\nb\nc\nd\n", "a\nc\nx\nd\n");
        let expected = [
            DiffLine::Same("a".into()),
            DiffLine::Removed("b".into()),
            DiffLine::Same("c".into()),
            DiffLine::Added("x".into()),
            DiffLine::Same("d".into()),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn old_and_new_can_be_read_back_from_a_diff() {
        let (old, new) = ("one\ntwo\ntwo\nthree\nfour", "zero\ntwo\nthree\nthree\nfour\nfive");
        let lines = diff(old, new);
        let side = |left: bool| {
            lines
                .iter()
                .filter_map(|l| match l {
                    DiffLine::Same(t) => Some(t.as_str()),
                    DiffLine::Removed(t) => left.then_some(t.as_str()),
                    DiffLine::Added(t) => (!left).then_some(t.as_str()),
                })
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(side(true), old);
        assert_eq!(side(false), new);
        assert!(diff("", "").is_empty());
        assert_eq!(diff("a\na", "a").len(), 2);
    }
}
