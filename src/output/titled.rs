//! Titled texts for people, such as the plans of EXPLAIN: each as it stands, where a table would fold its lines.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;

use super::text::printable;
use super::{BatchWriter, Sink, encoding, text, writing};
use crate::error::Result;

/// Marks the schema of a result set whose rows are a title and a text of several lines.
pub const TEXT_KEY: &str = "query.titled_text";

/// Writes a title, its text uncut, and a blank line before the next title. Streams.
pub(super) struct TitledWriter {
    sink: Sink,
    started: bool,
}

impl TitledWriter {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, started: false }
    }
}

impl BatchWriter for TitledWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = text::options(text::NULL);
        let columns = text::formatters(batch, &options)?;
        for row in 0..batch.num_rows() {
            if std::mem::replace(&mut self.started, true) {
                self.sink.write_all(b"\n").map_err(writing)?;
            }
            for column in &columns {
                let value = column.value(row).try_to_string().map_err(encoding)?;
                for line in value.trim_end().lines() {
                    writeln!(self.sink, "{}", printable(line.trim_end())).map_err(writing)?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.sink.flush().map_err(writing)
    }
}
