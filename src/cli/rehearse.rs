//! `touchline rehearse CAMPAIGN.yaml`
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::Access;
use crate::app::rehearse::Stand;
use crate::clock::monotonic;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The campaign file.
    file: PathBuf,
    /// Seed of the simulated carriers: the same seed gives the same rehearsal.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Rehearses a campaign.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Rehearse).await?;
    let campaign = app.campaign_file(&args.file).await?;
    let progress = Progress::new("customers", 0, context.json);
    let begun = monotonic();
    let (_, outcome) = app.rehearse(&campaign, args.seed, |stand| show(&progress, &stand)).await?;
    progress.finish();
    let name = campaign.name.clone();
    context.answer(&outcome, |o| {
        format!(
            "{}\nRehearsed in {} of real time.\nNext: touchline export results --campaign {name} --out DIR",
            ui::outcome(o),
            ui::span(begun.elapsed().as_secs_f64())
        )
    })?;
    Ok(true)
}

/// Progress with the campaign's own time.
pub fn show(progress: &Progress, stand: &Stand) {
    progress.total(u64::try_from(stand.audience).unwrap_or(0));
    let at = stand.at.utc().format("%Y-%m-%d %H:%M UTC");
    progress.describe(&format!("{at}  {} attempts, {} reached; customers done", ui::number(stand.attempts), ui::number(stand.reached)));
    progress.set(u64::try_from(stand.closed).unwrap_or(0));
}
