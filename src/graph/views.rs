//! Columns that are views into buffers.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::physical_plan::ExecutionPlan;
#[expect(deprecated, reason = "operators put batches together by themselves now; hash joins do not")]
use datafusion::physical_plan::coalesce_batches::CoalesceBatchesExec;

/// Whether there are columns of text or bytes that are views into buffers. A part of such a column, or rows taken from
/// it, hold all buffers of the whole.
pub fn has_views(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Utf8View | DataType::BinaryView))
}

/// Whether a node copies text into buffers of its own, between a join and the build side of the next. It keeps rows,
/// their order and their columns.
pub fn copies_text(node: &dyn ExecutionPlan) -> bool {
    #[expect(deprecated, reason = "see the import")]
    let is_copier = node.is::<CoalesceBatchesExec>();
    is_copier
}
