//! Lowering: a finished physical plan becomes a task graph.
//!
//! Three nodes move rows between partitions, and tasks of DataFusion's own with them; each becomes an edge:
//!
//! ```text
//!  SortPreservingMergeExec: [a], fetch=9                stage 2   EdgeExec: Merge, fetch=9
//!    SortExec: a                                                     ▲ a, fetch=9
//!      FilterExec                              ──▶      stage 1   SortExec: a ◀─ FilterExec ◀─ EdgeExec: Shuffle
//!        RepartitionExec: Hash([k], 4)                               ▲ Hash([k], 4)
//!          DataSourceExec                               stage 0   DataSourceExec
//! ```
//!
//! `RepartitionExec` becomes a Shuffle, a Rebalance or a Range, `CoalescePartitionsExec` a Gather,
//! `SortPreservingMergeExec` a Merge. Their `fetch` goes along. With one partition on both sides they move nothing
//! and go, except for their `fetch`, which a `GlobalLimitExec` keeps, and except where the partitioning that they
//! declare is a promise to the nodes above. A root of several partitions stays one: whoever reads the graph's rows
//! reads all of them, as `execute_stream` would.
//!
//! An edge's leaf has the properties of the node that it replaces, the very same object, so that the nodes above it
//! are rebuilt without being planned anew.
//!
//! # Dynamic filters
//! A hash join makes its filter only if it finds it, by its id, among the expressions below its probe side; an
//! aggregation looks in the same way while it is planned, a TopK does not look at all. So a leaf lists the filters
//! that nodes below its edge take from nodes above it: those listed below, at any depth, without those that are
//! made there. A filter in the list too many could do no harm: ids are unique, and a join asks for its own.
//!
//! # Names
//! Every operator of a stage is in a [`NamedExec`], so that an error says which of them it comes from. Those of a
//! recursive term are not: the node above them makes them anew.
//!
//! # Shared subplans
//! A `SharedExec` is a leaf of every stage that reads the subplan. The first one met makes a stage of it; each becomes
//! a Forward from that stage, whose rows are kept. No filter of its readers is listed: none goes below it.
//!
//! # Nodes that run their children in a way of their own
//! - `RecursiveQueryExec` executes its recursive term anew every round, with fresh state. Nothing is cut in it; the
//!   static term, executed once, is cut as usual. A work table is found by its name when the node is rebuilt.
//! - `AnalyzeExec` reads all partitions of its child from tasks of its own, and shows the child's tree when they
//!   are through. Its child is a stage by itself, behind a Gather that is not to be seen in that tree; below it,
//!   each leaf shows the plan of its producer.
//! - `ScalarSubqueryExec` runs its subqueries through `execute_stream`, which would put a
//!   `CoalescePartitionsExec` above several partitions: such a subquery is behind a Gather. The input's leaves
//!   are executed only when the subqueries have ended.
//! - `DataSinkExec` hands its input to a sink, which may poll it in a task of its own: behind a Gather as well, of
//!   the one partition that there is.
//! - `BufferExec` polls its input in a task of its own to be ahead of its reader; the planner puts it below a
//!   merge. Edges are ahead of their readers by themselves: it goes.
//! - Hash joins that collect their build side, cross joins, nested-loop joins and piecewise merge joins share one
//!   stream of the build side between all partitions: the stage has one plan instance, so that this holds.
//! - `UnionExec` has the partitions of its inputs one after the other, `InterleaveExec` reads one partition of each:
//!   several edges in a stage, each partition of which is opened once.
//! - `SortExec` merges its runs, and everything that spills reads back, in tasks of DataFusion's; files are read and
//!   written in some. No node of the plan is polled there.
//! - Joins and unnesting, which may make many batches of one, let other tasks go on in their [`NamedExec`].
//! - `CooperativeExec`, `OutputRequirementExec`, `UnnestExec`, `AsyncFuncExec`, symmetric and sort-merge joins,
//!   windows, limits and projections execute a partition of each child once, when theirs is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::buffer::BufferExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, replace_children_if_necessary,
};

use super::shared::{ShareId, SharedExec};
use crate::graph::{
    EdgeExec, EdgeKind, EdgeSpec, GraphBuilder, NamedExec, RECURSIVE_TERM, StageId, TaskGraph, asks_after,
    nodes,
};

/// Cuts a finished physical plan into stages. The graph's plans take the place of the plan, which must not be
/// executed as well: they share state.
///
/// # Errors
/// A node that refuses its new children, a repartitioning that the engine does not have.
pub fn lower(plan: Arc<dyn ExecutionPlan>) -> Result<TaskGraph> {
    let mut builder = GraphBuilder::new();
    let plan = Lowering { builder: &mut builder, shared: HashMap::new() }.lowered(plan)?;
    let root = builder.stage(plan)?;
    let graph = builder.finish(root)?;
    if cfg!(debug_assertions) {
        graph.validate()?;
    }
    Ok(graph)
}

