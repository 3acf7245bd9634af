//! The command line: arguments to a use case; one file a subcommand. With `--json` one document on standard output and nothing else.
mod audit;
mod bench;
mod bench_api;
mod callback;
mod campaign;
mod carrier;
mod client;
mod completions;
mod dead_letters;
mod demo;
mod doctor;
mod erase;
mod explain;
mod export;
mod hold;
mod import;
mod keys;
mod log;
mod migrate;
mod place;
mod plan;
mod rehearse;
mod resolve;
mod retention;
mod run;
mod schema;
mod serve;
mod signals;
mod token;
pub mod ui;
mod validate;
mod verify;
mod webhooks;
mod worklist;

use crate::app::{Access, App, Failure};
use crate::config::{self, Config, Overrides};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a bank's remote marketing: campaigns that call, text, push to and mail customers under limits and law, with a ledger that finance can reconcile.
#[derive(Parser)]
#[command(
    name = "touchline",
    version,
    after_help = "Exit codes: 0 done, 1 it ran and the answer is no, 2 wrong use, 3 the store or the daemon is out of reach."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Global {
    /// One JSON document on standard output, nothing else there.
    #[arg(long, global = true)]
    json: bool,
    /// The settings; without it `touchline.toml` here, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The store: sqlite:PATH; without it `touchline.sqlite` in the data folder.
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// The data folder.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A daemon that does it instead of a store here: https://HOST, or http:// on this machine. Also TOUCHLINE_URL in the environment,
    /// unless --store is given. Its token comes by --token-file, or by TOUCHLINE_TOKEN in the environment.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "store")]
    url: Option<String>,
    /// The file with the daemon's token.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The bank's own certificate authority (PEM), trusted beside the system's.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Log more: error, warn, info, debug or trace.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// The main job on made-up customers: import, plan, rehearse with live progress, attribute, export.
    Demo(demo::Args),
    /// Rehearse a whole campaign in virtual time against simulated carriers; it contacts nobody.
    Rehearse(rehearse::Args),
    /// Submit campaigns and run them to their end, in real time, on the routes configured.
    Run(run::Args),
    /// The daemon: scheduler, engine, HTTP API, pages.
    Serve(serve::Args),
    /// Check campaign files: every fault with line and column, and what to do.
    Validate(validate::Args),
    /// Forecast a campaign before its launch: reach, losses, attempts, finish time, cost, collisions.
    Plan(plan::Args),
    /// Import customers, lists, consents, suppressions or facts by a mapping file.
    Import(import::Args),
    /// Submit, approve, start, pause, resume, stop, show, list or compare campaigns.
    Campaign(campaign::Args),
    /// Report a contact that happened, or take down a customer's wish to be called.
    Callback(callback::Args),
    /// Hold a customer's touches ("I am meeting her"), or lift the hold.
    Hold(hold::Args),
    /// Every decision about one customer, with its rule and time.
    Explain(explain::Args),
    /// Export results, touches or conversions for finance.
    Export(export::Args),
    /// Recompute an export's totals and hashes from its files and the ledger, and compare.
    Verify(verify::Args),
    /// Tasks for relationship managers: list, claim, release, report; and the roster.
    Worklist(worklist::Args),
    /// Settle touches in doubt, with a reason, audited.
    Resolve(resolve::Args),
    /// Tokens of the HTTP API: make, list, revoke.
    Token(token::Args),
    /// The audit log: verify its chain, list it, print its head.
    Audit(audit::Args),
    /// Make, list and change the keys that personal data are sealed under.
    Keys(keys::Args),
    /// Erase a customer for good; the ledger's sums stand.
    Erase(erase::Args),
    /// Remove what has been kept as long as the policy says.
    Retention(retention::Args),
    /// Systems that are told events: list, add, remove, enable, replay.
    Webhooks(webhooks::Args),
    /// What came in and could not be taken: list, show, retry, close.
    DeadLetters(dead_letters::Args),
    /// Measure: touches, import, export, pace, api.
    Bench(bench::Args),
    /// Print a JSON Schema: campaign, mapping or config.
    Schema(schema::Args),
    /// Print shell completions.
    Completions(completions::Args),
    /// Look everything over: store, sums, calendars, disk, settings.
    Doctor(doctor::Args),
    /// Make the store, or bring it to this program's version.
    Migrate(migrate::Args),
    /// A simulated carrier as a process of its own, which remembers what it was sent.
    #[command(hide = true)]
    Carrier(carrier::Args),
}

/// What every subcommand gets.
struct Context {
    json: bool,
    config: Config,
    /// The daemon that does it.
    remote: Option<client::Remote>,
    /// What is to be done for the stores opened, at the end.
    opened: std::sync::Mutex<Vec<Rest>>,
    /// The audit log of the store opened, and its clock; none when no store was opened, or one for a rehearsal alone.
    pen: std::sync::Mutex<Option<(crate::desk::audit::Auditor, std::sync::Arc<dyn crate::clock::Clock>)>>,
}

