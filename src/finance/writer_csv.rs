//! CSV: UTF-8, comma, a header line, `\n`. Text columns are always quoted (RFC 4180), so that a reference such as `00042` is plainly text.
//! A text that a spreadsheet would take for a formula (`=1+1`, `-12`, `@x`) is led by an apostrophe, as OWASP advises against CSV
//! injection; so is one that begins with an apostrophe itself, so that whoever takes one leading apostrophe off every text has the
//! text byte for byte. Numbers and instants are never touched.
use super::FinanceError;
use super::rows::{Column, Kind, Shape, View, views};
use super::totals::fixed_text;
use super::writer::{HashedFile, RowWriter};
use crate::domain::money::Currency;
use arrow_array::RecordBatch;
use std::io::Write;

pub(super) struct CsvWriter {
    file: HashedFile,
    shape: Shape,
    columns: Vec<Column>,
    buffer: Vec<u8>,
}

impl CsvWriter {
    pub(super) fn new(mut file: HashedFile, shape: Shape) -> Result<Self, FinanceError> {
        let columns = shape.columns();
        let header = columns.iter().map(|c| c.name).collect::<Vec<_>>().join(",") + "\n";
        file.write_all(header.as_bytes()).map_err(|e| FinanceError::io("writing", file.path(), e))?;
        Ok(Self { file, shape, columns, buffer: Vec::new() })
    }
}

impl RowWriter for CsvWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), FinanceError> {
        let views = views(batch, self.shape)?;
        let currency = self.columns.iter().position(|c| c.name == "currency").and_then(|i| views.get(i));
        self.buffer.clear();
        for row in 0..batch.num_rows() {
            for (i, (column, view)) in self.columns.iter().zip(&views).enumerate() {
                if i > 0 {
                    self.buffer.push(b',');
                }
                field(&mut self.buffer, column, view, row, currency);
            }
            self.buffer.push(b'\n');
        }
        self.file.write_all(&self.buffer).map_err(|e| FinanceError::io("writing", self.file.path(), e))
    }
    fn finish(self: Box<Self>) -> Result<HashedFile, FinanceError> {
        Ok(self.file)
    }
}

fn field(out: &mut Vec<u8>, column: &Column, view: &View<'_>, row: usize, currency: Option<&View<'_>>) {
    if view.is_null(row) {
        return;
    }
    match column.kind {
        Kind::Text => quoted(out, view.text(row)),
        Kind::Name => {
            let text = view.text(row);
            // Names are of the campaign file and of facts, which people write.
            let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'@' | b'-'));
            if plain && text.starts_with(|c: char| c.is_ascii_alphanumeric()) { out.extend_from_slice(text.as_bytes()) } else { quoted(out, text) }
        }
        Kind::Int | Kind::Instant | Kind::Cost | Kind::Amount => out.extend_from_slice(number(column.kind, view, row, currency).as_bytes()),
    }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if is_marked(text) {
        out.push(b'\'');
    }
    for part in text.split_inclusive('"') {
        out.extend_from_slice(part.as_bytes());
        if part.ends_with('"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

/// Whether a text is led by an apostrophe: what begins as formulas do, in ASCII or in the full-width forms that spreadsheets also take, and what
/// begins with an apostrophe already. (OWASP, "CSV Injection".)
fn is_marked(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠'])
}

/// The text of a field as it was before it was written.
pub(super) fn unmarked(field: &str) -> &str {
    field.strip_prefix('\'').unwrap_or(field)
}

/// A number or instant as text files have it.
pub(super) fn number(kind: Kind, view: &View<'_>, row: usize, currency: Option<&View<'_>>) -> String {
    match kind {
        Kind::Instant => crate::domain::time::Timestamp(i64::try_from(view.int(row)).unwrap_or(0)).to_string(),
        Kind::Cost => super::totals::micros_text(view.micros(row)),
        Kind::Amount => {
            let digits = currency.and_then(|c| c.text(row).parse::<Currency>().ok()).map_or(2, Currency::digits);
            fixed_text(view.micros(row), digits)
        }
        Kind::Name | Kind::Text | Kind::Int => view.int(row).to_string(),
    }
}
