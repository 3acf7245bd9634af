//! The limits that a touch must pass at the moment of sending, narrow to wide: campaign, route, provider.
//! (The customer's own caps are asked in the transaction that commits `Started`.)
use super::running::Route;
use crate::channels::Dispatch;
use crate::domain::campaign::Rate;
use crate::domain::ids::{CampaignId, RouteId};
use crate::domain::pacing::{self, Pacer};
use crate::domain::time::Timestamp;
use crate::store::SentParts;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Whose limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitOf {
    /// A campaign's, over all its routes.
    Campaign(CampaignId),
    /// A route's.
    Route(RouteId),
    /// A provider account's, over all its routes.
    Provider(String),
}

/// Whose limits the touches of a batch have been taken through, each with their units.
pub fn units(route: &Route, batch: &[Dispatch]) -> Vec<(LimitOf, u64)> {
    let mut by_campaign: BTreeMap<CampaignId, u64> = BTreeMap::new();
    for dispatch in batch {
        *by_campaign.entry(dispatch.touch.campaign).or_insert(0) += u64::from(dispatch.parts.max(1));
    }
    let all = by_campaign.values().sum();
    let provider = route.provider.as_ref().map(|(name, _)| (LimitOf::Provider(name.clone()), all));
    let campaigns = by_campaign.into_iter().map(|(id, n)| (LimitOf::Campaign(id), n));
    campaigns.chain([(LimitOf::Route(route.id), all)]).chain(provider).collect()
}

/// All pacers of the process. Channels share it, since a campaign may use several routes and a provider may have several.
#[derive(Clone, Debug, Default)]
pub struct Limits(Arc<Mutex<HashMap<LimitOf, Pacer>>>);

impl Limits {
    /// Sets a limit; one that stands already keeps its memory of what was sent.
    pub fn set(&self, whose: LimitOf, rate: Rate) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(whose).or_insert_with(|| Pacer::new(rate));
    }
    /// Sets a limit that may have been another before; `None`: no limit any more. What it remembers of the old one's window counts in
    /// the new one, so that a change makes no burst; `past` is what the ledger knows, oldest first, for a window that is longer.
    pub fn revise(&self, at: Timestamp, whose: LimitOf, rate: Option<Rate>, past: impl Iterator<Item = (Timestamp, u64)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = rate else {
            all.remove(&whose);
            return;
        };
        match all.entry(whose) {
            Entry::Occupied(mut known) => known.get_mut().change(at, rate, past),
            Entry::Vacant(free) => free.insert(Pacer::unknowing(rate)).change(at, rate, past),
        }
    }
    /// A campaign's limit has changed, or is set for one that may have sent before.
    pub fn of_campaign(&self, at: Timestamp, id: CampaignId, rate: Option<Rate>, past: &[SentParts]) {
        let own = past.iter().filter(|sent| sent.campaign == id).map(|sent| (sent.at, sent.parts));
        self.revise(at, LimitOf::Campaign(id), rate, own);
    }
    /// Counts what was sent before this process began, oldest first. With `hold` the last moments are not known exactly (what is
    /// started is sent some moments later): a limit holds from `at` on for its span, as long as that is a minute at most.
    pub fn resume(&self, at: Timestamp, whose: &LimitOf, sent: impl Iterator<Item = (Timestamp, u64)>, hold: bool) {
        if let Some(pacer) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(whose) {
            pacer.resume(at, sent, hold);
        }
    }
    /// Touches that were taken are handed over to their carrier, at `at` at the latest.
    pub fn handed_over(&self, at: Timestamp, units: &[(LimitOf, u64)]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (whose, units) in units {
            if let Some(pacer) = all.get_mut(whose) {
                pacer.handed_over(at, *units);
            }
        }
    }
    /// Takes touches (`units`: their parts) through every limit named that is set; see [`pacing::take`].
    pub fn take(&self, at: Timestamp, whose: &[LimitOf], units: impl IntoIterator<Item = u16>) -> (usize, Option<Timestamp>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pacers: Vec<(usize, &mut Pacer)> =
            all.iter_mut().filter_map(|(of, pacer)| whose.iter().position(|w| w == of).map(|place| (place, pacer))).collect();
        pacers.sort_by_key(|(place, _)| *place);
        let mut pacers: Vec<&mut Pacer> = pacers.into_iter().map(|(_, pacer)| pacer).collect();
        pacing::take(&mut pacers, at, units)
    }
}
