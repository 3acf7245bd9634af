//! One row as text fields, whatever format it comes from.

/// A field longer than this (1 MiB) rejects its row.
pub(super) const FIELD_LIMIT: usize = 1 << 20;
/// A row longer than this (8 MiB) is rejected without being held in memory.
pub(super) const ROW_LIMIT: usize = 8 << 20;
/// So much of a rejected row is kept in the rejects file.
pub(super) const RAW_LIMIT: usize = 64 << 10;

/// The fields of a row, back to back in one buffer that is used again for the next row.
#[derive(Debug, Default)]
pub(super) struct Record {
    text: String,
    ends: Vec<usize>,
    /// The line on which the row starts (csv, jsonl), or its number (parquet); from 1.
    pub line: u64,
    /// The row as written, cut at `RAW_LIMIT`; empty for parquet.
    pub raw: Vec<u8>,
}

impl Record {
    /// Empties it for the next row.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.raw.clear();
    }
    /// Appends a field.
    pub fn push(&mut self, field: &str) {
        self.text.push_str(field);
        self.ends.push(self.text.len());
    }
    /// Appends a quoted field's content, in which every doubled quote stands for one.
    pub fn push_unescaped(&mut self, field: &str, quote: char) {
        let mut rest = field;
        while let Some(i) = rest.find(quote) {
            let next = i + quote.len_utf8();
            self.text.push_str(rest.get(..next).unwrap_or_default());
            rest = rest.get(next..).and_then(|r| r.strip_prefix(quote)).unwrap_or_default();
        }
        self.text.push_str(rest);
        self.ends.push(self.text.len());
    }
    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// A field without blanks at its ends; what is not there is empty.
    pub fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(Some(0), |i| self.ends.get(i).copied());
        match (start, self.ends.get(index)) {
            (Some(start), Some(&end)) => {
                let field = self.text.get(start..end).unwrap_or_default();
                // Most fields begin and end with a plain character; `trim` decodes both ends.
                let plain = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_graphic());
                if plain(field.as_bytes().first()) && plain(field.as_bytes().last()) { field } else { field.trim() }
            }
            _ => "",
        }
    }
    /// Keeps the row as written.
    pub fn keep_raw(&mut self, raw: &[u8]) {
        self.raw.extend_from_slice(raw.get(..raw.len().min(RAW_LIMIT)).unwrap_or_default());
    }
}

/// Why a row does not fit. Never holds a value of the row (law 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowFault {
    /// The column at fault; empty: the row as a whole.
    pub column: String,
    /// What is wrong.
    pub reason: String,
}

impl RowFault {
    /// Of a column.
    pub fn of(column: &str, reason: impl Into<String>) -> Self {
        Self { column: column.to_owned(), reason: reason.into() }
    }
}

/// What a reader found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A row, in the record.
    Row,
    /// A row that cannot be read.
    Bad(RowFault),
    /// A row that is not in the encoding that the file was said to have; the offset of the first wrong byte, and advice.
    Foreign(u64, String),
    /// No more rows.
    End,
}

/// Reads rows one by one.
pub(super) trait Rows: Send {
    /// Names of the fields, in their order in the record.
    fn names(&self) -> &[String];
    /// Whether a name that is not among `names` is a fault (a file with a header), or only always empty.
    fn knows_all_names(&self) -> bool;
    /// The next row.
    fn next(&mut self, record: &mut Record) -> Result<Next, super::IntakeError>;
}
