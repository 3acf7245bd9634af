//! Drafts: files kept and checked before they are handed in.
use super::submit::{Submitted, law, submit};
use super::{DeskError, DeskResult, approve};
use crate::domain::campaign::Campaign;
use crate::domain::eyes;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, NewDraft, Status, StatusChange, Store, StoreError};

/// Keeps a campaign as a draft, or writes the draft of that name anew, which only its authors may. The same text again changes nothing.
pub async fn write(store: &dyn Store, campaign: &Campaign, by: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    eyes::check(by).map_err(DeskError::Refused)?;
    law(campaign)?;
    let new = NewDraft {
        name: campaign.name.clone(),
        source: campaign.source.clone(),
        hash: campaign.hash(),
        currency: campaign.currency,
        by: by.to_owned(),
        at,
    };
    match store.draft(&campaign.name).await? {
        None => Ok(store.draft_campaign(&new).await?),
        Some(draft) => {
            must_be_author(store, &draft, by).await?;
            if draft.hash == new.hash { Ok(draft) } else { Ok(store.write_draft(draft.id, &new).await?) }
        }
    }
}

/// Hands in the draft of a name, as it is kept.
pub async fn hand_in(store: &dyn Store, name: &str, by: &str, at: Timestamp) -> DeskResult<Submitted> {
    let draft = named(store, name).await?;
    submit(store, &approve::kept(name, &draft.source)?, false, by, at).await
}

/// Puts a draft away.
pub async fn discard(store: &dyn Store, draft: &CampaignRow, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    must_be_author(store, draft, by).await?;
    let change = StatusChange { to: Status::Archived, by: by.to_owned(), why: why.to_owned(), at, reason: None };
    Ok(store.set_status(draft.id, &change).await?)
}

/// The draft of a name, or a word that there is none.
pub async fn named(store: &dyn Store, name: &str) -> DeskResult<CampaignRow> {
    let missing = || StoreError::NotFound { what: "draft of a campaign", name: name.to_owned(), hint: String::new() };
    store.draft(name).await?.ok_or_else(|| missing().into())
}

/// Only whoever has written at a draft may change it.
pub(super) async fn must_be_author(store: &dyn Store, draft: &CampaignRow, by: &str) -> DeskResult<()> {
    let authors = approve::authors(store, draft).await?;
    if eyes::among(by, authors.iter().map(String::as_str)) {
        return Ok(());
    }
    Err(DeskError::Refused(format!(
        "the draft of campaign {:?} is by {}; {by} may hand it in as it is, not change it",
        draft.name,
        authors.join(", ")
    )))
}
