//! After a run's end: attribution, exports and mail, once each, one run after another, while the engine goes on.
//!
//! What is on record decides what is left to do: a process that is killed between a run's end and its exports leaves them to the next.
use super::daemon::Shared;
use super::outcome::Outcome;
use super::{App, Failure};
use crate::clock::sleep_ms;
use crate::domain::ids::CampaignId;
use crate::domain::time::{MINUTE, Timestamp};
use crate::finance::What;
use crate::store::CampaignRow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use tokio::sync::mpsc;

/// What failed (a full disk) is tried again after so many milliseconds.
const AGAIN_MS: i64 = 5 * MINUTE;
/// How often it looks whether that time has come.
const LOOK_MS: u64 = 1_000;

/// The work after the end of runs.
pub(super) struct Closing {
    app: Arc<App>,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<CampaignId>,
    /// When to do what.
    due: BTreeMap<CampaignId, Timestamp>,
}

impl Closing {
    pub(super) fn new(app: Arc<App>, shared: Arc<Shared>, queue: mpsc::UnboundedReceiver<CampaignId>) -> Self {
        Self { app, shared, queue, due: BTreeMap::new() }
    }

    /// Until nobody queues any more and what could be done is done.
    pub(super) async fn run(mut self) {
        if let Err(failure) = self.left_behind().await {
            tracing::error!("runs that ended without their exports could not be looked for: {}", failure.text);
        }
        loop {
            let now = self.app.now();
            if let Some(id) = self.due.iter().find(|(_, at)| **at <= now).map(|(id, _)| *id) {
                self.close(id).await;
                continue;
            }
            tokio::select! {
                queued = self.queue.recv() => match queued {
                    Some(id) => {
                        self.due.insert(id, now);
                    }
                    None => return,
                },
                () = sleep_ms(LOOK_MS), if !self.due.is_empty() => {}
            }
        }
    }

    /// Runs that have ended and whose exports were not made.
    async fn left_behind(&mut self) -> Result<(), Failure> {
        for row in self.app.store.campaigns().await? {
            if row.status.is_closed() && !row.id.is_rehearsal() && !self.app.exports_due(&row).await?.is_empty() {
                self.due.insert(row.id, self.app.now());
                self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner).push(row.id);
            }
        }
        Ok(())
    }

    async fn close(&mut self, id: CampaignId) {
        let closed = self.app.close_run(id).await;
        match closed {
            Ok((row, outcome)) => {
                self.due.remove(&id);
                self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != id);
                self.shared.no_trouble(id);
                tracing::info!(campaign = %row.name, version = row.version, exports = outcome.exports.len(), "attributed and exported");
                if let Some(fault) = outcome.mail_fault {
                    self.shared.trouble(&row, format!("its export is made and could not be mailed: {fault}"), self.app.now());
                }
            }
            Err(failure) => {
                self.due.insert(id, self.app.now().plus(AGAIN_MS));
                let what = format!("it has ended, and its exports could not be made; they are tried again in five minutes: {}", failure.text);
                match self.app.store.campaign_by_id(id).await {
                    Ok(row) => self.shared.trouble(&row, what, self.app.now()),
                    Err(_) => tracing::error!(campaign = %id, "{what}"),
                }
            }
        }
    }
}

impl App {
    /// The exports that an ended run's `finance` section asks for and that were not made since its end.
    pub async fn exports_due(&self, row: &CampaignRow) -> Result<Vec<What>, Failure> {
        let Some(ended_at) = row.finished_at.filter(|_| row.status.is_closed()) else { return Ok(Vec::new()) };
        // A file that can be read no more asks for nothing.
        if !self.campaign_of(row).is_ok_and(|campaign| campaign.finance.is_some()) {
            return Ok(Vec::new());
        }
        let made = self.store.exports(row.id).await?;
        let is_made = |what: &What| made.iter().any(|e| e.what == what.name() && e.corrects.is_none() && e.as_of >= ended_at);
        Ok(super::outcome::AT_THE_END.into_iter().filter(|what| !is_made(what)).collect())
    }

    /// What follows a run's end, as far as it was not done: attribution, exports, mail.
    pub async fn close_run(&self, id: CampaignId) -> Result<(CampaignRow, Outcome), Failure> {
        let row = self.store.campaign_by_id(id).await?;
        let mut outcome = self.outcome(&row, self.now()).await?;
        let due = self.exports_due(&row).await?;
        self.finance_of(&row, &due, &self.exports_folder(), &mut outcome).await?;
        Ok((row, outcome))
    }
}
