//! `touchline verify DIR`
use super::{Answer, Context, ui};
use crate::app::Access;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of one export.
    folder: PathBuf,
}

/// Verifies an export; no when anything is at fault.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Read).await?;
    let report = app.verify(&args.folder).await?;
    context.answer(&report, ui::verification)?;
    Ok(report.is_intact())
}
