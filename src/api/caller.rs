//! Who calls: the token or JWT of a request becomes an `Actor`, by the house's gate.
use super::Problem;
use super::operation::Operation;
use crate::domain::access::Actor;
use crate::domain::time::Timestamp;
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use async_trait::async_trait;
use std::future::{Ready, ready};
use std::net::IpAddr;

/// Somebody let in, and how far.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who.
    pub actor: Actor,
    /// Only these operations or sections; empty: whatever the roles allow.
    pub scopes: std::sync::Arc<[String]>,
}

impl Admitted {
    /// Whether the token's scopes have room for an operation.
    pub fn covers(&self, operation: &Operation) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|s| s == operation.id || s == operation.tag)
    }
}

/// Finds out who shows a token.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Who it is. `Err`: nobody that is known, with what to do (never a hint at which part was wrong).
    async fn admit(&self, bearer: &str, at: Timestamp) -> Result<Actor, Problem>;
    /// As `admit`, with the token's scopes, from an address whose failed attempts count.
    async fn admit_from(&self, bearer: &str, _peer: Option<IpAddr>, at: Timestamp) -> Result<Admitted, Problem> {
        Ok(Admitted { actor: self.admit(bearer, at).await?, scopes: std::sync::Arc::from([]) })
    }
    /// A token was revoked: what is remembered of it holds no longer.
    fn forget(&self, _token: i64) {}
}

/// The caller of a request that has passed the guard.
#[derive(Clone, Debug)]
pub struct Caller(pub Actor);

impl Caller {
    /// Whether the caller may have what is of all customers together; somebody bound to a branch or to one RM's customers may not.
    pub fn sees_all(&self, what: &str) -> Result<(), Problem> {
        if self.branch.is_none() && self.rm.is_none() {
            return Ok(());
        }
        Err(Problem::forbidden(format!("{what} of all customers; this token is bound to some of them")))
    }
}

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
