//! What a task costs: graphs of many tasks that do nothing but hand on one batch, through the same path as queries,
//! with every event listened to. `benches/tasks.py` does the same with Dask.
//!
//! Prints, for each shape and size, the seconds from the submission to the end of the job, and at last the slope
//! between the smallest and the largest graph in microseconds a task. Arguments choose shapes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints figures"
)]

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;
use query::graph::{EdgeKind, EdgeSpec, GraphBuilder, StageId, TaskGraph};
use query::scheduler::event::{Observers, What};
use query::scheduler::{Engine, Job, JobOptions, Results, Workers};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const RUNS: usize = 5;
/// How many stages a stage of the tree reads.
const FAN_IN: usize = 10;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Null, true)]))
}

/// Partitions of one batch of one row each.
fn scan(partitions: usize) -> Arc<dyn ExecutionPlan> {
    Arc::new(PlaceholderRowExec::new(schema()).with_partitions(partitions))
}

fn gather(builder: &mut GraphBuilder, from: StageId) -> Arc<dyn ExecutionPlan> {
    let properties = PlanProperties::new(
        EquivalenceProperties::new(schema()),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    );
    builder.edge(from, EdgeSpec::new(EdgeKind::Gather, Arc::new(properties))).unwrap()
}

/// What reads all of its inputs and gives one batch, as a task of Dask has one result.
#[derive(Debug)]
struct One {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

fn one(inputs: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
    let properties = Arc::clone(inputs[0].properties());
    Arc::new(One { inputs, properties })
}

impl DisplayAs for One {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("One")
    }
}

impl ExecutionPlan for One {
    fn name(&self) -> &'static str {
        "One"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(one(inputs))
    }

    fn with_new_children(
        self: Arc<Self>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(one(inputs))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = self.inputs.iter().map(|input| input.execute(partition, Arc::clone(&context)));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let last = async move {
            let mut last = RecordBatch::new_empty(schema());
            for mut input in inputs {
                while let Some(batch) = input.next().await {
                    last = batch?;
                }
            }
            Ok(last)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), futures::stream::once(last))))
    }
}

/// So many tasks beside each other, gathered by one.
fn independent(tasks: usize) -> TaskGraph {
    let mut builder = GraphBuilder::new();
    let scan = builder.stage(scan(tasks)).unwrap();
    let rows = gather(&mut builder, scan);
    let root = builder.stage(one(vec![rows])).unwrap();
    builder.finish(root).unwrap()
}

/// So many tasks, each of which reads the one before.
fn chain(tasks: usize) -> TaskGraph {
    let mut builder = GraphBuilder::new();
    let mut last = builder.stage(scan(1)).unwrap();
    for _ in 0..tasks {
        let rows = gather(&mut builder, last);
        last = builder.stage(rows).unwrap();
    }
    builder.finish(last).unwrap()
}

/// A tree whose tasks read ten others each.
fn tree(tasks: usize) -> TaskGraph {
    let mut builder = GraphBuilder::new();
    let leaves = tasks * (FAN_IN - 1) / FAN_IN;
    let mut level: Vec<_> = (0..leaves.max(1)).map(|_| builder.stage(scan(1)).unwrap()).collect();
    while level.len() > 1 {
        level = level
            .chunks(FAN_IN)
            .map(|stages| {
                let inputs: Vec<_> = stages.iter().map(|stage| gather(&mut builder, *stage)).collect();
                builder.stage(one(inputs)).unwrap()
            })
            .collect();
    }
    builder.finish(level[0]).unwrap()
}

/// Seconds from the submission to the last event.
fn seconds(graph: TaskGraph, runtime: &tokio::runtime::Runtime) -> f64 {
    let tasks = graph.tasks();
    let (every, mut records) = tokio::sync::mpsc::unbounded_channel();
    let threads = std::thread::available_parallelism().unwrap().get();
    let engine = Engine::Local(Workers::of_the_process(threads).unwrap());
    let observers = Observers { every: vec![every], ..Observers::default() };
    let options = JobOptions { engine, results: Results::Gathered, observers };
    let context = Arc::new(TaskContext::default());
    let begin = Instant::now();
    runtime.block_on(async {
        let job = Job::submit(graph, context, options);
        let mut rows = job.stream(0).unwrap();
        while let Some(batch) = rows.next().await {
            batch.unwrap();
        }
    });
    let took = begin.elapsed().as_secs_f64();
    // As a run record does, the listener reads when the job is over.
    let records = std::iter::from_fn(|| records.blocking_recv());
    let records = records.take_while(|record| !matches!(record.what, What::JobEnded(_)));
    let ended = records.filter(|record| matches!(record.what, What::TaskEnded(..))).count();
    assert_eq!(ended, tasks);
    took
}

fn main() {
    // `cargo test --benches` and the like ask for nothing to be measured.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let chosen: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    type Shape = fn(usize) -> TaskGraph;
    let shapes: [(&str, Shape); 3] = [("independent", independent), ("chain", chain), ("tree", tree)];
    for (name, shape) in shapes {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| chosen == name) {
            continue;
        }
        let mut points = Vec::new();
        for size in SIZES {
            let tasks = shape(size).tasks();
            let least = (0..RUNS).map(|_| seconds(shape(size), &runtime)).fold(f64::INFINITY, f64::min);
            println!("{name:12} {tasks:7} tasks {least:9.4} s");
            points.push((tasks, least));
        }
        let ((few, fast), (many, slow)) = (points[0], points[points.len() - 1]);
        println!("{name:12} {:.3} µs a task", (slow - fast) * 1e6 / (many - few) as f64);
    }
}
