//! A run in real time, to its end, on the routes configured.
use super::outcome::Outcome;
use super::rehearse::Stand;
use super::{App, Failure};
use crate::actors::conductor::Patience;
use crate::actors::hosted::{Setup, Sizes};
use crate::actors::perform::Loader;
use crate::actors::running::{Route, Running};
use crate::actors::shell::{self, Engine};
use crate::channels::route::RouteSpec;
use crate::channels::{self, Carrier};
use crate::clock::sleep_ms;
use crate::desk::approve::{self, Eyes};
use crate::desk::control::is_held;
use crate::desk::submit;
use crate::domain::campaign::Campaign;
use crate::domain::ids::RouteId;
use crate::domain::time::SECOND;
use crate::store::{CampaignRow, RevisionStatus, Status, StoreError};
use std::collections::HashMap;
use std::sync::Arc;

/// How often an operator's wish (pause, stop) from another process is read.
const POLL_MS: i64 = 500;
/// How long a drain waits for touches in flight.
const DRAIN_MS: i64 = 30 * SECOND;
/// How often progress is shown.
const SHOW_MS: u64 = 200;

/// What makes an engine resident: it stays when no campaign is left.
pub(super) struct Resident {
    /// Finds definitions of runs that it does not hold, for their receipts.
    pub(super) load: Loader,
    /// How long a drain waits for touches in flight, in milliseconds.
    pub(super) drain_ms: i64,
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Campaign files.
    pub files: &'a [Campaign],
    /// Names of runs that were approved before.
    pub names: &'a [String],
    /// In whose name files are handed in.
    pub by: &'a str,
}

impl App {
    /// The engine's sizes by the settings.
    pub fn sizes(&self) -> Sizes {
        let of = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Sizes { batch: of(self.config.engine.batch), credit: of(self.config.engine.credit), due_grain_ms: 1 }
    }

    /// Submits campaigns in the caller's name, and approves those that contact nobody; what contacts people must have been approved by
    /// another. The same file handed in again gives the run that it has: an unfinished
    /// one goes on, also past its end (what is left is then called off); one that has ended stays so. Whoever restarts a process
    /// that was killed, at whatever moment, contacts nobody a second time.
    pub async fn enter(&self, campaigns: &[Campaign], by: &str) -> Result<Vec<CampaignRow>, Failure> {
        let now = self.now();
        let mut rows = Vec::new();
        for campaign in campaigns {
            let known = match self.store.campaign(&campaign.name, Some(false)).await {
                Ok(row) => Some(row).filter(|row| row.hash == campaign.hash()),
                Err(StoreError::NotFound { .. }) => None,
                Err(other) => return Err(other.into()),
            };
            let ends_at = campaign.schedule.ends_at();
            let row = match known {
                Some(row) => row,
                None if ends_at <= now => {
                    return Err(Failure::no(format!(
                        "campaign {}: it ended at {ends_at}; nothing is sent after a campaign's end. Give it a later schedule.end, or rehearse it: touchline rehearse",
                        campaign.name
                    )));
                }
                None => self.handed_in(campaign, by).await?,
            };
            if row.status.is_closed() {
                tracing::warn!(
                    "campaign {} version {} of this very file is {}: nobody is contacted again. To contact its audience once more, make a new \
                     version of it: touchline campaign submit, approve it, touchline run {}",
                    row.name,
                    row.label(),
                    row.status,
                    row.name
                );
            }
            rows.push(match self.eyes(campaign, false) {
                Eyes::Two => approve::approve_alone(self.store.as_ref(), &row, by, "run", now).await?,
                Eyes::Four if row.status == Status::Submitted => return Err(approve::not_approved(self.store.as_ref(), &row).await?.into()),
                Eyes::Four => row,
            });
        }
        Ok(rows)
    }

    async fn handed_in(&self, campaign: &Campaign, by: &str) -> Result<CampaignRow, Failure> {
        let submitted = submit::submit(self.store.as_ref(), campaign, false, by, self.now()).await?;
        match submitted.revision {
            Some(revision) if self.eyes(campaign, false) == Eyes::Four && revision.status == RevisionStatus::Open => Err(Failure::no(format!(
                "campaign {} version {} is {}; the file was handed in as revision {} of it, which another person must approve: touchline campaign \
                 approve {} --hash {}; then: touchline run {}",
                campaign.name,
                submitted.campaign.label(),
                submitted.campaign.status,
                revision.number,
                campaign.name,
                submitted.seal.short(),
                campaign.name
            ))),
            _ => Ok(submitted.campaign),
        }
    }

    /// Runs campaigns to their end, or until `interrupt` comes true (then it drains): files are handed in, `names` are runs that were
    /// approved before. `watch` sees each a few times a second. Afterwards each is attributed, exported and mailed as its `finance`
    /// section says. Another process that is sending is told before anything is written.
    pub async fn run(
        &self,
        wanted: &Wanted<'_>,
        seed: u64,
        interrupt: impl Future<Output = ()>,
        mut watch: impl FnMut(&CampaignRow, Stand),
    ) -> Result<Vec<(CampaignRow, Outcome)>, Failure> {
        let fence = self.store.acquire(false, self.now()).await?;
        let ended = self.enter_and_run(wanted, fence, seed, interrupt, &mut watch).await;
        let released = self.store.release(fence).await;
        // The engine's own fault first: what fails after it mostly fails of it.
        let rows = ended?;
        released?;
        let mut outcomes = Vec::new();
        for row in rows {
            let had_ended = row.status.is_closed();
            let row = self.store.campaign_by_id(row.id).await?;
            let mut outcome = self.outcome(&row, self.now()).await?;
            // A run that had ended before is exported only if whoever ended it did not come to that.
            if row.status.is_closed() && (!had_ended || self.store.exports(row.id).await?.is_empty()) {
                self.finance(&row, &self.exports_folder(), &mut outcome).await?;
            }
            outcomes.push((row, outcome));
        }
        Ok(outcomes)
    }

