//! What holds in every graph.

use std::ptr;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::{Edge, EdgeId, EdgeKind, Stage, StageId, TaskGraph, Transport, nodes};

impl TaskGraph {
    /// Checks what those that run a graph rely on:
    ///
    /// - A stage's or an edge's id is its index. Producers come before those that read them, so there is no cycle.
    /// - A stage's inputs are the edges among the leaves of its plan, in their order; each edge's leaf is at one
    ///   place in one stage, its reader. A stage's outputs are the edges that come from it.
    /// - One stage has no output: the root.
    /// - A stage has as many tasks as its plan has partitions. An edge's kind and its partitioning agree: a Gather
    ///   and a Merge have one partition, a Merge knows its order and a Gather has none. The columns of an edge are
    ///   those of its producer.
    /// - Rows on their way have one reader; kept ones may have several, and are kept by partition: their edges are
    ///   Forwards, which have the partitions of the producer and no order of their own, and only theirs are.
    /// - No plan moves rows between partitions by itself, outside of recursive terms.
    ///
    /// # Errors
    /// What does not hold, and where.
    pub fn validate(&self) -> Result<()> {
        self.check_ids()?;
        self.check_edges()?;
        self.stages.iter().try_for_each(|stage| self.check_stage(stage))?;
        self.check_outputs()
    }

    fn check_ids(&self) -> Result<()> {
        for (index, stage) in self.stages.iter().enumerate() {
            check(stage.id == StageId::new(index), || format!("stage {} is at index {index}", stage.id))?;
        }
        for (index, edge) in self.edges.iter().enumerate() {
            check(edge.id == EdgeId::new(index), || format!("edge {} is at index {index}", edge.id))?;
        }
        check(self.root.index() < self.stages.len(), || format!("there is no stage {}, the root", self.root))
    }

    fn check_edges(&self) -> Result<()> {
        for edge in &self.edges {
            let Edge { id, from, to, .. } = edge;
            check(to.index() < self.stages.len(), || {
                format!("edge {id} goes to stage {to}, which is not there")
            })?;
            check(from < to, || {
                format!("edge {id} goes from stage {from} to stage {to}, which comes before it")
            })?;
            check(edge.leaf.edge() == *id, || {
                format!("the leaf of edge {id} is edge {}'s", edge.leaf.edge())
            })?;
            check_kind(edge, self.stage(*from).partitions)?;
            let columns = |schema: datafusion::arrow::datatypes::SchemaRef| {
                schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
            };
            check(columns(edge.schema()) == columns(self.stage(*from).plan.schema()), || {
                format!("edge {id} has other columns than stage {from}, which it comes from")
            })?;
        }
        Ok(())
    }

    fn check_stage(&self, stage: &Stage) -> Result<()> {
        let Stage { id, plan, inputs, .. } = stage;
        let partitions = plan.output_partitioning().partition_count();
        check(stage.partitions == partitions, || {
            format!("stage {id} has {} tasks for {partitions} partitions", stage.partitions)
        })?;
        let mut leaves = Vec::new();
        for node in nodes(plan) {
            let name = node.plan.name();
            check(node.recursive || !moves_rows(node.plan.as_ref()), || {
                format!("{name} in stage {id} moves rows by itself")
            })?;
            let Some(leaf) = node.edge() else { continue };
            leaves.push(leaf.edge());
            check(!node.recursive, || {
                format!("edge {} is within a recursive term in stage {id}", leaf.edge())
            })?;
            let own = self.edges.get(leaf.edge().index()).map(|edge| edge.leaf.as_ref());
            check(own.is_some_and(|own| ptr::eq(own, leaf)), || {
                format!("stage {id} has a leaf for edge {} that is not the graph's", leaf.edge())
            })?;
        }
        check(leaves == *inputs, || format!("stage {id} has leaves for {leaves:?}, but reads {inputs:?}"))
    }

