//! Columns that are views into buffers.

use datafusion::arrow::datatypes::{DataType, Schema};

/// Whether there are columns of text or bytes that are views into buffers. A part of such a column, or rows taken from
/// it, hold all buffers of the whole.
pub fn has_views(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Utf8View | DataType::BinaryView))
}
