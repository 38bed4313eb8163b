//! One value per line: for rows that are wider than any screen.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use unicode_width::UnicodeWidthStr;

use super::{BatchWriter, Sink, encoding, text, writing};
use crate::error::Result;

/// `column = value` lines with the names aligned to the right, a blank line between rows.
pub(super) struct LineWriter {
    sink: Sink,
    /// Names with their padding.
    labels: Vec<String>,
    started: bool,
}

impl LineWriter {
    pub(super) fn new(schema: &Schema, sink: Sink) -> Self {
        let widest = schema.fields().iter().map(|field| field.name().width()).max().unwrap_or(0);
        let labels = schema.fields().iter().map(|field| {
            let name = field.name();
            format!("{}{name}", " ".repeat(widest - name.width()))
        });
        Self { labels: labels.collect(), sink, started: false }
    }
}

impl BatchWriter for LineWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = text::options(text::NULL);
        let columns = text::formatters(batch, &options)?;
        for row in 0..batch.num_rows() {
            let mut lines = if self.started { String::from("\n") } else { String::new() };
            self.started = true;
            for (label, column) in self.labels.iter().zip(&columns) {
                let value = column.value(row).try_to_string().map_err(encoding)?;
                lines.push_str(&format!("{label} = {value}\n"));
            }
            self.sink.write_all(lines.as_bytes()).map_err(writing)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.sink.flush().map_err(writing)
    }
}
