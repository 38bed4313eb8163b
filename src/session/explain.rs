//! `EXPLAIN`: which statements it explains, and that its answer is text to read, not a table to fit.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Schema;
use datafusion::common::{DFSchema, DFSchemaRef, Result, not_impl_err};
use datafusion::logical_expr::{DdlStatement, LogicalPlan};

use crate::output::TEXT_KEY;

/// Makes an EXPLAIN plan one that can be carried out; other plans pass through.
///
/// The plan of `CREATE TABLE … AS` and `CREATE VIEW` is that of their query. EXPLAIN ANALYZE runs what it explains, so
/// it takes queries only: nothing that is written would be staged or counted.
pub(super) fn prepare(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Explain(mut explain) => {
            explain.schema = readable(&explain.schema)?;
            explain.plan = explained(explain.plan)?;
            Ok(LogicalPlan::Explain(explain))
        }
        LogicalPlan::Analyze(mut analyze) => match analyze.input.as_ref() {
            LogicalPlan::Copy(_) | LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Statement(_) => {
                not_impl_err!(
                    "EXPLAIN ANALYZE runs what it explains, and takes queries only: explain the query alone"
                )
            }
            _ => {
                analyze.schema = readable(&analyze.schema)?;
                Ok(LogicalPlan::Analyze(analyze))
            }
        },
        other => Ok(other),
    }
}

/// The plan that an EXPLAIN of a statement explains.
pub(super) fn explained(plan: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
    if let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(_) | DdlStatement::CreateView(_)) = plan.as_ref()
        && let [query] = plan.inputs().as_slice()
    {
        return Ok(Arc::new((*query).clone()));
    }
    match plan.as_ref() {
        LogicalPlan::Ddl(ddl) => not_impl_err!("EXPLAIN of {} is not supported", ddl.name()),
        LogicalPlan::Statement(_) => not_impl_err!("EXPLAIN of this statement is not supported"),
        _ => Ok(plan),
    }
}

/// The rows of a plan of one text, with its title.
pub(super) fn titled(title: &str, text: String) -> Result<RecordBatch> {
    let schema = LogicalPlan::explain_schema();
    let metadata = HashMap::from([(TEXT_KEY.to_string(), "true".to_string())]);
    let schema = Schema::new_with_metadata(schema.fields().clone(), metadata);
    let columns: [ArrayRef; 2] =
        [Arc::new(StringArray::from(vec![title])), Arc::new(StringArray::from(vec![text]))];
    Ok(RecordBatch::try_new(Arc::new(schema), columns.to_vec())?)
}

fn readable(schema: &DFSchemaRef) -> Result<DFSchemaRef> {
    let metadata = HashMap::from([(TEXT_KEY.to_string(), "true".to_string())]);
    let fields = schema.fields().iter().cloned().collect::<Vec<_>>();
    Ok(Arc::new(DFSchema::try_from(Schema::new_with_metadata(fields, metadata))?))
}
