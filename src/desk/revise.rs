//! Revisions: a run that is under way changes its pace, window or routes, through an approval like the first, and loses or repeats nobody.
//!
//! Whom a run contacts, with what, and in which order is decided once: a customer half-way through a journey must meet the same one. How
//! fast, when, for how much and by which provider may change at any time, since no touch that is made depends on it.
use super::approve::{self, Eyes, kept, seal_over};
use super::{DeskError, DeskResult};
use crate::domain::campaign::Campaign;
use crate::domain::changes::{Change, compare};
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, NewRevision, RevisionRow, RevisionStatus, Store};

/// What a revision came to.
#[derive(Clone, Debug)]
pub struct HandedIn {
    /// The revision.
    pub revision: RevisionRow,
    /// What it changes against the run as it is.
    pub changes: Vec<Change>,
    /// It was handed in before.
    pub continued: bool,
}

/// Hands in another file for a run that is approved or under way. Everything that a run cannot take up on its way is named, all at once.
/// The same text again gives the revision that waits; another one replaces it, and its authors stay authors.
pub async fn hand_in(store: &dyn Store, row: &CampaignRow, campaign: &Campaign, authors: &[String], at: Timestamp) -> DeskResult<HandedIn> {
    let changes = compare(&kept(&row.name, &row.source)?, campaign);
    let barred: Vec<String> = changes.iter().filter(|c| !c.revisable).map(ToString::to_string).collect();
    if !barred.is_empty() {
        return Err(DeskError::Refused(format!(
            "campaign {:?} version {} is {}, and a run under way can change its pace, budget, window, policy and routes alone. Not these:\n  {}\n\
             Leave them as they are, or end the run first: touchline campaign stop {}",
            row.name,
            row.label(),
            row.status,
            barred.join("\n  "),
            row.name
        )));
    }
    let hash = campaign.hash();
    let before = store.revisions(row.id).await?;
    let waiting = before.iter().rev().find(|r| matches!(r.status, RevisionStatus::Open | RevisionStatus::Approved));
    if let Some(same) = waiting.filter(|r| r.hash == hash) {
        return Ok(HandedIn { revision: same.clone(), changes, continued: true });
    }
    let mut all = authors.to_vec();
    // Since the last one that was taken up, each text builds on the one before it.
    for earlier in before.iter().rev().take_while(|r| r.status != RevisionStatus::Taken) {
        all.extend(earlier.authors.iter().filter(|a| !authors.contains(a)).cloned());
    }
    all.dedup();
    let sealed = seal_over(store, row, campaign).await?;
    let rules = sealed.rules.get(sealed.known..).unwrap_or_default().to_vec();
    let new = NewRevision { source: campaign.source.clone(), hash, seal: sealed.seal.seal, rules, authors: all, at };
    let revision = store.submit_revision(row.id, &new).await?;
    Ok(HandedIn { revision, changes, continued: false })
}

/// The revision of a run that waits for its approval, or to be taken up.
pub async fn waiting(store: &dyn Store, row: &CampaignRow) -> DeskResult<Option<RevisionRow>> {
    let all = store.revisions(row.id).await?;
    Ok(all.into_iter().rev().find(|r| matches!(r.status, RevisionStatus::Open | RevisionStatus::Approved)).filter(|_| !row.status.is_closed()))
}

/// Takes up the approved revision of a run, if there is one and its approval still holds: gives the run as it is from now on. A revision
/// whose approval does not hold any more waits for another, with the reason in the history, and the run goes on as it is.
///
/// Whoever runs the campaign calls it between two batches, and puts its law together again with [`approve::law_of`].
pub async fn take(store: &dyn Store, row: &CampaignRow, eyes: impl Fn(&Campaign) -> Eyes, at: Timestamp) -> DeskResult<Option<CampaignRow>> {
    if !row.status.is_approved() {
        return Ok(None);
    }
    let Some(revision) = store.approved_revision(row.id).await? else { return Ok(None) };
    let needed = kept(&row.name, &revision.source).map_or(Eyes::Four, |campaign| eyes(&campaign));
    match approve::revision_holds(store, row, &revision, needed).await? {
        Ok(()) => Ok(Some(store.revision_taken(row.id, revision.number, at).await?)),
        Err(why) => {
            tracing::warn!(campaign = %row.id, "the approval of revision {} of {} is void: {why}", revision.number, row.name);
            store.void_revision(row.id, revision.number, &why, at).await?;
            Ok(None)
        }
    }
}
