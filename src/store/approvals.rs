//! Four eyes, as the store keeps them: drafts and who wrote them, approvals and what they signed, revisions of runs that are under way,
//! emergency stops and the restarts that lift them.
//!
//! Who may do what is decided in `desk::approve`, `desk::revise` and `desk::emergency`; a store keeps it whole: each call is one transaction
//! together with its line in the campaign's history.
use super::{CampaignRow, NewCampaign, StoreResult};
use crate::domain::ids::CampaignId;
use crate::domain::law::Rule;
use crate::domain::money::Currency;
use crate::domain::outcome::coded;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A file to be kept as a draft.
#[derive(Clone, Debug)]
pub struct NewDraft {
    /// The campaign's name.
    pub name: String,
    /// The file.
    pub source: String,
    /// Its hash.
    pub hash: String,
    /// The currency of its costs.
    pub currency: Currency,
    /// Who wrote it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A text that a campaign has had: each version of its draft, and what was handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextRow {
    /// From 1, per run.
    pub n: i64,
    /// The file.
    #[serde(skip)]
    pub source: String,
    /// Its hash.
    pub hash: String,
    /// Who wrote it or handed it in.
    pub by: String,
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    pub at: Timestamp,
}

/// An approval to be kept.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// What was signed.
    pub seal: String,
    /// Its parts, as JSON.
    pub parts: String,
    /// Nobody else has looked: a rehearsal, routes that contact nobody, or a house that has turned four eyes off.
    pub alone: bool,
    /// By whom.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalRow {
    /// The revision that was approved; 0: the file as it was handed in.
    pub revision: i64,
    /// What was signed.
    pub seal: String,
    /// Its parts, as JSON.
    #[serde(skip)]
    pub parts: String,
    /// Nobody else has looked.
    pub alone: bool,
    /// By whom.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    pub at: Timestamp,
    /// When it became void; `None`: it stands.
    #[serde(with = "crate::domain::time::iso_option")]
    pub void_at: Option<Timestamp>,
    /// Why it became void; empty while it stands.
    pub void_why: String,
}

coded!(
    /// Where a revision stands.
    RevisionStatus {
        /// Handed in, not approved.
        Open = 0 "open",
        /// Approved; the run takes it up next.
        Approved = 1 "approved",
        /// The run follows it.
        Taken = 2 "taken",
        /// Another one was handed in before it was taken up, or its run has ended.
        Replaced = 3 "replaced",
    }
);

/// A revision to be kept.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// The file.
    pub source: String,
    /// Its hash.
    pub hash: String,
    /// Its seal.
    pub seal: String,
    /// The rules of its law that the run does not have yet; they get the numbers after the run's own.
    pub rules: Vec<Rule>,
    /// Everybody who has written at it, whoever handed it in first.
    pub authors: Vec<String>,
    /// When it was handed in.
    pub at: Timestamp,
}

/// A revision of a run that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RevisionRow {
    /// Of which run.
    pub campaign: CampaignId,
    /// From 1, per run.
    pub number: i64,
    /// The file.
    #[serde(skip)]
    pub source: String,
    /// Its hash.
    pub hash: String,
    /// Its seal when it was handed in.
    pub seal: String,
    /// Rules that the run has not had before.
    #[serde(skip)]
    pub rules: Vec<Rule>,
    /// Everybody who has written at it, whoever handed it in first.
    pub authors: Vec<String>,
    /// When it was handed in.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub submitted_at: Timestamp,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub approved_at: Option<Timestamp>,
    /// When the run took it up.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// Where it stands.
    pub status: RevisionStatus,
}

/// An emergency stop that nobody has lifted yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EmergencyRow {
    /// Who stopped.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who wants it lifted; two different persons lift it.
    pub restarts: Vec<RestartRow>,
}

/// One person's word that a run may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RestartRow {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// What a person's word for a restart came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It is the first; another person must say so too.
    First,
    /// This person has said so before.
    Again,
    /// It is the second: the mark is lifted and the run goes on.
    Lifted,
}

/// The book.
#[async_trait]
pub trait ApprovalBook: Send + Sync {
    /// Keeps a file as a draft, a run of its own without an audience. A draft of that name is a conflict.
    async fn draft_campaign(&self, new: &NewDraft) -> StoreResult<CampaignRow>;
    /// Writes a draft anew; all its texts are kept. What is no draft is a conflict.
    async fn write_draft(&self, id: CampaignId, new: &NewDraft) -> StoreResult<CampaignRow>;
    /// Hands a draft in: file, audience and rules are those of `new`. What is no draft, and an open audience, are conflicts.
    async fn submit_draft(&self, id: CampaignId, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow>;
    /// The draft of a name.
    async fn draft(&self, name: &str) -> StoreResult<Option<CampaignRow>>;
    /// The texts that a run has had before its approval, oldest first; the authors of the run are those of its texts.
    async fn texts(&self, id: CampaignId) -> StoreResult<Vec<TextRow>>;
    /// Approves a submitted run, and adds those of `rules` after the run's own (which the first of them must be). Any other status is a
    /// conflict.
    async fn approve_campaign(&self, id: CampaignId, approval: &NewApproval, rules: &[Rule]) -> StoreResult<CampaignRow>;
    /// Approvals of a run and of its revisions, oldest first.
    async fn approvals(&self, id: CampaignId) -> StoreResult<Vec<ApprovalRow>>;
    /// Makes the approvals of an approved run void: it is back to `Submitted`, by the engine. Any other status is a conflict.
    async fn void_approval(&self, id: CampaignId, why: &str, at: Timestamp) -> StoreResult<CampaignRow>;

    /// Marks a run as stopped in an emergency and wants it held; words for a restart that were given before do not count any more.
    /// A run that is closed or a draft is a conflict.
    async fn emergency_stop(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<CampaignRow>;
    /// The emergency stop that holds a run.
    async fn emergency(&self, id: CampaignId) -> StoreResult<Option<EmergencyRow>>;
    /// Keeps a person's word that the run may go on (persons are told apart by `eyes::same`); that of a second person lifts the mark and
    /// wants the run to go on. Without a mark it is a conflict.
    async fn emergency_restart(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<Restart>;

    /// Keeps a revision; one that waits for its approval, or to be taken up, is replaced. A run that is not approved, or closed, is a conflict.
    async fn submit_revision(&self, id: CampaignId, new: &NewRevision) -> StoreResult<RevisionRow>;
    /// Revisions of a run, by number.
    async fn revisions(&self, id: CampaignId) -> StoreResult<Vec<RevisionRow>>;
    /// The revision that waits for its approval.
    async fn open_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>>;
    /// The revision that is approved and not taken up.
    async fn approved_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>>;
    /// Approves an open revision. Any other is a conflict.
    async fn approve_revision(&self, id: CampaignId, number: i64, approval: &NewApproval) -> StoreResult<RevisionRow>;
    /// Makes the approval of a revision that is not taken up void: it waits for another.
    async fn void_revision(&self, id: CampaignId, number: i64, why: &str, at: Timestamp) -> StoreResult<RevisionRow>;
    /// The run takes an approved revision up: its file, hash and revision number are those of the revision, and the revision's rules come
    /// after the run's own, which touches name by number. What is not approved is a conflict; what is taken up already changes nothing.
    async fn revision_taken(&self, id: CampaignId, number: i64, at: Timestamp) -> StoreResult<CampaignRow>;
}
