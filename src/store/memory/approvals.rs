//! Drafts, approvals, revisions and emergency stops.
use super::super::{
    ApprovalBook, ApprovalRow, CampaignRow, EmergencyRow, ListRow, NewApproval, NewCampaign, NewDraft, NewRevision, Restart, RestartRow, RevisionRow,
    RevisionStatus, Status, StatusChange, StoreError, StoreResult, TextRow, Wanted,
};
use super::state::{Run, State};
use super::{MemoryStore, not_found};
use crate::domain::consent::Purpose;
use crate::domain::eyes::{self, ENGINE};
use crate::domain::ids::{CampaignId, CustomerId, ListId};
use crate::domain::law::Rule;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

/// The refusal of whoever wants a run to go on that was stopped in an emergency.
pub(super) fn held(row: &CampaignRow) -> StoreError {
    StoreError::Conflict(format!(
        "campaign {:?} was stopped in an emergency; it goes on when two persons have said so: touchline campaign restart {} --why TEXT",
        row.name, row.name
    ))
}

impl State {
    /// A list that must be frozen, to be an audience.
    pub(super) fn frozen(&self, id: ListId) -> StoreResult<ListRow> {
        let audience = self.lists.get(&id).ok_or_else(|| not_found("list", id))?.row.clone();
        if audience.frozen_at.is_none() {
            return Err(StoreError::Conflict(format!(
                "list {:?} is still open: freeze it before a campaign takes it as its audience",
                audience.name
            )));
        }
        Ok(audience)
    }

    pub(super) fn next_version(&self, name: &str, rehearsal: bool) -> i64 {
        let of_name = self.runs.values().filter(|r| r.row.name == name && r.row.id.is_rehearsal() == rehearsal);
        1 + of_name.map(|r| r.row.version).max().unwrap_or(0)
    }

    /// The number of the next run; none is given twice.
    pub(super) fn next_number(&mut self, rehearsal: bool) -> CampaignId {
        self.created += 1;
        let counter = if rehearsal { &mut self.rehearsals } else { &mut self.real_runs };
        *counter += 1;
        CampaignId(if rehearsal { -*counter } else { *counter })
    }

    pub(super) fn draft(&self, name: &str) -> Option<CampaignRow> {
        self.runs.values().find(|r| r.row.name == name && r.row.status == Status::Draft).map(|r| r.row.clone())
    }
}

impl Run {
    pub(super) fn new(row: CampaignRow, created: i64) -> Self {
        Self {
            row,
            created,
            rules: Vec::new(),
            history: Vec::new(),
            waves: BTreeMap::new(),
            tallies: Tallies::default(),
            purpose: Purpose::Marketing,
            called_off: None,
            heads: BTreeMap::new(),
            scheduled: BTreeSet::new(),
            uncertain: BTreeSet::new(),
            texts: Vec::new(),
            approvals: Vec::new(),
            revisions: Vec::new(),
            emergency: None,
        }
    }

    pub(super) fn add_text(&mut self, source: &str, hash: &str, by: &str, at: Timestamp) {
        let n = i64::try_from(self.texts.len() + 1).unwrap_or(i64::MAX);
        self.texts.push(TextRow { n, source: source.to_owned(), hash: hash.to_owned(), by: by.to_owned(), at });
    }

    /// A line of the history that keeps the status.
    pub(super) fn note(&mut self, by: &str, why: String, at: Timestamp) {
        self.history.push(StatusChange { to: self.row.status, by: by.to_owned(), why, at, reason: None });
    }

