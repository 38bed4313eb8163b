//! `EXPLAIN`: which statements it explains, and that its answer is text to read, not a table to fit.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, StringViewArray};
use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::format::ExplainFormat;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, Result, not_impl_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::hidden;
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
            // A tree breaks long texts into lines, in which a value of a secret is not known again.
            if hidden::is_in(&explain.plan.display_indent().to_string()) {
                explain.explain_format = ExplainFormat::Indent;
            }
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

/// Whether a plan reads the catalog, which has the texts of the statements that made its views and tables.
pub(super) fn reads_catalog(plan: &LogicalPlan) -> bool {
    let mut reads = false;
    let walked = plan.apply_with_subqueries(|node| {
        reads |= matches!(node, LogicalPlan::TableScan(scan) if scan.table_name.schema() == Some(INFORMATION_SCHEMA));
        Ok(if reads { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_ok() && reads
}

/// Whether a plan's rows are words about plans and definitions, and not data.
pub(super) fn tells_of_plans(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) || reads_catalog(plan)
}

/// Rows of words, without the values of secrets in them.
pub(super) fn without_secrets(rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let rows = rows.map(|batch| {
        let batch = batch?;
        let columns = batch.columns().iter().map(hidden_in).collect();
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

fn hidden_in(column: &ArrayRef) -> ArrayRef {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Arc::new(texts.iter().map(|text| text.map(hidden::hide)).collect::<StringArray>());
    }
    if let Some(texts) = column.as_string_view_opt() {
        return Arc::new(texts.iter().map(|text| text.map(hidden::hide)).collect::<StringViewArray>());
    }
    Arc::clone(column)
}

/// The rows of a plan of one text, with its title; without the values of secrets.
pub(super) fn titled(title: &str, text: String) -> Result<RecordBatch> {
    let text = hidden::hidden(text);
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
