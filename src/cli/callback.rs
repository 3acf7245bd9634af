//! `touchline callback happened|wanted`
use super::{Answer, Context};
use crate::app::{Access, Failure};
use crate::desk::callbacks::{Wanted, law, wanted};
use crate::desk::contacts::{Happened, Heard, happened};
use crate::domain::access::Actor;
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A contact that happened: recorded as a touch, so that caps count it.
    Happened(HappenedArgs),
    /// A wish to be called: checked against the law of the customer's clock, and put onto a worklist.
    Wanted(WantedArgs),
}

#[derive(clap::Args)]
struct HappenedArgs {
    /// The bank's reference of the customer.
    #[arg(long)]
    customer: String,
    /// Your own name for the contact: the same again changes nothing, a later report corrects.
    #[arg(long)]
    id: String,
    /// When it began, such as 2026-11-24T10:00:00+08:00.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    started_at: Timestamp,
    /// What came of it: `answered`, `interested`, `not_interested`, `no_answer`, `busy` ...
    #[arg(long, value_parser = disposition)]
    disposition: Reason,
    /// Seconds of conversation.
    #[arg(long, default_value_t = 0)]
    connected_seconds: u32,
    /// call, sms, push, email or worklist (face to face).
    #[arg(long, default_value = "call", value_parser = channel)]
    channel: Channel,
    /// marketing, service or collection.
    #[arg(long, default_value = "marketing", value_parser = purpose)]
    purpose: Purpose,
    /// Who reports it.
    #[arg(long)]
    by: String,
}

#[derive(clap::Args)]
struct WantedArgs {
    /// The bank's reference of the customer.
    #[arg(long)]
    customer: String,
    /// Your own name for the wish: a later word under it changes or cancels it.
    #[arg(long)]
    id: String,
    /// When, by the customer's clock, such as 2026-11-25T15:30.
    #[arg(long, value_name = "TIME", required_unless_present = "cancel")]
    local_time: Option<String>,
    /// The zone of that clock; left out: the customer's own.
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// What about, in one line without personal data.
    #[arg(long)]
    topic: Option<String>,
    /// The customer does not want it any more.
    #[arg(long, conflicts_with = "local_time")]
    cancel: bool,
    /// Who took it down.
    #[arg(long)]
    by: String,
}

pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let read = chrono::DateTime::parse_from_rfc3339(text);
    read.map(|at| at.to_utc().into()).map_err(|_| "expected an instant with its offset, such as 2026-11-24T10:00:00+08:00".to_owned())
}

fn disposition(text: &str) -> Result<Reason, String> {
    Reason::from_name(text).filter(|r| r.is_reached() || r.is_missed()).ok_or_else(|| {
        let known: Vec<&str> = Reason::ALL.iter().filter(|r| r.is_reached() || r.is_missed()).map(|r| r.name()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

fn channel(text: &str) -> Result<Channel, String> {
    Channel::ALL.into_iter().find(|c| c.name() == text).ok_or_else(|| "expected call, sms, push, email or worklist".to_owned())
}

fn purpose(text: &str) -> Result<Purpose, String> {
    Purpose::from_name(text).ok_or_else(|| "expected marketing, service or collection".to_owned())
}

/// Takes a callback down.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    match args.what {
        What::Happened(args) => {
            let said = Happened {
                source: None,
                id: args.id,
                customer: args.customer,
                channel: args.channel,
                purpose: args.purpose,
                started_at: args.started_at,
                disposition: args.disposition,
                connected_s: args.connected_seconds,
                at: None,
                touch: None,
                task: None,
            };
            match happened(app.store.as_ref(), &Actor::local(args.by), &said, app.now()).await.map_err(Failure::from)? {
                Heard::Contact { contact, made } => {
                    let word = if made { "recorded" } else { "on record before" };
                    context.answer(&contact, |c| format!("{word}: touch {}, {} ({}) at {}", c.touch, c.state, c.disposition, c.started_at))?;
                }
                Heard::Receipt(_) | Heard::Task(..) => return Err(Failure::no("expected a contact of its own; a touch's outcome is its receipt")),
            }
        }
        What::Wanted(args) => {
            let callbacks = &app.config.callbacks;
            let asked = Wanted {
                source: None,
                id: args.id,
                customer: args.customer,
                local_time: args.local_time,
                timezone: args.timezone,
                topic: args.topic,
                cancelled: args.cancel,
                at: None,
            };
            let law = law(&callbacks.policy).map_err(Failure::from)?;
            let (wish, _) =
                wanted(app.store.as_ref(), &Actor::local(args.by), &law, &callbacks.times(), &asked, app.now()).await.map_err(Failure::from)?;
            context.answer(&wish, |wish| match (&wish.local_time, wish.task) {
                (Some(local), Some(task)) => format!("agreed for {local} by the customer's clock; task {task}"),
                _ => "cancelled".to_owned(),
            })?;
        }
    }
    Ok(true)
}
