//! Batches that went to disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::spill_file::SpillFile;
use datafusion::physical_plan::SpillManager;

use super::internal;

/// Bytes after which a run ends and another begins: what has been read can be deleted.
const RUN_BYTES_MAX: usize = 64 << 20;

/// A file that grows batch by batch. It is gone when neither the run nor a reader of it is there any more.
pub(super) struct Run {
    file: Arc<dyn SpillFile>,
    /// `None`: it has ended.
    growing: Mutex<Option<Growing>>,
}

struct Growing {
    write: Box<Write>,
    bytes: usize,
    /// The largest batch, for the reader to know what it will hold.
    batch_bytes_max: usize,
}

/// Appends a batch and gives its bytes, or ends the file. DataFusion's type for such a file has no public name.
type Write = dyn FnMut(Option<&RecordBatch>) -> Result<usize> + Send;

impl Run {
    /// A run without batches.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub(super) fn new(files: &SpillManager) -> Result<Self> {
        let mut writer = files.create_in_progress_file("exchange")?;
        let file = writer.file().map(Arc::clone).ok_or_else(|| internal("a run without a file"))?;
        let write = move |batch: Option<&RecordBatch>| match batch {
            Some(batch) => {
                let bytes = writer.append_batch(batch)?;
                // Whoever reads it while it grows finds all of the batch.
                writer.flush().map(|()| bytes)
            }
            None => writer.finish().map(|_| 0),
        };
        let growing = Growing { write: Box::new(write), bytes: 0, batch_bytes_max: 0 };
        Ok(Self { file, growing: Mutex::new(Some(growing)) })
    }

    /// Appends a batch and gives the bytes that its rows take. `None`: the run has ended, or is long enough.
    ///
    /// # Errors
    /// A full disk, or the limit of temporary files.
    pub(super) fn append(&self, batch: &RecordBatch) -> Result<Option<usize>> {
        match self.growing().as_mut() {
            Some(growing) if growing.bytes < RUN_BYTES_MAX => growing.append(batch).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// Ends the run: nothing is appended any more. Gives the bytes of its largest batch, if this call has ended it.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(super) fn end(&self) -> Result<Option<usize>> {
        let Some(mut growing) = self.growing().take() else { return Ok(None) };
        (growing.write)(None)?;
        Ok(Some(growing.batch_bytes_max))
    }

    /// Ends the run and gives its batches, in order, to its one reader.
    ///
    /// # Errors
    /// A file that cannot be ended or opened.
    pub(super) fn take(&self, files: &SpillManager) -> Result<SendableRecordBatchStream> {
        files.read_spill_as_stream_unbuffered(Arc::clone(&self.file), self.end()?)
    }

    /// The batches from the first on, for one of several readers. The run may still grow: a reader asks for no more
    /// batches than it knows to have been appended.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(super) fn read(&self, files: &SpillManager) -> Result<SendableRecordBatchStream> {
        files.read_spill_as_stream_unbuffered(Arc::clone(&self.file), None)
    }

    fn growing(&self) -> MutexGuard<'_, Option<Growing>> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Growing {
    fn append(&mut self, batch: &RecordBatch) -> Result<usize> {
        let bytes = (self.write)(Some(batch))?;
        self.bytes += bytes;
        self.batch_bytes_max = self.batch_bytes_max.max(bytes);
        Ok(bytes)
    }
}
