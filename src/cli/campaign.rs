//! `touchline campaign submit|approve|start|pause|resume|stop|status|list|diff`
use super::{Answer, Context, ui};
use crate::app::Access;
use crate::desk::control::{self, DiffLine};
use crate::desk::submit;
use crate::domain::audit::target;
use crate::store::CampaignRow;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Hand in a campaign file: its audience is frozen.
    Submit {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        who: Who,
    },
    /// Approve exactly the file that was handed in.
    Approve {
        /// Name.
        name: String,
        /// The hash that the approver has seen; 12 digits at least.
        #[arg(long)]
        hash: String,
        #[command(flatten)]
        who: Who,
    },
    /// Make an approved campaign ready to go; `touchline run NAME` runs it.
    Start(Named),
    /// Hold: nothing new starts, nothing is lost.
    Pause(Reasoned),
    /// Go on after a pause.
    Resume(Reasoned),
    /// End early: what has not started is called off.
    Stop(Reasoned),
    /// The report of a campaign.
    Status {
        /// Name.
        name: String,
        /// The rehearsal, though there is a real run.
        #[arg(long)]
        rehearsal: bool,
    },
    /// All campaigns.
    List,
    /// What a file changes against the newest version handed in.
    Diff {
        /// Name.
        name: String,
        /// The file.
        file: PathBuf,
    },
}

#[derive(clap::Args)]
struct Who {
    /// Who does it.
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// Why; kept in the campaign's history.
    #[arg(long, default_value = "")]
    why: String,
}

#[derive(clap::Args)]
struct Named {
    /// Name.
    name: String,
    #[command(flatten)]
    who: Who,
}

#[derive(clap::Args)]
struct Reasoned {
    /// Name.
    name: String,
    /// Who does it.
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// Why; kept in the campaign's history.
    #[arg(long)]
    why: String,
}

fn line(row: &CampaignRow) -> String {
    format!(
        "{} version {}: {}, wanted: {}; audience {}; hash {}",
        row.name,
        row.version,
        row.status,
        row.wanted,
        ui::number(row.audience),
        row.hash.get(..12).unwrap_or(&row.hash)
    )
}

/// What the audit log calls it, and on what it works.
pub(super) fn audited(args: &Args) -> Option<(&'static str, String)> {
    let (verb, name) = match &args.verb {
        Verb::Submit { file, .. } => ("campaign submit", file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()),
        Verb::Approve { name, .. } => ("campaign approve", name.clone()),
        Verb::Start(n) => ("campaign start", n.name.clone()),
        Verb::Pause(n) => ("campaign pause", n.name.clone()),
        Verb::Resume(n) => ("campaign resume", n.name.clone()),
        Verb::Stop(n) => ("campaign stop", n.name.clone()),
        Verb::Status { .. } | Verb::List | Verb::Diff { .. } => return None,
    };
    Some((verb, target([("name", name.as_str())])))
}

/// Does one of the verbs.
pub async fn run(args: Args, context: &Context) -> Answer {
    let access = match args.verb {
        Verb::List | Verb::Diff { .. } => Access::Read,
        Verb::Submit { .. } => Access::Write,
        Verb::Approve { .. } | Verb::Start(_) | Verb::Pause(_) | Verb::Resume(_) | Verb::Stop(_) | Verb::Status { .. } => Access::Change,
    };
    let app = context.open(access).await?;
    let (store, now) = (app.store.as_ref(), app.now());
    match args.verb {
        Verb::Submit { file, who } => {
            let campaign = app.campaign_file(&file).await?;
            let submitted = submit::submit(store, &campaign, false, &who.by, now).await?;
            context.answer(&submitted, |s| {
                let filter = s.filter.as_ref().map_or_else(String::new, |f| {
                    format!("\nwhere: {} of {} members kept, {} left out, {} could not be told", f.kept, f.members, f.left_out, f.filter_errors)
                });
                let next = format!(
                    "\nNext: touchline campaign approve {} --hash {}",
                    s.campaign.name,
                    s.campaign.hash.get(..12).unwrap_or(&s.campaign.hash)
                );
                line(&s.campaign) + &filter + &next
            })?;
        }
        Verb::Approve { name, hash, who } => {
            let row = submit::approve(store, &name, &hash, &who.by, &who.why, now).await?;
            context.answer(&row, |r| format!("{}\nNext: touchline run {}", line(r), r.name))?;
        }
        Verb::Start(mut n) => {
            if n.who.why.is_empty() {
                "started".clone_into(&mut n.who.why);
            }
            let row = control::start(store, &n.name, &n.who.by, &n.who.why, now).await?;
            context.answer(&row, |r| format!("{}\nNext: touchline run {}", line(r), r.name))?;
        }
        Verb::Pause(n) => context.answer(&control::pause(store, &n.name, &n.by, &n.why, now).await?, line)?,
        Verb::Resume(n) => context.answer(&control::resume(store, &n.name, &n.by, &n.why, now).await?, line)?,
        Verb::Stop(n) => {
            let (row, closed) = control::stop_from_outside(store, &n.name, &n.by, &n.why, now).await?;
            context.answer(&row, |r| if closed { line(r) } else { format!("{}\nThe process that runs it ends it now.", line(r)) })?;
        }
        Verb::Status { name, rehearsal } => {
            let row = app.run_named(&name, rehearsal.then_some(true)).await?;
            context.answer(&app.status(&row).await?, ui::outcome)?;
        }
        Verb::List => {
            let all = control::list(store).await?;
            context.answer(&all, |all| ui::campaigns(all))?;
        }
        Verb::Diff { name, file } => {
            let row = app.run_named(&name, Some(false)).await?;
            let text = crate::app::files::read_text(&file)?;
            let diff = control::diff(&row.source, &text);
            context.answer(&diff, |lines| {
                let one = |l: &DiffLine| match l {
                    DiffLine::Same(t) => format!("  {t}"),
                    DiffLine::Removed(t) => format!("- {t}"),
                    DiffLine::Added(t) => format!("+ {t}"),
                };
                lines.iter().map(one).collect::<Vec<_>>().join("\n")
            })?;
        }
    }
    Ok(true)
}
