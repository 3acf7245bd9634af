//! Touches become tasks of this store's worklist (the sink of routes of kind `worklist`), and what becomes of tasks goes to the engine.
use super::App;
use crate::actors::shell::EngineHandle;
use crate::campaign_file;
use crate::channels::worklist::{TaskSink, task_key};
use crate::channels::{CarrierEvent, Dispatch, Receipt};
use crate::clock::sleep_ms;
use crate::desk::DeskResult;
use crate::desk::callbacks;
use crate::desk::worklist::{self, Teller};
use crate::domain::callback::CallbackTimes;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{CampaignId, CustomerId, TaskId};
use crate::domain::time::{MINUTE, Timestamp};
use crate::store::tasks::{NewTask, TaskKind};
use crate::store::{Needs, Person, Store, StoreResult};
use async_trait::async_trait;
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Of a task whose campaign file cannot be read: neither first nor last on a list. (An agreed callback has 7.)
const PRIORITY: u8 = 5;

/// The worklist of a store.
pub struct StoreSink {
    store: Arc<dyn Store>,
    /// What tasks of a run are called by step, and when the run ends; read once from the file kept with it.
    briefs: Mutex<HashMap<CampaignId, Arc<Brief>>>,
}

struct Brief {
    file: Option<Campaign>,
    name: String,
}

impl Brief {
    /// `Term deposit renewal: rm`.
    fn title(&self, dispatch: &Dispatch) -> String {
        let title = self.file.as_ref().map(|c| c.title.as_str()).filter(|t| !t.is_empty()).unwrap_or(&self.name);
        match self.file.as_ref().and_then(|c| c.step(dispatch.step)) {
            Some(step) => format!("{title}: {}", step.name),
            None => title.to_owned(),
        }
    }
}

impl StoreSink {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, briefs: Mutex::default() }
    }

    async fn brief(&self, campaign: CampaignId) -> StoreResult<Arc<Brief>> {
        if let Some(known) = self.briefs.lock().unwrap_or_else(PoisonError::into_inner).get(&campaign) {
            return Ok(Arc::clone(known));
        }
        let row = self.store.campaign_by_id(campaign).await?;
        let brief = Arc::new(Brief { file: campaign_file::load(&row.name, &row.source).ok(), name: row.name });
        self.briefs.lock().unwrap_or_else(PoisonError::into_inner).insert(campaign, Arc::clone(&brief));
        Ok(brief)
    }

    async fn make_all(&self, batch: &[Dispatch], at: Timestamp, until: Timestamp) -> StoreResult<Vec<TaskId>> {
        let customers: Vec<CustomerId> = batch.iter().map(|d| d.touch.customer).collect();
        let members = self.store.members(&customers, Needs { person: true, ..Needs::default() }).await?;
        let mut people: HashMap<CustomerId, Person> = members.into_iter().filter_map(|m| Some((m.id, *m.person?))).collect();
        let mut tasks = Vec::with_capacity(batch.len());
        for dispatch in batch {
            let brief = self.brief(dispatch.touch.campaign).await?;
            let person = people.remove(&dispatch.touch.customer);
            // Nobody is contacted for a campaign after its end, unless the task was handed over as it ended.
            let end = brief.file.as_ref().map_or(until, |c| c.schedule.ends_at()).min(until);
            let (language, branch, rm) = person.map_or((None, None, None), |p| (p.language, p.branch, p.rm));
            tasks.push(NewTask {
                key: task_key(dispatch.touch),
                kind: TaskKind::Journey,
                customer: dispatch.touch.customer,
                touch: Some(dispatch.touch),
                title: brief.title(dispatch),
                script: dispatch.message.as_ref().map(|m| m.body.clone()),
                language,
                skill: brief.file.as_ref().and_then(|c| c.step(dispatch.step)).and_then(|step| step.skill.clone()),
                priority: brief.file.as_ref().map_or(PRIORITY, |c| c.priority),
                wanted_rm: rm,
                branch,
                due_at: at,
                expires_at: Some(if end > at { end } else { until }),
                at,
            });
        }
        Ok(self.store.make_tasks(&tasks).await?.into_iter().map(|(task, _)| task.id).collect())
    }
}

