//! `touchline export WHAT --campaign NAME --format FORMAT --out DIR`
use super::client::Client;
use super::place::Place;
use super::{Answer, Context};
use crate::api::exports::WantedExport;
use crate::app::{Access, Failure};
use crate::domain::campaign::ExportFormat;
use crate::finance::manifest::{FILE, folder_name, sha256};
use crate::finance::{CorrectionReport, ExportReport, Manifest, What};
use std::path::{Path, PathBuf};

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

/// Exports.
pub async fn run(args: Args, context: &Context) -> Answer {
    let place = context.place(Access::Change).await?;
    let out = args.out.unwrap_or_else(|| context.config.data_folder().join("exports"));
    if let Some(number) = args.correct {
        let correction = match &place {
            Place::Here(app) => app.correct(number, &out).await?,
            Place::There(daemon) => {
                let mut correction = daemon.post::<CorrectionReport>(&["exports", &number.to_string(), "correct"], &()).await?.value;
                if let Some(export) = &mut correction.export {
                    fetch(daemon, export, &out).await?;
                }
                correction
            }
        };
        context.answer(&correction, |c| match &c.export {
            Some(export) => format!("correction of {number:06}: {} ({} rows)", export.folder.display(), export.manifest.totals.rows),
            None => format!("nothing has changed since export {number:06}; no correction is needed"),
        })?;
        return Ok(true);
    }
    let (Some(what), Some(format)) = (args.what.as_deref().and_then(What::from_name), format(&args.format)) else {
        return Err(Failure::use_("expected what to export: results, touches or conversions"));
    };
    let campaign = args.campaign.unwrap_or_default();
    let (report, mailed) = match &place {
        Place::Here(app) => {
            let (_, report) = app.export_named(&campaign, args.rehearsal, what, format, &out).await?;
            let mailed = match &args.mail {
                Some(to) => Some(app.mail(to, &report).await?),
                None => None,
            };
            (report, mailed)
        }
        Place::There(_) if args.mail.is_some() => {
            return Err(Failure::use_("a daemon mails at a run's end alone, to the address in the campaign's finance section: leave out --mail"));
        }
        Place::There(daemon) => {
            let wanted = WantedExport { campaign, what, format, rehearsal: args.rehearsal };
            let mut report = daemon.post::<ExportReport>(&["exports"], &wanted).await?.value;
            fetch(daemon, &mut report, &out).await?;
            (report, None)
        }
    };
    let answer = serde_json::json!({"export": report, "mailed": mailed});
    context.answer(&answer, |_| {
        let sent = mailed
            .as_ref()
            .map_or_else(String::new, |m| format!("\nmailed: {} ({} attached, {} left out)", m.message_id, m.attached.len(), m.left_out.len()));
        format!(
            "export {:06} of {} version {}: {} rows\n{}\nNext: touchline verify {}{sent}",
            report.manifest.number,
            report.manifest.campaign,
            report.manifest.version,
            super::ui::number(report.manifest.totals.rows),
            report.folder.display(),
            report.folder.display()
        )
    })?;
    Ok(true)
}

/// Fetches an export to a folder of its own in `out`, made aside and put in place when every file is as its manifest says.
async fn fetch(daemon: &Client, report: &mut ExportReport, out: &Path) -> Result<(), Failure> {
    let number = report.manifest.number;
    let (folder, aside) = (out.join(folder_name(number)), out.join(format!(".fetching-{}", folder_name(number))));
    let failed = |path: &Path, e: &std::io::Error| Failure::file("cannot write", path, e);
    if folder.exists() {
        let text = format!("{} is there already, and an export is never rewritten: choose another --out folder", folder.display());
        return Err(Failure::no(text));
    }
    std::fs::create_dir_all(&aside).map_err(|e| failed(&aside, &e))?;
    let fetched = fetch_files(daemon, report, &aside).await;
    let placed = fetched.and_then(|()| std::fs::rename(&aside, &folder).map_err(|e| failed(&folder, &e)));
    if placed.is_err() {
        // What is left of it is of no use; the export is with the daemon, and can be fetched again.
        let _ = std::fs::remove_dir_all(&aside);
    }
    report.folder = folder;
    placed
}

async fn fetch_files(daemon: &Client, report: &ExportReport, aside: &Path) -> Result<(), Failure> {
    let number = report.manifest.number.to_string();
    let path = aside.join(FILE);
    daemon.download(&["exports", &number, FILE], &path).await?;
    let bytes = std::fs::read(&path).map_err(|e| Failure::file("cannot read", &path, &e))?;
    let (manifest, _) = Manifest::read(aside)?;
    if sha256(&bytes) != report.manifest_sha256 || manifest != report.manifest {
        return Err(Failure::no(format!("the manifest of export {number} came otherwise than the daemon told it: fetch it again")));
    }
    let data = manifest.data_file(aside)?;
    for file in &manifest.files {
        daemon.download(&["exports", &number, &file.name], &data).await?;
    }
    let report = crate::finance::verify(None, aside).await?;
    if report.is_intact() { Ok(()) } else { Err(Failure::no(format!("export {number} came otherwise than its manifest says: fetch it again"))) }
}

fn format(name: &str) -> Option<ExportFormat> {
    [ExportFormat::Csv, ExportFormat::Jsonl, ExportFormat::Parquet].into_iter().find(|f| f.name() == name)
}
