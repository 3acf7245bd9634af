//! A store that fails at its n-th call, before or after it has done what was asked: for what a disk, a network or a kill can do.
#[path = "faulty_approvals.rs"]
mod approvals;
#[path = "faulty_inbox.rs"]
mod inbox;
#[path = "faulty_privacy.rs"]
mod privacy;

mod access;

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use touchline::domain::consent::{ConsentRecord, Contactability, HoldRecord, Purpose, SuppressionRecord};
use touchline::domain::contact::{EmailAddress, Phone};
use touchline::domain::ids::{BatchId, CampaignId, CustomerId, ListId, RouteId, StepNo, TaskId, TouchKey};
use touchline::domain::law::Rule;
use touchline::domain::outcome::Reason;
use touchline::domain::tally::Tallies;
use touchline::domain::time::Timestamp;
use touchline::domain::touch::Touch;
use touchline::store::contacts::{ContactBook, Report, Reported, ReportedContact, Wish, WishRow};
use touchline::store::memory::MemoryStore;
use touchline::store::tasks::{Checkpoint, Load, NewTask, Rm, Task, TaskEvent, TaskFilter};
use touchline::store::*;

/// The memory store, until its time comes.
pub struct Faulty {
    inner: Arc<MemoryStore>,
    calls: AtomicU64,
    fails_at: u64,
}

impl Faulty {
    /// Fails at the call of this number (from 1), and at every call after it: a store that is out of reach stays so.
    pub fn new(inner: Arc<MemoryStore>, fails_at: u64) -> Self {
        Self { inner, calls: AtomicU64::new(0), fails_at }
    }
    fn next_call(&self, what: &str) -> StoreResult<()> {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 >= self.fails_at {
            return Err(StoreError::Backend(format!("the disk is gone ({what})")));
        }
        Ok(())
    }
}

