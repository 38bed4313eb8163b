//! Graphs for tests, made by hand.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::expressions::col;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::graph::{EdgeKind, EdgeSpec, GraphBuilder, StageId, TaskGraph};

/// A graph that grows from its scans to its root.
pub(super) struct Sketch(GraphBuilder);

/// The columns of all rows in sketches.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]))
}

/// A scan without rows, of so many partitions.
pub(super) fn scan(partitions: usize) -> Arc<dyn ExecutionPlan> {
    Arc::new(EmptyExec::new(schema()).with_partitions(partitions))
}

/// What reads two inputs: as many partitions as both have.
pub(super) fn join(one: Arc<dyn ExecutionPlan>, two: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    UnionExec::try_new(vec![one, two]).unwrap()
}

impl Sketch {
    pub(super) fn new() -> Self {
        Self(GraphBuilder::new())
    }

    pub(super) fn stage(&mut self, plan: Arc<dyn ExecutionPlan>) -> StageId {
        self.0.stage(plan).unwrap()
    }

    /// An edge of so many output partitions, as the leaf of its reader's plan.
    pub(super) fn edge(&mut self, from: StageId, kind: EdgeKind, outputs: usize) -> Arc<dyn ExecutionPlan> {
        self.spec(from, spec(kind, outputs))
    }

    /// An edge of a stage of so many partitions, whose rows are kept for other readers.
    pub(super) fn kept_edge(&mut self, from: StageId, partitions: usize) -> Arc<dyn ExecutionPlan> {
        self.spec(from, kept(partitions))
    }

    /// Any edge.
    pub(super) fn spec(&mut self, from: StageId, spec: EdgeSpec) -> Arc<dyn ExecutionPlan> {
        self.0.edge(from, spec).unwrap()
    }

    pub(super) fn finish(self, root: StageId) -> TaskGraph {
        self.0.finish(root).unwrap()
    }
}

/// An edge of a stage of so many partitions whose rows are kept.
pub(super) fn kept(partitions: usize) -> EdgeSpec {
    EdgeSpec::kept(Arc::clone(scan(partitions).properties()))
}

/// An edge of a kind into so many partitions.
pub(super) fn spec(kind: EdgeKind, outputs: usize) -> EdgeSpec {
    let partitioning = match kind {
        EdgeKind::Shuffle => Partitioning::Hash(vec![col("a", &schema()).unwrap()], outputs),
        EdgeKind::Rebalance => Partitioning::RoundRobinBatch(outputs),
        EdgeKind::Gather | EdgeKind::Merge | EdgeKind::Range | EdgeKind::Forward => {
            Partitioning::UnknownPartitioning(outputs)
        }
    };
    let properties = PlanProperties::new(
        EquivalenceProperties::new(schema()),
        partitioning,
        EmissionType::Incremental,
        Boundedness::Bounded,
    );
    EdgeSpec::new(kind, Arc::new(properties))
}

/// A scan that gives what a function gives for each partition.
pub(super) struct Source {
    rows: Box<dyn Fn(usize) -> BoxStream<'static, Result<RecordBatch>> + Send + Sync>,
    properties: Arc<PlanProperties>,
}

/// A scan of so many partitions.
pub(super) fn source(
    partitions: usize,
    rows: impl Fn(usize) -> BoxStream<'static, Result<RecordBatch>> + Send + Sync + 'static,
) -> Arc<dyn ExecutionPlan> {
    let properties = Arc::clone(scan(partitions).properties());
    Arc::new(Source { rows: Box::new(rows), properties })
}

/// A scan whose partitions have these batches.
pub(super) fn batches(partitions: Vec<Vec<RecordBatch>>) -> Arc<dyn ExecutionPlan> {
    source(partitions.len(), move |partition| stream::iter(partitions[partition].clone()).map(Ok).boxed())
}

/// A batch of these numbers.
pub(super) fn batch(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    RecordBatch::try_new(schema(), vec![column]).unwrap()
}

/// The numbers of a batch.
pub(super) fn numbers(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl DisplayAs for Source {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl ExecutionPlan for Source {
    fn name(&self) -> &'static str {
        "Source"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = (self.rows)(partition);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), rows)))
    }
}
