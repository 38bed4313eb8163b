//! A reader's end of an exchange.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, MetricBuilder};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use futures::{Stream, StreamExt};

use super::{Exchange, Gate, Item};
use crate::graph::EdgeReader;

/// Gives the streams of an edge's output partitions.
#[derive(Debug)]
pub(in crate::scheduler) struct Reader(pub(in crate::scheduler) Arc<Exchange>);

impl EdgeReader for Reader {
    fn open(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let exchange = &self.0;
        exchange.open_once(partition)?;
        let guard = Guard { exchange: Arc::clone(exchange), partition };
        if exchange.starts_early {
            exchange.want();
        }
        let rows = match &exchange.ordering {
            None => {
                let (gate, queue) = exchange.only_queue_of(partition);
                Rows::Queued(exchange.queue(gate, queue))
            }
            Some(ordering) => {
                let queues = exchange.queues_of(partition).into_iter();
                let queue =
                    |(gate, queue)| Box::pin(exchange.queue(gate, queue)) as SendableRecordBatchStream;
                let queues = queues.map(queue).collect();
                let name = format!("ExchangeMerge[{partition}]");
                let merged = StreamingMergeBuilder::new()
                    .with_streams(queues)
                    .with_schema(Arc::clone(&exchange.schema))
                    .with_expressions(ordering)
                    // The stream below counts.
                    .with_metrics(BaselineMetrics::new(&Default::default(), partition))
                    .with_batch_size(exchange.batch_size)
                    .with_fetch(exchange.fetch)
                    .with_reservation(MemoryConsumer::new(name).register(context.memory_pool()))
                    .with_spill_manager(exchange.files().clone())
                    .build()?;
                Rows::Merged(merged)
            }
        };
        let count = MetricBuilder::new(&exchange.metrics).output_rows(partition);
        Ok(Box::pin(cooperative(PartitionStream { rows, left: exchange.fetch, count, guard })))
    }
}

impl Exchange {
    /// Says that the rows are wanted.
    fn want(&self) {
        if let Some(edge) = self.edge {
            self.control.wanted(edge);
        }
    }

    fn queue(self: &Arc<Self>, gate: usize, queue: usize) -> QueueStream {
        QueueStream {
            exchange: Arc::clone(self),
            gate,
            queue,
            reading: None,
            has_asked: self.starts_early,
            is_over: false,
        }
    }
}

/// Closes an output partition when its reader goes.
struct Guard {
    exchange: Arc<Exchange>,
    partition: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.exchange.close(self.partition);
    }
}

/// Where an output partition's rows come from.
enum Rows {
    /// One queue.
    Queued(QueueStream),
    /// Several, in their order.
    Merged(SendableRecordBatchStream),
    /// All are given.
    Over,
}

impl Rows {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        match self {
            Self::Queued(queue) => queue.poll_next_unpin(cx),
            Self::Merged(rows) => rows.poll_next_unpin(cx),
            Self::Over => Poll::Ready(None),
        }
    }
}

/// An output partition, up to the rows that are wanted of it.
struct PartitionStream {
    rows: Rows,
    left: Option<usize>,
    count: Count,
    guard: Guard,
}

impl Stream for PartitionStream {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.left == Some(0) {
            this.rows = Rows::Over;
        }
        let next = match (ready!(this.rows.poll_next(cx)), &mut this.left) {
            (Some(Ok(batch)), Some(left)) => {
                let batch = if batch.num_rows() > *left { batch.slice(0, *left) } else { batch };
                *left -= batch.num_rows();
                Some(Ok(batch))
            }
            (next, _) => next,
        };
        // After an error no row may follow.
        match &next {
            Some(Ok(batch)) if this.left != Some(0) => this.count.add(batch.num_rows()),
            Some(Ok(batch)) => {
                this.count.add(batch.num_rows());
                this.rows = Rows::Over;
            }
            Some(Err(_)) | None => this.rows = Rows::Over,
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for PartitionStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.guard.exchange.schema)
    }
}

/// One queue, from memory and disk.
struct QueueStream {
    exchange: Arc<Exchange>,
    gate: usize,
    queue: usize,
    reading: Option<SendableRecordBatchStream>,
    has_asked: bool,
    is_over: bool,
}

impl QueueStream {
    fn gate(&self) -> &Gate {
        &self.exchange.gates[self.gate]
    }
}

impl Stream for QueueStream {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if !this.has_asked {
            this.has_asked = true;
            this.exchange.want();
        }
        loop {
            if let Some(reading) = &mut this.reading {
                match ready!(reading.poll_next_unpin(cx)) {
                    Some(batch) => return Poll::Ready(Some(batch)),
                    None => this.reading = None,
                }
            }
            match ready!(this.gate().poll_pop(this.queue, cx)) {
                Some(Item::Batch(batch, bytes)) => {
                    this.exchange.reservation().shrink(bytes);
                    return Poll::Ready(Some(Ok(batch)));
                }
                Some(Item::Run(run)) => this.reading = run.take(this.exchange.files())?,
                Some(Item::Failure(error)) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(DataFusionError::from(&error))));
                }
                None => {
                    this.is_over = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl RecordBatchStream for QueueStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.exchange.schema)
    }
}
