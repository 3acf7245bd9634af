//! The shapes of an export: results, touches and conversions as columns, and rows of cells to compare them by.
//!
//! Every file of one shape has the same columns in the same order whatever its format, and rows in the order of their key.
//! A correction has one column more, `change`, in front.
use super::FinanceError;
use arrow_array::builder::{Decimal128Builder, Int64Builder, StringBuilder, StringDictionaryBuilder, TimestampMillisecondBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Digits after the point of costs: the ledger keeps millionths.
pub const COST_DIGITS: u32 = 6;
/// Digits of a cost in all (Parquet keeps up to 18 in eight bytes).
const COST_PRECISION: u8 = 18;
/// Digits of an amount in all: 19 of an i64 of minor units, and room to be written with three places more.
const AMOUNT_PRECISION: u8 = 22;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// One row per customer of the audience.
    Results,
    /// One row per touch.
    Touches,
    /// One row per credit (and per counted fact of the holdout).
    Conversions,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Results, Self::Touches, Self::Conversions];
    /// Its name on the command line, in file names and in the export book.
    pub fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Touches => "touches",
            Self::Conversions => "conversions",
        }
    }
    /// The one of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.name() == name)
    }
}

/// How a column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of few names; dictionary encoded.
    Name,
    /// Any text.
    Text,
    /// A 64-bit integer.
    Int,
    /// An instant: RFC 3339 in text, milliseconds since the epoch in Parquet.
    Instant,
    /// A cost: six digits after the point.
    Cost,
    /// An amount, with the digits of its currency.
    Amount,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// How it is kept.
    pub kind: Kind,
    /// Whether it may be empty.
    pub nullable: bool,
    /// Whether it adds up over rows (and is negated in a reversal).
    pub measure: bool,
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, measure: false }
}
const fn may(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true, measure: false }
}
const fn adds(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, measure: true }
}

/// The column that only corrections have: `reversal` or `new`.
pub const CHANGE: Column = must("change", Kind::Name);

/// Columns of `results`.
pub const RESULTS: &[Column] = &[
    must("customer", Kind::Int),
    must("reference", Kind::Text),
    must("state", Kind::Name),
    must("reason", Kind::Name),
    adds("attempts", Kind::Int),
    adds("steps", Kind::Int),
    may("first_started_at", Kind::Instant),
    may("last_ended_at", Kind::Instant),
    adds("connected_s", Kind::Int),
    adds("cost", Kind::Cost),
    must("currency", Kind::Name),
    adds("parts", Kind::Int),
    may("rule", Kind::Name),
    must("arm", Kind::Name),
    may("variant", Kind::Name),
];

/// Columns of `touches`.
pub const TOUCHES: &[Column] = &[
    must("customer", Kind::Int),
    must("reference", Kind::Text),
    must("seq", Kind::Int),
    must("step", Kind::Name),
    must("attempt", Kind::Int),
    may("channel", Kind::Name),
    may("route", Kind::Name),
    may("variant", Kind::Name),
    must("state", Kind::Name),
    must("reason", Kind::Name),
    may("rule", Kind::Name),
    may("due_at", Kind::Instant),
    may("started_at", Kind::Instant),
    may("ended_at", Kind::Instant),
    adds("connected_s", Kind::Int),
    adds("cost", Kind::Cost),
    must("currency", Kind::Name),
    adds("parts", Kind::Int),
    may("provider_ref", Kind::Text),
];

/// Columns of `conversions`.
pub const CONVERSIONS: &[Column] = &[
    must("customer", Kind::Int),
    must("reference", Kind::Text),
    must("fact", Kind::Int),
    must("fact_ref", Kind::Text),
    must("kind", Kind::Name),
    may("product", Kind::Name),
    must("conversion", Kind::Name),
    adds("amount", Kind::Amount),
    must("currency", Kind::Name),
    must("at", Kind::Instant),
    must("arm", Kind::Name),
    may("step", Kind::Name),
    may("seq", Kind::Int),
];

/// What a file of an export looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Of what.
    pub what: What,
    /// Whether it is a correction (with the column `change`).
    pub correction: bool,
    /// Digits after the point of amounts in Parquet: the most that any currency in the file has.
    pub amount_digits: u32,
}

