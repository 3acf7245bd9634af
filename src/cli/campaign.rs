//! `touchline campaign draft|submit|approve|start|pause|resume|stop|restart|archive|status|history|list|diff`
mod there;

use super::client::Said;
use super::place::Place;
use super::{Answer, Context, ui};
use crate::app::{Access, Failure};
use crate::desk::approve::{self, Approved};
use crate::desk::diff::{self, Diff, DiffLine};
use crate::desk::emergency::{self, Restarted};
use crate::desk::submit::{self, Submitted};
use crate::desk::{control, draft};
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
    /// Keep a campaign file as a draft, checked and not handed in; the same name again writes it anew.
    Draft {
        /// The file.
        file: PathBuf,
        /// Who wrote it.
        #[arg(long, env = "USER", default_value = "operator")]
        by: String,
    },
    /// Hand in a campaign file, or a draft by its name: its audience is frozen. A run that is under way takes the file as a revision.
    Submit {
        /// The file, or the name of a draft.
        file: PathBuf,
        #[command(flatten)]
        who: Who,
    },
    /// Approve exactly what was handed in: file, list, texts and policy together, or a revision of a run under way. Never its author.
    Approve {
        /// Name.
        name: String,
        /// The seal that the approver has seen (`campaign submit` and `campaign diff` print it); 12 digits at least.
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
    /// End early: what has not started is called off. With --emergency: hold at once, until two persons restart it.
    Stop {
        /// Name.
        #[arg(required_unless_present = "all")]
        name: Option<String>,
        /// Hold at once instead of ending; two different persons must restart it.
        #[arg(long)]
        emergency: bool,
        /// Every campaign that is not closed.
        #[arg(long, requires = "emergency", conflicts_with = "name")]
        all: bool,
        /// Who does it; to a daemon it is whose token it is.
        #[arg(long, env = "USER", default_value = "operator")]
        by: String,
        /// Why; kept in the campaign's history.
        #[arg(long)]
        why: String,
    },
    /// Go on after an emergency stop: two different persons must say so.
    Restart(Reasoned),
    /// Put a closed campaign, or an own draft, away: it is listed only with --archived.
    Archive(Reasoned),
    /// The report of a campaign.
    Status {
        /// Name.
        name: String,
        /// The rehearsal, though there is a real run.
        #[arg(long)]
        rehearsal: bool,
    },
    /// What happened to a campaign: who did what, when and why.
    History {
        /// Name.
        name: String,
    },
    /// All campaigns.
    List {
        /// Also those put away.
        #[arg(long)]
        archived: bool,
    },
    /// What changes between two versions, by meaning and line by line; without any named: against what waits for its approval.
    Diff {
        /// Name.
        name: String,
        /// A file to compare with.
        file: Option<PathBuf>,
        /// From this version (`1`, `1.2`, `draft`).
        #[arg(long)]
        from: Option<String>,
        /// To this version.
        #[arg(long, conflicts_with = "file")]
        to: Option<String>,
    },
}

#[derive(clap::Args)]
struct Who {
    /// Who does it; to a daemon it is whose token it is.
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
    /// Who does it; to a daemon it is whose token it is.
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// Why; kept in the campaign's history.
    #[arg(long)]
    why: String,
}

fn line(row: &CampaignRow) -> String {
    format!(
        "{} version {}: {}{}, wanted: {}; audience {}; file {}",
        row.name,
        row.label(),
        row.status,
        if row.emergency { " (EMERGENCY STOP)" } else { "" },
        row.wanted,
        ui::number(row.audience),
        row.hash.get(..12).unwrap_or(&row.hash)
    )
}

fn submitted(s: &Submitted) -> String {
    let mut text = line(&s.campaign);
    if let Some(f) = &s.filter {
        text += &format!("\nwhere: {} of {} members kept, {} left out, {} could not be told", f.kept, f.members, f.left_out, f.filter_errors);
    }
    if let Some(revision) = &s.revision {
        let changes: String = s.changes.iter().map(|c| format!("\n  {c}")).collect();
        text += &format!("\nrevision {}: {}{changes}", revision.number, revision.status);
    }
    text += &format!("\nseal {} over file, list {} ({}), texts and ", s.seal.short(), s.seal.parts.list.name, ui::number(s.seal.parts.list.count));
    text += &s.seal.parts.policy.presets.join(", ");
    text + &format!("\nNext: touchline campaign approve {} --hash {}", s.campaign.name, s.seal.short())
}

