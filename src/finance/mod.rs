//! What finance gets: numbered, hashed and chained exports of the ledger, their verification and corrections, and the mail
//! that carries them; and the attribution that turns facts into credits.
//!
//! Money is an integer in the ledger, a decimal string in CSV and JSONL, and Decimal128 in Parquet; never a float.
pub mod attribute;
pub mod columns;
mod compare;
pub mod correction;
pub mod export;
pub mod labels;
pub mod ledger;
pub mod mail;
pub mod manifest;
pub mod reader;
pub mod rows;
pub mod totals;
pub mod verify;
pub mod writer;
mod writer_csv;
mod writer_jsonl;
mod writer_parquet;

pub use attribute::{AttributionReport, attribute};
pub use correction::{CorrectionReport, correct};
pub use export::{ExportReport, ExportRequest, export};
pub use mail::{MailConfig, MailTls, Mailed, mail};
pub use manifest::Manifest;
pub use rows::What;
pub use verify::{Difference, VerifyReport, verify};

use crate::store::StoreError;
use std::path::Path;

/// What can go wrong in an export, a verification, a correction or a mail. Texts carry no personal data.
#[derive(Debug, thiserror::Error)]
pub enum FinanceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{doing} {file}: {error}{hint}")]
    Io {
        /// `writing`, `reading` ...
        doing: &'static str,
        /// Which file or folder, as the caller named it.
        file: String,
        /// What the system said.
        error: std::io::Error,
        /// A way out, or empty.
        hint: &'static str,
    },
    /// A data file or manifest does not have the form that its manifest says.
    #[error("{file}: {fault}")]
    Malformed {
        /// Which file.
        file: String,
        /// What was expected and what was found.
        fault: String,
    },
    /// The ledger contradicts itself or what was handed in.
    #[error("{0}")]
    Ledger(String),
    /// The request cannot be done as it stands.
    #[error("{0}")]
    Refused(String),
    /// The mail did not go out.
    #[error("{0}")]
    Mail(String),
}

impl FinanceError {
    /// An I/O error with what was being done to which file.
    pub(crate) fn io(doing: &'static str, file: &Path, error: std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ". Nothing of this export was kept: free some room and run the command again"
            }
            std::io::ErrorKind::PermissionDenied => ". Choose a folder that this user may use",
            std::io::ErrorKind::NotFound => ". Check the path",
            std::io::ErrorKind::NotADirectory => ". Name the folder of an export: the one that holds manifest.json",
            _ => "",
        };
        Self::Io { doing, file: file.display().to_string(), error, hint }
    }
    /// A file whose content is not as it should be.
    pub(crate) fn malformed(file: &Path, fault: impl std::fmt::Display) -> Self {
        Self::Malformed { file: file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned(), fault: fault.to_string() }
    }
}

impl From<arrow_schema::ArrowError> for FinanceError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Ledger(format!("rows could not be laid out as columns: {error}"))
    }
}
