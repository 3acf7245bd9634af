//! `touchline completions SHELL`
use super::{Answer, Cli};
use clap::CommandFactory;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// bash, zsh, fish, elvish or powershell.
    shell: clap_complete::Shell,
}

/// Prints completions for a shell.
pub fn run(args: &Args) -> Answer {
    clap_complete::generate(args.shell, &mut Cli::command(), "touchline", &mut std::io::stdout());
    Ok(true)
}