#[async_trait]
impl CustomerBook for Faulty {
    async fn put_customers(&self, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        self.next_call("put_customers")?;
        self.inner.put_customers(batch, progress).await
    }
    async fn customer(&self, reference: &str) -> StoreResult<Option<CustomerRow>> {
        self.next_call("customer")?;
        self.inner.customer(reference).await
    }
    async fn customer_ids(&self, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>> {
        self.next_call("customer_ids")?;
        self.inner.customer_ids(references).await
    }
    async fn members(&self, customers: &[CustomerId], needs: Needs) -> StoreResult<Vec<Member>> {
        self.next_call("members")?;
        self.inner.members(customers, needs).await
    }
    async fn customers_by_phone(&self, phone: &Phone) -> StoreResult<Vec<CustomerId>> {
        self.next_call("customers_by_phone")?;
        self.inner.customers_by_phone(phone).await
    }
    async fn customers_by_email(&self, email: &EmailAddress) -> StoreResult<Vec<CustomerId>> {
        self.next_call("customers_by_email")?;
        self.inner.customers_by_email(email).await
    }
    async fn customer_count(&self) -> StoreResult<i64> {
        self.next_call("customer_count")?;
        self.inner.customer_count().await
    }
    async fn intake_progress(&self, key: &str) -> StoreResult<Option<IntakeProgress>> {
        self.next_call("intake_progress")?;
        self.inner.intake_progress(key).await
    }
    async fn set_intake_progress(&self, progress: &IntakeProgress) -> StoreResult<()> {
        self.next_call("set_intake_progress")?;
        self.inner.set_intake_progress(progress).await
    }
}

#[async_trait]
impl ListBook for Faulty {
    async fn open_list(&self, name: &str, at: Timestamp) -> StoreResult<ListId> {
        self.next_call("open_list")?;
        self.inner.open_list(name, at).await
    }
    async fn add_members(&self, list: ListId, members: &[CustomerId], progress: Option<&IntakeProgress>) -> StoreResult<u64> {
        self.next_call("add_members")?;
        self.inner.add_members(list, members, progress).await
    }
    async fn add_all_customers(&self, list: ListId) -> StoreResult<u64> {
        self.next_call("add_all_customers")?;
        self.inner.add_all_customers(list).await
    }
    async fn freeze_list(&self, list: ListId, at: Timestamp) -> StoreResult<ListRow> {
        self.next_call("freeze_list")?;
        self.inner.freeze_list(list, at).await
    }
    async fn list(&self, name: &str) -> StoreResult<ListRow> {
        self.next_call("list")?;
        self.inner.list(name).await
    }
    async fn lists(&self) -> StoreResult<Vec<ListRow>> {
        self.next_call("lists")?;
        self.inner.lists().await
    }
    async fn page(&self, list: ListId, after: CustomerId, limit: usize, needs: Needs) -> StoreResult<Page> {
        self.next_call("page")?;
        self.inner.page(list, after, limit, needs).await
    }
}

#[async_trait]
impl ConsentList for Faulty {
    async fn put_consents(&self, batch: &[(String, ConsentRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        self.next_call("put_consents")?;
        self.inner.put_consents(batch, progress).await
    }
    async fn put_suppressions(&self, batch: &[(String, SuppressionRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        self.next_call("put_suppressions")?;
        self.inner.put_suppressions(batch, progress).await
    }
    async fn consents(&self, customer: CustomerId) -> StoreResult<Vec<ConsentRecord>> {
        self.next_call("consents")?;
        self.inner.consents(customer).await
    }
    async fn suppressions(&self, customer: CustomerId) -> StoreResult<Vec<SuppressionRecord>> {
        self.next_call("suppressions")?;
        self.inner.suppressions(customer).await
    }
    async fn contactability(&self, customer: CustomerId) -> StoreResult<Contactability> {
        self.next_call("contactability")?;
        self.inner.contactability(customer).await
    }
    async fn lapse_suppressions(&self, at: Timestamp) -> StoreResult<u64> {
        self.next_call("lapse_suppressions")?;
        self.inner.lapse_suppressions(at).await
    }
    async fn hold(&self, customer: CustomerId, entry: &HoldRecord) -> StoreResult<Option<Timestamp>> {
        self.next_call("hold")?;
        self.inner.hold(customer, entry).await
    }
    async fn holds(&self, customer: CustomerId) -> StoreResult<Vec<HoldRecord>> {
        self.next_call("holds")?;
        self.inner.holds(customer).await
    }
}

#[async_trait]
impl ContactBook for Faulty {
    async fn report_contact(&self, report: &Report) -> StoreResult<Reported> {
        self.next_call("report_contact")?;
        self.inner.report_contact(report).await
    }
    async fn reported_contact(&self, source: &str, reference: &str) -> StoreResult<Option<ReportedContact>> {
        self.next_call("reported_contact")?;
        self.inner.reported_contact(source, reference).await
    }
    async fn reported_contacts(&self, customer: CustomerId) -> StoreResult<Vec<ReportedContact>> {
        self.next_call("reported_contacts")?;
        self.inner.reported_contacts(customer).await
    }
    async fn house_run(&self, purpose: Purpose) -> StoreResult<Option<CampaignId>> {
        self.next_call("house_run")?;
        self.inner.house_run(purpose).await
    }
    async fn put_wish(&self, wish: &Wish) -> StoreResult<(WishRow, bool)> {
        self.next_call("put_wish")?;
        self.inner.put_wish(wish).await
    }
    async fn wish(&self, source: &str, reference: &str) -> StoreResult<Option<WishRow>> {
        self.next_call("wish")?;
        self.inner.wish(source, reference).await
    }
    async fn wishes(&self, customer: CustomerId) -> StoreResult<Vec<WishRow>> {
        self.next_call("wishes")?;
        self.inner.wishes(customer).await
    }
    async fn unsettled_wishes(&self, limit: usize) -> StoreResult<Vec<WishRow>> {
        self.next_call("unsettled_wishes")?;
        self.inner.unsettled_wishes(limit).await
    }
    async fn settle_wish(&self, wish: &Wish, task: Option<TaskId>) -> StoreResult<()> {
        self.next_call("settle_wish")?;
        self.inner.settle_wish(wish, task).await
    }
}

#[async_trait]
impl CampaignBook for Faulty {
    async fn create_campaign(&self, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow> {
        self.next_call("create_campaign")?;
        self.inner.create_campaign(new, rules).await
    }
    async fn campaign(&self, name: &str, rehearsal: Option<bool>) -> StoreResult<CampaignRow> {
        self.next_call("campaign")?;
        self.inner.campaign(name, rehearsal).await
    }
    async fn campaign_by_id(&self, id: CampaignId) -> StoreResult<CampaignRow> {
        self.next_call("campaign_by_id")?;
        self.inner.campaign_by_id(id).await
    }
    async fn campaigns(&self) -> StoreResult<Vec<CampaignRow>> {
        self.next_call("campaigns")?;
        self.inner.campaigns().await
    }
    async fn set_status(&self, id: CampaignId, change: &StatusChange) -> StoreResult<CampaignRow> {
        self.next_call("set_status")?;
        self.inner.set_status(id, change).await
    }
    async fn set_wanted(&self, id: CampaignId, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> StoreResult<()> {
        self.next_call("set_wanted")?;
        self.inner.set_wanted(id, wanted, by, why, at).await
    }
    async fn history(&self, id: CampaignId) -> StoreResult<Vec<StatusChange>> {
        self.next_call("history")?;
        self.inner.history(id).await
    }
    async fn record_wave(&self, id: CampaignId, wave: &WaveRow) -> StoreResult<()> {
        self.next_call("record_wave")?;
        self.inner.record_wave(id, wave).await
    }
    async fn waves(&self, id: CampaignId) -> StoreResult<Vec<WaveRow>> {
        self.next_call("waves")?;
        self.inner.waves(id).await
    }
    async fn rules(&self, id: CampaignId) -> StoreResult<Vec<Rule>> {
        self.next_call("rules")?;
        self.inner.rules(id).await
    }
    async fn tallies(&self, id: CampaignId) -> StoreResult<Tallies> {
        self.next_call("tallies")?;
        self.inner.tallies(id).await
    }
    async fn recount(&self, id: CampaignId) -> StoreResult<Tallies> {
        self.next_call("recount")?;
        self.inner.recount(id).await
    }
    async fn attempts_histogram(&self, id: CampaignId) -> StoreResult<Vec<AttemptsBin>> {
        self.next_call("attempts_histogram")?;
        self.inner.attempts_histogram(id).await
    }
    async fn purge_rehearsal(&self, id: CampaignId) -> StoreResult<()> {
        self.next_call("purge_rehearsal")?;
        self.inner.purge_rehearsal(id).await
    }
    async fn route_id(&self, name: &str) -> StoreResult<RouteId> {
        self.next_call("route_id")?;
        self.inner.route_id(name).await
    }
    async fn routes(&self) -> StoreResult<Vec<(RouteId, String)>> {
        self.next_call("routes")?;
        self.inner.routes().await
    }
}

#[async_trait]
impl TouchLedger for Faulty {
    async fn begin(&self, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun> {
        self.next_call("begin")?;
        self.inner.begin(request, decide).await
    }
    async fn record(&self, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded> {
        self.next_call("record")?;
        self.inner.record(fence, settlements, closed).await
    }
    async fn due(&self, campaign: CampaignId, at: Timestamp, steps: &[StepNo], limit: usize, needs: Needs) -> StoreResult<Due> {
        self.next_call("due")?;
        self.inner.due(campaign, at, steps, limit, needs).await
    }
    async fn next_due(&self, campaign: CampaignId, steps: &[StepNo]) -> StoreResult<Option<Timestamp>> {
        self.next_call("next_due")?;
        self.inner.next_due(campaign, steps).await
    }
    async fn touches(&self, keys: &[TouchKey]) -> StoreResult<Vec<Touch>> {
        self.next_call("touches")?;
        self.inner.touches(keys).await
    }
    async fn sent_since(&self, since: Timestamp) -> StoreResult<Vec<SentParts>> {
        self.next_call("sent_since")?;
        self.inner.sent_since(since).await
    }
    async fn touch(&self, key: TouchKey) -> StoreResult<Option<Touch>> {
        self.next_call("touch")?;
        self.inner.touch(key).await
    }
    async fn head(&self, campaign: CampaignId, customer: CustomerId) -> StoreResult<Option<Touch>> {
        self.next_call("head")?;
        self.inner.head(campaign, customer).await
    }
    async fn timeline(&self, customer: CustomerId) -> StoreResult<Vec<Touch>> {
        self.next_call("timeline")?;
        self.inner.timeline(customer).await
    }
    async fn scan(&self, campaign: CampaignId, after: Option<(CustomerId, u32)>, limit: usize) -> StoreResult<Vec<Touch>> {
        self.next_call("scan")?;
        self.inner.scan(campaign, after, limit).await
    }
    async fn orphans(&self, fence: i64, rehearsal: bool, limit: usize) -> StoreResult<Vec<(BatchId, Vec<Touch>)>> {
        self.next_call("orphans")?;
        self.inner.orphans(fence, rehearsal, limit).await
    }
    async fn awaiting(&self, route: RouteId, provider_refs: &[&str]) -> StoreResult<Vec<Touch>> {
        self.next_call("awaiting")?;
        self.inner.awaiting(route, provider_refs).await
    }
    async fn overdue(&self, at: Timestamp, rehearsal: bool, limit: usize) -> StoreResult<Vec<Touch>> {
        self.next_call("overdue")?;
        self.inner.overdue(at, rehearsal, limit).await
    }
    async fn next_deadline(&self) -> StoreResult<Option<Timestamp>> {
        self.next_call("next_deadline")?;
        self.inner.next_deadline().await
    }
    async fn uncertain(&self, campaign: CampaignId, limit: usize) -> StoreResult<Vec<Touch>> {
        self.next_call("uncertain")?;
        self.inner.uncertain(campaign, limit).await
    }
    async fn keep_receipts(&self, receipts: &[ReceiptRow]) -> StoreResult<()> {
        self.next_call("keep_receipts")?;
        self.inner.keep_receipts(receipts).await
    }
    async fn receipts(&self, touch: TouchKey) -> StoreResult<Vec<ReceiptRow>> {
        self.next_call("receipts")?;
        self.inner.receipts(touch).await
    }
    async fn call_off(&self, fence: i64, campaign: CampaignId, reason: Reason, at: Timestamp) -> StoreResult<Tallies> {
        self.next_call("call_off")?;
        self.inner.call_off(fence, campaign, reason, at).await
    }
}

#[async_trait]
impl FactBook for Faulty {
    async fn put_facts(&self, batch: &[FactInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        self.next_call("put_facts")?;
        self.inner.put_facts(batch, progress).await
    }
    async fn facts(&self, customers: (CustomerId, CustomerId), kind: &str, product: Option<&str>) -> StoreResult<Vec<FactRow>> {
        self.next_call("facts")?;
        self.inner.facts(customers, kind, product).await
    }
    async fn customer_facts(&self, customer: CustomerId) -> StoreResult<Vec<FactRow>> {
        self.next_call("customer_facts")?;
        self.inner.customer_facts(customer).await
    }
    async fn put_credits(&self, campaign: CampaignId, rule: &str, credits: &[CreditRow], last: bool, first: bool) -> StoreResult<Vec<i64>> {
        self.next_call("put_credits")?;
        self.inner.put_credits(campaign, rule, credits, last, first).await
    }
    async fn credits(&self, campaign: CampaignId, after: Option<(CustomerId, i64)>, limit: usize) -> StoreResult<Vec<CreditRow>> {
        self.next_call("credits")?;
        self.inner.credits(campaign, after, limit).await
    }
    async fn credited_elsewhere(&self, campaign: CampaignId, facts: &[i64]) -> StoreResult<Vec<i64>> {
        self.next_call("credited_elsewhere")?;
        self.inner.credited_elsewhere(campaign, facts).await
    }
}

#[async_trait]
impl ExportBook for Faulty {
    async fn next_export(&self) -> StoreResult<i64> {
        self.next_call("next_export")?;
        self.inner.next_export().await
    }
    async fn put_export(&self, export: &ExportRow) -> StoreResult<()> {
        self.next_call("put_export")?;
        self.inner.put_export(export).await
    }
    async fn export(&self, number: Option<i64>) -> StoreResult<Option<ExportRow>> {
        self.next_call("export")?;
        self.inner.export(number).await
    }
    async fn exports(&self, campaign: CampaignId) -> StoreResult<Vec<ExportRow>> {
        self.next_call("exports")?;
        self.inner.exports(campaign).await
    }
    async fn references(&self, from: CustomerId, to: CustomerId) -> StoreResult<Vec<(CustomerId, Box<str>)>> {
        self.next_call("references")?;
        self.inner.references(from, to).await
    }
}

#[async_trait]
impl LeaseTable for Faulty {
    async fn acquire(&self, accept_restored: bool, at: Timestamp) -> StoreResult<i64> {
        self.next_call("acquire")?;
        self.inner.acquire(accept_restored, at).await
    }
    async fn release(&self, fence: i64) -> StoreResult<()> {
        self.next_call("release")?;
        self.inner.release(fence).await
    }
}

#[async_trait]
impl TaskBook for Faulty {
    async fn make_tasks(&self, new: &[NewTask]) -> StoreResult<Vec<(Task, bool)>> {
        self.next_call("make_tasks")?;
        self.inner.make_tasks(new).await
    }
    async fn task(&self, id: TaskId) -> StoreResult<Option<Task>> {
        self.next_call("task")?;
        self.inner.task(id).await
    }
    async fn task_by_key(&self, key: &str) -> StoreResult<Option<Task>> {
        self.next_call("task_by_key")?;
        self.inner.task_by_key(key).await
    }
    async fn tasks(&self, filter: &TaskFilter) -> StoreResult<Vec<Task>> {
        self.next_call("tasks")?;
        self.inner.tasks(filter).await
    }
    async fn change_tasks(&self, changes: &[(Task, Vec<TaskEvent>)]) -> StoreResult<()> {
        self.next_call("change_tasks")?;
        self.inner.change_tasks(changes).await
    }
    async fn waking_tasks(&self, at: Timestamp, limit: usize) -> StoreResult<Vec<Task>> {
        self.next_call("waking_tasks")?;
        self.inner.waking_tasks(at, limit).await
    }
    async fn wake_unassigned(&self, at: Timestamp) -> StoreResult<u64> {
        self.next_call("wake_unassigned")?;
        self.inner.wake_unassigned(at).await
    }
    async fn open_touch_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>> {
        self.next_call("open_touch_tasks")?;
        self.inner.open_touch_tasks(after, limit).await
    }
    async fn untold_tasks(&self, after: TaskId, limit: usize) -> StoreResult<Vec<Task>> {
        self.next_call("untold_tasks")?;
        self.inner.untold_tasks(after, limit).await
    }
    async fn mark_told(&self, tasks: &[TaskId]) -> StoreResult<()> {
        self.next_call("mark_told")?;
        self.inner.mark_told(tasks).await
    }
    async fn task_history(&self, id: TaskId) -> StoreResult<Vec<TaskEvent>> {
        self.next_call("task_history")?;
        self.inner.task_history(id).await
    }
    async fn loads(&self, since: Timestamp) -> StoreResult<Vec<(String, Load)>> {
        self.next_call("loads")?;
        self.inner.loads(since).await
    }
    async fn put_rms(&self, rms: &[Rm]) -> StoreResult<()> {
        self.next_call("put_rms")?;
        self.inner.put_rms(rms).await
    }
    async fn rms(&self) -> StoreResult<Vec<Rm>> {
        self.next_call("rms")?;
        self.inner.rms().await
    }
    async fn put_checkpoint(&self, checkpoint: &Checkpoint) -> StoreResult<bool> {
        self.next_call("put_checkpoint")?;
        self.inner.put_checkpoint(checkpoint).await
    }
    async fn checkpoints(&self, customer: CustomerId) -> StoreResult<Vec<Checkpoint>> {
        self.next_call("checkpoints")?;
        self.inner.checkpoints(customer).await
    }
}

#[async_trait::async_trait]
impl Store for Faulty {
    fn kind(&self) -> &'static str {
        "faulty"
    }
}
