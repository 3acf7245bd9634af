//! The resident engine of `touchline serve`: it owns the store's fence, takes up every run that is to be run, lets runs go on by their
//! new versions, closes what nobody holds, and sees to attribution, exports and mail when a run has ended.
//!
//! `touchline serve` starts it with [`App::daemon`], speaks to it by its [`DaemonHandle`], and waits for its end.
use super::closing::Closing;
use super::run::Resident;
use super::{App, Failure};
use crate::actors::perform::Loader;
use crate::actors::running::{Route, Running};
use crate::actors::shell::{Engine, EngineHandle};
pub use crate::actors::standing::{Phase, RouteLoad, RouteStanding, Standing};
pub use crate::channels::Receipt;
use crate::channels::route::RouteSpec;
use crate::channels::{self, Carrier, CarrierEvent};
use crate::clock::sleep_ms;
use crate::desk::control;
use crate::domain::ids::{CampaignId, CustomerId, RouteId};
use crate::domain::time::{MINUTE, SECOND, Timestamp};
use crate::store::{CampaignRow, Status, StoreError, Wanted};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// How often it looks for runs to take up, in milliseconds.
const LOOK_MS: u64 = 500;
/// A run that could not be put together is tried again after so many milliseconds, or when somebody nudges.
const TRY_AGAIN_MS: i64 = MINUTE;
/// A run is taken up so long before its start, in milliseconds: the first wave is on time.
const EARLY_MS: i64 = SECOND;
/// When it ends it waits so long for the exports that are under way, in milliseconds.
const EXPORTS_MS: u64 = 30_000;

/// Why a run is not run, or not exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Which run.
    pub campaign: CampaignId,
    /// Its name.
    pub name: String,
    /// What is wrong, and what to do.
    pub what: String,
    /// When it was found last.
    #[serde(with = "crate::domain::time::iso")]
    pub at: Timestamp,
}

/// How a daemon stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DaemonStanding {
    /// Its engine: what it holds, and what a drain waits for.
    pub engine: Standing,
    /// Runs that are being attributed and exported, or wait for it.
    pub closing: Vec<CampaignId>,
    /// Runs that something is wrong with; the others go on.
    pub troubles: Vec<Trouble>,
}

impl DaemonStanding {
    /// Whether it is at work: what a crash left is settled, and it is not on its way to its end.
    pub fn is_ready(&self) -> bool {
        self.engine.phase == Phase::Running
    }
}

