//! A Markdown table. Streams, so columns are not padded.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;

use super::{BatchWriter, Sink, encoding, text, writing};
use crate::error::Result;

/// A header, a rule that aligns numbers to the right, a line per row.
pub(super) struct MarkdownWriter {
    sink: Sink,
}

impl MarkdownWriter {
    pub(super) fn new(schema: &Schema, mut sink: Sink) -> Result<Self> {
        let mut head = String::from("|");
        let mut rule = String::from("|");
        for field in schema.fields() {
            push_cell(&mut head, field.name());
            rule.push_str(if field.data_type().is_numeric() { "---:|" } else { "---|" });
        }
        writeln!(sink, "{head}\n{rule}").map_err(writing)?;
        Ok(Self { sink })
    }
}

impl BatchWriter for MarkdownWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = text::options(text::NULL);
        let columns = text::formatters(batch, &options)?;
        for row in 0..batch.num_rows() {
            let mut line = String::from("|");
            for column in &columns {
                push_cell(&mut line, &column.value(row).try_to_string().map_err(encoding)?);
            }
            writeln!(self.sink, "{line}").map_err(writing)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.sink.flush().map_err(writing)
    }
}

/// A cell cannot hold a line break, and a bar would end it.
fn push_cell(line: &mut String, value: &str) {
    line.push(' ');
    for character in value.chars() {
        match character {
            '|' => line.push_str("\\|"),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("<br>"),
            '\r' => {}
            other => line.push(other),
        }
    }
    line.push_str(" |");
}
