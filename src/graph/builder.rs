//! Making a graph, from the scans to the root.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};

use super::{Edge, EdgeExec, EdgeId, EdgeKind, Op, Stage, StageId, TaskGraph, Transport, nodes};

/// What an edge is to be.
#[derive(Debug, Clone)]
pub struct EdgeSpec {
    /// Which rows go where.
    pub kind: EdgeKind,
    /// The order that output partitions are merged by, if any.
    pub ordering: Option<LexOrdering>,
    /// Rows after which an output partition ends.
    pub fetch: Option<usize>,
    /// Where rows are between the stages.
    pub transport: Transport,
    /// What the edge looks like to its reader: the properties of the node that it stands for. Its partitioning says
    /// where rows go.
    pub properties: Arc<PlanProperties>,
    /// Expressions that nodes below the edge take from nodes above it: dynamic filters.
    pub consumed: Vec<Arc<dyn PhysicalExpr>>,
    /// The name of what the stage makes, if it has one.
    pub of: Option<Arc<str>>,
    /// Whether the reader's plan shows the producer's below the edge, for EXPLAIN ANALYZE.
    pub shows_producer: bool,
    /// Whether, with that, the edge itself is not to be seen: for one that stands for no node of the plan.
    pub is_hidden: bool,
}

impl EdgeSpec {
    /// An edge of a kind that looks to its reader like a node with these properties.
    pub fn new(kind: EdgeKind, properties: Arc<PlanProperties>) -> Self {
        Self {
            kind,
            ordering: None,
            fetch: None,
            transport: Transport::Pipelined,
            properties,
            consumed: Vec::new(),
            of: None,
            shows_producer: false,
            is_hidden: false,
        }
    }

    /// An edge of a stage whose rows are kept for several readers. It looks to its reader like the stage's plan,
    /// whose properties these are.
    pub fn kept(properties: Arc<PlanProperties>) -> Self {
        Self { transport: Transport::Materialized, ..Self::new(EdgeKind::Forward, properties) }
    }
}

/// Makes a graph: a stage, the edges that read it, the stages with these edges as leaves, up to the root.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    stages: Vec<Stage>,
    edges: Vec<UnreadEdge>,
}

/// An edge whose reader may not be known yet.
#[derive(Debug)]
struct UnreadEdge {
    from: StageId,
    to: Option<StageId>,
    spec: EdgeSpec,
    leaf: Arc<EdgeExec>,
}

impl GraphBuilder {
    /// A graph without stages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage. The edges among its leaves are read by it.
    ///
    /// # Errors
    /// A leaf of another graph, or one that another stage reads.
    pub fn stage(&mut self, plan: Arc<dyn ExecutionPlan>) -> Result<StageId> {
        let id = StageId::new(self.stages.len());
        let inputs: Vec<_> = nodes(&plan).filter_map(|node| Some(node.edge()?.edge())).collect();
        for input in &inputs {
            match self.edges.get_mut(input.index()) {
                Some(edge) if edge.to.is_none() => edge.to = Some(id),
                _ => return Err(internal(&format!("stage {id} reads edge {input}, which is not its own"))),
            }
        }
        let partitions = plan.output_partitioning().partition_count();
        let op = Op::of(&plan);
        self.stages.push(Stage { id, plan, op, partitions, inputs, outputs: Vec::new() });
        Ok(id)
    }

    /// Adds an edge from a stage; gives the leaf for the plan of the stage that is to read it.
    ///
    /// # Errors
    /// A stage of another graph.
    pub fn edge(&mut self, from: StageId, spec: EdgeSpec) -> Result<Arc<EdgeExec>> {
        let id = EdgeId::new(self.edges.len());
        let Some(producer) = self.stages.get_mut(from.index()) else {
            return Err(internal(&format!("edge {id} comes from stage {from}, which is not there")));
        };
        producer.outputs.push(id);
        let leaf = Arc::new(EdgeExec::new(id, &spec, &producer.plan));
        self.edges.push(UnreadEdge { from, to: None, spec, leaf: Arc::clone(&leaf) });
        Ok(leaf)
    }

    /// The graph, with the stage whose rows are the query's.
    ///
    /// # Errors
    /// An edge that no stage reads.
    pub fn finish(self, root: StageId) -> Result<TaskGraph> {
        let edges = self.edges.into_iter().enumerate().map(|(index, edge)| {
            let id = EdgeId::new(index);
            let to = edge.to.ok_or_else(|| internal(&format!("nothing reads edge {id}")))?;
            let EdgeSpec { kind, ordering, fetch, transport, .. } = edge.spec;
            Ok(Edge { id, from: edge.from, to, kind, ordering, fetch, transport, leaf: edge.leaf })
        });
        Ok(TaskGraph { edges: edges.collect::<Result<_>>()?, stages: self.stages, root })
    }
}

fn internal(text: &str) -> DataFusionError {
    DataFusionError::Internal(text.into())
}
