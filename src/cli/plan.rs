//! `touchline plan CAMPAIGN.yaml`
use super::{Answer, Context, ui};
use crate::app::Access;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The campaign file.
    file: PathBuf,
}

/// Forecasts a campaign.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Read).await?;
    let campaign = app.campaign_file(&args.file).await?;
    let plan = app.plan(&campaign).await?;
    context.answer(&plan, ui::plan)?;
    Ok(true)
}
