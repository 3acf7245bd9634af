//! `Idempotency-Key`: the same request again gives the first answer again, and does nothing twice.
use super::Problem;
use super::guard::Watch;
use super::operation::Operation;
use crate::desk::idempotency::{self, Key, fingerprint};
use crate::domain::time::Timestamp;
use crate::store::{Claim, KeptAnswer};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpResponse, web};
use std::sync::Arc;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest answer that is kept, in bytes. A longer one is not, and its request is done again.
const LONGEST: usize = 1 << 20;
/// Seconds after which a client may ask for what is under way.
const RETRY_S: u64 = 2;

/// A claim that this request holds.
pub(super) struct Held {
    watch: Arc<Watch>,
    key: Key,
    claimed_at: Timestamp,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.watch.active().remove(&self.key.name());
    }
}

/// What the key of a request leads to.
pub(super) enum Before {
    /// None was given: as if there were no such thing.
    Unkeyed,
    /// The work is this request's.
    Mine(Held),
    /// Done before: the answer.
    Again(HttpResponse),
}

/// Looks a request's key up; its body is read for that and put back.
pub(super) async fn before(watch: &Arc<Watch>, operation: &Operation, actor: &str, request: &mut ServiceRequest) -> Result<Before, Problem> {
    let Some(header) = request.headers().get(HEADER) else { return Ok(Before::Unkeyed) };
    let Some(limit) = operation.body_limit().filter(|_| operation.honours_keys()) else { return Ok(Before::Unkeyed) };
    let text = header.to_str().ok().filter(|t| (1..=200).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic()));
    let text = text.ok_or_else(|| Problem::bad("Idempotency-Key: expected 1 to 200 visible ASCII characters, for example a UUID"))?;
    let key = Key::new(actor, operation.id, request.path(), text);
    let body = whole(watch, request, limit).await?;
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let print =
        fingerprint(&[request.method().as_str().as_bytes(), request.path().as_bytes(), request.query_string().as_bytes(), content_type, &body]);
    request.set_payload(Payload::from(web::Bytes::from(body)));
    let busy = || Problem::conflict("the first request with this Idempotency-Key is still under way").after(RETRY_S);
    if !watch.active().insert(key.name()) {
        return Err(busy());
    }
    let claimed_at = watch.house.now();
    // From here on the key is given back whatever happens.
    let held = Held { watch: Arc::clone(watch), key, claimed_at };
    match idempotency::claim(watch.house.store.as_ref(), &key, &print, claimed_at, watch.began).await? {
        Claim::Mine => Ok(Before::Mine(held)),
        Claim::Busy => Err(busy()),
        Claim::Other => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "this Idempotency-Key was used for another request; take a new key for a new request",
        )),
        Claim::Done(answer) => again(answer).map(Before::Again),
    }
}

/// The first answer.
fn again(answer: KeptAnswer) -> Result<HttpResponse, Problem> {
    let Some(body) = answer.body else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "done-already",
            format!("this was done before with the same Idempotency-Key (status {}); its answer held a secret, which is not kept", answer.status),
        ));
    };
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK));
    if !answer.content_type.is_empty() {
        response.content_type(answer.content_type);
    }
    response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    Ok(response.body(body))
}

/// Keeps the answer, or gives the key back when it is not one to keep. An answer that could not be kept is given all the same: it was done.
pub(super) async fn after(held: Held, operation: &Operation, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let store = held.watch.house.store.as_ref();
    let status = response.status();
    let is_kept = !status.is_server_error()
        && !matches!(status, StatusCode::CONFLICT | StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        // A stream: too long to be kept.
        Err(body) => {
            let _ = idempotency::release(store, &held.key, held.claimed_at).await;
            return ServiceResponse::new(request, head.set_body(body));
        }
    };
    let kept = if is_kept && body.len() <= LONGEST {
        let content_type = head.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let is_secret = operation.is_secret && status.is_success();
        let answer = KeptAnswer { status: status.as_u16(), content_type, body: (!is_secret).then(|| body.to_vec()) };
        idempotency::answer(store, &held.key, held.claimed_at, answer).await
    } else {
        idempotency::release(store, &held.key, held.claimed_at).await
    };
    if let Err(fault) = kept {
        tracing::error!(%fault, operation = operation.id, "an answer could not be kept; the same request again would be done again");
    }
    ServiceResponse::new(request, head.set_body(BoxBody::new(body)))
}

async fn whole(watch: &Watch, request: &mut ServiceRequest, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut payload = std::mem::replace(request.parts_mut().1, Payload::None);
    super::extract::whole(&mut payload, limit, watch.house.config.serve.body_s).await
}
