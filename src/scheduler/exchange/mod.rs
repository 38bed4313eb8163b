//! The transports of edges: from the tasks of one stage to the streams of the next.
//!
//! ```text
//!  task 0 ─┐            ┌─ gate ──────────────┐
//!  task 1 ─┼─ Sender ─▶ │ queue 0 ▒▒▒▒        │ ─▶ stream 0
//!  task 2 ─┘            │ queue 1 ▒▒ (disk) ▒ │ ─▶ stream 1
//!                       └─────────────────────┘
//! ```
//!
//! An edge that keeps its producers' orders has a gate per producer, and each stream merges its queues of all
//! gates.

mod gate;
mod receive;
mod run;
mod send;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, SpillMetrics};
use datafusion::physical_plan::repartition::BatchPartitioner;
use datafusion::physical_plan::{Partitioning, SpillManager};

use crate::error::Stopped;
use crate::graph::{Edge, EdgeId, EdgeKind};
use gate::{Gate, Item};
pub(super) use receive::Reader;
use run::Run;
pub(super) use send::Sender;

/// Tells a job what happens at its exchanges.
pub(super) trait Control: Send + Sync {
    /// A reader wants an edge's rows.
    fn wanted(&self, edge: EdgeId);
    /// A reader is done with a partition of an edge, or of the results.
    fn closed(&self, edge: Option<EdgeId>);
    /// A batch of so many bytes went to disk.
    fn spilled(&self, edge: Option<EdgeId>, bytes: usize);
}

/// The transport of one edge, or of a job's results.
pub(super) struct Exchange {
    /// `None`: of the results.
    edge: Option<EdgeId>,
    route: Route,
    schema: SchemaRef,
    ordering: Option<LexOrdering>,
    fetch: Option<usize>,
    starts_early: bool,
    producers: usize,
    gates: Vec<Gate>,
    /// One per output partition, where producers' small batches are put together; none where order counts.
    coalescers: Vec<Mutex<BatchCoalescer>>,
    /// Producers that have not ended.
    producing: AtomicUsize,
    /// Output partitions that have been opened.
    opened: Vec<AtomicBool>,
    /// Made when the first batch is queued.
    reservation: OnceLock<MemoryReservation>,
    /// Made when the first batch goes to disk, or for the merge that may need it.
    files: OnceLock<SpillManager>,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
    batch_size: usize,
    control: Box<dyn Control>,
}

/// Where a producer's rows go.
#[derive(Debug, Clone)]
enum Route {
    /// All to output partition 0.
    One,
    /// As a partitioning says.
    By(Partitioning),
    /// A producer's own output partition.
    Own,
}

impl Exchange {
    /// The transport of an edge from so many producers.
    pub(super) fn of_edge(
        edge: &Edge,
        producers: usize,
        context: &Arc<TaskContext>,
        control: Box<dyn Control>,
    ) -> Arc<Self> {
        let route = match edge.kind {
            EdgeKind::Gather | EdgeKind::Merge => Route::One,
            EdgeKind::Shuffle | EdgeKind::Rebalance | EdgeKind::Range => {
                Route::By(edge.partitioning().clone())
            }
        };
        let keeps_order = edge.keeps_order() && producers > 1;
        let outputs = edge.output_partitions();
        let metrics = edge.leaf.metrics_set();
        let has_small_batches = match edge.kind {
            // A single producer's rows stay in its order: nothing else may come between them.
            EdgeKind::Shuffle | EdgeKind::Rebalance | EdgeKind::Range => !keeps_order,
            EdgeKind::Gather | EdgeKind::Merge => false,
        };
        let mut exchange =
            Self::new(Some(edge.id), route, edge.schema(), producers, outputs, metrics, context, control);
        exchange.ordering = edge.ordering.clone().filter(|_| keeps_order);
        exchange.fetch = edge.fetch;
        exchange.starts_early = edge.kind.starts_early();
        exchange.gates = match (keeps_order, edge.kind) {
            (true, _) => (0..producers).map(|_| Gate::new(outputs, 1, 1)).collect(),
            // Every producer may hand in a batch while the reader is busy.
            (false, EdgeKind::Gather | EdgeKind::Merge) => vec![Gate::new(outputs, producers, producers)],
            (false, _) => vec![Gate::new(outputs, producers, 1)],
        };
        if has_small_batches {
            let coalescer = || BatchCoalescer::new(edge.schema(), exchange.batch_size);
            let large = Some(exchange.batch_size / 2);
            let coalescer = || Mutex::new(coalescer().with_biggest_coalesce_batch_size(large));
            exchange.coalescers = (0..outputs).map(|_| coalescer()).collect();
        }
        Arc::new(exchange)
    }

