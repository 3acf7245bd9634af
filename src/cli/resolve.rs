//! `touchline resolve --campaign NAME`
use super::{Answer, Context, ui};
use crate::app::{Access, Failure};
use crate::desk::resolve::{Finding, Selection};
use crate::domain::outcome::Reason;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The campaign.
    #[arg(long)]
    pub(super) campaign: String,
    /// What was found out: `reached`, or how the customer was missed (`no_answer`, `busy`, `undelivered` ...). Without it the touches in doubt are listed.
    #[arg(long = "as", value_name = "DISPOSITION", requires = "by", requires = "why")]
    as_: Option<String>,
    /// For a call that reached the customer: seconds of conversation.
    #[arg(long, default_value_t = 0)]
    connected_seconds: u32,
    /// Only these touches (campaign-customer-seq, as listed); without it all in doubt.
    #[arg(long, value_name = "TOUCH")]
    touch: Vec<String>,
    /// Who says so.
    #[arg(long)]
    by: Option<String>,
    /// Why; kept with every touch.
    #[arg(long)]
    why: Option<String>,
}

impl Args {
    /// Whether touches are settled, not only listed.
    pub(super) fn settles(&self) -> bool {
        self.as_.is_some()
    }
}

/// Lists or settles touches in doubt.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    let Some(word) = &args.as_ else {
        let touches = app.in_doubt(&args.campaign).await?;
        context.answer(&touches, |touches| {
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
    let finding = match Reason::from_name(word) {
        _ if word == "reached" => Finding::Reached { connected_s: args.connected_seconds },
        Some(reason) if reason.is_missed() => Finding::Missed(reason),
        _ => {
            let known: Vec<&str> = Reason::ALL.iter().filter(|r| r.is_missed()).map(|r| r.name()).collect();
            return Err(Failure::use_(format!("--as: expected reached, {}; found {word:?}", known.join(", "))));
        }
    };
    let selection = if args.touch.is_empty() {
        Selection::All
    } else {
        Selection::Touches(args.touch.iter().map(|t| t.parse()).collect::<Result<_, String>>().map_err(|e| Failure::use_(format!("--touch: {e}")))?)
    };
    let (by, why) = (args.by.unwrap_or_default(), args.why.unwrap_or_default());
    let resolved = app.resolve(&args.campaign, &selection, finding, &by, &why).await?;
    context.answer(&resolved, |r| {
        let skipped = if r.skipped.is_empty() { String::new() } else { format!("; left as they are: {}", r.skipped.join(", ")) };
        format!("{} settled, {} of them go on{skipped}", r.settled, r.continued)
    })?;
    Ok(true)
}
