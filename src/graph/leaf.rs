//! What stands in a stage's plan for the stage that it reads.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, apply_expression_roots,
};

use super::{EdgeId, EdgeKind, EdgeSpec};

/// Gives the rows of an edge while a graph runs: the scheduler's side of [`EdgeExec`].
pub trait EdgeReader: fmt::Debug + Send + Sync {
    /// A stream of the rows of one output partition. Called once per partition.
    ///
    /// # Errors
    /// A second call for a partition.
    fn open(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream>;
}

/// A leaf in the plan of a stage: the rows of another stage, as an edge hands them on.
///
/// It looks to its plan as the node did that it replaced: the same partitions, order and equivalences, and the same
/// dynamic filters below it, which a hash join looks for before it makes one.
pub struct EdgeExec {
    edge: EdgeId,
    kind: EdgeKind,
    fetch: Option<usize>,
    of: Option<Arc<str>>,
    properties: Arc<PlanProperties>,
    consumed: Vec<Arc<dyn PhysicalExpr>>,
    shown: Shown,
    reader: OnceLock<Arc<dyn EdgeReader>>,
    metrics: ExecutionPlanMetricsSet,
}

/// What is displayed where the leaf is.
enum Shown {
    /// Itself, without anything below.
    Leaf,
    /// Itself, above the plan of the producer.
    Above(Arc<dyn ExecutionPlan>),
    /// The plan of the producer, in its place.
    As(Arc<dyn ExecutionPlan>),
}

impl EdgeExec {
    pub(super) fn new(edge: EdgeId, spec: &EdgeSpec, producer: &Arc<dyn ExecutionPlan>) -> Self {
        let producer = || Arc::clone(producer);
        let shown = match (spec.shows_producer, spec.is_hidden) {
            (false, _) => Shown::Leaf,
            (true, false) => Shown::Above(producer()),
            (true, true) => Shown::As(producer()),
        };
        Self {
            edge,
            kind: spec.kind,
            fetch: spec.fetch,
            of: spec.of.clone(),
            properties: Arc::clone(&spec.properties),
            consumed: spec.consumed.clone(),
            shown,
            reader: OnceLock::new(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The edge it stands for.
    pub fn edge(&self) -> EdgeId {
        self.edge
    }

    /// Where what happens on the edge is counted.
    pub fn metrics_set(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    /// Says where the rows come from. The first call counts: a plan is good for one run.
    pub fn attach(&self, reader: Arc<dyn EdgeReader>) {
        // A second run would be refused by the reader.
        let _ = self.reader.set(reader);
    }
}

impl fmt::Debug for EdgeExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeExec").field("edge", &self.edge).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl DisplayAs for EdgeExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Shown::As(plan) = &self.shown {
            return plan.fmt_as(format, f);
        }
        let of = self.of.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "EdgeExec: {}{of}", self.kind)?;
                if !matches!(self.kind, EdgeKind::Gather | EdgeKind::Merge | EdgeKind::Forward) {
                    write!(f, " into {}", self.properties.output_partitioning())?;
                }
                self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
            }
            DisplayFormatType::TreeRender => writeln!(f, "{}{of}", self.kind),
        }
    }
}

impl ExecutionPlan for EdgeExec {
    fn name(&self) -> &str {
        match &self.shown {
            Shown::As(plan) => plan.name(),
            Shown::Leaf | Shown::Above(_) => "EdgeExec",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        match &self.shown {
            Shown::Leaf => Vec::new(),
            Shown::Above(plan) => vec![plan],
            Shown::As(plan) => plan.children(),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(&self.consumed, f)
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
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(reader) = self.reader.get() else {
            return Err(DataFusionError::Internal(format!("edge {} is read outside of a job", self.edge)));
        };
        reader.open(partition, &context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        match &self.shown {
            Shown::As(plan) => plan.metrics(),
            Shown::Leaf | Shown::Above(_) => Some(self.metrics.clone_inner()),
        }
    }
}
