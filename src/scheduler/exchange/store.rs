//! The rows of a stage that several others read, kept until the last of them has passed.
//!
//! ```text
//!            ┌─ store ───────────────────────────┐  ┌▶ stream 0 of reader 0
//!  task 0 ─▶ │ partition 0  ▒▒▒▒▒▒▒▒ (disk) ▒▒   │ ─┴▶ stream 0 of reader 1
//!  task 1 ─▶ │ partition 1      ▒▒▒▒▒▒ (disk)    │ ─┬▶ stream 1 of reader 0
//!            └───────────────────────────────────┘  └▶ stream 1 of reader 1
//! ```
//!
//! A producer never waits: of two inputs of a join that read the same rows, one is read to its end before the other
//! begins. Readers are known from the graph, so one that comes when the others have gone finds all rows.
//!
//! # Memory
//! A batch is held once, however many read it, and counts once. A store takes no more than a part of the limit
//! ([`SHARE`]): what it holds stays held when its producers are done, where nothing could make it give way to the
//! operators that are still to come, and joins cannot spill. What is beyond goes to disk; a run that has begun is
//! filled to its end before memory is asked again, or a pool that has a little room now and then would make a file of
//! each gap.
//!
//! What is in memory stays there, and only new rows go to disk. All readers begin at the first row, so these are the
//! next to be read and the next to be freed, and the newest are those that are not needed for longest. Moving the
//! older ones would write what is about to be read.

mod held;
mod kept;
mod reader;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};

use super::run::Run;
use super::{Control, internal};
use crate::graph::{Edge, EdgeId, Stage, StageId};
use held::Held;
use kept::{End, Kept, Next};
pub(super) use reader::StoreReader;

/// The part of the memory limit, one of so many, that a store may hold.
const SHARE: usize = 4;

/// The rows of a stage, for all edges that read it.
pub(in crate::scheduler) struct Store {
    /// The edges, each a reader of every partition.
    edges: Vec<EdgeId>,
    partitions: Vec<Kept>,
    memory: Memory,
    schema: SchemaRef,
    /// Made when the first batch goes to disk.
    files: OnceLock<SpillManager>,
    /// Where what goes to disk is counted: at the first of the edges.
    metrics: ExecutionPlanMetricsSet,
    control: Box<dyn Control>,
}

impl Store {
    /// The store of a stage. `first`: the first of its edges.
    pub(in crate::scheduler) fn new(
        stage: &Stage,
        first: &Edge,
        context: &Arc<TaskContext>,
        control: Box<dyn Control>,
    ) -> Arc<Self> {
        let readers = stage.outputs.len();
        Arc::new(Self {
            edges: stage.outputs.clone(),
            partitions: (0..stage.partitions).map(|_| Kept::new(readers)).collect(),
            memory: Memory { stage: stage.id, context: Arc::clone(context), reservation: OnceLock::new() },
            schema: stage.plan.schema(),
            files: OnceLock::new(),
            metrics: first.leaf.metrics_set().clone(),
            control,
        })
    }

    /// What gives the rows to an edge's leaf.
    pub(in crate::scheduler) fn reader(self: &Arc<Self>, edge: &Edge) -> StoreReader {
        StoreReader {
            store: Arc::clone(self),
            reader: self.place(edge.id),
            schema: edge.schema(),
            fetch: edge.fetch,
            metrics: edge.leaf.metrics_set().clone(),
        }
    }

    /// Which reader an edge is.
    fn place(&self, edge: EdgeId) -> usize {
        self.edges.iter().position(|own| *own == edge).unwrap_or(self.edges.len())
    }

