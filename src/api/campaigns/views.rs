//! Campaigns as the API shows them.
use crate::desk::approve::Approved;
use crate::desk::control::{Event, Listed};
use crate::desk::emergency::{EmergencyRow, Restarted};
use crate::desk::report::Report;
use crate::desk::submit::Submitted;
use crate::domain::changes::Change;
use crate::domain::seal::Seal;
use crate::store::{CampaignRow, RevisionRow};
use schemars::JsonSchema;
use serde::Serialize;

/// A campaign run, as the command line shows it too.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct CampaignView(CampaignRow);

impl From<&CampaignRow> for CampaignView {
    fn from(row: &CampaignRow) -> Self {
        Self(row.clone())
    }
}

/// A page of campaigns, by number.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CampaignPage {
    /// The campaigns.
    pub items: Vec<CampaignView>,
    /// Give it as `after` for the next page; null: there is none.
    pub next: Option<i64>,
}

/// A page of a list of campaigns, by number.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListedPage {
    /// The campaigns, with where their customers stand.
    pub items: Vec<Listed>,
    /// Give it as `after` for the next page; null: there is none.
    pub next: Option<i64>,
}

/// A revision of a run under way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct RevisionView(RevisionRow);

impl From<&RevisionRow> for RevisionView {
    fn from(row: &RevisionRow) -> Self {
        Self(row.clone())
    }
}

/// What `audience.where` did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FilterView {
    /// Members of the list.
    pub members: u64,
    /// For whom it was true: the audience.
    pub kept: u64,
    /// For whom it was false.
    pub left_out: u64,
    /// For whom it could not be told; they are not in the audience.
    pub filter_errors: u64,
}

/// What was handed in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SubmittedView {
    /// The run; of a draft the draft.
    pub campaign: CampaignView,
    /// It was there already: the same file again.
    pub continued: bool,
    /// What an approver signs; null for a draft.
    pub seal: Option<Seal>,
    /// What `audience.where` did; null without one.
    pub filter: Option<FilterView>,
    /// The run is under way: the file was handed in as this revision of it.
    pub revision: Option<RevisionView>,
    /// What the revision changes.
    pub changes: Vec<Change>,
}

impl From<Submitted> for SubmittedView {
    fn from(s: Submitted) -> Self {
        let filter = s.filter.map(|f| FilterView { members: f.members, kept: f.kept, left_out: f.left_out, filter_errors: f.filter_errors });
        Self {
            campaign: CampaignView::from(&s.campaign),
            continued: s.continued,
            seal: Some(s.seal),
            filter,
            revision: s.revision.as_ref().map(RevisionView::from),
            changes: s.changes,
        }
    }
}

impl From<&CampaignRow> for SubmittedView {
    fn from(draft: &CampaignRow) -> Self {
        Self { campaign: CampaignView::from(draft), continued: false, seal: None, filter: None, revision: None, changes: Vec::new() }
    }
}

/// What was approved.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ApprovedView {
    /// The run.
    pub campaign: CampaignView,
    /// What was signed.
    pub seal: Seal,
    /// The revision that was approved; null: the run itself.
    pub revision: Option<RevisionView>,
}

impl From<Approved> for ApprovedView {
    fn from(a: Approved) -> Self {
        Self { campaign: CampaignView::from(&a.campaign), seal: a.seal, revision: a.revision.as_ref().map(RevisionView::from) }
    }
}

/// What a person's word for a restart came to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RestartView {
    /// The run.
    pub campaign: CampaignView,
    /// `first`: one more person is needed; `again`: this person has said so before; `lifted`: it goes on.
    pub restart: String,
    /// Who has said so, while one more is needed.
    pub said_so: Vec<String>,
    /// The stop that still holds the run.
    pub held_by: Option<EmergencyRow>,
}

impl From<Restarted> for RestartView {
    fn from(r: Restarted) -> Self {
        let said_so = r.held_by.iter().flat_map(|held| &held.restarts).map(|r| r.by.clone()).collect();
        let restart = serde_json::to_value(r.restart).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        Self { campaign: CampaignView::from(&r.campaign), restart, said_so, held_by: r.held_by }
    }
}

/// An approval on record.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ApprovalView {
    /// The revision that was approved; 0: the file as it was handed in.
    pub revision: i64,
    /// What was signed.
    pub seal: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: String,
    /// Nobody but an author has looked.
    pub alone: bool,
    /// Why it does not count any more; null while it does.
    pub void: Option<String>,
}

/// An emergency stop that holds a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EmergencyView {
    /// Who stopped it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: String,
    /// Who has said that it may go on; two different persons are needed.
    pub said_so: Vec<String>,
}

/// A campaign's report, with where its approval stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StandingView {
    /// The report.
    #[serde(flatten)]
    pub report: Report,
    /// What operators want of it: `run`, `pause` or `stop`.
    pub wanted: String,
    /// Everybody who has written at it; none of them can approve it.
    pub authors: Vec<String>,
    /// Approvals, oldest first.
    pub approvals: Vec<ApprovalView>,
    /// What waits to be approved, or to be taken up.
    pub waiting: Option<RevisionView>,
    /// What an approver would sign now: of a submitted run, or of the revision that waits for it; null when nothing waits.
    pub seal: Option<Seal>,
    /// The emergency stop that holds it.
    pub emergency: Option<EmergencyView>,
}

/// A line of a history.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventView {
    /// Its number, from 1.
    pub id: i64,
    /// When.
    pub at: String,
    /// The status from then on.
    pub status: String,
    /// Who did it; `engine` is the engine.
    pub by: String,
    /// What, and why.
    pub why: String,
}

impl EventView {
    /// The n-th line.
    pub fn numbered(id: i64, event: Event) -> Self {
        Self { id, at: event.at.to_string(), status: event.status.to_string(), by: event.by, why: event.why }
    }
}

/// A page of a history, oldest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventPage {
    /// The lines.
    pub items: Vec<EventView>,
    /// Give it as `after` for the next page; null: there is none.
    pub next: Option<i64>,
}
