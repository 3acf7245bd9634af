//! Erasing and forgetting. Nothing of this store is at rest, so nothing of it is sealed.
use super::super::privacy::{self, ERASED, Erased, Erasure, PersonalData, Retained, SealRound, SealedUnder};
use super::super::{CustomerInput, StoreResult, merge};
use super::state::{State, Suppression};
use super::{MemoryStore, not_found};
use crate::domain::consent::SuppressionRecord;
use crate::domain::contact::Phone;
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use async_trait::async_trait;

/// What stays of an erased customer's reference or telephone number.
fn mark(kind: &str, text: &str) -> [u8; 32] {
    *blake3::hash(format!("{kind}:{text}").as_bytes()).as_bytes()
}

#[async_trait]
impl PersonalData for MemoryStore {
    async fn erase(&self, erasure: &Erasure) -> StoreResult<Erased> {
        self.lock().erase(erasure)
    }

    async fn erasure(&self, customer: CustomerId) -> StoreResult<Option<Erasure>> {
        Ok(self.lock().erasures.get(&customer).cloned())
    }

    async fn readmit(&self, reference: Option<&str>, phone: Option<&Phone>) -> StoreResult<bool> {
        let mut state = self.lock();
        let reference = reference.is_some_and(|r| state.tombstones.remove(&mark("reference", r)));
        let phone = phone.is_some_and(|p| state.tombstones.remove(&mark("phone", &p.normalised())));
        Ok(reference || phone)
    }

    async fn seal_anew(&self, _after: CustomerId, _limit: usize) -> StoreResult<SealRound> {
        Ok(SealRound::default())
    }

    async fn sealed_under(&self) -> StoreResult<Vec<SealedUnder>> {
        Ok(Vec::new())
    }

    async fn scrub(&self, _whole: bool) -> StoreResult<bool> {
        Ok(true)
    }

    async fn outdated(&self, what: Retained, before: Timestamp) -> StoreResult<u64> {
        let state = self.lock();
        let n = match what {
            Retained::Receipts => state.receipts.values().flatten().filter(|r| r.at < before).count(),
            Retained::Tasks => state.worklist.wordy(before).count(),
            Retained::Checkpoints => state.worklist.closed_checkpoints(before).count(),
            Retained::DeadLetters => state.inbound.closed_letters(before).count(),
            // Each customer's newest change alone is kept.
            Retained::ContactChanges => 0,
        };
        Ok(n as u64)
    }

    async fn forget(&self, what: Retained, before: Timestamp, limit: usize) -> StoreResult<u64> {
        let mut state = self.lock();
        let mut left = limit;
        match what {
            Retained::Receipts => {
                for receipts in state.receipts.values_mut() {
                    receipts.retain(|r| {
                        let goes = left > 0 && r.at < before;
                        left -= usize::from(goes);
                        !goes
                    });
                }
                state.receipts.retain(|_, receipts| !receipts.is_empty());
            }
            Retained::Tasks => left -= state.worklist.forget_words(before, limit),
            Retained::Checkpoints => left -= state.worklist.forget_checkpoints(before, limit),
            Retained::DeadLetters => left -= state.inbound.forget_letters(before, limit),
            Retained::ContactChanges => {}
        }
        Ok((limit - left) as u64)
    }
}

impl State {
    fn erase(&mut self, erasure: &Erasure) -> StoreResult<Erased> {
        let id = erasure.customer;
        let row = self.customers.get(&id).ok_or_else(|| not_found("customer", id))?;
        let mut erased = Erased { pseudonym: privacy::pseudonym(id), ..Erased::default() };
        if self.erasures.contains_key(&id) {
            erased.already = true;
            return Ok(erased);
        }
        self.inbound.erase(&row.clone(), erasure.at);
        let row = self.customers.get(&id).ok_or_else(|| not_found("customer", id))?;
        let (reference, phone, contactability) = (row.reference.clone(), row.phone.clone(), row.contactability);
        self.tombstones.insert(mark("reference", &reference));
        self.tombstones.extend(phone.map(|p| mark("phone", &p.normalised())));
        let mut blank = merge::blank(id, &erased.pseudonym);
        blank.contactability = contactability;
        self.customers.insert(id, blank);
        self.by_reference.remove(&reference);
        self.by_reference.insert(erased.pseudonym.clone(), id);
        for consent in self.consents.get_mut(&id).into_iter().flatten().filter(|c| c.source != ERASED) {
            consent.source = ERASED.to_owned();
            erased.sources += 1;
        }
        let suppressions = self.suppressions.entry(id).or_default();
        for Suppression { record, .. } in suppressions.iter_mut().filter(|s| s.record.source != ERASED) {
            record.source = ERASED.to_owned();
            if record.why != "complaint" {
                record.why = ERASED.to_owned();
            }
            erased.sources += 1;
        }
        let record = SuppressionRecord { channel: None, why: ERASED.to_owned(), at: erasure.at, until: None, source: ERASED.to_owned() };
        suppressions.push(Suppression { record, lifted: false });
        self.repack(id);
        let of_customer = self.receipts.iter_mut().filter(|(touch, _)| touch.is_some_and(|t| t.customer == id));
        for receipt in of_customer.flat_map(|(_, receipts)| receipts).filter(|r| r.said != ERASED) {
            receipt.said = ERASED.to_owned();
            erased.receipts += 1;
        }
        (erased.tasks, erased.checkpoints) = self.worklist.erase(id);
        self.contacts.erase(id);
        for hold in self.holds.get_mut(&id).into_iter().flatten() {
            hold.why = ERASED.to_owned();
        }
        self.erasures.insert(id, erasure.clone());
        Ok(erased)
    }

    /// Why a customer who is not on record is not taken in, if it was erased before.
    pub(super) fn erased_before(&self, input: &CustomerInput) -> Option<&'static str> {
        if self.tombstones.is_empty() {
            return None;
        }
        if self.tombstones.contains(&mark("reference", &input.reference)) {
            return Some(privacy::ERASED_REFERENCE);
        }
        let phone = input.phone.as_ref().is_some_and(|p| self.tombstones.contains(&mark("phone", &p.normalised())));
        phone.then_some(privacy::ERASED_PHONE)
    }
}
