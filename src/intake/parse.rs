//! The parse stage: a thread of its own that turns the file into batches, so that reading and storing use a core each.
use super::columns::{self, Compiled, Item, Verdict};
use super::mapping::Mapping;
use super::reader_csv::Csv;
use super::reader_jsonl::Jsonl;
use super::reader_parquet::Parquet;
use super::record::{Next, Record, RowFault, Rows};
use super::rejects::Reject;
use super::seen::Seen;
use super::source::Meter;
use super::{Format, IntakeError, Kind};
use crate::domain::consent::{ConsentRecord, SuppressionRecord};
use crate::domain::time::Timestamp;
use crate::store::{CustomerInput, FactInput};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tokio::sync::mpsc::Sender;

/// Rows of the file in a batch, whatever becomes of them.
pub(super) const BATCH_ROWS: u64 = 20_000;
/// A batch also ends when it holds so many bytes (4 MiB) of the file.
const BATCH_BYTES: usize = 4 << 20;

/// Rows that fit, of one kind.
#[derive(Debug)]
pub(super) enum Items {
    Customers(Vec<CustomerInput>),
    Members(Vec<String>),
    Consents(Vec<(String, ConsentRecord)>),
    Suppressions(Vec<(String, SuppressionRecord)>),
    Facts(Vec<FactInput>),
}

/// Where an item comes from, in case that the store does not take it.
#[derive(Debug)]
pub(super) struct Origin {
    pub row: u64,
    pub line: u64,
    /// As written; not kept for customers, whom the store takes.
    pub raw: Vec<u8>,
    /// The same row stands in the file before (not for customers: those are counted and left out here).
    pub repeat: bool,
}

/// Some rows of the file.
#[derive(Debug)]
pub(super) struct Batch {
    pub items: Items,
    /// One for each item.
    pub origins: Vec<Origin>,
    pub rejects: Vec<Reject>,
    pub rows_read: u64,
    pub filtered: u64,
    pub duplicates: u64,
    /// Values of `optional` targets left empty.
    pub warnings: u64,
    /// Bytes of the file read so far.
    pub bytes: u64,
    /// The file ends with it.
    pub last: bool,
}

/// What the stage needs to know; owned, since it runs on its own thread.
pub(super) struct Job {
    pub kind: Kind,
    pub file: PathBuf,
    pub mapping: Mapping,
    pub now: Timestamp,
    /// Rows dealt with before: they are read again to know what they held, and not sent.
    pub done: u64,
    /// For temporary files.
    pub folder: PathBuf,
    pub meter: Meter,
}

/// Runs to the end of the file, to a failure, or until nobody listens.
pub(super) fn run(job: &Job, to: &Sender<Result<Batch, IntakeError>>) {
    if let Err(e) = Stage::new(job).and_then(|mut stage| stage.run(to)) {
        // Nobody listening is not worth a word.
        let _ = to.blocking_send(Err(e));
    }
}

fn open(job: &Job) -> Result<Box<dyn Rows>, IntakeError> {
    let shape = &job.mapping.0;
    let file = Path::new(&job.file);
    Ok(match shape.format {
        Format::Csv => Box::new(Csv::open(file, shape, &job.meter)?),
        Format::Jsonl => Box::new(Jsonl::open(file, shape, columns::sources(&job.mapping, job.kind), &job.meter)?),
        Format::Parquet => Box::new(Parquet::open(file, &columns::sources(&job.mapping, job.kind), &job.meter)?),
    })
}

struct Stage<'a> {
    job: &'a Job,
    rows: Box<dyn Rows>,
    compiled: Compiled,
    /// Keys of the rows taken: references, or kind and number of a fact.
    keys: Seen,
    /// Whole rows taken, where a key may stand in several of them.
    wholes: Seen,
    row: u64,
    batch: Batch,
    batch_bytes: usize,
    key: Vec<u8>,
}

impl<'a> Stage<'a> {
    fn new(job: &'a Job) -> Result<Self, IntakeError> {
        let rows = open(job)?;
        let name = job.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let compiled = Compiled::new(&job.mapping, job.kind, rows.as_ref(), job.now, &format!("import of {name}"))?;
        Ok(Self {
            job,
            rows,
            compiled,
            keys: Seen::new(job.folder.clone()),
            wholes: Seen::new(job.folder.clone()),
            row: 0,
            batch: empty(job.kind),
            batch_bytes: 0,
            key: Vec::new(),
        })
    }

    fn run(&mut self, to: &Sender<Result<Batch, IntakeError>>) -> Result<(), IntakeError> {
        let mut record = Record::default();
        loop {
            let next = self.rows.next(&mut record)?;
            if next == Next::End {
                self.send(to, true);
                return Ok(());
            }
            self.row += 1;
            self.batch.rows_read += 1;
            self.batch_bytes += record.raw.len();
            self.judge(next, &mut record)?;
            if self.row == self.job.done {
                // These rows were dealt with before the restart; only what they held is remembered.
                self.batch = empty(self.job.kind);
                self.batch_bytes = 0;
            } else if (self.batch.rows_read >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES) && !self.send(to, false) {
                return Ok(());
            }
        }
    }

