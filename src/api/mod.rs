//! HTTP for machines and for pages. How an endpoint is made:
//!
//! 1. A file of this room has handlers, `async fn f(house: House, caller: Caller, body: Body<Wanted>, ...) -> Reply`, each a few lines: take
//!    the request apart, ask the desk (or `app::App`, to which `House` derefs), answer with [`ok`] or [`created`]. `?` turns a
//!    `DeskError`, `StoreError` or `Failure` into a [`Problem`].
//! 2. Its `operations()` describes them ([`Operation`]): method, path, who may, parameters, bodies and replies with schema and a true
//!    example. Path parameters are taken with `actix_web::web::Path`, queries with [`Query`], bodies with [`Body`], [`Text`] or [`Raw`].
//!    A call that changes something is audited with its path and query parameters as target; a read is when it says `.audited()`, which
//!    every read of one customer's data does. What only the body names is added with [`about`].
//! 3. [`operations`] below lists the file. Routing, roles, OpenAPI, audit and the table tests follow from that.
//!
//! Whose customers a caller may see is no matter of this room: desk functions ask `actor.sees(branch, rm)` and answer `NotFound`.
pub mod ask;
mod audit;
mod callbacks;
mod caller;
pub mod campaigns;
mod dead_letters;
mod events;
pub mod exports;
mod extract;
mod file;
mod gate;
mod guard;
mod health;
mod idempotency;
mod intake;
mod limits;
mod long;
mod openapi;
mod operation;
mod pages;
mod params;
mod privacy;
mod problem;
mod receipts;
mod server;
mod tokens;
mod webhooks;
mod worklist;

pub use caller::{Admitted, Caller, Gate};
pub use extract::{Body, Paging, Query, Raw, Text, next_bytes, parse};
pub use gate::HouseGate;
pub use openapi::document;
pub use operation::{Access, BodySpec, Operation, Param, ReplySpec};
pub use problem::{Fault, Problem};
pub use server::{Listening, Serving, start};

use crate::app::App;
use actix_web::HttpResponse;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use std::sync::Arc;

/// What handlers answer.
pub type Reply = Result<HttpResponse, Problem>;

/// Everything that handlers work with.
#[derive(Clone)]
pub struct House {
    /// Store, clock, settings.
    pub app: Arc<App>,
    /// Who is who.
    pub gate: Arc<dyn Gate>,
    /// What has been counted.
    pub metrics: PrometheusHandle,
    /// The engine of this process, when it has one.
    pub daemon: Option<crate::app::daemon::DaemonHandle>,
}

impl std::ops::Deref for House {
    type Target = App;
    fn deref(&self) -> &App {
        &self.app
    }
}

impl House {
    /// Over an app, with its gate; without an engine.
    pub fn new(app: Arc<App>, gate: Arc<dyn Gate>) -> Self {
        Self { app, gate, metrics: crate::app::telemetry::metrics(), daemon: None }
    }
    /// With the engine of this process.
    #[must_use]
    pub fn with_engine(self, daemon: crate::app::daemon::DaemonHandle) -> Self {
        Self { daemon: Some(daemon), ..self }
    }
    /// Counts a request that was answered, and how long it took.
    fn measured(&self, operation: &Operation, status: u16, took: std::time::Duration) {
        metrics::counter!("touchline_http_requests_total", "operation" => operation.id, "status" => status.to_string()).increment(1);
        metrics::histogram!("touchline_http_request_seconds", "operation" => operation.id).record(took.as_secs_f64());
    }
}

/// Every operation there is.
pub fn operations() -> Vec<Operation> {
    [
        health::operations(),
        openapi::operations_here(),
        receipts::operations(),
        dead_letters::operations(),
        events::operations(),
        webhooks::operations(),
        pages::operations(),
        intake::operations(),
        exports::operations(),
        ask::operations(),
        campaigns::operations(),
        worklist::operations(),
        callbacks::operations(),
        tokens::operations(),
        audit::operations(),
        privacy::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// 200 with JSON.
pub fn ok<T: Serialize>(value: &T) -> Reply {
    json(actix_web::http::StatusCode::OK, value)
}

/// 201 with JSON.
pub fn created<T: Serialize>(value: &T) -> Reply {
    json(actix_web::http::StatusCode::CREATED, value)
}

/// 202 with JSON: taken, and on its way.
pub fn accepted<T: Serialize>(value: &T) -> Reply {
    json(actix_web::http::StatusCode::ACCEPTED, value)
}

/// What the audit entry of this call shall say it was about, where path and query do not say it (a customer named in the body, the number
/// of what was made). References and names only, never contact data.
#[must_use]
pub fn about(mut answer: HttpResponse, name: &'static str, value: &str) -> HttpResponse {
    let mut about = answer.extensions_mut().remove::<About>().unwrap_or_default();
    about.0.push((name, value.to_owned()));
    answer.extensions_mut().insert(about);
    answer
}

/// See [`about`].
#[derive(Default)]
struct About(Vec<(&'static str, String)>);

fn json<T: Serialize>(status: actix_web::http::StatusCode, value: &T) -> Reply {
    let body = serde_json::to_vec(value).map_err(|e| {
        tracing::error!(fault = %e, "an answer could not be written as JSON");
        Problem::new(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written; the log has the details")
    })?;
    Ok(HttpResponse::build(status).content_type("application/json").body(body))
}
