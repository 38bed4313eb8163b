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
        if exchange.starts_early && exchange.fetch != Some(0) {
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
                Rows::Stream(merged)
            }
        };
        let count = MetricBuilder::new(&exchange.metrics).output_rows(partition);
        Ok(partition_stream(rows, exchange.schema(), exchange.fetch, count, guard))
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
pub(super) enum Rows {
    /// One queue.
    Queued(QueueStream),
    /// Something else: several queues in their order, rows that are kept.
    Stream(SendableRecordBatchStream),
    /// All are given.
    Over,
}

impl Rows {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        match self {
            Self::Queued(queue) => queue.poll_next_unpin(cx),
            Self::Stream(rows) => rows.poll_next_unpin(cx),
            Self::Over => Poll::Ready(None),
        }
    }
}

/// The rows of an output partition, up to those that are wanted of it. The guard is dropped when no more are: when
/// the fetch is met, or with the stream.
///
/// It is not dropped when the rows have come to their end by themselves: their producers are about to say that they
/// are done, and would be stopped for nothing.
pub(super) fn partition_stream<G: Send + Unpin + 'static>(
    rows: Rows,
    schema: SchemaRef,
    fetch: Option<usize>,
    count: Count,
    guard: G,
) -> SendableRecordBatchStream {
    let mut stream = PartitionStream { rows, left: fetch, schema, count, guard: Some(guard) };
    stream.close_if_met();
    Box::pin(cooperative(stream))
}

struct PartitionStream<G> {
    rows: Rows,
    left: Option<usize>,
    schema: SchemaRef,
    count: Count,
    /// `None`: no more rows are wanted.
    guard: Option<G>,
}

impl<G> PartitionStream<G> {
    /// What there is beyond the fetch is not wanted.
    fn close_if_met(&mut self) {
        if self.left == Some(0) {
            self.rows = Rows::Over;
            self.guard = None;
        }
    }
}

impl<G: Unpin> Stream for PartitionStream<G> {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
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
            Some(Ok(batch)) => this.count.add(batch.num_rows()),
            Some(Err(_)) | None => this.rows = Rows::Over,
        }
        this.close_if_met();
        Poll::Ready(next)
    }
}

impl<G: Unpin> RecordBatchStream for PartitionStream<G> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// One queue, from memory and disk.
pub(super) struct QueueStream {
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
                Some(Item::Run(run)) => this.reading = Some(run.take(this.exchange.files())?),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{Control, Output, Sender};
    use super::*;
    use crate::graph::{EdgeId, EdgeKind, EdgeSpec};
    use crate::scheduler::sketch::{Sketch, batch, numbers, scan, spec};

    #[derive(Clone, Default)]
    struct Counting {
        wanted: Arc<AtomicUsize>,
        closed: Arc<AtomicUsize>,
    }

    impl Counting {
        fn counts(&self) -> (usize, usize) {
            (self.wanted.load(Ordering::Relaxed), self.closed.load(Ordering::Relaxed))
        }
    }

    impl Control for Counting {
        fn wanted(&self, _edge: EdgeId) {
            self.wanted.fetch_add(1, Ordering::Relaxed);
        }

        fn closed(&self, _edge: Option<EdgeId>) {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }

        fn spilled(&self, _edge: Option<EdgeId>, _bytes: usize) {}
    }

    /// A Gather from one task that ends after so many rows.
    fn gather(fetch: usize) -> (Arc<Exchange>, Counting) {
        let mut sketch = Sketch::new();
        let from = sketch.stage(scan(1));
        let rows = sketch.spec(from, EdgeSpec { fetch: Some(fetch), ..spec(EdgeKind::Gather, 1) });
        let root = sketch.stage(rows);
        let graph = sketch.finish(root);
        let counting = Counting::default();
        let control = Box::new(counting.clone());
        (Exchange::of_edge(&graph.edges()[0], 1, &Arc::default(), control), counting)
    }

    #[tokio::test]
    async fn a_fetch_that_is_met_closes_at_once_and_only_once() {
        let (exchange, counting) = gather(15);
        let mut rows = Reader(Arc::clone(&exchange)).open(0, &Arc::default()).unwrap();
        let mut sender = Sender::new(Output::Exchange(exchange), 0);
        assert!(sender.send(batch(0..10)).await.unwrap());
        assert_eq!(numbers(&rows.next().await.unwrap().unwrap()).len(), 10);
        assert_eq!(counting.counts(), (1, 0));
        assert!(sender.send(batch(10..20)).await.unwrap());
        assert_eq!(numbers(&rows.next().await.unwrap().unwrap()), (10..15).collect::<Vec<_>>());
        assert_eq!(counting.counts(), (1, 1), "all rows are in hand, and nobody has asked for more");
        assert!(!sender.send(batch(20..30)).await.unwrap());
        assert!(rows.next().await.is_none());
        drop(rows);
        assert_eq!(counting.counts(), (1, 1));
    }

    #[tokio::test]
    async fn a_fetch_that_is_not_met_closes_with_the_stream() {
        let (exchange, counting) = gather(15);
        let mut rows = Reader(Arc::clone(&exchange)).open(0, &Arc::default()).unwrap();
        let mut sender = Sender::new(Output::Exchange(exchange), 0);
        sender.send(batch(0..10)).await.unwrap();
        sender.finish().await.unwrap();
        rows.next().await.unwrap().unwrap();
        assert!(rows.next().await.is_none());
        assert_eq!(counting.counts(), (1, 0), "the producer has ended by itself");
        drop(rows);
        assert_eq!(counting.counts(), (1, 1));
    }

    #[tokio::test]
    async fn a_fetch_of_nothing_wants_nothing() {
        let (exchange, counting) = gather(0);
        let mut rows = Reader(exchange).open(0, &Arc::default()).unwrap();
        assert_eq!(counting.counts(), (0, 1));
        assert!(rows.next().await.is_none());
        drop(rows);
        assert_eq!(counting.counts(), (0, 1));
    }
}