    pub(super) fn change_status(&mut self, change: &StatusChange) -> StoreResult<CampaignRow> {
        let row = &mut self.row;
        if !row.status.may_become(change.to) {
            let allowed: Vec<&str> = Status::ALL.iter().filter(|to| row.status.may_become(**to)).map(|to| to.name()).collect();
            let allowed = if allowed.is_empty() { "nothing: it is over".to_owned() } else { allowed.join(" or ") };
            return Err(StoreError::Conflict(format!(
                "campaign {:?} is {} and cannot become {}; it can become {allowed}",
                row.name, row.status, change.to
            )));
        }
        row.status = change.to;
        match change.to {
            Status::Running => row.started_at = row.started_at.or(Some(change.at)),
            Status::Finished => row.finished_at = Some(change.at),
            Status::Stopped => {
                row.finished_at = Some(change.at);
                row.stop_reason = row.stop_reason.or(change.reason);
            }
            Status::Draft | Status::Submitted | Status::Approved | Status::Scheduled | Status::Paused | Status::Archived => {}
        }
        self.history.push(change.clone());
        Ok(self.row.clone())
    }

    fn must_be(&self, status: Status, what: &str) -> StoreResult<()> {
        if self.row.status == status {
            return Ok(());
        }
        Err(StoreError::Conflict(format!("campaign {:?} is {}; only a {status} one can be {what}", self.row.name, self.row.status)))
    }

    /// A stop that is under way is not taken back.
    fn want(&mut self, wanted: Wanted) {
        if self.row.wanted != Wanted::Stop {
            self.row.wanted = wanted;
        }
    }

    fn approved(&mut self, revision: i64, new: &NewApproval) {
        self.approvals.push(ApprovalRow {
            revision,
            seal: new.seal.clone(),
            parts: new.parts.clone(),
            alone: new.alone,
            by: new.by.clone(),
            why: new.why.clone(),
            at: new.at,
            void_at: None,
            void_why: String::new(),
        });
    }

    fn revision(&mut self, number: i64) -> StoreResult<&mut RevisionRow> {
        let name = format!("{}.{number}", self.row.id);
        self.revisions.iter_mut().find(|r| r.number == number).ok_or_else(|| not_found("revision", name))
    }

    fn revision_in(&mut self, number: i64, status: RevisionStatus) -> StoreResult<&mut RevisionRow> {
        let (name, of) = (self.row.name.clone(), self.row.status);
        let revision = self.revision(number)?;
        if revision.status == status && !of.is_closed() {
            return Ok(revision);
        }
        Err(StoreError::Conflict(format!(
            "expected revision {number} of campaign {name:?} to be {status}; it is {}, and its run {of}",
            revision.status
        )))
    }
}

