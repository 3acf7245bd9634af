//! Exports: made, listed, fetched (also in parts, after a break), verified, corrected.
use super::{Body, Caller, House, Operation, Paging, Problem, Query, Reply, created, file, ok};
use crate::domain::access::Role;
use crate::domain::campaign::ExportFormat;
use crate::domain::ids::CampaignId;
use crate::domain::time::Timestamp;
use crate::finance::manifest::{FILE, folder_name};
use crate::finance::{CorrectionReport, ExportReport, Manifest, VerifyReport, What};
use actix_web::{HttpRequest, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// An export that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedExport {
    /// The campaign; its newest real run, or else its newest rehearsal.
    pub campaign: String,
    /// What of it.
    pub what: What,
    /// In which format.
    #[serde(default = "csv")]
    pub format: ExportFormat,
    /// The rehearsal, though there is a real run.
    #[serde(default)]
    pub rehearsal: bool,
}

fn csv() -> ExportFormat {
    ExportFormat::Csv
}

/// An export in the book.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExportLine {
    /// Its number.
    pub number: i64,
    /// The campaign.
    pub campaign: String,
    /// The run's version.
    pub version: i64,
    /// Whether the run contacted nobody.
    pub rehearsal: bool,
    /// What of it.
    pub what: String,
    /// The export that it corrects.
    pub corrects: Option<i64>,
    /// As of when.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub as_of: Timestamp,
    /// Rows.
    pub rows: i64,
    /// SHA-256 of its manifest, hex.
    pub manifest_sha256: String,
}

fn manifest_example() -> Value {
    json!({
        "schema": 2, "number": 1, "corrects": null, "what": "results", "format": "csv", "amount_digits": 2, "campaign": "term-deposit-2026q4", "run": 3,
        "version": 1, "campaign_hash": "77ab", "rehearsal": false, "status": "finished", "audience": 2, "audience_checksum": "5f2b", "currency": "CNY",
        "as_of": "2026-12-16T02:00:00Z", "as_of_ms": 1_797_386_400_000_i64, "moved_while_reading": false, "rows": 2, "counts": {"reached": 1, "missed": 1},
        "attempts": 3, "connected_s": 61, "parts": 0,
        "sums": {"CNY": {"cost": "0.405", "amount": "0", "credited": "0", "holdout": "0"}},
        "files": [{"name": "results.csv", "bytes": 412, "sha256": "9f86", "rows": 2}], "previous": null,
        "labels": {"campaign": "term-deposit-2026q4", "holdout_ppm": 0, "steps": [{"name": "call", "variants": []}], "conversions": []},
        "written_by": "touchline 0.1.0",
    })
}

