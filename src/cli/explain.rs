//! `touchline explain --customer REF`
use super::client::Said;
use super::place::Place;
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
    let (customer, campaign) = (args.customer.as_str(), args.campaign.as_deref());
    let explanation = match context.place(Access::Read).await? {
        Place::Here(app) => Said::from(app.explain(customer, campaign, &Actor::local("command line")).await?),
        Place::There(daemon) => {
            let asked: Vec<(&str, &str)> = std::iter::once(("customer", customer)).chain(campaign.map(|c| ("campaign", c))).collect();
            daemon.get(&["explain"], &asked).await?
        }
    };
    context.say(&explanation, ui::explanation)?;
    Ok(true)
}
