//! An export: a numbered folder with a data file and its manifest, made aside, synced, and put in place by one rename.
use super::FinanceError;
use super::labels::Labels;
use super::ledger::LedgerRows;
use super::manifest::{FILE, Manifest, Previous, folder_name, sha256};
use super::rows::What;
use super::writer::Encoder;
use crate::domain::campaign::{Campaign, ExportFormat};
use crate::domain::ids::CampaignId;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, ExportRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What to export.
#[derive(Clone, Debug)]
pub struct ExportRequest<'a> {
    /// Which run.
    pub run: CampaignId,
    /// Its campaign, read from the file kept with the run.
    pub campaign: &'a Campaign,
    /// What of it.
    pub what: What,
    /// In which format.
    pub format: ExportFormat,
    /// The folder in which the export's own folder is made; made itself when it is not there.
    pub out: PathBuf,
    /// Now, by the caller's clock.
    pub as_of: Timestamp,
}

/// What was exported.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExportReport {
    /// The export's folder.
    pub folder: PathBuf,
    /// SHA-256 of its manifest, as the export book keeps it.
    pub manifest_sha256: String,
    /// The manifest.
    pub manifest: Manifest,
}

/// Exports a run's results, touches or conversions to `<out>/<number>/` and records it in the export book.
/// Nothing is left behind on failure except a number that is never used again.
pub async fn export(store: &dyn Store, request: ExportRequest<'_>) -> Result<ExportReport, FinanceError> {
    let run = store.campaign_by_id(request.run).await?;
    if run.hash != request.campaign.hash() {
        return Err(FinanceError::Refused(format!(
            "campaign {:?} version {}: the file given is not the one that was approved (expected hash {}, found {})",
            run.name,
            run.version,
            run.hash,
            request.campaign.hash()
        )));
    }
    let labels = Labels::from(request.campaign);
    let before = store.tallies(run.id).await?;
    let mut rows = LedgerRows::open(store, &run, &labels, request.what).await?;
    let shape = rows.shape();
    let mut manifest = Manifest::draft(&run, &labels, shape, request.format, request.as_of);
    let folder = Folder::make(store, &request.out).await?;
    let encoder = Encoder::start(request.format, shape, folder.file(request.what, request.format));
    let fed = feed(&mut rows, &encoder).await;
    let (file, totals) = encoder.finish().await?;
    fed?;
    manifest.totals = totals;
    manifest.files = vec![file];
    manifest.moved_while_reading = store.tallies(run.id).await? != before;
    if request.what == What::Results && manifest.totals.rows != run.audience {
        return Err(FinanceError::Ledger(format!(
            "campaign {:?}: the audience was frozen with {} customers, found {}: the sum does not close; run `touchline doctor`",
            run.name, run.audience, manifest.totals.rows
        )));
    }
    folder.seal(store, &run, manifest).await
}

async fn feed(rows: &mut LedgerRows<'_>, encoder: &Encoder) -> Result<(), FinanceError> {
    while let Some(work) = rows.next().await? {
        if !encoder.give(work).await {
            break;
        }
    }
    Ok(())
}

/// A folder being made aside; removed again unless it is sealed.
pub(super) struct Folder {
    out: PathBuf,
    number: i64,
    aside: PathBuf,
}

impl Folder {
    /// Takes the next number and makes the folder.
    pub(super) async fn make(store: &dyn Store, out: &Path) -> Result<Self, FinanceError> {
        std::fs::create_dir_all(out).map_err(|e| FinanceError::io("making", out, e))?;
        let number = store.next_export().await?;
        let target = out.join(folder_name(number));
        if target.exists() {
            return Err(FinanceError::Refused(format!(
                "{} is there already, of another store, and an export is never rewritten: choose another --out folder",
                target.display()
            )));
        }
        let aside = out.join(format!(".making-{}", folder_name(number)));
        std::fs::create_dir(&aside).map_err(|e| FinanceError::io("making", &aside, e))?;
        Ok(Self { out: out.to_owned(), number, aside })
    }
    /// Its data file.
    pub(super) fn file(&self, what: What, format: ExportFormat) -> PathBuf {
        self.aside.join(format!("{}.{}", what.name(), format.name()))
    }
    /// Chains, writes the manifest, syncs, renames, and records the export. One at a time per folder: the chain has no forks.
    pub(super) async fn seal(self, store: &dyn Store, run: &CampaignRow, mut manifest: Manifest) -> Result<ExportReport, FinanceError> {
        let _lock = lock(&self.out).await?;
        manifest.number = self.number;
        manifest.previous = store.export(None).await?.map(|e| Previous { number: e.number, manifest_sha256: e.manifest_hash });
        let bytes = manifest.to_bytes()?;
        let manifest_sha256 = sha256(&bytes);
        let path = self.aside.join(FILE);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            File::open(&self.aside)?.sync_all()
        };
        write().map_err(|e| FinanceError::io("writing", &path, e))?;
        let folder = self.out.join(folder_name(self.number));
        let place = || {
            std::fs::rename(&self.aside, &folder)?;
            File::open(&self.out)?.sync_all()
        };
        place().map_err(|e| FinanceError::io("placing", &folder, e))?;
        let row = ExportRow {
            number: self.number,
            campaign: run.id,
            what: manifest.what.name().to_owned(),
            manifest_hash: manifest_sha256.clone(),
            corrects: manifest.corrects,
            as_of: manifest.as_of_ms,
            rows: manifest.totals.rows,
        };
        if let Err(error) = store.put_export(&row).await {
            // An export that the book does not know is none: it would not be in the chain.
            let _ = std::fs::remove_dir_all(&folder);
            return Err(error.into());
        }
        Ok(ExportReport { folder, manifest_sha256, manifest })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // After a seal it is not there any more.
        let _ = std::fs::remove_dir_all(&self.aside);
    }
}

async fn lock(out: &Path) -> Result<File, FinanceError> {
    let path = out.join(".lock");
    let locked = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        }
    });
    locked.await.map_err(|e| FinanceError::Ledger(e.to_string()))?.map_err(|e| FinanceError::io("locking", &path, e))
}
