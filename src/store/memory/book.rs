//! Campaign runs.
use super::super::{AttemptsBin, CampaignBook, CampaignRow, NewCampaign, Status, StatusChange, StoreError, StoreResult, Wanted, WaveRow};
use super::approvals::held;
use super::state::{Run, State};
use super::{MemoryStore, hint, not_found};
use crate::domain::ids::{CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::law::Rule;
use crate::domain::tally::{Tallies, Weight, called_off_unseen};
use crate::domain::time::Timestamp;
use crate::domain::touch;
use async_trait::async_trait;
use std::collections::BTreeMap;

#[async_trait]
impl CampaignBook for MemoryStore {
    async fn create_campaign(&self, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow> {
        crate::store::contacts::refuse_house_name("campaign", &new.name)?;
        let mut state = self.lock();
        if !state.lists.contains_key(&new.list) {
            return Err(not_found("list", new.list));
        }
        let audience = state.frozen(new.audience)?;
        let id = state.next_number(new.rehearsal);
        let row = CampaignRow {
            id,
            name: new.name.clone(),
            version: state.next_version(&new.name, new.rehearsal),
            revision: 0,
            source: new.source.clone(),
            hash: new.hash.clone(),
            status: Status::Submitted,
            wanted: Wanted::Run,
            audience_list: new.audience,
            list: new.list,
            audience: audience.count,
            checksum: audience.checksum,
            currency: new.currency,
            cursor: CustomerId(0),
            stop_reason: None,
            emergency: false,
            submitted_at: new.at,
            started_at: None,
            finished_at: None,
        };
        let run = Run { rules: rules.to_vec(), ..Run::new(row.clone(), state.created) };
        state.runs.insert(id, run);
        let run = state.run_mut(id)?;
        run.add_text(&new.source, &new.hash, &new.by, new.at);
        run.note(&new.by, "submitted".into(), new.at);
        state.tell_status(id);
        Ok(row)
    }

    async fn campaign(&self, name: &str, rehearsal: Option<bool>) -> StoreResult<CampaignRow> {
        let state = self.lock();
        let newest = |mode: bool| {
            let of_mode = state.runs.values().filter(|r| r.row.name == name && r.row.id.is_rehearsal() == mode);
            of_mode.filter(|r| r.row.is_handed_in()).max_by_key(|r| r.created).map(|r| r.row.clone())
        };
        let found = match rehearsal {
            Some(mode) => newest(mode),
            None => newest(false).or_else(|| newest(true)),
        };
        let drafts =
            || state.runs.values().filter(|r| r.row.name == name && !r.row.id.is_rehearsal()).max_by_key(|r| r.created).map(|r| r.row.clone());
        let found = found.or_else(|| if rehearsal == Some(true) { None } else { drafts() });
        found.ok_or_else(|| StoreError::NotFound {
            what: "campaign",
            name: name.to_owned(),
            hint: hint(name, state.runs.values().map(|r| r.row.name.as_str()).filter(|known| *known != name)),
        })
    }

    async fn campaign_by_id(&self, id: CampaignId) -> StoreResult<CampaignRow> {
        self.lock().run(id).map(|r| r.row.clone())
    }

    async fn campaigns(&self) -> StoreResult<Vec<CampaignRow>> {
        let state = self.lock();
        let mut runs: Vec<&Run> = state.runs.values().collect();
        runs.sort_by_key(|r| std::cmp::Reverse((r.row.submitted_at, r.created)));
        Ok(runs.into_iter().map(|r| r.row.clone()).collect())
    }

    async fn set_status(&self, id: CampaignId, change: &StatusChange) -> StoreResult<CampaignRow> {
        let mut state = self.lock();
        let row = state.run_mut(id)?.change_status(change)?;
        state.tell_status(id);
        Ok(row)
    }

    async fn set_wanted(&self, id: CampaignId, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> StoreResult<()> {
        let mut state = self.lock();
        let run = state.run_mut(id)?;
        let status = run.row.status;
        if status.is_closed() {
            return Err(StoreError::Conflict(format!("campaign {:?} is {status}: nothing is left to {wanted}", run.row.name)));
        }
        if wanted == Wanted::Run && run.row.emergency {
            return Err(held(&run.row));
        }
        run.row.wanted = wanted;
        run.history.push(StatusChange { to: status, by: by.to_owned(), why: format!("wanted {wanted}: {why}"), at, reason: None });
        Ok(())
    }

    async fn history(&self, id: CampaignId) -> StoreResult<Vec<StatusChange>> {
        self.lock().run(id).map(|r| r.history.clone())
    }

    async fn record_wave(&self, id: CampaignId, wave: &WaveRow) -> StoreResult<()> {
        self.lock().run_mut(id)?.waves.insert(wave.due_at, wave.clone());
        Ok(())
    }

    async fn waves(&self, id: CampaignId) -> StoreResult<Vec<WaveRow>> {
        self.lock().run(id).map(|r| r.waves.values().cloned().collect())
    }

    async fn rules(&self, id: CampaignId) -> StoreResult<Vec<Rule>> {
        self.lock().run(id).map(|r| r.rules.clone())
    }

    async fn tallies(&self, id: CampaignId) -> StoreResult<Tallies> {
        self.lock().run(id).map(|r| r.tallies.clone())
    }

    async fn recount(&self, id: CampaignId) -> StoreResult<Tallies> {
        self.lock().recount(id)
    }

    async fn attempts_histogram(&self, id: CampaignId) -> StoreResult<Vec<AttemptsBin>> {
        self.lock().attempts_histogram(id)
    }

    async fn purge_rehearsal(&self, id: CampaignId) -> StoreResult<()> {
        self.lock().purge_rehearsal(id)
    }

    async fn route_id(&self, name: &str) -> StoreResult<RouteId> {
        Ok(self.lock().intern(name))
    }

    async fn routes(&self) -> StoreResult<Vec<(RouteId, String)>> {
        Ok(self.lock().routes.iter().enumerate().map(|(place, name)| (route_no(place), name.clone())).collect())
    }
}

fn route_no(place: usize) -> RouteId {
    RouteId(i32::try_from(place + 1).unwrap_or(i32::MAX))
}

impl State {
    /// The number of a route's name.
    pub(super) fn intern(&mut self, name: &str) -> RouteId {
        let place = self.routes.iter().position(|known| known == name).unwrap_or_else(|| {
            self.routes.push(name.to_owned());
            self.routes.len() - 1
        });
        route_no(place)
    }

    /// Customers of the run without a row.
    pub(super) fn unseen(run: &Run) -> i64 {
        run.row.audience - i64::try_from(run.heads.len()).unwrap_or(i64::MAX)
    }

    fn recount(&self, id: CampaignId) -> StoreResult<Tallies> {
        let run = self.run(id)?;
        let mut tallies = Tallies::default();
        for (customer, head) in &run.heads {
            for (key, row) in self.touches_of(id, *customer) {
                Weight::from(row).add_to(&mut tallies, key.seq == *head, 1);
            }
        }
        if let Some(reason) = run.called_off {
            called_off_unseen(&mut tallies, Self::unseen(run), reason);
        }
        Ok(tallies)
    }

    fn attempts_histogram(&self, id: CampaignId) -> StoreResult<Vec<AttemptsBin>> {
        let run = self.run(id)?;
        let mut bins: BTreeMap<(touch::State, i64), i64> = BTreeMap::new();
        for customer in run.heads.keys() {
            let attempts = self.touches_of(id, *customer).filter(|(_, row)| row.state.stands()).count();
            if let Some(head) = self.head(id, *customer) {
                *bins.entry((head.customer_state(), i64::try_from(attempts).unwrap_or(i64::MAX))).or_insert(0) += 1;
            }
        }
        let unseen = if run.called_off.is_some() { touch::State::Cancelled } else { touch::State::Pending };
        *bins.entry((unseen, 0)).or_insert(0) += Self::unseen(run);
        Ok(bins.into_iter().filter(|(_, n)| *n != 0).map(|((state, attempts), customers)| AttemptsBin { state, attempts, customers }).collect())
    }

    /// Rows of one customer in one run, by seq.
    pub(super) fn touches_of(&self, campaign: CampaignId, customer: CustomerId) -> impl Iterator<Item = (&TouchKey, &touch::Touch)> {
        self.touches.range(TouchKey { customer, campaign, seq: 0 }..=TouchKey { customer, campaign, seq: u32::MAX })
    }

    fn purge_rehearsal(&mut self, id: CampaignId) -> StoreResult<()> {
        let name = self.run(id)?.row.name.clone();
        if !id.is_rehearsal() {
            return Err(StoreError::Conflict(format!(
                "run {id} of {name:?} has contacted people: its ledger is kept for ever; only rehearsals are purged"
            )));
        }
        self.runs.remove(&id);
        self.touches.retain(|key, _| key.campaign != id);
        self.by_provider.retain(|_, keys| {
            keys.retain(|key| key.campaign != id);
            !keys.is_empty()
        });
        self.deadlines.retain(|(_, key)| key.campaign != id);
        self.deadline_of.retain(|key, _| key.campaign != id);
        self.batch_of.retain(|key, _| key.campaign != id);
        self.batches.retain(|_, batch| batch.campaign != id);
        self.receipts.retain(|key, _| key.is_none_or(|key| key.campaign != id));
        self.credits.retain(|key, _| key.0 != id);
        self.credits_staged.retain(|key, _| key.0 != id);
        Ok(())
    }
}
