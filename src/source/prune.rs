//! Leaving out files by what their paths say, before they are opened.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

tokio::task_local! {
    static NARROWED: Arc<HashMap<String, Narrowed>>;
}

/// Which files of a table a statement can have rows of: those that one of its readings of the table wants.
#[derive(Debug, Clone)]
pub struct Narrowed {
    /// For each reading, filters that hold for all rows taken. They name keys only, without qualifiers, and
    /// depend on nothing else.
    pub readings: Vec<Vec<Expr>>,
}

impl Narrowed {
    /// Does some work in which tables of files are made of those files only that the statement wants, by
    /// their locations. The engine asks for tables by name, so this has to travel beside the name.
    pub async fn during<T>(tables: HashMap<String, Self>, work: impl Future<Output = T>) -> T {
        NARROWED.scope(Arc::new(tables), work).await
    }

    /// What the statement at hand wants of a location, if that is known.
    pub(super) fn current(location: &str) -> Option<Self> {
        NARROWED.try_with(|tables| tables.get(location).cloned()).ok().flatten()
    }

    /// For each row of partition values, whether a file with these values is wanted. A filter that cannot be
    /// computed here leaves out nothing.
    pub(super) fn wants(
        &self,
        fields: &[FieldRef],
        rows: &[Vec<ScalarValue>],
        props: &ExecutionProps,
    ) -> Vec<bool> {
        let mut wanted = vec![false; rows.len()];
        for filters in &self.readings {
            let mut here = vec![true; rows.len()];
            for filter in filters {
                let Ok(passes) = kept(std::slice::from_ref(filter), fields, rows, props) else { continue };
                here.iter_mut().zip(passes).for_each(|(here, passes)| *here &= passes);
            }
            wanted.iter_mut().zip(here).for_each(|(wanted, here)| *wanted |= here);
        }
        wanted
    }
}

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
