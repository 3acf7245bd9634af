//! `touchline schema campaign|mapping|config`
use super::{Answer, Context};
use crate::config::Config;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Of what.
    #[arg(value_parser = ["campaign", "mapping", "config"])]
    of: String,
}

/// Prints a JSON Schema.
pub fn run(args: &Args, context: &Context) -> Answer {
    let schema = match args.of.as_str() {
        "campaign" => crate::campaign_file::json_schema(),
        "mapping" => crate::intake::mapping_schema(),
        _ => Config::schema(),
    };
    context.answer(&schema, |s| serde_json::to_string_pretty(s).unwrap_or_default())?;
    Ok(true)
}
