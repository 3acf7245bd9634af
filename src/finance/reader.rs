//! Reading a data file of an export back, whatever its format, as batches of its shape: for `verify` and corrections.
use super::FinanceError;
use super::rows::{Cell, Column, Kind, Row, RowsBuilder, Shape, row, views};
use super::writer_csv::unmarked;
use crate::domain::campaign::ExportFormat;
use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rust_decimal::Decimal;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Rows read at once.
const BATCH: usize = 8_192;

enum Source {
    Csv(csv::Reader<File>),
    Jsonl(BufReader<File>),
    Parquet(Box<ParquetRecordBatchReader>),
}

/// A data file being read.
pub struct FileRows {
    path: PathBuf,
    shape: Shape,
    columns: Vec<Column>,
    marks: bool,
    source: Source,
    line: u64,
    ready: VecDeque<Row>,
}

impl FileRows {
    /// Opens a file; refuses one whose columns are not those of the shape. `marks`: texts in CSV may be led by an apostrophe.
    pub fn open(path: &Path, format: ExportFormat, shape: Shape, marks: bool) -> Result<Self, FinanceError> {
        let file = File::open(path).map_err(|e| FinanceError::io("reading", path, e))?;
        let columns = shape.columns();
        let source = match format {
            ExportFormat::Csv => {
                let mut reader = csv::Reader::from_reader(file);
                let header: Vec<String> = reader.headers().map_err(|e| FinanceError::malformed(path, e))?.iter().map(str::to_owned).collect();
                let expected: Vec<&str> = columns.iter().map(|c| c.name).collect();
                if header != expected {
                    return Err(FinanceError::malformed(path, format!("expected the columns {expected:?}, found {header:?}")));
                }
                Source::Csv(reader)
            }
            ExportFormat::Jsonl => Source::Jsonl(BufReader::with_capacity(1 << 18, file)),
            ExportFormat::Parquet => {
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| FinanceError::malformed(path, e))?;
                Source::Parquet(Box::new(builder.with_batch_size(BATCH).build().map_err(|e| FinanceError::malformed(path, e))?))
            }
        };
        Ok(Self { path: path.to_owned(), shape, columns, marks, source, line: 1, ready: VecDeque::new() })
    }
    /// Of what shape its rows are.
    pub fn shape(&self) -> Shape {
        self.shape
    }
    /// The next batch; `None` at the end of the file.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, FinanceError> {
        if let Source::Parquet(reader) = &mut self.source {
            return reader.next().transpose().map_err(|e| FinanceError::malformed(&self.path, e));
        }
        let mut rows = RowsBuilder::new(self.shape);
        while rows.len() < BATCH {
            self.line += 1;
            let row = match &mut self.source {
                Source::Csv(reader) => csv_row(reader, &self.columns, self.marks),
                Source::Jsonl(reader) => jsonl_row(reader, &self.columns),
                Source::Parquet(_) => Ok(None),
            };
            let row = row.map_err(|e| FinanceError::malformed(&self.path, format!("row {}: {e}", self.line - 1)))?;
            let Some(row) = row else { break };
            rows.push(&row).map_err(|e| FinanceError::malformed(&self.path, format!("row {}: {e}", self.line - 1)))?;
        }
        if rows.is_empty() { Ok(None) } else { rows.finish().map(Some) }
    }
    /// The next row; `None` at the end of the file.
    pub fn next_row(&mut self) -> Result<Option<Row>, FinanceError> {
        if self.ready.is_empty()
            && let Some(batch) = self.next_batch()?
        {
            self.ready = rows_of(&batch, self.shape).map_err(|e| FinanceError::malformed(&self.path, e))?;
        }
        Ok(self.ready.pop_front())
    }
}

/// The rows of a batch.
pub fn rows_of(batch: &RecordBatch, shape: Shape) -> Result<VecDeque<Row>, FinanceError> {
    let views = views(batch, shape)?;
    Ok((0..batch.num_rows()).map(|i| row(&views, i)).collect())
}

fn csv_row(reader: &mut csv::Reader<File>, columns: &[Column], marks: bool) -> Result<Option<Row>, String> {
    let mut record = csv::StringRecord::new();
    if !reader.read_record(&mut record).map_err(|e| e.to_string())? {
        return Ok(None);
    }
    let is_text = |c: &Column| matches!(c.kind, Kind::Name | Kind::Text);
    let value = |c: &Column, text: &str| cell(c, if marks && is_text(c) { unmarked(text) } else { text });
    columns.iter().zip(record.iter()).map(|(c, text)| value(c, text)).collect::<Result<Row, _>>().map(Some)
}

fn jsonl_row(reader: &mut BufReader<File>, columns: &[Column]) -> Result<Option<Row>, String> {
    let mut line = String::new();
    if reader.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
        return Ok(None);
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).map_err(|e| e.to_string())?;
    if object.len() != columns.len() {
        return Err(format!("expected {} columns, found {}", columns.len(), object.len()));
    }
    let of = |c: &Column| match object.get(c.name) {
        None => Err(format!("column {} is missing", c.name)),
        Some(serde_json::Value::Null) => Ok(Cell::Null),
        Some(serde_json::Value::String(text)) if c.kind != Kind::Int => match c.kind {
            Kind::Name | Kind::Text => Ok(Cell::Text(text.as_str().into())),
            _ => cell(c, text),
        },
        Some(serde_json::Value::Number(n)) if c.kind == Kind::Int => cell(c, &n.to_string()),
        Some(other) => Err(format!("column {}: found {other}", c.name)),
    };
    columns.iter().map(of).collect::<Result<Row, _>>().map(Some)
}

/// A value from its text.
fn cell(column: &Column, text: &str) -> Result<Cell, String> {
    let fault = |expected: &str| format!("column {}: expected {expected}", column.name);
    Ok(match column.kind {
        _ if text.is_empty() && column.nullable => Cell::Null,
        Kind::Name | Kind::Text => Cell::Text(text.into()),
        Kind::Int => Cell::Int(text.parse().map_err(|_| fault("an integer"))?),
        Kind::Instant => {
            Cell::Instant(chrono::DateTime::parse_from_rfc3339(text).map_err(|_| fault("an instant as in RFC 3339"))?.timestamp_millis())
        }
        Kind::Cost | Kind::Amount => Cell::Micros(micros(text).ok_or_else(|| fault("a decimal with at most six places"))?),
    })
}

fn micros(text: &str) -> Option<i128> {
    let decimal: Decimal = text.parse().ok()?;
    let scale = decimal.scale();
    (scale <= 6).then(|| decimal.mantissa() * 10_i128.pow(6 - scale))
}
