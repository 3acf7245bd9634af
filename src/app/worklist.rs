//! Touches become tasks of this store's worklist: the sink of routes of kind `worklist`.
use super::App;
use crate::campaign_file;
use crate::channels::Dispatch;
use crate::channels::worklist::{TaskSink, task_key};
use crate::domain::campaign::Campaign;
use crate::domain::ids::{CampaignId, CustomerId, TaskId};
use crate::domain::time::Timestamp;
use crate::store::tasks::{NewTask, TaskKind};
use crate::store::{Needs, Person, Store, StoreResult};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A journey's task is neither first nor last on a list: callbacks that were agreed upon come before it.
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
                skill: None,
                priority: PRIORITY,
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
