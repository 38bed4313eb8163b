//! `EXPLAIN`: which statements it explains, and that its answer is text to read, not a table to fit.

use std::collections::HashMap;
use std::sync::Arc;

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
            if let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(_) | DdlStatement::CreateView(_)) =
                explain.plan.as_ref()
                && let [query] = explain.plan.inputs().as_slice()
            {
                explain.plan = Arc::new((*query).clone());
            }
            match explain.plan.as_ref() {
                LogicalPlan::Ddl(ddl) => not_impl_err!("EXPLAIN of {} is not supported", ddl.name()),
                LogicalPlan::Statement(_) => not_impl_err!("EXPLAIN of this statement is not supported"),
                _ => Ok(LogicalPlan::Explain(explain)),
            }
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

fn readable(schema: &DFSchemaRef) -> Result<DFSchemaRef> {
    let metadata = HashMap::from([(TEXT_KEY.to_string(), "true".to_string())]);
    let fields = schema.fields().iter().cloned().collect::<Vec<_>>();
    Ok(Arc::new(DFSchema::try_from(Schema::new_with_metadata(fields, metadata))?))
}
