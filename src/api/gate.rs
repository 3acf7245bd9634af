//! The gate of the house: tokens by the book, JWTs by the bank's identity provider.
use super::Problem;
use super::caller::{Admitted, Gate};
use super::limits::Failures;
use crate::app::App;
use crate::app::oidc::{Oidc, Unknown};
use crate::desk::tokens;
use crate::domain::access::Actor;
use crate::domain::time::{SECOND, Timestamp};
use crate::domain::token::{Token, USE_GRAIN_MS};
use async_trait::async_trait;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A token that was let in is known for so long (milliseconds) without a look at the store: a revocation by another process takes hold
/// within that time, one by this process at once.
const REMEMBERED_MS: i64 = 5 * SECOND;
/// Tokens remembered at most: a bank's systems and people; past that all are looked up again.
const MOST: usize = 20_000;

/// Lets in whom the book or the identity provider knows.
pub struct HouseGate {
    app: Arc<App>,
    oidc: Option<Oidc>,
    failures: Failures,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    tokens: HashMap<i64, Known>,
    /// Counts revocations: a look-up that began before one is not remembered after it.
    revocations: u64,
}

struct Known {
    hash: [u8; 32],
    token: Token,
    admitted: Admitted,
    until: Timestamp,
}

impl HouseGate {
    /// A gate by the house's settings.
    pub fn new(app: Arc<App>) -> Result<Self, crate::app::Failure> {
        let oidc = Oidc::new(&app.config.oidc)?;
        let failures = Failures::new(app.config.serve.failed_logins_per_minute);
        Ok(Self { app, oidc, failures, remembered: Mutex::default() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, id: i64, hash: &[u8; 32], at: Timestamp) -> Option<Admitted> {
        let kept = self.lock();
        let known = kept.tokens.get(&id).filter(|k| at < k.until && tokens::same(&k.hash, hash) && k.token.is_good(at))?;
        Some(known.admitted.clone())
    }

    /// A token of ours, from memory or by the book.
    async fn by_book(&self, text: &str, id: i64, hash: [u8; 32], at: Timestamp) -> Result<Admitted, Problem> {
        let revocations = self.lock().revocations;
        let token = tokens::find(self.app.store.as_ref(), text, at).await?.ok_or_else(unknown)?;
        if token.used_at.is_none_or(|used| at.since(used) >= USE_GRAIN_MS)
            && let Err(fault) = self.app.store.token_used(id, at).await
        {
            // A note for people; nobody is kept out for it.
            tracing::warn!(%fault, token = id, "the last use of a token could not be noted");
        }
        let admitted = Admitted { actor: token.actor(), scopes: token.grant.scopes.clone().into() };
        let mut kept = self.lock();
        if kept.revocations == revocations {
            if kept.tokens.len() >= MOST {
                kept.tokens.clear();
            }
            kept.tokens.insert(id, Known { hash, token, admitted: admitted.clone(), until: at.plus(REMEMBERED_MS) });
        }
        Ok(admitted)
    }
}

#[async_trait]
impl Gate for HouseGate {
    async fn admit(&self, bearer: &str, at: Timestamp) -> Result<Actor, Problem> {
        Ok(self.admit_from(bearer, None, at).await?.actor)
    }

    async fn admit_from(&self, bearer: &str, peer: Option<IpAddr>, at: Timestamp) -> Result<Admitted, Problem> {
        let ours = tokens::read(bearer);
        // Before the address is asked about: whoever shares a proxy with an attacker goes on working.
        if let Some(admitted) = ours.and_then(|(id, hash)| self.remembered(id, &hash, at)) {
            return Ok(admitted);
        }
        // So does whoever was let in before and has been silent since: that costs a look at the store, and nobody can guess it.
        if !ours.is_some_and(|(id, hash)| self.lock().tokens.get(&id).is_some_and(|k| tokens::same(&k.hash, &hash))) {
            self.failures.check(peer, at)?;
        }
        let found = match (ours, &self.oidc) {
            (Some((id, hash)), _) => self.by_book(bearer, id, hash, at).await,
            (None, Some(oidc)) if bearer.bytes().filter(|b| *b == b'.').count() == 2 => match oidc.admit(bearer, at).await {
                Ok(actor) => Ok(Admitted { actor, scopes: Arc::from([]) }),
                Err(Unknown::Refused(why)) => {
                    tracing::info!(why, "a JWT was refused");
                    Err(unknown())
                }
                Err(Unknown::Unreachable) => {
                    Err(Problem::unavailable("the identity provider's keys cannot be had; try again, or use a token of this system"))
                }
            },
            _ => Err(unknown()),
        };
        if found.as_ref().is_err_and(|problem| problem.status == 401) {
            self.failures.count(peer, at);
        }
        found
    }

    fn forget(&self, token: i64) {
        let mut kept = self.lock();
        kept.revocations += 1;
        kept.tokens.remove(&token);
    }
}

/// One text for everything that can be wrong: it helps nobody to guess.
fn unknown() -> Problem {
    Problem::unknown_caller("this token is not known, has expired or was revoked; an admin makes tokens with `touchline token new`")
}
