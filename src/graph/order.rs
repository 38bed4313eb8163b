//! A static order of stages: which to prefer among those that could run.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{SortMergeJoinExec, SymmetricHashJoinExec};
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};

use super::{EdgeExec, EdgeId, TaskGraph};

impl TaskGraph {
    /// A rank for each stage, by its index; among stages that have something to do the lower one runs first.
    ///
    /// After Dask's order: depth first from the root, so that what has been begun is ended before more is begun. A
    /// stage comes before those that it reads: where both could run, taking rows from an edge frees memory and
    /// adding to it takes some. Of several inputs that one comes first, with all below it, that the others wait
    /// for: scalar subqueries before the query, the build side of a join before its probe side. Where nothing waits
    /// (unions, merge joins) the input with the longest way to go comes first. A stage with several readers takes
    /// its place from the first.
    ///
    /// ```text
    ///            0 Join
    ///            ╱    ╲
    ///     build ╱      ╲ probe
    ///     1 GroupBy    3 Map
    ///     2 Scan       4 Scan
    /// ```
    ///
    /// All ranks differ. Takes time in the size of the graph.
    pub fn priorities(&self) -> Vec<u32> {
        let mut lengths = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let below = stage.inputs.iter().map(|input| lengths[self.edge(*input).from.index()] + 1).max();
            lengths.push(below.unwrap_or(0_usize));
        }
        let mut ranks = vec![u32::MAX; self.stages.len()];
        let mut next = 0;
        let mut ahead = vec![self.root];
        while let Some(stage) = ahead.pop() {
            let rank = &mut ranks[stage.index()];
            if *rank != u32::MAX {
                continue;
            }
            *rank = next;
            next += 1;
            let length = |edge: EdgeId| lengths[self.edge(edge).from.index()];
            let inputs = inputs(&self.stage(stage).plan, length);
            ahead.extend(inputs.into_iter().rev().map(|edge| self.edge(edge).from));
        }
        ranks
    }
}

/// The edges that a part of a plan reads, in the order in which it needs them, and the longest way below one.
#[derive(Default)]
struct Inputs {
    edges: Vec<EdgeId>,
    length: usize,
}

impl Inputs {
    fn and(mut self, mut after: Self) -> Self {
        // Most nodes have one child, whose list goes up as it is.
        if self.edges.is_empty() {
            std::mem::swap(&mut self.edges, &mut after.edges);
        }
        self.edges.append(&mut after.edges);
        Self { edges: self.edges, length: self.length.max(after.length) }
    }
}

/// The edges that a stage reads, in the order in which it needs them.
fn inputs(plan: &Arc<dyn ExecutionPlan>, length: impl Fn(EdgeId) -> usize) -> Vec<EdgeId> {
    /// A node, the children still to be visited, the last one first, and what the others read.
    type Frame<'a> = (&'a Arc<dyn ExecutionPlan>, Vec<&'a Arc<dyn ExecutionPlan>>, Vec<Inputs>);
    fn frame(node: &Arc<dyn ExecutionPlan>) -> Frame<'_> {
        let mut children = if node.is::<EdgeExec>() { Vec::new() } else { node.children() };
        children.reverse();
        (node, children, Vec::new())
    }

    let mut above = Vec::new();
    let mut current = frame(plan);
    loop {
        if let Some(child) = current.1.pop() {
            above.push(current);
            current = frame(child);
            continue;
        }
        let (node, _, children) = current;
        let done = match node.downcast_ref::<EdgeExec>() {
            Some(leaf) => Inputs { edges: vec![leaf.edge()], length: length(leaf.edge()) },
            None => in_order(node, children).into_iter().fold(Inputs::default(), Inputs::and),
        };
        match above.pop() {
            None => return done.edges,
            Some(parent) => current = parent,
        }
        current.2.push(done);
    }
}

