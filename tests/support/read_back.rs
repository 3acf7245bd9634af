//! Reads the files of an export back without the program's own readers: csv, serde_json, and the record reader of parquet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A row by column name; an empty value is absent.
pub type Record = BTreeMap<String, String>;

/// Instants are milliseconds and decimals bear no needless zeros, so that the same row reads the same from every format.
fn canonical(column: &str, value: &str) -> String {
    let plain_number = || value.parse::<Decimal>().unwrap_or_else(|e| panic!("{column} {value:?}: {e}")).normalize().to_string();
    match column {
        "cost" | "amount" => plain_number(),
        _ if column == "at" || column.ends_with("_at") => match value.parse::<i64>() {
            Ok(ms) => ms.to_string(),
            Err(_) => {
                chrono::DateTime::parse_from_rfc3339(value).unwrap_or_else(|e| panic!("{column} {value:?}: {e}")).timestamp_millis().to_string()
            }
        },
        _ => value.to_owned(),
    }
}

fn record<'a>(fields: impl Iterator<Item = (&'a str, String)>) -> Record {
    fields.filter(|(_, value)| !value.is_empty()).map(|(column, value)| (column.to_owned(), canonical(column, &value))).collect()
}

fn csv(path: &Path) -> Vec<Record> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    // What a spreadsheet would take for a formula is led by an apostrophe, which is no part of the text.
    let text = |field: &str| field.strip_prefix('\'').unwrap_or(field).to_owned();
    reader.records().map(|r| record(names.iter().map(String::as_str).zip(r.unwrap().iter().map(text)))).collect()
}

fn jsonl(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let row: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(n) if n.is_i64() => n.to_string(),
            other => panic!("expected text or a whole number, found {other}"),
        };
        record(row.iter().map(|(column, value)| (column.as_str(), text(value))))
    };
    text.lines().map(row).collect()
}

fn parquet(path: &Path) -> Vec<Record> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(n) | Field::TimestampMillis(n) => n.to_string(),
        Field::Decimal(_) => field.to_string(),
        other => panic!("expected text, integer, instant or decimal, found {other}"),
    };
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| record(row.unwrap().get_column_iter().map(|(name, field)| (name.as_str(), text(field))))).collect()
}

/// The rows of an export's folder, read by what its only data file is.
pub fn read_back(folder: &Path) -> Vec<Record> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.file_name().unwrap() != "manifest.json");
    assert_eq!(files.len(), 1, "one data file: {files:?}");
    match files[0].extension().unwrap().to_str().unwrap() {
        "csv" => csv(&files[0]),
        "jsonl" => jsonl(&files[0]),
        "parquet" => parquet(&files[0]),
        other => panic!("an export of format {other}"),
    }
}

/// A whole number of a row; 0 where there is none.
pub fn int(row: &Record, column: &str) -> i64 {
    row.get(column).map_or(0, |text| text.parse().unwrap_or_else(|e| panic!("{column} {text:?}: {e}")))
}

/// A money column in hundredths.
pub fn minor(row: &Record, column: &str) -> i64 {
    let hundredths = row[column].parse::<Decimal>().unwrap() * Decimal::from(100);
    assert!(hundredths.fract().is_zero(), "{column} {} has a fraction of a cent", row[column]);
    i64::try_from(hundredths).unwrap()
}
