//! A fragment of a plan that runs without an exchange.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::{EdgeId, Op, StageId};

/// A fragment of the physical plan whose leaves are scans or edges.
///
/// Its tasks, one per output partition, form a gang: the operators share state across their partitions (a join's
/// build side, a dynamic filter), so all are started, live and end together.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name in the graph.
    pub id: StageId,
    /// What each task runs a partition of. Good for one run: a second would find queues of files popped and filters
    /// tightened.
    pub plan: Arc<dyn ExecutionPlan>,
    /// What it mainly does.
    pub op: Op,
    /// How many tasks it has.
    pub partitions: usize,
    /// The edges it reads, in the order of the plan's leaves.
    pub inputs: Vec<EdgeId>,
    /// The edges that read it; none for the root.
    pub outputs: Vec<EdgeId>,
}
