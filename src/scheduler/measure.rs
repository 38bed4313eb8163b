//! What a job consists of, and what its operators have counted, in words and numbers that outlive the plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;

use crate::graph::{Drawing, Edge, EdgeId, EdgeKind, Op, Scan, Stage, StageId, TaskGraph, described, nodes};
use crate::hidden;

/// A job's stages and edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobShape {
    /// By id.
    pub stages: Vec<StageShape>,
    /// By id.
    pub edges: Vec<EdgeShape>,
    /// The stage whose rows are the job's.
    pub root: StageId,
    /// How its graph is drawn.
    pub drawing: Drawing,
}

/// A stage before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageShape {
    /// What it mainly does.
    pub op: Op,
    /// How many tasks it has.
    pub tasks: usize,
    /// Its operators, each before those that it reads.
    pub operators: Vec<OperatorRun>,
}

/// An edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeShape {
    /// Which rows go where.
    pub kind: EdgeKind,
    /// The stage that makes the rows.
    pub from: StageId,
    /// The stage that reads them.
    pub to: StageId,
    /// Partitions on the reader's side.
    pub partitions: usize,
    /// What decides where a row goes, as `by …`; `None` if its values do not.
    pub keys: Option<String>,
}

/// What a stage has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Its operators, each before those that it reads.
    pub operators: Vec<OperatorRun>,
    /// The most memory, in bytes, that its operators have held at a time.
    pub memory_peak: usize,
}

/// An operator and what it has counted, over all partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperatorRun {
    /// Its type.
    pub name: String,
    /// Itself in one line, as EXPLAIN shows it.
    pub text: String,
    /// Itself in the query's words, as EXPLAIN GRAPH shows it.
    pub words: String,
    /// How it reads files, if it does.
    pub scan: Option<Scan>,
    /// The edge that it stands for, if it does.
    pub edge: Option<EdgeId>,
    /// By name; that of a time ends in `_ns`.
    pub metrics: BTreeMap<String, u64>,
}

impl OperatorRun {
    /// A metric; what was not counted is 0.
    pub fn metric(&self, name: &str) -> u64 {
        self.metrics.get(name).copied().unwrap_or(0)
    }
}

impl JobShape {
    /// What a graph consists of.
    pub(super) fn of(graph: &TaskGraph) -> Self {
        let stage = |stage: &Stage| StageShape {
            op: stage.op,
            tasks: stage.partitions,
            operators: operators(&stage.plan),
        };
        let edge = |edge: &Edge| EdgeShape {
            kind: edge.kind,
            from: edge.from,
            to: edge.to,
            partitions: edge.output_partitions(),
            keys: edge.keys(),
        };
        Self {
            stages: graph.stages().iter().map(stage).collect(),
            edges: graph.edges().iter().map(edge).collect(),
            root: graph.root(),
            drawing: graph.drawing(),
        }
    }
}

/// The operators of a stage with what they have counted so far.
pub(super) fn operators(plan: &Arc<dyn ExecutionPlan>) -> Vec<OperatorRun> {
    let operator = |plan: &Arc<dyn ExecutionPlan>, edge| OperatorRun {
        name: plan.name().to_string(),
        text: hidden::hide(DisplayableExecutionPlan::new(plan.as_ref()).one_line().to_string().trim_end())
            .into_owned(),
        words: described(plan.as_ref()),
        scan: Scan::of(plan.as_ref()),
        edge,
        metrics: metrics(plan.as_ref()),
    };
    nodes(plan).map(|node| operator(node.plan, node.edge().map(|leaf| leaf.edge()))).collect()
}

fn metrics(plan: &dyn ExecutionPlan) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let Some(metrics) = plan.metrics() else { return found };
    for metric in metrics.aggregate_by_name().iter() {
        match metric.value() {
            // Their numbers are not on one scale, or not numbers at all.
            MetricValue::StartTimestamp(_) | MetricValue::EndTimestamp(_) | MetricValue::Custom { .. } => {}
            MetricValue::PruningMetrics { name, pruning_metrics } => {
                let mut add = |kind: &str, count: usize| found.insert(format!("{name}_{kind}"), count as u64);
                add("pruned", pruning_metrics.pruned());
                add("matched", pruning_metrics.matched());
            }
            MetricValue::Ratio { name, ratio_metrics } => {
                found.insert(format!("{name}_part"), ratio_metrics.part() as u64);
                found.insert(format!("{name}_total"), ratio_metrics.total() as u64);
            }
            MetricValue::ElapsedCompute(time) | MetricValue::Time { time, .. } => {
                found.insert(format!("{}_ns", metric.value().name()), time.value() as u64);
            }
            value => {
                found.insert(value.name().to_string(), value.as_usize() as u64);
            }
        }
    }
    found
}
