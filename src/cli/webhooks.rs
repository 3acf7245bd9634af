//! `touchline webhooks list|add|remove|enable|replay`
use super::{Answer, Context, ui};
use crate::app::webhooks::Wanted;
use crate::app::{Access, Failure};
use crate::domain::time::Timestamp;
use clap::Subcommand;
use serde_json::json;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The subscriptions, and how their deliveries stand.
    List,
    /// Subscribe a system to events; the secret is shown this once.
    Add {
        /// Where to: https, or http to loopback where `webhooks.allow_private` allows it.
        #[arg(value_name = "URL")]
        address: String,
        /// Types of events, such as `touchline.touch.settled`; `*`: all.
        #[arg(long = "type", value_name = "TYPE", required = true)]
        types: Vec<String>,
        /// Only of campaigns of this name.
        #[arg(long, value_name = "NAME")]
        campaign: Option<String>,
        /// Several events in one delivery.
        #[arg(long)]
        batched: bool,
        /// Who says so.
        #[arg(long)]
        by: String,
    },
    /// End a subscription.
    Remove {
        /// Its number.
        id: i64,
    },
    /// Let a subscription go on that was disabled, or that waits.
    Enable {
        /// Its number.
        id: i64,
    },
    /// Tell again what came about since a time.
    Replay {
        /// Its number.
        id: i64,
        /// RFC 3339.
        #[arg(long, value_name = "TIME")]
        since: String,
    },
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    match args.what {
        What::List => {
            let all = app.webhooks().await?;
            context.answer(&all, |all| {
                let rows: Vec<Vec<String>> = all
                    .iter()
                    .map(|w| {
                        let standing = match (w.enabled, w.failures) {
                            (false, _) => "disabled".to_owned(),
                            (true, 0) => "well".to_owned(),
                            (true, n) => format!("{n} failures, again at {}", w.next_at),
                        };
                        vec![w.id.to_string(), w.url.clone(), w.types.join(" "), w.campaign.clone().unwrap_or_default(), standing]
                    })
                    .collect();
                if rows.is_empty() {
                    "nobody subscribes to events".to_owned()
                } else {
                    ui::table(&["no", "url", "types", "campaign", "stands"], &[0], rows)
                }
            })?;
        }
        What::Add { address, types, campaign, batched, by } => {
            let made = app.add_webhook(&Wanted { url: address, types, campaign, batched }, &by).await?;
            context.answer(&made, |made| format!("subscription {}; its secret, shown this once: {}", made.webhook.id, made.secret))?;
        }
        What::Remove { id } => {
            app.remove_webhook(id).await?;
            context.answer(&json!({"removed": id}), |_| format!("subscription {id} has ended"))?;
        }
        What::Enable { id } => {
            let shown = app.enable_webhook(id).await?;
            context.answer(&shown, |_| format!("subscription {id} goes on"))?;
        }
        What::Replay { id, since } => {
            let since = chrono::DateTime::parse_from_rfc3339(&since)
                .map_err(|e| Failure::use_(format!("--since: expected RFC 3339 such as 2026-11-24T00:00:00Z: {e}")))?;
            let events = app.replay_webhook(id, Timestamp::from(since.to_utc())).await?;
            context.answer(&json!({"events": events}), |_| format!("{events} events (of all types) lie before subscription {id} again"))?;
        }
    }
    Ok(true)
}
