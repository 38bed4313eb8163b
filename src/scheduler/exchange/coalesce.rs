//! Small batches of several producers, put together for their reader.

use std::sync::{Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;

use crate::graph::has_views;

/// A place for each output partition where its batches grow; without places, batches go on as they are.
#[derive(Default)]
pub(super) struct Coalescers(Vec<Mutex<BatchCoalescer>>);

impl Coalescers {
    /// So many places, where batches grow to so many rows. Those with half of that go on by themselves, but not where
    /// there are views: a part of a batch holds all text buffers of the whole, and a build side made of such parts
    /// holds them once for each part. Each batch that a join makes of it then lists them all. What is put together
    /// is copied into buffers of its own.
    pub(super) fn new(outputs: usize, schema: &SchemaRef, rows: usize) -> Self {
        let goes_on_by_itself = (!has_views(schema)).then_some(rows / 2);
        let coalescer = || {
            let coalescer = BatchCoalescer::new(SchemaRef::clone(schema), rows);
            Mutex::new(coalescer.with_biggest_coalesce_batch_size(goes_on_by_itself))
        };
        Self((0..outputs).map(|_| coalescer()).collect())
    }

    /// How many places there are.
    pub(super) fn outputs(&self) -> usize {
        self.0.len()
    }

    /// Puts a batch together with what came before it; gives what is large enough to go on.
    ///
    /// # Errors
    /// Columns that cannot be put together.
    pub(super) fn push(
        &self,
        output: usize,
        batch: RecordBatch,
        into: &mut Vec<(usize, RecordBatch)>,
    ) -> Result<()> {
        let Some(coalescer) = self.0.get(output) else {
            into.push((output, batch));
            return Ok(());
        };
        let mut coalescer = coalescer.lock().unwrap_or_else(PoisonError::into_inner);
        coalescer.push_batch(batch)?;
        take(&mut coalescer, output, into);
        Ok(())
    }

    /// Gives what is left of an output partition.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn rest(&self, output: usize, into: &mut Vec<(usize, RecordBatch)>) -> Result<()> {
        let Some(coalescer) = self.0.get(output) else { return Ok(()) };
        let mut coalescer = coalescer.lock().unwrap_or_else(PoisonError::into_inner);
        coalescer.finish_buffered_batch()?;
        take(&mut coalescer, output, into);
        Ok(())
    }
}

fn take(coalescer: &mut BatchCoalescer, output: usize, into: &mut Vec<(usize, RecordBatch)>) {
    while let Some(batch) = coalescer.next_completed_batch() {
        into.push((output, batch));
    }
}
