//! The book of approvals of a store that fails when it is told to.
use super::Faulty;
use async_trait::async_trait;
use touchline::domain::ids::CampaignId;
use touchline::domain::law::Rule;
use touchline::domain::time::Timestamp;
use touchline::store::{
    ApprovalBook, ApprovalRow, CampaignRow, EmergencyRow, NewApproval, NewCampaign, NewDraft, NewRevision, Restart, RevisionRow, StoreResult, TextRow,
};

#[async_trait]
impl ApprovalBook for Faulty {
    async fn draft_campaign(&self, new: &NewDraft) -> StoreResult<CampaignRow> {
        self.next_call("draft_campaign")?;
        self.inner.draft_campaign(new).await
    }
    async fn write_draft(&self, id: CampaignId, new: &NewDraft) -> StoreResult<CampaignRow> {
        self.next_call("write_draft")?;
        self.inner.write_draft(id, new).await
    }
    async fn submit_draft(&self, id: CampaignId, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow> {
        self.next_call("submit_draft")?;
        self.inner.submit_draft(id, new, rules).await
    }
    async fn draft(&self, name: &str) -> StoreResult<Option<CampaignRow>> {
        self.next_call("draft")?;
        self.inner.draft(name).await
    }
    async fn texts(&self, id: CampaignId) -> StoreResult<Vec<TextRow>> {
        self.next_call("texts")?;
        self.inner.texts(id).await
    }
    async fn approve_campaign(&self, id: CampaignId, approval: &NewApproval, rules: &[Rule]) -> StoreResult<CampaignRow> {
        self.next_call("approve_campaign")?;
        self.inner.approve_campaign(id, approval, rules).await
    }
    async fn approvals(&self, id: CampaignId) -> StoreResult<Vec<ApprovalRow>> {
        self.next_call("approvals")?;
        self.inner.approvals(id).await
    }
    async fn void_approval(&self, id: CampaignId, why: &str, at: Timestamp) -> StoreResult<CampaignRow> {
        self.next_call("void_approval")?;
        self.inner.void_approval(id, why, at).await
    }
    async fn emergency_stop(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<CampaignRow> {
        self.next_call("emergency_stop")?;
        self.inner.emergency_stop(id, by, why, at).await
    }
    async fn emergency(&self, id: CampaignId) -> StoreResult<Option<EmergencyRow>> {
        self.next_call("emergency")?;
        self.inner.emergency(id).await
    }
    async fn emergency_restart(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<Restart> {
        self.next_call("emergency_restart")?;
        self.inner.emergency_restart(id, by, why, at).await
    }
    async fn submit_revision(&self, id: CampaignId, new: &NewRevision) -> StoreResult<RevisionRow> {
        self.next_call("submit_revision")?;
        self.inner.submit_revision(id, new).await
    }
    async fn revisions(&self, id: CampaignId) -> StoreResult<Vec<RevisionRow>> {
        self.next_call("revisions")?;
        self.inner.revisions(id).await
    }
    async fn open_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>> {
        self.next_call("open_revision")?;
        self.inner.open_revision(id).await
    }
    async fn approved_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>> {
        self.next_call("approved_revision")?;
        self.inner.approved_revision(id).await
    }
    async fn approve_revision(&self, id: CampaignId, number: i64, approval: &NewApproval) -> StoreResult<RevisionRow> {
        self.next_call("approve_revision")?;
        self.inner.approve_revision(id, number, approval).await
    }
    async fn void_revision(&self, id: CampaignId, number: i64, why: &str, at: Timestamp) -> StoreResult<RevisionRow> {
        self.next_call("void_revision")?;
        self.inner.void_revision(id, number, why, at).await
    }
    async fn revision_taken(&self, id: CampaignId, number: i64, at: Timestamp) -> StoreResult<CampaignRow> {
        self.next_call("revision_taken")?;
        self.inner.revision_taken(id, number, at).await
    }
}