fn made_example() -> Value {
    json!({"folder": "/v1/exports/1", "manifest_sha256": "e3b0", "manifest": manifest_example()})
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let verified = json!({
        "number": 1, "campaign": "term-deposit-2026q4", "rows": 2, "faults": [], "fault_count": 0, "moved_on": [], "moved_on_count": 0,
        "unchecked": [], "advice": null,
    });
    let line = json!({
        "number": 1, "campaign": "term-deposit-2026q4", "version": 1, "rehearsal": false, "what": "results", "corrects": null,
        "as_of": "2026-12-16T02:00:00Z", "rows": 2, "manifest_sha256": "e3b0",
    });
    vec![
        Operation::post("/v1/exports", "makeExport")
            .says("exports", "Export a run's results, touches or conversions")
            .about("A numbered folder that is never rewritten; each manifest names the one before it. The answer comes when it is written. Amounts are decimal text. In CSV a text that a spreadsheet would take for a formula is led by an apostrophe.")
            .allow(&[Role::Finance])
            .takes::<WantedExport>(json!({"campaign": "term-deposit-2026q4", "what": "results", "format": "csv"}))
            .gives::<ExportReport>(201, "It is made.", made_example())
            .refuses(404, "There is no such campaign.")
            .to(make),
        Operation::get("/v1/exports", "listExports")
            .says("exports", "The export book, oldest first")
            .allow(&[Role::Finance])
            .query("campaign", "Only of this campaign, all its runs.", json!({"type": "string", "minLength": 1, "maxLength": 200}), "term-deposit-2026q4".into())
            .paged()
            .gives::<Vec<ExportLine>>(200, "They.", json!([line]))
            .to(list),
        Operation::get("/v1/exports/{number}", "readExport")
            .says("exports", "An export's manifest, byte for byte")
            .about("Its SHA-256 is the ETag and stands in the export book.")
            .allow(&[Role::Finance])
            .path_number("number", "The export's number.", 1)
            .gives::<Manifest>(200, "The manifest.", manifest_example())
            .to(manifest),
        Operation::get("/v1/exports/{number}/{file}", "fetchExport")
            .says("exports", "A file of an export")
            .about("Only files that the manifest lists, and `manifest.json`. The ETag is the SHA-256 of the manifest's list; `Range` (with `If-Range`) goes on after a break.")
            .allow(&[Role::Finance])
            .audited()
            .path_number("number", "The export's number.", 1)
            .path_text("file", "The file's name, as in the manifest.", "results.csv")
            .ranged()
            .gives_text(200, "The file.", "text/csv", "customer,reference,state\n1,\"c1\",reached\n")
            .gives_text(200, "The file.", "application/x-ndjson", "{\"customer\":1,\"reference\":\"c1\",\"state\":\"reached\"}\n")
            .gives_text(200, "The file.", "application/vnd.apache.parquet", "PAR1...")
            .gives::<Manifest>(200, "The manifest.", manifest_example())
            .gives_text(206, "The part that `Range` asked for.", "text/csv", "1,\"c1\",reached\n")
            .gives_text(206, "The part that `Range` asked for.", "application/x-ndjson", "\"state\":\"reached\"}\n")
            .gives_text(206, "The part that `Range` asked for.", "application/vnd.apache.parquet", "...")
            .gives_text(206, "The part that `Range` asked for.", "application/json", "\"rows\": 2,")
            .to(fetch),
        Operation::post("/v1/exports/{number}/verify", "verifyExport")
            .says("exports", "Recompute an export's totals and hashes from its files and the ledger, and compare")
            .allow(&[Role::Finance, Role::Compliance])
            .path_number("number", "The export's number.", 1)
            .gives::<VerifyReport>(200, "What was found; intact when `fault_count` is 0.", verified)
            .to(verify),
        Operation::post("/v1/exports/{number}/correct", "correctExport")
            .says("exports", "What has changed since an export, as a correction of it")
            .about("Reversals and new rows, in an export of its own; none when nothing has changed.")
            .allow(&[Role::Finance])
            .path_number("number", "The export's number.", 1)
            .gives::<CorrectionReport>(200, "Nothing has changed.", json!({"corrects": 1, "reversals": 0, "new_rows": 0, "export": null}))
            .gives::<CorrectionReport>(201, "It is made.", json!({"corrects": 1, "reversals": 1, "new_rows": 1, "export": made_example()}))
            .to(correct),
    ]
}

/// An export's place in the API instead of on the disk.
fn placed(report: ExportReport) -> ExportReport {
    ExportReport { folder: PathBuf::from(format!("/v1/exports/{}", report.manifest.number)), ..report }
}

async fn make(house: House, caller: Caller, wanted: Body<WantedExport>) -> Reply {
    caller.sees_all("an export is")?;
    let WantedExport { campaign, what, format, rehearsal } = wanted.0;
    let (_, report) = house.export_named(&campaign, rehearsal, what, format, &house.exports_folder()).await?;
    created(&placed(report))
}

#[derive(Deserialize)]
struct Asked {
    campaign: Option<String>,
}

