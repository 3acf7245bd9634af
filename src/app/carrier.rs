//! The simulated carrier as a process of its own.
use super::{Failure, files};
use crate::channels::route::RouteSpec;
use crate::channels::simulator::serve_carrier;
use figment::Figment;
use figment::providers::{Format, Toml};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Serves the carrier of a route file until it is killed; `on_ready` is told where it listens.
pub async fn serve(listen: SocketAddr, journal: PathBuf, route: &Path, on_ready: impl FnOnce(SocketAddr) + Send) -> Result<(), Failure> {
    let text = files::read_text(route)?;
    let spec: RouteSpec = Figment::from(Toml::string(&text)).extract().map_err(|e| Failure::use_(format!("{}: {e}", route.display())))?;
    serve_carrier(listen, journal, spec, on_ready).await.map_err(|e| Failure::reach(e.to_string()))
}
