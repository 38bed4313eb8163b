//! What each operator of a stage is in: it says which operator an error comes from, and lets other tasks go on
//! where the operator does not.
//!
//! DataFusion's errors do not say whose they are, and an error that has come up to the root of a stage cannot be
//! asked any more. So each operator of a stage is in a [`NamedExec`], which marks errors on their way up: the first
//! that an error passes is the one around the operator that made it.
//!
//! A scan gives way to other tasks after so many batches, and with it everything above. A join that makes a thousand
//! batches of one does not ask its scans for so long, and neither does an aggregation above it: a query that is stopped
//! would keep its core for seconds. So the rows of such operators give way as a scan's do.
//!
//! Each batch passes here as well, so this is where the scheduler learns that a task goes on
//! ([`NamedExec::at_next_batch`]).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt};

use super::EdgeExec;
use super::partial::asking;
use crate::error::OperatorFailure;

thread_local! {
    /// The innermost operator that a panic on this thread has come through.
    static PANICKED: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
    /// What is called when an operator gives a batch on this thread.
    static AT_NEXT_BATCH: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// An operator, looking to all others like itself, whose errors say its name. One row of pointers more per batch.
pub struct NamedExec {
    inner: Arc<dyn ExecutionPlan>,
    name: Arc<str>,
    yields: bool,
    /// Of a partial aggregation: after how many rows it asks whether to go on.
    asks_after: Option<usize>,
    /// Of an operator that reads from no other: the rows that it has given. Not all of them count by themselves.
    rows: Option<Arc<AtomicU64>>,
}

/// Whether an operator may make many batches of one.
fn multiplies(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<PiecewiseMergeJoinExec>()
        || node.is::<UnnestExec>()
}

impl NamedExec {
    /// Puts a name to an operator's errors.
    pub fn around(inner: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Self::asking(inner, None)
    }

    /// The same for an operator whose tasks ask after so many rows whether to go on grouping.
    pub fn asking(inner: Arc<dyn ExecutionPlan>, asks_after: Option<usize>) -> Arc<dyn ExecutionPlan> {
        // A leaf that is not to be seen has the name of what it stands for, which is in another stage.
        let name = if inner.is::<EdgeExec>() { "EdgeExec" } else { inner.name() };
        let name = name.into();
        let yields = multiplies(inner.as_ref());
        let reads = inner.children().is_empty() && !inner.is::<EdgeExec>();
        Arc::new(Self { inner, name, yields, asks_after, rows: reads.then(Arc::default) })
    }

    /// The rows that a scan has given until now; 0 of all other operators.
    pub fn rows_of(plan: &Arc<dyn ExecutionPlan>) -> u64 {
        // The plan's own `downcast_ref` would look into this wrapper.
        let any: &dyn Any = plan.as_ref();
        let rows = any.downcast_ref::<Self>().and_then(|named| named.rows.as_ref());
        rows.map_or(0, |rows| rows.load(Ordering::Relaxed))
    }

    /// What to call when the next operator gives a batch on this thread, once: the task of the operators above it has
    /// more to do.
    pub fn at_next_batch(call: Option<fn()>) {
        AT_NEXT_BATCH.set(call);
    }

    /// The name of the operator that the last panic on this thread came from, if it came from one.
    pub fn take_panicked() -> Option<Arc<str>> {
        PANICKED.take()
    }
}

/// Notes the operator that a panic comes through.
struct Watch<'a>(&'a Arc<str>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            PANICKED.with_borrow_mut(|name| name.get_or_insert_with(|| Arc::clone(self.0)).len());
        }
    }
}

impl fmt::Debug for NamedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl DisplayAs for NamedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_as(format, f)
    }
}

impl ExecutionPlan for NamedExec {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.inner.as_ref())
    }

    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.dynamic_expressions_produced()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.inner.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.inner.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.inner.maintains_input_order()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.inner.benefits_from_input_partitioning()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).replace_children(children, options)?;
        Ok(Self::asking(inner, self.asks_after))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Self::asking(Arc::clone(&self.inner).reset_state()?, self.asks_after))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let _watch = Watch(&self.name);
        let context = match self.asks_after {
            Some(rows) => asking(context, rows),
            None => context,
        };
        let rows = self.inner.execute(partition, context);
        let rows = rows.map_err(|error| OperatorFailure::mark(&self.name, error))?;
        let rows = if self.yields { make_cooperative(rows) } else { rows };
        Ok(Box::pin(NamedStream { rows, name: Arc::clone(&self.name), given: self.rows.clone() }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.inner.statistics_from_inputs(inputs, args)
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.inner.cardinality_effect()
    }
}

/// The rows of an operator.
struct NamedStream {
    rows: SendableRecordBatchStream,
    name: Arc<str>,
    given: Option<Arc<AtomicU64>>,
}

impl Stream for NamedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let _watch = Watch(&this.name);
        match this.rows.poll_next_unpin(cx) {
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(marked(&this.name, error)))),
            Poll::Ready(Some(Ok(batch))) => {
                if let Some(call) = AT_NEXT_BATCH.take() {
                    call();
                }
                if let Some(given) = &this.given {
                    given.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(batch)))
            }
            other @ (Poll::Ready(None) | Poll::Pending) => other,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

#[cold]
fn marked(name: &Arc<str>, error: DataFusionError) -> DataFusionError {
    OperatorFailure::mark(name, error)
}

impl RecordBatchStream for NamedStream {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
