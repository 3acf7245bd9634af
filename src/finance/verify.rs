//! Verifying an export: its files against its manifest, its manifest against the chain and the export book, its rows against
//! the ledger. What the ledger changed *after* the export is no fault of the export: that asks for a correction.
use super::FinanceError;
use super::compare::{Change, Differences, LedgerCursor, Standing, beside};
use super::ledger::LedgerRows;
use super::manifest::{FILE, Manifest};
use super::reader::FileRows;
use super::rows::{Cell, Row, Shape, What};
use super::totals::{Adder, Totals, micros_text};
use super::writer::hex;
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::tally::{Tallies, Tally};
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::{CampaignRow, RevisionStatus, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Differences that are listed one by one; more are only counted.
pub const LISTED: usize = 100;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// In which file (or `export book`, `ledger`).
    pub file: String,
    /// Of what.
    pub what: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReport {
    /// The export.
    pub number: i64,
    /// The campaign.
    pub campaign: String,
    /// Rows read from its files.
    pub rows: i64,
    /// Faults: the export, or the ledger, is not what it was. At most [`LISTED`].
    pub faults: Vec<Difference>,
    /// How many faults there are.
    pub fault_count: u64,
    /// Rows that the ledger has changed since, lawfully. At most [`LISTED`].
    pub moved_on: Vec<Difference>,
    /// How many there are.
    pub moved_on_count: u64,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// What to do, when anything is to be done.
    pub advice: Option<String>,
}

impl VerifyReport {
    /// Whether the export is intact (the ledger may have moved on).
    pub fn is_intact(&self) -> bool {
        self.fault_count == 0
    }
    fn fault(&mut self, file: &str, what: impl Into<String>, expected: impl ToString, found: impl ToString) {
        self.fault_count += 1;
        if self.faults.len() < LISTED {
            let (expected, found) = (expected.to_string(), found.to_string());
            self.faults.push(Difference { file: file.to_owned(), what: what.into(), expected, found });
        }
    }
    fn moved(&mut self, difference: Difference) {
        self.moved_on_count += 1;
        if self.moved_on.len() < LISTED {
            self.moved_on.push(difference);
        }
    }
    fn compare<T: PartialEq + ToString>(&mut self, file: &str, what: &str, expected: T, found: T) {
        if expected != found {
            self.fault(file, what, expected, found);
        }
    }
}

/// Verifies the export in a folder; without a store only what the folder itself (and its neighbour in the chain) tells.
/// `Err` only when nothing can be said at all (no manifest, store out of reach).
pub async fn verify(store: Option<&dyn Store>, folder: &Path) -> Result<VerifyReport, FinanceError> {
    let (manifest, manifest_sha256) = Manifest::read(folder)?;
    let mut report = VerifyReport { number: manifest.number, campaign: manifest.campaign.clone(), ..VerifyReport::default() };
    check_files(&mut report, folder, &manifest)?;
    check_chain(&mut report, folder, &manifest)?;
    match store {
        None => report.unchecked.push("the ledger: no store was given".into()),
        Some(store) => {
            check_book(&mut report, store, &manifest, &manifest_sha256).await?;
            if report.is_intact() {
                check_ledger(&mut report, store, folder, &manifest).await?;
            } else {
                report.unchecked.push("the ledger: the export itself is at fault".into());
            }
        }
    }
    report.advice = match (report.fault_count, report.moved_on_count) {
        (0, 0) => None,
        (0, n) => Some(format!("the ledger has moved on in {n} rows since {}: make a correction", manifest.as_of)),
        _ => Some("do not use this export: fetch it again from where it was kept, or make a new one; never edit one".into()),
    };
    Ok(report)
}

fn check_files(report: &mut VerifyReport, folder: &Path, manifest: &Manifest) -> Result<(), FinanceError> {
    let listed: Vec<&str> = manifest.files.iter().map(|f| f.name.as_str()).chain([FILE]).collect();
    let entries = std::fs::read_dir(folder).map_err(|e| FinanceError::io("reading", folder, e))?;
    for entry in entries {
        let name = entry.map_err(|e| FinanceError::io("reading", folder, e))?.file_name().to_string_lossy().into_owned();
        if !listed.contains(&name.as_str()) {
            report.fault(&name, "file", "only files that the manifest lists", "one more");
        }
    }
    let path = manifest.data_file(folder)?;
    for file in &manifest.files {
        match sha256_of(&path) {
            Ok((bytes, sha256)) => {
                report.compare(&file.name, "bytes", file.bytes, bytes);
                report.compare(&file.name, "sha256", file.sha256.clone(), sha256);
            }
            Err(error) => {
                report.fault(&file.name, "file", "to be there", error);
                return Ok(());
            }
        }
        match totals_of(&path, manifest) {
            Ok(totals) => {
                report.rows = totals.rows;
                report.compare(&file.name, "rows in the file list", file.rows, totals.rows);
                compare_totals(report, &file.name, &manifest.totals, &totals);
            }
            Err(error) => report.fault(&file.name, "content", "rows as the manifest describes them", error),
        }
    }
    if manifest.what == What::Results && manifest.corrects.is_none() {
        report.compare(FILE, "sum of counts over all states", manifest.audience, manifest.totals.counts.values().sum());
    }
    Ok(())
}

fn totals_of(path: &Path, manifest: &Manifest) -> Result<Totals, FinanceError> {
    let mut rows = FileRows::open(path, manifest.format, manifest.shape(), manifest.has_marks())?;
    let mut adder = Adder::new(manifest.shape());
    while let Some(batch) = rows.next_batch()? {
        adder.add(&batch)?;
    }
    Ok(adder.finish())
}

fn compare_totals(report: &mut VerifyReport, file: &str, expected: &Totals, found: &Totals) {
    report.compare(file, "rows", expected.rows, found.rows);
    report.compare(file, "attempts", expected.attempts, found.attempts);
    report.compare(file, "connected seconds", expected.connected_s, found.connected_s);
    report.compare(file, "parts", expected.parts, found.parts);
    let states: std::collections::BTreeSet<_> = expected.counts.keys().chain(found.counts.keys()).collect();
    for state in states {
        let of = |t: &Totals| t.counts.get(state).copied().unwrap_or(0);
        report.compare(file, &format!("count of {state}"), of(expected), of(found));
    }
    let currencies: std::collections::BTreeSet<_> = expected.sums.keys().chain(found.sums.keys()).collect();
    for currency in currencies {
        let of = |t: &Totals| t.sums.get(currency).cloned().unwrap_or_default();
        let (e, f) = (of(expected), of(found));
        for (what, e, f) in
            [("cost", e.cost, f.cost), ("amount", e.amount, f.amount), ("credited", e.credited, f.credited), ("holdout", e.holdout, f.holdout)]
        {
            report.compare(file, &format!("sum of {what} in {currency}"), e, f);
        }
    }
}

fn sha256_of(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        bytes += n as u64;
        hash.update(buffer.get(..n).unwrap_or(&buffer));
    }
}