fn approved(a: &Approved) -> String {
    match &a.revision {
        None => format!(
            "{}\nNext: touchline campaign start {name}, for a daemon to run it; or, without one: touchline run {name}",
            line(&a.campaign),
            name = a.campaign.name
        ),
        Some(r) => format!(
            "{}\nrevision {} is approved; the process that runs it takes it up, or else: touchline run {}",
            line(&a.campaign),
            r.number,
            a.campaign.name
        ),
    }
}

fn restarted(r: &Restarted) -> String {
    match &r.held_by {
        None => format!("{}\nTwo persons have said so: it goes on.", line(&r.campaign)),
        Some(held) => {
            let who: Vec<&str> = held.restarts.iter().map(|r| r.by.as_str()).collect();
            format!(
                "{}\nNoted ({}). One more person than this is needed: touchline campaign restart {} --by ANOTHER --why TEXT",
                line(&r.campaign),
                who.join(", "),
                r.campaign.name
            )
        }
    }
}

fn compared(d: &Diff) -> String {
    let mut lines = vec![format!("from {} to {}", d.from, d.to)];
    match &d.changes {
        None => lines.push("one of the two is no valid campaign file; by lines alone:".to_owned()),
        Some(changes) if changes.is_empty() => lines.push("nothing changes by meaning".to_owned()),
        Some(changes) => {
            lines.extend(changes.iter().map(|c| format!("* {c}{}", if c.revisable { "" } else { " (not in a run under way)" })));
        }
    }
    lines.extend(d.lines.iter().map(|l| match l {
        DiffLine::Same(t) => format!("  {t}"),
        DiffLine::Removed(t) => format!("- {t}"),
        DiffLine::Added(t) => format!("+ {t}"),
    }));
    lines.join("\n")
}

/// Does one of the verbs.
pub async fn run(args: Args, context: &Context) -> Answer {
    let access = match args.verb {
        Verb::List { .. } | Verb::Diff { .. } | Verb::History { .. } => Access::Read,
        Verb::Submit { .. } | Verb::Draft { .. } => Access::Write,
        _ => Access::Change,
    };
    let place = context.place(access).await?;
    match args.verb {
        Verb::Draft { file, by } => {
            let row = match &place {
                Place::Here(app) => draft::write(app.store.as_ref(), &app.campaign_file(&file).await?, &by, app.now()).await?,
                Place::There(daemon) => there::draft(daemon, &file).await?,
            };
            context.answer(&row, |r| format!("{}\nNext: touchline campaign submit {}", line(r), r.name))?;
        }
        Verb::Submit { file, who } => {
            let name = file.display().to_string();
            let is_file = super::run::is_file(&file);
            let done = match &place {
                Place::Here(app) if !is_file && app.store.draft(&name).await?.is_some() => {
                    draft::hand_in(app.store.as_ref(), &name, &who.by, app.now()).await?
                }
                Place::Here(app) => submit::submit(app.store.as_ref(), &app.campaign_file(&file).await?, false, &who.by, app.now()).await?,
                Place::There(daemon) if is_file => there::submit(daemon, &file).await?,
                Place::There(daemon) => daemon.post(&["campaigns", &name, "submit"], &()).await?.value,
            };
            context.answer(&done, submitted)?;
        }
        Verb::Approve { name, hash, who } => {
            let done = match &place {
                Place::Here(app) => {
                    let four_eyes = app.config.approval.four_eyes;
                    approve::approve(app.store.as_ref(), &name, &hash, &who.by, &who.why, four_eyes, app.now()).await?
                }
                Place::There(daemon) => there::approve(daemon, &name, &hash, &who.why).await?,
            };
            context.answer(&done, approved)?;
        }
        Verb::Start(mut n) => {
            if n.who.why.is_empty() {
                "started".clone_into(&mut n.who.why);
            }
            let row = match &place {
                Place::Here(app) => {
                    let eyes = app.eyes_of(&app.run_named(&n.name, Some(false)).await?);
                    control::start(app.store.as_ref(), &n.name, &n.who.by, &n.who.why, eyes, app.now()).await?
                }
                Place::There(daemon) => there::verb(daemon, &n.name, "start", &n.who.why).await?,
            };
            context.answer(&row, |r| match place {
                Place::Here(_) => format!("{}\nNext: touchline run {}", line(r), r.name),
                Place::There(_) => format!("{}\nThe daemon runs it.", line(r)),
            })?;
        }
        Verb::Pause(n) => {
            let row = match &place {
                Place::Here(app) => control::pause(app.store.as_ref(), &n.name, &n.by, &n.why, app.now()).await?,
                Place::There(daemon) => there::verb(daemon, &n.name, "pause", &n.why).await?,
            };
            context.answer(&row, line)?;
        }
        Verb::Resume(n) => {
            let row = match &place {
                Place::Here(app) => control::resume(app.store.as_ref(), &n.name, &n.by, &n.why, app.now()).await?,
                Place::There(daemon) => there::verb(daemon, &n.name, "resume", &n.why).await?,
            };
            context.answer(&row, line)?;
        }
        Verb::Stop { name, emergency, by, why, .. } => return stop(&place, name.as_deref(), emergency, &by, &why, context).await,
        Verb::Restart(n) => {
            let done = match &place {
                Place::Here(app) => emergency::restart(app.store.as_ref(), &n.name, &n.by, &n.why, app.now()).await?,
                Place::There(daemon) => there::restart(daemon, &n.name, &n.why).await?,
            };
            context.answer(&done, restarted)?;
        }
        Verb::Archive(n) => {
            let row = match &place {
                Place::Here(app) => control::archive(app.store.as_ref(), &n.name, &n.by, &n.why, app.now()).await?,
                Place::There(daemon) => there::verb(daemon, &n.name, "archive", &n.why).await?,
            };
            context.answer(&row, line)?;
        }
        Verb::Status { name, rehearsal } => {
            let report = match &place {
                Place::Here(app) => Said::from(app.status(&app.run_named(&name, rehearsal.then_some(true)).await?).await?),
                Place::There(daemon) => {
                    let mode = [("rehearsal", if rehearsal { "true" } else { "false" })];
                    daemon.get(&["campaigns", &name, "report"], &mode).await?
                }
            };
            context.say(&report, ui::outcome)?;
        }
        Verb::History { name } => {
            let told = match &place {
                Place::Here(app) => control::told(app.store.as_ref(), &name).await?,
                Place::There(daemon) => there::history(daemon, &name).await?,
            };
            context.answer(&told, |all| all.iter().map(|e| format!("{}  {}  {}: {}", e.at, e.status, e.by, e.why)).collect::<Vec<_>>().join("\n"))?;
        }
        Verb::List { archived } => {
            let all = match &place {
                Place::Here(app) => control::list(app.store.as_ref(), archived).await?,
                Place::There(daemon) => there::list(daemon, archived).await?,
            };
            context.answer(&all, |all| ui::campaigns(all))?;
        }
        Verb::Diff { name, file, from, to } => {
            let text = file.map(|f| crate::app::files::read_text(&f)).transpose()?;
            let (from, to, text) = (from.as_deref(), to.as_deref(), text.as_deref());
            let done = match &place {
                Place::Here(app) => Said::from(diff::compare_versions(app.store.as_ref(), &name, from, to, text).await?),
                Place::There(daemon) => there::compare(daemon, &name, from, to, text).await?,
            };
            context.say(&done, compared)?;
        }
    }
    Ok(true)
}

