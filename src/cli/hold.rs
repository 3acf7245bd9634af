//! `touchline hold --customer REF --until INSTANT | --lift`
use super::callback::instant;
use super::{Answer, Context};
use crate::app::{Access, Failure};
use crate::desk::contacts::{HoldAsked, hold, lift};
use crate::domain::access::Actor;
use crate::domain::time::Timestamp;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The bank's reference of the customer.
    #[arg(long)]
    customer: String,
    /// Until when, such as 2026-11-27T18:00:00+08:00; rounded up to a quarter of an hour.
    #[arg(long, value_name = "INSTANT", value_parser = instant, requires = "why", required_unless_present = "lift")]
    until: Option<Timestamp>,
    /// Why, in a few words without personal data.
    #[arg(long)]
    why: Option<String>,
    /// Lift the hold: what it had put off is due at once.
    #[arg(long, conflicts_with = "until")]
    lift: bool,
    /// Who says so.
    #[arg(long)]
    by: String,
}

/// Holds a customer's touches on all channels but the worklist, or lifts the hold.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    let (store, actor, now) = (app.store.as_ref(), Actor::local(args.by), app.now());
    let seen = match args.until {
        Some(until) => hold(store, &actor, &args.customer, &HoldAsked { until, why: args.why.unwrap_or_default() }, now).await,
        None => lift(store, &actor, &args.customer, now).await,
    };
    context.answer(&seen.map_err(Failure::from)?, |seen| match &seen.held_until {
        Some(until) => format!("held until {until}"),
        None => "not held".to_owned(),
    })?;
    Ok(true)
}
