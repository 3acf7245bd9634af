//! `touchline doctor`
use super::{Answer, Context, ui};
use crate::app::Access;
use crate::desk::doctor::{has_faults, unreachable};
use crate::store::StoreError;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Adopt this restored or copied database as the one that sends. Touches that were made after the copy was taken are not
    /// in it: their customers may be contacted again.
    #[arg(long)]
    accept_restored: bool,
}

/// Looks everything over; no when something is found.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = match context.open(Access::Read).await {
        Ok(app) => app,
        Err(mut failure) => {
            let checks = [unreachable(&StoreError::Unusable(failure.text.clone()))];
            // The one document, also of a failure: the checks, with the error beside them.
            failure.detail = serde_json::json!({ "error": failure.text, "checks": checks });
            if !context.json {
                context.answer(&checks, |c| ui::checks(c))?;
            }
            return Err(failure);
        }
    };
    if args.accept_restored {
        app.accept_restored().await?;
    }
    let checks = app.doctor().await?;
    context.answer(&checks, |c| ui::checks(c))?;
    Ok(!has_faults(&checks))
}