    async fn enter_and_run(
        &self,
        wanted: &Wanted<'_>,
        fence: i64,
        seed: u64,
        interrupt: impl Future<Output = ()>,
        watch: &mut impl FnMut(&CampaignRow, Stand),
    ) -> Result<Vec<CampaignRow>, Failure> {
        let mut rows = self.enter(wanted.files, wanted.by).await?;
        for name in wanted.names {
            rows.push(self.approved(name).await?);
        }
        for row in rows.iter().filter(|row| is_held(row)) {
            tracing::warn!("{} is paused: nothing is begun until `touchline campaign resume {} --why TEXT`", row.name, row.name);
        }
        self.engine(&rows, fence, seed, interrupt, watch).await?;
        Ok(rows)
    }

    async fn engine(
        &self,
        rows: &[CampaignRow],
        fence: i64,
        seed: u64,
        interrupt: impl Future<Output = ()>,
        watch: &mut impl FnMut(&CampaignRow, Stand),
    ) -> Result<(), Failure> {
        let Engine { handle, ended } = self.start_engine(rows, fence, seed).await?;
        // Results that another process (or the one before) has put into the store are told to this engine.
        let keeper = self.keep_worklist(handle.clone());
        tokio::pin!(keeper);
        tokio::pin!(interrupt, ended);
        let mut interrupted = false;
        loop {
            tokio::select! {
                end = &mut ended => {
                    return match end {
                        Ok(Ok(())) => Ok(()),
                        Ok(Err(text)) => Err(Failure::reach(text)),
                        Err(_) => Err(Failure::reach("the engine ended without a word; the ledger is safe: run the command again")),
                    };
                }
                () = &mut keeper => {}
                () = &mut interrupt, if !interrupted => {
                    interrupted = true;
                    handle.drain();
                }
                () = sleep_ms(SHOW_MS) => {
                    for row in rows {
                        watch(row, self.stand(row, self.now()).await?);
                    }
                }
            }
        }
    }

    /// Puts an engine together and starts it, on the carriers configured.
    pub async fn start_engine(&self, rows: &[CampaignRow], fence: i64, seed: u64) -> Result<Engine, Failure> {
        let tasks = self.task_sink();
        self.start_engine_on(rows, fence, |spec, id| channels::build(spec, id, seed, &tasks, &self.clock)).await
    }

    /// Puts an engine together and starts it, on carriers of the caller's.
    pub async fn start_engine_on(
        &self,
        rows: &[CampaignRow],
        fence: i64,
        carrier: impl Fn(&RouteSpec, RouteId) -> Arc<dyn Carrier>,
    ) -> Result<Engine, Failure> {
        let all = self.routes().await?;
        let mut running: Vec<Arc<Running>> = Vec::new();
        for row in rows {
            let row = self.store.campaign_by_id(row.id).await?;
            if row.status.is_closed() {
                continue;
            }
            running.push(self.running(row, &all, fence, self.now()).await?);
        }
        let used: Vec<RouteId> = running.iter().flat_map(|r| r.all_routes()).collect();
        let routes: Vec<(Route, RouteSpec)> = all.into_iter().filter(|(r, _)| used.contains(&r.id)).collect();
        self.put_together(routes, running, fence, None, carrier)
    }

    /// An engine on these routes.
    pub(super) fn put_together(
        &self,
        routes: Vec<(Route, RouteSpec)>,
        campaigns: Vec<Arc<Running>>,
        fence: i64,
        resident: Option<Resident>,
        carrier: impl Fn(&RouteSpec, RouteId) -> Arc<dyn Carrier>,
    ) -> Result<Engine, Failure> {
        let carriers: HashMap<RouteId, Arc<dyn Carrier>> = routes.iter().map(|(r, spec)| (r.id, carrier(spec, r.id))).collect();
        let setup = Setup {
            store: Arc::clone(&self.store),
            routes: routes.into_iter().map(|(r, _)| r).collect(),
            campaigns,
            fence,
            patience: Patience { poll_ms: POLL_MS, drain_ms: resident.as_ref().map_or(DRAIN_MS, |r| r.drain_ms) },
            linger_ms: i64::from(self.config.engine.linger_ms),
            janitor_ms: i64::from(self.config.engine.janitor_ms),
            sizes: match resident {
                // Requests wait for the transaction that is under way.
                Some(_) => Sizes { batch: self.sizes().batch.min(usize::try_from(self.config.serve.engine_batch).unwrap_or(1)), ..self.sizes() },
                None => self.sizes(),
            },
            resident: resident.is_some(),
            load: resident.map(|r| r.load),
        };
        shell::start(setup, carriers, Arc::clone(&self.clock)).map_err(|e| Failure::reach(format!("the engine could not be started: {e}")))
    }
}