impl Shape {
    /// Its columns, in order.
    pub fn columns(self) -> Vec<Column> {
        let own = match self.what {
            What::Results => RESULTS,
            What::Touches => TOUCHES,
            What::Conversions => CONVERSIONS,
        };
        self.correction.then_some(CHANGE).into_iter().chain(own.iter().copied()).collect()
    }
    /// How many columns stand in front of the shape's own.
    pub fn lead(self) -> usize {
        usize::from(self.correction)
    }
    /// Digits after the point in a column.
    pub fn digits(self, kind: Kind) -> u32 {
        if kind == Kind::Amount { self.amount_digits } else { COST_DIGITS }
    }
    /// As Arrow and Parquet see it.
    pub fn schema(self) -> SchemaRef {
        let field = |c: &Column| Field::new(c.name, self.data_type(c.kind), c.nullable);
        Arc::new(Schema::new(self.columns().iter().map(field).collect::<Vec<_>>()))
    }
    fn data_type(self, kind: Kind) -> DataType {
        match kind {
            Kind::Name => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Kind::Cost | Kind::Amount => {
                let (precision, scale) = self.decimal(kind);
                DataType::Decimal128(precision, scale)
            }
        }
    }
    fn decimal(self, kind: Kind) -> (u8, i8) {
        let scale = i8::try_from(self.digits(kind)).unwrap_or(i8::MAX);
        (if kind == Kind::Cost { COST_PRECISION } else { AMOUNT_PRECISION }, scale)
    }
    /// Mantissas as a decimal column of this shape; refuses a number that does not fit.
    pub fn decimals(self, kind: Kind, mantissas: Vec<i128>) -> Result<ArrayRef, FinanceError> {
        let (precision, scale) = self.decimal(kind);
        let array = Decimal128Array::from(mantissas).with_precision_and_scale(precision, scale)?;
        array.validate_decimal_precision(precision)?;
        Ok(Arc::new(array))
    }
}

/// One value, in the one form in which values of all formats can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A name or text.
    Text(Box<str>),
    /// An integer.
    Int(i64),
    /// Milliseconds since the epoch.
    Instant(i64),
    /// A cost or an amount in millionths of its unit.
    Micros(i128),
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("(empty)"),
            Self::Text(text) => f.write_str(text),
            Self::Int(n) => n.fmt(f),
            Self::Instant(ms) => crate::domain::time::Timestamp(*ms).fmt(f),
            Self::Micros(n) => f.write_str(&super::totals::micros_text(*n)),
        }
    }
}

/// A row: cells in the order of the shape's columns.
pub type Row = Vec<Cell>;

/// A column of a batch, ready to be read.
pub enum View<'a> {
    /// Names.
    Name(&'a arrow_array::PrimitiveArray<Int32Type>, &'a StringArray),
    /// Texts.
    Text(&'a StringArray),
    /// Integers.
    Int(&'a Int64Array),
    /// Instants.
    Instant(&'a TimestampMillisecondArray),
    /// Decimals, and their digits after the point.
    Decimal(&'a Decimal128Array, u32),
}

impl View<'_> {
    /// Whether the value is missing.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Name(keys, _) => keys.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::Int(a) => a.is_null(row),
            Self::Instant(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
        }
    }
    /// The text of a name or text column; empty where there is none.
    pub fn text(&self, row: usize) -> &str {
        match self {
            Self::Name(keys, names) if keys.is_valid(row) => names.value(usize::try_from(keys.value(row)).unwrap_or(0)),
            Self::Text(a) if a.is_valid(row) => a.value(row),
            _ => "",
        }
    }
    /// The integer (an instant's milliseconds, a decimal's mantissa); 0 where there is none.
    pub fn int(&self, row: usize) -> i128 {
        match self {
            Self::Int(a) if a.is_valid(row) => i128::from(a.value(row)),
            Self::Instant(a) if a.is_valid(row) => i128::from(a.value(row)),
            Self::Decimal(a, _) if a.is_valid(row) => a.value(row),
            _ => 0,
        }
    }
    /// A decimal in millionths.
    pub fn micros(&self, row: usize) -> i128 {
        match self {
            Self::Decimal(_, digits) => self.int(row) * 10_i128.pow(COST_DIGITS.saturating_sub(*digits)),
            _ => self.int(row),
        }
    }
    /// The value as a cell.
    pub fn cell(&self, row: usize) -> Cell {
        match self {
            _ if self.is_null(row) => Cell::Null,
            Self::Name(..) | Self::Text(_) => Cell::Text(self.text(row).into()),
            Self::Int(a) => Cell::Int(a.value(row)),
            Self::Instant(a) => Cell::Instant(a.value(row)),
            Self::Decimal(..) => Cell::Micros(self.micros(row)),
        }
    }
}

/// The columns of a batch, checked against its shape.
pub fn views<'a>(batch: &'a RecordBatch, shape: Shape) -> Result<Vec<View<'a>>, FinanceError> {
    let columns = shape.columns();
    if columns.len() != batch.num_columns() {
        return Err(FinanceError::Ledger(format!("expected {} columns, found {}", columns.len(), batch.num_columns())));
    }
    columns.iter().zip(batch.columns()).map(|(column, array)| view(column, array, shape)).collect()
}

fn view<'a>(column: &Column, array: &'a ArrayRef, shape: Shape) -> Result<View<'a>, FinanceError> {
    let any = array.as_any();
    let found = match column.kind {
        Kind::Name => any
            .downcast_ref::<DictionaryArray<Int32Type>>()
            .and_then(|d| Some(View::Name(d.keys(), d.values().as_any().downcast_ref::<StringArray>()?))),
        Kind::Text => any.downcast_ref().map(View::Text),
        Kind::Int => any.downcast_ref().map(View::Int),
        Kind::Instant => any.downcast_ref().map(View::Instant),
        Kind::Cost | Kind::Amount => any.downcast_ref().map(|a| View::Decimal(a, shape.digits(column.kind))),
    };
    let expected = shape.data_type(column.kind);
    match found {
        Some(view) if *array.data_type() == expected => Ok(view),
        _ => Err(FinanceError::Ledger(format!("column {}: expected {expected}, found {}", column.name, array.data_type()))),
    }
}

