//! `touchline validate FILE...`
use super::client::{Client, in_file};
use super::{Answer, Context};
use crate::api::ask::Verdict;
use crate::app::{Failure, check_campaign, files};
use reqwest::Method;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Campaign files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Checks every file, and says yes only when all are sound.
pub async fn run(args: &Args, context: &Context) -> Answer {
    let daemon = context.remote.as_ref().map(Client::new).transpose()?;
    let mut sound = true;
    let mut wrong = None;
    let mut answers = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        let checked = match &daemon {
            None => check_campaign(file, &context.config).map(|campaign| (campaign.hash(), campaign.name)),
            Some(daemon) => ask(daemon, file, &name).await,
        };
        match checked {
            Ok((hash, campaign)) => {
                answers.push(serde_json::json!({"file": name, "valid": true, "campaign": campaign, "hash": hash, "faults": []}));
            }
            Err(failure) => {
                sound = false;
                // A file that is not there is a slip of the pen, and no verdict on a campaign.
                wrong = wrong.or((failure.code != 1).then_some(failure.code));
                if !context.json {
                    eprintln!("{}", failure.text.trim_end());
                }
                let faults = failure.detail.get("faults").cloned().unwrap_or_else(|| serde_json::json!([failure.detail]));
                answers.push(serde_json::json!({"file": name, "valid": false, "faults": faults}));
            }
        }
    }
    let text = |answers: &Vec<serde_json::Value>| {
        let line = |a: &serde_json::Value| {
            let text = |key: &str| a.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            match a.get("faults").and_then(|f| f.as_array()).map_or(0, Vec::len) {
                0 => format!("{}: sound ({})", text("file"), text("campaign")),
                1 => format!("{}: 1 fault", text("file")),
                n => format!("{}: {n} faults", text("file")),
            }
        };
        answers.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    if let Some(code) = wrong {
        return Err(Failure { code, text: text(&answers), detail: serde_json::json!(answers) });
    }
    context.answer(&answers, text)?;
    Ok(sound)
}

/// Asks a daemon, which knows its own routes: the file's hash and the campaign's name.
async fn ask(daemon: &Client, file: &Path, name: &str) -> Result<(String, String), Failure> {
    let text = files::read_text(file)?;
    let verdict = daemon.yaml::<Verdict>(Method::POST, &["validate"], &[], &text).await.map_err(|r| r.of_campaign(name, &text))?.value;
    match (verdict.hash, verdict.campaign) {
        (Some(hash), Some(campaign)) if verdict.valid => Ok((hash, campaign)),
        _ => Err(in_file(&verdict.faults, name, &text)),
    }
}
