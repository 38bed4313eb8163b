//! A graph run by the nodes that its edges stand for: what lowering alone does to a query's rows.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;

use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use query::graph::{Edge, EdgeKind, EdgeReader, TaskGraph};

/// The node that an edge stands for, above the producer's plan.
#[derive(Debug)]
struct Node(Arc<dyn ExecutionPlan>);

impl EdgeReader for Node {
    fn open(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, Arc::clone(context))
    }
}

fn node(graph: &TaskGraph, edge: &Edge) -> Arc<dyn ExecutionPlan> {
    let producer = Arc::clone(&graph.stage(edge.from).plan);
    match edge.kind {
        // Each of its readers would execute the one instance.
        EdgeKind::Forward => unreachable!("a shared stage has no node that it stands for"),
        EdgeKind::Gather => Arc::new(CoalescePartitionsExec::new(producer).with_fetch(edge.fetch)),
        EdgeKind::Merge => {
            let ordering = edge.ordering.clone().unwrap();
            Arc::new(SortPreservingMergeExec::new(ordering, producer).with_fetch(edge.fetch))
        }
        EdgeKind::Shuffle | EdgeKind::Rebalance | EdgeKind::Range => {
            let node = RepartitionExec::try_new(producer, edge.partitioning().clone()).unwrap();
            let node = if edge.keeps_order() { node.with_preserve_order() } else { node };
            assert_eq!(node.preserve_order(), edge.keeps_order());
            Arc::new(node)
        }
    }
}

/// The rows of a graph.
pub(super) async fn rows(graph: &TaskGraph, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
    for edge in graph.edges() {
        edge.leaf.attach(Arc::new(Node(node(graph, edge))));
    }
    collect(Arc::clone(&graph.stage(graph.root()).plan), context).await
}