async fn stop(place: &Place, name: Option<&str>, is_emergency: bool, by: &str, why: &str, context: &Context) -> Answer {
    match (name, is_emergency) {
        (Some(name), false) => {
            let (row, closed) = match place {
                Place::Here(app) => control::stop_from_outside(app.store.as_ref(), name, by, why, app.now()).await?,
                Place::There(daemon) => {
                    let row = there::stop(daemon, name, why, false).await?;
                    let closed = row.status.is_closed();
                    (row, closed)
                }
            };
            context.answer(&row, |r| if closed { line(r) } else { format!("{}\nThe process that runs it ends it now.", line(r)) })?;
        }
        (Some(name), true) => {
            let row = match place {
                Place::Here(app) => {
                    let (store, now) = (app.store.as_ref(), app.now());
                    let row = emergency::stop(store, name, by, why, now).await?;
                    let mut rows = emergency::pause_unheld(store, vec![row], by, why, now).await?;
                    rows.pop().ok_or_else(|| Failure::no("the run could not be read again"))?
                }
                Place::There(daemon) => there::stop(daemon, name, why, true).await?,
            };
            context.answer(&row, |r| format!("{}\nIt goes on when two persons say so: touchline campaign restart {} --why TEXT", line(r), r.name))?;
        }
        (None, _) => {
            let rows = match place {
                Place::Here(app) => {
                    let (store, now) = (app.store.as_ref(), app.now());
                    let rows = emergency::stop_all(store, by, why, now).await?;
                    emergency::pause_unheld(store, rows, by, why, now).await?
                }
                Place::There(daemon) => there::stop_all(daemon, why).await?,
            };
            context.answer(&rows, |rows| match rows.as_slice() {
                [] => "no campaign is under way; nothing was to be stopped".to_owned(),
                rows => rows.iter().map(line).collect::<Vec<_>>().join("\n"),
            })?;
        }
    }
    Ok(true)
}
