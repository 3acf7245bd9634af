//! `begin`: decide and commit a batch.
use super::super::{BeginRequest, Begun, Candidate, ContactFacts, Decide, StoreError, StoreResult};
use super::state::{Batch, State};
use crate::domain::caps::PastContact;
use crate::domain::consent::{Contactability, Purpose};
use crate::domain::ids::{BatchId, CampaignId, CustomerId, TouchKey};
use crate::domain::tally;
use crate::domain::time::Timestamp;
use crate::domain::touch::{self, Touch};

impl State {
    pub(super) fn begin(&mut self, request: BeginRequest, decide: Decide<'_>) -> StoreResult<Begun> {
        self.check_fence(request.fence)?;
        let run = self.run(request.campaign)?;
        let called_off = run.called_off.is_some();
        let mut cursor = run.row.cursor;
        let mut begun = Begun::default();
        // Nothing is written before all of the batch is decided and checked: `written` is also what later candidates see.
        for (index, mut candidate) in request.candidates.iter().cloned().enumerate() {
            let customer = candidate.member.id;
            let head = Self::staged_head(&begun, customer).or_else(|| self.head(request.campaign, customer)).cloned();
            let is_open = match &candidate.head {
                None => !called_off && customer > cursor && head.is_none(),
                Some(due) => head.as_ref().is_some_and(|h| h.key == due.key && h.state == touch::State::Scheduled),
            };
            if !is_open {
                begun.consumed = index + 1;
                continue;
            }
            let first_time = candidate.head.is_none();
            candidate.head = head;
            candidate.member.contactability = self.fresh_contactability(&candidate, request.seen_change);
            let history = self.contact_history(&request, customer, &begun);
            let facts = ContactFacts {
                contactability: candidate.member.contactability,
                history: &history,
                converted: self.has_converted(customer, &request.conversion_facts, request.conversion_since),
            };
            let Some(row) = decide(&candidate, facts) else { break };
            check_begun(&row, &candidate, request.campaign)?;
            tally::of_begun(&mut begun.tallies, candidate.head.as_ref(), &row);
            begun.written.push((index, row));
            begun.consumed = index + 1;
            if first_time {
                cursor = customer;
            }
        }
        self.commit_begun(&request, cursor, &mut begun)?;
        Ok(begun)
    }

    fn staged_head(begun: &Begun, customer: CustomerId) -> Option<&Touch> {
        begun.written.iter().rev().map(|(_, row)| row).find(|row| row.key.customer == customer)
    }

    fn commit_begun(&mut self, request: &BeginRequest, cursor: CustomerId, begun: &mut Begun) -> StoreResult<()> {
        let run = self.run_mut(request.campaign)?;
        run.row.cursor = cursor;
        let first_touches = begun.written.iter().filter(|(index, _)| request.candidates.get(*index).is_some_and(|c| c.head.is_none())).count();
        if let Some(left) = request.wave.and_then(|due| run.waves.get_mut(&due)).and_then(|wave| wave.left.as_mut()) {
            *left -= i64::try_from(first_touches).unwrap_or(i64::MAX);
        }
        run.purpose = request.purpose;
        run.tallies.merge(&begun.tallies);
        for (_, row) in &begun.written {
            self.put_touch(row.clone());
        }
        let started = begun.written.iter().map(|(_, row)| row).filter(|row| row.state == touch::State::Started);
        let left: std::collections::BTreeSet<TouchKey> = started.map(|row| row.key).collect();
        if !left.is_empty() {
            self.batches_opened += 1;
            let batch = BatchId(self.batches_opened);
            self.batch_of.extend(left.iter().map(|key| (*key, batch)));
            self.batches.insert(batch, Batch { campaign: request.campaign, fence: request.fence, left });
            begun.batch = Some(batch);
        }
        Ok(())
    }

    /// As read with the page, unless the change log has an entry of this customer since.
    fn fresh_contactability(&self, candidate: &Candidate, seen_change: i64) -> Contactability {
        let customer = candidate.member.id;
        let changed = self.last_change.get(&customer).is_some_and(|place| *place > seen_change);
        let fresh = if changed { self.customers.get(&customer).map(|c| c.contactability) } else { None };
        fresh.unwrap_or(candidate.member.contactability)
    }

    fn contact_history(&self, request: &BeginRequest, customer: CustomerId, begun: &Begun) -> Vec<PastContact> {
        if request.history_ms <= 0 {
            return Vec::new();
        }
        let contact = |row: &Touch, purpose: Purpose| -> Option<PastContact> {
            let at = row.started_at.filter(|at| row.state.stands() && request.at.since(*at) < request.history_ms)?;
            Some(PastContact { at, channel: row.channel?, purpose })
        };
        let key = |campaign: i64, seq: u32| TouchKey { customer, campaign: CampaignId(campaign), seq };
        let kept = self.touches.range(key(i64::MIN, 0)..=key(i64::MAX, u32::MAX)).map(|(_, row)| row);
        let mut history: Vec<PastContact> = kept
            .filter(|row| !row.key.campaign.is_rehearsal() || row.key.campaign == request.campaign)
            .filter_map(|row| contact(row, self.runs.get(&row.key.campaign)?.purpose))
            .collect();
        // Rows of this batch are in no index yet.
        let staged = begun.written.iter().map(|(_, row)| row).filter(|row| row.key.customer == customer);
        history.extend(staged.filter_map(|row| contact(row, request.purpose)));
        history
    }

    fn has_converted(&self, customer: CustomerId, kinds: &[(String, Option<String>)], since: Timestamp) -> bool {
        let Some(facts) = self.facts_of.get(&customer) else { return false };
        facts
            .range((since, i64::MIN)..)
            .filter_map(|(_, id)| self.facts.get(id))
            .any(|fact| kinds.iter().any(|(kind, product)| fact.kind == *kind && product.as_ref().is_none_or(|p| fact.product.as_ref() == Some(p))))
    }
}

fn check_begun(row: &Touch, candidate: &Candidate, campaign: CampaignId) -> StoreResult<()> {
    let seq = candidate.head.as_ref().map_or(0, |head| head.key.seq);
    let expected = TouchKey { customer: candidate.member.id, campaign, seq };
    if row.key != expected {
        return Err(StoreError::Conflict(format!("expected the decision on touch {expected}, found one on {}", row.key)));
    }
    match row.state {
        touch::State::Pending | touch::State::Reached | touch::State::Missed | touch::State::Refused | touch::State::Uncertain => {
            Err(StoreError::Conflict(format!("touch {} was decided to be {}, which only a recorded result can make it", row.key, row.state)))
        }
        _ => check_row(row),
    }
}

/// What a row of its state must carry.
pub(super) fn check_row(row: &Touch) -> StoreResult<()> {
    let lacks = match row.state {
        touch::State::Scheduled if row.due_at.is_none() => "due_at",
        touch::State::Started if row.started_at.is_none() => "started_at",
        touch::State::Started if row.channel.is_none() => "channel",
        touch::State::Started if row.route.is_none() => "route",
        _ => return Ok(()),
    };
    Err(StoreError::Conflict(format!("touch {} is {} and lacks its {lacks}", row.key, row.state)))
}