impl std::fmt::Display for DaemonStanding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.engine.fmt(f)?;
        if !self.closing.is_empty() {
            write!(f, "; runs being exported: {}", self.closing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// What a daemon and its handles share.
#[derive(Default)]
pub(super) struct Shared {
    nudge: Notify,
    nudged: Mutex<bool>,
    troubles: Mutex<BTreeMap<CampaignId, Trouble>>,
    pub(super) closing: Mutex<Vec<CampaignId>>,
}

impl Shared {
    /// Logs a trouble when it is new, and keeps it to be shown.
    pub(super) fn trouble(&self, row: &CampaignRow, what: String, at: Timestamp) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.get(&row.id).is_none_or(|known| known.what != what) {
            tracing::error!(campaign = %row.name, version = row.version, "{what}");
        }
        troubles.insert(row.id, Trouble { campaign: row.id, name: row.name.clone(), what, at });
    }
    pub(super) fn no_trouble(&self, id: CampaignId) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
    fn take_nudged(&self) -> bool {
        std::mem::take(&mut *self.nudged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running daemon, to whoever speaks to it.
#[derive(Clone)]
pub struct DaemonHandle {
    engine: EngineHandle,
    shared: Arc<Shared>,
}

impl DaemonHandle {
    /// Something has changed (an approval, a start, a stop, a revision): look at once.
    pub fn nudge(&self) {
        *self.shared.nudged.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.nudge.notify_one();
    }
    /// End in order: begin nothing more, give back what is not sent, wait for what is.
    pub fn drain(&self) {
        self.engine.drain();
    }
    /// Receipts that a provider posted to us.
    pub fn receipts(&self, route: RouteId, receipts: Vec<Receipt>) {
        self.report(route, receipts.into_iter().map(CarrierEvent::Receipt).collect());
    }
    /// What a provider says by another way than its carrier.
    pub fn report(&self, route: RouteId, events: Vec<CarrierEvent>) {
        self.engine.report(route, events);
    }
    /// These customers have opted out (or are met by their RM), and that is committed: nothing that is not yet with a carrier goes to
    /// them. Cheap; call it after every commit of consents or suppressions that came from outside, with the customers concerned.
    pub fn withdrawn(&self, customers: impl IntoIterator<Item = CustomerId>) {
        self.engine.withdrawn(customers);
    }
    /// Whether a run is held by the engine.
    pub fn is_running(&self, id: CampaignId) -> bool {
        self.engine.is_running(id)
    }
    /// How it stands.
    pub fn standing(&self) -> DaemonStanding {
        let closing = self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        DaemonStanding { engine: self.engine.standing(), closing, troubles }
    }
}

/// The end of a daemon: in order after a drain, or with the fault that ended its engine (the service manager starts it again).
pub type DaemonEnd = JoinHandle<Result<(), Failure>>;

impl App {
    /// Takes the store's fence and starts the resident engine on the routes configured. What a process before it has left is settled
    /// first, and half-finished campaigns go on. Another process that is sending is a failure.
    pub async fn daemon(self: Arc<Self>, seed: u64) -> Result<(DaemonHandle, DaemonEnd), Failure> {
        let (tasks, clock) = (self.task_sink(), Arc::clone(&self.clock));
        self.daemon_on(move |spec, id| channels::build(spec, id, seed, &tasks, &clock)).await
    }

    /// The same on carriers of the caller's.
    pub async fn daemon_on(self: Arc<Self>, carrier: impl Fn(&RouteSpec, RouteId) -> Arc<dyn Carrier>) -> Result<(DaemonHandle, DaemonEnd), Failure> {
        let fence = self.store.acquire(false, self.now()).await?;
        match Daemon::start(Arc::clone(&self), fence, carrier).await {
            Ok(started) => Ok(started),
            Err(failure) => {
                self.store.release(fence).await?;
                Err(failure)
            }
        }
    }
}

/// A run as the daemon last saw it.
struct Seen {
    hash: String,
    /// When to take it up, or to try again.
    at: Timestamp,
}

/// The resident engine and what is around it.
pub struct Daemon {
    app: Arc<App>,
    engine: EngineHandle,
    fence: i64,
    routes: Vec<(Route, RouteSpec)>,
    shared: Arc<Shared>,
    /// Runs in the engine, each with the hash of the version that it goes by.
    held: BTreeMap<CampaignId, String>,
    /// Runs that wait for their start, or for somebody to mend what is wrong with them.
    waiting: BTreeMap<CampaignId, Seen>,
    closed: mpsc::UnboundedSender<CampaignId>,
}

impl Daemon {
    async fn start(
        app: Arc<App>,
        fence: i64,
        carrier: impl Fn(&RouteSpec, RouteId) -> Arc<dyn Carrier>,
    ) -> Result<(DaemonHandle, DaemonEnd), Failure> {
        let routes = app.routes().await?;
        let shared = Arc::new(Shared::default());
        let (mut campaigns, mut held) = (Vec::new(), BTreeMap::new());
        // Those that were under way are there from the first moment: the limits of routes must know that they have sent.
        for row in app.store.open_runs().await? {
            if is_under_way(row.status) && row.wanted != Wanted::Stop {
                match app.running(row.clone(), &routes, fence, app.now()).await {
                    Ok(running) => {
                        held.insert(row.id, running.row.hash.clone());
                        campaigns.push(running);
                    }
                    Err(failure) => shared.trouble(&row, failure.text, app.now()),
                }
            }
        }
        let drain_ms = i64::from(app.config.serve.drain_s) * SECOND;
        let Engine { handle, ended } =
            app.put_together(routes.clone(), campaigns, fence, Some(Resident { load: loader(&app, fence), drain_ms }), carrier)?;
        let (closed, queue) = mpsc::unbounded_channel();
        let worklist = tokio::spawn(app.keep_worklist(handle.clone()));
        let closing = tokio::spawn(Closing::new(Arc::clone(&app), Arc::clone(&shared), queue).run());
        let forgetting = tokio::spawn(super::privacy::forget_daily(Arc::clone(&app)));
        let daemon = Self { app, engine: handle.clone(), fence, routes, shared: Arc::clone(&shared), held, waiting: BTreeMap::new(), closed };
        let end = tokio::spawn(async move {
            let end = daemon.run(ended, closing, worklist).await;
            forgetting.abort();
            end
        });
        Ok((DaemonHandle { engine: handle, shared }, end))
    }

    async fn run(
        mut self,
        ended: tokio::sync::oneshot::Receiver<Result<(), String>>,
        mut closing: JoinHandle<()>,
        worklist: JoinHandle<()>,
    ) -> Result<(), Failure> {
        tokio::pin!(ended);
        let end = loop {
            let end = tokio::select! {
                end = &mut ended => Some(end),
                () = self.shared.nudge.notified() => None,
                () = sleep_ms(LOOK_MS) => None,
            };
            match end {
                Some(Ok(Ok(()))) => break Ok(()),
                Some(Ok(Err(text))) => break Err(Failure::reach(text)),
                Some(Err(_)) => break Err(Failure::reach("the engine ended without a word; the ledger is safe: start the daemon again")),
                None if self.engine.standing().phase.is_draining() => {}
                None => {
                    if let Err(failure) = self.look().await {
                        tracing::error!("runs could not be looked after, and will be in a moment: {}", failure.text);
                    }
                }
            }
        };
        worklist.abort();
        let Self { app, fence, closed, shared, held, .. } = self;
        // What has ended in the last moment is closed too; what is left is done at the next start.
        for id in held.into_keys() {
            if app.store.campaign_by_id(id).await.is_ok_and(|row| row.status.is_closed()) {
                let _ = closed.send(id);
            }
        }
        drop(closed);
        if end.is_ok() {
            tokio::select! {
                _ = &mut closing => {}
                () = sleep_ms(EXPORTS_MS) => {
                    let left = shared.closing.lock().unwrap_or_else(PoisonError::into_inner).len();
                    tracing::warn!(runs = left, "exports took too long to be waited for; they are made at the next start");
                }
            }
        }
        closing.abort();
        let released = app.store.release(fence).await;
        // The engine's own fault first: what fails after it mostly fails of it.
        end?;
        Ok(released?)
    }

    /// One look at everything: what is to be taken up, what has a new version, what has ended.
    async fn look(&mut self) -> Result<(), Failure> {
        if self.shared.take_nudged() {
            self.waiting.clear();
        }
        for row in self.app.store.open_runs().await? {
            let looked = if self.engine.is_running(row.id) { self.look_at_held(row.clone()).await } else { self.look_at_free(&row).await };
            match looked {
                Ok(()) => {}
                // The store is the house's; everything else is this run's own trouble.
                Err(failure) if failure.code == 3 => return Err(failure),
                Err(failure) => {
                    self.shared.trouble(&row, failure.text, self.app.now());
                    self.waiting.insert(row.id, Seen { hash: row.hash, at: self.app.now().plus(TRY_AGAIN_MS) });
                }
            }
        }
        let gone: Vec<CampaignId> = self.held.keys().copied().filter(|id| !self.engine.is_running(*id)).collect();
        for id in gone {
            let row = self.app.store.campaign_by_id(id).await?;
            self.held.remove(&id);
            if row.status.is_closed() {
                self.close(id);
            }
        }
        Ok(())
    }

    fn close(&self, id: CampaignId) {
        self.shared.no_trouble(id);
        self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        let _ = self.closed.send(id);
    }

    async fn look_at_held(&mut self, row: CampaignRow) -> Result<(), Failure> {
        let Some(known) = self.held.get(&row.id) else { return Ok(()) };
        if !is_to_be_run(row.status) && !row.status.is_closed() {
            // Its approval is void: it waits for another, and what is with a carrier is awaited.
            tracing::warn!(campaign = %row.name, status = %row.status, "let go: it is not approved any more");
            self.held.remove(&row.id);
            self.engine.release(row.id);
            return Ok(());
        }
        if let Some(revision) = self.app.store.approved_revision(row.id).await? {
            if self.waiting.get(&row.id).is_some_and(|seen| seen.hash == revision.hash && self.app.now() < seen.at) {
                return Ok(());
            }
            // What cannot be run is not taken up: the run goes on as it is.
            let preview = CampaignRow { source: revision.source, hash: revision.hash.clone(), ..row.clone() };
            if let Err(failure) = self.app.assemble(preview, &self.routes, self.fence).await {
                let what = format!("revision {} cannot be taken up, and the run goes on as it is: {}", revision.number, failure.text);
                self.shared.trouble(&row, what, self.app.now());
                self.waiting.insert(row.id, Seen { hash: revision.hash, at: self.app.now().plus(TRY_AGAIN_MS) });
                return Ok(());
            }
        } else if *known == row.hash {
            return Ok(());
        }
        let id = row.id;
        if let Some(hash) = self.take_revision(row).await? {
            self.held.insert(id, hash);
        }
        self.waiting.remove(&id);
        Ok(())
    }

    /// Lets a run that is held go on by its approved revision, or by the version that `row` bears; gives the hash of what it goes by.
    /// `None`: it goes on as it is, since the revision's approval does not hold any more.
    pub async fn take_revision(&self, row: CampaignRow) -> Result<Option<String>, Failure> {
        let id = row.id;
        let running = self.app.running(row, &self.routes, self.fence, self.app.now()).await?;
        let hash = running.row.hash.clone();
        if self.held.get(&id) == Some(&hash) {
            return Ok(None);
        }
        self.engine.revise(running);
        self.shared.no_trouble(id);
        Ok(Some(hash))
    }

    async fn look_at_free(&mut self, row: &CampaignRow) -> Result<(), Failure> {
        let now = self.app.now();
        // Read again, now that it is known to be free: it may have come to its end a moment ago.
        let row = self.app.store.campaign_by_id(row.id).await?;
        if row.status.is_closed() {
            return Ok(());
        }
        if row.wanted == Wanted::Stop {
            control::close_stopped(self.app.store.as_ref(), self.fence, row.id, "engine", "wanted stopped", now).await?;
            self.close(row.id);
            return Ok(());
        }
        if !is_to_be_run(row.status) || self.waiting.get(&row.id).is_some_and(|seen| seen.hash == row.hash && now < seen.at) {
            return Ok(());
        }
        // Faults are told at once, not only when it is to start.
        let running = self.app.assemble(row, &self.routes, self.fence).await?;
        let (row, starts_at) = (&running.row, running.starts_at);
        self.shared.no_trouble(row.id);
        if !is_under_way(row.status) && now < starts_at.plus(-EARLY_MS) {
            self.waiting.insert(row.id, Seen { hash: row.hash.clone(), at: starts_at.plus(-EARLY_MS) });
            return Ok(());
        }
        let running = self.app.running(row.clone(), &self.routes, self.fence, now).await?;
        self.waiting.remove(&running.id);
        self.held.insert(running.id, running.row.hash.clone());
        self.engine.adopt(running);
        Ok(())
    }
}

/// Whether the engine holds runs of this status.
fn is_to_be_run(status: Status) -> bool {
    // An approved run waits for an operator to start it.
    status == Status::Scheduled || is_under_way(status)
}

/// Whether a run of this status has begun.
fn is_under_way(status: Status) -> bool {
    matches!(status, Status::Running | Status::Paused)
}

/// Definitions of runs that the engine does not hold, for receipts that still come for them.
fn loader(app: &Arc<App>, fence: i64) -> Loader {
    let app = Arc::clone(app);
    Arc::new(move |id| {
        let app = Arc::clone(&app);
        Box::pin(async move {
            let row = match app.store.campaign_by_id(id).await {
                Ok(row) => row,
                Err(StoreError::NotFound { .. }) => return Ok(None),
                Err(other) => return Err(other),
            };
            let Ok(campaign) = app.campaign_of(&row) else { return Ok(None) };
            let Ok(law) = app.law_of(&row, &campaign).await else { return Ok(None) };
            Ok(Some(Arc::new(Running::at_rest(row, campaign, law, fence))))
        })
    })
}
