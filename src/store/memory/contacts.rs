//! Contacts reported from outside, and wishes to be called.
use super::super::contacts::{ContactBook, Report, Reported, ReportedContact, WHY, Wish, WishRow, check_report, check_wish};
use super::super::{CampaignRow, ListRow, Status, StatusChange, StoreResult, Wanted};
use super::state::{List, Run, State};
use super::{MemoryStore, not_found};
use crate::domain::consent::Purpose;
use crate::domain::ids::{CampaignId, CustomerId, ListId, TaskId};
use crate::domain::money::Currency;
use crate::domain::reported::{HOUSE_ROUTE, house_file, house_name};
use crate::domain::tally::{Tallies, Weight};
use crate::domain::time::Timestamp;
use crate::domain::touch::{self, EVER_REACHED, Touch};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of them, by (source, reference).
#[derive(Clone, Default)]
pub(super) struct Contacts {
    reported: BTreeMap<(String, String), ReportedContact>,
    house: BTreeMap<Purpose, (CampaignId, ListId)>,
    wishes: BTreeMap<(String, String), WishRow>,
}

impl Contacts {
    /// What wishes say of a customer.
    pub(super) fn erase(&mut self, customer: CustomerId) {
        for row in self.wishes.values_mut().filter(|row| row.wish.customer == customer) {
            row.wish.topic = crate::store::privacy::ERASED.to_owned();
        }
    }
}

#[async_trait]
impl ContactBook for MemoryStore {
    async fn report_contact(&self, report: &Report) -> StoreResult<Reported> {
        self.lock().report_contact(report)
    }

    async fn reported_contact(&self, source: &str, reference: &str) -> StoreResult<Option<ReportedContact>> {
        Ok(self.lock().contacts.reported.get(&(source.to_owned(), reference.to_owned())).cloned())
    }

    async fn reported_contacts(&self, customer: CustomerId) -> StoreResult<Vec<ReportedContact>> {
        let state = self.lock();
        let mut found: Vec<ReportedContact> = state.contacts.reported.values().filter(|c| c.report.customer == customer).cloned().collect();
        found.sort_by_key(|c| c.report.started_at);
        Ok(found)
    }

    async fn house_run(&self, purpose: Purpose) -> StoreResult<Option<CampaignId>> {
        Ok(self.lock().contacts.house.get(&purpose).map(|(run, _)| *run))
    }

    async fn put_wish(&self, wish: &Wish) -> StoreResult<(WishRow, bool)> {
        let mut state = self.lock();
        if !state.customers.contains_key(&wish.customer) {
            return Err(not_found("customer", wish.customer));
        }
        let key = (wish.source.clone(), wish.reference.clone());
        let known = state.contacts.wishes.get(&key).cloned();
        if let Some(known) = &known {
            check_wish(&known.wish, wish)?;
            if !known.wish.gives_way_to(wish) {
                return Ok((known.clone(), false));
            }
        }
        let row = WishRow { wish: wish.clone(), settled: false, task: known.and_then(|k| k.task) };
        state.contacts.wishes.insert(key, row.clone());
        Ok((row, true))
    }

    async fn wish(&self, source: &str, reference: &str) -> StoreResult<Option<WishRow>> {
        Ok(self.lock().contacts.wishes.get(&(source.to_owned(), reference.to_owned())).cloned())
    }

    async fn wishes(&self, customer: CustomerId) -> StoreResult<Vec<WishRow>> {
        let mut rows: Vec<WishRow> = self.lock().contacts.wishes.values().filter(|w| w.wish.customer == customer).cloned().collect();
        rows.sort_by_key(|w| std::cmp::Reverse(w.wish.at));
        Ok(rows)
    }

    async fn unsettled_wishes(&self, limit: usize) -> StoreResult<Vec<WishRow>> {
        let mut rows: Vec<WishRow> = self.lock().contacts.wishes.values().filter(|w| !w.settled).cloned().collect();
        rows.sort_by_key(|w| w.wish.at);
        rows.truncate(limit);
        Ok(rows)
    }

    async fn settle_wish(&self, wish: &Wish, task: Option<TaskId>) -> StoreResult<()> {
        let mut state = self.lock();
        let row = state.contacts.wishes.get_mut(&(wish.source.clone(), wish.reference.clone())).ok_or_else(|| not_found("wish", &wish.reference))?;
        row.task = task.or(row.task);
        row.settled |= row.wish == *wish;
        Ok(())
    }
}

