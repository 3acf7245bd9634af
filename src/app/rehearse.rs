//! A rehearsal: the whole campaign in virtual time against simulated carriers. Same engine, same laws, same ledger; nobody is contacted.
use super::outcome::Outcome;
use super::{App, Failure};
use crate::actors::conductor::Patience;
use crate::actors::hosted::{Setup, Sizes};
use crate::actors::running::Route;
use crate::actors::world::{End, VirtualCarrier, World};
use crate::channels::route::RouteSpec;
use crate::channels::simulator::Simulator;
use crate::channels::{CarrierEvent, Dispatch};
use crate::clock::monotonic;
use crate::desk::{approve, submit};
use crate::domain::campaign::Campaign;
use crate::domain::ids::RouteId;
use crate::domain::tally::Tally;
use crate::domain::time::{DAY, HOUR, Timestamp};
use crate::domain::touch::State;
use crate::store::CampaignRow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Outcomes wait so long for company in virtual time, in milliseconds: fewer, larger commits.
const LINGER_MS: i64 = 1_000;
/// What falls due within a second of virtual time is begun together: the retries of a large campaign come in thousands of
/// instants, and a transaction for each of them is most of the work of a rehearsal.
const DUE_GRAIN_MS: i64 = 1_000;
/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

struct Rehearsed(Simulator);

impl VirtualCarrier for Rehearsed {
    fn answer(&mut self, dispatch: &Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>) {
        self.0.answer_into(dispatch, at, out);
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Stand {
    /// What time it is for the campaign.
    pub at: Timestamp,
    /// Customers in a closed state.
    pub closed: i64,
    /// Customers in the audience.
    pub audience: i64,
    /// Attempts so far.
    pub attempts: i64,
    /// Customers reached.
    pub reached: i64,
}

impl Stand {
    /// Two runs together.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            at: self.at.max(other.at),
            closed: self.closed + other.closed,
            audience: self.audience + other.audience,
            attempts: self.attempts + other.attempts,
            reached: self.reached + other.reached,
        }
    }
}

impl App {
    /// How far a run has come by its tallies.
    pub async fn stand(&self, row: &CampaignRow, at: Timestamp) -> Result<Stand, Failure> {
        let tallies = self.store.tallies(row.id).await?;
        let closed = tallies.customers(row.audience).into_iter().filter(|(state, _)| state.is_closed()).map(|(_, n)| n).sum();
        let attempts = tallies.of(Tally::AttemptsByChannel).map(|(_, n)| n).sum();
        let reached = tallies.get(Tally::Customers, i64::from(State::Reached.code()));
        Ok(Stand { at, closed, audience: row.audience, attempts, reached })
    }

    /// Rehearses a campaign from its start to its end. `watch` is called a few times a second.
    pub async fn rehearse(&self, campaign: &Campaign, seed: u64, mut watch: impl FnMut(Stand)) -> Result<(CampaignRow, Outcome), Failure> {
        let starts_at = campaign.schedule.starts_at();
        let submitted = submit::submit(self.store.as_ref(), campaign, true, "rehearsal", starts_at).await?;
        let row = approve::approve_alone(self.store.as_ref(), &submitted.campaign, "rehearsal", "rehearsal", starts_at).await?;
        let fence = self.store.acquire(false, self.now()).await?;
        let end = self.in_virtual_time(&row, fence, seed, starts_at, &mut watch).await;
        self.store.release(fence).await?;
        let ended_at = end?;
        let row = self.store.campaign_by_id(row.id).await?;
        watch(self.stand(&row, ended_at).await?);
        let outcome = self.outcome(&row, ended_at).await?;
        Ok((row, outcome))
    }

    async fn in_virtual_time(
        &self,
        row: &CampaignRow,
        fence: i64,
        seed: u64,
        starts_at: Timestamp,
        watch: &mut impl FnMut(Stand),
    ) -> Result<Timestamp, Failure> {
        let routes = self.routes().await?;
        let running = self.running(row.clone(), &routes, fence, starts_at).await?;
        let used = running.all_routes();
        let routes: Vec<(Route, RouteSpec)> = routes.into_iter().filter(|(r, _)| used.contains(&r.id)).collect();
        let carriers: HashMap<RouteId, Box<dyn VirtualCarrier>> =
            routes.iter().map(|(r, spec)| (r.id, Box::new(Rehearsed(Simulator::new(spec, r.id, seed))) as Box<dyn VirtualCarrier>)).collect();
        let setup = Setup {
            store: Arc::clone(&self.store),
            routes: routes.into_iter().map(|(r, _)| r).collect(),
            campaigns: vec![running],
            fence,
            // Nobody can wish anything in a time that is over before the wish is written.
            patience: Patience { poll_ms: 10_000 * DAY, drain_ms: 10_000 * DAY },
            linger_ms: LINGER_MS,
            janitor_ms: HOUR,
            sizes: Sizes { due_grain_ms: DUE_GRAIN_MS, ..self.sizes() },
            resident: false,
            load: None,
        };
        let mut world = World::new(&setup, carriers, starts_at);
        let mut shown = monotonic();
        let end = world
            .run(None, async |at, step| {
                if step % 64 == 0 && shown.elapsed() >= SHOW_EVERY {
                    shown = monotonic();
                    if let Ok(stand) = self.stand(row, at).await {
                        watch(stand);
                    }
                }
            })
            .await;
        match end {
            End::Done(at) => Ok(at),
            End::Cut(at) => Err(Failure::no(format!("the rehearsal was cut off at {at}"))),
            End::Fault(text) => Err(Failure::reach(text)),
        }
    }
}
