//! What the engine keeps, as traits named by use. Every store passes one conformance suite (`store::conformance`).
//!
//! Clock rule: a store never reads the time; every instant comes in as an argument.
pub mod records;
pub mod sqlite;

use crate::domain::consent::{ConsentRecord, Contactability, SuppressionRecord};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, ListId, RouteId, StepNo, TouchKey};
use crate::domain::law::Rule;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use async_trait::async_trait;
pub use records::*;

/// What can go wrong in a store. Texts carry no personal data.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing of that name or number.
    #[error("{what} {name:?} does not exist{hint}")]
    NotFound {
        /// What was looked for (`campaign`, `list`, ...).
        what: &'static str,
        /// The name asked for.
        name: String,
        /// `; did you mean ...?` or empty.
        hint: String,
    },
    /// The name is taken by something else, or the thing is frozen.
    #[error("{0}")]
    Conflict(String),
    /// Another process has taken over (fencing number), or owns the file.
    #[error("{0}")]
    Fenced(String),
    /// The file is of a newer program, a restored copy, or not ours.
    #[error("{0}")]
    Unusable(String),
    /// The disk is full.
    #[error("the disk is full: {0}. Nothing was lost: free some room and run the command again")]
    Full(String),
    /// The database said no, or is out of reach.
    #[error("the store failed: {0}")]
    Backend(String),
}

/// Result of a store call.
pub type StoreResult<T> = Result<T, StoreError>;

