//! `touchline campaign` by a daemon: its answers as the types that the same words give on a store here.
use super::super::client::{Client, Said};
use crate::app::Failure;
use crate::app::files::read_text;
use crate::desk::approve::{Approved, RevisionRow};
use crate::desk::control::{Event, Listed};
use crate::desk::diff::Diff;
use crate::desk::emergency::{EmergencyRow, Restart, Restarted};
use crate::desk::submit::Submitted;
use crate::domain::seal::Seal;
use crate::store::CampaignRow;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::Path;

type Done<T> = Result<T, Failure>;

/// What names its campaign beside other things.
#[derive(Deserialize)]
struct Named {
    campaign: CampaignRow,
}

async fn file<T: DeserializeOwned>(daemon: &Client, path: &Path, query: &[(&str, &str)]) -> Done<T> {
    let text = read_text(path)?;
    let name = path.display().to_string();
    Ok(daemon.yaml(Method::POST, &["campaigns"], query, &text).await.map_err(|r| r.of_campaign(&name, &text))?.value)
}

pub(super) async fn draft(daemon: &Client, path: &Path) -> Done<CampaignRow> {
    Ok(file::<Named>(daemon, path, &[("draft", "true")]).await?.campaign)
}

pub(super) async fn submit(daemon: &Client, path: &Path) -> Done<Submitted> {
    file(daemon, path, &[]).await
}

pub(super) async fn approve(daemon: &Client, name: &str, seal: &str, why: &str) -> Done<Approved> {
    #[derive(Deserialize)]
    struct Told {
        campaign: CampaignRow,
        seal: Seal,
        revision: Option<RevisionRow>,
    }
    let told = daemon.post::<Told>(&["campaigns", name, "approve"], &json!({"seal": seal, "why": why})).await?.value;
    Ok(Approved { campaign: told.campaign, seal: told.seal, revision: told.revision })
}

/// start, pause, resume or archive.
pub(super) async fn verb(daemon: &Client, name: &str, verb: &str, why: &str) -> Done<CampaignRow> {
    Ok(daemon.post(&["campaigns", name, verb], &json!({"why": why})).await?.value)
}

pub(super) async fn stop(daemon: &Client, name: &str, why: &str, emergency: bool) -> Done<CampaignRow> {
    Ok(daemon.post(&["campaigns", name, "stop"], &json!({"why": why, "emergency": emergency})).await?.value)
}

pub(super) async fn stop_all(daemon: &Client, why: &str) -> Done<Vec<CampaignRow>> {
    Ok(daemon.post::<Page<CampaignRow>>(&["emergency-stop"], &json!({"why": why})).await?.value.items)
}

pub(super) async fn restart(daemon: &Client, name: &str, why: &str) -> Done<Restarted> {
    #[derive(Deserialize)]
    struct Told {
        campaign: CampaignRow,
        restart: Restart,
        held_by: Option<EmergencyRow>,
    }
    let told = daemon.post::<Told>(&["campaigns", name, "restart"], &json!({"why": why})).await?.value;
    Ok(Restarted { campaign: told.campaign, restart: told.restart, held_by: told.held_by })
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<i64>,
}

async fn pages<T: DeserializeOwned>(daemon: &Client, path: &[&str], query: &[(&str, &str)]) -> Done<Vec<T>> {
    let mut all = Vec::new();
    let mut after = 0_i64;
    loop {
        let from = after.to_string();
        let page: Page<T> = daemon.get(path, &[query, &[("limit", "1000"), ("after", &from)]].concat()).await?.value;
        all.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => return Ok(all),
        }
    }
}

pub(super) async fn history(daemon: &Client, name: &str) -> Done<Vec<Event>> {
    pages(daemon, &["campaigns", name, "events"], &[]).await
}

/// Newest first. A daemon rehearses nothing, so its list has real runs alone.
pub(super) async fn list(daemon: &Client, archived: bool) -> Done<Vec<Listed>> {
    let mut all: Vec<Listed> = pages(daemon, &["campaigns"], &[("archived", if archived { "true" } else { "false" })]).await?;
    all.sort_by_key(|l| std::cmp::Reverse((l.campaign.submitted_at, l.campaign.id)));
    Ok(all)
}

pub(super) async fn compare(daemon: &Client, name: &str, from: Option<&str>, to: Option<&str>, text: Option<&str>) -> Done<Said<Diff>> {
    let query: Vec<(&str, &str)> = from.map(|v| ("from", v)).into_iter().chain(to.map(|v| ("to", v))).collect();
    let path = ["campaigns", name, "diff"];
    Ok(match text {
        Some(text) => daemon.yaml(Method::POST, &path, &query, text).await?,
        None => daemon.get(&path, &query).await?,
    })
}