#[async_trait]
impl ApprovalBook for MemoryStore {
    async fn draft_campaign(&self, new: &NewDraft) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        if state.draft(&new.name).is_some() {
            return Err(StoreError::Conflict(format!("there is a draft of campaign {:?} already; write that one anew", new.name)));
        }
        let version = state.next_version(&new.name, false);
        let id = state.next_number(false);
        let row = CampaignRow {
            id,
            name: new.name.clone(),
            version,
            revision: 0,
            source: new.source.clone(),
            hash: new.hash.clone(),
            status: Status::Draft,
            wanted: Wanted::Run,
            audience_list: ListId(0),
            list: ListId(0),
            audience: 0,
            checksum: String::new(),
            currency: new.currency,
            cursor: CustomerId(0),
            stop_reason: None,
            emergency: false,
            submitted_at: new.at,
            started_at: None,
            finished_at: None,
        };
        let mut run = Run::new(row.clone(), state.created);
        run.add_text(&new.source, &new.hash, &new.by, new.at);
        run.note(&new.by, "drafted".to_owned(), new.at);
        state.runs.insert(id, run);
        state.tell_status(id);
        Ok(row)
    }

    async fn write_draft(&self, id: CampaignId, new: &NewDraft) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        run.must_be(Status::Draft, "written anew")?;
        let row = &mut run.row;
        (row.source, row.hash, row.currency, row.submitted_at) = (new.source.clone(), new.hash.clone(), new.currency, new.at);
        run.add_text(&new.source, &new.hash, &new.by, new.at);
        run.note(&new.by, "written anew".to_owned(), new.at);
        Ok(run.row.clone())
    }

    async fn submit_draft(&self, id: CampaignId, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        state.run(id)?.must_be(Status::Draft, "handed in")?;
        let audience = state.frozen(new.audience)?;
        // The newest run of a name is the one that was handed in last.
        state.created += 1;
        let created = state.created;
        let run = state.run_mut(id)?;
        run.created = created;
        let row = &mut run.row;
        (row.source, row.hash, row.currency, row.submitted_at) = (new.source.clone(), new.hash.clone(), new.currency, new.at);
        (row.audience_list, row.list, row.audience, row.checksum) = (new.audience, new.list, audience.count, audience.checksum);
        run.rules = rules.to_vec();
        run.add_text(&new.source, &new.hash, &new.by, new.at);
        let change = StatusChange { to: Status::Submitted, by: new.by.clone(), why: "submitted".into(), at: new.at, reason: None };
        let row = run.change_status(&change)?;
        state.tell_status(id);
        Ok(row)
    }

    async fn draft(&self, name: &str) -> StoreResult<Option<CampaignRow>> {
        Ok(self.lock().draft(name))
    }

    async fn texts(&self, id: CampaignId) -> StoreResult<Vec<TextRow>> {
        self.lock().run(id).map(|r| r.texts.clone())
    }

    async fn approve_campaign(&self, id: CampaignId, approval: &NewApproval, rules: &[Rule]) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        run.must_be(Status::Submitted, "approved")?;
        if !rules.starts_with(&run.rules) {
            return Err(StoreError::Conflict(format!("the rules of campaign {:?} are others than those approved; touches name them", run.row.name)));
        }
        run.rules = rules.to_vec();
        run.approved(run.row.revision, approval);
        let change = StatusChange { to: Status::Approved, by: approval.by.clone(), why: approval.why.clone(), at: approval.at, reason: None };
        let row = run.change_status(&change)?;
        state.tell_status(id);
        Ok(row)
    }

    async fn approvals(&self, id: CampaignId) -> StoreResult<Vec<ApprovalRow>> {
        self.lock().run(id).map(|r| r.approvals.clone())
    }

    async fn void_approval(&self, id: CampaignId, why: &str, at: Timestamp) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        let change = StatusChange { to: Status::Submitted, by: ENGINE.to_owned(), why: format!("the approval is void: {why}"), at, reason: None };
        run.change_status(&change)?;
        for approval in run.approvals.iter_mut().filter(|a| a.void_at.is_none()) {
            (approval.void_at, approval.void_why) = (Some(at), why.to_owned());
        }
        // A revision that was approved rests on the approval before it.
        for revision in run.revisions.iter_mut().filter(|r| r.status == RevisionStatus::Approved) {
            (revision.status, revision.approved_by, revision.approved_at) = (RevisionStatus::Open, None, None);
        }
        let row = run.row.clone();
        state.tell_status(id);
        Ok(row)
    }

    async fn emergency_stop(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        if run.row.status.is_closed() || run.row.status == Status::Draft {
            return Err(StoreError::Conflict(format!("campaign {:?} is {}: there is nothing to stop", run.row.name, run.row.status)));
        }
        match &mut run.emergency {
            Some(open) if open.restarts.is_empty() && eyes::same(&open.by, by) => return Ok(run.row.clone()),
            Some(open) => open.restarts.clear(),
            none => *none = Some(EmergencyRow { by: by.to_owned(), why: why.to_owned(), at, restarts: Vec::new() }),
        }
        run.row.emergency = true;
        run.want(Wanted::Pause);
        run.note(by, format!("emergency stop: {why}"), at);
        Ok(run.row.clone())
    }

    async fn emergency(&self, id: CampaignId) -> StoreResult<Option<EmergencyRow>> {
        self.lock().run(id).map(|r| r.emergency.clone())
    }

    async fn emergency_restart(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<Restart> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        let closed = run.row.status.is_closed();
        let Some(open) = run.emergency.as_mut().filter(|_| !closed) else {
            return Err(StoreError::Conflict(format!("campaign {:?} is {}, not stopped in an emergency", run.row.name, run.row.status)));
        };
        if eyes::among(by, open.restarts.iter().map(|r| r.by.as_str())) {
            return Ok(Restart::Again);
        }
        open.restarts.push(RestartRow { by: by.to_owned(), why: why.to_owned(), at });
        let lifted = open.restarts.len() >= 2;
        if lifted {
            run.emergency = None;
            run.row.emergency = false;
            run.want(Wanted::Run);
        }
        let told =
            if lifted { "restart after an emergency stop, by the second of two" } else { "restart after an emergency stop, one more is needed" };
        run.note(by, format!("{told}: {why}"), at);
        Ok(if lifted { Restart::Lifted } else { Restart::First })
    }

    async fn submit_revision(&self, id: CampaignId, new: &NewRevision) -> StoreResult<RevisionRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        if !run.row.status.is_approved() {
            return Err(StoreError::Conflict(format!("campaign {:?} is {}; only an approved run can be revised", run.row.name, run.row.status)));
        }
        for waiting in run.revisions.iter_mut().filter(|r| matches!(r.status, RevisionStatus::Open | RevisionStatus::Approved)) {
            waiting.status = RevisionStatus::Replaced;
        }
        let number = i64::try_from(run.revisions.len() + 1).unwrap_or(i64::MAX);
        let revision = RevisionRow {
            campaign: id,
            number,
            source: new.source.clone(),
            hash: new.hash.clone(),
            seal: new.seal.clone(),
            rules: new.rules.clone(),
            authors: new.authors.clone(),
            submitted_at: new.at,
            approved_by: None,
            approved_at: None,
            taken_at: None,
            status: RevisionStatus::Open,
        };
        run.revisions.push(revision.clone());
        let by = new.authors.first().map_or(ENGINE, String::as_str);
        run.note(by, format!("revision {number} handed in"), new.at);
        Ok(revision)
    }

    async fn revisions(&self, id: CampaignId) -> StoreResult<Vec<RevisionRow>> {
        self.lock().run(id).map(|r| r.revisions.clone())
    }

    async fn open_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>> {
        Ok(self.lock().run(id)?.revisions.iter().find(|r| r.status == RevisionStatus::Open).cloned())
    }

    async fn approved_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>> {
        Ok(self.lock().run(id)?.revisions.iter().find(|r| r.status == RevisionStatus::Approved).cloned())
    }

    async fn approve_revision(&self, id: CampaignId, number: i64, approval: &NewApproval) -> StoreResult<RevisionRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        let revision = run.revision_in(number, RevisionStatus::Open)?;
        (revision.status, revision.approved_by, revision.approved_at) = (RevisionStatus::Approved, Some(approval.by.clone()), Some(approval.at));
        let revision = revision.clone();
        run.approved(number, approval);
        run.note(&approval.by, format!("revision {number} approved: {}", approval.why), approval.at);
        Ok(revision)
    }

    async fn void_revision(&self, id: CampaignId, number: i64, why: &str, at: Timestamp) -> StoreResult<RevisionRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        let revision = run.revision_in(number, RevisionStatus::Approved)?;
        (revision.status, revision.approved_by, revision.approved_at) = (RevisionStatus::Open, None, None);
        let revision = revision.clone();
        for approval in run.approvals.iter_mut().filter(|a| a.revision == number && a.void_at.is_none()) {
            (approval.void_at, approval.void_why) = (Some(at), why.to_owned());
        }
        run.note(ENGINE, format!("the approval of revision {number} is void: {why}"), at);
        Ok(revision)
    }

    async fn revision_taken(&self, id: CampaignId, number: i64, at: Timestamp) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        if run.row.revision == number && run.revision(number)?.status == RevisionStatus::Taken {
            return Ok(run.row.clone());
        }
        let revision = run.revision_in(number, RevisionStatus::Approved)?;
        (revision.status, revision.taken_at) = (RevisionStatus::Taken, Some(at));
        let revision = revision.clone();
        for rule in revision.rules {
            if !run.rules.contains(&rule) {
                run.rules.push(rule);
            }
        }
        (run.row.source, run.row.hash, run.row.revision) = (revision.source, revision.hash, number);
        run.note(ENGINE, format!("revision {number} taken up"), at);
        Ok(run.row.clone())
    }
}
