//! A daemon's HTTP in this process, over a store of its own, with a gate that believes what a token says.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use touchline::api::{self, Gate, House, Listening, Problem};
use touchline::app::daemon::{DaemonEnd, DaemonHandle};
use touchline::app::{Access, App};
use touchline::config::{Overrides, load};
use touchline::domain::access::{Actor, Role, Roles};
use touchline::domain::time::Timestamp;

/// A token is `NAME:ROLE,ROLE[:BRANCH[:RM]]`; `all` has every role.
struct Believer;

#[async_trait::async_trait]
impl Gate for Believer {
    async fn admit(&self, bearer: &str, _: Timestamp) -> Result<Actor, Problem> {
        let mut parts = bearer.split(':');
        let (name, roles) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let bound = |part: Option<&str>| part.filter(|p| !p.is_empty()).map(str::to_owned);
        let roles: Option<Vec<Role>> = if name == "all" { Some(Role::ALL.to_vec()) } else { roles.split(',').map(Role::from_name).collect() };
        let roles = roles.ok_or_else(|| Problem::unknown_caller("no token is known here"))?;
        Ok(Actor { roles: Roles::of(&roles), branch: bound(parts.next()), rm: bound(parts.next()), token: None, ..Actor::local(name) })
    }
}

pub struct Daemon {
    pub url: String,
    pub app: Arc<App>,
    pub folder: TempDir,
    pub engine: Option<DaemonHandle>,
    ended: Option<DaemonEnd>,
}

impl Daemon {
    /// Over `memory:` or a database in its folder; `change` has the last word on the settings.
    pub async fn open(memory: bool, change: impl FnOnce(&mut touchline::config::Config)) -> Self {
        Self::start(memory, false, change).await
    }

    /// With the resident engine; `end` it.
    pub async fn with_engine(memory: bool, change: impl FnOnce(&mut touchline::config::Config)) -> Self {
        Self::start(memory, true, change).await
    }

    /// Drains the engine.
    pub async fn end(mut self) {
        self.engine.take().unwrap().drain();
        self.ended.take().unwrap().await.unwrap().unwrap_or_else(|f| panic!("{}", f.text));
    }

    async fn start(memory: bool, engine: bool, change: impl FnOnce(&mut touchline::config::Config)) -> Self {
        // The tests' own client asks for it.
        touchline::app::tls::provider();
        let folder = TempDir::new().unwrap();
        let url = if memory { "memory:".to_owned() } else { format!("sqlite:{}", folder.path().join("store.sqlite").display()) };
        let overrides = Overrides { store_url: Some(url), data: Some(folder.path().join("data")), ..Overrides::default() };
        let mut config = load(None, &overrides).unwrap();
        change(&mut config);
        let app = Arc::new(App::open(config, Access::Write).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut house = House::new(Arc::clone(&app), Arc::new(Believer));
        let mut ended = None;
        if engine {
            let (handle, end) = Arc::clone(&app).daemon(1).await.unwrap_or_else(|f| panic!("{}", f.text));
            (house.daemon, ended) = (Some(handle), Some(end));
        }
        let engine = house.daemon.clone();
        let serving = api::start(house, listener, Listening { workers: 2, connections: 100, tls: None }).unwrap();
        Self { url: format!("http://{}", serving.address), app, folder, engine, ended }
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }
}
