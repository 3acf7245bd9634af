//! Writing a data file: hashed while it is written, synced at its end, in one of three formats behind one trait.
use super::FinanceError;
use super::ledger::Work;
use super::rows::Shape;
use super::totals::{Adder, Totals};
use super::{writer_csv, writer_jsonl, writer_parquet};
use crate::domain::campaign::ExportFormat;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// A finished data file, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileMark {
    /// Name within the export's folder.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// Rows in it.
    pub rows: i64,
}

/// Bytes on their way to a file: counted and hashed.
pub struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl HashedFile {
    /// A new file; one that is there already is refused.
    pub fn create(path: &Path) -> Result<Self, FinanceError> {
        let file = File::create_new(path).map_err(|e| FinanceError::io("writing", path, e))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), bytes: 0 })
    }
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Flushes and syncs.
    pub fn close(mut self, rows: i64) -> Result<FileMark, FinanceError> {
        let fault = |e| FinanceError::io("writing", &self.path, e);
        self.file.flush().map_err(fault)?;
        self.file.get_ref().sync_all().map_err(fault)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(FileMark { name, bytes: self.bytes, sha256: hex(&self.hash.finalize()), rows })
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or(bytes));
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// Puts batches of one shape into a file.
pub trait RowWriter: Send {
    /// Appends a batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), FinanceError>;
    /// Ends the file.
    fn finish(self: Box<Self>) -> Result<HashedFile, FinanceError>;
}

/// A writer of a format.
pub fn open(format: ExportFormat, shape: Shape, path: &Path) -> Result<Box<dyn RowWriter>, FinanceError> {
    let file = HashedFile::create(path)?;
    Ok(match format {
        ExportFormat::Csv => Box::new(writer_csv::CsvWriter::new(file, shape)?),
        ExportFormat::Jsonl => Box::new(writer_jsonl::JsonlWriter::new(file, shape)),
        ExportFormat::Parquet => Box::new(writer_parquet::ParquetWriter::new(file, shape)?),
    })
}

/// A file being written on a thread of its own, so that reading the next page and encoding this one overlap. The channel
/// holds two pages: a slow disk slows the reading.
pub struct Encoder {
    send: mpsc::Sender<Work>,
    thread: tokio::task::JoinHandle<Result<(FileMark, Totals), FinanceError>>,
}

impl Encoder {
    /// Opens the file and starts the thread.
    pub fn start(format: ExportFormat, shape: Shape, path: PathBuf) -> Self {
        let (send, mut receive) = mpsc::channel::<Work>(2);
        let thread = tokio::task::spawn_blocking(move || {
            let mut writer = open(format, shape, &path)?;
            let mut adder = Adder::new(shape);
            while let Some(work) = receive.blocking_recv() {
                let batch = work()?;
                adder.add(&batch)?;
                writer.write(&batch)?;
            }
            let totals = adder.finish();
            Ok((writer.finish()?.close(totals.rows)?, totals))
        });
        Self { send, thread }
    }
    /// Hands a batch over; `false`: the thread has ended with a fault, which `finish` returns.
    pub async fn give(&self, work: Work) -> bool {
        self.send.send(work).await.is_ok()
    }
    /// Waits for the end of the file.
    pub async fn finish(self) -> Result<(FileMark, Totals), FinanceError> {
        drop(self.send);
        self.thread.await.map_err(|e| FinanceError::Ledger(format!("the encoder ended early: {e}")))?
    }
}
