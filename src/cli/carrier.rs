//! `touchline carrier`: a simulated carrier as a process of its own (tests of crashes start it).
use super::Answer;
use crate::app::{Failure, carrier};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The file that remembers every send.
    #[arg(long)]
    journal: PathBuf,
    /// The route it plays, as a TOML table like one of `[[routes]]`.
    #[arg(long, value_name = "FILE")]
    route: PathBuf,
}

/// Serves until it is killed.
pub async fn run(args: Args) -> Answer {
    carrier::serve(args.listen, args.journal, &args.route, |at| println!("{at}")).await.map_err(|e: Failure| e)?;
    Ok(true)
}
