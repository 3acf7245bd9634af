//! Use cases, over the store's traits alone: what people and machines ask of Touchline, whichever way they ask it.
pub mod approve;
pub mod assume;
pub mod audit;
pub mod callbacks;
pub mod contacts;
pub mod control;
pub mod dead_letters;
pub mod diff;
pub mod doctor;
pub mod draft;
pub mod emergency;
pub mod erase;
pub mod events;
pub mod explain;
pub mod idempotency;
pub mod plan;
pub mod receipts;
pub mod referrals;
pub mod report;
pub mod resolve;
pub mod retention;
pub mod revise;
pub mod rotate;
pub mod secret;
pub mod submit;
pub mod timeline;
pub mod tokens;
pub mod webhooks;
pub mod worklist;

use crate::store::StoreError;

/// Why a use case could not be done. Texts carry no personal data and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The campaign's law cannot be composed; every fault at once.
    #[error("the policy of the campaign cannot hold:\n  {}", .0.join("\n  "))]
    Law(Vec<String>),
    /// What was handed in does not fit; every fault at once.
    #[error("{} fault(s); nothing was kept:\n  {}", .0.len(), .0.join("\n  "))]
    Unfit(Vec<String>),
    /// Asked at the wrong moment, of the wrong thing, or of nobody.
    #[error("{0}")]
    Refused(String),
    /// The books do not add up: a fault of ours or of the disk, never of the caller.
    #[error("{0}")]
    Broken(String),
}

impl DeskError {
    /// The exit code of CONTRACT.md: 1 the answer is no, 2 wrong use, 3 the store is out of reach.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Store(StoreError::NotFound { .. }) => 2,
            Self::Store(StoreError::Conflict(_)) | Self::Law(_) | Self::Unfit(_) | Self::Refused(_) | Self::Broken(_) => 1,
            Self::Store(StoreError::Fenced(_) | StoreError::Unusable(_) | StoreError::Full(_) | StoreError::Backend(_)) => 3,
        }
    }
}

/// Result of a use case.
pub type DeskResult<T> = Result<T, DeskError>;

/// Members read at a time where a use case walks a whole list: enough to make the read cheap, a few megabytes at most.
const PAGE: usize = 5_000;
