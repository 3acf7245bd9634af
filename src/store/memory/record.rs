//! `record`: commit what came of touches; and `call_off`.
use super::super::{Recorded, Settled, StoreError, StoreResult};
use super::begin::check_row;
use super::not_found;
use super::state::State;
use crate::domain::ids::{BatchId, CampaignId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::{self, Tallies, Weight};
use crate::domain::time::Timestamp;
use crate::domain::touch::{self, EVER_REACHED, Touch};
use std::collections::{BTreeMap, BTreeSet};

impl State {
    pub(super) fn record(&mut self, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded> {
        self.check_fence(fence)?;
        self.check_settlements(settlements, closed)?;
        let mut skipped = Vec::new();
        let mut tallies: BTreeMap<CampaignId, Tallies> = BTreeMap::new();
        for settled in settlements {
            let key = settled.touch.key;
            match self.touches.get(&key).filter(|stored| is_taken(stored, &settled.touch)).cloned() {
                Some(stored) => self.settle(&stored, settled, tallies.entry(key.campaign).or_default()),
                None => skipped.push(key),
            }
        }
        for batch in closed {
            if let Some(batch) = self.batches.remove(batch) {
                self.batch_of.retain(|key, _| !batch.left.contains(key));
            }
        }
        for (campaign, change) in &tallies {
            if let Some(run) = self.runs.get_mut(campaign) {
                run.tallies.merge(change);
            }
        }
        Ok(Recorded { skipped, tallies: tallies.into_iter().collect() })
    }

    /// Everything that can be wrong with a call, before anything is written.
    fn check_settlements(&self, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<()> {
        for settled in settlements {
            let key = settled.touch.key;
            check_row(&settled.touch)?;
            let Some(next) = &settled.next else { continue };
            check_row(next)?;
            if next.key.customer != key.customer || next.key.campaign != key.campaign || next.key.seq <= key.seq {
                return Err(StoreError::Conflict(format!("expected a row after touch {key} of the same customer and campaign, found {}", next.key)));
            }
            if !matches!(next.state, touch::State::Scheduled | touch::State::Suppressed | touch::State::Expired | touch::State::Cancelled) {
                return Err(StoreError::Conflict(format!("touch {} follows {key} as {}: only `begin` starts a touch", next.key, next.state)));
            }
        }
        let settled: BTreeSet<TouchKey> = settlements.iter().map(|s| s.touch.key).collect();
        for (id, batch) in closed.iter().filter_map(|id| self.batches.get(id).map(|batch| (id, batch))) {
            if let Some(open) = batch.left.iter().find(|key| !settled.contains(key)) {
                return Err(StoreError::Conflict(format!("batch {id} cannot be closed: touch {open} of it has no result")));
            }
        }
        Ok(())
    }

    fn settle(&mut self, stored: &Touch, settled: &Settled, tallies: &mut Tallies) {
        let key = stored.key;
        let ended = self.runs.get(&key.campaign).and_then(|run| {
            let ended = run.called_off.or_else(|| run.row.status.is_closed().then_some(Reason::CampaignEnded));
            ended.map(|reason| run.row.stop_reason.unwrap_or(reason))
        });
        let mut row = merged(stored, &settled.touch);
        row.cancel_if_ended(ended, settled.touch.ended_at);
        let head = self.head(key.campaign, key.customer).cloned().unwrap_or_else(|| stored.clone());
        let mut next = settled.next.clone();
        if let Some(next) = &mut next {
            next.key.seq = head.key.seq + 1;
            next.flags |= row.flags & EVER_REACHED;
            next.cancel_if_ended(ended, settled.touch.ended_at);
        }
        let (before, after) = (Weight::from(stored), Weight::from(&row));
        if head.key == key {
            tally::of_settled(tallies, &before, &after, next.as_ref(), true);
        } else {
            tally::of_settled(tallies, &before, &after, None, false);
            next = self.correct_head(&head, &row, next, tallies);
        }
        self.tell_settled(&row);
        self.put_touch(row);
        if let Some(next) = next {
            self.put_touch(next);
        }
        self.await_until(key, settled.receipt_by);
        self.leave_batch(key);
    }

    /// The head of a customer of whom a late receipt says that an earlier touch had reached them. Returns the row to come after it.
    fn correct_head(&mut self, head: &Touch, corrected: &Touch, next: Option<Touch>, tallies: &mut Tallies) -> Option<Touch> {
        if corrected.state != touch::State::Reached {
            return None;
        }
        let mut row = head.clone();
        row.flags |= EVER_REACHED;
        let is_called_off = head.state == touch::State::Scheduled;
        if is_called_off {
            row.state = touch::State::Cancelled;
            row.reason = Reason::ReachedAfterAll;
            row.ended_at = corrected.ended_at;
        }
        let follows = head.key.seq == corrected.key.seq + 1;
        let next = next.filter(|_| is_called_off && follows).map(|mut next| {
            next.flags |= EVER_REACHED;
            next
        });
        tally::of_settled(tallies, &Weight::from(head), &Weight::from(&row), next.as_ref(), true);
        self.put_touch(row);
        next
    }

    pub(super) fn call_off(&mut self, fence: i64, campaign: CampaignId, reason: Reason, at: Timestamp) -> StoreResult<Tallies> {
        self.check_fence(fence)?;
        let run = self.runs.get(&campaign).ok_or_else(|| not_found("campaign", campaign))?;
        let mut tallies = Tallies::default();
        let scheduled: Vec<Touch> = run
            .scheduled
            .iter()
            .filter_map(|(_, customer, seq, _)| self.touches.get(&TouchKey { customer: *customer, campaign, seq: *seq }))
            .cloned()
            .collect();
        if run.called_off.is_none() {
            tally::called_off_unseen(&mut tallies, Self::unseen(run), reason);
        }
        for before in scheduled {
            let mut row = before.clone();
            row.state = touch::State::Cancelled;
            row.reason = reason;
            row.ended_at = Some(at);
            tally::of_begun(&mut tallies, Some(&before), &row);
            self.put_touch(row);
        }
        let run = self.run_mut(campaign)?;
        run.called_off = run.called_off.or(Some(reason));
        run.row.stop_reason = run.row.stop_reason.or(Some(reason));
        run.tallies.merge(&tallies);
        Ok(tallies)
    }
}

/// Whether a stored touch takes a result.
fn is_taken(stored: &Touch, result: &Touch) -> bool {
    let is_acceptance = stored.state == touch::State::Started && result.state == touch::State::Started;
    // What a provider has taken is not ours to send again.
    let is_taken_back = result.state == touch::State::Scheduled && stored.provider_ref.is_some();
    stored.state.may_settle_as(result.state) && !is_taken_back && (!is_acceptance || (stored.provider_ref.is_none() && result.provider_ref.is_some()))
}

/// The stored touch with its result.
fn merged(stored: &Touch, result: &Touch) -> Touch {
    let given_back = matches!(result.state, touch::State::Scheduled | touch::State::Refused);
    let put_back = result.state == touch::State::Scheduled;
    Touch {
        key: stored.key,
        step: stored.step,
        attempt: stored.attempt,
        channel: stored.channel,
        route: stored.route,
        variant: stored.variant,
        state: result.state,
        reason: result.reason,
        rule: result.rule,
        due_at: result.due_at.or(stored.due_at),
        started_at: if given_back { None } else { stored.started_at },
        ended_at: result.ended_at,
        connected_s: if given_back { 0 } else { result.connected_s },
        cost_micros: if given_back { 0 } else { result.cost_micros },
        parts: if given_back { 0 } else { result.parts },
        flags: stored.flags | result.flags | if result.state == touch::State::Reached { EVER_REACHED } else { 0 },
        agenda: result.agenda.clone(),
        provider_ref: if put_back { None } else { result.provider_ref.clone().or_else(|| stored.provider_ref.clone()) },
    }
}
