//! The rejects file: row, line, column, reason and the row as written. The reason never holds a value of the row; the row itself does,
//! so that it can be mended and imported again: the file belongs to the operator and is as private as the file it comes from.
use super::IntakeError;
use super::record::RowFault;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: &[u8] = b"row,line,column,reason,as_written\n";

/// A rejected row.
#[derive(Debug)]
pub(super) struct Reject {
    /// From 1, over all rows.
    pub row: u64,
    /// From 1; the line on which it starts.
    pub line: u64,
    /// Why.
    pub fault: RowFault,
    /// As written.
    pub raw: Vec<u8>,
}

/// The rejects file beside (or in `folder`, for) a file: `customers.csv.gz` gives `customers.rejects.csv`.
pub fn rejects_path(file: &Path, folder: Option<&Path>) -> PathBuf {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = [".gz", ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet"].iter().fold(name.as_str(), |n, end| n.strip_suffix(end).unwrap_or(n));
    let folder = folder.or_else(|| file.parent()).unwrap_or(Path::new(""));
    folder.join(format!("{stem}.rejects.csv"))
}

/// Written only when there is something to say.
pub(super) struct Rejects {
    path: PathBuf,
    file: Option<File>,
    /// Bytes that belong to rows whose batches are committed, and those about to be.
    pub length: u64,
}

impl Rejects {
    /// Goes on at a recorded length (0: anew). Whatever lies beyond it belongs to rows that were not committed, and goes.
    /// Returns a note when the file is not what it was.
    pub fn open(path: &Path, length: u64) -> Result<(Self, Option<String>), IntakeError> {
        let failed = |e: std::io::Error| IntakeError::Rejects(format!("cannot write the rejects file {}: {e}", path.display()));
        let mut rejects = Self { path: path.to_owned(), file: None, length: 0 };
        let found = match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                return Err(IntakeError::Rejects(format!("the rejects file {} is a directory: name a file", path.display())));
            }
            Ok(meta) => meta.len(),
            Err(_) => 0,
        };
        if length == 0 {
            if found > 0 {
                std::fs::remove_file(path).map_err(failed)?;
            }
            return Ok((rejects, None));
        }
        if found < length {
            let note = format!(
                "the rejects file {} held {length} bytes when the import stopped and holds {found} now: the rows rejected before are counted, but no longer listed in it",
                path.display()
            );
            return Ok((rejects, Some(note)));
        }
        let mut file = File::options().write(true).open(path).map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        rejects.file = Some(file);
        rejects.length = length;
        Ok((rejects, None))
    }

    /// Appends rows and gives them to the disk, before the batch that counts them is committed.
    pub fn append(&mut self, rejects: &[Reject]) -> Result<(), IntakeError> {
        if rejects.is_empty() {
            return Ok(());
        }
        let path = &self.path;
        let failed = |e: std::io::Error| IntakeError::Rejects(format!("cannot write the rejects file {}: {e}", path.display()));
        let mut bytes = Vec::new();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                bytes.extend_from_slice(HEADER);
                self.file.insert(create(path).map_err(failed)?)
            }
        };
        for reject in rejects {
            let _ = write!(bytes, "{},{},", reject.row, reject.line);
            quoted(&mut bytes, reject.fault.column.as_bytes());
            bytes.push(b',');
            quoted(&mut bytes, reject.fault.reason.as_bytes());
            bytes.push(b',');
            quoted(&mut bytes, &reject.raw);
            bytes.push(b'\n');
        }
        file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The file, if anything was written.
    pub fn written(&self) -> Option<&Path> {
        (self.length > 0).then_some(self.path.as_path())
    }
}

/// A new file that nobody else may read: it holds rows of the bank's customers.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn quoted(out: &mut Vec<u8>, field: &[u8]) {
    if !field.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for b in field {
        if *b == b'"' {
            out.push(b'"');
        }
        out.push(*b);
    }
    out.push(b'"');
}