    /// Keeps a batch. False: nobody wants more of the partition.
    ///
    /// # Errors
    /// A full disk, or the limit of temporary files.
    pub(super) fn push(&self, partition: usize, batch: RecordBatch) -> Result<bool> {
        let kept = &self.partitions[partition];
        if !kept.is_wanted() {
            return Ok(false);
        }
        if batch.num_rows() == 0 {
            return Ok(true);
        }
        if let Some(run) = kept.last_run() {
            if let Some(bytes) = run.append(&batch)? {
                self.tell_spilled(bytes);
                kept.appended(&self.memory);
                return Ok(true);
            }
            run.end()?;
        }
        if let Err(batch) = kept.push(batch, &self.memory) {
            let run = Run::new(self.files())?;
            self.tell_spilled(run.append(&batch)?.unwrap_or(0));
            kept.push_run(Arc::new(run), &self.memory);
        }
        Ok(true)
    }

    /// Said of the first edge only: what all read was written once.
    fn tell_spilled(&self, bytes: usize) {
        self.control.spilled(self.edges.first().copied(), bytes);
    }

    /// All rows of a partition are there.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn finish(&self, partition: usize) -> Result<()> {
        let kept = &self.partitions[partition];
        if let Some(run) = kept.last_run() {
            run.end()?;
        }
        kept.end(End::Done, &self.memory);
        Ok(())
    }

    /// The rows of a partition end by an error, which all its readers get.
    pub(super) fn fail(&self, partition: usize, error: &Arc<DataFusionError>) {
        self.partitions[partition].end(End::Failed(Arc::clone(error)), &self.memory);
    }

    /// An edge's reader is over: it takes no more of any partition, also of those that it never opened.
    pub(in crate::scheduler) fn release(&self, edge: EdgeId) {
        let reader = self.place(edge);
        if reader < self.edges.len() {
            self.partitions.iter().for_each(|kept| kept.close(reader, &self.memory));
        }
    }

    fn open(&self, reader: usize, partition: usize) -> Result<()> {
        match self.partitions.get(partition) {
            Some(kept) => kept.open(reader),
            None => Err(internal(&format!("there is no partition {partition}"))),
        }
    }

    fn want(&self, reader: usize) {
        self.control.wanted(self.edges[reader]);
    }

    fn poll(&self, reader: usize, partition: usize, cx: &mut Context<'_>) -> Poll<Next> {
        self.partitions[partition].poll(reader, &self.memory, cx)
    }

    fn close(&self, reader: usize, partition: usize) {
        self.partitions[partition].close(reader, &self.memory);
        self.control.closed(Some(self.edges[reader]));
    }

    fn files(&self) -> &SpillManager {
        self.files.get_or_init(|| {
            let metrics = SpillMetrics::new(&self.metrics, 0);
            let context = &self.memory.context;
            SpillManager::new(context.runtime_env(), metrics, Arc::clone(&self.schema))
                .with_compression_type(context.session_config().spill_compression())
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stage", &self.memory.stage).finish_non_exhaustive()
    }
}

/// What a store holds, as the memory pool knows it.
struct Memory {
    stage: StageId,
    context: Arc<TaskContext>,
    /// With the most bytes that it may have. Made when the first batch is kept.
    reservation: OnceLock<(MemoryReservation, usize)>,
}

impl Memory {
    fn reservation(&self) -> &(MemoryReservation, usize) {
        self.reservation.get_or_init(|| {
            let pool = self.context.memory_pool();
            let bytes_max = match pool.memory_limit() {
                MemoryLimit::Finite(bytes) => bytes / SHARE,
                MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
            };
            let name = format!("Shared[{}]", self.stage);
            (MemoryConsumer::new(name).with_can_spill(true).register(pool), bytes_max)
        })
    }

    /// Whether so many bytes more may be held; if so, they are.
    fn try_hold(&self, bytes: usize) -> bool {
        let (reservation, bytes_max) = self.reservation();
        reservation.size().saturating_add(bytes) <= *bytes_max && reservation.try_grow(bytes).is_ok()
    }

    fn free(&self, bytes: usize) {
        if bytes > 0 {
            self.reservation().0.shrink(bytes);
        }
    }
}
