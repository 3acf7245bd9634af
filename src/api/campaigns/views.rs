//! Campaigns as the API shows them.
use crate::desk::approve::Approved;
use crate::desk::control::Event;
use crate::desk::emergency::Restarted;
use crate::desk::report::Report;
use crate::desk::submit::Submitted;
use crate::domain::changes::Change;
use crate::domain::seal::Seal;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, RevisionRow};
use schemars::JsonSchema;
use serde::Serialize;

/// A campaign run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CampaignView {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Version, from 1, per name.
    pub version: i64,
    /// The revision that it follows; 0: the file as it was handed in.
    pub revision: i64,
    /// `draft`, `submitted`, `approved`, `scheduled`, `running`, `paused`, `finished`, `stopped` or `archived`.
    pub status: String,
    /// What operators want of it: `run`, `pause` or `stop`.
    pub wanted: String,
    /// Stopped in an emergency: two persons must restart it.
    pub emergency: bool,
    /// Customers in its audience; 0 in a draft.
    pub audience: i64,
    /// BLAKE3 of its file.
    pub hash: String,
    /// When it was handed in, or its draft written.
    pub submitted_at: String,
    /// When its first touch could start.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
}

fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

impl From<&CampaignRow> for CampaignView {
    fn from(row: &CampaignRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.clone(),
            version: row.version,
            revision: row.revision,
            status: row.status.to_string(),
            wanted: row.wanted.to_string(),
            emergency: row.emergency,
            audience: row.audience,
            hash: row.hash.clone(),
            submitted_at: row.submitted_at.to_string(),
            started_at: instant(row.started_at),
            finished_at: instant(row.finished_at),
        }
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

/// A revision of a run under way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RevisionView {
    /// From 1, per run.
    pub number: i64,
    /// `open`, `approved`, `taken` or `replaced`.
    pub status: String,
    /// BLAKE3 of its file.
    pub hash: String,
    /// Everybody who has written at it.
    pub authors: Vec<String>,
    /// When it was handed in.
    pub submitted_at: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When.
    pub approved_at: Option<String>,
    /// When the run took it up.
    pub taken_at: Option<String>,
}

impl From<&RevisionRow> for RevisionView {
    fn from(row: &RevisionRow) -> Self {
        Self {
            number: row.number,
            status: row.status.to_string(),
            hash: row.hash.clone(),
            authors: row.authors.clone(),
            submitted_at: row.submitted_at.to_string(),
            approved_by: row.approved_by.clone(),
            approved_at: instant(row.approved_at),
            taken_at: instant(row.taken_at),
        }
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
}

impl From<Restarted> for RestartView {
    fn from(r: Restarted) -> Self {
        let said_so = r.held_by.map(|held| held.restarts.into_iter().map(|r| r.by).collect()).unwrap_or_default();
        let restart = serde_json::to_value(r.restart).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        Self { campaign: CampaignView::from(&r.campaign), restart, said_so }
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
