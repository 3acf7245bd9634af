//! Who is let in: tokens, as hashes of their secrets.
use super::StoreResult;
use crate::domain::time::Timestamp;
pub use crate::domain::token::{Grant, Token};
use async_trait::async_trait;

/// SHA-256 of a token's secret. Thirty-two random bytes need no slow hash: there is nothing to guess.
pub type SecretHash = [u8; 32];

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whom it speaks for.
    pub grant: Grant,
    /// The hash of its secret.
    pub hash: SecretHash,
    /// Who makes it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The book of tokens. Numbers are not given twice, and no row is ever removed: the audit log names them.
#[async_trait]
pub trait AccessBook: Send + Sync {
    /// Makes a token.
    async fn put_token(&self, new: &NewToken) -> StoreResult<Token>;
    /// A token and the hash of its secret.
    async fn token(&self, id: i64) -> StoreResult<Option<(Token, SecretHash)>>;
    /// Tokens after a number, in order: also those that have expired or were revoked.
    async fn tokens(&self, after: i64, limit: usize) -> StoreResult<Vec<Token>>;
    /// Revokes; the first to do so stays on record. `NotFound` for a number that was never given.
    async fn revoke_token(&self, id: i64, by: &str, at: Timestamp) -> StoreResult<Token>;
    /// Notes a use; an earlier one than that on record changes nothing.
    async fn token_used(&self, id: i64, at: Timestamp) -> StoreResult<()>;
}
