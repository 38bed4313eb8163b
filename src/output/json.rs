//! JSON, as one array or one object per line, by arrow's JSON writer. NULLs are written, not left out.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, Writer};

use super::{BatchWriter, Sink, encoding, writing};
use crate::error::Result;

/// `[{…},{…}]`.
pub(super) struct ArrayWriter(Document<JsonArray>);

/// `{…}` per line.
pub(super) struct LinesWriter(Document<LineDelimited>);

struct Document<F: JsonFormat>(Writer<Sink, F>);

impl ArrayWriter {
    pub(super) fn new(sink: Sink) -> Self {
        Self(Document::new(sink))
    }
}

impl LinesWriter {
    pub(super) fn new(sink: Sink) -> Self {
        Self(Document::new(sink))
    }
}

impl<F: JsonFormat> Document<F> {
    fn new(sink: Sink) -> Self {
        Self(WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(sink))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(encoding)
    }

    fn finish(mut self, end: &[u8]) -> Result<()> {
        self.0.finish().map_err(encoding)?;
        let mut sink = self.0.into_inner();
        sink.write_all(end).and_then(|()| sink.flush()).map_err(writing)
    }
}

impl BatchWriter for ArrayWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.0.finish(b"\n")
    }
}

impl BatchWriter for LinesWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.0.finish(b"")
    }
}
