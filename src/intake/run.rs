//! The import: batches from the parse stage into the store, each with the progress mark in its own transaction.
use super::mapping::Mapping;
use super::parse::{self, Batch, Items, Job, Origin};
use super::record::RowFault;
use super::rejects::{Reject, Rejects};
use super::{IntakeError, Kind, source};
use crate::domain::consent::ConsentState;
use crate::domain::ids::{CustomerId, ListId};
use crate::domain::time::Timestamp;
use crate::store::{IntakeProgress, ListRow, PutCount, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Hears of customers whose consents or suppressions may have changed.
pub type Withdrawn<'a> = dyn Fn(&[CustomerId]) + Send + Sync + 'a;

/// What to import.
#[derive(Clone, Copy)]
pub struct ImportRequest<'a> {
    /// What the file holds.
    pub kind: Kind,
    /// The file; plain or gzip.
    pub file: &'a Path,
    /// How it becomes ours.
    pub mapping: &'a Mapping,
    /// The list that is made of the rows and frozen at the end: required for `List`, possible for `Customers`.
    pub name: Option<&'a str>,
    /// Where rejected rows are written (see `rejects_path`); replaced when the import begins anew.
    pub rejects: &'a Path,
    /// Now: the day of consents and suppressions that have none of their own, and of the list.
    pub now: Timestamp,
    /// Import a file again that was imported in full before.
    pub again: bool,
    /// Hears, after every commit, of the customers whose consents or suppressions it may have changed.
    pub withdrawn: Option<&'a Withdrawn<'a>>,
}

impl std::fmt::Debug for ImportRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportRequest").field("kind", &self.kind).field("file", &self.file).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The sums; always `rows_read = accepted + filtered + rejected + duplicates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sums {
    /// Rows of the file dealt with.
    pub rows_read: u64,
    /// Rows taken.
    pub accepted: u64,
    /// Rows left out by the mapping's `where`.
    pub filtered: u64,
    /// Rows that do not fit.
    pub rejected: u64,
    /// Rows that repeat one taken before.
    pub duplicates: u64,
    /// Bytes of the file read (of a gzip file: packed).
    pub bytes: u64,
    /// Bytes of the file.
    pub bytes_total: u64,
}

impl Sums {
    /// Whether every row read is in exactly one sum.
    pub fn closed(&self) -> bool {
        self.rows_read == self.accepted + self.filtered + self.rejected + self.duplicates
    }
}

/// What an import did.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// What was imported.
    pub kind: Kind,
    /// The sums over the whole file, those of before a restart included.
    pub sums: Sums,
    /// The same file with the same mapping had been imported in full before: nothing was done, and the sums are those of then.
    pub already: bool,
    /// Rows that had been dealt with before this call, after a stop.
    pub resumed_from: u64,
    /// New customers or facts, in this call.
    pub inserted: u64,
    /// Changed customers, in this call.
    pub updated: u64,
    /// Values of `optional` targets that did not fit and were left empty, in this call.
    pub warnings: u64,
    /// Rejected rows by reason, in this call.
    pub reasons: BTreeMap<String, u64>,
    /// The list, frozen with count and checksum.
    pub list: Option<ListRow>,
    /// The rejects file, if anything was rejected.
    pub rejects: Option<PathBuf>,
    /// What else the operator should know.
    pub notes: Vec<String>,
}

/// Reasons told apart in the report; further ones are counted together (the rejects file has them all).
const MOST_REASONS: usize = 50;

/// Imports a file. Memory does not grow with it. After a kill the same call goes on where the last committed batch ended.
/// `progress` is called after every batch.
///
/// # Errors
/// What was taken before stays taken; see `IntakeError`.
pub async fn import(store: &dyn Store, request: ImportRequest<'_>, progress: &mut (dyn FnMut(&Sums) + Send)) -> Result<Report, IntakeError> {
    check(&request)?;
    request.mapping.check(request.kind).map_err(IntakeError::Faults)?;
    let key = key(&request).await?;
    let bytes_total = std::fs::metadata(request.file).map_or(0, |m| m.len());
    let mut mark = match store.intake_progress(&key).await? {
        Some(mark) if mark.done && !request.again => return already(store, &request, &mark, bytes_total).await,
        Some(mark) if !mark.done => mark,
        _ => IntakeProgress { key, rows_read: 0, accepted: 0, filtered: 0, rejected: 0, duplicates: 0, rejects_bytes: 0, done: false },
    };
    let resumed_from = mark.rows_read;
    // A file that cannot be imported at all must cost neither a list nor the rejects file of the import before.
    let mut batches = begin(&request, mark.rows_read);
    let mut next = receive(&mut batches).await?;
    let (rejects, note) = Rejects::open(request.rejects, mark.rejects_bytes)?;
    if note.is_some() {
        mark.rejects_bytes = 0;
    }
    let list = match request.name {
        Some(name) => open_list(store, name, request.now, resumed_from > 0).await?,
        None => None,
    };
    let mut import = Import {
        store,
        list: list.as_ref().map(|l| l.id),
        frozen: list.as_ref().is_some_and(|l| l.frozen_at.is_some()),
        rejects,
        mark,
        report: Report {
            kind: request.kind,
            sums: Sums { bytes_total, ..Sums::default() },
            already: false,
            resumed_from,
            inserted: 0,
            updated: 0,
            warnings: 0,
            reasons: BTreeMap::new(),
            list: None,
            rejects: None,
            notes: note.into_iter().collect(),
        },
    };
    loop {
        let last = next.last;
        import.take(next, &request).await?;
        progress(&import.report.sums);
        if last {
            break;
        }
        next = receive(&mut batches).await?;
    }
    import.end(&request).await
}

