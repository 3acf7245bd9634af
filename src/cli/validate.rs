//! `touchline validate FILE...`
use super::{Answer, Context};
use crate::app::{Failure, check_campaign};
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Campaign files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Checks every file, and says yes only when all are sound.
pub fn run(args: &Args, context: &Context) -> Answer {
    let mut sound = true;
    let mut wrong = None;
    let mut answers = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        match check_campaign(file, &context.config) {
            Ok(campaign) => {
                answers.push(serde_json::json!({"file": name, "valid": true, "campaign": campaign.name, "hash": campaign.hash(), "faults": []}));
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
