//! A task's end of what its rows go to.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::repartition::BatchPartitioner;

use super::{Exchange, Item, Output, Route, Store, stopped};

/// Hands a task's batches on. One that is dropped before its end hands on a failure, so that no reader takes a part
/// of the rows for all of them.
pub(in crate::scheduler) struct Sender {
    to: To,
    has_ended: bool,
}

enum To {
    Queues(Queues),
    /// A partition of a store.
    Store(Arc<Store>, usize),
}

impl Sender {
    /// The end of a producer.
    pub(in crate::scheduler) fn new(output: Output, producer: usize) -> Self {
        let to = match output {
            Output::Exchange(exchange) => {
                To::Queues(Queues { exchange, producer, partitioner: None, routed: Vec::new() })
            }
            Output::Store(store) => To::Store(store, producer),
        };
        Self { to, has_ended: false }
    }

    /// Hands on a batch, and waits first while the reader of an exchange has enough. False: nobody wants more.
    ///
    /// # Errors
    /// Keys that cannot be computed, a full disk.
    pub(in crate::scheduler) async fn send(&mut self, batch: RecordBatch) -> Result<bool> {
        match &mut self.to {
            To::Queues(queues) => queues.send(batch).await,
            To::Store(store, partition) => store.push(*partition, batch),
        }
    }

    /// Ends it: all rows are handed on.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(in crate::scheduler) async fn finish(&mut self) -> Result<()> {
        match &mut self.to {
            To::Queues(queues) => queues.finish().await?,
            To::Store(store, partition) => store.finish(*partition)?,
        }
        self.has_ended = true;
        Ok(())
    }

    /// Ends it by an error, which all readers get.
    pub(in crate::scheduler) fn fail(mut self, error: Arc<DataFusionError>) {
        self.fail_with(&error);
    }

    fn fail_with(&mut self, error: &Arc<DataFusionError>) {
        match &mut self.to {
            To::Queues(queues) => queues.fail(error),
            To::Store(store, partition) => store.fail(*partition, error),
        }
        self.has_ended = true;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.has_ended {
            self.fail_with(&stopped());
        }
    }
}

/// A producer's end of an exchange.
struct Queues {
    exchange: Arc<Exchange>,
    producer: usize,
    /// Made when it is first needed.
    partitioner: Option<Box<BatchPartitioner>>,
    routed: Vec<(usize, RecordBatch)>,
}

impl Queues {
    async fn send(&mut self, batch: RecordBatch) -> Result<bool> {
        if !matches!(self.exchange.route, Route::By(_)) {
            return self.push(0, batch).await;
        }
        if batch.num_rows() > 0 {
            self.divide(batch)?;
        }
        self.push_routed().await
    }

    /// Puts a batch into a queue when there is room.
    async fn push(&self, output: usize, batch: RecordBatch) -> Result<bool> {
        let gate = self.exchange.gate(self.producer);
        if !poll_fn(|cx| gate.poll_room(cx)).await {
            return Ok(false);
        }
        if batch.num_rows() > 0 {
            self.exchange.push(gate, output, batch)?;
        }
        Ok(true)
    }

    fn divide(&mut self, batch: RecordBatch) -> Result<()> {
        let Route::By(partitioning) = &self.exchange.route else { return Ok(()) };
        let partitioner = match &mut self.partitioner {
            Some(partitioner) => partitioner,
            empty => empty.insert(Box::new(self.exchange.partitioner(partitioning, self.producer)?)),
        };
        for part in partitioner.partition_iter(batch)? {
            let (output, part) = part?;
            self.exchange.coalescers.push(output, part, &mut self.routed)?;
        }
        Ok(())
    }

    async fn push_routed(&mut self) -> Result<bool> {
        let mut routed = mem::take(&mut self.routed);
        let mut is_wanted = true;
        for (output, batch) in routed.drain(..) {
            is_wanted = self.push(output, batch).await?;
            if !is_wanted {
                break;
            }
        }
        self.routed = routed;
        Ok(is_wanted)
    }

    /// The last of the producers hands on what the small batches of all have come to.
    async fn finish(&mut self) -> Result<()> {
        if self.exchange.producing.fetch_sub(1, Ordering::AcqRel) == 1 {
            for output in 0..self.exchange.coalescers.outputs() {
                self.exchange.coalescers.rest(output, &mut self.routed)?;
            }
            self.push_routed().await?;
        }
        self.exchange.gate(self.producer).end_producer();
        Ok(())
    }

    fn fail(&mut self, error: &Arc<DataFusionError>) {
        let gate = self.exchange.gate(self.producer);
        for queue in 0..gate.queues() {
            // Those that are closed do not mind.
            let _ = gate.push(queue, Item::Failure(Arc::clone(error)));
        }
        gate.end_producer();
    }
}
