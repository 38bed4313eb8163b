//! One value per line: for rows that are wider than any screen.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use unicode_width::UnicodeWidthStr;

use super::{BatchWriter, Sink, encoding, text, writing};
use crate::error::Result;

/// `column = value` lines with the names aligned to the right, a blank line between rows. Control characters are
/// shown as escapes, as in tables.
pub(super) struct LineWriter {
    sink: Sink,
    /// Names with their padding.
    labels: Vec<String>,
    started: bool,
}

impl LineWriter {
    pub(super) fn new(schema: &Schema, sink: Sink) -> Self {
        let names = schema.fields().iter().map(|field| text::printable(field.name()));
        let names: Vec<_> = names.collect();
        let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
        let labels = names.iter().map(|name| format!("{}{name}", " ".repeat(widest - name.width())));
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
                let value = text::printable(&value);
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