#[async_trait]
impl TaskSink for StoreSink {
    async fn make(&self, batch: &[Dispatch], at: Timestamp, until: Timestamp) -> Result<Vec<TaskId>, String> {
        self.make_all(batch, at, until).await.map_err(|fault| fault.to_string())
    }
}

impl App {
    /// Where routes of kind `worklist` make their tasks.
    pub fn task_sink(&self) -> Arc<dyn TaskSink> {
        Arc::new(StoreSink::new(Arc::clone(&self.store)))
    }
}

/// How often the worklist is looked after, in milliseconds.
const ROUND_MS: u64 = 1_000;
/// Rounds at once at most, when there is more than one round deals with.
const ROUNDS_AT_ONCE: usize = 20;

/// What came of a task, as the receipt of its touch.
fn receipt(told: worklist::Told) -> Receipt {
    let worklist::Told { route, task, touch, at, disposition, connected_s } = told;
    Receipt { route, provider_ref: task.to_string().into(), touch: Some(touch), at, disposition, connected_s, cost_micros: None }
}

/// What looks after the worklist of a store beside its engine: see [`App::keep_worklist`].
pub struct Keeper {
    store: Arc<dyn Store>,
    zone: Tz,
    teller: Teller,
    /// Open tasks up to here have been asked whether they are still wanted.
    asked: TaskId,
    /// Tasks of who is away are handed over again then.
    cover_at: Timestamp,
    /// When callbacks are reminded of and escalated.
    callbacks: CallbackTimes,
}

impl Keeper {
    /// Over a store, for a bank in this zone.
    pub fn new(store: Arc<dyn Store>, zone: Tz) -> Self {
        Self { store, zone, teller: Teller::default(), asked: TaskId(0), cover_at: Timestamp(0), callbacks: CallbackTimes::default() }
    }

    /// With other times for callbacks.
    #[must_use]
    pub fn with_callbacks(self, callbacks: CallbackTimes) -> Self {
        Self { callbacks, ..self }
    }

    /// One round: tasks go to somebody, idle claims come back, what is over or not wanted any more is closed. Gives the receipts that the
    /// engine does not have yet.
    pub async fn round(&mut self, now: Timestamp) -> DeskResult<Vec<Receipt>> {
        let store = self.store.as_ref();
        (_, self.asked) = worklist::call_off_round(store, self.asked, now).await?;
        if now >= self.cover_at {
            worklist::cover_round(store, self.zone, now).await?;
            self.cover_at = now.plus(MINUTE);
        }
        for _ in 0..ROUNDS_AT_ONCE {
            if !worklist::assign_round(store, self.zone, now).await?.more {
                break;
            }
        }
        // After the tasks have come to somebody: there must be an RM to remind.
        callbacks::callbacks_round(store, &self.callbacks, now).await?;
        let told = self.teller.receipts(store).await?;
        Ok(told.into_iter().map(receipt).collect())
    }
}

impl App {
    /// Looks after the worklist every second as long as an engine runs: never ends by itself.
    pub fn keep_worklist(&self, engine: EngineHandle) -> impl Future<Output = ()> + Send + 'static {
        let clock = Arc::clone(&self.clock);
        let mut keeper = Keeper::new(Arc::clone(&self.store), self.config.worklist.timezone).with_callbacks(self.config.callbacks.times());
        async move {
            loop {
                match keeper.round(clock.now()).await {
                    Ok(receipts) => {
                        for receipt in receipts {
                            engine.report(receipt.route, vec![CarrierEvent::Receipt(receipt)]);
                        }
                    }
                    Err(fault) => tracing::error!(%fault, "the worklist could not be looked after, and will be in a moment"),
                }
                sleep_ms(ROUND_MS).await;
            }
        }
    }
}
