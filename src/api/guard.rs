//! The guard of every operation: who calls and may they, how often, how much they send, what it took; the audit entry of what was done.
use super::caller::{Admitted, Caller, bearer};
use super::idempotency::{self, Before};
use super::limits::Limits;
use super::operation::{Access, Operation};
use super::{About, House, Problem};
use crate::app::telemetry;
use crate::clock::monotonic;
use crate::desk::audit::Auditor;
use crate::domain::access::Actor;
use crate::domain::audit::{Entry, target};
use crate::domain::time::Timestamp;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::Instrument;

/// What the guards of a server share.
pub(super) struct Watch {
    pub(super) house: House,
    /// When the server began: what an earlier process left under way is over.
    pub(super) began: Timestamp,
    auditor: Auditor,
    limits: Limits,
    /// Idempotency keys whose requests are under way here.
    active: Mutex<HashSet<[u8; 32]>>,
}

impl Watch {
    pub(super) fn new(house: House) -> Self {
        let began = house.now();
        let (auditor, limits) = (Auditor::new(Arc::clone(&house.app.store)), Limits::new(&house.config.serve, began));
        Self { house, began, auditor, limits, active: Mutex::default() }
    }
    pub(super) fn active(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Writes what was done into the log; it is there when this comes back.
    async fn audit(&self, operation: &Operation, actor: &Actor, target: String, outcome: StatusCode) -> Result<(), Problem> {
        let entry = Entry {
            at: self.house.now(),
            actor: actor.name.clone(),
            token: actor.token,
            operation: operation.id.to_owned(),
            target,
            outcome: outcome.as_str().to_owned(),
        };
        Ok(self.auditor.write(entry).await?)
    }
}

/// A refusal before the operation, and who was refused, as far as that is known.
struct Refusal {
    problem: Problem,
    actor: Option<Actor>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, actor: None }
    }
}

/// Lets a request through to its operation, or answers it with a problem.
pub(super) async fn pass<B: MessageBody + 'static>(
    operation: Arc<Operation>,
    watch: Arc<Watch>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = monotonic();
    let span = tracing::info_span!("request", operation = operation.id, status = tracing::field::Empty);
    if let Some(parent) = request.headers().get("traceparent").and_then(|v| v.to_str().ok()) {
        telemetry::join(&span, parent);
    }
    let response = answer(operation.clone(), &watch, request, next, &span).instrument(span.clone()).await?;
    let status = response.status().as_u16();
    span.record("status", status);
    watch.house.measured(&operation, status, began.elapsed());
    Ok(response)
}

async fn answer<B: MessageBody + 'static>(
    operation: Arc<Operation>,
    watch: &Arc<Watch>,
    request: ServiceRequest,
    next: Next<B>,
    span: &tracing::Span,
) -> Result<ServiceResponse<BoxBody>, Error> {
    request.extensions_mut().insert(Arc::clone(&operation));
    Ok(match admit(&operation, watch, &request).await {
        Err(Refusal { problem, actor }) => {
            // Nobody's calls are counted and not written: a flood of them fills no log. Too many of somebody's neither.
            let fault = match actor.filter(|_| problem.status == 403) {
                Some(actor) => watch.audit(&operation, &actor, target_of(&operation, &request), StatusCode::FORBIDDEN).await.err(),
                None => None,
            };
            request.into_response(fault.unwrap_or(problem).error_response())
        }
        Ok(actor) => {
            let work = serve(Arc::clone(&operation), Arc::clone(watch), actor, request, next);
            if operation.is_audited {
                // A task of its own: when the client goes away in the middle, what was begun is finished and audited.
                actix_web::rt::spawn(work.instrument(span.clone())).await.map_err(|_| Problem::unavailable("the house is closing; try again"))?
            } else {
                work.await
            }
        }
    })
}

/// The operation, once (by its idempotency key), and its audit entry.
async fn serve<B: MessageBody + 'static>(
    operation: Arc<Operation>,
    watch: Arc<Watch>,
    actor: Option<Actor>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> ServiceResponse<BoxBody> {
    let target = operation.is_audited.then(|| target_of(&operation, &request));
    let actor = actor.unwrap_or_else(signer);
    let before = if matches!(operation.access, Access::Roles(_)) {
        idempotency::before(&watch, &operation, &actor.name, &mut request).await
    } else {
        Ok(Before::Unkeyed)
    };
    let (response, held) = match before {
        Err(problem) => (request.into_response(problem.error_response()), None),
        Ok(Before::Again(answer)) => (request.into_response(answer), None),
        Ok(Before::Unkeyed) => (call(request, next).await, None),
        Ok(Before::Mine(held)) => (call(request, next).await, Some(held)),
    };
    // A signature that does not hold is as a token that nobody knows; so is whatever else was refused before one was found to hold (a
    // route that there is not, a body too large). Else whoever reaches the port could fill the log.
    let is_nobody = operation.access == Access::Signed && !response.status().is_success();
    let mut response = response;
    if let Some(mut target) = target.filter(|_| !is_nobody) {
        if let Some(About(more)) = response.response_mut().extensions_mut().remove::<About>() {
            let more = crate::domain::audit::target(more.iter().map(|(name, value)| (*name, value.as_str())));
            target = [target, more].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
        }
        if let Err(problem) = watch.audit(&operation, &actor, target, response.status()).await {
            // It was done, and nobody could say so: the caller asks again, and what it does finds that it was done.
            let (http, _) = response.into_parts();
            response = ServiceResponse::new(http, problem.error_response());
        }
    }
    match held {
        Some(held) => idempotency::after(held, &operation, response).await,
        None => response,
    }
}