async fn list(house: House, caller: Caller, asked: Query<Asked>, paging: Query<Paging>) -> Reply {
    caller.sees_all("the export book is")?;
    let (after, limit) = paging.0.checked()?;
    let mut lines = Vec::new();
    for run in house.store.campaigns().await?.into_iter().filter(|r| asked.0.campaign.as_ref().is_none_or(|name| *name == r.name)) {
        lines.extend(house.store.exports(run.id).await?.into_iter().filter(|e| e.number > after).map(|e| ExportLine {
            number: e.number,
            campaign: run.name.clone(),
            version: run.version,
            rehearsal: run.id.is_rehearsal(),
            what: e.what,
            corrects: e.corrects,
            as_of: e.as_of,
            rows: e.rows,
            manifest_sha256: e.manifest_hash,
        }));
    }
    lines.sort_by_key(|l| l.number);
    lines.truncate(limit);
    ok(&lines)
}

/// The folder, manifest and hash of an export that the book knows and this daemon has.
async fn at_hand(house: &House, number: i64) -> Result<(PathBuf, Manifest, String), Problem> {
    let unknown = || Problem::not_found(format!("there is no export {number}"));
    let row = house.store.export(Some(number)).await?.ok_or_else(unknown)?;
    let folder = house.exports_folder().join(folder_name(number));
    let elsewhere =
        || Problem::not_found(format!("export {number} is not in this daemon's folder of exports: it was made to another place by the command line"));
    if !folder.join(FILE).exists() {
        return Err(elsewhere());
    }
    let (manifest, sha256) = Manifest::read(&folder).map_err(|fault| {
        tracing::error!(number, %fault, "a manifest cannot be read");
        Problem::conflict(format!("the manifest of export {number} cannot be read; verify it: touchline verify"))
    })?;
    // An export of that number of another store is not the one asked for.
    if manifest.number != number || manifest.run != row.campaign.0 || CampaignId(manifest.run) != row.campaign {
        return Err(elsewhere());
    }
    Ok((folder, manifest, sha256))
}

async fn manifest(house: House, caller: Caller, number: web::Path<i64>, request: HttpRequest) -> Reply {
    caller.sees_all("an export is")?;
    let (folder, _, sha256) = at_hand(&house, *number).await?;
    file::answer(&request, &folder.join(FILE), FILE, "application/json", &sha256).await
}

async fn fetch(house: House, caller: Caller, path: web::Path<(i64, String)>, request: HttpRequest) -> Reply {
    caller.sees_all("an export is")?;
    let (number, name) = path.into_inner();
    let (folder, manifest, sha256) = at_hand(&house, number).await?;
    if name == FILE {
        return file::answer(&request, &folder.join(FILE), FILE, "application/json", &sha256).await;
    }
    // The name is looked up, never put into a path unless it is one that the manifest lists; and a manifest names no folders.
    let mark = manifest.files.iter().find(|f| f.name == name && !f.name.contains(['/', '\\']) && f.name != "..");
    let mark = mark.ok_or_else(|| Problem::not_found(format!("export {number} has no such file; its manifest lists those there are")))?;
    let content_type = match manifest.format {
        ExportFormat::Csv => "text/csv; charset=utf-8",
        ExportFormat::Jsonl => "application/x-ndjson",
        ExportFormat::Parquet => "application/vnd.apache.parquet",
    };
    file::answer(&request, &folder.join(&mark.name), &format!("{number:06}-{}", mark.name), content_type, &mark.sha256).await
}

async fn verify(house: House, caller: Caller, number: web::Path<i64>) -> Reply {
    caller.sees_all("an export is")?;
    let (folder, _, _) = at_hand(&house, *number).await?;
    ok(&house.verify(&folder).await?)
}

async fn correct(house: House, caller: Caller, number: web::Path<i64>) -> Reply {
    caller.sees_all("an export is")?;
    at_hand(&house, *number).await?;
    let mut report = house.correct(*number, &house.exports_folder()).await?;
    report.export = report.export.map(placed);
    if report.export.is_some() { created(&report) } else { ok(&report) }
}
