//! The inbox: receipts before they are answered, names of messages taken, dead letters, ratings.
use super::MemoryStore;
use super::state::State;
use crate::domain::ids::{CampaignId, TouchKey};
use crate::domain::time::Timestamp;
use crate::store::inbox::{DeadLetter, Inbox, InboxReceipt, NewDeadLetter, Post, Rating};
use crate::store::{CustomerRow, StoreResult, privacy};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// What is kept of what came in.
#[derive(Clone, Default)]
pub(super) struct Inbound {
    receipts: BTreeMap<i64, Kept>,
    taken: i64,
    seen: BTreeMap<(String, String), Timestamp>,
    letters: BTreeMap<i64, DeadLetter>,
    ratings: BTreeMap<(String, String), Rating>,
}

impl Inbound {
    /// Dead letters that were dealt with before an instant.
    pub(super) fn closed_letters(&self, before: Timestamp) -> impl Iterator<Item = i64> {
        self.letters.values().filter(move |l| l.closed.as_ref().is_some_and(|(at, _)| *at < before)).map(|l| l.id)
    }

    /// See [`privacy::speaks_of`].
    pub(super) fn erase(&mut self, customer: &CustomerRow, at: Timestamp) {
        for letter in self.letters.values_mut().filter(|l| privacy::speaks_of(&l.letter.raw, customer)) {
            letter.letter.raw = privacy::ERASED.as_bytes().to_vec();
            letter.closed.get_or_insert_with(|| (at, privacy::LETTER_ERASED.to_owned()));
        }
    }

    pub(super) fn forget_letters(&mut self, before: Timestamp, limit: usize) -> usize {
        let gone: Vec<i64> = self.closed_letters(before).take(limit).collect();
        gone.iter().filter(|id| self.letters.remove(id).is_some()).count()
    }
}

#[derive(Clone)]
struct Kept {
    receipt: InboxReceipt,
    next_at: Timestamp,
    applied: bool,
}

impl State {
    fn bury<'a>(&mut self, letters: impl Iterator<Item = &'a NewDeadLetter>, at: Timestamp) {
        for letter in letters {
            let id = 1 + self.inbound.letters.keys().next_back().copied().unwrap_or(0);
            self.inbound.letters.insert(id, DeadLetter { id, letter: letter.clone(), received_at: at, closed: None });
        }
    }
}

#[async_trait]
impl Inbox for MemoryStore {
    async fn take_post(&self, post: &Post<'_>) -> StoreResult<bool> {
        let mut state = self.lock();
        let name = (post.source.to_owned(), post.id.to_owned());
        if state.inbound.seen.contains_key(&name) {
            return Ok(false);
        }
        state.inbound.seen.insert(name, post.at);
        for receipt in post.receipts {
            state.inbound.taken += 1;
            let id = state.inbound.taken;
            let receipt = InboxReceipt { id, receipt: receipt.clone(), received_at: post.at, tries: 0 };
            state.inbound.receipts.insert(id, Kept { receipt, next_at: post.next_at, applied: false });
        }
        state.bury(post.dead.iter(), post.at);
        Ok(true)
    }

    async fn open_receipts(&self, due: Option<Timestamp>, after: i64, limit: usize) -> StoreResult<Vec<InboxReceipt>> {
        let state = self.lock();
        let open = state.inbound.receipts.range(after.saturating_add(1)..).map(|(_, kept)| kept);
        Ok(open.filter(|k| !k.applied && due.is_none_or(|at| k.next_at <= at)).take(limit).map(|k| k.receipt.clone()).collect())
    }

    async fn confirm_receipts(&self, receipts: &[(i64, TouchKey)]) -> StoreResult<Vec<i64>> {
        let mut state = self.lock();
        let state = &mut *state;
        let mut confirmed = Vec::new();
        for (id, touch) in receipts {
            let Some(kept) = state.inbound.receipts.get_mut(id).filter(|k| !k.applied) else { continue };
            let posted = &kept.receipt.receipt;
            let raw = state.receipts.get(&Some(*touch));
            if raw.is_some_and(|all| all.iter().any(|r| r.at == posted.at && r.said == posted.disposition.name())) {
                kept.applied = true;
                confirmed.push(*id);
            }
        }
        Ok(confirmed)
    }

    async fn receipts_handed(&self, ids: &[i64], next_at: Timestamp) -> StoreResult<()> {
        let mut state = self.lock();
        for id in ids {
            if let Some(kept) = state.inbound.receipts.get_mut(id) {
                kept.receipt.tries += 1;
                kept.next_at = next_at;
            }
        }
        Ok(())
    }

    async fn bury_receipts(&self, buried: &[(i64, NewDeadLetter)], at: Timestamp) -> StoreResult<()> {
        let mut state = self.lock();
        state.bury(buried.iter().map(|(_, letter)| letter), at);
        for (id, _) in buried {
            if let Some(kept) = state.inbound.receipts.get_mut(id) {
                kept.applied = true;
            }
        }
        Ok(())
    }

    async fn keep_dead_letters(&self, letters: &[NewDeadLetter], at: Timestamp) -> StoreResult<()> {
        self.lock().bury(letters.iter(), at);
        Ok(())
    }

    async fn dead_letters(&self, open: bool, after: i64, limit: usize) -> StoreResult<Vec<DeadLetter>> {
        let state = self.lock();
        let letters = state.inbound.letters.range(after.saturating_add(1)..).map(|(_, letter)| letter);
        Ok(letters.filter(|l| !open || l.closed.is_none()).take(limit).cloned().collect())
    }

    async fn dead_letter(&self, id: i64) -> StoreResult<Option<DeadLetter>> {
        Ok(self.lock().inbound.letters.get(&id).cloned())
    }

    async fn close_dead_letter(&self, id: i64, how: &str, at: Timestamp) -> StoreResult<bool> {
        let mut state = self.lock();
        let Some(letter) = state.inbound.letters.get_mut(&id).filter(|l| l.closed.is_none()) else { return Ok(false) };
        letter.closed = Some((at, how.to_owned()));
        Ok(true)
    }

    async fn known_events(&self, events: &[(String, String)]) -> StoreResult<Vec<bool>> {
        let state = self.lock();
        Ok(events.iter().map(|event| state.inbound.seen.contains_key(event)).collect())
    }

    async fn keep_events(&self, events: &[(String, String)], ratings: &[Rating], at: Timestamp) -> StoreResult<()> {
        let mut state = self.lock();
        for event in events {
            state.inbound.seen.entry(event.clone()).or_insert(at);
        }
        for rating in ratings {
            state.inbound.ratings.entry(rating.event.clone()).or_insert_with(|| rating.clone());
        }
        Ok(())
    }

    async fn ratings(&self, campaign: Option<CampaignId>) -> StoreResult<[i64; 5]> {
        let mut counts = [0; 5];
        for rating in self.lock().inbound.ratings.values().filter(|r| campaign.is_none_or(|c| r.touch.is_some_and(|t| t.campaign == c))) {
            if let Some(count) = counts.get_mut(usize::from(rating.rating.saturating_sub(1))) {
                *count += 1;
            }
        }
        Ok(counts)
    }

    async fn forget_messages(&self, before: Timestamp) -> StoreResult<u64> {
        let mut state = self.lock();
        let inbound = &mut state.inbound;
        let had = inbound.seen.len() + inbound.receipts.len();
        inbound.seen.retain(|_, at| *at >= before);
        inbound.receipts.retain(|_, k| !k.applied || k.receipt.received_at >= before);
        Ok((had - inbound.seen.len() - inbound.receipts.len()) as u64)
    }
}