/// Starts the parse stage; two batches may wait between the stages.
fn begin(request: &ImportRequest<'_>, done: u64) -> tokio::sync::mpsc::Receiver<Result<Batch, IntakeError>> {
    let (to, batches) = tokio::sync::mpsc::channel(2);
    let folder = request.rejects.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let job = Job {
        kind: request.kind,
        file: request.file.to_owned(),
        mapping: request.mapping.clone(),
        now: request.now,
        done,
        folder,
        meter: Arc::new(AtomicU64::new(0)),
    };
    // It ends by itself: with the file, or when the receiver is dropped.
    std::thread::spawn(move || parse::run(&job, &to));
    batches
}

async fn receive(batches: &mut tokio::sync::mpsc::Receiver<Result<Batch, IntakeError>>) -> Result<Batch, IntakeError> {
    batches
        .recv()
        .await
        .unwrap_or_else(|| Err(IntakeError::File("the reader stopped before the end of the file; this is a fault of the program".into())))
}

fn check(request: &ImportRequest<'_>) -> Result<(), IntakeError> {
    check_name(request.kind, request.name)
}

/// Whether a list may be made of an intake of this kind, and may be called so.
pub fn check_name(kind: Kind, name: Option<&str>) -> Result<(), IntakeError> {
    let refuse = |text: &str| Err(IntakeError::Request(text.into()));
    match (kind, name) {
        (Kind::List, None) => refuse("an import of a list needs its name: add --name NAME"),
        (Kind::Consents | Kind::Suppressions | Kind::Facts, Some(_)) => refuse("--name is for lists and customers: leave it out"),
        (_, Some(name))
            if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) =>
        {
            Err(IntakeError::Request(format!("expected a list name of letters, digits, `-`, `_` and `.` (at most 64), found {name:?}")))
        }
        _ => Ok(()),
    }
}

/// Kind, name, and the hashes of file and mapping. The file is read once for it, on a thread of its own.
async fn key(request: &ImportRequest<'_>) -> Result<String, IntakeError> {
    let (to, hash) = tokio::sync::oneshot::channel();
    let file = request.file.to_owned();
    std::thread::spawn(move || {
        let _ = to.send(source::hash(&file));
    });
    let hash = hash.await.map_err(|_| IntakeError::File("the file could not be read".into()))??;
    Ok(key_of(request.kind, request.name, &hash, request.mapping))
}

/// Under what name an intake's progress is kept: the same file, for the same list by the same mapping, is the same intake. `content`: the hash of
/// `ContentHash`.
pub fn key_of(kind: Kind, name: Option<&str>, content: &str, mapping: &Mapping) -> String {
    format!("{}/{}/{content}/{}", kind.name(), name.unwrap_or_default(), mapping.hash())
}

fn sums(mark: &IntakeProgress, bytes: u64, bytes_total: u64) -> Sums {
    Sums {
        rows_read: mark.rows_read,
        accepted: mark.accepted,
        filtered: mark.filtered,
        rejected: mark.rejected,
        duplicates: mark.duplicates,
        bytes,
        bytes_total,
    }
}

async fn already(store: &dyn Store, request: &ImportRequest<'_>, mark: &IntakeProgress, bytes_total: u64) -> Result<Report, IntakeError> {
    let list = match request.name {
        Some(name) => Some(store.list(name).await?),
        None => None,
    };
    Ok(Report {
        kind: request.kind,
        sums: sums(mark, bytes_total, bytes_total),
        already: true,
        resumed_from: mark.rows_read,
        inserted: 0,
        updated: 0,
        warnings: 0,
        reasons: BTreeMap::new(),
        list,
        rejects: (mark.rejects_bytes > 0 && request.rejects.exists()).then(|| request.rejects.to_owned()),
        notes: vec!["this file was imported in full before, with this mapping: nothing was done".into()],
    })
}

