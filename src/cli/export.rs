//! `touchline export WHAT --campaign NAME --format FORMAT --out DIR`
use super::{Answer, Context};
use crate::app::{Access, Failure};
use crate::domain::audit::target;
use crate::domain::campaign::ExportFormat;
use crate::finance::What;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// results (a row a customer), touches (a row a touch) or conversions (a row a credit).
    #[arg(value_parser = ["results", "touches", "conversions"], required_unless_present = "correct")]
    what: Option<String>,
    /// The campaign; its newest real run, or else its newest rehearsal.
    #[arg(long, required_unless_present = "correct")]
    campaign: Option<String>,
    /// The rehearsal, though there is a real run.
    #[arg(long)]
    rehearsal: bool,
    /// csv, jsonl or parquet.
    #[arg(long, value_parser = ["csv", "jsonl", "parquet"], default_value = "csv")]
    format: String,
    /// The folder in which the export's own numbered folder is made.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Mail it to finance.
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// Instead: what has changed since this export, as a correction of it.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["what", "campaign", "mail"])]
    correct: Option<i64>,
}

impl Args {
    /// What the audit log calls it, and on what it works.
    pub(super) fn audited(&self) -> (&'static str, String) {
        let number = self.correct.map(|n| n.to_string());
        let parts = [("campaign", self.campaign.as_deref()), ("what", self.what.as_deref()), ("correct", number.as_deref())];
        ("export", target(parts.into_iter().filter_map(|(name, value)| Some((name, value?)))))
    }
}

/// Exports.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    let out = args.out.unwrap_or_else(|| app.exports_folder());
    if let Some(number) = args.correct {
        let correction = app.correct(number, &out).await?;
        context.answer(&correction, |c| match &c.export {
            Some(export) => format!("correction of {number:06}: {} ({} rows)", export.folder.display(), export.manifest.totals.rows),
            None => format!("nothing has changed since export {number:06}; no correction is needed"),
        })?;
        return Ok(true);
    }
    let (Some(what), Some(format)) = (args.what.as_deref().and_then(What::from_name), format(&args.format)) else {
        return Err(Failure::use_("expected what to export: results, touches or conversions"));
    };
    let row = app.run_named(args.campaign.as_deref().unwrap_or_default(), args.rehearsal.then_some(true)).await?;
    if what != What::Touches {
        // Facts may have come in since the run ended.
        app.outcome(&row, app.now()).await?;
    }
    let report = app.export(&row, what, format, &out).await?;
    let mailed = match &args.mail {
        Some(to) => Some(app.mail(to, &report).await?),
        None => None,
    };
    let answer = serde_json::json!({"export": report, "mailed": mailed});
    context.answer(&answer, |_| {
        let sent = mailed
            .as_ref()
            .map_or_else(String::new, |m| format!("\nmailed: {} ({} attached, {} left out)", m.message_id, m.attached.len(), m.left_out.len()));
        format!(
            "export {:06} of {} version {}: {} rows\n{}\nNext: touchline verify {}{sent}",
            report.manifest.number,
            row.name,
            row.version,
            super::ui::number(report.manifest.totals.rows),
            report.folder.display(),
            report.folder.display()
        )
    })?;
    Ok(true)
}

fn format(name: &str) -> Option<ExportFormat> {
    [ExportFormat::Csv, ExportFormat::Jsonl, ExportFormat::Parquet].into_iter().find(|f| f.name() == name)
}
