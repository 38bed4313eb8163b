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

use super::table::Shapes;

tokio::task_local! {
    static NARROWED: Tables;
}

/// What a statement wants of its tables of files, by their locations.
pub type Tables = HashMap<String, Arc<Narrowed>>;

/// The files that a table's columns are made from: those that one of a statement's readings of the table wants.
///
/// Nothing is read of a file for it, and none is left out when the table is scanned: there only the filters
/// that come with the scan count.
#[derive(Debug, Clone, Default)]
pub struct Narrowed {
    /// For each reading, filters on the rows taken. They name keys only, without qualifiers.
    pub readings: Vec<Vec<Expr>>,
    /// Files that have been looked into for the statement.
    pub(super) shapes: Shapes,
}

impl Narrowed {
    /// The files that these readings want.
    pub fn new(readings: Vec<Vec<Expr>>) -> Self {
        Self { readings, shapes: Shapes::default() }
    }

    /// Those that one more reading wants, too.
    #[must_use]
    pub fn or(&self, filters: Vec<Expr>) -> Self {
        let mut wider = self.clone();
        wider.readings.push(filters);
        wider
    }

    /// Does some work in which the columns of tables are those of the files that the statement wants. The engine
    /// asks for tables by name, so this has to travel beside the name.
    pub async fn during<T>(tables: Tables, work: impl Future<Output = T>) -> T {
        NARROWED.scope(tables, work).await
    }

    /// What the statement at hand wants of a location, if that is known.
    pub(super) fn current(location: &str) -> Option<Arc<Self>> {
        NARROWED.try_with(|tables| tables.get(location).cloned()).ok().flatten()
    }

    /// For each row of partition values, whether a file with these values is wanted.
    pub(super) fn wants(
        &self,
        fields: &[FieldRef],
        rows: &[Vec<ScalarValue>],
        props: &ExecutionProps,
    ) -> Vec<bool> {
        let mut wanted = vec![false; rows.len()];
        for filters in &self.readings {
            let here = passed(filters, fields, rows, props);
            wanted.iter_mut().zip(here).for_each(|(wanted, here)| *wanted |= here);
        }
        wanted
    }
}

/// For each row of partition values, whether a file with these values passes all filters. One that cannot be
/// computed here lets all pass.
pub(super) fn passed(
    filters: &[Expr],
    fields: &[FieldRef],
    rows: &[Vec<ScalarValue>],
    props: &ExecutionProps,
) -> Vec<bool> {
    let mut passed = vec![true; rows.len()];
    for filter in filters {
        let Ok(here) = kept(std::slice::from_ref(filter), fields, rows, props) else { continue };
        passed.iter_mut().zip(here).for_each(|(passed, here)| *passed &= here);
    }
    passed
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
