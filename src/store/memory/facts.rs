//! Facts and the credits for them.
use super::super::{CreditRow, FactBook, FactInput, FactRow, IntakeProgress, PutCount, StoreResult};
use super::MemoryStore;
use super::state::State;
use crate::domain::ids::{CampaignId, CustomerId};
use async_trait::async_trait;
use std::collections::BTreeSet;

#[async_trait]
impl FactBook for MemoryStore {
    async fn put_facts(&self, batch: &[FactInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut state = self.lock();
        let mut count = PutCount::default();
        for (index, input) in batch.iter().enumerate() {
            match state.put_fact(input) {
                Ok(true) => count.inserted += 1,
                Ok(false) => count.duplicates += 1,
                Err(why) => count.rejected.push((index, why)),
            }
        }
        state.keep_progress(progress);
        Ok(count)
    }

    async fn facts(&self, customers: (CustomerId, CustomerId), kind: &str, product: Option<&str>) -> StoreResult<Vec<FactRow>> {
        let (first, last) = customers;
        if first > last {
            return Ok(Vec::new());
        }
        let state = self.lock();
        let rows = state.facts_of.range(first..=last).flat_map(|(_, facts)| facts).filter_map(|(_, id)| state.facts.get(id));
        Ok(rows.filter(|f| f.kind == kind && product.is_none_or(|p| f.product.as_deref() == Some(p))).cloned().collect())
    }

    async fn customer_facts(&self, customer: CustomerId) -> StoreResult<Vec<FactRow>> {
        let state = self.lock();
        Ok(state.facts_of.get(&customer).into_iter().flatten().filter_map(|(_, id)| state.facts.get(id)).cloned().collect())
    }

    async fn put_credits(&self, campaign: CampaignId, rule: &str, credits: &[CreditRow], last: bool, first: bool) -> StoreResult<Vec<i64>> {
        let mut state = self.lock();
        state.run(campaign)?;
        let key = (campaign, rule.to_owned());
        let mut refused = BTreeSet::new();
        let mut taken = if first { Vec::new() } else { state.credits_staged.remove(&key).unwrap_or_default() };
        taken.extend_from_slice(credits);
        // What waited since an earlier piece is asked again: another campaign may have been quicker.
        taken.retain(|row| {
            let held = row.seq.is_some() && state.is_held_elsewhere(campaign, row.fact);
            if held {
                refused.insert(row.fact);
            }
            !held
        });
        if last {
            state.tell_credits(campaign, rule, &taken);
            state.replace_credits(campaign, rule, taken);
            state.credits_staged.remove(&key);
        } else {
            state.credits_staged.insert(key, taken);
        }
        Ok(refused.into_iter().collect())
    }

    async fn credits(&self, campaign: CampaignId, after: Option<(CustomerId, i64)>, limit: usize) -> StoreResult<Vec<CreditRow>> {
        let state = self.lock();
        let mut found: Vec<CreditRow> = Vec::new();
        for row in state.credits.range((campaign, CustomerId(i64::MIN), i64::MIN, String::new(), None)..).map(|(_, row)| row) {
            if row.campaign != campaign {
                break;
            }
            if after.is_some_and(|after| (row.customer, row.fact) <= after) {
                continue;
            }
            let opens_group = found.last().is_none_or(|l| (l.customer, l.fact) != (row.customer, row.fact));
            if opens_group && found.len() >= limit {
                break;
            }
            found.push(row.clone());
        }
        Ok(found)
    }

    async fn credited_elsewhere(&self, campaign: CampaignId, facts: &[i64]) -> StoreResult<Vec<i64>> {
        let state = self.lock();
        Ok(facts.iter().copied().filter(|fact| state.is_held_elsewhere(campaign, *fact)).collect())
    }
}

impl State {
    /// Whether it was new; `Err`: why it is rejected.
    fn put_fact(&mut self, input: &FactInput) -> Result<bool, String> {
        let Some(customer) = self.by_reference.get(&input.customer).copied() else {
            return Err("no customer of this reference: import the customer first".into());
        };
        let key = (input.kind.clone(), input.fact_ref.clone());
        let known = self.fact_by_ref.get(&key).copied();
        let id = known.unwrap_or_else(|| self.facts.keys().next_back().map_or(0, |last| *last) + 1);
        let row = FactRow {
            id,
            fact_ref: input.fact_ref.clone(),
            customer,
            kind: input.kind.clone(),
            product: input.product.clone(),
            amount: input.amount,
            at: input.at,
        };
        if known.is_some() {
            return if self.facts.get(&id) == Some(&row) {
                Ok(false)
            } else {
                Err(format!(
                    "a fact of kind {:?} and this number is on record with other content: facts are not changed, send a new number",
                    input.kind
                ))
            };
        }
        self.fact_by_ref.insert(key, id);
        self.facts_of.entry(customer).or_default().insert((input.at, id));
        self.facts.insert(id, row);
        Ok(true)
    }

    fn is_held_elsewhere(&self, campaign: CampaignId, fact: i64) -> bool {
        self.holders.get(&fact).is_some_and(|holders| holders.keys().any(|holder| *holder != campaign))
    }

    fn replace_credits(&mut self, campaign: CampaignId, rule: &str, credits: Vec<CreditRow>) {
        let old: Vec<_> = self.credits.keys().filter(|key| key.0 == campaign && key.3 == rule).cloned().collect();
        for key in old {
            if let Some(row) = self.credits.remove(&key) {
                self.count_holder(&row, false);
            }
        }
        for mut row in credits {
            row.campaign = campaign;
            rule.clone_into(&mut row.rule);
            let key = (campaign, row.customer, row.fact, row.rule.clone(), row.seq);
            if self.credits.insert(key, row.clone()).is_none() {
                self.count_holder(&row, true);
            }
        }
    }

    /// A rehearsal, and a customer of the holdout, hold nothing.
    fn count_holder(&mut self, row: &CreditRow, more: bool) {
        if row.campaign.is_rehearsal() || row.seq.is_none() {
            return;
        }
        let holders = self.holders.entry(row.fact).or_default();
        let shares = holders.entry(row.campaign).or_insert(0);
        *shares = if more { *shares + 1 } else { shares.saturating_sub(1) };
        holders.retain(|_, shares| *shares > 0);
    }
}