struct Lowering<'a> {
    builder: &'a mut GraphBuilder,
    /// The stages of shared subplans that have been met.
    shared: HashMap<ShareId, StageId>,
}

/// A node whose children are being lowered, on a stack of our own: plans are as deep as a query is long.
struct Frame {
    node: Arc<dyn ExecutionPlan>,
    /// Whether an `AnalyzeExec` above shows the node.
    is_shown: bool,
    /// The children that are still to be lowered, the last one first.
    ahead: Vec<Arc<dyn ExecutionPlan>>,
    lowered: Vec<Arc<dyn ExecutionPlan>>,
}

impl Frame {
    fn new(node: Arc<dyn ExecutionPlan>, is_shown: bool, shared: &HashMap<ShareId, StageId>) -> Self {
        let mut ahead: Vec<_> = match node.downcast_ref::<SharedExec>() {
            Some(leaf) if shared.contains_key(&leaf.id()) => Vec::new(),
            Some(leaf) => vec![Arc::clone(leaf.plan())],
            None => node.children().into_iter().cloned().collect(),
        };
        ahead.reverse();
        Self { lowered: Vec::with_capacity(ahead.len()), node, is_shown, ahead }
    }

    /// The next child to be lowered. A recursive term is none.
    fn next(&mut self) -> Option<Arc<dyn ExecutionPlan>> {
        let child = self.ahead.pop()?;
        if self.lowered.len() == RECURSIVE_TERM && self.node.is::<RecursiveQueryExec>() {
            self.lowered.push(child);
            return self.next();
        }
        Some(child)
    }
}

impl Lowering<'_> {
    /// What takes the place of a plan in its stage. Children are lowered from left to right, so that the stages of
    /// a build side come before those of the probe side.
    fn lowered(&mut self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut above = Vec::new();
        let mut frame = Frame::new(plan, false, &self.shared);
        loop {
            if let Some(child) = frame.next() {
                let is_shown = frame.is_shown || frame.node.is::<AnalyzeExec>();
                above.push(frame);
                frame = Frame::new(child, is_shown, &self.shared);
                continue;
            }
            let done = self.node(frame)?;
            match above.pop() {
                None => return Ok(done),
                Some(parent) => frame = parent,
            }
            frame.lowered.push(done);
        }
    }

    /// What takes the place of a node whose children are lowered.
    fn node(&mut self, frame: Frame) -> Result<Arc<dyn ExecutionPlan>> {
        let Frame { node, is_shown, lowered, .. } = frame;
        if let Some(edge) = Cut::of(&node)? {
            let input = only(lowered)?;
            return if edge.moves_rows {
                self.edge(input, edge.spec, is_shown)
            } else {
                passed(input, &edge)
            };
        }
        if node.is::<BufferExec>() {
            return only(lowered);
        }
        if let Some(leaf) = node.downcast_ref::<SharedExec>() {
            return self.shared(leaf, lowered, is_shown);
        }
        // Nothing to replace, but some leaves would be made anew all the same.
        if lowered.is_empty() {
            return Ok(NamedExec::around(node));
        }
        let is_shown = is_shown || node.is::<AnalyzeExec>();
        let children = lowered.into_iter().enumerate().map(|(at, child)| {
            if is_apart(&node, at, &child) { self.gathered(child, is_shown) } else { Ok(child) }
        });
        let children = children.collect::<Result<_>>()?;
        // Its input can be estimated as long as it is whole.
        let asks_after = asks_after(&node);
        Ok(NamedExec::asking(replace_children_if_necessary(node, children)?, asks_after))
    }

    /// Ends a stage; gives the leaf for the next.
    fn edge(
        &mut self,
        input: Arc<dyn ExecutionPlan>,
        mut spec: EdgeSpec,
        is_shown: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        spec.consumed = consumed(&input)?;
        spec.shows_producer = is_shown;
        let stage = self.builder.stage(input)?;
        Ok(NamedExec::around(self.builder.edge(stage, spec)?))
    }

    /// The leaf of a shared subplan. The first one that is met makes a stage of the subplan.
    fn shared(
        &mut self,
        leaf: &SharedExec,
        mut lowered: Vec<Arc<dyn ExecutionPlan>>,
        is_shown: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let is_first = !lowered.is_empty();
        let stage = match (lowered.pop(), self.shared.get(&leaf.id())) {
            (Some(plan), None) => self.builder.stage(plan)?,
            (None, Some(stage)) => *stage,
            _ => return Err(DataFusionError::Internal("a shared subplan is lowered twice".into())),
        };
        self.shared.insert(leaf.id(), stage);
        let mut spec = EdgeSpec::kept(Arc::clone(leaf.properties()));
        spec.shows_producer = is_shown && is_first;
        spec.of = Some(Arc::clone(leaf.called()));
        Ok(NamedExec::around(self.builder.edge(stage, spec)?))
    }

    /// A Gather where the plan has no node: a child that its parent would run by itself.
    fn gathered(&mut self, child: Arc<dyn ExecutionPlan>, is_shown: bool) -> Result<Arc<dyn ExecutionPlan>> {
        let properties = match child.output_partitioning().partition_count() {
            1 => Arc::clone(child.properties()),
            _ => Arc::clone(CoalescePartitionsExec::new(Arc::clone(&child)).properties()),
        };
        let spec = EdgeSpec { is_hidden: true, ..EdgeSpec::new(EdgeKind::Gather, properties) };
        self.edge(child, spec, is_shown)
    }
}

