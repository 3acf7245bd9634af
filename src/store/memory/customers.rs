//! Customers and intakes.
use super::super::{CustomerBook, CustomerInput, CustomerRow, IntakeProgress, Member, Needs, PutCount, StoreResult};
use super::MemoryStore;
use super::state::State;
use crate::domain::consent::Contactability;
use crate::domain::ids::CustomerId;
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
        let old = self.customers.get(&id).cloned();
        let mut row = old.clone().unwrap_or_else(|| CustomerRow {
            id,
            reference: input.reference.clone(),
            phone: None,
            email: None,
            push: None,
            timezone: None,
            language: None,
            branch: None,
            rm: None,
            attributes: "{}".into(),
            contactability: Contactability::default(),
        });
        later(&mut row.phone, &input.phone);
        later(&mut row.email, &input.email);
        later(&mut row.push, &input.push);
        later(&mut row.timezone, &input.timezone);
        later(&mut row.language, &input.language);
        later(&mut row.branch, &input.branch);
        later(&mut row.rm, &input.rm);
        row.attributes = merged(&row.attributes, &input.attributes);
        let changed = old.as_ref() != Some(&row);
        self.customers.insert(id, row);
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

fn later<T: Clone>(kept: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        kept.clone_from(new);
    }
}

/// Attributes by name, the new ones over the old; names in order, so that the text does not depend on the order of arrival.
fn merged(old: &str, new: &Map<String, Value>) -> String {
    let mut all: BTreeMap<String, Value> = serde_json::from_str(old).unwrap_or_default();
    all.extend(new.iter().map(|(name, value)| (name.clone(), value.clone())));
    serde_json::to_string(&all).unwrap_or_else(|_| "{}".into())
}
