//! `touchline dead-letters list|show|retry|close`
use super::{Answer, Context, ui};
use crate::app::Access;
use crate::desk::dead_letters::{self, Shown};
use crate::domain::access::Actor;
use clap::Subcommand;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What could not be taken, without its contents.
    List {
        /// Also those that were dealt with.
        #[arg(long)]
        all: bool,
        /// After this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// One, with what was sent: it may hold personal data.
    Show {
        /// Its number.
        id: i64,
    },
    /// Take one once more: after a setting was mended, or a customer imported.
    Retry {
        /// Its number.
        id: i64,
        /// Who says so.
        #[arg(long)]
        by: String,
    },
    /// Close one that a person has dealt with.
    Close {
        /// Its number.
        id: i64,
        /// Who says so.
        #[arg(long)]
        by: String,
        /// What was done about it.
        #[arg(long)]
        why: String,
    },
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Change).await?;
    match args.what {
        What::List { all, after, limit } => {
            let letters = dead_letters::list(app.store.as_ref(), !all, after, limit.into()).await?;
            context.answer(&letters, |letters| {
                let rows: Vec<Vec<String>> = letters
                    .iter()
                    .map(|l| {
                        vec![l.id.to_string(), l.received_at.to_string(), l.kind.clone(), l.source.clone(), l.how.clone().unwrap_or(l.reason.clone())]
                    })
                    .collect();
                if rows.is_empty() { "there are no dead letters".to_owned() } else { ui::table(&["no", "came", "kind", "from", "why"], &[0], rows) }
            })?;
        }
        What::Show { id } => {
            let letter = Shown::whole(&app.dead_letter(id).await?);
            context.answer(&letter, |l| {
                format!("{} of {}, {}: {}\n{}", l.kind, l.source, l.received_at, l.reason, l.raw.as_deref().unwrap_or_default())
            })?;
        }
        What::Retry { id, by } => {
            let letter = Shown::from(&app.retry_dead_letter(&Actor::local(by), id).await?);
            context.answer(&letter, |_| format!("dead letter {id} was taken"))?;
        }
        What::Close { id, by, why } => {
            let letter = Shown::from(&app.close_dead_letter(&Actor::local(by), id, &why).await?);
            context.answer(&letter, |_| format!("dead letter {id} is closed"))?;
        }
    }
    Ok(true)
}
