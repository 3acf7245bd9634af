//! The rows, and the indexes that follow them.
use super::super::{
    ApprovalRow, CampaignRow, CreditRow, EmergencyRow, ExportRow, FactRow, IntakeProgress, ListRow, Member, Needs, Person, ReceiptRow, RevisionRow,
    StatusChange, StoreError, StoreResult, TextRow, WaveRow,
};
use super::{CustomerId, not_found};
use crate::domain::consent::{ConsentRecord, HoldRecord, Purpose, SuppressionRecord};
use crate::domain::ids::{BatchId, CampaignId, ListId, RouteId, StepNo, TouchKey};
use crate::domain::law::Rule;
use crate::domain::outcome::Reason;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::{self, Touch};
use crate::store::CustomerRow;
use crate::store::privacy::Erasure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that is kept.
#[derive(Clone, Default)]
pub(super) struct State {
    pub customers: BTreeMap<CustomerId, CustomerRow>,
    pub by_reference: BTreeMap<String, CustomerId>,
    pub intakes: BTreeMap<String, IntakeProgress>,
    pub lists: BTreeMap<ListId, List>,
    pub consents: BTreeMap<CustomerId, Vec<ConsentRecord>>,
    pub suppressions: BTreeMap<CustomerId, Vec<Suppression>>,
    pub holds: BTreeMap<CustomerId, Vec<HoldRecord>>,
    /// Length of the contactability change log.
    pub changes: i64,
    /// Place of each customer's newest entry in that log (older ones answer no question).
    pub last_change: BTreeMap<CustomerId, i64>,
    pub runs: BTreeMap<CampaignId, Run>,
    /// Runs ever created, and of these the rehearsals: numbers are not given twice.
    pub created: i64,
    pub real_runs: i64,
    pub rehearsals: i64,
    pub routes: Vec<String>,
    pub touches: BTreeMap<TouchKey, Touch>,
    /// Touches by the provider's name for them.
    pub by_provider: BTreeMap<(RouteId, Box<str>), BTreeSet<TouchKey>>,
    pub deadlines: BTreeSet<(Timestamp, TouchKey)>,
    pub deadline_of: BTreeMap<TouchKey, Timestamp>,
    /// Open batches.
    pub batches: BTreeMap<BatchId, Batch>,
    pub batches_opened: i64,
    /// The open batch of a started touch that has no result.
    pub batch_of: BTreeMap<TouchKey, BatchId>,
    pub receipts: BTreeMap<Option<TouchKey>, Vec<ReceiptRow>>,
    pub facts: BTreeMap<i64, FactRow>,
    pub fact_by_ref: BTreeMap<(String, String), i64>,
    pub facts_of: BTreeMap<CustomerId, BTreeSet<(Timestamp, i64)>>,
    pub credits: BTreeMap<CreditKey, CreditRow>,
    /// Replacements that have begun and are not visible.
    pub credits_staged: BTreeMap<(CampaignId, String), Vec<CreditRow>>,
    /// Real campaigns that hold a share of a fact, with the number of shares.
    pub holders: BTreeMap<i64, BTreeMap<CampaignId, u64>>,
    pub exports: BTreeMap<i64, ExportRow>,
    pub exports_reserved: i64,
    /// Who was erased, and the marks that bar them from being taken in again.
    pub erasures: BTreeMap<CustomerId, Erasure>,
    pub tombstones: BTreeSet<[u8; 32]>,
    /// The worklist.
    pub worklist: super::tasks::Worklist,
    pub inbound: super::inbox::Inbound,
    pub outbound: super::outbox::Outbound,
    pub fence: i64,
    pub owner: Option<i64>,
    pub access: super::access::Kept,
    pub contacts: super::contacts::Contacts,
}

/// Place of a credit: campaign, customer, fact, rule, seq.
pub(super) type CreditKey = (CampaignId, CustomerId, i64, String, Option<u32>);

/// A list and its members.
#[derive(Clone)]
pub(super) struct List {
    pub row: ListRow,
    pub members: BTreeSet<CustomerId>,
}

/// A suppression, and whether it has been lifted.
#[derive(Clone)]
pub(super) struct Suppression {
    pub record: SuppressionRecord,
    pub lifted: bool,
}

/// A campaign run and what is kept once per run.
#[derive(Clone)]
pub(super) struct Run {
    pub row: CampaignRow,
    /// Order of creation over both modes.
    pub created: i64,
    pub rules: Vec<Rule>,
    pub history: Vec<StatusChange>,
    pub waves: BTreeMap<Timestamp, WaveRow>,
    pub tallies: Tallies,
    /// As its begins have said; no touch is there before the first.
    pub purpose: Purpose,
    /// Why it was called off; customers without a row are cancelled for it.
    pub called_off: Option<Reason>,
    /// The highest seq of each customer that has rows.
    pub heads: BTreeMap<CustomerId, u32>,
    pub scheduled: BTreeSet<(Timestamp, CustomerId, u32, StepNo)>,
    pub uncertain: BTreeSet<(CustomerId, u32)>,
    pub texts: Vec<TextRow>,
    pub approvals: Vec<ApprovalRow>,
    pub revisions: Vec<RevisionRow>,
    /// The emergency stop that nobody has lifted.
    pub emergency: Option<EmergencyRow>,
}

