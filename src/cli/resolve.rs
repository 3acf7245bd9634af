//! `touchline resolve --campaign NAME`
use super::client::Said;
use super::place::Place;
use super::{Answer, Context, ui};
use crate::api::ask::WantedResolution;
use crate::app::{Access, Failure};
use crate::desk::resolve::Resolved;
use crate::domain::touch::Touch;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The campaign.
    #[arg(long)]
    campaign: String,
    /// What was found out: `reached`, or how the customer was missed (`no_answer`, `busy`, `undelivered` ...). Without it the touches in doubt are listed.
    #[arg(long = "as", value_name = "DISPOSITION")]
    as_: Option<String>,
    /// For a call that reached the customer: seconds of conversation.
    #[arg(long, default_value_t = 0)]
    connected_seconds: u32,
    /// Only these touches (campaign-customer-seq, as listed); without it all in doubt.
    #[arg(long, value_name = "TOUCH")]
    touch: Vec<String>,
    /// Who says so; to a daemon it is whose token it is.
    #[arg(long)]
    by: Option<String>,
    /// Why; kept with every touch.
    #[arg(long)]
    why: Option<String>,
}

/// Lists or settles touches in doubt.
pub async fn run(args: Args, context: &Context) -> Answer {
    let Some(word) = &args.as_ else {
        let touches = match context.place(Access::Change).await? {
            Place::Here(app) => Said::from(app.in_doubt(&args.campaign).await?),
            Place::There(daemon) => daemon.get(&["campaigns", &args.campaign, "uncertain"], &[]).await?,
        };
        context.say(&touches, |touches: &Vec<Touch>| {
            let rows = touches
                .iter()
                .map(|t| {
                    let at = |t: Option<crate::domain::time::Timestamp>| t.map_or_else(|| "-".to_owned(), |t| t.to_string());
                    vec![t.key.to_string(), t.channel.map_or("-", |c| c.name()).to_owned(), t.reason.to_string(), at(t.started_at)]
                })
                .collect::<Vec<_>>();
            match rows.len() {
                0 => "no touch is in doubt".to_owned(),
                n => format!("{}\n{n} in doubt", ui::table(&["touch", "channel", "why", "started"], &[], rows)),
            }
        })?;
        return Ok(true);
    };
    let (by, why) = (args.by.unwrap_or_default(), args.why.unwrap_or_default());
    if why.trim().is_empty() || (by.trim().is_empty() && context.remote.is_none()) {
        return Err(Failure::use_("--as: expected also who says so (--by NAME) and why (--why TEXT): both are kept with every touch"));
    }
    let wanted = WantedResolution { as_: word.clone(), connected_seconds: args.connected_seconds, touches: args.touch, why };
    let (finding, selection) = wanted.read().map_err(Failure::use_)?;
    let resolved = match context.place(Access::Change).await? {
        Place::Here(app) => Said::from(app.resolve(&args.campaign, &selection, finding, &by, &wanted.why).await?),
        Place::There(daemon) => daemon.post(&["campaigns", &args.campaign, "resolve"], &wanted).await?,
    };
    context.say(&resolved, |r: &Resolved| {
        let skipped = if r.skipped.is_empty() { String::new() } else { format!("; left as they are: {}", r.skipped.join(", ")) };
        format!("{} settled, {} of them go on{skipped}", r.settled, r.continued)
    })?;
    Ok(true)
}
