//! `touchline erase --customer REF --why TEXT`
use super::{Answer, Context};
use crate::app::{Access, Failure};
use crate::domain::access::Actor;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The bank's reference of the customer.
    #[arg(long, value_name = "REF", required_unless_present = "readmit")]
    customer: Option<String>,
    /// Why, without personal data (by which letter); kept with the erasure.
    #[arg(long)]
    why: String,
    /// Who says so.
    #[arg(long, default_value = "local")]
    by: String,
    /// The other way round: an erased customer may be taken in again, as a new one. What was erased does not come back.
    #[arg(long)]
    readmit: bool,
    /// With --readmit: the telephone number (E.164) that bars a customer.
    #[arg(long, value_name = "NUMBER", requires = "readmit")]
    phone: Option<String>,
}

/// Erases a customer for good, or lets an erased one in again.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    if args.readmit {
        if args.customer.is_none() && args.phone.is_none() {
            return Err(Failure::use_("--readmit: expected --customer REF or --phone NUMBER, found neither"));
        }
        app.readmit(args.customer.as_deref(), args.phone.as_deref(), &args.why).await?;
        context.answer(&serde_json::json!({ "readmitted": true }), |_| "the customer may be taken in again".to_owned())?;
        return Ok(true);
    }
    let erased = app.erase(&Actor::local(args.by), args.customer.as_deref().unwrap_or_default(), &args.why).await?;
    context.answer(&erased, |e| {
        if e.already {
            return format!("{} was erased before; nothing was done", e.pseudonym);
        }
        format!(
            "erased; the ledger has the customer as {} from now on\nwords removed: {} receipts, {} tasks, {} checkpoints, {} sources of consents and suppressions\n\
             exports made before stay as they are, and verify as before; backups hold the data until they are overwritten",
            e.pseudonym, e.receipts, e.tasks, e.checkpoints, e.sources
        )
    })?;
    Ok(true)
}
