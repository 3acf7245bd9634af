//! The manifest: what an export is, what it adds up to, and which export came before it.
use super::FinanceError;
use super::labels::Labels;
use super::rows::{Shape, What};
use super::totals::Totals;
use super::writer::{FileMark, hex};
use crate::domain::campaign::ExportFormat;
use crate::domain::money::Currency;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, Status};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The version of the manifest and of the data files. 2: texts in CSV that begin like a formula are led by an apostrophe. A reader
/// also knows 1, and refuses any other.
pub const SCHEMA: u32 = 2;
/// The manifest's file name.
pub const FILE: &str = "manifest.json";

/// The export before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Previous {
    /// Its number.
    pub number: i64,
    /// SHA-256 of its `manifest.json`, hex.
    pub manifest_sha256: String,
}

/// What `manifest.json` says. Money is in decimal strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Manifest {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The export's number; its folder's name.
    pub number: i64,
    /// The export that this one corrects: rows with `change` = `reversal` take back rows of it (or of an earlier
    /// correction of it), rows with `new` stand instead.
    pub corrects: Option<i64>,
    /// What is in it.
    pub what: What,
    /// In which format.
    pub format: ExportFormat,
    /// Digits after the point of amounts in Parquet.
    pub amount_digits: u32,
    /// The campaign.
    pub campaign: String,
    /// The run's number; negative for a rehearsal.
    pub run: i64,
    /// Version of the campaign file.
    pub version: i64,
    /// BLAKE3 of the campaign file as approved, hex.
    pub campaign_hash: String,
    /// A rehearsal contacted nobody, and its figures are no business.
    pub rehearsal: bool,
    /// Where the campaign stood.
    pub status: Status,
    /// Customers in its audience.
    pub audience: i64,
    /// The audience's checksum.
    pub audience_checksum: String,
    /// The currency of costs.
    pub currency: Currency,
    /// As of when, RFC 3339.
    pub as_of: String,
    /// As of when, milliseconds since the epoch.
    pub as_of_ms: Timestamp,
    /// The ledger was written to while this was being read, so rows may be of slightly different instants.
    pub moved_while_reading: bool,
    /// Rows, counts and sums.
    #[serde(flatten)]
    pub totals: Totals,
    /// The data files.
    pub files: Vec<FileMark>,
    /// The export before this one, whatever its campaign; `None` for the first.
    pub previous: Option<Previous>,
    /// Names of the campaign that the rows speak of.
    pub labels: Labels,
    /// What wrote it.
    pub written_by: String,
}

impl Manifest {
    /// Of a run, without number, files, totals and chain.
    pub(super) fn draft(run: &CampaignRow, labels: &Labels, shape: Shape, format: ExportFormat, as_of: Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            number: 0,
            corrects: None,
            what: shape.what,
            format,
            amount_digits: shape.amount_digits,
            campaign: run.name.clone(),
            run: run.id.0,
            version: run.version,
            campaign_hash: run.hash.clone(),
            rehearsal: run.id.is_rehearsal(),
            status: run.status,
            audience: run.audience,
            audience_checksum: run.checksum.clone(),
            currency: run.currency,
            as_of: as_of.to_string(),
            as_of_ms: as_of,
            moved_while_reading: false,
            totals: Totals::default(),
            files: Vec::new(),
            previous: None,
            labels: labels.clone(),
            written_by: concat!("touchline ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
    /// Whether texts in its CSV are led by an apostrophe where a spreadsheet would take them for formulas.
    pub fn has_marks(&self) -> bool {
        self.schema >= 2
    }
    /// The shape of its data files.
    pub fn shape(&self) -> Shape {
        Shape { what: self.what, correction: self.corrects.is_some(), amount_digits: self.amount_digits }
    }
    /// As the file has it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FinanceError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| FinanceError::malformed(Path::new(FILE), e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
    /// Reads the manifest of an export's folder; also returns the SHA-256 of the file.
    pub fn read(folder: &Path) -> Result<(Self, String), FinanceError> {
        let path = folder.join(FILE);
        let bytes = std::fs::read(&path).map_err(|e| FinanceError::io("reading", &path, e))?;
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_slice(&bytes).map_err(|e| FinanceError::malformed(&path, e))?;
        if !(1..=SCHEMA).contains(&version.schema) {
            let fault =
                format!("expected schema 1 to {SCHEMA}, found {}: it was written by another version of touchline; use that one", version.schema);
            return Err(FinanceError::malformed(&path, fault));
        }
        let manifest = serde_json::from_slice(&bytes).map_err(|e| FinanceError::malformed(&path, e))?;
        Ok((manifest, sha256(&bytes)))
    }
    /// The one data file.
    pub fn data_file(&self, folder: &Path) -> Result<PathBuf, FinanceError> {
        match self.files.as_slice() {
            // A name with a path in it would let a manifest speak of files outside its folder.
            [file] if Path::new(&file.name).file_name().is_some_and(|n| n == file.name.as_str()) => Ok(folder.join(&file.name)),
            files => Err(FinanceError::malformed(Path::new(FILE), format!("expected one data file in the folder, found {} listed", files.len()))),
        }
    }
}

/// The name of an export's folder.
pub fn folder_name(number: i64) -> String {
    format!("{number:06}")
}

/// SHA-256, hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