    /// Both ends of an edge know it, once.
    fn check_outputs(&self) -> Result<()> {
        let mut outputs = vec![Vec::new(); self.stages.len()];
        let mut readers = vec![Vec::new(); self.edges.len()];
        for edge in &self.edges {
            outputs[edge.from.index()].push(edge.id);
        }
        for stage in &self.stages {
            for input in &stage.inputs {
                readers[input.index()].push(stage.id);
            }
        }
        for edge in &self.edges {
            let readers = &readers[edge.id.index()];
            check(*readers == [edge.to], || {
                format!("edge {} goes to stage {}, but is read by {readers:?}", edge.id, edge.to)
            })?;
        }
        for (stage, outputs) in self.stages.iter().zip(outputs) {
            let id = stage.id;
            check(stage.outputs == outputs, || {
                format!("{outputs:?} come from stage {id}, but it knows of {:?}", stage.outputs)
            })?;
            check(outputs.is_empty() == (id == self.root), || match outputs.is_empty() {
                true => format!("nothing reads stage {id}"),
                false => format!("the root, stage {id}, is read by another stage"),
            })?;
            let is_kept = |edge: &EdgeId| self.edge(*edge).transport == Transport::Materialized;
            check(outputs.len() <= 1 || outputs.iter().all(is_kept), || {
                format!("stage {id} has several readers, but its rows are not kept")
            })?;
        }
        Ok(())
    }
}

/// Whether a kind, a partitioning, an order and a transport go together, with so many partitions of the producer.
fn check_kind(edge: &Edge, producers: usize) -> Result<()> {
    let is_one = edge.output_partitions() == 1;
    let (fits, has_order) = match edge.kind {
        EdgeKind::Gather => (is_one, Some(false)),
        EdgeKind::Merge => (is_one, Some(true)),
        EdgeKind::Shuffle => (matches!(edge.partitioning(), Partitioning::Hash(..)), None),
        EdgeKind::Rebalance => (matches!(edge.partitioning(), Partitioning::RoundRobinBatch(_)), None),
        EdgeKind::Range => (matches!(edge.partitioning(), Partitioning::Range(_)), None),
        EdgeKind::Forward => (edge.output_partitions() == producers, Some(false)),
    };
    let Edge { id, kind, .. } = edge;
    check(fits, || format!("edge {id}, a {kind}, is partitioned by {}", edge.partitioning()))?;
    let is_kept = edge.transport == Transport::Materialized;
    check(is_kept == (*kind == EdgeKind::Forward), || match is_kept {
        true => format!("edge {id}, a {kind}, is kept, but not by partition"),
        false => format!("edge {id}, a {kind}, is not kept"),
    })?;
    check(has_order.is_none_or(|has| has == edge.keeps_order()), || match edge.keeps_order() {
        true => format!("edge {id}, a {kind}, has an order"),
        false => format!("edge {id}, a {kind}, has no order"),
    })
}

