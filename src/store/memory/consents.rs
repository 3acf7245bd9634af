//! Consents, suppressions, and the packed state that follows them.
use super::super::{ConsentList, IntakeProgress, PutCount, StoreResult};
use super::state::{State, Suppression};
use super::{MemoryStore, not_found};
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentRecord, ConsentState, Contactability, HoldRecord, SuppressionRecord, ruling_hold};
use crate::domain::ids::{CampaignId, CustomerId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::{self, Touch};
use async_trait::async_trait;

const UNKNOWN: &str = "no customer of this reference: import the customer first";

#[async_trait]
impl ConsentList for MemoryStore {
    async fn put_consents(&self, batch: &[(String, ConsentRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut state = self.lock();
        let mut count = PutCount::default();
        for (index, (reference, record)) in batch.iter().enumerate() {
            match state.by_reference.get(reference).copied() {
                None => count.rejected.push((index, UNKNOWN.into())),
                Some(_) if record.state == ConsentState::Unknown => {
                    count.rejected.push((index, "expected a consent granted or withdrawn, found unknown".into()));
                }
                Some(id) if state.put_consent(id, record) => count.inserted += 1,
                Some(_) => count.duplicates += 1,
            }
        }
        state.keep_progress(progress);
        Ok(count)
    }

    async fn put_suppressions(&self, batch: &[(String, SuppressionRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut state = self.lock();
        let mut count = PutCount::default();
        for (index, (reference, record)) in batch.iter().enumerate() {
            let Some(id) = state.by_reference.get(reference).copied() else {
                count.rejected.push((index, UNKNOWN.into()));
                continue;
            };
            let kept = state.suppressions.entry(id).or_default();
            if kept.iter().any(|s| s.record == *record) {
                count.duplicates += 1;
            } else {
                kept.push(Suppression { record: record.clone(), lifted: false });
                state.repack(id);
                count.inserted += 1;
            }
        }
        state.keep_progress(progress);
        Ok(count)
    }

    async fn consents(&self, customer: CustomerId) -> StoreResult<Vec<ConsentRecord>> {
        let mut records = self.lock().consents.get(&customer).cloned().unwrap_or_default();
        records.sort_by_key(|r| r.at);
        Ok(records)
    }

    async fn suppressions(&self, customer: CustomerId) -> StoreResult<Vec<SuppressionRecord>> {
        let state = self.lock();
        let mut records: Vec<_> = state.suppressions.get(&customer).into_iter().flatten().map(|s| s.record.clone()).collect();
        records.sort_by_key(|r| r.at);
        Ok(records)
    }

    async fn contactability(&self, customer: CustomerId) -> StoreResult<Contactability> {
        self.lock().customers.get(&customer).map(|c| c.contactability).ok_or_else(|| not_found("customer", customer))
    }

    async fn lapse_suppressions(&self, at: Timestamp) -> StoreResult<u64> {
        let mut state = self.lock();
        let mut lifted = Vec::new();
        for (customer, records) in &mut state.suppressions {
            for suppression in records.iter_mut().filter(|s| !s.lifted && s.record.until.is_some_and(|until| until <= at)) {
                suppression.lifted = true;
                lifted.push(*customer);
            }
        }
        lifted.dedup();
        let mut changed = 0;
        for customer in lifted {
            changed += u64::from(state.repack(customer));
        }
        Ok(changed)
    }

    async fn hold(&self, customer: CustomerId, entry: &HoldRecord) -> StoreResult<Option<Timestamp>> {
        let mut state = self.lock();
        if !state.customers.contains_key(&customer) {
            return Err(not_found("customer", customer));
        }
        let kept = state.holds.entry(customer).or_default();
        if !kept.contains(entry) {
            kept.push(entry.clone());
        }
        state.repack(customer);
        let until = state.customers.get(&customer).and_then(|row| row.contactability.held_until());
        state.bring_forward(customer, until.unwrap_or(entry.at));
        Ok(until)
    }

    async fn holds(&self, customer: CustomerId) -> StoreResult<Vec<HoldRecord>> {
        let mut entries = self.lock().holds.get(&customer).cloned().unwrap_or_default();
        entries.sort_by(|a, b| (a.at, a.until, &a.by, &a.why).cmp(&(b.at, b.until, &b.by, &b.why)));
        Ok(entries)
    }
}

impl State {
    /// Touches of real runs that a hold had put off beyond `due` are due then.
    fn bring_forward(&mut self, customer: CustomerId, due: Timestamp) {
        let key = |campaign: i64, seq: u32| TouchKey { customer, campaign: CampaignId(campaign), seq };
        let held = |row: &&Touch| row.state == touch::State::Scheduled && row.reason == Reason::Held && row.due_at.is_some_and(|at| at > due);
        let rows = self.touches.range(key(1, 0)..=key(i64::MAX, u32::MAX)).map(|(_, row)| row).filter(held);
        for row in rows.cloned().collect::<Vec<Touch>>() {
            self.put_touch(Touch { due_at: Some(due), ..row });
        }
    }

    /// Appends a record unless it is on file or says nothing; whether it was appended.
    pub(super) fn put_consent(&mut self, customer: CustomerId, record: &ConsentRecord) -> bool {
        let kept = self.consents.entry(customer).or_default();
        if record.state == ConsentState::Unknown || kept.contains(record) {
            return false;
        }
        kept.push(record.clone());
        self.tell_consent(customer, record);
        self.repack(customer);
        true
    }

    /// Packs what is on record beside the customer; a change goes into the change log. Whether it changed.
    pub(super) fn repack(&mut self, customer: CustomerId) -> bool {
        let Some(row) = self.customers.get_mut(&customer) else { return false };
        let mut packed = Contactability::default();
        let mut records: Vec<&ConsentRecord> = self.consents.get(&customer).into_iter().flatten().collect();
        // The last one rules: the latest, and of two at the same instant the withdrawal.
        records.sort_by_key(|r| (r.at, r.state == ConsentState::Withdrawn));
        for record in records {
            packed = packed.with_consent(record.channel, record.purpose, record.state);
        }
        for suppression in self.suppressions.get(&customer).into_iter().flatten() {
            if suppression.record.why == "complaint" {
                packed = packed.with_complaint();
            }
            if !suppression.lifted {
                for channel in Channel::ALL.into_iter().filter(|c| suppression.record.channel.is_none_or(|on| on == *c)) {
                    packed = packed.with_suppressed(channel, true);
                }
            }
        }
        packed = packed.with_hold(ruling_hold(self.holds.get(&customer).into_iter().flatten()));
        let changed = row.contactability != packed;
        if changed {
            row.contactability = packed;
            self.changes += 1;
            self.last_change.insert(customer, self.changes);
        }
        changed
    }
}
