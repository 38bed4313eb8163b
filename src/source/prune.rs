//! Leaving out files by what their paths say, before they are opened.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

/// For each row of partition values, whether a file with these values can hold rows that all filters let
/// pass. The filters must name no other columns.
pub(super) fn kept(
    filters: &[Expr],
    fields: &[FieldRef],
    rows: &[Vec<ScalarValue>],
    props: &ExecutionProps,
) -> Result<Vec<bool>> {
    let mut kept = vec![true; rows.len()];
    if filters.is_empty() || rows.is_empty() {
        return Ok(kept);
    }
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let columns = (0..fields.len())
        .map(|column| ScalarValue::iter_to_array(rows.iter().map(|row| row[column].clone())))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
    let schema = DFSchema::try_from(schema)?;
    for filter in filters {
        let passes = create_physical_expr(filter, &schema, props, &PhysicalPlanningContext::default())?
            .evaluate(&batch)?;
        let passes = passes.into_array(rows.len())?;
        for (kept, passes) in kept.iter_mut().zip(passes.as_boolean()) {
            *kept &= passes == Some(true);
        }
    }
    Ok(kept)
}