fn moves_rows(node: &dyn ExecutionPlan) -> bool {
    node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<SortPreservingMergeExec>()
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(DataFusionError::Internal(format!("broken task graph: {}", otherwise()))) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::union::UnionExec;

    use super::*;
    use crate::graph::{EdgeExec, EdgeSpec, GraphBuilder};

    fn rows(column: &str, data_type: DataType, partitions: usize) -> Arc<dyn ExecutionPlan> {
        let schema = Schema::new(vec![Field::new(column, data_type, true)]);
        Arc::new(EmptyExec::new(Arc::new(schema)).with_partitions(partitions))
    }

    fn table(partitions: usize) -> Arc<dyn ExecutionPlan> {
        rows("a", DataType::Int64, partitions)
    }

    fn gather() -> EdgeSpec {
        let node = CoalescePartitionsExec::new(table(2));
        EdgeSpec::new(EdgeKind::Gather, Arc::clone(node.properties()))
    }

    fn shuffle() -> EdgeSpec {
        let plan = table(2);
        let hash = Partitioning::Hash(vec![col("a", &plan.schema()).unwrap()], 3);
        let node = RepartitionExec::try_new(plan, hash).unwrap();
        EdgeSpec::new(EdgeKind::Shuffle, Arc::clone(node.properties()))
    }

    /// ```text
    ///  stage 0 ─ edge 0, a Gather ─▶ stage 2 ─ edge 2, a Gather ─▶ stage 3, the root
    ///  stage 1 ─ edge 1, a Shuffle ─▶ stage 2
    /// ```
    fn graph() -> TaskGraph {
        let mut builder = GraphBuilder::new();
        let first = builder.stage(table(2)).unwrap();
        let left = builder.edge(first, gather()).unwrap();
        let second = builder.stage(table(2)).unwrap();
        let right = builder.edge(second, shuffle()).unwrap();
        let union = builder.stage(UnionExec::try_new(vec![left, right]).unwrap()).unwrap();
        let top = builder.edge(union, gather()).unwrap();
        let root = builder.stage(top).unwrap();
        builder.finish(root).unwrap()
    }

    fn broken(by: impl FnOnce(&mut TaskGraph)) -> String {
        let mut graph = graph();
        graph.validate().unwrap();
        by(&mut graph);
        graph.validate().unwrap_err().to_string()
    }

    #[track_caller]
    fn refused(text: &str, by: impl FnOnce(&mut TaskGraph)) {
        let error = broken(by);
        assert!(error.contains(text), "{error}");
    }

    fn a_leaf(id: EdgeId) -> Arc<EdgeExec> {
        Arc::new(EdgeExec::new(id, &gather(), &table(2)))
    }

    #[test]
    fn ids_are_indices() {
        refused("stage 1 is at index 0", |graph| graph.stages[0].id = StageId::new(1));
        refused("edge 0 is at index 1", |graph| graph.edges[1].id = EdgeId::new(0));
        refused("there is no stage 4, the root", |graph| graph.root = StageId::new(4));
    }

    #[test]
    fn producers_come_first() {
        refused("from stage 2 to stage 2", |graph| graph.edges[0].from = StageId::new(2));
        refused("from stage 0 to stage 0", |graph| graph.edges[0].to = StageId::new(0));
        refused("stage 9, which is not there", |graph| graph.edges[0].to = StageId::new(9));
        // A cycle between two stages has an edge that goes back.
        refused("from stage 3 to stage 2", |graph| graph.edges[0].from = graph.root);
    }

    #[test]
    fn a_leaf_is_at_one_place_in_its_reader() {
        refused("the leaf of edge 0 is edge 2's", |graph| {
            graph.edges[0].leaf = Arc::clone(&graph.edges[2].leaf)
        });
        refused("leaf for edge 0 that is not the graph's", |graph| {
            graph.edges[0].leaf = a_leaf(EdgeId::new(0))
        });
        refused("leaf for edge 7 that is not the graph's", |graph| {
            graph.stages[3].plan = a_leaf(EdgeId::new(7));
        });
        refused("stage 2 has leaves for", |graph| {
            let leaf = Arc::clone(&graph.edges[0].leaf);
            graph.stages[2].plan =
                UnionExec::try_new(vec![leaf.clone(), leaf.clone(), leaf.clone(), leaf]).unwrap();
        });
        refused("stage 0 has leaves for", |graph| {
            let leaf = Arc::clone(&graph.edges[0].leaf);
            graph.stages[0].plan = UnionExec::try_new(vec![leaf, table(1)]).unwrap();
        });
    }

    #[test]
    fn inputs_are_the_leaves_in_their_order() {
        refused("stage 2 has leaves for", |graph| graph.stages[2].inputs.reverse());
        refused("stage 2 has leaves for", |graph| graph.stages[2].inputs.truncate(1));
        refused("stage 3 has leaves for", |graph| graph.stages[3].inputs.push(EdgeId::new(0)));
    }

    #[test]
    fn both_ends_know_an_edge() {
        refused("edge 0 goes to stage 3, but is read by", |graph| graph.edges[0].to = graph.root);
        refused("come from stage 0, but it knows of []", |graph| graph.stages[0].outputs.clear());
        refused("come from stage 0", |graph| graph.stages[0].outputs.push(EdgeId::new(1)));
    }

    #[test]
    fn an_edge_has_a_reader() {
        refused("is read by []", |graph| {
            graph.stages[3].plan = table(1);
            graph.stages[3].inputs.clear();
        });
    }

    #[test]
    fn the_root_alone_has_no_reader() {
        refused("the root, stage 2, is read", |graph| graph.root = StageId::new(2));
        refused("nothing reads stage 4", |graph| {
            let mut stage = graph.stages[0].clone();
            stage.id = StageId::new(4);
            stage.outputs.clear();
            graph.stages.push(stage);
        });
        let error = broken(|graph| {
            graph.edges.pop();
            graph.stages[2].outputs.clear();
            graph.stages[3].plan = table(1);
            graph.stages[3].inputs.clear();
        });
        assert!(error.contains("nothing reads stage 2"), "{error}");
    }

    #[test]
    fn a_stage_has_a_task_for_each_partition() {
        refused("stage 2 has 3 tasks for 4 partitions", |graph| graph.stages[2].partitions = 3);
    }

    #[test]
    fn kind_partitioning_and_order_agree() {
        let by_a = || {
            let column = col("a", &table(1).schema()).unwrap();
            Some(LexOrdering::from([PhysicalSortExpr::new_default(column)]))
        };
        refused("edge 1, a Gather, is partitioned by Hash", |graph| graph.edges[1].kind = EdgeKind::Gather);
        refused("edge 1, a Merge, is partitioned by Hash", |graph| graph.edges[1].kind = EdgeKind::Merge);
        refused("edge 1, a Rebalance, is partitioned by Hash", |graph| {
            graph.edges[1].kind = EdgeKind::Rebalance;
        });
        refused("edge 1, a Range, is partitioned by Hash", |graph| graph.edges[1].kind = EdgeKind::Range);
        refused("edge 0, a Shuffle, is partitioned by Unknown", |graph| {
            graph.edges[0].kind = EdgeKind::Shuffle
        });
        refused("edge 0, a Merge, has no order", |graph| graph.edges[0].kind = EdgeKind::Merge);
        refused("edge 0, a Gather, has an order", |graph| graph.edges[0].ordering = by_a());
        let mut graph = graph();
        graph.edges[1].ordering = by_a();
        graph.validate().unwrap();
    }

    #[test]
    fn an_edge_has_the_columns_of_its_producer() {
        refused("edge 0 has other columns than stage 0", |graph| {
            graph.stages[0].plan = rows("a", DataType::Utf8, 2);
        });
    }

    #[test]
    fn only_kept_rows_have_several_readers() {
        let graph = |spec: EdgeSpec, readers: usize| {
            let mut builder = GraphBuilder::new();
            let shared = builder.stage(table(2)).unwrap();
            let leaf = |_| builder.edge(shared, spec.clone()).unwrap() as Arc<dyn ExecutionPlan>;
            let union = UnionExec::try_new((0..readers).map(leaf).collect()).unwrap();
            let root = builder.stage(union).unwrap();
            builder.finish(root).unwrap()
        };
        let kept = |partitions| EdgeSpec::kept(Arc::clone(table(partitions).properties()));
        graph(kept(2), 2).validate().unwrap();
        let refused = |spec, text: &str| {
            let error = graph(spec, 2).validate().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        refused(gather(), "stage 0 has several readers");
        refused(kept(3), "a Forward, is partitioned by UnknownPartitioning(3)");
        refused(EdgeSpec { transport: Transport::Materialized, ..gather() }, "a Gather, is kept, but not by");
        refused(EdgeSpec { transport: Transport::Pipelined, ..kept(2) }, "a Forward, is not kept");
    }

    #[test]
    fn no_plan_moves_rows_by_itself() {
        refused("CoalescePartitionsExec in stage 0", |graph| {
            graph.stages[0].plan = Arc::new(CoalescePartitionsExec::new(table(2)));
            graph.stages[0].partitions = 1;
        });
        refused("RepartitionExec in stage 0", |graph| {
            let node = RepartitionExec::try_new(table(3), Partitioning::RoundRobinBatch(2)).unwrap();
            graph.stages[0].plan = Arc::new(node);
        });
        refused("SortPreservingMergeExec in stage 0", |graph| {
            let column = col("a", &table(1).schema()).unwrap();
            let by_a = LexOrdering::from([PhysicalSortExpr::new_default(column)]);
            graph.stages[0].plan = Arc::new(SortPreservingMergeExec::new(by_a, table(2)));
            graph.stages[0].partitions = 1;
        });
    }
}
