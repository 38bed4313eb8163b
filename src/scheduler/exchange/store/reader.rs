//! A reader's end of a store.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use futures::{Stream, StreamExt};

use super::super::internal;
use super::super::receive::{Rows, partition_stream};
use super::super::run::Run;
use super::Store;
use super::kept::Next;
use crate::graph::EdgeReader;

/// Gives one edge's streams of the rows that a store keeps.
#[derive(Debug)]
pub(in crate::scheduler) struct StoreReader {
    pub(super) store: Arc<Store>,
    /// Which of the store's readers it is.
    pub(super) reader: usize,
    pub(super) schema: SchemaRef,
    pub(super) fetch: Option<usize>,
    /// The leaf's: each reader counts what it reads.
    pub(super) metrics: ExecutionPlanMetricsSet,
}

impl EdgeReader for StoreReader {
    fn open(&self, partition: usize, _context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (store, reader) = (&self.store, self.reader);
        store.open(reader, partition)?;
        let claim = Claim { store: Arc::clone(store), reader, partition };
        let rows = KeptStream {
            store: Arc::clone(store),
            reader,
            partition,
            schema: Arc::clone(&self.schema),
            reading: None,
            has_asked: false,
            is_over: false,
        };
        let count = MetricBuilder::new(&self.metrics).output_rows(partition);
        let schema = Arc::clone(&self.schema);
        Ok(partition_stream(Rows::Stream(Box::pin(rows)), schema, self.fetch, count, claim))
    }
}

/// Closes a partition for a reader that goes.
struct Claim {
    store: Arc<Store>,
    reader: usize,
    partition: usize,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.store.close(self.reader, self.partition);
    }
}

/// A partition from its first row, from memory and disk.
struct KeptStream {
    store: Arc<Store>,
    reader: usize,
    partition: usize,
    schema: SchemaRef,
    reading: Option<Reading>,
    has_asked: bool,
    is_over: bool,
}

/// A run that is being read.
struct Reading {
    run: Arc<Run>,
    rows: SendableRecordBatchStream,
    /// Batches that are known to be there.
    left: usize,
}

impl KeptStream {
    /// Goes on in a run by so many batches.
    fn read(&mut self, run: Arc<Run>, more: usize) -> Result<()> {
        match &mut self.reading {
            Some(reading) if Arc::ptr_eq(&reading.run, &run) => reading.left += more,
            _ => {
                let rows = run.read(self.store.files())?;
                self.reading = Some(Reading { run, rows, left: more });
            }
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            if let Some(reading) = self.reading.as_mut().filter(|reading| reading.left > 0) {
                let batch = ready!(reading.rows.poll_next_unpin(cx));
                reading.left -= 1;
                let missing = || Err(internal("a run on disk has fewer batches than were written"));
                return Poll::Ready(Some(batch.unwrap_or_else(missing)));
            }
            match ready!(self.store.poll(self.reader, self.partition, cx)) {
                Next::Batch(batch) => {
                    self.reading = None;
                    return Poll::Ready(Some(Ok(batch)));
                }
                Next::OfRun(run, more) => self.read(run, more)?,
                Next::Failure(error) => return Poll::Ready(Some(Err(DataFusionError::from(&error)))),
                Next::End => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for KeptStream {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if !this.has_asked {
            this.has_asked = true;
            this.store.want(this.reader);
        }
        let next = ready!(this.poll(cx));
        if !matches!(next, Some(Ok(_))) {
            this.is_over = true;
            this.reading = None;
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for KeptStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
