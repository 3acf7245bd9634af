//! CSV. Our own splitter, because a row must lie within a limit and a quote that is never closed must cost one row, not the rest of the
//! file: the `csv` crate reads an unclosed field to the end of the file into memory.
use super::lines::Window;
use super::mapping::Shape;
use super::record::{FIELD_LIMIT, Next, ROW_LIMIT, Record, RowFault, Rows};
use super::source::{self, Meter};
use super::{Fault, IntakeError};
use std::path::{Path, PathBuf};

/// How a row ended, or why it does not.
enum Split {
    /// A row of so many bytes, its line end included, with so many line feeds in it.
    Row { length: usize, lines: u64 },
    /// A row that is no CSV: it is rejected up to its first line feed.
    Broken(String),
    /// A row too long: it is rejected, and dropped up to the next line feed.
    Long(&'static str),
    /// Only blanks: not a row.
    Blank(usize),
    /// Nothing left.
    End,
}

/// A field within the window: start, end, and whether it holds doubled quotes.
type Span = (usize, usize, bool);

/// Reads CSV.
pub(super) struct Csv {
    path: PathBuf,
    window: Window,
    decoded: bool,
    delimiter: u8,
    quote: Option<u8>,
    names: Vec<String>,
    line: u64,
    spans: Vec<Span>,
}

impl Csv {
    /// Opens a file and reads its header.
    pub fn open(path: &Path, shape: &Shape, meter: &Meter) -> Result<Self, IntakeError> {
        let text = source::text(path, shape.encoding, meter)?;
        let mut csv = Self {
            path: path.to_owned(),
            window: Window::new(text.reader, text.skipped),
            decoded: text.decoded.is_some(),
            delimiter: shape.delimiter,
            quote: shape.quote,
            names: shape.names.clone(),
            line: 1,
            spans: Vec::new(),
        };
        if shape.header {
            csv.read_header()?;
        } else if csv.names.is_empty() {
            csv.number_columns()?;
        }
        Ok(csv)
    }

    fn read_header(&mut self) -> Result<(), IntakeError> {
        let shown = self.path.display().to_string();
        let mut record = Record::default();
        match self.next(&mut record)? {
            Next::Row => {}
            Next::End => return Err(IntakeError::File(format!("{shown} is empty: expected a header line and rows"))),
            Next::Bad(fault) => return Err(IntakeError::File(format!("{shown}:{}: the header line cannot be read: {}", record.line, fault.reason))),
            Next::Foreign(offset, advice) => {
                return Err(IntakeError::Encoding(format!("{shown}: the byte at offset {offset} (in the header) is not UTF-8; {advice}")));
            }
        }
        let names: Vec<String> = (0..record.len()).map(|i| record.get(i).to_owned()).collect();
        let twice = names.iter().enumerate().find(|(i, n)| !n.is_empty() && names.iter().skip(i + 1).any(|m| m == *n));
        if let Some((_, name)) = twice {
            return Err(IntakeError::Faults(vec![Fault {
                file: shown,
                line: record.line,
                column: 0,
                message: format!("the header has the column `{name}` twice"),
                help: "rename one of them, or say `header: no` with `names:` after taking the header line out".into(),
            }]));
        }
        self.names = names;
        Ok(())
    }

    /// Without header and names, columns are called 1, 2, 3 ...
    fn number_columns(&mut self) -> Result<(), IntakeError> {
        let count = match self.split()? {
            Split::Row { .. } => self.spans.len(),
            _ => 0,
        };
        self.names = (1..=count).map(|i| i.to_string()).collect();
        Ok(())
    }

    /// Finds the end of the next row; its fields are then in `spans`. Nothing is consumed.
    fn split(&mut self) -> Result<Split, IntakeError> {
        loop {
            let data = self.window.data();
            if data.is_empty() && self.window.is_last() {
                return Ok(Split::End);
            }
            if let Some(split) = scan(data, self.delimiter, self.quote, self.window.is_last(), &mut self.spans) {
                return Ok(split);
            }
            self.window.more().map_err(|e| source::broken(&self.path, &e))?;
        }
    }

