//! `touchline keys new|list|rotate`
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::{Access, privacy};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Print a new key for a key file or TOUCHLINE_PERSONAL_DATA_KEY. It is kept nowhere else.
    New,
    /// The names of the keys, and how much is sealed under which.
    List,
    /// Seal everything anew under the first key, also while the daemon runs. First put the new key before the old one wherever the keys are
    /// named, and restart what uses them; when this is done the old key may go.
    Rotate {
        /// Write the whole database file anew at the end: for data from a version that did not seal, whose freed pages still hold
        /// them. Takes as much room again.
        #[arg(long)]
        whole: bool,
    },
}

/// Makes, lists or changes keys.
pub async fn run(args: Args, context: &Context) -> Answer {
    match args.what {
        What::New => {
            let key = privacy::fresh_key()?;
            context.answer(&serde_json::json!({ "key": *key }), |_| key.to_string())?;
            Ok(true)
        }
        What::List => {
            let keys = context.open(Access::Change).await?.keys().await?;
            context.answer(&keys, |keys| format!("keys: {}\n{}", keys.source, table(&keys.under)))?;
            Ok(true)
        }
        What::Rotate { whole } => {
            let app = context.open(Access::Change).await?;
            let customers = app.customers().await?;
            let progress = Progress::new("sealing", customers, context.json);
            let rotation = app.rotate_keys(whole, &mut |n| progress.set(n)).await?;
            progress.finish();
            context.answer(&rotation, |r| {
                let left = match (r.done, r.scrubbed) {
                    (false, _) => "; something was sealed under another key meanwhile: restart what still uses it, and run this again",
                    (true, false) => "; old values are still in the log: run this again when nobody reads",
                    (true, true) => "; other keys may go",
                };
                format!("{} rows sealed anew{left}\n{}", r.sealed, table(&r.under))
            })?;
            Ok(rotation.done)
        }
    }
}

fn table(under: &[crate::app::privacy::SealedUnder]) -> String {
    let rows = under
        .iter()
        .map(|u| {
            let key = u.key.clone().unwrap_or_else(|| "(not sealed)".to_owned());
            vec![key, ui::number(i64::try_from(u.values).unwrap_or(i64::MAX)), if u.current { "seals" } else { "" }.to_owned()]
        })
        .collect();
    ui::table(&["key", "values", ""], &[1], rows)
}
