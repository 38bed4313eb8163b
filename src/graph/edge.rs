//! How rows go from a stage to one that reads it.

use std::fmt;
use std::sync::Arc;

use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use super::{EdgeExec, EdgeId, StageId};

/// An exchange between two stages.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Its name in the graph.
    pub id: EdgeId,
    /// The stage that makes the rows.
    pub from: StageId,
    /// The stage that reads them.
    pub to: StageId,
    /// Which rows go where.
    pub kind: EdgeKind,
    /// The order in which each output partition's rows come, if the edge merges its inputs by one.
    pub ordering: Option<LexOrdering>,
    /// Rows after which an output partition ends.
    pub fetch: Option<usize>,
    /// Where rows are between the two stages.
    pub transport: Transport,
    /// What stands for the edge in the reading stage's plan.
    pub leaf: Arc<EdgeExec>,
}

impl Edge {
    /// How the reader's side is partitioned.
    pub fn partitioning(&self) -> &Partitioning {
        self.leaf.properties().output_partitioning()
    }

    /// Partitions on the reader's side.
    pub fn output_partitions(&self) -> usize {
        self.partitioning().partition_count()
    }

    /// Whether the rows of each producer have to reach each reader in their order.
    pub fn keeps_order(&self) -> bool {
        self.ordering.is_some()
    }

    /// The columns of the rows.
    pub fn schema(&self) -> datafusion::arrow::datatypes::SchemaRef {
        self.leaf.schema()
    }
}

/// Which rows of an edge's producers go to which of its output partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// All into one, as they come.
    Gather,
    /// All into one, in the order that the producers have.
    Merge,
    /// By a hash of some expressions: equal values come together.
    Shuffle,
    /// Batches in turn: partitions of about equal size.
    Rebalance,
    /// By split points of an order.
    Range,
    /// Each partition into the one of the same number, unchanged and in its order. Such an edge is kept, and only
    /// such edges are: where rows are to be moved for a reader as well, a stage between them does it.
    Forward,
}

impl EdgeKind {
    /// Whether the producer starts when the reader's stream is made, so that the build sides of joins
    /// overlap; the others start when their rows are first asked for, when the build side's filter is known.
    ///
    /// What a Forward reads does not depend on any filter of its readers. But it is kept until the last of them has
    /// passed, so it is better not begun before the first one asks: a reader whose stream is made early may never
    /// ask (the probe side of a join whose build side is empty), or ask much later. Nothing is lost where build
    /// sides overlap: what reads them from another stage asks at once.
    pub fn starts_early(self) -> bool {
        match self {
            Self::Gather | Self::Merge => true,
            Self::Shuffle | Self::Rebalance | Self::Range | Self::Forward => false,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gather => "Gather",
            Self::Merge => "Merge",
            Self::Shuffle => "Shuffle",
            Self::Rebalance => "Rebalance",
            Self::Range => "Range",
            Self::Forward => "Forward",
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where rows are between two stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// On their way: the producer and its one reader run together.
    Pipelined,
    /// Kept whole, in memory and beyond it on disk, until each of the stage's readers has passed or gone. The
    /// producer never waits for any of them. All edges out of such a stage are alike and share what is kept.
    Materialized,
}
