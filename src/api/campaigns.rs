//! Campaigns: hand in, approve, operate, and read how they stand.
mod describe;
mod views;

use super::long::at_length;
use super::{Body, Caller, House, Paging, Problem, Query, Reply, Text, created, ok};
use crate::campaign_file;
use crate::desk::{approve, control, diff, draft, emergency, revise, submit};
use crate::domain::campaign::Campaign;
use crate::store::CampaignRow;
use actix_web::HttpResponse;
use actix_web::web::Path;
pub use describe::operations;
use schemars::JsonSchema;
use serde::Deserialize;
use views::{
    ApprovalView, ApprovedView, CampaignPage, CampaignView, EmergencyView, EventPage, EventView, ListedPage, RestartView, RevisionView, StandingView,
    SubmittedView,
};

/// A campaign contacts customers of every branch: whoever is bound to one sets none going. Stopping is everybody's who has the role.
const WHOSE: &str = "a campaign is";

/// Why something is done.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Kept in the campaign's history. No customer's data.
    #[schemars(length(min = 1, max = 2000))]
    pub why: String,
}

/// An approval.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The seal that the approver has read; 12 digits at least.
    #[schemars(length(min = 12, max = 64))]
    pub seal: String,
    /// Kept in the campaign's history. No customer's data.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub why: String,
}

