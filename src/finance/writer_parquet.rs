//! Parquet: zstd level 1, row groups of 128 Ki rows, names dictionary encoded. Columns whose values seldom repeat (numbers of
//! customers, instants, references) are delta encoded: building a dictionary for them costs time and is thrown away.
use super::FinanceError;
use super::rows::{Kind, Shape};
use super::writer::{HashedFile, RowWriter};
use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use std::path::{Path, PathBuf};

/// Rows of a row group: what is held in memory, encoded, until it is written.
pub(super) const ROW_GROUP: usize = 128 * 1024;

pub(super) struct ParquetWriter {
    writer: ArrowWriter<HashedFile>,
    path: PathBuf,
}

fn fault(path: &Path, error: ParquetError) -> FinanceError {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => FinanceError::io("writing", path, *io),
            Err(other) => FinanceError::malformed(path, other),
        },
        other => FinanceError::malformed(path, other),
    }
}

impl ParquetWriter {
    pub(super) fn new(file: HashedFile, shape: Shape) -> Result<Self, FinanceError> {
        let path = file.path().to_owned();
        let level = ZstdLevel::try_new(1).map_err(|e| fault(&path, e))?;
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(concat!("touchline ", env!("CARGO_PKG_VERSION")).into());
        for column in shape.columns() {
            let encoding = match column.kind {
                Kind::Instant => Encoding::DELTA_BINARY_PACKED,
                Kind::Int if matches!(column.name, "customer" | "fact") => Encoding::DELTA_BINARY_PACKED,
                Kind::Text => Encoding::PLAIN,
                _ => continue,
            };
            let path = ColumnPath::from(column.name);
            properties = properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
        }
        let writer = ArrowWriter::try_new(file, shape.schema(), Some(properties.build())).map_err(|e| fault(&path, e))?;
        Ok(Self { writer, path })
    }
}

impl RowWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), FinanceError> {
        self.writer.write(batch).map_err(|e| fault(&self.path, e))
    }
    fn finish(self: Box<Self>) -> Result<HashedFile, FinanceError> {
        self.writer.into_inner().map_err(|e| fault(&self.path, e))
    }
}