    fn judge(&mut self, next: Next, record: &mut Record) -> Result<(), IntakeError> {
        let fault = match next {
            Next::Row => match self.compiled.apply(record, self.row) {
                Verdict::Filtered => {
                    self.batch.filtered += 1;
                    return Ok(());
                }
                Verdict::Taken(item) => match self.take(item, record)? {
                    None => return Ok(()),
                    Some(fault) => fault,
                },
                Verdict::Rejected(fault) => fault,
            },
            Next::Bad(fault) => fault,
            // A file whose first rows are in another encoding is a file said to be what it is not; nothing of it has been stored yet.
            Next::Foreign(offset, advice) if self.row <= BATCH_ROWS => {
                return Err(IntakeError::Encoding(format!(
                    "{}:{}: the byte at offset {offset} is not UTF-8; {advice}. Nothing was imported",
                    self.job.file.display(),
                    record.line
                )));
            }
            Next::Foreign(offset, _) => RowFault { column: String::new(), reason: format!("the byte at offset {offset} is not UTF-8") },
            Next::End => return Ok(()),
        };
        self.batch.rejects.push(Reject { row: self.row, line: record.line, fault, raw: std::mem::take(&mut record.raw) });
        Ok(())
    }

    /// Adds an item, unless it repeats one; a fault when it contradicts one.
    fn take(&mut self, item: Item, record: &mut Record) -> Result<Option<RowFault>, IntakeError> {
        let mut repeat = false;
        self.key.clear();
        match &item {
            Item::Customer(customer) => {
                if !self.keys.insert(customer.reference.as_bytes())? {
                    self.batch.duplicates += 1;
                    return Ok(None);
                }
            }
            Item::Member(reference) => repeat = !self.keys.insert(reference.as_bytes())?,
            Item::Fact(fact) => {
                join(&mut self.key, &[&fact.kind, &fact.fact_ref]);
                let new = self.keys.insert(&self.key)?;
                join(&mut self.key, &[&fact.customer, fact.product.as_deref().unwrap_or_default(), &fact.amount.to_string(), &fact.at.0.to_string()]);
                let new_whole = self.wholes.insert(&self.key)?;
                if !new && new_whole {
                    return Ok(Some(RowFault::of("fact_ref", "stands in the file before, with other content")));
                }
                repeat = !new;
            }
            Item::Consent(customer, c) => {
                let parts = [customer, c.channel.name(), c.purpose.name(), c.state.name(), &c.at.0.to_string(), &c.source];
                join(&mut self.key, &parts);
                repeat = !self.wholes.insert(&self.key)?;
            }
            Item::Suppression(customer, s) => {
                let until = s.until.map_or_else(String::new, |u| u.0.to_string());
                join(&mut self.key, &[customer, s.channel.map_or("all", |c| c.name()), &s.why, &s.at.0.to_string(), &until, &s.source]);
                repeat = !self.wholes.insert(&self.key)?;
            }
        }
        let raw = if matches!(item, Item::Customer(_)) { Vec::new() } else { std::mem::take(&mut record.raw) };
        self.batch.origins.push(Origin { row: self.row, line: record.line, raw, repeat });
        match (item, &mut self.batch.items) {
            (Item::Customer(c), Items::Customers(all)) => all.push(*c),
            (Item::Member(m), Items::Members(all)) => all.push(m),
            (Item::Consent(c, r), Items::Consents(all)) => all.push((c, r)),
            (Item::Suppression(c, r), Items::Suppressions(all)) => all.push((c, r)),
            (Item::Fact(f), Items::Facts(all)) => all.push(f),
            _ => return Err(IntakeError::Request("a row became an item of another kind than the import's".into())),
        }
        Ok(None)
    }

    /// Sends the batch on; whether anybody listens. Rows from before the restart are not sent.
    fn send(&mut self, to: &Sender<Result<Batch, IntakeError>>, last: bool) -> bool {
        let mut batch = std::mem::replace(&mut self.batch, empty(self.job.kind));
        self.batch_bytes = 0;
        if self.row < self.job.done {
            if !last {
                return !to.is_closed();
            }
            batch = empty(self.job.kind);
        }
        batch.warnings = std::mem::take(&mut self.compiled.warnings);
        batch.bytes = self.job.meter.load(Ordering::Relaxed);
        batch.last = last;
        to.blocking_send(Ok(batch)).is_ok()
    }
}

/// Appends texts with their lengths, so that no two lists of texts look the same.
fn join(key: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        key.extend_from_slice(&(part.len() as u32).to_le_bytes());
        key.extend_from_slice(part.as_bytes());
    }
}

fn empty(kind: Kind) -> Batch {
    let items = match kind {
        Kind::Customers => Items::Customers(Vec::new()),
        Kind::List => Items::Members(Vec::new()),
        Kind::Consents => Items::Consents(Vec::new()),
        Kind::Suppressions => Items::Suppressions(Vec::new()),
        Kind::Facts => Items::Facts(Vec::new()),
    };
    Batch { items, origins: Vec::new(), rejects: Vec::new(), rows_read: 0, filtered: 0, duplicates: 0, warnings: 0, bytes: 0, last: false }
}
