//! `touchline plan CAMPAIGN.yaml`
use super::client::Said;
use super::place::Place;
use super::{Answer, Context, ui};
use crate::app::{Access, files};
use reqwest::Method;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The campaign file.
    file: PathBuf,
}

/// Forecasts a campaign.
pub async fn run(args: Args, context: &Context) -> Answer {
    let plan = match context.place(Access::Read).await? {
        Place::Here(app) => Said::from(app.plan(&app.campaign_file(&args.file).await?).await?),
        Place::There(daemon) => {
            let text = files::read_text(&args.file)?;
            let name = args.file.display().to_string();
            daemon.yaml(Method::POST, &["plan"], &[], &text).await.map_err(|r| r.of_campaign(&name, &text))?
        }
    };
    context.say(&plan, ui::plan)?;
    Ok(true)
}