fn check_chain(report: &mut VerifyReport, folder: &Path, manifest: &Manifest) -> Result<(), FinanceError> {
    let Some(previous) = &manifest.previous else { return Ok(()) };
    let before = beside(folder, previous.number);
    if !before.join(FILE).exists() {
        report.unchecked.push(format!("the chain: export {:06} is not beside this one", previous.number));
        return Ok(());
    }
    match Manifest::read(&before) {
        Ok((_, sha256)) => {
            report.compare(FILE, &format!("sha256 of the manifest of export {:06}", previous.number), previous.manifest_sha256.clone(), sha256)
        }
        Err(error) => report.fault(FILE, format!("manifest of export {:06}", previous.number), "a manifest", error),
    }
    Ok(())
}

async fn check_book(report: &mut VerifyReport, store: &dyn Store, manifest: &Manifest, sha256: &str) -> Result<(), FinanceError> {
    const BOOK: &str = "export book";
    match store.export(Some(manifest.number)).await? {
        None => {
            report.fault(BOOK, format!("export {:06}", manifest.number), "to be recorded (the export was finished, in this store)", "not recorded")
        }
        Some(row) => {
            report.compare(FILE, "sha256 as the export book has it", row.manifest_hash, sha256.to_owned());
            report.compare(BOOK, "rows", manifest.totals.rows, row.rows);
            report.compare(BOOK, "run", manifest.run, row.campaign.0);
        }
    }
    if let Some(previous) = &manifest.previous {
        let kept = store.export(Some(previous.number)).await?.map(|e| e.manifest_hash).unwrap_or_default();
        report.compare(BOOK, &format!("sha256 of export {:06}", previous.number), previous.manifest_sha256.clone(), kept);
    }
    Ok(())
}