/// Customers and what they may be contacted by.
#[async_trait]
pub trait CustomerBook: Send + Sync {
    /// Inserts or updates customers by `reference` in one transaction, together with the intake's progress mark.
    /// Later values win field by field; `None` leaves what is there; attributes are merged by name.
    /// A `consents` entry in the batch is recorded with it. Returns how many were new and how many updated.
    async fn put_customers(&self, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// One customer by reference.
    async fn customer(&self, reference: &str) -> StoreResult<Option<CustomerRow>>;
    /// Numbers of references, in the order asked; `None` where there is no such customer.
    async fn customer_ids(&self, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>>;
    /// How many customers there are.
    async fn customer_count(&self) -> StoreResult<i64>;
    /// How far an intake of this name and content hash got; `None`: never begun.
    async fn intake_progress(&self, key: &str) -> StoreResult<Option<IntakeProgress>>;
    /// Sets an intake's progress without rows (its end, or a start over).
    async fn set_intake_progress(&self, progress: &IntakeProgress) -> StoreResult<()>;
}

/// Lists: filled while open, then frozen with count and checksum.
#[async_trait]
pub trait ListBook: Send + Sync {
    /// Opens a list of a new name, or goes on with one that is still open. A frozen one of that name is a conflict.
    async fn open_list(&self, name: &str, at: Timestamp) -> StoreResult<ListId>;
    /// Adds members (sorted or not); returns how many were new to the list. With the intake's progress mark in the same transaction.
    async fn add_members(&self, list: ListId, members: &[CustomerId], progress: Option<&IntakeProgress>) -> StoreResult<u64>;
    /// Makes every customer in the book a member (for a list "of all"), returns how many.
    async fn add_all_customers(&self, list: ListId) -> StoreResult<u64>;
    /// Freezes: from now on count and checksum stand. The checksum is BLAKE3 over members' references in customer order, each followed by a newline.
    async fn freeze_list(&self, list: ListId, at: Timestamp) -> StoreResult<ListRow>;
    /// A list by name (the newest of that name).
    async fn list(&self, name: &str) -> StoreResult<ListRow>;
    /// All lists, newest first.
    async fn lists(&self) -> StoreResult<Vec<ListRow>>;
    /// Members after `after` in customer order, with what `needs` names. `seen_change` is taken before the rows are read.
    async fn page(&self, list: ListId, after: CustomerId, limit: usize, needs: Needs) -> StoreResult<Page>;
}

/// Consents and suppressions, with provenance; each change also writes the contactability change log.
#[async_trait]
pub trait ConsentList: Send + Sync {
    /// Appends consent records; unknown customers are returned by index as rejected. The packed state beside the customer follows in the same transaction.
    async fn put_consents(&self, batch: &[(String, ConsentRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// Appends suppressions likewise.
    async fn put_suppressions(&self, batch: &[(String, SuppressionRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// Everything on record for one customer, oldest first.
    async fn consents(&self, customer: CustomerId) -> StoreResult<Vec<ConsentRecord>>;
    /// Suppressions of one customer, oldest first.
    async fn suppressions(&self, customer: CustomerId) -> StoreResult<Vec<SuppressionRecord>>;
    /// What is packed beside the customer.
    async fn contactability(&self, customer: CustomerId) -> StoreResult<Contactability>;
    /// Lifts suppressions whose `until` is not after `at`; returns how many customers changed.
    async fn lapse_suppressions(&self, at: Timestamp) -> StoreResult<u64>;
}

/// Campaign runs and everything kept once per run.
#[async_trait]
pub trait CampaignBook: Send + Sync {
    /// Inserts a new run (id given by the store: positive, or negative for a rehearsal) with the rules of its law.
    /// `version` is the next of that name and mode.
    async fn create_campaign(&self, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow>;
    /// The newest run of a name; `rehearsal` says of which mode, `None`: the newest real run, else the newest rehearsal.
    async fn campaign(&self, name: &str, rehearsal: Option<bool>) -> StoreResult<CampaignRow>;
    /// A run by number.
    async fn campaign_by_id(&self, id: CampaignId) -> StoreResult<CampaignRow>;
    /// All runs, newest first.
    async fn campaigns(&self) -> StoreResult<Vec<CampaignRow>>;
    /// Changes status, with who and why, into the campaign's history; refuses a change that the status does not allow.
    async fn set_status(&self, id: CampaignId, change: &StatusChange) -> StoreResult<CampaignRow>;
    /// What an operator wants of a campaign that another process may be running; that process polls it.
    async fn set_wanted(&self, id: CampaignId, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> StoreResult<()>;
    /// The campaign's history, oldest first.
    async fn history(&self, id: CampaignId) -> StoreResult<Vec<StatusChange>>;
    /// Records a wave: when it was due, fired or skipped, and how many first touches it may still take.
    async fn record_wave(&self, id: CampaignId, wave: &WaveRow) -> StoreResult<()>;
    /// Waves of a campaign, oldest first.
    async fn waves(&self, id: CampaignId) -> StoreResult<Vec<WaveRow>>;
    /// Rules of its law, by number.
    async fn rules(&self, id: CampaignId) -> StoreResult<Vec<Rule>>;
    /// Its tallies.
    async fn tallies(&self, id: CampaignId) -> StoreResult<Tallies>;
    /// Recomputes the tallies from the rows, to compare with what is kept (`doctor`, `verify`).
    async fn recount(&self, id: CampaignId) -> StoreResult<Tallies>;
    /// Customers per (state, number of attempts in all steps): for reports such as "reached by number of attempts".
    async fn attempts_histogram(&self, id: CampaignId) -> StoreResult<Vec<AttemptsBin>>;
    /// Removes a rehearsal and its touches. Refused for a real run.
    async fn purge_rehearsal(&self, id: CampaignId) -> StoreResult<()>;
    /// The number under which a route's name is kept (interned).
    async fn route_id(&self, name: &str) -> StoreResult<RouteId>;
    /// All interned routes.
    async fn routes(&self) -> StoreResult<Vec<(RouteId, String)>>;
}

/// The ledger of touches. `begin` and `record` are the hot path: each is one transaction, in bulk statements.
#[async_trait]
pub trait TouchLedger: Send + Sync {
    /// Decides and commits a batch. In one transaction: refuses a stale `fence`; asks again for the contactability of every
    /// candidate whose consent or suppression changed since `seen_change`; reads contact history within `history_ms` (real
    /// runs see real runs; a rehearsal sees real runs and itself), counting only touches whose sending was not given back;
    /// reads whether a fact of `conversion_facts` exists since `conversion_since`; calls `decide` for each in order; writes
    /// the rows, the cursor (last consumed first-time candidate), the tallies, and the open batch of those `Started`.
    /// `decide` answering `None` ends the batch before that candidate, which stays as it was.
    /// A due candidate whose stored head is no longer `Scheduled` is skipped.
    async fn begin(&self, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun>;
    /// Commits what came of touches, the next rows they lead to, tallies and closed batches, in one transaction.
    /// The lattice guards each: a stored state of equal or higher rank stays, and the settlement (with its next row) is skipped.
    async fn record(&self, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded>;
    /// Scheduled touches due at `at`, soonest first, of these steps, with their members.
    async fn due(&self, campaign: CampaignId, at: Timestamp, steps: &[StepNo], limit: usize, needs: Needs) -> StoreResult<Due>;
    /// When the next scheduled touch of these steps is due.
    async fn next_due(&self, campaign: CampaignId, steps: &[StepNo]) -> StoreResult<Option<Timestamp>>;
    /// One touch.
    async fn touch(&self, key: TouchKey) -> StoreResult<Option<Touch>>;
    /// A customer's head in a campaign.
    async fn head(&self, campaign: CampaignId, customer: CustomerId) -> StoreResult<Option<Touch>>;
    /// All touches of a customer, over all campaigns, oldest first.
    async fn timeline(&self, customer: CustomerId) -> StoreResult<Vec<Touch>>;
    /// Touches of a campaign after a key, in (customer, seq) order.
    async fn scan(&self, campaign: CampaignId, after: Option<(CustomerId, u32)>, limit: usize) -> StoreResult<Vec<Touch>>;
    /// `Started` touches without any result, of batches that were opened under a fence below `fence`: what a crash left.
    async fn orphans(&self, fence: i64, limit: usize) -> StoreResult<Vec<(BatchId, Vec<Touch>)>>;
    /// Touches by the provider's name for them.
    async fn awaiting(&self, route: RouteId, provider_refs: &[&str]) -> StoreResult<Vec<Touch>>;
    /// Touches whose receipt deadline is not after `at`.
    async fn overdue(&self, at: Timestamp, limit: usize) -> StoreResult<Vec<Touch>>;
    /// The next receipt deadline.
    async fn next_deadline(&self) -> StoreResult<Option<Timestamp>>;
    /// Touches in doubt.
    async fn uncertain(&self, campaign: CampaignId, limit: usize) -> StoreResult<Vec<Touch>>;
    /// Keeps raw receipts for ever, matched or not.
    async fn keep_receipts(&self, receipts: &[ReceiptRow]) -> StoreResult<()>;
    /// Raw receipts of one touch, oldest first.
    async fn receipts(&self, touch: TouchKey) -> StoreResult<Vec<ReceiptRow>>;
    /// Calls off every scheduled touch of the campaign, and counts what is pending as cancelled with the same reason (no rows
    /// are written for those: a customer after the cursor of a closed campaign is cancelled for the campaign's reason).
    async fn call_off(&self, fence: i64, campaign: CampaignId, reason: crate::domain::outcome::Reason, at: Timestamp) -> StoreResult<Tallies>;
}

/// Facts from the core bank, and the credits that attribution gives for them.
#[async_trait]
pub trait FactBook: Send + Sync {
    /// Inserts facts; a fact with the same `fact_ref` and content is a duplicate, with other content a conflict (rejected by index).
    async fn put_facts(&self, batch: &[FactInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// Facts of a kind (and product) of these customers, in (customer, at, id) order.
    async fn facts(&self, customers: (CustomerId, CustomerId), kind: &str, product: Option<&str>) -> StoreResult<Vec<FactRow>>;
    /// Every fact of one customer, oldest first.
    async fn customer_facts(&self, customer: CustomerId) -> StoreResult<Vec<FactRow>>;
    /// Replaces the credits of a campaign's conversion rule in one transaction. A share of a fact that another real campaign already holds is
    /// refused and returned; a rehearsal's credits bar nobody.
    async fn put_credits(&self, campaign: CampaignId, rule: &str, credits: &[CreditRow], last: bool, first: bool) -> StoreResult<Vec<i64>>;
    /// Credits of a campaign after an id, by (customer, fact).
    async fn credits(&self, campaign: CampaignId, after: Option<(CustomerId, i64)>, limit: usize) -> StoreResult<Vec<CreditRow>>;
    /// Which of these facts are already credited to another real campaign.
    async fn credited_elsewhere(&self, campaign: CampaignId, facts: &[i64]) -> StoreResult<Vec<i64>>;
}

/// Exports as finance got them, and ownership of the store.
#[async_trait]
pub trait ExportBook: Send + Sync {
    /// The next export number (reserved at once; never reused).
    async fn next_export(&self) -> StoreResult<i64>;
    /// Records a finished export.
    async fn put_export(&self, export: &ExportRow) -> StoreResult<()>;
    /// The newest finished export (for the hash chain), or the one of a number.
    async fn export(&self, number: Option<i64>) -> StoreResult<Option<ExportRow>>;
    /// All finished exports of a campaign, oldest first.
    async fn exports(&self, campaign: CampaignId) -> StoreResult<Vec<ExportRow>>;
    /// References of customers, by id range, in customer order (for exports).
    async fn references(&self, from: CustomerId, to: CustomerId) -> StoreResult<Vec<(CustomerId, Box<str>)>>;
}

/// Ownership: who may send.
#[async_trait]
pub trait LeaseTable: Send + Sync {
    /// Becomes the sender: takes the next fencing number. Fails with `Fenced` while another process holds the store, and with
    /// `Unusable` on a restored copy unless `accept_restored`.
    async fn acquire(&self, accept_restored: bool, at: Timestamp) -> StoreResult<i64>;
    /// Gives it back in order (a clean stop).
    async fn release(&self, fence: i64) -> StoreResult<()>;
}

/// Everything a store is.
pub trait Store: CustomerBook + ListBook + ConsentList + CampaignBook + TouchLedger + FactBook + ExportBook + LeaseTable {
    /// `memory`, `sqlite` ...
    fn kind(&self) -> &'static str;
}
