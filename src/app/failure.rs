//! Why a command ends without its answer, with the exit code of CONTRACT.md.
use crate::campaign_file::{self, Diagnostic};
use crate::desk::DeskError;
use crate::finance::FinanceError;
use crate::intake::IntakeError;
use crate::store::StoreError;
use std::io::IsTerminal;

/// A failure: what to print, what to give machines, and how to exit.
#[derive(Debug)]
pub struct Failure {
    /// 1: it ran and the answer is no; 2: wrong use; 3: the store or the daemon is out of reach.
    pub code: u8,
    /// For people.
    pub text: String,
    /// For machines.
    pub detail: serde_json::Value,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        let detail = serde_json::json!({ "error": text });
        Self { code, text, detail }
    }
    /// It ran and the answer is no.
    pub fn no(text: impl Into<String>) -> Self {
        Self::new(1, text)
    }
    /// Wrong use.
    pub fn use_(text: impl Into<String>) -> Self {
        Self::new(2, text)
    }
    /// The store or the daemon is out of reach.
    pub fn reach(text: impl Into<String>) -> Self {
        Self::new(3, text)
    }
    /// Faults of a campaign file.
    pub fn diagnostics(faults: &[Diagnostic]) -> Self {
        let text = campaign_file::render(faults, std::io::stderr().is_terminal());
        let summary = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Self { code: 1, text, detail: serde_json::json!({ "error": summary, "faults": faults }) }
    }
    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &std::path::Path, e: &std::io::Error) -> Self {
        let hint = if e.kind() == std::io::ErrorKind::StorageFull { "; free some room and run the command again" } else { "" };
        Self::new(if e.kind() == std::io::ErrorKind::NotFound { 2 } else { 1 }, format!("{what} {}: {e}{hint}", path.display()))
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        DeskError::from(e).into()
    }
}
impl From<DeskError> for Failure {
    fn from(e: DeskError) -> Self {
        let text = e.to_string();
        let way_out = match &e {
            DeskError::Store(StoreError::NotFound { what: "campaign", .. }) => "; `touchline campaign list` shows those there are in this store",
            DeskError::Store(StoreError::NotFound { what: "list", .. }) => {
                "; make it with `touchline import list FILE --mapping MAP.yaml --name NAME`"
            }
            _ => "",
        };
        Self::new(e.exit_code(), text + way_out)
    }
}
impl From<FinanceError> for Failure {
    fn from(e: FinanceError) -> Self {
        match e {
            FinanceError::Store(e) => e.into(),
            // No such folder: a slip of the pen, and no verdict on an export.
            FinanceError::Io { ref error, .. } if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Self::use_(e.to_string())
            }
            other => Self::no(other.to_string()),
        }
    }
}
impl From<IntakeError> for Failure {
    fn from(e: IntakeError) -> Self {
        match e {
            IntakeError::Store(e) => e.into(),
            IntakeError::Request(text) => Self::use_(text),
            other => Self::no(other.to_string()),
        }
    }
}