/// The folders of an export and of its corrections up to `number` that are beside it; `Err`: which one is missing.
pub(super) async fn family(
    store: &dyn Store,
    folder: &Path,
    manifest: &Manifest,
    up_to: i64,
) -> Result<Result<((PathBuf, Manifest), Vec<(PathBuf, Manifest)>), i64>, FinanceError> {
    let base_number = manifest.corrects.unwrap_or(manifest.number);
    let mut wanted = vec![base_number];
    wanted.extend(
        store.exports(CampaignId(manifest.run)).await?.into_iter().filter(|e| e.corrects == Some(base_number) && e.number <= up_to).map(|e| e.number),
    );
    let mut found = Vec::new();
    for number in wanted {
        let at = if number == manifest.number { folder.to_owned() } else { beside(folder, number) };
        if !at.join(FILE).exists() {
            return Ok(Err(number));
        }
        let (m, sha256) = Manifest::read(&at)?;
        if store.export(Some(number)).await?.is_none_or(|e| e.manifest_hash != sha256) {
            return Err(FinanceError::Refused(format!("export {number:06} beside this one is not as the export book has it: verify that one first")));
        }
        found.push((at, m));
    }
    let corrections = found.split_off(1);
    match found.pop() {
        Some(base) => Ok(Ok((base, corrections))),
        None => Ok(Err(base_number)),
    }
}

async fn check_ledger(report: &mut VerifyReport, store: &dyn Store, folder: &Path, manifest: &Manifest) -> Result<(), FinanceError> {
    let run = match store.campaign_by_id(CampaignId(manifest.run)).await {
        Ok(run) => run,
        Err(StoreError::NotFound { .. }) if manifest.rehearsal => {
            report.unchecked.push("the ledger: the rehearsal has been purged".into());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    // An export made before a revision was taken up names the file that was in force then.
    let in_force_before = store.texts(run.id).await?.pop().is_some_and(|text| text.hash == manifest.campaign_hash)
        || store.revisions(run.id).await?.iter().any(|r| r.status == RevisionStatus::Taken && r.hash == manifest.campaign_hash);
    let hash = if in_force_before { manifest.campaign_hash.clone() } else { run.hash.clone() };
    report.compare("ledger", "hash of the approved campaign file", manifest.campaign_hash.clone(), hash);
    report.compare("ledger", "audience", manifest.audience, run.audience);
    report.compare("ledger", "checksum of the audience", manifest.audience_checksum.clone(), run.checksum.clone());
    let (base, corrections) = match family(store, folder, manifest, manifest.number).await? {
        Ok(family) => family,
        Err(missing) => {
            report.unchecked.push(format!("the ledger: export {missing:06}, which belongs to this one, is not beside it"));
            return Ok(());
        }
    };
    let before = store.tallies(run.id).await?;
    let standing = Standing::open((&base.0, &base.1), &corrections)?;
    let ledger = LedgerCursor::new(LedgerRows::open(store, &run, &manifest.labels, manifest.what).await?);
    let mut differences = Differences::open(standing, ledger).await?;
    let mut judge = Judge { store, run: &run, manifest, last: None };
    while let Some(change) = differences.next().await? {
        let moved = judge.moved_since(&change).await?;
        let difference = describe(&change, manifest);
        if moved {
            report.moved(difference);
        } else {
            report.fault(&difference.file, difference.what, difference.expected, difference.found);
        }
    }
    let now = differences.finish();
    if store.tallies(run.id).await? == before {
        check_tallies(report, &run, manifest.what, &now, &before);
    } else {
        report.unchecked.push("the tallies: the ledger was written to meanwhile".into());
    }
    Ok(())
}

/// Rows of the ledger against the tallies kept beside them.
fn check_tallies(report: &mut VerifyReport, run: &CampaignRow, what: What, rows: &Totals, tallies: &Tallies) {
    const LEDGER: &str = "ledger";
    if what == What::Conversions {
        return;
    }
    if what == What::Results {
        for (state, n) in tallies.customers(run.audience) {
            report.compare(LEDGER, &format!("tally of {state} customers"), rows.counts.get(state.name()).copied().unwrap_or(0), n);
        }
    }
    report.compare(LEDGER, "tally of attempts", rows.attempts, tallies.of(Tally::AttemptsByChannel).map(|(_, n)| n).sum());
    report.compare(LEDGER, "tally of connected seconds", rows.connected_s, tallies.get(Tally::ConnectedSeconds, 0));
    report.compare(LEDGER, "tally of parts", rows.parts, tallies.get(Tally::Parts, 0));
    let cost = rows.sums.get(run.currency.code()).map_or_else(|| micros_text(0), |s| s.cost.clone());
    report.compare(LEDGER, "tally of cost", cost, micros_text(i128::from(tallies.get(Tally::CostMicros, 0))));
}

struct Judge<'a> {
    store: &'a dyn Store,
    run: &'a CampaignRow,
    manifest: &'a Manifest,
    last: Option<(CustomerId, bool)>,
}

impl Judge<'_> {
    /// Whether a difference came about lawfully after the export.
    async fn moved_since(&mut self, (key, old, new): &Change) -> Result<bool, FinanceError> {
        let as_of = self.manifest.as_of_ms;
        match self.manifest.what {
            // Attribution is done anew whenever facts come in, and says not when; the file itself has been checked.
            What::Conversions => return Ok(true),
            // Nothing ever leaves the ledger.
            What::Touches | What::Results if new.is_none() => return Ok(false),
            What::Touches | What::Results => {}
        }
        // What was open in a running campaign may move on, and what is open may have come since, without leaving an instant
        // behind (a deferral, the calling off of who has no row yet).
        let open = |row: &Row| state_of(self.manifest.what, row).is_some_and(|s| !s.is_closed());
        let was_open = old.as_ref().or(new.as_ref()).is_some_and(open);
        if self.manifest.moved_while_reading
            || was_open && !self.manifest.status.is_closed()
            || new.as_ref().is_some_and(|row| has_instant_after(self.manifest.what, row, as_of))
        {
            return Ok(true);
        }
        let customer = CustomerId(key.customer);
        if let Some((of, moved)) = self.last
            && of == customer
        {
            return Ok(moved);
        }
        let own = self.store.timeline(customer).await?.into_iter().filter(|t| t.key.campaign == self.run.id);
        let moved = own.flat_map(|t| [t.started_at, t.ended_at]).flatten().any(|at| at > as_of);
        self.last = Some((customer, moved));
        Ok(moved)
    }
}

