//! `touchline serve`: the daemon.
use super::signals::asked_to_end;
use super::{Answer, Context};
use crate::api::{self, House, HouseGate, Listening};
use crate::app::{Access, Failure, tls};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Address and port; port 0: any that is free. Stronger than `serve.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// Serves until it is asked to end.
pub async fn run(args: Args, context: &Context) -> Answer {
    let app = Arc::new(context.open(Access::Write).await?);
    let serve = &app.config.serve;
    let address = args.listen.unwrap_or(serve.listen);
    let listener = TcpListener::bind(address).map_err(|e| Failure::reach(format!("cannot listen on {address}: {e}; name another with --listen")))?;
    listener.set_nonblocking(true)?;
    let tls = tls::server(serve)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let workers = usize::try_from(serve.workers).unwrap_or(1);
    let connections = usize::try_from(serve.connections).unwrap_or(usize::MAX).div_ceil(workers);
    let house = House::new(Arc::clone(&app), Arc::new(HouseGate::new(Arc::clone(&app))?));
    app.intakes(house.daemon.clone()).go_on()?;
    let serving = api::start(house, listener, Listening { workers, connections, tls })?;
    let url = format!("{scheme}://{}", serving.address);
    context.answer(&serde_json::json!({ "listening": url }), |_| format!("listening on {url}; the API as a page: {url}/docs"))?;
    tokio::select! {
        () = asked_to_end() => {}
        () = super::audit::tell_head(&app) => {}
    }
    serving.stop().await?;
    Ok(true)
}
