//! Parquet, by the parquet crate's Arrow writer with zstd compression.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::{BatchWriter, Sink, writing};
use crate::error::{Error, Result};

/// Bytes of encoded data after which a row group is ended, so that memory stays bounded whatever the
/// rows' width.
const ROW_GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One file with the result's schema; holds at most one row group.
pub(super) struct ParquetWriter {
    writer: ArrowWriter<Sink>,
}

impl ParquetWriter {
    pub(super) fn new(schema: SchemaRef, sink: Sink) -> Result<Self> {
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(sink, schema, Some(properties)).map_err(encoding)?;
        Ok(Self { writer })
    }
}

impl BatchWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(encoding)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES_MAX {
            self.writer.flush().map_err(encoding)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut sink = self.writer.into_inner().map_err(encoding)?;
        sink.flush().map_err(writing)
    }
}

fn encoding(error: ParquetError) -> Error {
    Error::Engine(error.into())
}
