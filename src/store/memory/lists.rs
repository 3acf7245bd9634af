//! Lists: open, filled, frozen.
use super::super::{IntakeProgress, ListBook, ListRow, Needs, Page, StoreError, StoreResult};
use super::state::{List, State};
use super::{MemoryStore, hint, not_found};
use crate::domain::ids::{CustomerId, ListId};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::ops::Bound;

#[async_trait]
impl ListBook for MemoryStore {
    async fn open_list(&self, name: &str, _at: Timestamp) -> StoreResult<ListId> {
        crate::store::contacts::refuse_house_name("list", name)?;
        let mut state = self.lock();
        if let Some(list) = state.lists.values().find(|l| l.row.name == name) {
            return if list.row.frozen_at.is_none() { Ok(list.row.id) } else { Err(frozen(name)) };
        }
        let id = ListId(state.lists.keys().next_back().map_or(0, |last| last.0) + 1);
        let row = ListRow { id, name: name.to_owned(), count: 0, checksum: String::new(), frozen_at: None };
        state.lists.insert(id, List { row, members: BTreeSet::new() });
        Ok(id)
    }

    async fn add_members(&self, list: ListId, members: &[CustomerId], progress: Option<&IntakeProgress>) -> StoreResult<u64> {
        let mut state = self.lock();
        state.open(list)?;
        if let Some(unknown) = members.iter().find(|m| !state.customers.contains_key(m)) {
            return Err(not_found("customer", unknown));
        }
        let added = state.open(list)?.add(members.iter().copied());
        state.keep_progress(progress);
        Ok(added)
    }

    async fn add_all_customers(&self, list: ListId) -> StoreResult<u64> {
        let mut state = self.lock();
        let everybody: Vec<CustomerId> = state.customers.keys().copied().collect();
        Ok(state.open(list)?.add(everybody.into_iter()))
    }

    async fn freeze_list(&self, list: ListId, at: Timestamp) -> StoreResult<ListRow> {
        let mut state = self.lock();
        let kept = state.lists.get(&list).ok_or_else(|| not_found("list", list))?;
        if kept.row.frozen_at.is_some() {
            return Ok(kept.row.clone());
        }
        let mut hash = blake3::Hasher::new();
        for member in &kept.members {
            if let Some(customer) = state.customers.get(member) {
                hash.update(customer.reference.as_bytes());
                hash.update(b"\n");
            }
        }
        let checksum = hash.finalize().to_hex().to_string();
        let kept = state.open(list)?;
        kept.row.checksum = checksum;
        kept.row.frozen_at = Some(at);
        Ok(kept.row.clone())
    }

    async fn list(&self, name: &str) -> StoreResult<ListRow> {
        let state = self.lock();
        let found = state.lists.values().rev().find(|l| l.row.name == name);
        found.map(|l| l.row.clone()).ok_or_else(|| StoreError::NotFound {
            what: "list",
            name: name.to_owned(),
            hint: hint(name, state.lists.values().map(|l| l.row.name.as_str())),
        })
    }

    async fn lists(&self) -> StoreResult<Vec<ListRow>> {
        Ok(self.lock().lists.values().rev().map(|l| l.row.clone()).collect())
    }

    async fn page(&self, list: ListId, after: CustomerId, limit: usize, needs: Needs) -> StoreResult<Page> {
        let state = self.lock();
        let kept = state.lists.get(&list).ok_or_else(|| not_found("list", list))?;
        let mut rest = kept.members.range((Bound::Excluded(after), Bound::Unbounded));
        let members = rest.by_ref().take(limit).filter_map(|id| state.member(*id, needs)).collect();
        Ok(Page { members, seen_change: state.changes, last: rest.next().is_none() })
    }
}

impl State {
    fn open(&mut self, list: ListId) -> StoreResult<&mut List> {
        let kept = self.lists.get_mut(&list).ok_or_else(|| not_found("list", list))?;
        if kept.row.frozen_at.is_some() { Err(frozen(&kept.row.name)) } else { Ok(kept) }
    }
}

impl List {
    fn add(&mut self, members: impl Iterator<Item = CustomerId>) -> u64 {
        let added = members.filter(|m| self.members.insert(*m)).count();
        self.row.count = i64::try_from(self.members.len()).unwrap_or(i64::MAX);
        u64::try_from(added).unwrap_or(u64::MAX)
    }
}

fn frozen(name: &str) -> StoreError {
    StoreError::Conflict(format!("list {name:?} is frozen: its count and checksum stand; use a list of a new name"))
}
