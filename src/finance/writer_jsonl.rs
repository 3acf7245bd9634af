//! JSONL: one object a line with every column, `null` where there is nothing; decimals are strings, so that no reader makes
//! floats of them.
use super::FinanceError;
use super::rows::{Column, Kind, Shape, views};
use super::writer::{HashedFile, RowWriter};
use super::writer_csv::number;
use arrow_array::RecordBatch;
use std::io::Write;

pub(super) struct JsonlWriter {
    file: HashedFile,
    shape: Shape,
    columns: Vec<Column>,
    buffer: Vec<u8>,
}

impl JsonlWriter {
    pub(super) fn new(file: HashedFile, shape: Shape) -> Self {
        Self { file, shape, columns: shape.columns(), buffer: Vec::new() }
    }
}

impl RowWriter for JsonlWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), FinanceError> {
        let views = views(batch, self.shape)?;
        let currency = self.columns.iter().position(|c| c.name == "currency").and_then(|i| views.get(i));
        self.buffer.clear();
        for row in 0..batch.num_rows() {
            for (i, (column, view)) in self.columns.iter().zip(&views).enumerate() {
                self.buffer.push(if i == 0 { b'{' } else { b',' });
                self.buffer.push(b'"');
                self.buffer.extend_from_slice(column.name.as_bytes());
                self.buffer.extend_from_slice(b"\":");
                match column.kind {
                    _ if view.is_null(row) => self.buffer.extend_from_slice(b"null"),
                    Kind::Int => self.buffer.extend_from_slice(number(column.kind, view, row, currency).as_bytes()),
                    // Writing to memory cannot fail, and any text can be escaped.
                    Kind::Name | Kind::Text => drop(serde_json::to_writer(&mut self.buffer, view.text(row))),
                    Kind::Instant | Kind::Cost | Kind::Amount => {
                        self.buffer.push(b'"');
                        self.buffer.extend_from_slice(number(column.kind, view, row, currency).as_bytes());
                        self.buffer.push(b'"');
                    }
                }
            }
            self.buffer.extend_from_slice(b"}\n");
        }
        self.file.write_all(&self.buffer).map_err(|e| FinanceError::io("writing", self.file.path(), e))
    }
    fn finish(self: Box<Self>) -> Result<HashedFile, FinanceError> {
        Ok(self.file)
    }
}
