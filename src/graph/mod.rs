//! The task graph: a query's physical plan cut where rows change partitions.
//!
//! A stage is what runs without an exchange inside; edges are the exchanges. The graph says what there is to
//! run and in what shape; `plan::lower` makes it, `scheduler` runs it. After Dask's high level graph and the
//! stages of Spark and Ballista.

mod builder;
mod display;
mod edge;
mod id;
mod leaf;
mod named;
mod op;
mod partial;
mod scan;
mod stage;
mod validate;
mod views;
mod walk;

pub use builder::{EdgeSpec, GraphBuilder};
pub use display::{Drawing, GraphFormat, Notes, described};
pub use edge::{Edge, EdgeKind, Transport};
pub use id::{EdgeId, StageId, TaskId};
pub use leaf::{EdgeExec, EdgeReader};
pub use named::NamedExec;
pub use op::Op;
pub use partial::asks_after;
pub use scan::Scan;
pub use stage::Stage;
pub use views::{copies_text, has_views};
pub use walk::{Node, RECURSIVE_TERM, nodes};

/// A query as stages and the edges between them: a directed acyclic graph with one root, whose rows are the
/// query's.
#[derive(Debug, Clone)]
pub struct TaskGraph {
    /// By id; producers come before those that read them.
    stages: Vec<Stage>,
    /// By id.
    edges: Vec<Edge>,
    root: StageId,
}

impl TaskGraph {
    /// All stages, producers before those that read them.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// All edges.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The stage whose rows are the query's.
    pub fn root(&self) -> StageId {
        self.root
    }

    /// A stage of this graph.
    ///
    /// # Panics
    /// The id of another graph.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.index()]
    }

    /// An edge of this graph.
    ///
    /// # Panics
    /// The id of another graph.
    pub fn edge(&self, id: EdgeId) -> &Edge {
        &self.edges[id.index()]
    }

    /// How many tasks there are: each stage has one per partition.
    pub fn tasks(&self) -> usize {
        self.stages.iter().map(|stage| stage.partitions).sum()
    }
}
