//! First answers, kept for whoever asks the same again.
use super::StoreResult;
use crate::domain::time::Timestamp;
use async_trait::async_trait;

/// Thirty-two bytes of a hash.
pub type Hash = [u8; 32];

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type; empty: none.
    pub content_type: String,
    /// The body, sealed by whoever keeps it; `None`: it holds a secret and is not kept.
    pub body: Option<Vec<u8>>,
}

/// What a key is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody's: it is the caller's now, who does the work and then answers or gives it back.
    Mine,
    /// Somebody is at it, with the same request.
    Busy,
    /// It was used for another request.
    Other,
    /// Done: this was the answer.
    Done(KeptAnswer),
}

/// The book of answers, by the hash of a key within its scope.
#[async_trait]
pub trait IdempotencyBook: Send + Sync {
    /// Claims a key for a request. A claim from before `stale` that was never answered (its process died) is taken over, by the same
    /// request only; an answer from before `kept_since` counts as none.
    async fn claim_key(&self, key: &Hash, request: &Hash, at: Timestamp, stale: Timestamp, kept_since: Timestamp) -> StoreResult<Claim>;
    /// Keeps the answer of a claimed key; of one that is not claimed, or claimed anew since `claimed_at`, nothing is kept.
    async fn answer_key(&self, key: &Hash, claimed_at: Timestamp, answer: &KeptAnswer) -> StoreResult<()>;
    /// Gives a claimed key back unanswered.
    async fn release_key(&self, key: &Hash, claimed_at: Timestamp) -> StoreResult<()>;
    /// Removes what was claimed before an instant; gives how many.
    async fn purge_keys(&self, before: Timestamp) -> StoreResult<u64>;
}
