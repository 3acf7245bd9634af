//! What operators and compliance ask of a store: plan, report, explain, resolve, doctor.
use super::daemon::{DaemonHandle, Receipt};
use super::outcome::Outcome;
use super::{App, Failure};
use crate::clock::{monotonic, sleep_ms};
use crate::desk::approve::{self, Eyes};
use crate::desk::doctor::{self, Check};
use crate::desk::explain::{self, Explanation};
use crate::desk::plan::{self, Plan};
use crate::desk::report;
use crate::desk::resolve::{self, Finding, Resolved, Selection};
use crate::domain::access::Actor;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{RouteId, TouchKey};
use crate::domain::journey;
use crate::domain::touch::State;
use crate::domain::touch::Touch;
use crate::finance::AttributionReport;
use crate::store::CampaignRow;
use std::collections::BTreeMap;
use std::time::Duration;

/// A word about touches in doubt has come about within so many milliseconds, or is told as skipped.
const SETTLED_MS: u64 = 10_000;

impl App {
    /// Forecasts a campaign before its launch.
    pub async fn plan(&self, campaign: &Campaign) -> Result<Plan, Failure> {
        let assumptions = plan::assumptions(campaign, &self.config.routes);
        let routes = plan::capacities(&self.config.routes, &assumptions);
        Ok(plan::plan(self.store.as_ref(), campaign, &routes, &assumptions, self.now()).await?)
    }

    /// A run by name: of the mode told, or its newest real run, or else its newest rehearsal.
    pub async fn run_named(&self, name: &str, rehearsal: Option<bool>) -> Result<CampaignRow, Failure> {
        Ok(self.store.campaign(name, rehearsal).await?)
    }

    /// A run that was handed in and approved before.
    pub async fn approved(&self, name: &str) -> Result<CampaignRow, Failure> {
        let row = self.store.campaign(name, Some(false)).await?;
        if row.status.is_approved() {
            return Ok(row);
        }
        Err(approve::not_approved(self.store.as_ref(), &row).await?.into())
    }

    /// How many persons a campaign needs on the routes configured.
    pub fn eyes(&self, campaign: &Campaign, rehearsal: bool) -> Eyes {
        Eyes::needed(self.config.approval.four_eyes, rehearsal, campaign, &self.config.routes)
    }

    /// As [`App::eyes`], for a run; one whose file cannot be read any more needs both pairs.
    pub fn eyes_of(&self, row: &CampaignRow) -> Eyes {
        approve::kept(&row.name, &row.source).map_or(Eyes::Four, |campaign| self.eyes(&campaign, row.id.is_rehearsal()))
    }

    /// The report of a run: with attribution once it has ended.
    pub async fn status(&self, row: &CampaignRow) -> Result<Outcome, Failure> {
        if row.status.is_closed() {
            return self.outcome(row, self.now()).await;
        }
        let report = report::build(self.store.as_ref(), row, Vec::new(), Vec::new(), self.now()).await?;
        Ok(Outcome { report, attribution: AttributionReport::default(), exports: Vec::new(), mailed: None, mail_fault: None })
    }

    /// Every decision about one customer, whom the asker must be allowed to see.
    pub async fn explain(&self, reference: &str, campaign: Option<&str>, asker: &Actor) -> Result<Explanation, Failure> {
        Ok(explain::explain(self.store.as_ref(), reference, campaign, asker).await?)
    }

    /// Touches in doubt of a campaign.
    pub async fn in_doubt(&self, campaign: &str) -> Result<Vec<Touch>, Failure> {
        let row = self.store.campaign(campaign, Some(false)).await?;
        Ok(self.store.uncertain(row.id, 10_000).await?)
    }

