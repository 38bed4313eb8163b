//! Arrow IPC files, by arrow's own writer.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::ipc::writer::FileWriter;

use super::{BatchWriter, Sink, encoding, writing};
use crate::error::Result;

/// One IPC file, a record batch per batch.
pub(super) struct ArrowWriter {
    writer: FileWriter<Sink>,
}

impl ArrowWriter {
    pub(super) fn new(schema: &Schema, sink: Sink) -> Result<Self> {
        Ok(Self { writer: FileWriter::try_new(sink, schema).map_err(encoding)? })
    }
}

impl BatchWriter for ArrowWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(encoding)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut sink = self.writer.into_inner().map_err(encoding)?;
        sink.flush().map_err(writing)
    }
}
