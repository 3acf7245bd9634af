//! The scene of `bench api`: a campaign that runs at full speed, and a worklist beside it. The command brings server and requests.
use super::{CAMPAIGN, Scratch, fill};
use crate::app::{Access, App, Failure};
use crate::campaign_file;
use crate::channels::route::RouteSpec;
use crate::channels::simulator::profile::ProfileRef;
use crate::config::Config;
use crate::desk::{control, tokens};
use crate::domain::access::{Actor, Role, Roles};
use crate::domain::campaign::Rate;
use crate::domain::channel::Channel;
use crate::domain::ids::CustomerId;
use crate::domain::time::{DAY, Timestamp};
use crate::domain::token::Grant;
use crate::domain::worklist::{NewTask, Rm, TaskKind};
use crate::store::CampaignRow;
use std::path::Path;
use std::sync::Arc;

/// Relationship managers of the scene, each with a list of their own.
pub const RMS: usize = 50;

/// What requests are made against.
pub struct Scene {
    /// The house.
    pub app: Arc<App>,
    /// Tasks by number, each on the list of the RM of its number modulo [`RMS`].
    pub tasks: Vec<i64>,
    /// A token of each RM.
    pub rms: Vec<String>,
    /// A token of another system of the bank.
    pub system: String,
    _scratch: Scratch,
}

impl Scene {
    /// Makes customers, RMs with `tasks` tasks, and tokens, in a scratch folder below `parent`.
    pub async fn new(
        mut config: Config,
        customers: u64,
        tasks: usize,
        parent: &Path,
        watch: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<Self, Failure> {
        let scratch = Scratch::new(parent)?;
        config.store.url = Some(format!("sqlite:{}", scratch.0.join("bench.sqlite").display()));
        config.store.data = Some(scratch.0.clone());
        let unlimited = Rate { count: u32::MAX, per_ms: 1_000 };
        config.routes = vec![RouteSpec { profile: ProfileRef::shipped("instant").ok(), ..RouteSpec::simulated("bench", Channel::Call, unlimited) }];
        for limit in [&mut config.serve.requests_per_second, &mut config.serve.burst] {
            *limit = 1_000_000;
        }
        let app = Arc::new(App::open(config, Access::Write).await?);
        fill(&app, customers, &mut |n| watch("making customers", n)).await?;
        let now = app.now();
        let rms: Vec<Rm> = (0..RMS).map(rm).collect();
        app.store.put_rms(&rms).await?;
        let ids = make_tasks(&app, tasks, now).await?;
        let grant =
            |name: String, role, rm| Grant { name, roles: Roles::of(&[role]), branch: None, rm, scopes: Vec::new(), expires_at: now.plus(DAY) };
        let (local, store) = (Actor::local("bench"), app.store.as_ref());
        let mut rm_tokens = Vec::new();
        for n in 0..RMS {
            rm_tokens.push(tokens::make(store, &local, grant(format!("rm-{n}"), Role::Rm, Some(rm(n).reference)), now).await?.text);
        }
        let system = tokens::make(store, &local, grant("gateway".to_owned(), Role::System, None), now).await?.text;
        Ok(Self { app, tasks: ids, rms: rm_tokens, system, _scratch: scratch })
    }

    /// Hands the campaign in, approves and starts it: the daemon takes it up.
    pub async fn launch(&self) -> Result<CampaignRow, Failure> {
        let campaign = campaign_file::load("bench", CAMPAIGN).map_err(|faults| Failure::diagnostics(&faults))?;
        let rows = self.app.enter(std::slice::from_ref(&campaign), "bench").await?;
        let row = rows.into_iter().next().ok_or_else(|| Failure::no("the campaign could not be entered"))?;
        let eyes = self.app.eyes_of(&row);
        Ok(control::start(self.app.store.as_ref(), &row.name, "bench", "measured", eyes, self.app.now()).await?)
    }

    /// Whether the campaign began a touch of this customer, and when.
    pub async fn touched(&self, row: &CampaignRow, customer: CustomerId) -> Result<Option<Timestamp>, Failure> {
        Ok(self.app.store.head(row.id, customer).await?.and_then(|touch| touch.started_at))
    }

    /// Touches made so far.
    pub async fn attempts(&self, row: &CampaignRow) -> Result<i64, Failure> {
        Ok(self.app.stand(row, self.app.now()).await?.closed)
    }
}

fn rm(n: usize) -> Rm {
    Rm {
        reference: format!("rm-{n}"),
        branch: None,
        languages: Vec::new(),
        skills: Vec::new(),
        daily_capacity: 1_000_000,
        left: false,
        leaves: Vec::new(),
    }
}

async fn make_tasks(app: &App, tasks: usize, now: Timestamp) -> Result<Vec<i64>, Failure> {
    let mut ids = Vec::with_capacity(tasks);
    let all: Vec<NewTask> = (0..tasks)
        .map(|n| NewTask {
            key: format!("bench:{n}"),
            kind: TaskKind::HandedOver,
            customer: CustomerId(i64::try_from(n).unwrap_or(0) + 1),
            touch: None,
            title: "A call that was handed over".to_owned(),
            script: Some("What was talked about, and what is to be asked.".to_owned()),
            language: None,
            skill: None,
            priority: 5,
            wanted_rm: Some(format!("rm-{}", n % RMS)),
            branch: None,
            due_at: now,
            expires_at: None,
            at: now,
        })
        .collect();
    for batch in all.chunks(1_000) {
        ids.extend(app.store.make_tasks(batch).await?.into_iter().map(|(task, _)| task.id.0));
    }
    // Onto the lists of those who are wanted: what the keeper does by itself, done before the clock runs.
    let zone = app.config.worklist.timezone;
    while crate::desk::worklist::assign_round(app.store.as_ref(), zone, app.now()).await?.more {}
    Ok(ids)
}