/// Whether a node would run a child in tasks of its own, were it in the same stage.
fn is_apart(node: &Arc<dyn ExecutionPlan>, at: usize, child: &Arc<dyn ExecutionPlan>) -> bool {
    let is_single = child.output_partitioning().partition_count() == 1;
    let is_subquery = node.is::<ScalarSubqueryExec>() && at > 0;
    let is_polled_apart = node.is::<AnalyzeExec>() || node.is::<DataSinkExec>();
    (is_subquery && !is_single) || (is_polled_apart && !(is_single && child.is::<EdgeExec>()))
}

/// A node that becomes an edge, or nothing.
struct Cut {
    spec: EdgeSpec,
    moves_rows: bool,
}

impl Cut {
    fn of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let spec = |kind| EdgeSpec::new(kind, Arc::clone(node.properties()));
        let is_many = |input: &Arc<dyn ExecutionPlan>| input.output_partitioning().partition_count() != 1;
        if let Some(repartition) = node.downcast_ref::<RepartitionExec>() {
            return Self::of_repartition(repartition).map(Some);
        }
        if let Some(coalesce) = node.downcast_ref::<CoalescePartitionsExec>() {
            let spec = EdgeSpec { fetch: coalesce.fetch(), ..spec(EdgeKind::Gather) };
            return Ok(Some(Self { spec, moves_rows: is_many(coalesce.input()) }));
        }
        if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
            let ordering = Some(merge.expr().clone());
            let spec = EdgeSpec { fetch: merge.fetch(), ordering, ..spec(EdgeKind::Merge) };
            return Ok(Some(Self { spec, moves_rows: is_many(merge.input()) }));
        }
        Ok(None)
    }

    fn of_repartition(node: &RepartitionExec) -> Result<Self> {
        let input = node.input();
        let is_one_to_one =
            (input.output_partitioning().partition_count(), node.partitioning().partition_count()) == (1, 1);
        let (kind, is_promise) = match node.partitioning() {
            Partitioning::Hash(..) => (EdgeKind::Shuffle, true),
            Partitioning::Range(_) => (EdgeKind::Range, true),
            Partitioning::RoundRobinBatch(_) => (EdgeKind::Rebalance, false),
            Partitioning::UnknownPartitioning(_) => {
                let what = format!("rows cannot be repartitioned by {}", node.partitioning());
                return Err(DataFusionError::NotImplemented(what));
            }
        };
        // An InterleaveExec takes only inputs that are partitioned alike; one partition may be as good as another,
        // but does not say so.
        let is_needed = is_promise && input.output_partitioning() != node.partitioning();
        // The flag is set only for several partitions; the rows of one keep their order by themselves.
        let ordering = if node.preserve_order() { input.output_ordering().cloned() } else { None };
        let spec = EdgeSpec { ordering, ..EdgeSpec::new(kind, Arc::clone(node.properties())) };
        Ok(Self { spec, moves_rows: !is_one_to_one || is_needed })
    }
}

/// The single partition of an input, with what a node that is no edge would have done to it.
fn passed(input: Arc<dyn ExecutionPlan>, cut: &Cut) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(match cut.spec.fetch {
        Some(fetch) => NamedExec::around(Arc::new(GlobalLimitExec::new(input, 0, Some(fetch)))),
        None => input,
    })
}

fn only(mut lowered: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    match (lowered.pop(), lowered.is_empty()) {
        (Some(child), true) => Ok(child),
        _ => Err(DataFusionError::Internal("a node that moves rows has not one child".into())),
    }
}

/// The dynamic filters that a stage, and those below it, take from those above.
fn consumed(stage: &Arc<dyn ExecutionPlan>) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    let mut seen: HashSet<u64> = nodes(stage)
        .flat_map(|node| node.plan.dynamic_expressions_produced())
        .filter_map(|expr| expr.expression_id())
        .collect();
    let mut found = Vec::new();
    for node in nodes(stage) {
        node.plan.apply_expressions(&mut |root| {
            root.apply(|expr| {
                if expr.expression_id().is_some_and(|id| seen.insert(id)) {
                    found.push(Arc::clone(expr));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
