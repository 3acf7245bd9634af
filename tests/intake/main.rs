//! Files in: every kind, every format, bad input, resuming, and the real list.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::new_without_default, reason = "a test that cannot go on fails")]
mod bad_input;
mod kinds;
mod mappings;
mod real;
mod resume;

use std::path::{Path, PathBuf};
use touchline::domain::time::Timestamp;
use touchline::intake::{ImportRequest, IntakeError, Kind, Mapping, Report, import};
use touchline::store::Store;

/// 2026-11-24T00:00Z.
pub const NOW: Timestamp = Timestamp(1_795_478_400_000);

/// A folder with a file in it, and what is needed to import it.
pub struct Desk {
    /// Gone with the test.
    pub folder: tempfile::TempDir,
}

impl Desk {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
    /// The path of the rejects file.
    pub fn rejects(&self) -> PathBuf {
        self.folder.path().join("rejects.csv")
    }
    /// The rejects file, or nothing.
    pub fn rejected(&self) -> String {
        std::fs::read_to_string(self.rejects()).unwrap_or_default()
    }
    /// Imports a file; the sums must close after every batch.
    pub async fn import(&self, store: &dyn Store, kind: Kind, file: &Path, mapping: &str, name: Option<&str>) -> Result<Report, IntakeError> {
        let mapping = Mapping::load("test.map.yaml", mapping).unwrap_or_else(|f| panic!("{f:?}"));
        let request = ImportRequest { kind, file, mapping: &mapping, name, rejects: &self.rejects(), now: NOW, again: false, withdrawn: None };
        let report = import(store, request, &mut |sums| assert!(sums.closed(), "{sums:?}")).await?;
        assert!(report.sums.closed(), "{:?}", report.sums);
        Ok(report)
    }
}

/// rows read, accepted, filtered, rejected, duplicates.
pub fn five(report: &Report) -> (u64, u64, u64, u64, u64) {
    let s = report.sums;
    (s.rows_read, s.accepted, s.filtered, s.rejected, s.duplicates)
}
