//! The audit log: only ever added to.
use super::StoreResult;
pub use crate::domain::audit::{Entry, Head, Linked};
use crate::domain::time::Timestamp;
use async_trait::async_trait;

/// Which entries are asked for. Every `None` asks for all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this actor.
    pub actor: Option<String>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Whose target has this text in it.
    pub target: Option<String>,
    /// After this number.
    pub after: i64,
    /// How many at most.
    pub limit: usize,
}

/// The log.
#[async_trait]
pub trait AuditBook: Send + Sync {
    /// Adds entries in order, each linked to the one before, in one transaction. Gives the head that they lead to.
    async fn append_audit(&self, entries: &[Entry]) -> StoreResult<Head>;
    /// Entries in order.
    async fn audit(&self, filter: &AuditFilter) -> StoreResult<Vec<Linked>>;
    /// The last entry's number and hash.
    async fn audit_head(&self) -> StoreResult<Head>;
}
