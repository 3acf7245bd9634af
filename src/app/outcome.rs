//! What a run came to: attribution, the report, and what finance is sent.
use super::{App, Failure};
use crate::desk::report::{self, ConversionSummary, LiftSummary, Report};
use crate::domain::campaign::Campaign;
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::finance::{AttributionReport, ExportReport, Mailed, What, attribute};
use crate::store::CampaignRow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What finance gets when a run has ended.
pub(super) const AT_THE_END: [What; 2] = [What::Results, What::Conversions];

/// A run's report with what is known of its experiment.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The report of CONTRACT.md.
    #[serde(flatten)]
    pub report: Report,
    /// Facts of the holdout and reasons why there is no lift.
    pub attribution: AttributionReport,
    /// Exports made at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportReport>,
    /// The mail to finance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailed: Option<Mailed>,
    /// Why it could not be mailed; the exports are there all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_fault: Option<String>,
}

impl App {
    /// Attributes facts anew and reports, as of `at` (a rehearsal ends in its own time).
    pub async fn outcome(&self, row: &CampaignRow, at: Timestamp) -> Result<Outcome, Failure> {
        let campaign = self.campaign_of(row)?;
        let attribution = attribute(self.store.as_ref(), row, &campaign).await?;
        let row = self.store.campaign_by_id(row.id).await?;
        let report = report::build(self.store.as_ref(), &row, conversions(&campaign, &attribution), lifts(&attribution), at).await?;
        Ok(Outcome { report, attribution, exports: Vec::new(), mailed: None, mail_fault: None })
    }

    /// The exports that the campaign's `finance` section asks for, and the mail.
    pub async fn finance(&self, row: &CampaignRow, out: &Path, outcome: &mut Outcome) -> Result<(), Failure> {
        self.finance_of(row, &AT_THE_END, out, outcome).await
    }

    /// Those of them that are named.
    pub async fn finance_of(&self, row: &CampaignRow, which: &[What], out: &Path, outcome: &mut Outcome) -> Result<(), Failure> {
        let campaign = self.campaign_of(row)?;
        let Some(finance) = &campaign.finance else { return Ok(()) };
        for what in which.iter().copied() {
            let export = self.export(row, what, finance.format, out).await?;
            // Nobody is mailed about a rehearsal.
            if let (What::Results, Some(to), false) = (what, &finance.mail, row.id.is_rehearsal()) {
                match self.mail(to, &export).await {
                    Ok(mailed) => outcome.mailed = Some(mailed),
                    Err(failure) => outcome.mail_fault = Some(failure.text),
                }
            }
            outcome.exports.push(export);
        }
        Ok(())
    }
}

fn conversions(campaign: &Campaign, attribution: &AttributionReport) -> Vec<ConversionSummary> {
    let mut by_rule: BTreeMap<&str, Vec<(i64, Money)>> = BTreeMap::new();
    for line in &attribution.conversions {
        if let Ok(amount) = line.amount.parse().map_err(drop).and_then(|d| Money::from_decimal(d, line.currency).map_err(drop)) {
            by_rule.entry(&line.name).or_default().push((i64::try_from(line.customers).unwrap_or(i64::MAX), amount));
        }
    }
    campaign
        .conversions
        .iter()
        .map(|rule| {
            let lines = by_rule.remove(rule.name.as_str()).unwrap_or_default();
            let customers = lines.iter().map(|(n, _)| *n).max().unwrap_or(0);
            let mut amounts: Vec<Money> = lines.into_iter().map(|(_, m)| m).collect();
            if amounts.is_empty() {
                amounts.push(Money { minor: 0, currency: campaign.currency });
            }
            ConversionSummary { name: rule.name.clone(), customers, amounts }
        })
        .collect()
}

fn lifts(attribution: &AttributionReport) -> Vec<LiftSummary> {
    attribution
        .lift
        .iter()
        .map(|l| LiftSummary {
            name: l.name.clone(),
            arm: l.arm.clone().into_owned(),
            metric: l.metric.clone().into_owned(),
            estimate: l.estimate.estimate,
            se: l.estimate.se,
            ci95: l.estimate.ci95,
        })
        .collect()
}