async fn call<B: MessageBody + 'static>(request: ServiceRequest, next: Next<B>) -> ServiceResponse<BoxBody> {
    let http = request.request().clone();
    match next.call(request).await {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => ServiceResponse::new(http, problem_of(&error).error_response()),
    }
}

/// Whoever signs instead of showing a token.
fn signer() -> Actor {
    Actor { name: "signed".to_owned(), roles: crate::domain::access::Roles::default(), branch: None, rm: None, token: None }
}

/// What a call is about: the parameters of its path, and those of its query that name something.
fn target_of(operation: &Operation, request: &ServiceRequest) -> String {
    const NAMING: [&str; 8] = ["customer", "campaign", "name", "rm", "branch", "target", "actor", "list"];
    let query: Vec<(String, String)> =
        actix_web::web::Query::<Vec<(String, String)>>::from_query(request.query_string()).map(|q| q.into_inner()).unwrap_or_default();
    let mut parts: Vec<(&str, &str)> = Vec::new();
    for param in &operation.params {
        match param.place {
            "path" => parts.push((param.name, request.match_info().get(param.name).unwrap_or_default())),
            "query" if NAMING.contains(&param.name) => {
                parts.extend(query.iter().filter(|(name, _)| name == param.name).map(|(_, value)| (param.name, value.as_str())))
            }
            _ => {}
        }
    }
    target(parts)
}

async fn admit(operation: &Operation, watch: &Watch, request: &ServiceRequest) -> Result<Option<Actor>, Refusal> {
    let mut who = None;
    if let Access::Roles(roles) = operation.access {
        let now = watch.house.now();
        let peer = peer_of(request, &watch.house.config.serve.proxies);
        let admitted = watch.house.gate.admit_from(&bearer(request)?, peer, now).await?;
        watch.limits.count(&admitted.actor, now)?;
        may(operation, roles, &admitted).map_err(|problem| Refusal { problem, actor: Some(admitted.actor.clone()) })?;
        request.extensions_mut().insert(Caller(admitted.actor.clone()));
        who = Some(admitted.actor);
    }
    super::params::check(operation, request.request()).await?;
    check_body(operation, request)?;
    Ok(who)
}

fn may(operation: &Operation, roles: crate::domain::access::Roles, who: &Admitted) -> Result<(), Problem> {
    if !who.actor.roles.meets(roles) {
        let needed: Vec<&str> = roles.iter().map(crate::domain::access::Role::name).collect();
        return Err(Problem::forbidden(format!("{} needs one of the roles {}; this token has none of them", operation.id, needed.join(", "))));
    }
    if !who.covers(operation) {
        return Err(Problem::forbidden(format!("{} ({}) is not within this token's scopes", operation.id, operation.tag)));
    }
    Ok(())
}

/// The caller's address. What a client writes into `X-Forwarded-For` counts only where a proxy of the bank's has added to it.
fn peer_of(request: &ServiceRequest, proxies: &[IpAddr]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !proxies.contains(&peer) {
        return Some(peer);
    }
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let mut hops: Vec<IpAddr> = forwarded.filter_map(|hop| hop.trim().parse().ok()).collect();
    while let Some(hop) = hops.pop() {
        if !proxies.contains(&hop) {
            return Some(hop);
        }
    }
    Some(peer)
}

/// Length and content type, before a byte of the body is read. (What lies about its length is cut off while it is read.)
fn check_body(operation: &Operation, request: &ServiceRequest) -> Result<(), Problem> {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if let (Some(length), Some(limit)) = (length, operation.body_limit())
        && length > limit
    {
        return Err(too_large(limit));
    }
    let has_body = length.is_some_and(|n| n > 0) || headers.contains_key(TRANSFER_ENCODING);
    if !has_body && operation.body.as_ref().is_some_and(|b| b.required) {
        return Err(Problem::bad("expected a body, found none"));
    }
    if let Some(body) = operation.body.as_ref().filter(|_| has_body) {
        let given = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim();
        if !body.content.iter().any(|(known, _)| known.eq_ignore_ascii_case(essence)) {
            let known: Vec<&str> = body.content.iter().map(|(t, _)| *t).collect();
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type",
                format!("expected Content-Type {}, found {essence:?}", known.join(" or ")),
            ));
        }
    }
    Ok(())
}

/// 413.
pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("expected a body of at most {limit} bytes"))
}

/// Any error of a handler or an extractor as a problem.
pub(super) fn problem_of(error: &Error) -> Problem {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.clone();
    }
    let status = error.as_response_error().status_code();
    if status.is_server_error() {
        tracing::error!(%status, "a handler failed");
        return Problem::new(status, "internal", "something broke on our side; the log has the details");
    }
    Problem::new(status, "bad-request", error.to_string())
}
