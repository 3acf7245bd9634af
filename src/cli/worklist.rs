//! `touchline worklist`: tasks for relationship managers, from the machine itself.
use super::{Answer, Context, ui};
use crate::app::{Access, Failure};
use crate::desk::worklist::{self, Reported, TaskView, Wanted};
use crate::domain::access::Actor;
use crate::domain::ids::TaskId;
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::worklist::{Rm, TaskState};
use clap::Subcommand;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Tasks, the most urgent first.
    List {
        /// On this RM's list; empty: on nobody's.
        #[arg(long)]
        rm: Option<String>,
        /// Of this branch.
        #[arg(long)]
        branch: Option<String>,
        /// In this state: open, claimed, done, cancelled or expired. Left out: open and claimed.
        #[arg(long)]
        state: Option<String>,
        /// After this task.
        #[arg(long)]
        after: Option<i64>,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// A task with its script, customer and history.
    Show(Whose),
    /// Claim a task for an RM, or renew the claim.
    Claim(Whose),
    /// Give a claimed task back.
    Release(Whose),
    /// Report what came of a task.
    Result {
        #[command(flatten)]
        whose: Whose,
        /// completed, interested, not_interested, callback_requested, not_reached, wrong_person, no_answer, busy, voicemail, rejected or invalid_address.
        #[arg(long = "as", value_name = "DISPOSITION")]
        as_: String,
        /// Seconds of conversation.
        #[arg(long, default_value_t = 0)]
        connected_seconds: u32,
        /// Up to 4,000 characters.
        #[arg(long)]
        notes: Option<String>,
        /// When the customer wants to hear next, as 2026-11-24T09:00:00+08:00.
        #[arg(long, value_name = "TIME")]
        next_contact: Option<String>,
    },
    /// Show the roster of relationship managers, or set those of a file.
    Rms {
        /// A JSON list of relationship managers.
        file: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Whose {
    /// The task's number.
    task: i64,
    /// As this RM; without it as whoever works at the machine.
    #[arg(long)]
    rm: Option<String>,
    /// Who does it, for the task's history.
    #[arg(long, default_value = "local")]
    by: String,
}

impl Whose {
    fn task(&self) -> TaskId {
        TaskId(self.task)
    }
    fn actor(&self) -> Actor {
        Actor { rm: self.rm.clone(), ..Actor::local(&self.by) }
    }
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context
        .open(if matches!(args.what, What::List { .. } | What::Show(_) | What::Rms { file: None }) { Access::Read } else { Access::Change })
        .await?;
    let (store, now) = (app.store.as_ref(), app.now());
    match args.what {
        What::List { rm, branch, state, after, limit } => {
            let state =
                state.map(|name| TaskState::from_name(&name).ok_or_else(|| one_of("--state", TaskState::ALL.iter().map(|s| s.name()), &name)));
            let states = state.transpose()?.into_iter().collect();
            let wanted = Wanted { rm, branch, states, after: after.map(TaskId), limit };
            let tasks = worklist::list(store, &Actor::local("local"), &wanted, now).await?;
            context.answer(&tasks, |tasks| {
                let dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
                let row = |t: &worklist::TaskLine| {
                    let due = t.due_at.to_string();
                    vec![
                        t.id.to_string(),
                        t.state.to_string(),
                        t.priority.to_string(),
                        due,
                        dash(t.rm.as_deref()),
                        dash(t.branch.as_deref()),
                        t.customer.clone(),
                        t.title.clone(),
                    ]
                };
                ui::table(&["task", "state", "priority", "due", "rm", "branch", "customer", "title"], &[0, 2], tasks.iter().map(row).collect())
            })?;
        }
        What::Show(whose) => show(context, &worklist::task_view(store, &whose.actor(), whose.task(), now).await?)?,
        What::Claim(whose) => show(context, &worklist::claim(store, &whose.actor(), whose.task(), app.config.worklist.lease_ms(), now).await?)?,
        What::Release(whose) => show(context, &worklist::release(store, &whose.actor(), whose.task(), now).await?)?,
        What::Result { whose, as_, connected_seconds, notes, next_contact } => {
            let known = crate::domain::worklist::lease::DISPOSITIONS;
            let disposition =
                Reason::from_name(&as_).filter(|r| known.contains(r)).ok_or_else(|| one_of("--as", known.iter().map(|d| d.name()), &as_))?;
            let next_contact = next_contact.map(|text| instant(&text)).transpose()?;
            let reported = Reported { disposition, connected_s: connected_seconds, notes, next_contact, at: None };
            let (task, _) = worklist::result(store, &whose.actor(), whose.task(), &reported, now).await?;
            show(context, &task)?;
        }
        What::Rms { file } => {
            let actor = Actor::local("local");
            if let Some(file) = file {
                let rms: Vec<Rm> = serde_json::from_str(&crate::app::files::read_text(&file)?)
                    .map_err(|e| Failure::no(format!("{}: expected a JSON list of relationship managers: {e}", file.display())))?;
                worklist::put_rms(store, &actor, &rms, now).await?;
                worklist::cover_round(store, app.config.worklist.timezone, now).await?;
            }
            context.answer(&worklist::rms(store, &actor).await?, |rms| {
                let row = |rm: &Rm| {
                    let standing = if rm.left {
                        "left"
                    } else if rm.is_there(now) {
                        "there"
                    } else {
                        "away"
                    };
                    vec![
                        rm.reference.clone(),
                        rm.branch.clone().unwrap_or_else(|| "-".to_owned()),
                        rm.languages.join(" "),
                        rm.skills.join(" "),
                        rm.daily_capacity.to_string(),
                        standing.to_owned(),
                    ]
                };
                ui::table(&["rm", "branch", "languages", "skills", "a day", "is"], &[4], rms.iter().map(row).collect())
            })?;
        }
    }
    Ok(true)
}

fn show(context: &Context, task: &TaskView) -> Result<(), Failure> {
    context.answer(task, |task| {
        let line = &task.line;
        let mut text = format!("task {} ({}, {}): {}\ncustomer {}", line.id, line.kind, line.state, line.title, line.customer);
        let mut more = |what: &str, value: Option<String>| {
            if let Some(value) = value {
                text.push_str(&format!("\n{what}: {value}"));
            }
        };
        more("on the list of", line.rm.clone());
        more("claimed until", line.claimed_until.map(|t| t.to_string()));
        more("telephone", task.contact.phone.clone());
        more("held until", task.held_until.map(|t| t.to_string()));
        more("came of it", line.disposition.map(|d| d.to_string()));
        more("script", task.script.clone());
        for event in &task.history {
            more(&event.at.to_string(), Some(format!("{} by {} {}", event.what, event.by, event.why)));
        }
        text
    })
}

fn one_of<'a>(option: &str, known: impl Iterator<Item = &'a str>, found: &str) -> Failure {
    Failure::use_(format!("{option}: expected one of {}; found {found:?}", known.collect::<Vec<_>>().join(", ")))
}

fn instant(text: &str) -> Result<Timestamp, Failure> {
    let fault = |_| Failure::use_(format!("--next-contact: expected a time such as 2026-11-24T09:00:00+08:00, found {text:?}"));
    chrono::DateTime::parse_from_rfc3339(text).map(|at| at.to_utc().into()).map_err(fault)
}
