//! `touchline explain --customer REF`
use super::{Answer, Context, ui};
use crate::app::Access;
use crate::domain::access::Actor;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The bank's number for the customer.
    #[arg(long)]
    customer: String,
    /// Only this campaign.
    #[arg(long)]
    campaign: Option<String>,
}

/// Explains a customer.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Read).await?;
    let explanation = app.explain(&args.customer, args.campaign.as_deref(), &Actor::local("command line")).await?;
    context.answer(&explanation, ui::explanation)?;
    Ok(true)
}
