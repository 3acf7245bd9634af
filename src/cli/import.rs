//! `touchline import KIND FILE --mapping MAP.yaml`
use super::client::Client;
use super::place::Place;
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::files::{FileIn, load_mapping};
use crate::app::intakes::{Intake, IntakeState};
use crate::app::mappings::KeptMapping;
use crate::app::{Access, Failure};
use crate::clock::monotonic;
use crate::intake::{Kind, Report, check_name, rejects_path};
use reqwest::Method;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// What the file holds.
    #[arg(value_enum)]
    kind: What,
    /// The file: CSV, JSONL or Parquet by its mapping; `.gz` is read as it is.
    file: PathBuf,
    /// The mapping file.
    #[arg(long, value_name = "MAP.yaml")]
    mapping: PathBuf,
    /// The list that is made of the rows and frozen; for customers optional.
    #[arg(long)]
    name: Option<String>,
    /// The folder for rejected rows; without it beside the file.
    #[arg(long, value_name = "DIR")]
    rejects: Option<PathBuf>,
    /// Import a file again that was imported in full before.
    #[arg(long)]
    again: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    Customers,
    List,
    Consents,
    Suppressions,
    Facts,
}

impl From<What> for Kind {
    fn from(what: What) -> Self {
        match what {
            What::Customers => Self::Customers,
            What::List => Self::List,
            What::Consents => Self::Consents,
            What::Suppressions => Self::Suppressions,
            What::Facts => Self::Facts,
        }
    }
}

/// Imports a file.
pub async fn run(args: Args, context: &Context) -> Answer {
    let size = std::fs::metadata(&args.file).map_err(|e| Failure::file("cannot read", &args.file, &e))?.len();
    let place = context.place(Access::Write).await?;
    let progress = Arc::new(Progress::bytes(&format!("importing {}", Kind::from(args.kind).name()), size, context.json));
    let begun = monotonic();
    let report = match place {
        Place::Here(app) => {
            let wanted = FileIn {
                kind: args.kind.into(),
                file: &args.file,
                mapping: &args.mapping,
                name: args.name.as_deref(),
                rejects: args.rejects.as_deref(),
                again: args.again,
            };
            app.import(wanted, &mut |sums| progress.set(sums.bytes)).await?
        }
        Place::There(daemon) => send(&daemon, &args, &progress).await?,
    };
    progress.finish();
    let seconds = begun.elapsed().as_secs_f64();
    context.answer(&report, |r| text(r, seconds))?;
    Ok(true)
}

/// Sends the mapping and the file to a daemon, and waits for its end. The mapping is kept there under the hash of its text: nobody's
/// own is overwritten.
async fn send(daemon: &Client, args: &Args, progress: &Arc<Progress>) -> Result<Report, Failure> {
    let kind = Kind::from(args.kind);
    check_name(kind, args.name.as_deref())?;
    let (mapping, text) = load_mapping(&args.mapping)?;
    mapping.check(kind).map_err(crate::intake::IntakeError::Faults)?;
    let kept = format!("cli-{}", mapping.hash().get(..32).unwrap_or(mapping.hash()));
    daemon.yaml::<KeptMapping>(Method::PUT, &["mappings", &kept], &[], &text).await?;
    let name = args.name.as_deref().unwrap_or_default();
    let path: &[&str] = match kind {
        Kind::List => &["lists", name],
        Kind::Customers | Kind::Consents | Kind::Suppressions | Kind::Facts => &[kind.name()],
    };
    let mut query = vec![("mapping", kept.as_str()), ("wait", "30"), ("again", if args.again { "true" } else { "false" })];
    if kind != Kind::List && !name.is_empty() {
        query.push(("list", name));
    }
    let sending = Arc::clone(progress);
    // What the daemon calls mapping and body are files here.
    let retold = |text: &str| text.replace(&kept, &args.mapping.display().to_string()).replace("the body", &args.file.display().to_string());
    let sent = daemon.upload::<Intake>(path, &query, &args.file, move |sent| sending.set(sent)).await;
    let mut intake = sent.map_err(Failure::from).map_err(|f| if f.code == 1 { Failure::no(retold(&f.text)) } else { f })?.value;
    progress.part(&format!("importing {}", kind.name()), true);
    progress.total(intake.sums.bytes_total);
    while !intake.state.is_over() {
        progress.set(intake.sums.bytes);
        intake = daemon.get(&["intakes", &intake.number.to_string()], &[("wait", "1")]).await?.value;
    }
    let Some(mut report) = intake.report.filter(|_| intake.state == IntakeState::Done) else {
        let fault = intake.fault.unwrap_or_else(|| "the daemon took nothing of the file: send it again".to_owned());
        return Err(Failure::no(retold(&fault)));
    };
    if report.rejects.is_some() {
        let to = rejects_path(&args.file, args.rejects.as_deref());
        daemon.download(&["intakes", &intake.number.to_string(), "rejects"], &to).await?;
        report.rejects = Some(to);
    }
    Ok(report)
}

/// The sums for people.
pub fn text(report: &Report, seconds: f64) -> String {
    let s = &report.sums;
    let n = |n: u64| ui::number(i64::try_from(n).unwrap_or(i64::MAX));
    let rows =
        [("accepted", s.accepted), ("filtered", s.filtered), ("rejected", s.rejected), ("duplicates", s.duplicates), ("= rows read", s.rows_read)]
            .map(|(name, count)| vec![name.to_owned(), n(count)])
            .to_vec();
    let mut parts = vec![ui::table(&[], &[1], rows)];
    if report.already {
        parts.push("This file was imported in full before with this mapping; nothing was done (--again imports it again).".to_owned());
    } else if report.resumed_from > 0 {
        parts.push(format!("Went on after row {} where an earlier import had stopped.", n(report.resumed_from)));
    }
    for (reason, count) in &report.reasons {
        parts.push(format!("rejected {}: {reason}", n(*count)));
    }
    if let Some(path) = &report.rejects {
        parts.push(format!("rejects: {}", path.display()));
    }
    if let Some(list) = &report.list {
        parts.push(format!(
            "list {}: {} members, frozen, checksum {}",
            list.name,
            ui::number(list.count),
            list.checksum.get(..16).unwrap_or(&list.checksum)
        ));
    }
    parts.extend(report.notes.iter().cloned());
    let rate = if seconds > 0.0 { (s.rows_read.saturating_sub(report.resumed_from)) as f64 / seconds } else { 0.0 };
    if !report.already {
        parts.push(format!("{} ({} rows a second)", ui::span(seconds), n(rate as u64)));
    }
    parts.join("\n")
}
