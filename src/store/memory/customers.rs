//! Customers and intakes.
use super::super::{CustomerBook, CustomerInput, CustomerRow, IntakeProgress, Member, Needs, PutCount, StoreResult};
use super::MemoryStore;
use super::state::State;
use crate::domain::contact::{EmailAddress, Phone};
use crate::domain::ids::CustomerId;
use crate::store::{merge, privacy};
use async_trait::async_trait;

#[async_trait]
impl CustomerBook for MemoryStore {
    async fn put_customers(&self, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut state = self.lock();
        let mut count = PutCount::default();
        for (index, input) in batch.iter().enumerate() {
            if input.reference.is_empty() {
                count.rejected.push((index, "expected a customer reference, found none".into()));
                continue;
            }
            if privacy::is_pseudonym(&input.reference) {
                count.rejected.push((index, privacy::PSEUDONYM.into()));
                continue;
            }
            if !state.by_reference.contains_key(&input.reference)
                && let Some(why) = state.erased_before(input)
            {
                count.rejected.push((index, why.into()));
                continue;
            }
            match state.put_customer(input) {
                Put::Inserted => count.inserted += 1,
                Put::Updated => count.updated += 1,
                Put::Same => count.duplicates += 1,
            }
        }
        state.keep_progress(progress);
        Ok(count)
    }

    async fn customer(&self, reference: &str) -> StoreResult<Option<CustomerRow>> {
        let state = self.lock();
        Ok(state.by_reference.get(reference).and_then(|id| state.customers.get(id)).cloned())
    }

    async fn customer_ids(&self, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>> {
        let state = self.lock();
        Ok(references.iter().map(|r| state.by_reference.get(*r).copied()).collect())
    }

    async fn members(&self, customers: &[CustomerId], needs: Needs) -> StoreResult<Vec<Member>> {
        let state = self.lock();
        let customers: std::collections::BTreeSet<&CustomerId> = customers.iter().collect();
        Ok(customers.into_iter().filter_map(|id| state.member(*id, needs)).collect())
    }

    async fn customers_by_phone(&self, phone: &Phone) -> StoreResult<Vec<CustomerId>> {
        let wanted = phone.normalised();
        let has = |row: &&CustomerRow| row.phone.as_ref().is_some_and(|p| p.normalised() == wanted);
        Ok(self.lock().customers.values().filter(has).map(|row| row.id).collect())
    }

    async fn customers_by_email(&self, email: &EmailAddress) -> StoreResult<Vec<CustomerId>> {
        let wanted = email.normalised();
        let has = |row: &&CustomerRow| row.email.as_ref().is_some_and(|e| e.normalised() == wanted);
        Ok(self.lock().customers.values().filter(has).map(|row| row.id).collect())
    }

    async fn customer_count(&self) -> StoreResult<i64> {
        Ok(i64::try_from(self.lock().customers.len()).unwrap_or(i64::MAX))
    }

    async fn intake_progress(&self, key: &str) -> StoreResult<Option<IntakeProgress>> {
        Ok(self.lock().intakes.get(key).cloned())
    }

    async fn set_intake_progress(&self, progress: &IntakeProgress) -> StoreResult<()> {
        self.lock().keep_progress(Some(progress));
        Ok(())
    }
}

enum Put {
    Inserted,
    Updated,
    Same,
}

impl State {
    fn put_customer(&mut self, input: &CustomerInput) -> Put {
        let known = self.by_reference.get(&input.reference).copied();
        let id = known.unwrap_or_else(|| CustomerId(self.customers.keys().next_back().map_or(0, |last| last.0) + 1));
        let row = self.customers.entry(id).or_insert_with(|| merge::blank(id, &input.reference));
        let changed = merge::merge(row, input);
        self.by_reference.insert(input.reference.clone(), id);
        let mut new_consents = false;
        for record in &input.consents {
            new_consents |= self.put_consent(id, record);
        }
        match (known, changed || new_consents) {
            (None, _) => Put::Inserted,
            (Some(_), true) => Put::Updated,
            (Some(_), false) => Put::Same,
        }
    }
}