    fn bad_line(&mut self, record: &mut Record, reason: String) -> Result<Next, IntakeError> {
        let data = self.window.data();
        let end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
        record.keep_raw(data.get(..end).unwrap_or_default().strip_suffix(b"\r").unwrap_or(data.get(..end).unwrap_or_default()));
        self.window.skip_line().map_err(|e| source::broken(&self.path, &e))?;
        self.line += 1;
        Ok(Next::Bad(RowFault { column: String::new(), reason }))
    }
}

/// Splits the row at the front of `data`; `None`: more data is needed.
fn scan(data: &[u8], delimiter: u8, quote: Option<u8>, last: bool, spans: &mut Vec<Span>) -> Option<Split> {
    spans.clear();
    let mut at = 0;
    let mut lines = 0;
    loop {
        // A field starts at `at`.
        let (start, end, escaped) = if quote.is_some() && data.get(at).copied() == quote {
            let (end, escaped, feeds) = match quoted(data, at + 1, quote?, last) {
                Ok(found) => found,
                Err(split) => return split,
            };
            lines += feeds;
            if end - at > FIELD_LIMIT {
                return Some(if feeds > 0 { unclosed() } else { Split::Long("a field is longer than 1 MiB") });
            }
            let span = (at + 1, end, escaped);
            at = end + 1;
            span
        } else {
            let rest = data.get(at..).unwrap_or_default();
            match rest.iter().position(|b| *b == delimiter || *b == b'\n') {
                Some(length) if length > FIELD_LIMIT => return Some(Split::Long("a field is longer than 1 MiB")),
                Some(length) => {
                    let mut end = at + length;
                    let after = end;
                    if data.get(end) == Some(&b'\n') && length > 0 && data.get(end - 1) == Some(&b'\r') {
                        end -= 1;
                    }
                    let span = (at, end, false);
                    at = after;
                    span
                }
                None if rest.len() > FIELD_LIMIT => return Some(Split::Long("a field is longer than 1 MiB")),
                None if !last => return None,
                None => {
                    let span = (at, data.len() - usize::from(rest.last() == Some(&b'\r')), false);
                    at = data.len();
                    span
                }
            }
        };
        spans.push((start, end, escaped));
        if at > ROW_LIMIT {
            return Some(Split::Long("the row is longer than 8 MiB"));
        }
        match data.get(at) {
            Some(b) if *b == delimiter => at += 1,
            Some(b'\n') => return Some(finish(data, at + 1, lines + 1, spans)),
            Some(b'\r') if data.get(at + 1) == Some(&b'\n') => return Some(finish(data, at + 2, lines + 1, spans)),
            Some(b'\r') if at + 1 == data.len() => return last.then(|| finish(data, at + 1, lines, spans)),
            Some(_) => return Some(Split::Broken("a quoted field goes on after its closing quote; a quote within a field is written twice".into())),
            None if last => return Some(finish(data, at, lines, spans)),
            None => return None,
        }
    }
}

/// Finds the closing quote of a field whose content starts at `from`: its place, whether there are doubled quotes, and line feeds within.
fn quoted(data: &[u8], from: usize, quote: u8, last: bool) -> Result<(usize, bool, u64), Option<Split>> {
    let mut at = from;
    let mut escaped = false;
    let mut feeds = 0;
    loop {
        match data.get(at) {
            Some(b) if *b == quote => {
                match data.get(at + 1) {
                    Some(next) if *next == quote => {
                        escaped = true;
                        at += 2;
                        continue;
                    }
                    // Whether the quote closes is only known with the byte after it.
                    None if !last => return Err(None),
                    _ => return Ok((at, escaped, feeds)),
                };
            }
            Some(b) => {
                feeds += u64::from(*b == b'\n');
                at += 1;
            }
            None if at - from > FIELD_LIMIT => return Err(Some(if feeds > 0 { unclosed() } else { Split::Long("a field is longer than 1 MiB") })),
            None if last => return Err(Some(unclosed())),
            None => return Err(None),
        }
    }
}

fn unclosed() -> Split {
    Split::Broken("a quote is opened in this line and not closed within 1 MiB; a quote within a field is written twice".into())
}

fn finish(data: &[u8], length: usize, lines: u64, spans: &[Span]) -> Split {
    match spans {
        [(start, end, false)] if data.get(*start..*end).is_some_and(|f| f.trim_ascii().is_empty()) && data.first() != Some(&b'"') => {
            Split::Blank(length)
        }
        _ => Split::Row { length, lines },
    }
}

impl Rows for Csv {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn knows_all_names(&self) -> bool {
        true
    }

    fn next(&mut self, record: &mut Record) -> Result<Next, IntakeError> {
        record.clear();
        loop {
            record.line = self.line;
            match self.split()? {
                Split::End => return Ok(Next::End),
                Split::Blank(length) => {
                    self.line += self.window.data().get(..length).map_or(0, |d| d.iter().filter(|b| **b == b'\n').count() as u64);
                    self.window.consume(length);
                }
                Split::Broken(reason) => return self.bad_line(record, reason),
                Split::Long(reason) => return self.bad_line(record, reason.to_owned()),
                Split::Row { length, lines } => {
                    let next = self.take(length, record);
                    self.window.consume(length);
                    self.line += lines;
                    return Ok(next);
                }
            }
        }
    }
}

impl Csv {
    fn take(&self, length: usize, record: &mut Record) -> Next {
        let data = self.window.data().get(..length).unwrap_or_default();
        let raw = data.strip_suffix(b"\n").unwrap_or(data);
        record.keep_raw(raw.strip_suffix(b"\r").unwrap_or(raw));
        let text = match std::str::from_utf8(data) {
            Ok(text) => text,
            Err(e) => return Next::Foreign(self.window.offset + e.valid_up_to() as u64, source::advice(data).to_owned()),
        };
        if self.decoded && text.contains('\u{fffd}') {
            return Next::Bad(RowFault { column: String::new(), reason: "holds bytes that do not exist in the file's encoding".into() });
        }
        for &(start, end, escaped) in &self.spans {
            let field = text.get(start..end).unwrap_or_default();
            match (escaped, self.quote) {
                (true, Some(quote)) => record.push_unescaped(field, char::from(quote)),
                _ => record.push(field),
            }
        }
        if data.contains(&0) {
            return Next::Bad(RowFault { column: String::new(), reason: "holds a NUL byte".into() });
        }
        if !self.names.is_empty() && record.len() != self.names.len() {
            let reason = format!("expected {} fields, found {}", self.names.len(), record.len());
            return Next::Bad(RowFault { column: String::new(), reason });
        }
        Next::Row
    }
}
