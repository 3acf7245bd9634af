//! The guard of every operation: who calls and may they, how much they send, what it took; the audit entry of what was done.
use super::caller::{Caller, bearer};
use super::operation::{Access, Operation};
use super::{House, Problem};
use crate::app::telemetry;
use crate::clock::monotonic;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use std::sync::Arc;
use tracing::Instrument;

/// Lets a request through to its operation, or answers it with a problem.
pub(super) async fn pass<B: MessageBody + 'static>(
    operation: Arc<Operation>,
    house: House,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = monotonic();
    let span = tracing::info_span!("request", operation = operation.id, status = tracing::field::Empty);
    if let Some(parent) = request.headers().get("traceparent").and_then(|v| v.to_str().ok()) {
        telemetry::join(&span, parent);
    }
    let response = answer(&operation, &house, request, next).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("status", status);
    house.measured(&operation, status, began.elapsed());
    Ok(response)
}

async fn answer<B: MessageBody + 'static>(
    operation: &Arc<Operation>,
    house: &House,
    request: ServiceRequest,
    next: Next<B>,
) -> ServiceResponse<BoxBody> {
    request.extensions_mut().insert(Arc::clone(operation));
    match admit(operation, house, &request).await {
        Err(problem) => request.into_response(problem.error_response()),
        Ok(()) => {
            let http = request.request().clone();
            match next.call(request).await {
                Ok(response) => response.map_into_boxed_body(),
                Err(error) => ServiceResponse::new(http, problem_of(&error).error_response()),
            }
        }
    }
}

async fn admit(operation: &Operation, house: &House, request: &ServiceRequest) -> Result<(), Problem> {
    if let Access::Roles(roles) = operation.access {
        let actor = house.gate.admit(&bearer(request)?, house.now()).await?;
        if !actor.roles.meets(roles) {
            let needed: Vec<&str> = roles.iter().map(crate::domain::access::Role::name).collect();
            return Err(Problem::forbidden(format!("{} needs one of the roles {}; this token has none of them", operation.id, needed.join(", "))));
        }
        request.extensions_mut().insert(Caller(actor));
    }
    check_body(operation, request)
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
