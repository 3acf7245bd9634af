//! `touchline audit verify|list|head`, and the entries of what is done on the command line.
use super::{Answer, Command, Context, campaign, token, ui};
use crate::app::{Access, Failure};
use crate::desk::audit::{self, Auditor};
use crate::domain::access::Actor;
use crate::domain::audit::{Entry, Head, Linked, target};
use crate::store::AuditFilter;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Recompute the chain from its first entry; no when anything does not hold.
    Verify {
        /// A head that was kept elsewhere (NUMBER:HASH) and must be in the log: it tells when the end was cut off.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<Head>,
    },
    /// Who did what, and when.
    List {
        /// Only of this actor.
        #[arg(long)]
        actor: Option<String>,
        /// Not before this instant, such as 2026-11-24T09:00:00Z.
        #[arg(long, value_name = "INSTANT")]
        since: Option<chrono::DateTime<chrono::FixedOffset>>,
        /// Only entries whose target has this text in it.
        #[arg(long, value_name = "TEXT")]
        target: Option<String>,
        /// After this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// How many at most.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// The log's end: to be kept where whoever could change the log cannot.
    Head,
}

/// Does one of the verbs.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = context.open(Access::Read).await?;
    let store = app.store.as_ref();
    match args.verb {
        Verb::Verify { head } => {
            let verdict = audit::verify(store, head.as_ref()).await?;
            context.answer(&verdict, |v| match &v.fault {
                None => format!("whole: {} entries; head {}", ui::number(v.entries), v.head),
                Some(fault) => format!("NOT whole: {fault}\n{} entries before it hold", ui::number(v.entries)),
            })?;
            Ok(verdict.is_whole)
        }
        Verb::List { actor, since, target, after, limit } => {
            let since = since.map(|at| at.to_utc().into());
            let found = audit::list(store, &AuditFilter { actor, since, target, after, limit }).await?;
            context.answer(&found, |found| {
                let row = |l: &Linked| {
                    let e = &l.entry;
                    vec![l.number.to_string(), e.at.to_string(), e.actor.clone(), e.operation.clone(), e.target.clone(), e.outcome.clone()]
                };
                ui::table(&["entry", "at", "who", "did", "on", "outcome"], &[], found.iter().map(row).collect())
            })?;
            Ok(true)
        }
        Verb::Head => {
            let head = audit::head(store).await?;
            context.answer(&serde_json::json!({ "head": head.to_string() }), |_| head.to_string())?;
            Ok(true)
        }
    }
}

/// Whoever works at this machine: the user's name, which the system has checked.
pub fn here() -> Actor {
    Actor::local(std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "local".to_owned()))
}

/// What a command that changes something is called in the log, and on what it works; `None`: it changes nothing that anybody answers for.
pub fn named(command: &Command) -> Option<(&'static str, String)> {
    let of = |path: &std::path::Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (verb, parts): (&'static str, Vec<(&str, String)>) = match command {
        Command::Run(args) => ("run", args.campaigns.iter().map(|c| ("campaign", of(c))).collect()),
        Command::Import(args) => return Some(args.audited()),
        Command::Campaign(args) => return campaign::audited(args),
        Command::Export(args) => return Some(args.audited()),
        Command::Resolve(args) if args.settles() => ("resolve", vec![("campaign", args.campaign.clone())]),
        Command::Doctor(args) if args.accept_restored => ("doctor accept-restored", Vec::new()),
        Command::Token(args) => return token::audited(args),
        _ => return None,
    };
    Some((verb, target(parts.iter().map(|(name, value)| (*name, value.as_str())))))
}

/// Writes down what was done.
pub async fn write(pen: &Auditor, at: crate::domain::time::Timestamp, (verb, target): (&str, String), answer: &Answer) -> Result<(), Failure> {
    let outcome = match answer {
        Ok(true) => "done",
        Ok(false) => "no",
        Err(_) => "failed",
    };
    let entry = Entry { at, actor: here().name, token: None, operation: verb.to_owned(), target, outcome: outcome.to_owned() };
    Ok(pen.write(entry).await?)
}

/// Logs the head of the audit log, now and every day: the log's lines go where whoever could change the store cannot.
pub async fn tell_head(app: &crate::app::App) {
    const DAY_MS: u64 = 86_400_000;
    loop {
        match audit::head(app.store.as_ref()).await {
            Ok(head) => tracing::info!(target: "touchline::audit_head", %head, "the audit log's head; check it with: touchline audit verify --head"),
            Err(fault) => tracing::warn!(%fault, "the audit log's head could not be read"),
        }
        crate::clock::sleep_ms(DAY_MS).await;
    }
}
