//! What a query would read: `EXPLAIN ESTIMATE`, and the limit that `--max-scan` sets.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session as EngineSession;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::{Failure, Session, engine, explain, insert, located};
use crate::config::{QueryOptions, ScanLimit};
use crate::frontend::sql::{Params, Statement};
use crate::output::numbers;
use crate::plan::shared::SharedExec;
use crate::session::clock::Runs;
use crate::source::{ScanSize, size};

/// The row under all tables.
const TOTAL: &str = "total";

impl Session {
    /// The answer to `EXPLAIN ESTIMATE`: a row for each table, and one for all.
    pub(super) async fn estimated(
        &self,
        statement: &Statement,
        params: &Params,
    ) -> crate::Result<SendableRecordBatchStream> {
        let plan = params.bind(self.plan(statement, params, Runs::of(statement.ast())).await?, statement)?;
        let told = |failure| match failure {
            Failure::Engine(error) => located(error, statement).into(),
            Failure::Own(error) => error,
        };
        let batch = self.estimate(plan).await.map_err(told)?;
        let schema = batch.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
    }

    async fn estimate(&self, plan: LogicalPlan) -> Result<RecordBatch, Failure> {
        let plan = explain::explained(Arc::new(insert::into_files(&self.context, plan).await?))?;
        self.check(&plan).await?;
        let state = self.unlimited();
        let physical = engine::planned(state.create_physical_plan(&plan).await?);
        Ok(rows(&sizes(&state, &physical).await?)?)
    }

    /// The session's state for planning alone: what is not run may read as much as it would.
    pub(super) fn unlimited(&self) -> SessionState {
        let mut state = self.context.state();
        let options = state.config_mut().options_mut();
        if let Some(own) = options.extensions.get_mut::<QueryOptions>() {
            own.max_scan = ScanLimit(None);
        }
        state
    }
}

/// Refuses a plan that would read more of files than a limit allows.
///
/// # Errors
/// The refusal, with what each table has to do with it.
pub(super) async fn refuse_large(
    state: &dyn EngineSession,
    plan: &Arc<dyn ExecutionPlan>,
    limit: ScanLimit,
) -> Result<()> {
    let Some(limit) = limit.0 else { return Ok(()) };
    let mut sizes = sizes(state, plan).await?;
    let total: u64 = sizes.iter().map(|size| size.bytes).sum();
    if total <= limit.0 {
        return Ok(());
    }
    sizes.sort_by_key(|size| std::cmp::Reverse(size.bytes));
    let tables: Vec<_> = sizes.iter().map(told).collect();
    Err(DataFusionError::Plan(format!(
        "the query would read {} of files, and may read {}: {}; ask for fewer rows or columns, or for more with SET \
         query.execution.max_scan",
        numbers::bytes(total),
        numbers::bytes(limit.0),
        tables.join(", ")
    )))
}

fn told(size: &ScanSize) -> String {
    let files = numbers::count(size.files as u64, "file");
    format!("{} of '{}' in {files}", numbers::bytes(size.bytes), size.table)
}

/// What a plan would read of each table, sorted by their names.
async fn sizes(state: &dyn EngineSession, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<ScanSize>> {
    let mut tables: BTreeMap<String, ScanSize> = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut ahead = vec![Arc::clone(plan)];
    while let Some(node) = ahead.pop() {
        if let Some(size) = size(state, node.as_ref()).await? {
            match tables.get_mut(&size.table) {
                Some(known) => add(known, &size),
                None => drop(tables.insert(size.table.clone(), size)),
            }
        }
        match node.downcast_ref::<SharedExec>() {
            // What is shared is read once.
            Some(shared) if seen.insert(shared.id()) => ahead.push(Arc::clone(shared.plan())),
            Some(_) => {}
            None => ahead.extend(node.children().into_iter().cloned()),
        }
    }
    Ok(tables.into_values().collect())
}

/// Adds another scan of the same table.
fn add(known: &mut ScanSize, other: &ScanSize) {
    known.files += other.files;
    known.bytes += other.bytes;
    known.columns = known.columns.zip(other.columns).map(|(a, b)| (a.0.max(b.0), a.1));
    known.row_groups = known.row_groups.zip(other.row_groups).map(|(a, b)| (a.0 + b.0, a.1 + b.1));
}

fn rows(sizes: &[ScanSize]) -> Result<RecordBatch> {
    let total = ScanSize {
        table: TOTAL.into(),
        files: sizes.iter().map(|size| size.files).sum(),
        bytes: sizes.iter().map(|size| size.bytes).sum(),
        columns: None,
        row_groups: None,
    };
    let all = || sizes.iter().chain([&total]);
    let number = |of: fn(&ScanSize) -> u64| -> ArrayRef {
        Arc::new(all().map(|size| i64::try_from(of(size)).unwrap_or(i64::MAX)).collect::<Int64Array>())
    };
    let text = |of: fn(&ScanSize) -> Option<String>| -> ArrayRef {
        Arc::new(all().map(of).collect::<StringArray>())
    };
    let columns = vec![
        text(|size| Some(size.table.clone())),
        number(|size| size.files as u64),
        number(|size| size.bytes),
        text(|size| Some(numbers::bytes(size.bytes))),
        text(|size| size.columns.map(of_all)),
        text(|size| size.row_groups.map(of_all)),
    ];
    let field = |name: &str, kind: DataType, nullable| Field::new(name, kind, nullable);
    let schema = Schema::new(vec![
        field("table", DataType::Utf8, false),
        field("files", DataType::Int64, false),
        field("bytes", DataType::Int64, false),
        field("size", DataType::Utf8, false),
        field("columns", DataType::Utf8, true),
        field("row_groups", DataType::Utf8, true),
    ]);
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn of_all((some, all): (usize, usize)) -> String {
    format!("{some} of {all}")
}