/// A node's children in the order in which it needs their rows. Most need them from left to right: a join's build
/// side is on the left.
fn in_order(node: &Arc<dyn ExecutionPlan>, mut children: Vec<Inputs>) -> Vec<Inputs> {
    if node.is::<ScalarSubqueryExec>() {
        // The input comes first in the plan, and is executed last.
        children.rotate_left(1);
    }
    let is_even = node.is::<UnionExec>()
        || node.is::<InterleaveExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<SymmetricHashJoinExec>();
    if is_even {
        children.sort_by_key(|child| std::cmp::Reverse(child.length));
    }
    children
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::logical_expr::physical_planning_context::{ScalarSubqueryResults, SubqueryIndex};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::joins::CrossJoinExec;
    use datafusion::physical_plan::scalar_subquery::ScalarSubqueryLink;

    use super::*;
    use crate::graph::{EdgeKind, EdgeSpec, GraphBuilder};

    fn table() -> Arc<dyn ExecutionPlan> {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        Arc::new(EmptyExec::new(Arc::new(schema)).with_partitions(2))
    }

    /// Ends a stage by a Gather; gives its leaf.
    fn ended(builder: &mut GraphBuilder, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let node = CoalescePartitionsExec::new(Arc::clone(&plan));
        let spec = EdgeSpec::new(EdgeKind::Gather, Arc::clone(node.properties()));
        let stage = builder.stage(plan).unwrap();
        builder.edge(stage, spec).unwrap()
    }

    /// A chain of stages; gives the leaf for the last.
    fn chain(builder: &mut GraphBuilder, stages: usize) -> Arc<dyn ExecutionPlan> {
        (0..stages).fold(table(), |plan, _| ended(builder, plan))
    }

    fn ranks(mut builder: GraphBuilder, root: Arc<dyn ExecutionPlan>) -> Vec<u32> {
        let root = builder.stage(root).unwrap();
        let graph = builder.finish(root).unwrap();
        assert_eq!(graph.priorities(), graph.priorities());
        graph.priorities()
    }

    #[test]
    fn a_build_side_comes_before_the_probe_side_with_all_below_it() {
        let mut builder = GraphBuilder::new();
        let build = chain(&mut builder, 3);
        let probe = chain(&mut builder, 2);
        let join = CrossJoinExec::new(build, probe);
        // Stages 0, 1 and 2 are the build side, 3 and 4 the probe side, each from its scan.
        assert_eq!(ranks(builder, Arc::new(join)), [3, 2, 1, 5, 4, 0]);
    }

    #[test]
    fn all_build_sides_of_nested_joins_come_before_the_last_probe_side() {
        let mut builder = GraphBuilder::new();
        let [outer, inner, probe] = [(); 3].map(|()| chain(&mut builder, 1));
        let join = CrossJoinExec::new(outer, Arc::new(CrossJoinExec::new(inner, probe)));
        assert_eq!(ranks(builder, Arc::new(join)), [1, 2, 3, 0]);
    }

    #[test]
    fn a_scalar_subquery_comes_before_the_query() {
        let mut builder = GraphBuilder::new();
        let input = chain(&mut builder, 1);
        let plan = chain(&mut builder, 1);
        let link = ScalarSubqueryLink { plan, index: SubqueryIndex::new(0) };
        let node = ScalarSubqueryExec::new(input, vec![link], ScalarSubqueryResults::new(1));
        assert_eq!(ranks(builder, Arc::new(node)), [2, 1, 0]);
    }

    #[test]
    fn of_arms_that_do_not_wait_the_longest_comes_first() {
        let mut builder = GraphBuilder::new();
        let arms = [1, 2, 1].map(|stages| chain(&mut builder, stages)).to_vec();
        let union = UnionExec::try_new(arms).unwrap();
        // Stage 0 is the first arm, 1 and 2 the second, 3 the third.
        assert_eq!(ranks(builder, union), [3, 2, 1, 4, 0]);
    }

    #[test]
    fn a_stage_with_several_readers_takes_its_place_from_the_first() {
        let mut builder = GraphBuilder::new();
        let shared = builder.stage(table()).unwrap();
        let spec = EdgeSpec::kept(Arc::clone(table().properties()));
        let [build, probe] = [(); 2].map(|()| builder.edge(shared, spec.clone()).unwrap());
        let build = ended(&mut builder, build);
        let probe = ended(&mut builder, probe);
        let join = CrossJoinExec::new(build, probe);
        assert_eq!(ranks(builder, Arc::new(join)), [2, 1, 3, 0]);
    }

    #[test]
    fn a_hundred_thousand_stages_in_a_row_have_an_order() {
        let mut builder = GraphBuilder::new();
        let leaf = chain(&mut builder, 100_000);
        let ranks = ranks(builder, leaf);
        assert!(ranks.into_iter().rev().eq(0..=100_000));
    }
}