    /// The transport of a job's results: gathered, or each of the root's partitions by itself.
    pub(super) fn of_results(
        schema: SchemaRef,
        producers: usize,
        is_gathered: bool,
        context: &Arc<TaskContext>,
        control: Box<dyn Control>,
    ) -> Arc<Self> {
        let (route, outputs) = if is_gathered { (Route::One, 1) } else { (Route::Own, producers) };
        let metrics = &ExecutionPlanMetricsSet::new();
        let mut exchange = Self::new(None, route, schema, producers, outputs, metrics, context, control);
        exchange.gates = match is_gathered {
            true => vec![Gate::new(1, producers, producers.max(2))],
            // Partitions that nobody reads yet must not hold back the others.
            false => (0..producers).map(|_| Gate::new(1, 1, 2)).collect(),
        };
        Arc::new(exchange)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of the two constructors above")]
    fn new(
        edge: Option<EdgeId>,
        route: Route,
        schema: SchemaRef,
        producers: usize,
        outputs: usize,
        metrics: &ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
        control: Box<dyn Control>,
    ) -> Self {
        Self {
            edge,
            route,
            ordering: None,
            fetch: None,
            starts_early: false,
            producers,
            gates: Vec::new(),
            coalescers: Vec::new(),
            producing: AtomicUsize::new(producers),
            opened: (0..outputs).map(|_| AtomicBool::new(false)).collect(),
            reservation: OnceLock::new(),
            files: OnceLock::new(),
            context: Arc::clone(context),
            schema,
            metrics: metrics.clone(),
            batch_size: context.session_config().batch_size(),
            control,
        }
    }

    /// The gate that a producer hands its batches in at.
    fn gate(&self, producer: usize) -> &Gate {
        self.gates.get(producer).filter(|_| self.gates.len() > 1).unwrap_or(&self.gates[0])
    }

    fn reservation(&self) -> &MemoryReservation {
        self.reservation.get_or_init(|| {
            let name = self.edge.map_or_else(|| "Results".to_string(), |edge| format!("Exchange[{edge}]"));
            MemoryConsumer::new(name).with_can_spill(true).register(self.context.memory_pool())
        })
    }

    fn files(&self) -> &SpillManager {
        self.files.get_or_init(|| {
            let metrics = SpillMetrics::new(&self.metrics, 0);
            SpillManager::new(self.context.runtime_env(), metrics, Arc::clone(&self.schema))
        })
    }

    /// The queues that an output partition is read from, each by its gate and its place there.
    fn queues_of(&self, partition: usize) -> Vec<(usize, usize)> {
        match self.route {
            Route::Own => vec![(partition, 0)],
            Route::One | Route::By(_) => (0..self.gates.len()).map(|gate| (gate, partition)).collect(),
        }
    }

    /// The queue that an output partition is read from where no order is kept.
    fn only_queue_of(&self, partition: usize) -> (usize, usize) {
        match self.route {
            Route::Own => (partition, 0),
            Route::One | Route::By(_) => (0, partition),
        }
    }

    /// Puts a batch into a queue, in memory or on disk. A queue that is closed does not take it.
    fn push(&self, gate: &Gate, queue: usize, batch: RecordBatch) -> Result<()> {
        let bytes = batch.get_array_memory_size();
        if self.reservation().try_grow(bytes).is_err() {
            return match gate.is_open(queue) {
                true => self.spill(gate, queue, &batch, bytes),
                false => Ok(()),
            };
        }
        if gate.push(queue, Item::Batch(batch, bytes)).is_err() {
            self.reservation().shrink(bytes);
        }
        Ok(())
    }

    /// Appends to the run at the end of a queue, or begins one.
    fn spill(&self, gate: &Gate, queue: usize, batch: &RecordBatch, bytes: usize) -> Result<()> {
        self.control.spilled(self.edge, bytes);
        if let Some(run) = gate.last_run(queue)
            && run.append(batch)?
        {
            return Ok(());
        }
        // A queue that was closed meanwhile gives the run back, which takes its file along.
        let _ = gate.push(queue, Item::Run(Arc::new(Run::new(self.files(), batch)?)));
        Ok(())
    }

    /// The reader of an output partition is gone.
    fn close(&self, partition: usize) {
        for (gate, queue) in self.queues_of(partition) {
            for item in self.gates[gate].close(queue) {
                if let Item::Batch(_, bytes) = item {
                    self.reservation().shrink(bytes);
                }
            }
        }
        self.control.closed(self.edge);
    }

    /// What divides a producer's batches.
    fn partitioner(&self, partitioning: &Partitioning, producer: usize) -> Result<BatchPartitioner> {
        let time = MetricBuilder::new(&self.metrics).subset_time("repartition_time", producer);
        // Whose turn it is must not depend on the producer where each keeps its order.
        let first = if self.ordering.is_some() { 0 } else { producer };
        BatchPartitioner::try_new(partitioning.clone(), time, first, self.producers)
    }

    /// Ends what is read from it by an error: nothing will come any more.
    pub(super) fn abandon(&self) {
        for gate in &self.gates {
            for queue in 0..gate.queues() {
                // Those that are closed do not mind.
                let _ = gate.push(queue, Item::Failure(stopped()));
            }
        }
    }

    /// The columns of its rows.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Takes note of an output partition's one reader.
    fn open_once(&self, partition: usize) -> Result<()> {
        let opened = self.opened.get(partition).map(|opened| opened.swap(true, Ordering::SeqCst));
        match opened {
            Some(false) => Ok(()),
            Some(true) => Err(internal(&format!("partition {partition} is read twice"))),
            None => Err(internal(&format!("there is no partition {partition}"))),
        }
    }

    /// Puts a batch together with what came before it; gives what is large enough to go on.
    fn coalesce(
        &self,
        output: usize,
        batch: RecordBatch,
        into: &mut Vec<(usize, RecordBatch)>,
    ) -> Result<()> {
        let Some(coalescer) = self.coalescers.get(output) else {
            into.push((output, batch));
            return Ok(());
        };
        let mut coalescer = coalescer.lock().unwrap_or_else(PoisonError::into_inner);
        coalescer.push_batch(batch)?;
        while let Some(batch) = coalescer.next_completed_batch() {
            into.push((output, batch));
        }
        Ok(())
    }

    /// What is left in an output partition's coalescer.
    fn rest(&self, output: usize, into: &mut Vec<(usize, RecordBatch)>) -> Result<()> {
        let Some(coalescer) = self.coalescers.get(output) else { return Ok(()) };
        let mut coalescer = coalescer.lock().unwrap_or_else(PoisonError::into_inner);
        coalescer.finish_buffered_batch()?;
        while let Some(batch) = coalescer.next_completed_batch() {
            into.push((output, batch));
        }
        Ok(())
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("edge", &self.edge)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

/// What readers get in the place of rows that will not come.
fn stopped() -> Arc<DataFusionError> {
    Arc::new(Stopped::error())
}

fn internal(text: &str) -> DataFusionError {
    DataFusionError::Internal(text.into())
}
