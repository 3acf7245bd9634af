//! `touchline demo`
use super::import;
use super::rehearse::show;
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::demo::{Scene, demo};
use crate::clock::monotonic;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Made-up customers.
    #[arg(long, default_value_t = 100_000)]
    customers: u64,
    /// Seed: the same gives the same demo.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder of the demo, made anew each time.
    #[arg(long, default_value = "touchline-demo")]
    dir: PathBuf,
}

/// Runs the demo.
pub async fn run(args: Args, context: &Context) -> Answer {
    let begun = monotonic();
    let json = context.json;
    let progress = Progress::new("", 0, json);
    let mut part = monotonic();
    let demo = demo(context.config.clone(), &args.dir, args.customers, args.seed, &mut |scene| {
        let say = |text: &str| {
            if !json {
                progress.say(text);
            }
        };
        match scene {
            Scene::Part(name) => {
                part = monotonic();
                progress.finish();
                say(&format!("\n== {name}"));
                progress.part(name, name.contains("importing"));
            }
            Scene::Importing(sums) => {
                progress.total(sums.bytes_total);
                progress.set(sums.bytes);
            }
            Scene::Imported(report) => say(&import::text(report, part.elapsed().as_secs_f64())),
            Scene::Planned(plan) => say(&ui::plan(plan)),
            Scene::Rehearsing(stand) => show(&progress, &stand),
        }
    })
    .await?;
    progress.finish();
    context.answer(&demo, |d| {
        let exports: String =
            d.demo_exports.iter().map(|e| format!("  {} ({} rows)\n", e.folder.display(), ui::number(e.manifest.totals.rows))).collect();
        let verified = if d.verified { "verified against the ledger" } else { "NOT equal to the ledger" };
        format!(
            "\n{}\n\nexports, {verified}:\n{exports}\n{} customers in {}; everything is in {}. Go on with:\n  {}",
            ui::outcome(&d.outcome),
            ui::number(d.outcome.report.audience),
            ui::span(begun.elapsed().as_secs_f64()),
            d.folder.display(),
            d.next.join("\n  ")
        )
    })?;
    Ok(demo.verified)
}
