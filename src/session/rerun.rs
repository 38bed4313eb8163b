//! A second attempt for queries that were refused memory: with sort-merge joins, which go to disk, in the
//! place of hash joins, which cannot.
//!
//! Only while nothing is lost by it: no row has left the query, and nothing that it writes is in place.

use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::engine;
use crate::error::is_out_of_memory;
use crate::plan::shared::unshared;

/// How long the tasks of the refused attempt may take to give back what they hold.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// Starts a query. Its rows come from the first attempt, or all from the second if the first was refused
/// memory before its first batch.
pub(super) async fn rows(context: &SessionContext, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
    let held_before = context.runtime_env().memory_pool.reserved();
    let first = start(context, plan.clone()).await?;
    let schema = first.schema();
    let context = context.clone();
    let rows = stream::once(async move { settled(first, &context, plan, held_before).await }).try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

async fn start(context: &SessionContext, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
    engine::stream(context.execute_logical_plan(plan).await?).await
}

/// Reads the first batch, which decides what attempt the rows come from.
async fn settled(
    mut rows: SendableRecordBatchStream,
    context: &SessionContext,
    plan: LogicalPlan,
    held_before: usize,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let refused = match rows.next().await {
        Some(Err(error)) if is_out_of_memory(&error) => error,
        Some(first) => return Ok(stream::iter([first]).chain(rows).boxed()),
        None => return Ok(rows.boxed()),
    };
    drop(rows);
    let Some(second) = second_attempt(context, &plan, held_before).await else { return Err(refused) };
    match start(&second, plan).await {
        Ok(rows) => Ok(rows.boxed()),
        Err(error) => Err(better(refused, error)),
    }
}

/// A session for the second attempt at a plan that was refused memory, once the first has given back what
/// it held; `None` if a second would go as the first.
pub(super) async fn second_attempt(
    context: &SessionContext,
    plan: &LogicalPlan,
    held_before: usize,
) -> Option<SessionContext> {
    let state = context.state();
    if !state.config_options().optimizer.prefer_hash_join || !joins(context, plan) {
        return None;
    }
    let pool = &context.runtime_env().memory_pool;
    let refused = Instant::now();
    while pool.reserved() > held_before && refused.elapsed() < RELEASE_TIME_MAX {
        tokio::time::sleep(POLL).await;
    }
    let mut config = state.config().clone();
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    // In a single partition the planner takes a hash join all the same.
    options.execution.target_partitions = options.execution.target_partitions.max(2);
    let state = SessionStateBuilder::new_from_existing(state).with_config(config).build();
    Some(SessionContext::new_with_state(state))
}

/// Whether a query has a join that could be another one. What is written into a table or a file is looked
/// at as the query that it comes from.
fn joins(context: &SessionContext, plan: &LogicalPlan) -> bool {
    let queries = match plan {
        LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) => plan.inputs(),
        _ => vec![plan],
    };
    let state = context.state();
    queries.into_iter().any(|query| {
        // Subqueries become joins when they are optimised.
        let optimised = state.optimize(query).and_then(|query| unshared(query, &state));
        let Ok(query) = optimised else { return false };
        let mut found = false;
        let walked = query.apply_with_subqueries(|node| {
            found |= matches!(node, LogicalPlan::Join(join) if !join.on.is_empty() && !join.null_aware);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        walked.is_ok() && found
    })
}

/// Which of the two attempts' errors to report: keys that a sort-merge join cannot compare are no news.
pub(super) fn better(first: DataFusionError, second: DataFusionError) -> DataFusionError {
    match second.find_root() {
        DataFusionError::NotImplemented(_) => first,
        _ => second,
    }
}
