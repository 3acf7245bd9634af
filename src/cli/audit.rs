//! `touchline audit verify|list|head`, and the entries of what is done on the command line.
use super::{Answer, Context, ui};
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

/// Commands that change nothing anybody answers for, and show nothing of one customer that the API would write down. Whatever is not here is written down, also a command that is new.
const READS: &[&str] = &[
    "audit verify",
    "audit list",
    "audit head",
    "bench",
    "campaign diff",
    "campaign history",
    "campaign list",
    "campaign status",
    "carrier",
    "completions",
    "dead-letters list",
    "demo",
    "explain",
    "keys list",
    "migrate",
    "plan",
    "rehearse",
    "schema",
    "serve",
    "token list",
    "validate",
    "verify",
    "webhooks list",
    "worklist list",
];

/// Arguments that name what is worked on; of a file its name alone.
const NAMING: &[&str] = &["campaign", "campaigns", "customer", "file", "id", "kind", "name", "task", "touch", "what"];

/// What a command is called in the log, and on what it works; `None`: it only reads.
pub fn named(command: &clap::ArgMatches) -> Option<(String, String)> {
    let (mut verb, mut args) = (Vec::new(), command);
    while let Some((name, inner)) = args.subcommand() {
        verb.push(name);
        args = inner;
    }
    let verb = verb.join(" ");
    let is_set = |flag: &str| args.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or_default();
    let only_reads = match verb.as_str() {
        "doctor" => !is_set("accept_restored"),
        "retention" => is_set("dry_run"),
        // Without a finding the touches in doubt are listed.
        "resolve" => args.try_get_raw("as_").ok().flatten().is_none(),
        verb => READS.contains(&verb),
    };
    if only_reads {
        return None;
    }
    let mut parts: Vec<(&str, String)> = Vec::new();
    for name in NAMING {
        for value in args.try_get_raw(name).ok().flatten().into_iter().flatten() {
            let value = std::path::Path::new(value).file_name().unwrap_or(value).to_string_lossy().into_owned();
            parts.push((name, value));
        }
    }
    Some((verb, target(parts.iter().map(|(name, value)| (*name, value.as_str())))))
}

/// Writes down what was done.
pub async fn write(pen: &Auditor, at: crate::domain::time::Timestamp, (verb, target): (String, String), answer: &Answer) -> Result<(), Failure> {
    let outcome = match answer {
        Ok(true) => "done",
        Ok(false) => "no",
        Err(_) => "failed",
    };
    let entry = Entry { at, actor: here().name, token: None, operation: verb, target, outcome: outcome.to_owned() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn what_only_reads_is_there_and_all_else_is_written_down() {
        let all = super::super::Cli::command();
        for verb in READS {
            let found = verb.split(' ').try_fold(&all, |command, word| command.find_subcommand(word));
            assert!(found.is_some_and(|c| !c.has_subcommands()), "{verb} is no command: take it out of READS");
        }
        let named = |line: &str| super::named(&all.clone().try_get_matches_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}")));
        let some = |verb: &str, target: &str| Some((verb.to_owned(), target.to_owned()));
        assert_eq!(named("touchline import facts /var/in/f.csv --mapping m.yaml"), some("import", "file=f.csv kind=facts"));
        assert_eq!(named("touchline campaign pause spring --why x"), some("campaign pause", "name=spring"));
        assert_eq!(named("touchline export results --campaign spring"), some("export", "campaign=spring what=results"));
        assert_eq!(named("touchline erase --customer C1 --why x"), some("erase", "customer=C1"));
        assert_eq!(named("touchline erase --readmit --phone +8613800000000 --why x"), some("erase", ""), "no contact data");
        assert_eq!(named("touchline resolve --campaign spring"), None);
        assert_eq!(named("touchline resolve --campaign spring --as reached --by a --why b"), some("resolve", "campaign=spring"));
        assert_eq!((named("touchline doctor"), named("touchline retention --dry-run"), named("touchline token list")), (None, None, None));
        assert_eq!((named("touchline doctor --accept-restored"), named("touchline retention")), (some("doctor", ""), some("retention", "")));
    }
}
