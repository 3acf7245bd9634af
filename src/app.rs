//! The composition root: it alone knows every concrete type, and builds clock, store, channels and actors bottom-up.
pub mod bench;
pub mod carrier;
mod closing;
pub mod daemon;
pub mod demo;
mod failure;
pub mod files;
pub mod inbound;
pub mod intakes;
pub mod mappings;
pub mod oidc;
pub mod operate;
pub mod outcome;
pub mod privacy;
mod private;
pub mod rehearse;
pub mod run;
pub mod telemetry;
pub mod tls;
pub mod webhooks;
pub mod worklist;

pub use failure::Failure;

use crate::actors::running::{Route, Running};
use crate::campaign_file::{self, Known};
use crate::channels::route::RouteSpec;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::desk::{approve, revise, submit};
use crate::domain::campaign::Campaign;
use crate::domain::law::LawBook;
use crate::domain::time::Timestamp;
use crate::store::memory::MemoryStore;
use crate::store::sealing::KeySource;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{CampaignRow, Status, StatusChange, Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a command needs of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It must be there; nothing is written.
    Read,
    /// It must be there: a slip in its name is told, and leaves no empty store behind.
    Change,
    /// It is made when it is not there.
    Write,
    /// As `Write`, but commits do not wait for the disk: nobody is contacted, and a rehearsal that is lost is rehearsed again.
    Rehearse,
}

/// Everything that a command works with.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where receipts and opt-outs from outside go.
    pub ears: inbound::Ears,
}

impl App {
    /// Opens the store that the settings name.
    pub async fn open(config: Config, access: Access) -> Result<Self, Failure> {
        let store = open_store(&config.store_url(), access, privacy::key_source(&config)?).await?;
        Ok(Self { config, store, clock: Arc::new(SystemClock), ears: inbound::Ears::default() })
    }

    /// What is to be done for the store before the process ends; a store that fails then has failed before, and said so.
    pub fn rest(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            if let Err(fault) = store.rest().await {
                tracing::warn!(%fault, "the store could not be brought to rest; nothing is lost");
            }
        })
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What campaign files are checked against beside themselves.
    pub async fn known(&self) -> Result<Known, Failure> {
        let lists = self.store.lists().await?.into_iter().filter(|l| l.frozen_at.is_some()).map(|l| l.name).collect();
        Ok(Known { lists: Some(lists), ..known_routes(&self.config) })
    }

    /// Reads a campaign file against this store and these routes.
    pub async fn campaign_file(&self, path: &Path) -> Result<Campaign, Failure> {
        read_campaign(path, &self.known().await?)
    }

    /// Reads the text of a campaign file against this store and these routes. `name`: what its faults call it.
    pub async fn campaign_text(&self, name: &str, text: &str) -> Result<Campaign, Failure> {
        check_text(name, text, &self.known().await?)
    }

    /// As [`check_campaign`], of a text.
    pub fn check_campaign_text(&self, name: &str, text: &str) -> Result<Campaign, Failure> {
        check_text(name, text, &known_routes(&self.config))
    }

    /// The campaign of a run, from the file kept with it.
    pub fn campaign_of(&self, row: &CampaignRow) -> Result<Campaign, Failure> {
        campaign_file::load(&row.name, &row.source).map_err(|faults| Failure::diagnostics(&faults))
    }

    /// The configured routes as the engine knows them.
    pub async fn routes(&self) -> Result<Vec<(Route, RouteSpec)>, Failure> {
        let mut routes = Vec::new();
        for spec in &self.config.routes {
            let id = self.store.route_id(&spec.name).await?;
            routes.push((route(id, spec), spec.clone()));
        }
        Ok(routes)
    }

    /// The law of a run, with its rules under the numbers that its touches name.
    pub async fn law_of(&self, row: &CampaignRow, campaign: &Campaign) -> Result<Arc<dyn LawBook>, Failure> {
        Ok(Arc::new(approve::law_of(self.store.as_ref(), row, campaign).await?))
    }

    /// Puts a run together for the engine; what is missing for it (a route) is a failure.
    pub async fn assemble(&self, row: CampaignRow, routes: &[(Route, RouteSpec)], fence: i64) -> Result<Running, Failure> {
        let campaign = self.campaign_of(&row)?;
        let law = self.law_of(&row, &campaign).await?;
        let waves = self.store.waves(row.id).await?;
        let routes: Vec<Route> = routes.iter().map(|(r, _)| r.clone()).collect();
        Running::new(row, campaign, law, waves, &routes, fence).map_err(|faults| Failure::no(faults.join("\n")))
    }

    /// Puts a run together for the engine, and marks it running: takes up its approved revision, if there is one, and makes sure that its
    /// approval still holds. One whose approval does not is back to `Submitted` and refused.
    pub async fn running(&self, row: CampaignRow, routes: &[(Route, RouteSpec)], fence: i64, at: Timestamp) -> Result<Arc<Running>, Failure> {
        let (store, rehearsal) = (self.store.as_ref(), row.id.is_rehearsal());
        approve::ensure(store, &row, self.eyes_of(&row), at).await?;
        let row = revise::take(store, &row, |revised| self.eyes(revised, rehearsal), at).await?.unwrap_or(row);
        let mut running = self.assemble(row, routes, fence).await?;
        if matches!(running.row.status, Status::Approved | Status::Scheduled) {
            let change = StatusChange { to: Status::Running, by: "engine".to_owned(), why: "started".to_owned(), at, reason: None };
            running.row = self.store.set_status(running.id, &change).await?;
        }
        Ok(Arc::new(running))
    }
}

