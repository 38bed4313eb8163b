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
//! gates. What several stages read is not queued but kept, once for all of them ([`Store`]).

mod coalesce;
mod gate;
mod receive;
mod run;
mod send;
mod store;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::RecordBatch;
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
use coalesce::Coalescers;
use gate::{Gate, Item};
pub(super) use receive::Reader;
use run::Run;
pub(super) use send::Sender;
pub(super) use store::Store;

/// Tells a job what happens at its exchanges.
pub(super) trait Control: Send + Sync {
    /// A reader wants an edge's rows.
    fn wanted(&self, edge: EdgeId);
    /// A reader is done with a partition of an edge, or of the results.
    fn closed(&self, edge: Option<EdgeId>);
    /// A batch of so many bytes went to disk.
    fn spilled(&self, edge: Option<EdgeId>, bytes: usize);
}

/// Where the rows of a stage go.
#[derive(Clone)]
pub(super) enum Output {
    /// To one stage, or to whoever reads the results, as they come.
    Exchange(Arc<Exchange>),
    /// To several stages, which may come at different times.
    Store(Arc<Store>),
}

impl Output {
    /// The reader of an edge is over.
    pub(super) fn release(&self, edge: EdgeId) {
        match self {
            // What is queued for its one reader goes with its streams.
            Self::Exchange(_) => {}
            Self::Store(store) => store.release(edge),
        }
    }
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
    /// Where producers' small batches are put together; of no partition where order counts.
    coalescers: Coalescers,
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
        let keeps_order = edge.keeps_order() && producers > 1;
        let outputs = edge.output_partitions();
        let mut exchange = Self::new(Some(edge.id), edge.schema(), (producers, outputs), context, control);
        exchange.route = match edge.kind {
            EdgeKind::Gather | EdgeKind::Merge => Route::One,
            EdgeKind::Forward => Route::Own,
            EdgeKind::Shuffle | EdgeKind::Rebalance | EdgeKind::Range => {
                Route::By(edge.partitioning().clone())
            }
        };
        exchange.ordering = edge.ordering.clone().filter(|_| keeps_order);
        exchange.fetch = edge.fetch;
        exchange.starts_early = edge.kind.starts_early();
        exchange.metrics = edge.leaf.metrics_set().clone();
        exchange.gates = match (keeps_order, &exchange.route) {
            (_, Route::Own) => (0..producers).map(|_| Gate::new(1, 1, 1)).collect(),
            (true, _) => (0..producers).map(|_| Gate::new(outputs, 1, 1)).collect(),
            // Every producer may hand in a batch while the reader is busy.
            (false, Route::One) => vec![Gate::new(outputs, producers, producers)],
            (false, Route::By(_)) => vec![Gate::new(outputs, producers, 1)],
        };
        // A single producer's rows stay in its order: nothing else may come between them.
        if matches!(exchange.route, Route::By(_)) && !keeps_order {
            exchange.coalescers = Coalescers::new(outputs, &exchange.schema, exchange.batch_size);
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
        let outputs = if is_gathered { 1 } else { producers };
        let mut exchange = Self::new(None, schema, (producers, outputs), context, control);
        (exchange.route, exchange.gates) = match is_gathered {
            true => (Route::One, vec![Gate::new(1, producers, producers.max(2))]),
            // Partitions that nobody reads yet must not hold back the others.
            false => (Route::Own, (0..producers).map(|_| Gate::new(1, 1, 2)).collect()),
        };
        Arc::new(exchange)
    }

    fn new(
        edge: Option<EdgeId>,
        schema: SchemaRef,
        (producers, outputs): (usize, usize),
        context: &Arc<TaskContext>,
        control: Box<dyn Control>,
    ) -> Self {
        Self {
            edge,
            route: Route::One,
            ordering: None,
            fetch: None,
            starts_early: false,
            producers,
            gates: Vec::new(),
            coalescers: Coalescers::default(),
            producing: AtomicUsize::new(producers),
            opened: (0..outputs).map(|_| AtomicBool::new(false)).collect(),
            reservation: OnceLock::new(),
            files: OnceLock::new(),
            context: Arc::clone(context),
            schema,
            metrics: ExecutionPlanMetricsSet::new(),
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
            let compression = self.context.session_config().spill_compression();
            SpillManager::new(self.context.runtime_env(), metrics, Arc::clone(&self.schema))
                .with_compression_type(compression)
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
            && run.append(batch)?.is_some()
        {
            return Ok(());
        }
        let run = Run::new(self.files())?;
        run.append(batch)?;
        // A queue that was closed meanwhile gives the run back, which takes its file along.
        let _ = gate.push(queue, Item::Run(Arc::new(run)));
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
