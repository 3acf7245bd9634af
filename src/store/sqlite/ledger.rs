//! The ledger's reads, and where its writes are found.
use super::{SqliteStore, batches, begin, call_off, corrections, members, receipts, record, rows};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, RouteId, StepNo, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use crate::store::{BeginRequest, Begun, Decide, Due, Needs, ReceiptRow, Recorded, SentParts, Settled, StoreResult, TouchLedger};
use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, SqliteConnection};

/// Integers as arguments.
fn integers(numbers: &[i64]) -> StoreResult<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for n in numbers {
        arguments.add(*n).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Rows of one packed read of an export: enough to make its overhead small, few enough to keep its text below a megabyte.
pub(super) const SCAN: usize = 4_000;

/// Touches of a campaign after a key, by its audience (see `reports`).
pub(super) async fn scan(conn: &mut SqliteConnection, campaign: CampaignId, after: (CustomerId, i64), limit: usize) -> StoreResult<Vec<Touch>> {
    // The rest of the customer of the key, then the customers after it.
    let mut touches = if after.1 < 0 {
        Vec::new()
    } else {
        let of_customer = "FROM touch t WHERE t.customer_id = ? AND t.campaign_id = ? AND t.seq > ? ORDER BY t.seq LIMIT ?";
        rows::fetch(conn, of_customer, integers(&[after.0.0, campaign.0, after.1, bound(limit)])?).await?
    };
    if touches.len() < limit {
        let following = "FROM campaign p CROSS JOIN list_member m CROSS JOIN touch t ON t.customer_id = m.customer_id AND t.campaign_id = p.id \
                         WHERE p.id = ? AND m.list_id = p.audience_list AND m.customer_id > ? ORDER BY m.customer_id, t.seq LIMIT ?";
        touches.append(&mut rows::fetch(conn, following, integers(&[campaign.0, after.0.0, bound(limit - touches.len())])?).await?);
    }
    Ok(touches)
}

#[async_trait]
impl TouchLedger for SqliteStore {
    async fn begin(&self, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun> {
        begin::begin(self, request, decide).await
    }

    async fn record(&self, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded> {
        record::record(self, fence, settlements, closed).await
    }

    async fn due(&self, campaign: CampaignId, at: Timestamp, steps: &[StepNo], limit: usize, needs: Needs) -> StoreResult<Due> {
        let mut reader = self.reader().await?;
        let seen_change = members::seen_change(&mut reader).await?;
        let mut touches = Vec::new();
        // One range of the index a step: together they would be sorted whole for every page.
        for step in steps {
            let of_step = "FROM touch t INDEXED BY touch_scheduled WHERE t.campaign_id = ? AND t.step = ? AND t.state = 1 AND t.due_at <= ? \
                           ORDER BY t.due_at, t.customer_id LIMIT ?";
            touches.append(&mut rows::fetch(&mut reader, of_step, integers(&[campaign.0, i64::from(step.0), at.0, bound(limit)])?).await?);
        }
        touches.sort_by_key(|t| (t.due_at, t.key));
        touches.dedup_by_key(|t| t.key);
        touches.truncate(limit);
        let ids: Vec<CustomerId> = touches.iter().map(|t| t.key.customer).collect();
        let mut members = members::by_ids(&mut reader, &ids, needs, &self.sealer).await?;
        let touches = touches.into_iter().filter_map(|t| members.remove(&t.key.customer).map(|m| (t, m))).collect();
        Ok(Due { touches, seen_change })
    }

    async fn next_due(&self, campaign: CampaignId, steps: &[StepNo]) -> StoreResult<Option<Timestamp>> {
        let mut reader = self.reader().await?;
        let mut next: Option<i64> = None;
        for step in steps {
            let due: Option<i64> =
                sqlx::query_scalar("SELECT min(due_at) FROM touch INDEXED BY touch_scheduled WHERE campaign_id = ? AND step = ? AND state = 1")
                    .bind(campaign.0)
                    .bind(i64::from(step.0))
                    .fetch_one(&mut *reader)
                    .await?;
            next = match (next, due) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(next.map(Timestamp))
    }

    async fn touches(&self, keys: &[TouchKey]) -> StoreResult<Vec<Touch>> {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        batches::by_keys(&mut *self.reader().await?, &sorted).await
    }

    async fn sent_since(&self, since: Timestamp) -> StoreResult<Vec<SentParts>> {
        batches::sent_since(&mut *self.reader().await?, since).await
    }

    async fn touch(&self, key: TouchKey) -> StoreResult<Option<Touch>> {
        Ok(batches::by_keys(&mut *self.reader().await?, &[key]).await?.pop())
    }

    async fn head(&self, campaign: CampaignId, customer: CustomerId) -> StoreResult<Option<Touch>> {
        corrections::head(&mut *self.reader().await?, campaign, customer).await
    }

    async fn timeline(&self, customer: CustomerId) -> StoreResult<Vec<Touch>> {
        let of_customer = "FROM touch t WHERE t.customer_id = ? ORDER BY coalesce(t.started_at, t.ended_at, t.due_at), t.campaign_id, t.seq";
        rows::fetch(&mut *self.reader().await?, of_customer, integers(&[customer.0])?).await
    }

    async fn scan(&self, campaign: CampaignId, after: Option<(CustomerId, u32)>, limit: usize) -> StoreResult<Vec<Touch>> {
        let mut reader = self.reader().await?;
        let mut after = after.map_or((CustomerId(i64::MIN), -1), |(customer, seq)| (customer, i64::from(seq)));
        let mut touches = Vec::with_capacity(limit.min(1 << 16));
        while touches.len() < limit {
            let wanted = SCAN.min(limit - touches.len());
            let mut some = scan(&mut reader, campaign, after, wanted).await?;
            let last = some.len() < wanted;
            if let Some(touch) = some.last() {
                after = (touch.key.customer, i64::from(touch.key.seq));
            }
            touches.append(&mut some);
            if last {
                break;
            }
        }
        Ok(touches)
    }

    async fn orphans(&self, fence: i64, rehearsal: bool, limit: usize) -> StoreResult<Vec<(BatchId, Vec<Touch>)>> {
        batches::orphans(&mut *self.reader().await?, fence, rehearsal, limit).await
    }

    async fn awaiting(&self, route: RouteId, provider_refs: &[&str]) -> StoreResult<Vec<Touch>> {
        receipts::awaiting(&mut *self.reader().await?, route, provider_refs).await
    }

    async fn overdue(&self, at: Timestamp, rehearsal: bool, limit: usize) -> StoreResult<Vec<Touch>> {
        let overdue = "FROM awaiting a INDEXED BY awaiting_deadline CROSS JOIN touch t ON t.customer_id = a.customer_id \
                       AND t.campaign_id = a.campaign_id AND t.seq = a.seq WHERE a.deadline <= ? AND (a.campaign_id < 0) = ? ORDER BY a.deadline, t.customer_id LIMIT ?";
        rows::fetch(&mut *self.reader().await?, overdue, integers(&[at.0, i64::from(rehearsal), bound(limit)])?).await
    }

    async fn next_deadline(&self) -> StoreResult<Option<Timestamp>> {
        let mut reader = self.reader().await?;
        let next: Option<i64> = sqlx::query_scalar("SELECT min(deadline) FROM awaiting WHERE deadline IS NOT NULL").fetch_one(&mut *reader).await?;
        Ok(next.map(Timestamp))
    }

    async fn uncertain(&self, campaign: CampaignId, limit: usize) -> StoreResult<Vec<Touch>> {
        let uncertain = "FROM touch t INDEXED BY touch_uncertain WHERE t.campaign_id = ? AND t.state = 6 ORDER BY t.customer_id, t.seq LIMIT ?";
        rows::fetch(&mut *self.reader().await?, uncertain, integers(&[campaign.0, bound(limit)])?).await
    }

    async fn keep_receipts(&self, receipts: &[ReceiptRow]) -> StoreResult<()> {
        receipts::keep(self, receipts).await
    }

    async fn receipts(&self, touch: TouchKey) -> StoreResult<Vec<ReceiptRow>> {
        receipts::of_touch(&mut *self.reader().await?, touch).await
    }

    async fn call_off(&self, fence: i64, campaign: CampaignId, reason: Reason, at: Timestamp) -> StoreResult<Tallies> {
        call_off::call_off(self, fence, campaign, reason, at).await
    }
}