/// An open batch.
#[derive(Clone)]
pub(super) struct Batch {
    pub campaign: CampaignId,
    pub fence: i64,
    /// Its touches without a result.
    pub left: BTreeSet<TouchKey>,
}

impl State {
    pub fn check_fence(&self, fence: i64) -> StoreResult<()> {
        match self.owner {
            Some(owner) if owner == fence => Ok(()),
            Some(owner) => Err(StoreError::Fenced(format!(
                "expected fencing number {owner}, found {fence}: another process has taken over the store; this one must stop sending"
            ))),
            None => Err(StoreError::Fenced(format!("fencing number {fence} holds the store no more: acquire it again before sending"))),
        }
    }

    pub fn run(&self, id: CampaignId) -> StoreResult<&Run> {
        self.runs.get(&id).ok_or_else(|| not_found("campaign", id))
    }

    pub fn run_mut(&mut self, id: CampaignId) -> StoreResult<&mut Run> {
        self.runs.get_mut(&id).ok_or_else(|| not_found("campaign", id))
    }

    pub fn keep_progress(&mut self, progress: Option<&IntakeProgress>) {
        if let Some(progress) = progress {
            self.intakes.insert(progress.key.clone(), progress.clone());
        }
    }

    /// A customer with what is asked for.
    pub fn member(&self, id: CustomerId, needs: Needs) -> Option<Member> {
        let row = self.customers.get(&id)?;
        Some(Member {
            id,
            contactability: row.contactability,
            timezone: row.timezone,
            phone: row.phone.clone().filter(|_| needs.phone),
            email: row.email.clone().filter(|_| needs.email),
            push: row.push.clone().filter(|_| needs.push),
            person: needs.person.then(|| {
                Box::new(Person { reference: row.reference.clone(), language: row.language.clone(), branch: row.branch.clone(), rm: row.rm.clone() })
            }),
            attributes: needs.attributes.then(|| Arc::from(row.attributes.as_str())),
        })
    }

    pub fn head(&self, campaign: CampaignId, customer: CustomerId) -> Option<&Touch> {
        let seq = *self.runs.get(&campaign)?.heads.get(&customer)?;
        self.touches.get(&TouchKey { customer, campaign, seq })
    }

    /// Writes a row of a run that exists; every index follows.
    pub fn put_touch(&mut self, row: Touch) {
        let key = row.key;
        let Some(run) = self.runs.get_mut(&key.campaign) else { return };
        if let Some(old) = self.touches.get(&key) {
            match old.state {
                touch::State::Scheduled => {
                    run.scheduled.remove(&(old.due_at.unwrap_or_default(), key.customer, key.seq, old.step));
                }
                touch::State::Uncertain => {
                    run.uncertain.remove(&(key.customer, key.seq));
                }
                _ => {}
            }
            if let (Some(route), Some(name)) = (old.route, &old.provider_ref)
                && let Some(keys) = self.by_provider.get_mut(&(route, name.clone()))
            {
                keys.remove(&key);
            }
        }
        match row.state {
            touch::State::Scheduled => {
                run.scheduled.insert((row.due_at.unwrap_or_default(), key.customer, key.seq, row.step));
            }
            touch::State::Uncertain => {
                run.uncertain.insert((key.customer, key.seq));
            }
            _ => {}
        }
        if let (Some(route), Some(name)) = (row.route, &row.provider_ref) {
            self.by_provider.entry((route, name.clone())).or_default().insert(key);
        }
        let head = run.heads.entry(key.customer).or_insert(key.seq);
        *head = (*head).max(key.seq);
        self.touches.insert(key, row);
    }

    /// Opens, moves or ends the wait for a touch's receipt.
    pub fn await_until(&mut self, key: TouchKey, deadline: Option<Timestamp>) {
        if let Some(old) = self.deadline_of.remove(&key) {
            self.deadlines.remove(&(old, key));
        }
        if let Some(deadline) = deadline {
            self.deadline_of.insert(key, deadline);
            self.deadlines.insert((deadline, key));
        }
    }

    /// A touch has a result: no crash can leave it an orphan.
    pub fn leave_batch(&mut self, key: TouchKey) {
        if let Some(batch) = self.batch_of.remove(&key)
            && let Some(batch) = self.batches.get_mut(&batch)
        {
            batch.left.remove(&key);
        }
    }
}
