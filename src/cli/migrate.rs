//! `touchline migrate`
use super::{Answer, Context};
use crate::app::Access;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

/// Makes the store, or brings it to this program's version.
pub async fn run(_args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Write).await?;
    let answer = serde_json::json!({"store": app.config.store_url(), "kind": app.store.kind(), "ready": true});
    context.answer(&answer, |_| format!("{} is ready", app.config.store_url()))?;
    Ok(true)
}