/// A stop.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Kept in the campaign's history. No customer's data.
    #[schemars(length(min = 1, max = 2000))]
    pub why: String,
    /// Hold at once, until two different persons restart it, instead of ending it.
    #[serde(default)]
    pub emergency: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct HandIn {
    #[serde(default)]
    draft: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Listing {
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    after: i64,
    #[serde(default = "hundred")]
    limit: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct Versions {
    from: Option<String>,
    to: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct OfVersion {
    version: Option<String>,
}

fn hundred() -> u32 {
    100
}

/// A reason of a length that a history has room for, without control characters.
fn reason(why: &str, needed: bool) -> Result<&str, Problem> {
    let why = why.trim();
    if (needed && why.is_empty()) || why.chars().count() > 2000 || why.chars().any(char::is_control) {
        return Err(Problem::unacceptable("why: expected a reason of 1 to 2000 characters on one line; it is kept in the campaign's history"));
    }
    Ok(why)
}

/// A campaign in the body, checked as `validate` does; of the name in the path, if there is one.
async fn read(house: &House, text: &str, name: Option<&str>) -> Result<Campaign, Problem> {
    let campaign = house.campaign_text("body", text).await?;
    if let Some(name) = name.filter(|n| *n != campaign.name) {
        let fault =
            campaign_file::fault_at("body", text, "campaign", &format!("the file is of campaign {:?}, the path names {name:?}", campaign.name));
        return Err(Problem::faults(&[fault]));
    }
    Ok(campaign)
}

/// Whoever runs campaigns looks at once, not only at its next round.
fn nudge(house: &House) {
    if let Some(daemon) = &house.daemon {
        daemon.nudge();
    }
}

async fn hand_in(house: House, caller: Caller, query: Query<HandIn>, body: Text) -> Reply {
    caller.sees_all(WHOSE)?;
    let campaign = read(&house, &body.0, None).await?;
    let (store, now) = (house.store.as_ref(), house.now());
    if query.0.draft {
        let row = draft::write(store, &campaign, &caller.name, now).await?;
        return created(&SubmittedView::from(&row));
    }
    let app = std::sync::Arc::clone(&house.app);
    let by = caller.name.clone();
    let submitted = at_length(async move || submit::submit(app.store.as_ref(), &campaign, false, &by, now).await).await?;
    let continued = submitted.continued;
    let view = SubmittedView::from(submitted);
    if continued { ok(&view) } else { created(&view) }
}

async fn write_draft(house: House, caller: Caller, name: Path<String>, body: Text) -> Reply {
    caller.sees_all(WHOSE)?;
    let campaign = read(&house, &body.0, Some(&name)).await?;
    let row = draft::write(house.store.as_ref(), &campaign, &caller.name, house.now()).await?;
    ok(&SubmittedView::from(&row))
}

async fn submit_draft(house: House, caller: Caller, name: Path<String>) -> Reply {
    caller.sees_all(WHOSE)?;
    // Checked anew: lists and routes may have changed since it was written.
    let kept = draft::named(house.store.as_ref(), &name).await?;
    read(&house, &kept.source, Some(&name)).await?;
    let (app, by, name) = (std::sync::Arc::clone(&house.app), caller.name.clone(), name.into_inner());
    let submitted = at_length(async move || draft::hand_in(app.store.as_ref(), &name, &by, app.now()).await).await?;
    ok(&SubmittedView::from(submitted))
}

async fn approve_it(house: House, caller: Caller, name: Path<String>, body: Body<Approval>) -> Reply {
    caller.sees_all(WHOSE)?;
    let why = reason(&body.0.why, false)?;
    let four_eyes = house.config.approval.four_eyes;
    if let Some(token) = caller.token.filter(|_| four_eyes) {
        approve::not_of_an_authors_making(house.store.as_ref(), &name, token).await?;
    }
    let approved = approve::approve(house.store.as_ref(), &name, &body.0.seal, &caller.name, why, four_eyes, house.now()).await?;
    nudge(&house);
    ok(&ApprovedView::from(approved))
}

async fn start(house: House, caller: Caller, name: Path<String>, body: Body<Why>) -> Reply {
    caller.sees_all(WHOSE)?;
    let why = reason(&body.0.why, true)?;
    let eyes = house.eyes_of(&house.run_named(&name, Some(false)).await?);
    let row = control::start(house.store.as_ref(), &name, &caller.name, why, eyes, house.now()).await?;
    nudge(&house);
    shown(&row)
}

async fn pause(house: House, caller: Caller, name: Path<String>, body: Body<Why>) -> Reply {
    caller.sees_all(WHOSE)?;
    shown(&control::pause(house.store.as_ref(), &name, &caller.name, reason(&body.0.why, true)?, house.now()).await?)
}

async fn resume(house: House, caller: Caller, name: Path<String>, body: Body<Why>) -> Reply {
    caller.sees_all(WHOSE)?;
    shown(&control::resume(house.store.as_ref(), &name, &caller.name, reason(&body.0.why, true)?, house.now()).await?)
}

async fn stop(house: House, caller: Caller, name: Path<String>, body: Body<Stop>) -> Reply {
    let (store, why, now) = (house.store.as_ref(), reason(&body.0.why, true)?, house.now());
    // Whoever holds the store hears of it within its poll: it is never closed from here, under a fence of its own.
    let row = if body.0.emergency {
        emergency::stop(store, &name, &caller.name, why, now).await?
    } else {
        control::stop(store, &name, &caller.name, why, now).await?
    };
    nudge(&house);
    shown(&row)
}

async fn stop_all(house: House, caller: Caller, body: Body<Why>) -> Reply {
    let rows = emergency::stop_all(house.store.as_ref(), &caller.name, reason(&body.0.why, true)?, house.now()).await?;
    ok(&CampaignPage { items: rows.iter().map(CampaignView::from).collect(), next: None })
}

async fn restart(house: House, caller: Caller, name: Path<String>, body: Body<Why>) -> Reply {
    caller.sees_all(WHOSE)?;
    let restarted = emergency::restart(house.store.as_ref(), &name, &caller.name, reason(&body.0.why, true)?, house.now()).await?;
    ok(&RestartView::from(restarted))
}

async fn archive(house: House, caller: Caller, name: Path<String>, body: Body<Why>) -> Reply {
    caller.sees_all(WHOSE)?;
    shown(&control::archive(house.store.as_ref(), &name, &caller.name, reason(&body.0.why, true)?, house.now()).await?)
}

fn shown(row: &CampaignRow) -> Reply {
    ok(&CampaignView::from(row))
}

async fn list(house: House, query: Query<Listing>) -> Reply {
    let (after, limit) = Paging { after: query.0.after, limit: query.0.limit }.checked()?;
    let store = house.store.as_ref();
    let mut rows = control::runs(store, query.0.archived).await?;
    rows.retain(|r| r.id.0 > after);
    rows.sort_by_key(|r| r.id);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|r| r.id.0);
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(control::listed(store, row).await?);
    }
    ok(&ListedPage { items, next })
}

async fn standing(house: House, name: Path<String>) -> Reply {
    let store = house.store.as_ref();
    let row = house.run_named(&name, Some(false)).await?;
    let waiting = revise::waiting(store, &row).await?;
    let approvals = store.approvals(row.id).await?.into_iter().map(|a| ApprovalView {
        revision: a.revision,
        seal: a.seal,
        by: a.by,
        at: a.at.to_string(),
        alone: a.alone,
        void: a.void_at.map(|_| a.void_why),
    });
    let held = store.emergency(row.id).await?.filter(|_| row.emergency).map(|e| EmergencyView {
        by: e.by,
        why: e.why,
        at: e.at.to_string(),
        said_so: e.restarts.into_iter().map(|r| r.by).collect(),
    });
    ok(&StandingView {
        report: house.status(&row).await?.report,
        wanted: row.wanted.to_string(),
        authors: approve::authors(store, &row).await?,
        approvals: approvals.collect(),
        seal: approve::to_be_signed(store, &row).await?,
        waiting: waiting.as_ref().map(RevisionView::from),
        emergency: held,
    })
}

async fn events(house: House, name: Path<String>, query: Query<Paging>) -> Reply {
    let (after, limit) = query.0.checked()?;
    let all = control::told(house.store.as_ref(), &name).await?;
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let items: Vec<EventView> = (1..).zip(all).filter(|(n, _)| *n > after).take(limit).map(|(n, event)| EventView::numbered(n, event)).collect();
    let next = items.last().map(|e| e.id).filter(|last| *last < total);
    ok(&EventPage { items, next })
}

async fn versions(house: House, name: Path<String>) -> Reply {
    ok(&diff::versions(house.store.as_ref(), &name).await?)
}

async fn compare(house: House, name: Path<String>, query: Query<Versions>) -> Reply {
    let Versions { from, to } = query.0;
    ok(&diff::compare_versions(house.store.as_ref(), &name, from.as_deref(), to.as_deref(), None).await?)
}

async fn file(house: House, name: Path<String>, query: Query<OfVersion>) -> Reply {
    let version = diff::text(house.store.as_ref(), &name, query.0.version.as_deref()).await?;
    Ok(HttpResponse::Ok().content_type("application/yaml").body(version.source))
}
