//! `touchline import KIND FILE --mapping MAP.yaml`
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::files::FileIn;
use crate::app::{Access, Failure};
use crate::clock::monotonic;
use crate::domain::audit::target;
use crate::intake::{Kind, Report};
use std::path::PathBuf;

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

impl Args {
    /// What the audit log calls it, and on what it works.
    pub(super) fn audited(&self) -> (&'static str, String) {
        let file = self.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let parts = [("kind", Some(Kind::from(self.kind).name())), ("file", Some(file.as_str())), ("list", self.name.as_deref())];
        ("import", target(parts.into_iter().filter_map(|(name, value)| Some((name, value?)))))
    }
}

/// Imports a file.
pub async fn run(args: Args, context: &Context) -> Answer {
    let size = std::fs::metadata(&args.file).map_err(|e| Failure::file("cannot read", &args.file, &e))?.len();
    let app = context.open(Access::Write).await?;
    let progress = Progress::bytes(&format!("importing {}", Kind::from(args.kind).name()), size, context.json);
    let begun = monotonic();
    let wanted = FileIn {
        kind: args.kind.into(),
        file: &args.file,
        mapping: &args.mapping,
        name: args.name.as_deref(),
        rejects: args.rejects.as_deref(),
        again: args.again,
    };
    let report = app.import(wanted, &mut |sums| progress.set(sums.bytes)).await?;
    progress.finish();
    let seconds = begun.elapsed().as_secs_f64();
    context.answer(&report, |r| text(r, seconds))?;
    Ok(true)
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
