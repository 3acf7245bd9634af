//! The ledger's trait and its reads.
use super::super::{BeginRequest, Begun, Decide, Due, Needs, ReceiptRow, Recorded, SentParts, Settled, StoreResult, TouchLedger};
use super::MemoryStore;
use crate::domain::ids::{BatchId, CampaignId, CustomerId, RouteId, StepNo, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use async_trait::async_trait;
use std::ops::Bound;

#[async_trait]
impl TouchLedger for MemoryStore {
    async fn begin(&self, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun> {
        self.lock().begin(request, decide)
    }

    async fn record(&self, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded> {
        self.lock().record(fence, settlements, closed)
    }

    async fn due(&self, campaign: CampaignId, at: Timestamp, steps: &[StepNo], limit: usize, needs: Needs) -> StoreResult<Due> {
        let state = self.lock();
        let scheduled = state.run(campaign)?.scheduled.iter().take_while(|(due, ..)| *due <= at).filter(|(.., step)| steps.contains(step));
        let touches = scheduled
            .filter_map(|(_, customer, seq, _)| {
                let touch = state.touches.get(&TouchKey { customer: *customer, campaign, seq: *seq })?;
                Some((touch.clone(), state.member(*customer, needs)?))
            })
            .take(limit)
            .collect();
        Ok(Due { touches, seen_change: state.changes })
    }

    async fn next_due(&self, campaign: CampaignId, steps: &[StepNo]) -> StoreResult<Option<Timestamp>> {
        Ok(self.lock().run(campaign)?.scheduled.iter().find(|(.., step)| steps.contains(step)).map(|(due, ..)| *due))
    }

    async fn touches(&self, keys: &[TouchKey]) -> StoreResult<Vec<Touch>> {
        let state = self.lock();
        let keys: std::collections::BTreeSet<&TouchKey> = keys.iter().collect();
        Ok(keys.into_iter().filter_map(|key| state.touches.get(key)).cloned().collect())
    }

    async fn sent_since(&self, since: Timestamp) -> StoreResult<Vec<SentParts>> {
        let state = self.lock();
        let stands = state.touches.values().filter(|t| t.state.stands() && !t.key.campaign.is_rehearsal());
        let mut sent: Vec<SentParts> = stands
            .filter_map(|t| {
                let at = t.started_at.filter(|at| *at > since)?;
                Some(SentParts { campaign: t.key.campaign, route: t.route?, at, parts: u64::from(t.parts) })
            })
            .collect();
        sent.sort_by_key(|sent| sent.at);
        Ok(sent)
    }

    async fn touch(&self, key: TouchKey) -> StoreResult<Option<Touch>> {
        Ok(self.lock().touches.get(&key).cloned())
    }

    async fn head(&self, campaign: CampaignId, customer: CustomerId) -> StoreResult<Option<Touch>> {
        Ok(self.lock().head(campaign, customer).cloned())
    }

    async fn timeline(&self, customer: CustomerId) -> StoreResult<Vec<Touch>> {
        let state = self.lock();
        let key = |campaign: i64, seq: u32| TouchKey { customer, campaign: CampaignId(campaign), seq };
        let mut rows: Vec<Touch> = state.touches.range(key(i64::MIN, 0)..=key(i64::MAX, u32::MAX)).map(|(_, row)| row.clone()).collect();
        rows.sort_by_key(|row| (row.started_at.or(row.ended_at).or(row.due_at), row.key.campaign, row.key.seq));
        Ok(rows)
    }

    async fn scan(&self, campaign: CampaignId, after: Option<(CustomerId, u32)>, limit: usize) -> StoreResult<Vec<Touch>> {
        let state = self.lock();
        let from = after.map_or(Bound::Unbounded, |(customer, _)| Bound::Included(customer));
        let customers = state.run(campaign)?.heads.range((from, Bound::Unbounded)).map(|(customer, _)| *customer);
        let rows = customers.flat_map(|customer| state.touches_of(campaign, customer)).map(|(_, row)| row);
        Ok(rows.filter(|row| after.is_none_or(|after| (row.key.customer, row.key.seq) > after)).take(limit).cloned().collect())
    }

    async fn orphans(&self, fence: i64, rehearsal: bool, limit: usize) -> StoreResult<Vec<(BatchId, Vec<Touch>)>> {
        let state = self.lock();
        let mut found: Vec<(BatchId, Vec<Touch>)> = Vec::new();
        let mut touches = 0;
        for (id, batch) in state.batches.iter().filter(|(_, batch)| batch.fence < fence && batch.campaign.is_rehearsal() == rehearsal) {
            if touches >= limit && !found.is_empty() {
                break;
            }
            let left: Vec<Touch> = batch.left.iter().filter_map(|key| state.touches.get(key)).cloned().collect();
            touches += left.len();
            found.push((*id, left));
        }
        Ok(found)
    }

    async fn awaiting(&self, route: RouteId, provider_refs: &[&str]) -> StoreResult<Vec<Touch>> {
        let state = self.lock();
        let keys = provider_refs.iter().filter_map(|name| state.by_provider.get(&(route, Box::from(*name)))).flatten();
        let keys: std::collections::BTreeSet<TouchKey> = keys.copied().collect();
        Ok(keys.iter().filter_map(|key| state.touches.get(key)).cloned().collect())
    }

    async fn overdue(&self, at: Timestamp, rehearsal: bool, limit: usize) -> StoreResult<Vec<Touch>> {
        let state = self.lock();
        let late = state
            .deadlines
            .iter()
            .take_while(|(deadline, _)| *deadline <= at)
            .filter(|(_, key)| key.campaign.is_rehearsal() == rehearsal)
            .take(limit);
        Ok(late.filter_map(|(_, key)| state.touches.get(key)).cloned().collect())
    }

    async fn next_deadline(&self) -> StoreResult<Option<Timestamp>> {
        Ok(self.lock().deadlines.first().map(|(deadline, _)| *deadline))
    }

    async fn uncertain(&self, campaign: CampaignId, limit: usize) -> StoreResult<Vec<Touch>> {
        let state = self.lock();
        let keys = state.run(campaign)?.uncertain.iter().take(limit).map(|(customer, seq)| TouchKey { customer: *customer, campaign, seq: *seq });
        Ok(keys.filter_map(|key| state.touches.get(&key)).cloned().collect())
    }

    async fn keep_receipts(&self, receipts: &[ReceiptRow]) -> StoreResult<()> {
        let mut state = self.lock();
        for receipt in receipts {
            state.receipts.entry(receipt.touch).or_default().push(receipt.clone());
        }
        Ok(())
    }

    async fn receipts(&self, touch: TouchKey) -> StoreResult<Vec<ReceiptRow>> {
        let mut rows = self.lock().receipts.get(&Some(touch)).cloned().unwrap_or_default();
        rows.sort_by_key(|row| row.at);
        Ok(rows)
    }

    async fn call_off(&self, fence: i64, campaign: CampaignId, reason: Reason, at: Timestamp) -> StoreResult<Tallies> {
        self.lock().call_off(fence, campaign, reason, at)
    }
}
