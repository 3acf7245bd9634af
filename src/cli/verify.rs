//! `touchline verify DIR`
use super::client::{Client, Said};
use super::place::Place;
use super::{Answer, Context, ui};
use crate::app::{Access, Failure};
use crate::finance::{Difference, Manifest, VerifyReport, manifest, verify};
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of one export; of a daemon also its number.
    folder: PathBuf,
}

/// Verifies an export; no when anything is at fault.
pub async fn run(args: Args, context: &Context) -> Answer {
    let report = match context.place(Access::Read).await? {
        Place::Here(app) => Said::from(app.verify(&args.folder).await?),
        Place::There(daemon) => ask(&daemon, &args.folder).await?,
    };
    context.say(&report, ui::verification)?;
    Ok(report.value.is_intact())
}

/// The files here are compared with their manifest, the manifest with the daemon's; then these are the daemon's files, and what it finds of
/// them against its ledger is found of these.
async fn ask(daemon: &Client, folder: &Path) -> Result<Said<VerifyReport>, Failure> {
    let number = folder.to_str().filter(|_| !folder.exists()).and_then(|text| text.parse::<i64>().ok());
    let number = match number {
        Some(number) => number,
        None => {
            let (own, sha256) = Manifest::read(folder)?;
            let mut report = verify(None, folder).await?;
            let theirs = daemon.get::<Manifest>(&["exports", &own.number.to_string()], &[]).await?;
            let their_sha256 = manifest::sha256(theirs.json.unwrap_or_default().as_bytes());
            if their_sha256 != sha256 {
                report.fault_count += 1;
                let what = "sha256 as the export book has it".to_owned();
                report.faults.push(Difference { file: manifest::FILE.to_owned(), what, expected: their_sha256, found: sha256 });
                report.advice = Some("do not use this export: fetch it again from where it was kept, or make a new one; never edit one".to_owned());
            }
            if !report.is_intact() {
                report.unchecked.retain(|u| u != NO_STORE);
                report.unchecked.push("the ledger: the export itself is at fault".to_owned());
                return Ok(report.into());
            }
            own.number
        }
    };
    Ok(daemon.post(&["exports", &number.to_string(), "verify"], &()).await?)
}

/// What `finance::verify` says when it is given no store.
const NO_STORE: &str = "the ledger: no store was given";