    /// Settles touches in doubt by a person's word.
    pub async fn resolve(&self, campaign: &str, selection: &Selection, finding: Finding, by: &str, why: &str) -> Result<Resolved, Failure> {
        let row = self.store.campaign(campaign, Some(false)).await?;
        let file = self.campaign_of(&row)?;
        let ends_at = file.schedule.ends_at();
        let fence = self.store.acquire(false, self.now()).await?;
        let settle = |touch: &Touch, outcome: &crate::domain::outcome::Outcome| {
            let mut faults = Vec::new();
            let settled = journey::settle(&file, ends_at, touch, outcome, None, &mut faults);
            for fault in faults {
                tracing::warn!(%fault, "a condition could not be evaluated and counts as not true");
            }
            settled
        };
        let resolved = resolve::resolve(self.store.as_ref(), fence, &row, selection, finding, by, why, self.now(), &settle).await;
        self.store.release(fence).await?;
        Ok(resolved?)
    }

    /// The same where a daemon runs: its engine, which alone may write to the ledger meanwhile, settles them as it settles receipts. What has
    /// not come about within `SETTLED_MS` is told as skipped.
    pub async fn resolve_by_engine(
        &self,
        daemon: &DaemonHandle,
        campaign: &str,
        selection: &Selection,
        finding: Finding,
        by: &str,
        why: &str,
    ) -> Result<Resolved, Failure> {
        resolve::check(finding, by, why)?;
        let (store, at) = (self.store.as_ref(), self.now());
        let row = store.campaign(campaign, Some(false)).await?;
        let mut resolved = Resolved::default();
        loop {
            let touches = resolve::chosen(store, &row, selection, &mut resolved).await?;
            let mut by_route: BTreeMap<RouteId, Vec<Receipt>> = BTreeMap::new();
            for touch in &touches {
                if let Some(route) = touch.route {
                    let (disposition, connected_s) = resolve::said(finding, touch);
                    let provider_ref = touch.provider_ref.clone().unwrap_or_default();
                    by_route.entry(route).or_default().push(Receipt {
                        route,
                        provider_ref,
                        touch: Some(touch.key),
                        at,
                        disposition,
                        connected_s,
                        cost_micros: None,
                    });
                }
            }
            by_route.into_iter().for_each(|(route, receipts)| daemon.receipts(route, receipts));
            let before = resolved.settled;
            let mut words = Vec::with_capacity(touches.len());
            let began = monotonic();
            for touch in touches {
                let mut applied = false;
                while !applied {
                    applied = store.touch(touch.key).await?.is_some_and(|now| now.state != State::Uncertain);
                    if applied || began.elapsed() >= Duration::from_millis(SETTLED_MS) {
                        break;
                    }
                    sleep_ms(20).await;
                }
                if applied {
                    resolved.settled += 1;
                    let next = TouchKey { seq: touch.key.seq + 1, ..touch.key };
                    resolved.continued += u64::from(store.touch(next).await?.is_some());
                } else {
                    resolved.skipped.push(touch.key.to_string());
                }
                words.extend(resolve::word(finding, &touch, by, why, at, applied));
            }
            store.keep_receipts(&words).await?;
            if *selection != Selection::All || resolved.settled == before {
                break;
            }
        }
        resolved.skipped.sort_unstable();
        resolved.skipped.dedup();
        resolve::noted(store, &row, finding, by, why, at, &resolved).await?;
        Ok(resolved)
    }

    /// Looks everything over.
    pub async fn doctor(&self) -> Result<Vec<Check>, Failure> {
        let data = self.config.data_folder();
        let mut checks = doctor::doctor(self.store.as_ref(), &[], data.exists().then_some(data.as_path()), self.now()).await?;
        checks.extend(self.key_checks().await?);
        checks.push(doctor::approval(self.config.approval.four_eyes));
        Ok(checks)
    }

    /// Adopts a restored or copied database as the one that sends.
    pub async fn accept_restored(&self) -> Result<(), Failure> {
        let fence = self.store.acquire(true, self.now()).await?;
        Ok(self.store.release(fence).await?)
    }
}