/// One row of a batch as cells.
pub fn row(views: &[View<'_>], row: usize) -> Row {
    views.iter().map(|v| v.cell(row)).collect()
}

/// What a row is about, and by which rows are ordered: customer; then touch, or fact, conversion rule and touch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Our number of the customer.
    pub customer: i64,
    /// `seq` of a touch, or our number of a fact; 0 in results.
    pub second: i64,
    /// The conversion rule's name, else empty.
    pub conversion: Box<str>,
    /// `seq` of the credited touch, -1 for none; 0 elsewhere.
    pub touch: i64,
}

impl Shape {
    /// The key of a row.
    pub fn key(self, row: &[Cell]) -> Key {
        let int = |i: usize, none| match row.get(self.lead() + i) {
            Some(Cell::Int(n)) => *n,
            _ => none,
        };
        let customer = int(0, 0);
        match self.what {
            What::Results => Key { customer, second: 0, conversion: "".into(), touch: 0 },
            What::Touches => Key { customer, second: int(2, 0), conversion: "".into(), touch: 0 },
            What::Conversions => {
                let conversion = match row.get(self.lead() + 6) {
                    Some(Cell::Text(name)) => name.clone(),
                    _ => "".into(),
                };
                Key { customer, second: int(2, 0), conversion, touch: int(12, -1) }
            }
        }
    }
}

enum Builder {
    Name(StringDictionaryBuilder<Int32Type>),
    Text(StringBuilder),
    Int(Int64Builder),
    Instant(TimestampMillisecondBuilder),
    Decimal(Decimal128Builder, Kind),
}

/// Builds a batch from rows of cells: for what is read from files and for corrections, where speed is not the point.
pub struct RowsBuilder {
    shape: Shape,
    columns: Vec<Column>,
    builders: Vec<Builder>,
    rows: usize,
}

impl RowsBuilder {
    /// Empty.
    pub fn new(shape: Shape) -> Self {
        let columns = shape.columns();
        let builder = |c: &Column| match c.kind {
            Kind::Name => Builder::Name(StringDictionaryBuilder::new()),
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Int => Builder::Int(Int64Builder::new()),
            Kind::Instant => Builder::Instant(TimestampMillisecondBuilder::new().with_data_type(shape.data_type(Kind::Instant))),
            kind => Builder::Decimal(Decimal128Builder::new().with_data_type(shape.data_type(kind)), kind),
        };
        let builders = columns.iter().map(builder).collect();
        Self { shape, columns, builders, rows: 0 }
    }
    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.rows
    }
    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
    /// Appends a row; refuses one that does not fit the shape.
    pub fn push(&mut self, row: &[Cell]) -> Result<(), String> {
        if row.len() != self.columns.len() {
            return Err(format!("expected {} values in a row, found {}", self.columns.len(), row.len()));
        }
        for ((column, builder), cell) in self.columns.iter().zip(&mut self.builders).zip(row) {
            match (builder, cell) {
                (_, Cell::Null) if !column.nullable => return Err(format!("column {} must not be empty", column.name)),
                (Builder::Name(b), Cell::Null) => b.append_null(),
                (Builder::Name(b), Cell::Text(text)) => drop(b.append(text).map_err(|e| e.to_string())?),
                (Builder::Text(b), Cell::Null) => b.append_null(),
                (Builder::Text(b), Cell::Text(text)) => b.append_value(text),
                (Builder::Int(b), Cell::Null) => b.append_null(),
                (Builder::Int(b), Cell::Int(n)) => b.append_value(*n),
                (Builder::Instant(b), Cell::Null) => b.append_null(),
                (Builder::Instant(b), Cell::Instant(ms)) => b.append_value(*ms),
                (Builder::Decimal(b, _), Cell::Null) => b.append_null(),
                (Builder::Decimal(b, kind), Cell::Micros(n)) => {
                    let finer = 10_i128.pow(COST_DIGITS.saturating_sub(self.shape.digits(*kind)));
                    if n % finer != 0 {
                        return Err(format!("column {}: {cell} has more digits after the point than its currency", column.name));
                    }
                    b.append_value(n / finer);
                }
                _ => return Err(format!("column {}: a value of another kind", column.name)),
            }
        }
        self.rows += 1;
        Ok(())
    }
    /// The rows so far as a batch; the builder is empty again.
    pub fn finish(&mut self) -> Result<RecordBatch, FinanceError> {
        self.rows = 0;
        let array = |b: &mut Builder| -> ArrayRef {
            match b {
                Builder::Name(b) => Arc::new(b.finish()),
                Builder::Text(b) => Arc::new(b.finish()),
                Builder::Int(b) => Arc::new(b.finish()),
                Builder::Instant(b) => Arc::new(b.finish()),
                Builder::Decimal(b, _) => Arc::new(b.finish()),
            }
        };
        Ok(RecordBatch::try_new(self.shape.schema(), self.builders.iter_mut().map(array).collect())?)
    }
}
