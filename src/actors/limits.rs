//! The limits that a touch must pass at the moment of sending, narrow to wide: campaign, route, provider.
//! (The customer's own caps are asked in the transaction that commits `Started`.)
use crate::domain::campaign::Rate;
use crate::domain::ids::{CampaignId, RouteId};
use crate::domain::pacing::{self, Pacer};
use crate::domain::time::Timestamp;
use std::collections::HashMap;
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

/// All pacers of the process. Channels share it, since a campaign may use several routes and a provider may have several.
#[derive(Clone, Debug)]
pub struct Limits {
    pacers: Arc<Mutex<HashMap<LimitOf, Pacer>>>,
    others_until: Option<Timestamp>,
}

impl Limits {
    /// None yet; `others_until`: an earlier process may have sent until then.
    pub fn new(others_until: Option<Timestamp>) -> Self {
        Self { pacers: Arc::default(), others_until }
    }
    /// Sets a limit; one that stands already keeps its memory of what was sent.
    pub fn set(&self, whose: LimitOf, rate: Rate) {
        let new = || self.others_until.map_or_else(|| Pacer::new(rate), |until| Pacer::after(rate, until));
        self.pacers.lock().unwrap_or_else(PoisonError::into_inner).entry(whose).or_insert_with(new);
    }
    /// Takes touches (`units`: their parts) through every limit named that is set; see [`pacing::take`].
    pub fn take(&self, at: Timestamp, whose: &[LimitOf], units: impl IntoIterator<Item = u16>) -> (usize, Option<Timestamp>) {
        let mut all = self.pacers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pacers: Vec<(usize, &mut Pacer)> =
            all.iter_mut().filter_map(|(of, pacer)| whose.iter().position(|w| w == of).map(|place| (place, pacer))).collect();
        pacers.sort_by_key(|(place, _)| *place);
        let mut pacers: Vec<&mut Pacer> = pacers.into_iter().map(|(_, pacer)| pacer).collect();
        pacing::take(&mut pacers, at, units)
    }
}
