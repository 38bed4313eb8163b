//! Comma- and tab-separated values (RFC 4180), with NULL and the empty text told apart.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{BatchWriter, Sink, encoding, text, writing};
use crate::error::Result;

/// Written out when so much is ready.
const PIECE_BYTES: usize = 32 * 1024;

/// A header line and a line per row. NULL is nothing at all, a text without characters is `""`. Nested values
/// are written as text. Readers skip empty lines, so NULL in a table of one column is `""` too.
pub(super) struct DelimitedWriter {
    sink: Sink,
    schema: SchemaRef,
    delimiter: u8,
    started: bool,
}

impl DelimitedWriter {
    pub(super) fn new(schema: SchemaRef, sink: Sink, delimiter: u8) -> Self {
        Self { sink, schema, delimiter, started: false }
    }

    fn header(&mut self) -> Result<()> {
        self.started = true;
        let mut line = String::new();
        for (at, field) in self.schema.fields().iter().enumerate() {
            if at > 0 {
                line.push(char::from(self.delimiter));
            }
            line.push_str(field.name());
            quote(&mut line, field.name().len(), self.delimiter);
        }
        line.push('\n');
        self.sink.write_all(line.as_bytes()).map_err(writing)
    }
}

impl BatchWriter for DelimitedWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if !self.started {
            self.header()?;
        }
        let (flat, nested) = (FormatOptions::default(), text::options(text::NULL));
        let columns = batch.columns().iter().map(|column| {
            let kind = column.data_type();
            let options = if kind.is_nested() { &nested } else { &flat };
            Ok(Column {
                values: text::formatter(column, options)?,
                nulls: column.logical_nulls(),
                plain: is_plain(kind),
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut lines = String::new();
        for row in 0..batch.num_rows() {
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    lines.push(char::from(self.delimiter));
                }
                column.write(row, &mut lines, self.delimiter)?;
            }
            if lines.is_empty() || lines.ends_with('\n') {
                lines.push_str("\"\"");
            }
            lines.push('\n');
            if lines.len() >= PIECE_BYTES {
                self.sink.write_all(lines.as_bytes()).map_err(writing)?;
                lines.clear();
            }
        }
        self.sink.write_all(lines.as_bytes()).map_err(writing)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.started {
            self.header()?;
        }
        self.sink.flush().map_err(writing)
    }
}

struct Column<'a> {
    values: ArrayFormatter<'a>,
    nulls: Option<NullBuffer>,
    /// Whether no value needs quotes.
    plain: bool,
}

impl Column<'_> {
    fn write(&self, row: usize, line: &mut String, delimiter: u8) -> Result<()> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(());
        }
        let before = line.len();
        self.values.value(row).write(line).map_err(encoding)?;
        if !self.plain {
            let length = line.len() - before;
            quote(line, length, delimiter);
        }
        Ok(())
    }
}

/// Types whose values are digits, letters and signs that need no quotes.
fn is_plain(kind: &DataType) -> bool {
    kind.is_numeric()
        || matches!(kind, DataType::Boolean | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// Puts quotes around the last `length` bytes of a line, if that field needs them.
fn quote(line: &mut String, length: usize, delimiter: u8) {
    let start = line.len() - length;
    let field = &line.as_bytes()[start..];
    let special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if length > 0 && !field.iter().any(special) {
        return;
    }
    let quoted = format!("\"{}\"", line[start..].replace('"', "\"\""));
    line.truncate(start);
    line.push_str(&quoted);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(field: &str, delimiter: u8) -> String {
        let mut line = format!("before,{field}");
        quote(&mut line, field.len(), delimiter);
        line.split_off("before,".len())
    }

    #[test]
    fn quotes_stand_where_a_reader_needs_them() {
        assert_eq!(quoted("plain text", b','), "plain text");
        assert_eq!(quoted("", b','), "\"\"");
        assert_eq!(quoted("a,b", b','), "\"a,b\"");
        assert_eq!(quoted("a,b", b'\t'), "a,b");
        assert_eq!(quoted("a\tb", b'\t'), "\"a\tb\"");
        assert_eq!(quoted("two\nlines", b','), "\"two\nlines\"");
        assert_eq!(quoted("say \"hi\"", b','), "\"say \"\"hi\"\"\"");
        assert_eq!(quoted("ünï,", b','), "\"ünï,\"");
    }
}