type Rest = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Context {
    async fn open(&self, access: Access) -> Result<App, Failure> {
        if self.remote.is_some() {
            return Err(Failure::use_("this command works on a store here, not by a daemon: leave out --url (and TOUCHLINE_URL)"));
        }
        let app = App::open(self.config.clone(), access).await?;
        if access != Access::Read
            && let Ok(mut opened) = self.opened.lock()
        {
            opened.push(app.rest());
        }
        if access != Access::Rehearse
            && let Ok(mut pen) = self.pen.lock()
        {
            *pen = Some((crate::desk::audit::Auditor::new(std::sync::Arc::clone(&app.store)), std::sync::Arc::clone(&app.clock)));
        }
        Ok(app)
    }
    /// Before the process ends: a database file is whole without its log, so that whoever copies it copies everything.
    async fn rest(&self) {
        let opened = self.opened.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
        for rest in opened {
            rest.await;
        }
    }
    /// Prints the answer: JSON, or the text made for people.
    fn answer<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let text = if self.json {
            serde_json::to_string_pretty(value).map_err(|e| Failure::no(format!("the answer could not be written as JSON: {e}")))?
        } else {
            text(value)
        };
        self.print(&text)
    }
    fn print(&self, text: &str) -> Result<(), Failure> {
        use std::io::Write;
        match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::no(format!("cannot write the answer: {e}"))),
            _ => Ok(()),
        }
    }
}

/// Whether the answer was yes.
type Answer = Result<bool, Failure>;

/// Runs the command line.
pub fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((audit::named(&matches), Cli::from_arg_matches(&matches)?)));
    let (named, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(wrong) => return wrong_use(&wrong),
    };
    let json = cli.global.json;
    match start(cli, named) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            if json {
                print_json(&failure.detail);
            }
            eprintln!("{}", failure.text.trim_end());
            ExitCode::from(failure.code)
        }
    }
}

/// Arguments that could not be understood, or a call for help. Whoever asks for JSON gets a document also then.
fn wrong_use(wrong: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if json && wrong.use_stderr() {
        print_json(&serde_json::json!({ "error": wrong.render().to_string().trim_end() }));
    }
    // Nothing is left to be done when not even this can be written.
    let _ = wrong.print();
    ExitCode::from(if wrong.use_stderr() { 2 } else { 0 })
}

/// The document of a failure; a reader that has gone away is no second failure.
fn print_json(document: &serde_json::Value) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(document).unwrap_or_default());
}

fn start(cli: Cli, named: Option<(String, String)>) -> Answer {
    let Global { json, config, store, data, url, token_file, ca_file, log_level } = cli.global;
    let from_environment = || std::env::var("TOUCHLINE_URL").ok().filter(|url| store.is_none() && !url.is_empty());
    let remote = url.or_else(from_environment).map(|url| client::Remote { url, token_file, ca_file });
    let overrides = Overrides { store_url: store, data, log_level };
    let config = config::load(config.as_deref(), &overrides).map_err(|faults| Failure::use_(faults.join("\n")))?;
    let _traces = log::set_up(&config).map_err(Failure::use_)?;
    let context = Context { json, config, remote, opened: std::sync::Mutex::default(), pen: std::sync::Mutex::default() };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| Failure::reach(format!("no threads to work with: {e}")))?;
    runtime.block_on(async {
        let mut answer = dispatch(cli.command, &context).await;
        let pen = context.pen.lock().ok().and_then(|mut pen| pen.take());
        if let (Some(named), Some((pen, clock))) = (named, pen)
            && let Err(fault) = audit::write(&pen, clock.now(), named, &answer).await
        {
            answer = answer.and(Err(fault));
        }
        context.rest().await;
        answer
    })
}

async fn dispatch(command: Command, context: &Context) -> Answer {
    match command {
        Command::Demo(args) => demo::run(args, context).await,
        Command::Rehearse(args) => rehearse::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
        Command::Validate(args) => validate::run(&args, context).await,
        Command::Plan(args) => plan::run(args, context).await,
        Command::Callback(args) => callback::run(args, context).await,
        Command::Hold(args) => hold::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Campaign(args) => campaign::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Worklist(args) => worklist::run(args, context).await,
        Command::Resolve(args) => resolve::run(args, context).await,
        Command::Token(args) => token::run(args, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Keys(args) => keys::run(args, context).await,
        Command::Erase(args) => erase::run(args, context).await,
        Command::Retention(args) => retention::run(args, context).await,
        Command::Webhooks(args) => webhooks::run(args, context).await,
        Command::DeadLetters(args) => dead_letters::run(args, context).await,
        Command::Bench(args) => bench::run(args, context).await,
        Command::Schema(args) => schema::run(&args, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Migrate(args) => migrate::run(args, context).await,
        Command::Carrier(args) => carrier::run(args).await,
    }
}
