//! Who calls: the token or JWT of a request becomes an `Actor`, by the house's gate.
use super::Problem;
use crate::domain::access::Actor;
use crate::domain::time::Timestamp;
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use async_trait::async_trait;
use std::future::{Ready, ready};

/// Finds out who shows a token.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Who it is. `Err`: nobody that is known, with what to do (never a hint at which part was wrong).
    async fn admit(&self, bearer: &str, at: Timestamp) -> Result<Actor, Problem>;
}

/// The caller of a request that has passed the guard.
#[derive(Clone, Debug)]
pub struct Caller(pub Actor);

impl std::ops::Deref for Caller {
    type Target = Actor;
    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            request
                .extensions()
                .get::<Self>()
                .cloned()
                .ok_or_else(|| Problem::unknown_caller("this call needs a token: Authorization: Bearer TOKEN")),
        )
    }
}

/// The bearer token of a request.
pub(super) fn bearer(request: &actix_web::dev::ServiceRequest) -> Result<String, Problem> {
    let missing = || Problem::unknown_caller("expected the header `Authorization: Bearer TOKEN`; an admin makes tokens with `touchline token new`");
    let header = request.headers().get(AUTHORIZATION).ok_or_else(missing)?;
    let text = header.to_str().map_err(|_| missing())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(missing());
    }
    Ok(token.trim().to_owned())
}
