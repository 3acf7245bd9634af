//! Apache Parquet: only the columns that the mapping names are read, a batch at a time.
use super::IntakeError;
use super::record::{FIELD_LIMIT, Next, Record, RowFault, Rows};
use super::source::{self, Meter};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Reads Parquet.
pub(super) struct Parquet {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    at: usize,
    row: u64,
    names: Vec<String>,
    rows: u64,
    size: u64,
    meter: Meter,
}

impl Parquet {
    /// Opens a file; `wanted`: the columns to read (those that do not exist are told by the names of the reader).
    pub fn open(path: &Path, wanted: &[String], meter: &Meter) -> Result<Self, IntakeError> {
        let shown = path.display();
        let file = source::open(path)?;
        let size = file.metadata().map_or(0, |m| m.len());
        // The writer's own Arrow types (dictionaries, large strings) are left aside: Parquet's own say all that is needed here.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|e| IntakeError::File(format!("{shown} cannot be read as Parquet: {e}")))?;
        let all: Vec<(String, DataType)> = builder.schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        for (name, kind) in all.iter().filter(|(n, _)| wanted.contains(n)) {
            if !readable(kind) {
                return Err(IntakeError::File(format!(
                    "{shown}: the column `{name}` is of type {kind}, which no target takes: write it as text, a number, a date or a timestamp"
                )));
            }
        }
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let kept: Vec<usize> = all.iter().enumerate().filter(|(_, (n, _))| wanted.contains(n)).map(|(i, _)| i).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), kept.iter().copied());
        // Names of columns that are not read stay known, for the nearest name in a fault; they come after those that are.
        let (read, rest): (Vec<_>, Vec<_>) = all.into_iter().map(|(n, _)| n).partition(|n| wanted.contains(n));
        let batches = builder
            .with_projection(mask)
            .with_batch_size(4096)
            .build()
            .map_err(|e| IntakeError::File(format!("{shown} cannot be read as Parquet: {e}")))?;
        let names = read.into_iter().chain(rest).collect();
        Ok(Self { path: path.to_owned(), batches, batch: None, at: 0, row: 0, names, rows, size, meter: meter.clone() })
    }
}

impl Rows for Parquet {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn knows_all_names(&self) -> bool {
        true
    }

    fn next(&mut self, record: &mut Record) -> Result<Next, IntakeError> {
        record.clear();
        while self.batch.as_ref().is_none_or(|b| self.at >= b.num_rows()) {
            match self.batches.next() {
                None => return Ok(Next::End),
                Some(Ok(batch)) => {
                    self.batch = Some(batch);
                    self.at = 0;
                }
                Some(Err(e)) => return Err(IntakeError::File(format!("{} is damaged after row {}: {e}", self.path.display(), self.row))),
            }
        }
        let Some(batch) = &self.batch else { return Ok(Next::End) };
        self.row += 1;
        record.line = self.row;
        // Parquet has no place in the file for a row; progress is the share of rows.
        let share = if self.rows == 0 { self.size } else { (u128::from(self.size) * u128::from(self.row) / u128::from(self.rows)) as u64 };
        self.meter.store(share.min(self.size), Ordering::Relaxed);
        let at = self.at;
        self.at += 1;
        for (column, name) in batch.columns().iter().zip(&self.names) {
            match text(column, at) {
                Some(Ok(text)) if text.len() > FIELD_LIMIT => return Ok(Next::Bad(RowFault::of(name, "a field is longer than 1 MiB"))),
                Some(Ok(text)) if text.contains('\0') => return Ok(Next::Bad(RowFault::of(name, "holds a NUL character"))),
                Some(Ok(text)) => record.push(&text),
                Some(Err(reason)) => return Ok(Next::Bad(RowFault::of(name, reason))),
                None => record.push(""),
            }
        }
        Ok(Next::Row)
    }
}

fn readable(kind: &DataType) -> bool {
    use DataType as D;
    match kind {
        D::Utf8 | D::LargeUtf8 | D::Utf8View | D::Boolean | D::Date32 | D::Date64 | D::Decimal128(..) | D::Timestamp(..) | D::Null => true,
        kind => kind.is_integer() || matches!(kind, D::Float32 | D::Float64),
    }
}

/// A value as text; `None`: null.
fn text(column: &ArrayRef, at: usize) -> Option<Result<String, &'static str>> {
    if column.is_null(at) {
        return None;
    }
    macro_rules! number {
        ($kind:ty) => {
            column.as_primitive::<$kind>().value(at).to_string()
        };
    }
    let date = |days: i64| NaiveDate::from_epoch_days(i32::try_from(days).ok()?).map(|d| d.to_string());
    let instant = |at: Option<DateTime<chrono::Utc>>| at.map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    let out_of_range = "a date out of range";
    let text = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(at).to_owned(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(at).to_owned(),
        DataType::Utf8View => column.as_string_view().value(at).to_owned(),
        DataType::Boolean => column.as_boolean().value(at).to_string(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(at),
        DataType::Date32 => match date(i64::from(column.as_primitive::<Date32Type>().value(at))) {
            Some(text) => text,
            None => return Some(Err(out_of_range)),
        },
        DataType::Date64 => match date(column.as_primitive::<Date64Type>().value(at).div_euclid(86_400_000)) {
            Some(text) => text,
            None => return Some(Err(out_of_range)),
        },
        DataType::Timestamp(unit, zone) => {
            let at = match unit {
                TimeUnit::Second => DateTime::from_timestamp(column.as_primitive::<TimestampSecondType>().value(at), 0),
                TimeUnit::Millisecond => DateTime::from_timestamp_millis(column.as_primitive::<TimestampMillisecondType>().value(at)),
                TimeUnit::Microsecond => DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(at)),
                TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(column.as_primitive::<TimestampNanosecondType>().value(at))),
            };
            // Without a zone it is a local time, read in the zone that the mapping names.
            let text = if zone.is_some() { instant(at) } else { at.map(|t| t.naive_utc().format("%Y-%m-%dT%H:%M:%S%.f").to_string()) };
            match text {
                Some(text) => text,
                None => return Some(Err(out_of_range)),
            }
        }
        _ => return Some(Err("a type that no target takes")),
    };
    Some(Ok(text))
}