/// Opens a store by its URL.
pub async fn open_store(url: &str, access: Access, keys: KeySource) -> Result<Arc<dyn Store>, Failure> {
    if url == "memory:" {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(Failure::use_(format!(
            "--store: expected sqlite:PATH, found a {} store, which this version does not open",
            url.split(':').next().unwrap_or("nameless")
        )));
    };
    let path = PathBuf::from(path.trim_start_matches("//"));
    let options =
        Options { create: matches!(access, Access::Write | Access::Rehearse), durable: access != Access::Rehearse, keys, ..Options::default() };
    let opened = SqliteStore::open_with(&path, options).await.map_err(|fault| match fault {
        // What the database itself says does not name the file.
        StoreError::Unusable(text) if !text.contains(&*path.to_string_lossy()) => StoreError::Unusable(format!("{}: {text}", path.display())),
        other => other,
    });
    Ok(Arc::new(opened?))
}

fn known_routes(config: &Config) -> Known {
    Known { routes: config.routes.iter().map(|r| (r.name.clone(), r.channel)).collect(), ..Known::default() }
}

/// Reads a campaign file without a store.
pub fn check_campaign(path: &Path, config: &Config) -> Result<Campaign, Failure> {
    read_campaign(path, &known_routes(config))
}

fn read_campaign(path: &Path, known: &Known) -> Result<Campaign, Failure> {
    check_text(&path.display().to_string(), &files::read_text(path)?, known)
}

fn check_text(name: &str, text: &str, known: &Known) -> Result<Campaign, Failure> {
    let campaign = campaign_file::load_with(name, text, known).map_err(|faults| Failure::diagnostics(&faults))?;
    let law = submit::law(&campaign)?;
    let schedule = &campaign.schedule;
    let faults: Vec<_> =
        law.not_in_force(schedule.starts_at(), schedule.ends_at()).iter().map(|fault| campaign_file::fault_at(name, text, "policy", fault)).collect();
    if faults.is_empty() { Ok(campaign) } else { Err(Failure::diagnostics(&faults)) }
}

/// A configured route as the engine knows it.
fn route(id: crate::domain::ids::RouteId, spec: &RouteSpec) -> Route {
    let tariff = spec.clone();
    Route {
        id,
        name: spec.name.clone(),
        channel: spec.channel,
        limit: Some(spec.limit),
        provider: spec.provider.clone().map(|p| (p, spec.provider_limit)),
        concurrency: spec.concurrency,
        weight: spec.weight,
        idempotent: spec.is_idempotent(),
        askable: spec.kind == crate::channels::RouteKind::RemoteSimulator,
        wants_attributes: spec.replay.is_some(),
        reserve: Arc::new(move |parts| tariff.reserve_micros(parts)),
    }
}
