//! Comma- and tab-separated values, by arrow's CSV writer (RFC 4180 quoting).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use datafusion::arrow::csv::{Writer, WriterBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{BatchWriter, Sink, encoding, text, writing};
use crate::error::Result;

/// A header line and a line per row; NULL is an empty field. Nested values are written as text.
pub(super) struct DelimitedWriter {
    writer: Writer<Sink>,
    /// The columns with nested ones as text; arrow's writer refuses them as they are.
    flat: SchemaRef,
    started: bool,
}

impl DelimitedWriter {
    pub(super) fn new(schema: SchemaRef, sink: Sink, delimiter: u8) -> Self {
        let flat = schema.fields().iter().map(|field| match field.data_type() {
            nested if nested.is_nested() => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
            _ => Arc::clone(field),
        });
        let flat = Arc::new(Schema::new(flat.collect::<Vec<_>>()));
        Self { writer: WriterBuilder::new().with_delimiter(delimiter).build(sink), flat, started: false }
    }
}

impl BatchWriter for DelimitedWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.started = true;
        let columns = batch.columns().iter().map(flatten).collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.flat), columns).map_err(encoding)?;
        self.writer.write(&batch).map_err(encoding)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.started {
            self.writer.write(&RecordBatch::new_empty(Arc::clone(&self.flat))).map_err(encoding)?;
        }
        self.writer.into_inner().flush().map_err(writing)
    }
}

fn flatten(column: &ArrayRef) -> Result<ArrayRef> {
    if !column.data_type().is_nested() {
        return Ok(Arc::clone(column));
    }
    let options = text::options(text::NULL);
    let values = text::formatter(column, &options)?;
    let mut strings = StringBuilder::new();
    for row in 0..column.len() {
        match column.is_null(row) {
            true => strings.append_null(),
            false => strings.append_value(values.value(row).try_to_string().map_err(encoding)?),
        }
    }
    Ok(Arc::new(strings.finish()))
}
