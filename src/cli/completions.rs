//! `touchline completions SHELL`
use super::{Answer, Cli, Context};
use clap::CommandFactory;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// bash, zsh, fish, elvish or powershell.
    shell: clap_complete::Shell,
}

/// Prints completions for a shell.
pub fn run(args: &Args, context: &Context) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "touchline", &mut script);
    let script = String::from_utf8_lossy(&script);
    let answer = serde_json::json!({ "shell": args.shell.to_string(), "script": script });
    context.answer(&answer, |_| script.to_string())?;
    Ok(true)
}
