//! `touchline retention [--dry-run]`
use super::{Answer, Context, ui};
use crate::app::Access;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Only count what has been kept long enough.
    #[arg(long)]
    dry_run: bool,
}

/// Removes what has been kept as long as the policy says (`[retention]`).
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    let forgotten = app.retention(args.dry_run).await?;
    context.answer(&forgotten, |all| {
        let rows =
            all.iter().map(|f| vec![f.what.name().to_owned(), f.before.clone(), ui::number(i64::try_from(f.rows).unwrap_or(i64::MAX))]).collect();
        ui::table(&["what", "older than", if args.dry_run { "would go" } else { "gone" }], &[2], rows)
    })?;
    Ok(true)
}
