//! `touchline serve`: the daemon.
use super::signals::asked_to_end;
use super::{Answer, Context};
use crate::api::{self, House, HouseGate, Listening};
use crate::app::{Access, App, Failure, tls};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Address and port; port 0: any that is free. Stronger than `serve.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Seed of simulated carriers, and of the jitter between deliveries.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Serves until it is asked to end, or until its engine fails.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = Arc::new(context.open(Access::Write).await?);
    let serve = &app.config.serve;
    let address = args.listen.unwrap_or(serve.listen);
    let tls = tls::server(serve)?;
    let listener = TcpListener::bind(address).map_err(|e| Failure::reach(format!("cannot listen on {address}: {e}; name another with --listen")))?;
    listener.set_nonblocking(true)?;
    warn_of_what_is_open(&app, address, tls.is_some());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let workers = usize::try_from(serve.workers).unwrap_or(1);
    let connections = usize::try_from(serve.connections).unwrap_or(usize::MAX).div_ceil(workers);

    let (engine, mut ended) = Arc::clone(&app).daemon(args.seed).await?;
    let beside = app.start_events(Some(&engine), args.seed)?;
    app.intakes(Some(engine.clone())).go_on()?;
    let house = House::new(Arc::clone(&app), Arc::new(HouseGate::new(Arc::clone(&app))?)).with_engine(engine.clone());
    let serving = api::start(house, listener, Listening { workers, connections, tls })?;
    let url = format!("{scheme}://{}", serving.address);
    context.answer(&serde_json::json!({ "listening": url }), |_| {
        format!("listening on {url}\nthe API as a page: {url}/docs\nthe workbench of relationship managers: {url}/workbench")
    })?;
    let end = tokio::select! {
        () = asked_to_end() => None,
        () = super::audit::tell_head(&app) => None,
        end = &mut ended => Some(end),
    };
    let end = match end {
        Some(end) => end,
        None => {
            tracing::info!("ending in order: nothing more is begun; waiting for what is with the carriers");
            engine.drain();
            // Readiness tells meanwhile what is waited for; requests are answered until the engine has ended.
            ended.await
        }
    };
    serving.stop().await?;
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    end.map_err(|_| Failure::reach("the daemon ended without a word; the ledger is safe: start it again"))??;
    Ok(true)
}

/// What an operator may not have meant: said once, at the start.
fn warn_of_what_is_open(app: &App, address: SocketAddr, tls: bool) {
    if address.ip().is_loopback() {
        return;
    }
    if !tls {
        tracing::warn!(%address, "tokens and personal data cross the network in the clear unless a proxy in front ends TLS; see serve.tls_cert");
    }
    if app.config.personal_data_key_is_beside() {
        tracing::warn!("the key of personal data lies beside the database; name another place with personal_data.key_file");
    }
}
