//! Corrections: an export is never edited; a later export takes back (with negative measures) the rows that changed and gives
//! the rows that stand instead. What was exported plus its corrections is what the ledger says.
use super::FinanceError;
use super::compare::{Differences, LedgerCursor, Standing, negated};
use super::export::{ExportReport, Folder};
use super::ledger::LedgerRows;
use super::manifest::{Manifest, folder_name};
use super::rows::{Cell, Row, RowsBuilder, Shape};
use super::totals::{NEW, REVERSAL};
use super::verify::family;
use super::writer::Encoder;
use crate::domain::ids::CampaignId;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Rows handed over at once.
const BATCH: usize = 8_192;

/// What a correction found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CorrectionReport {
    /// The export that is corrected (never itself a correction).
    pub corrects: i64,
    /// Rows taken back.
    pub reversals: u64,
    /// Rows given.
    pub new_rows: u64,
    /// The correction; `None`: the export and its corrections say what the ledger says, and nothing was written.
    pub export: Option<ExportReport>,
}

/// Corrects export `number`, whose folder (and those of its earlier corrections) are in `out`, as of `as_of`.
/// The number may also be that of a correction: the export that it corrects is meant.
pub async fn correct(store: &dyn Store, number: i64, out: &Path, as_of: Timestamp) -> Result<CorrectionReport, FinanceError> {
    let Some(row) = store.export(Some(number)).await? else {
        let (what, name, hint) = ("export", format!("{number:06}"), " in the export book of this store: check the number and --store".to_owned());
        return Err(StoreError::NotFound { what, name, hint }.into());
    };
    let corrects = row.corrects.unwrap_or(number);
    let folder = out.join(folder_name(corrects));
    let (manifest, _) = Manifest::read(&folder)?;
    let (base, corrections) = family(store, &folder, &manifest, i64::MAX).await?.map_err(|missing| {
        FinanceError::Refused(format!(
            "export {missing:06} is needed to correct {corrects:06}, but its folder is not in {}: put it there",
            out.display()
        ))
    })?;
    let run = store.campaign_by_id(CampaignId(manifest.run)).await?;
    let before = store.tallies(run.id).await?;
    let standing = Standing::open((&base.0, &base.1), &corrections)?;
    let rows = LedgerRows::open(store, &run, &manifest.labels, manifest.what).await?;
    let amount_digits =
        corrections.iter().map(|(_, m)| m.amount_digits).chain([manifest.amount_digits, rows.shape().amount_digits]).max().unwrap_or(2);
    let shape = Shape { what: manifest.what, correction: true, amount_digits };
    let mut differences = Differences::open(standing, LedgerCursor::new(rows)).await?;
    let mut report = CorrectionReport { corrects, reversals: 0, new_rows: 0, export: None };
    let mut making: Option<(Folder, Encoder)> = None;
    let mut batch = RowsBuilder::new(shape);
    while let Some((_, old, new)) = differences.next().await? {
        let (folder, encoder) = match making.take() {
            Some(made) => made,
            // The number is taken at the first difference: a correction of nothing leaves no gap in the numbers.
            None => {
                let folder = Folder::make(store, out).await?;
                let encoder = Encoder::start(manifest.format, shape, folder.file(manifest.what, manifest.format));
                (folder, encoder)
            }
        };
        if let Some(old) = old {
            report.reversals += 1;
            push(&mut batch, REVERSAL, negated(Shape { correction: false, ..shape }, &old))?;
        }
        if let Some(new) = new {
            report.new_rows += 1;
            push(&mut batch, NEW, new)?;
        }
        let alive = batch.len() < BATCH || give(&encoder, &mut batch).await?;
        making = Some((folder, encoder));
        if !alive {
            break;
        }
    }
    let Some((folder, encoder)) = making else { return Ok(report) };
    if !batch.is_empty() {
        give(&encoder, &mut batch).await?;
    }
    let (file, totals) = encoder.finish().await?;
    let mut made = Manifest::draft(&run, &manifest.labels, shape, manifest.format, as_of);
    made.corrects = Some(corrects);
    made.totals = totals;
    made.files = vec![file];
    made.moved_while_reading = store.tallies(run.id).await? != before;
    report.export = Some(folder.seal(store, &run, made).await?);
    Ok(report)
}

fn push(batch: &mut RowsBuilder, change: &str, row: Row) -> Result<(), FinanceError> {
    let cells: Row = std::iter::once(Cell::Text(change.into())).chain(row).collect();
    batch.push(&cells).map_err(FinanceError::Ledger)
}

async fn give(encoder: &Encoder, batch: &mut RowsBuilder) -> Result<bool, FinanceError> {
    let rows = batch.finish()?;
    Ok(encoder.give(Box::new(move || Ok(rows))).await)
}
