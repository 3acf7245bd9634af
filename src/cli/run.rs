//! `touchline run CAMPAIGN.yaml...`
use super::rehearse::show;
use super::signals::asked_to_end;
use super::ui::{self, Progress};
use super::{Answer, Context};
use crate::app::run::Wanted;
use crate::app::{Access, Failure};
use crate::domain::campaign::Campaign;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Campaign files, or names of approved campaigns. The same file again, after a stop or a crash, goes on where it stood.
    #[arg(required = true)]
    campaigns: Vec<PathBuf>,
    /// In whose name a file is submitted and approved.
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// Seed of simulated carriers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs campaigns to their end.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Write).await?;
    let (files, names): (Vec<&PathBuf>, Vec<&PathBuf>) = args.campaigns.iter().partition(|c| is_file(c));
    let mut campaigns: Vec<Campaign> = Vec::new();
    for file in files {
        campaigns.push(app.campaign_file(file).await?);
    }
    let names: Vec<String> = names.into_iter().map(|name| name.display().to_string()).collect();
    let progress = Progress::new("customers", 0, context.json);
    let mut stands = BTreeMap::new();
    let interrupt = async {
        asked_to_end().await;
        eprintln!("ending in order: nothing more is begun; waiting for touches in flight (again Ctrl-C does not hurry it)");
    };
    let outcomes = app
        .run(&Wanted { files: &campaigns, names: &names, by: &args.by }, args.seed, interrupt, |row, stand| {
            stands.insert(row.id, stand);
            if let Some(all) = stands.values().copied().reduce(|a, b| a.plus(&b)) {
                show(&progress, &all);
            }
        })
        .await?;
    progress.finish();
    let reports: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let text = |o: &crate::app::outcome::Outcome| {
        let exports: String = o.exports.iter().map(|e| format!("\nexport: {}", e.folder.display())).collect();
        let mail = match (&o.mailed, &o.mail_fault) {
            (Some(mailed), _) => format!("\nmailed: {}", mailed.message_id),
            (None, Some(fault)) => format!("\nNOT mailed: {fault}"),
            (None, None) => String::new(),
        };
        ui::outcome(o) + &exports + &mail
    };
    match reports.as_slice() {
        [one] => context.answer(one, text)?,
        all => context.answer(&all, |all| all.iter().map(text).collect::<Vec<_>>().join("\n\n"))?,
    }
    Ok(reports.iter().all(|o| o.mail_fault.is_none()))
}

pub(super) fn is_file(path: &Path) -> bool {
    path.exists() || path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::reach(e.to_string())
    }
}