/// Opens the list. After a restart it may be frozen already: the stop came between its freezing and the last mark.
async fn open_list(store: &dyn Store, name: &str, now: Timestamp, resumed: bool) -> Result<Option<ListRow>, IntakeError> {
    if resumed
        && let Ok(list) = store.list(name).await
        && list.frozen_at.is_some()
    {
        return Ok(Some(list));
    }
    let id = store.open_list(name, now).await?;
    Ok(Some(ListRow { id, name: name.to_owned(), count: 0, checksum: String::new(), frozen_at: None }))
}

struct Import<'a> {
    store: &'a dyn Store,
    list: Option<ListId>,
    /// The list was frozen before a restart; no row may be left.
    frozen: bool,
    rejects: Rejects,
    mark: IntakeProgress,
    report: Report,
}

impl Import<'_> {
    /// One batch: rejects to disk, then rows and mark in one transaction.
    async fn take(&mut self, batch: Batch, request: &ImportRequest<'_>) -> Result<(), IntakeError> {
        let Batch { mut items, mut origins, mut rejects, rows_read, filtered, duplicates, warnings, bytes, last: _ } = batch;
        self.report.warnings += warnings;
        self.mark.rows_read += rows_read;
        self.mark.filtered += filtered;
        self.mark.duplicates += duplicates;
        let ids = self.sift(&mut items, &mut origins, &mut rejects).await?;
        if self.frozen && !origins.is_empty() {
            return Err(IntakeError::Request(
                "the list was frozen before all rows of the file were in it: import the file under another name".into(),
            ));
        }
        rejects.sort_by_key(|r| r.row);
        self.reject(&rejects)?;
        self.mark.accepted += origins.len() as u64;
        let put = self.put(&items, &ids).await?;
        if let Some(tell) = request.withdrawn {
            self.tell(&items, &ids, tell).await?;
        }
        self.settle(put, matches!(items, Items::Customers(_)), origins).await?;
        self.report.sums = sums(&self.mark, bytes, self.report.sums.bytes_total);
        Ok(())
    }

    /// Takes out what is known beforehand not to be taken: customers who do not exist, and rows that repeat one of this file.
    /// Returns the customers' numbers, for lists.
    async fn sift(&mut self, items: &mut Items, origins: &mut Vec<Origin>, rejects: &mut Vec<Reject>) -> Result<Vec<CustomerId>, IntakeError> {
        let references: Vec<&str> = match items {
            Items::Customers(_) => return Ok(Vec::new()),
            Items::Members(all) => all.iter().map(String::as_str).collect(),
            Items::Consents(all) => all.iter().map(|(c, _)| c.as_str()).collect(),
            Items::Suppressions(all) => all.iter().map(|(c, _)| c.as_str()).collect(),
            Items::Facts(all) => all.iter().map(|f| f.customer.as_str()).collect(),
        };
        let found = if references.is_empty() { Vec::new() } else { self.store.customer_ids(&references).await? };
        let column = if matches!(items, Items::Members(_)) { "ref" } else { "customer" };
        let mut keep = Vec::with_capacity(origins.len());
        let mut kept = Vec::with_capacity(origins.len());
        for (origin, id) in std::mem::take(origins).into_iter().zip(&found) {
            keep.push(id.is_some() && !origin.repeat);
            match id {
                Some(_) if origin.repeat => self.mark.duplicates += 1,
                Some(id) => {
                    kept.push(*id);
                    origins.push(origin);
                }
                None => {
                    let fault = RowFault::of(column, "no customer has this reference; import customers first");
                    rejects.push(Reject { row: origin.row, line: origin.line, fault, raw: origin.raw });
                }
            }
        }
        let mut next = keep.into_iter();
        let mut keeps = || next.next().unwrap_or(false);
        match items {
            Items::Customers(_) => {}
            Items::Members(all) => all.retain(|_| keeps()),
            Items::Consents(all) => all.retain(|_| keeps()),
            Items::Suppressions(all) => all.retain(|_| keeps()),
            Items::Facts(all) => all.retain(|_| keeps()),
        }
        Ok(kept)
    }

    /// Writes and counts rejected rows.
    fn reject(&mut self, rejects: &[Reject]) -> Result<(), IntakeError> {
        for reject in rejects {
            let column = &reject.fault.column;
            let mut reason = if column.is_empty() { reject.fault.reason.clone() } else { format!("{column}: {}", reject.fault.reason) };
            if self.report.reasons.len() >= MOST_REASONS && !self.report.reasons.contains_key(&reason) {
                reason = "other reasons".into();
            }
            *self.report.reasons.entry(reason).or_default() += 1;
        }
        self.rejects.append(rejects)?;
        self.mark.rejected += rejects.len() as u64;
        self.mark.rejects_bytes = self.rejects.length;
        Ok(())
    }

    /// Tells whose consents or suppressions have changed.
    async fn tell(&self, items: &Items, ids: &[CustomerId], tell: &Withdrawn<'_>) -> Result<(), IntakeError> {
        match items {
            Items::Consents(_) | Items::Suppressions(_) => tell(ids),
            Items::Customers(all) => {
                let withdrawn: Vec<&str> =
                    all.iter().filter(|c| c.consents.iter().any(|r| r.state == ConsentState::Withdrawn)).map(|c| c.reference.as_str()).collect();
                if !withdrawn.is_empty() {
                    let ids: Vec<CustomerId> = self.store.customer_ids(&withdrawn).await?.into_iter().flatten().collect();
                    tell(&ids);
                }
            }
            Items::Members(_) | Items::Facts(_) => {}
        }
        Ok(())
    }

    async fn put(&self, items: &Items, ids: &[CustomerId]) -> Result<PutCount, IntakeError> {
        let mark = Some(&self.mark);
        let count = match items {
            Items::Customers(all) if !all.is_empty() => match self.list {
                // The mark goes with the last transaction of the batch; a stop between the two puts the same customers again, which changes nothing.
                Some(list) => {
                    let count = self.store.put_customers(all, None).await?;
                    let references: Vec<&str> = all.iter().map(|c| c.reference.as_str()).collect();
                    let refused: HashSet<usize> = count.rejected.iter().map(|(i, _)| *i).collect();
                    let ids = self.store.customer_ids(&references).await?;
                    let ids: Vec<CustomerId> = ids.into_iter().enumerate().filter(|(i, _)| !refused.contains(i)).filter_map(|(_, id)| id).collect();
                    self.store.add_members(list, &ids, mark).await?;
                    count
                }
                None => self.store.put_customers(all, mark).await?,
            },
            Items::Members(_) if !ids.is_empty() => {
                let Some(list) = self.list else { return Err(IntakeError::Request("an import of a list needs its name".into())) };
                let new = self.store.add_members(list, ids, mark).await?;
                PutCount { inserted: new, duplicates: (ids.len() as u64).saturating_sub(new), ..PutCount::default() }
            }
            Items::Consents(all) if !all.is_empty() => self.store.put_consents(all, mark).await?,
            Items::Suppressions(all) if !all.is_empty() => self.store.put_suppressions(all, mark).await?,
            Items::Facts(all) if !all.is_empty() => self.store.put_facts(all, mark).await?,
            _ => {
                self.store.set_intake_progress(&self.mark).await?;
                PutCount::default()
            }
        };
        Ok(count)
    }

    /// Moves what the store did not take from accepted to where it belongs. The batch's own mark counted it as accepted, so the mark is set
    /// again; a stop in between leaves such rows (repeats of rows of another file) counted as accepted, and nothing else wrong.
    async fn settle(&mut self, put: PutCount, customers: bool, mut origins: Vec<Origin>) -> Result<(), IntakeError> {
        self.report.inserted += put.inserted;
        self.report.updated += put.updated;
        // A customer who was there already, the same, is a row taken.
        let duplicates = if customers { 0 } else { put.duplicates };
        if duplicates == 0 && put.rejected.is_empty() {
            return Ok(());
        }
        let mut rejects = Vec::new();
        for (index, reason) in put.rejected {
            if let Some(origin) = origins.get_mut(index) {
                let raw = std::mem::take(&mut origin.raw);
                rejects.push(Reject { row: origin.row, line: origin.line, fault: RowFault { column: String::new(), reason }, raw });
            }
        }
        self.mark.accepted = self.mark.accepted.saturating_sub(duplicates + rejects.len() as u64);
        self.mark.duplicates += duplicates;
        self.reject(&rejects)?;
        self.store.set_intake_progress(&self.mark).await?;
        Ok(())
    }

    async fn end(mut self, request: &ImportRequest<'_>) -> Result<Report, IntakeError> {
        if let Some(list) = self.list {
            let frozen = match request.name {
                Some(name) if self.frozen => self.store.list(name).await?,
                _ => self.store.freeze_list(list, request.now).await?,
            };
            self.report.list = Some(frozen);
        }
        self.mark.done = true;
        self.store.set_intake_progress(&self.mark).await?;
        self.report.rejects = self.rejects.written().map(Path::to_owned);
        if !self.report.sums.closed() {
            let s = self.report.sums;
            self.report.notes.push(format!(
                "the sums do not close: {} rows read, {} accepted, {} filtered, {} rejected, {} duplicates; this is a fault of the program",
                s.rows_read, s.accepted, s.filtered, s.rejected, s.duplicates
            ));
        }
        Ok(self.report)
    }
}