impl State {
    fn report_contact(&mut self, report: &Report) -> StoreResult<Reported> {
        if !self.customers.contains_key(&report.customer) {
            return Err(not_found("customer", report.customer));
        }
        let key = (report.source.clone(), report.reference.clone());
        if let Some(known) = self.contacts.reported.get(&key).cloned() {
            check_report(&known.report, report)?;
            if !known.report.gives_way_to(report) {
                return Ok(Reported { contact: known, made: false, changed: false });
            }
            let contact = ReportedContact { report: report.clone(), touch: known.touch };
            self.correct_contact(&contact)?;
            self.contacts.reported.insert(key, contact.clone());
            return Ok(Reported { contact, made: false, changed: true });
        }
        let (run, list) = self.house(report.purpose, report.at)?;
        let head = self.head(run, report.customer).cloned();
        let seq = head.as_ref().map_or(0, |head| head.key.seq + 1);
        let route = self.intern(HOUSE_ROUTE);
        let touch = report.touch(run, seq, route, head.as_ref().map_or(0, |head| head.flags));
        let mut tallies = Tallies::default();
        match &head {
            Some(head) => {
                Weight::from(head).add_to(&mut tallies, true, -1);
                Weight::from(head).add_to(&mut tallies, false, 1);
            }
            None => self.grow(run, list, report.customer)?,
        }
        Weight::from(&touch).add_to(&mut tallies, true, 1);
        self.run_mut(run)?.tallies.merge(&tallies);
        let contact = ReportedContact { report: report.clone(), touch: touch.key };
        self.put_touch(touch);
        self.contacts.reported.insert(key, contact.clone());
        Ok(Reported { contact, made: true, changed: true })
    }

    fn correct_contact(&mut self, contact: &ReportedContact) -> StoreResult<()> {
        let key = contact.touch;
        let before = self.touches.get(&key).cloned().ok_or_else(|| not_found("touch", key))?;
        let after = contact.report.touch(key.campaign, key.seq, before.route.unwrap_or_default(), before.flags);
        let head = self.head(key.campaign, key.customer).cloned().ok_or_else(|| not_found("touch", key))?;
        let is_head = head.key == key;
        let mut tallies = Tallies::default();
        Weight::from(&before).add_to(&mut tallies, is_head, -1);
        Weight::from(&after).add_to(&mut tallies, is_head, 1);
        if !is_head && after.state == touch::State::Reached && head.flags & EVER_REACHED == 0 {
            let marked = Touch { flags: head.flags | EVER_REACHED, ..head.clone() };
            Weight::from(&head).add_to(&mut tallies, true, -1);
            Weight::from(&marked).add_to(&mut tallies, true, 1);
            self.put_touch(marked);
        }
        self.run_mut(key.campaign)?.tallies.merge(&tallies);
        self.put_touch(after);
        Ok(())
    }

    /// One customer more in the audience of a house's run.
    fn grow(&mut self, run: CampaignId, list: ListId, customer: CustomerId) -> StoreResult<()> {
        self.run_mut(run)?.row.audience += 1;
        let list = self.lists.get_mut(&list).ok_or_else(|| not_found("list", list))?;
        list.members.insert(customer);
        list.row.count += 1;
        Ok(())
    }

    /// The house's run for a purpose and its list, made at the first use.
    fn house(&mut self, purpose: Purpose, at: Timestamp) -> StoreResult<(CampaignId, ListId)> {
        if let Some(house) = self.contacts.house.get(&purpose) {
            return Ok(*house);
        }
        let name = house_name(purpose).to_owned();
        let list = ListId(self.lists.keys().next_back().map_or(0, |last| last.0) + 1);
        let row = ListRow { id: list, name: name.clone(), count: 0, checksum: String::new(), frozen_at: None };
        self.lists.insert(list, List { row, members: BTreeSet::new() });
        self.created += 1;
        self.real_runs += 1;
        let id = CampaignId(self.real_runs);
        let source = house_file(purpose);
        let row = CampaignRow {
            id,
            name,
            version: 1,
            revision: 0,
            hash: blake3::hash(source.as_bytes()).to_hex().to_string(),
            source,
            status: Status::Finished,
            wanted: Wanted::Run,
            audience_list: list,
            list,
            audience: 0,
            checksum: String::new(),
            currency: Currency::CNY,
            cursor: CustomerId(0),
            stop_reason: None,
            submitted_at: at,
            started_at: Some(at),
            finished_at: None,
            emergency: false,
        };
        let history = vec![StatusChange { to: Status::Finished, by: "engine".into(), why: WHY.into(), at, reason: None }];
        let run = Run {
            row,
            created: self.created,
            rules: Vec::new(),
            history,
            waves: BTreeMap::new(),
            tallies: Tallies::default(),
            purpose,
            called_off: None,
            heads: BTreeMap::new(),
            scheduled: BTreeSet::new(),
            uncertain: BTreeSet::new(),
            texts: Vec::new(),
            approvals: Vec::new(),
            revisions: Vec::new(),
            emergency: None,
        };
        self.runs.insert(id, run);
        self.contacts.house.insert(purpose, (id, list));
        Ok((id, list))
    }
}