fn state_of(what: What, row: &Row) -> Option<State> {
    let place = Shape { what, correction: false, amount_digits: 0 }.columns().iter().position(|c| c.name == "state")?;
    match row.get(place) {
        Some(Cell::Text(name)) => State::from_name(name),
        _ => None,
    }
}

/// Whether anything in the row happened after `as_of`. Due times lie in the future and prove nothing.
fn has_instant_after(what: What, row: &Row, as_of: Timestamp) -> bool {
    let columns = Shape { what, correction: false, amount_digits: 0 }.columns();
    row.iter().zip(columns).any(|(cell, column)| column.name != "due_at" && matches!(cell, Cell::Instant(at) if *at > as_of.0))
}

/// The first column in which a row differs, without anything that could name a person.
fn describe((key, old, new): &Change, manifest: &Manifest) -> Difference {
    let file = manifest.files.first().map(|f| f.name.clone()).unwrap_or_default();
    let of = match manifest.what {
        What::Results => format!("customer {}", key.customer),
        What::Touches => format!("touch {}-{}-{}", manifest.run, key.customer, key.second),
        What::Conversions => format!("conversion {:?} of fact {}", key.conversion, key.second),
    };
    let (what, expected, found) = match (old, new) {
        (Some(old), Some(new)) => {
            let columns = Shape { correction: false, ..manifest.shape() }.columns();
            let differing = old.iter().zip(new).zip(&columns).find(|((a, b), _)| a != b);
            match differing {
                Some(((a, b), column)) if matches!(column.name, "reference" | "provider_ref") => {
                    let hidden = |cell: &Cell| if *cell == Cell::Null { "(empty)" } else { "(a text)" };
                    (column.name, hidden(b).to_owned(), hidden(a).to_owned())
                }
                Some(((a, b), column)) => (column.name, b.to_string(), a.to_string()),
                None => ("row", String::new(), String::new()),
            }
        }
        (None, _) => ("row", "in the ledger".into(), "not in the export".into()),
        (_, None) => ("row", "not in the ledger".into(), "in the export".into()),
    };
    Difference { file, what: format!("{of}: {what}"), expected, found }
}
