//! What the engine keeps, as traits named by use. Every store passes one conformance suite (`store::conformance`).
//!
//! Clock rule: a store never reads the time; every instant comes in as an argument.
pub mod access;
pub mod approvals;
pub mod audit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod contacts;
pub mod idempotency;
pub mod inbox;
pub mod memory;
mod merge;
pub mod outbox;
pub mod privacy;
pub mod records;
pub mod sealing;
pub mod sqlite;
pub mod tasks;

use crate::domain::consent::{ConsentRecord, Contactability, HoldRecord, SuppressionRecord};
use crate::domain::contact::{EmailAddress, Phone};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, ListId, RouteId, StepNo, TouchKey};
use crate::domain::law::Rule;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
pub use access::{AccessBook, NewToken, SecretHash};
pub use approvals::{
    ApprovalBook, ApprovalRow, EmergencyRow, NewApproval, NewDraft, NewRevision, Restart, RestartRow, RevisionRow, RevisionStatus, TextRow,
};
use async_trait::async_trait;
pub use audit::{AuditBook, AuditFilter};
pub use contacts::ContactBook;
pub use idempotency::{Claim, IdempotencyBook, KeptAnswer};
pub use privacy::PersonalData;
pub use records::*;
pub use tasks::TaskBook;

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
    /// A `consents` entry in the batch is recorded with it. Returns how many were new and how many updated; a row that changes
    /// nothing (its consents are on record too) is a duplicate; one without a reference is rejected by index.
    /// New customers are numbered upwards from 1 in the order in which they come.
    async fn put_customers(&self, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// One customer by reference.
    async fn customer(&self, reference: &str) -> StoreResult<Option<CustomerRow>>;
    /// Numbers of references, in the order asked; `None` where there is no such customer.
    async fn customer_ids(&self, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>>;
    /// Members of any list by number, with what `needs` names, in customer order and each once; unknown ones are left out.
    async fn members(&self, customers: &[CustomerId], needs: Needs) -> StoreResult<Vec<Member>>;
    /// Customers who have this telephone number, ascending; several may share one.
    async fn customers_by_phone(&self, phone: &Phone) -> StoreResult<Vec<CustomerId>>;
    /// Customers who have this address, ascending, whatever its capitals.
    async fn customers_by_email(&self, email: &EmailAddress) -> StoreResult<Vec<CustomerId>>;
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
    /// A frozen list is a conflict; an unknown customer is `NotFound`, and nothing of the batch is added.
    async fn add_members(&self, list: ListId, members: &[CustomerId], progress: Option<&IntakeProgress>) -> StoreResult<u64>;
    /// Makes every customer in the book a member (for a list "of all"), returns how many were new to the list.
    async fn add_all_customers(&self, list: ListId) -> StoreResult<u64>;
    /// Freezes: from now on count and checksum stand; freezing a frozen list changes nothing and returns it. The checksum is BLAKE3 over members' references in customer order, each followed by a newline.
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
    /// Appends consent records; unknown customers (and records of state `Unknown`) are returned by index as rejected; a record
    /// equal to one on file is a duplicate. The packed state beside the customer follows in the same transaction: per channel and
    /// purpose the record of the latest `at` rules, whenever it arrived; withdrawal wins a tie.
    async fn put_consents(&self, batch: &[(String, ConsentRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// Appends suppressions likewise. One holds from its arrival (the store reads no clock) until `lapse_suppressions` lifts it.
    async fn put_suppressions(&self, batch: &[(String, SuppressionRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// Everything on record for one customer, oldest first.
    async fn consents(&self, customer: CustomerId) -> StoreResult<Vec<ConsentRecord>>;
    /// Suppressions of one customer, oldest first.
    async fn suppressions(&self, customer: CustomerId) -> StoreResult<Vec<SuppressionRecord>>;
    /// What is packed beside the customer.
    async fn contactability(&self, customer: CustomerId) -> StoreResult<Contactability>;
    /// Lifts suppressions whose `until` is not after `at`; returns how many customers changed. A channel stays suppressed while
    /// another suppression holds on it, and the mark of a complaint is never lifted.
    async fn lapse_suppressions(&self, at: Timestamp) -> StoreResult<u64>;
    /// Appends an entry to a customer's log of holds (the same entry twice is one), and packs the hold that rules
    /// (`domain::consent::ruling_hold`, rounded up to a quarter of an hour) beside the customer, with an entry in the change log.
    /// Returns the end of that hold. When it ends sooner than before, touches of real runs that it had put off (`Scheduled`, reason
    /// `Held`) are due at its end, or at the entry's `at` when nothing holds any more, in the same transaction.
    async fn hold(&self, customer: CustomerId, entry: &HoldRecord) -> StoreResult<Option<Timestamp>>;
    /// A customer's log of holds, oldest first.
    async fn holds(&self, customer: CustomerId) -> StoreResult<Vec<HoldRecord>>;
}

/// Campaign runs and everything kept once per run.
#[async_trait]
pub trait CampaignBook: Send + Sync {
    /// Inserts a new run (id given by the store: positive, or negative for a rehearsal) with the rules of its law.
    /// `version` is the next of that name and mode. The audience must be frozen, else it is a conflict.
    async fn create_campaign(&self, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow>;
    /// The newest run of a name; `rehearsal` says of which mode, `None`: the newest real run, else the newest rehearsal. A draft is given
    /// only where there is no run.
    async fn campaign(&self, name: &str, rehearsal: Option<bool>) -> StoreResult<CampaignRow>;
    /// A run by number.
    async fn campaign_by_id(&self, id: CampaignId) -> StoreResult<CampaignRow>;
    /// All runs, newest first (by hand-in, then by order of creation).
    async fn campaigns(&self) -> StoreResult<Vec<CampaignRow>>;
    /// Real runs that are not closed, in whatever order.
    async fn open_runs(&self) -> StoreResult<Vec<CampaignRow>> {
        let all = self.campaigns().await?;
        Ok(all.into_iter().filter(|row| !row.id.is_rehearsal() && !row.status.is_closed()).collect())
    }
    /// Changes status, with who and why, into the campaign's history; a change that `Status::may_become` does not allow is a
    /// conflict. The first `Running` sets `started_at`, a closed status `finished_at`, `Stopped` the `stop_reason` unless
    /// `call_off` has set it. It touches no tally: customers are called off by `call_off`, before or after.
    async fn set_status(&self, id: CampaignId, change: &StatusChange) -> StoreResult<CampaignRow>;
    /// What an operator wants of a campaign that another process may be running; that process polls it. Who and why enter the
    /// history as an entry that keeps the status, its `why` led by `wanted pause: ` (`run`, `stop`). A closed run is a conflict, and so is
    /// `run` for one that was stopped in an emergency.
    async fn set_wanted(&self, id: CampaignId, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> StoreResult<()>;
    /// The campaign's history, oldest first.
    async fn history(&self, id: CampaignId) -> StoreResult<Vec<StatusChange>>;
    /// Records a wave: when it was due, fired or skipped, and how many first touches it may still take (which `begin` counts
    /// down). A wave of the same due time is replaced.
    async fn record_wave(&self, id: CampaignId, wave: &WaveRow) -> StoreResult<()>;
    /// Waves of a campaign, oldest first.
    async fn waves(&self, id: CampaignId) -> StoreResult<Vec<WaveRow>>;
    /// Rules of its law, by number.
    async fn rules(&self, id: CampaignId) -> StoreResult<Vec<Rule>>;
    /// Its tallies.
    async fn tallies(&self, id: CampaignId) -> StoreResult<Tallies>;
    /// Recomputes the tallies from the rows, to compare with what is kept (`doctor`, `verify`).
    async fn recount(&self, id: CampaignId) -> StoreResult<Tallies>;
    /// Customers per (state, number of attempts in all steps): for reports such as "reached by number of attempts". The bins add
    /// up to the audience (customers without a row are `Pending`, or `Cancelled` once called off, with 0 attempts), by state and
    /// attempts ascending.
    async fn attempts_histogram(&self, id: CampaignId) -> StoreResult<Vec<AttemptsBin>>;
    /// Removes a rehearsal and its touches, receipts and credits; its number is not given again. Refused (conflict) for a real run.
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
    /// The wave that the request names may take as many first touches less as first-time candidates were decided on.
    /// `decide` answering `None` ends the batch before that candidate, which stays as it was.
    /// A due candidate whose stored head is no longer that `Scheduled` touch is skipped; so is a first-time one at or before the
    /// cursor, and any first-time one once the campaign has been called off. Skipped ones are consumed without being decided on.
    /// `decide` is given the stored head. Its row must bear the candidate's key (`seq` 0 for a first-time one, else the head's),
    /// be `Started` (with `started_at`, channel and route), `Scheduled` (with `due_at`), or closed before the start; anything
    /// else is a conflict and nothing of the batch is written. Contacts are those in states that `State::stands`, `Uncertain`
    /// ones included, less than `history_ms` before `at`; rows of the same batch count.
    async fn begin(&self, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun>;
    /// Commits what came of touches, the next rows they lead to, tallies and closed batches, in one transaction.
    /// The lattice guards each: a stored state of equal or higher rank stays, and the settlement (with its next row) is skipped.
    /// Precisely: `State::may_settle_as`, and `Started` to `Started` only when the settlement brings a `provider_ref` and none is
    /// on record, and `Started` to `Scheduled` only when none is (what a provider has taken is not ours to send again). A touch that
    /// is not stored is skipped. A settlement never changes the channel, route, step, attempt, variant
    /// or `started_at` of a touch, and a `provider_ref` that it leaves out stays; but a put-back (`Scheduled`) or `Refused` touch
    /// loses `started_at`, cost, parts and seconds, and a put-back one its `provider_ref`. Flags are only ever added; `Reached`
    /// adds `EVER_REACHED`. `receipt_by` opens the wait of that touch, any other settlement of it ends the wait. A batch that
    /// still has a touch without a result may be refused its closing, as a conflict.
    /// In a run that was called off or is closed nothing is scheduled any more: a `Scheduled` next row, and a put-back touch, is
    /// written as `Cancelled`, for the reason for which the run ended (`CampaignEnded` where none is on record).
    /// `next` becomes the head: it takes the `seq` after the stored head and keeps `EVER_REACHED`; it is never `Started`.
    /// A late correction (`Missed` to `Reached`) of a touch that is no longer the head: a later `Scheduled` head is cancelled
    /// (`ReachedAfterAll`), any later head is marked `EVER_REACHED`, so that its customer counts as reached; the correction's own
    /// `next` is written only when the head was so cancelled and follows the touch directly (else the journey has gone on). A malformed row is a conflict and nothing of the call is written.
    async fn record(&self, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded>;
    /// Scheduled touches due at `at` (not after it), soonest first (then by customer), of these steps, with their members. No
    /// step asked: none found.
    async fn due(&self, campaign: CampaignId, at: Timestamp, steps: &[StepNo], limit: usize, needs: Needs) -> StoreResult<Due>;
    /// When the next scheduled touch of these steps is due.
    async fn next_due(&self, campaign: CampaignId, steps: &[StepNo]) -> StoreResult<Option<Timestamp>>;
    /// Touches of these keys that are stored, in key order and each once.
    async fn touches(&self, keys: &[TouchKey]) -> StoreResult<Vec<Touch>>;
    /// What real runs have sent: parts of touches whose sending stands (`State::stands`) and that started after `since`, oldest
    /// first; those of one campaign, route and second may come together, at the latest instant of them.
    async fn sent_since(&self, since: Timestamp) -> StoreResult<Vec<SentParts>>;
    /// One touch.
    async fn touch(&self, key: TouchKey) -> StoreResult<Option<Touch>>;
    /// A customer's head in a campaign.
    async fn head(&self, campaign: CampaignId, customer: CustomerId) -> StoreResult<Option<Touch>>;
    /// All touches of a customer, over all campaigns (rehearsals too), oldest first: by `started_at`, else `ended_at`, else
    /// `due_at`, then by campaign and `seq`.
    async fn timeline(&self, customer: CustomerId) -> StoreResult<Vec<Touch>>;
    /// Touches of a campaign after a key, in (customer, seq) order.
    async fn scan(&self, campaign: CampaignId, after: Option<(CustomerId, u32)>, limit: usize) -> StoreResult<Vec<Touch>>;
    /// `Started` touches without any result, of batches that were opened under a fence below `fence`: what a crash left. Whole
    /// batches, oldest first, until `limit` touches are reached, at least one; an open batch with no such touch left comes with
    /// none, so that it can be closed. A touch that its provider has taken is no orphan: its receipt is awaited. Batches of
    /// rehearsals are another time's: either those or those of real runs.
    async fn orphans(&self, fence: i64, rehearsal: bool, limit: usize) -> StoreResult<Vec<(BatchId, Vec<Touch>)>>;
    /// Touches by the provider's name for them, in whatever state (a late receipt corrects), in key order.
    async fn awaiting(&self, route: RouteId, provider_refs: &[&str]) -> StoreResult<Vec<Touch>>;
    /// Touches whose receipt deadline is not after `at`, soonest first: of rehearsals, or of real runs.
    async fn overdue(&self, at: Timestamp, rehearsal: bool, limit: usize) -> StoreResult<Vec<Touch>>;
    /// The next receipt deadline.
    async fn next_deadline(&self) -> StoreResult<Option<Timestamp>>;
    /// Touches in doubt.
    async fn uncertain(&self, campaign: CampaignId, limit: usize) -> StoreResult<Vec<Touch>>;
    /// Keeps raw receipts for ever, matched or not.
    async fn keep_receipts(&self, receipts: &[ReceiptRow]) -> StoreResult<()>;
    /// Raw receipts of one touch, oldest first.
    async fn receipts(&self, touch: TouchKey) -> StoreResult<Vec<ReceiptRow>>;
    /// Calls off every scheduled touch of the campaign, and counts what is pending as cancelled with the same reason (no rows
    /// are written for those: a customer after the cursor of a closed campaign is cancelled for the campaign's reason, kept as its
    /// `stop_reason`). Returns what it changed. Called again it calls off what has been scheduled since; the first reason stays
    /// for those without a row. Touches in flight stay and may still be recorded.
    async fn call_off(&self, fence: i64, campaign: CampaignId, reason: crate::domain::outcome::Reason, at: Timestamp) -> StoreResult<Tallies>;
}

/// Facts from the core bank, and the credits that attribution gives for them.
#[async_trait]
pub trait FactBook: Send + Sync {
    /// Inserts facts; a fact with the same `fact_ref` and content is a duplicate, with other content a conflict (rejected by index).
    async fn put_facts(&self, batch: &[FactInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount>;
    /// Facts of a kind (and product) of the customers from the first to the last of these, both included, in (customer, at, id)
    /// order.
    async fn facts(&self, customers: (CustomerId, CustomerId), kind: &str, product: Option<&str>) -> StoreResult<Vec<FactRow>>;
    /// Every fact of one customer, oldest first.
    async fn customer_facts(&self, customer: CustomerId) -> StoreResult<Vec<FactRow>>;
    /// Replaces the credits of a campaign's conversion rule in one transaction. A share of a fact that another real campaign already holds is
    /// refused and returned (its fact's number, once); a rehearsal's credits bar nobody. Only rows with a `seq` are shares: those of
    /// the holdout neither hold a fact nor are refused. A long replacement comes in pieces: `first` begins one, `last` makes it
    /// visible; until then the old credits stand.
    async fn put_credits(&self, campaign: CampaignId, rule: &str, credits: &[CreditRow], last: bool, first: bool) -> StoreResult<Vec<i64>>;
    /// Credits of a campaign after a (customer, fact), in that order (then by rule and seq). Shares of one fact come together,
    /// even beyond `limit`.
    async fn credits(&self, campaign: CampaignId, after: Option<(CustomerId, i64)>, limit: usize) -> StoreResult<Vec<CreditRow>>;
    /// Which of these facts are already credited to another real campaign, in the order asked.
    async fn credited_elsewhere(&self, campaign: CampaignId, facts: &[i64]) -> StoreResult<Vec<i64>>;
}

/// Exports as finance got them, and ownership of the store.
#[async_trait]
pub trait ExportBook: Send + Sync {
    /// The next export number (reserved at once; never reused).
    async fn next_export(&self) -> StoreResult<i64>;
    /// Records a finished export. A number not reserved, or recorded before, is a conflict.
    async fn put_export(&self, export: &ExportRow) -> StoreResult<()>;
    /// The newest finished export (for the hash chain), or the one of a number.
    async fn export(&self, number: Option<i64>) -> StoreResult<Option<ExportRow>>;
    /// All finished exports of a campaign, oldest first.
    async fn exports(&self, campaign: CampaignId) -> StoreResult<Vec<ExportRow>>;
    /// References of the customers from `from` to `to`, both included, in customer order (for exports).
    async fn references(&self, from: CustomerId, to: CustomerId) -> StoreResult<Vec<(CustomerId, Box<str>)>>;
}

/// Ownership: who may send.
#[async_trait]
pub trait LeaseTable: Send + Sync {
    /// Becomes the sender: takes the next fencing number. Fails with `Fenced` while another process holds the store, and with
    /// `Unusable` on a restored copy unless `accept_restored`.
    async fn acquire(&self, accept_restored: bool, at: Timestamp) -> StoreResult<i64>;
    /// Gives it back in order (a clean stop). A stale number is `Fenced`.
    async fn release(&self, fence: i64) -> StoreResult<()>;
}

/// Everything a store is.
#[async_trait]
pub trait Store:
    CustomerBook
    + ListBook
    + ConsentList
    + CampaignBook
    + ApprovalBook
    + TouchLedger
    + FactBook
    + ExportBook
    + LeaseTable
    + TaskBook
    + ContactBook
    + AccessBook
    + AuditBook
    + IdempotencyBook
    + PersonalData
    + inbox::Inbox
    + outbox::Outbox
{
    /// `memory`, `sqlite` ...
    fn kind(&self) -> &'static str;
    /// Before a process ends: what is only in a log is brought into the main file, as far as nobody else is reading it.
    async fn rest(&self) -> StoreResult<()> {
        Ok(())
    }
}
