//! Batches of one queue that went to disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::spill_file::SpillFile;
use datafusion::physical_plan::SpillManager;

/// Bytes after which a run ends and another begins: what has been read can be deleted.
const RUN_BYTES_MAX: usize = 64 << 20;

/// A file that grows until its reader comes to it.
pub(super) struct Run {
    /// `None`: its reader has taken it.
    file: Mutex<Option<Growing>>,
}

struct Growing {
    write: Box<Write>,
    bytes: usize,
    /// The largest batch, for the reader to know what it will hold.
    batch_bytes_max: usize,
}

/// Appends a batch, or ends the file. DataFusion's type for such a file has no public name.
type Write = dyn FnMut(Option<&RecordBatch>) -> Result<Written> + Send;

enum Written {
    /// A batch of so many bytes.
    Batch(usize),
    /// The whole file; none if it has no batch.
    All(Option<Arc<dyn SpillFile>>),
}

impl Run {
    /// A run with a first batch.
    ///
    /// # Errors
    /// A full disk, or the limit of temporary files.
    pub(super) fn new(files: &SpillManager, batch: &RecordBatch) -> Result<Self> {
        let mut file = files.create_in_progress_file("exchange")?;
        let write = move |batch: Option<&RecordBatch>| match batch {
            Some(batch) => file.append_batch(batch).map(Written::Batch),
            None => file.finish().map(Written::All),
        };
        let mut growing = Growing { write: Box::new(write), bytes: 0, batch_bytes_max: 0 };
        growing.append(batch)?;
        Ok(Self { file: Mutex::new(Some(growing)) })
    }

    /// Appends a batch. False: the run has ended.
    ///
    /// # Errors
    /// As [`Run::new`].
    pub(super) fn append(&self, batch: &RecordBatch) -> Result<bool> {
        match self.file().as_mut() {
            Some(growing) if growing.bytes < RUN_BYTES_MAX => growing.append(batch).map(|()| true),
            Some(_) | None => Ok(false),
        }
    }

    /// Ends the run and gives its batches, in order. The file goes when they are read.
    ///
    /// # Errors
    /// A file that cannot be ended or opened.
    pub(super) fn take(&self, files: &SpillManager) -> Result<Option<SendableRecordBatchStream>> {
        let Some(mut growing) = self.file().take() else { return Ok(None) };
        match (growing.write)(None)? {
            Written::All(Some(file)) => {
                files.read_spill_as_stream_unbuffered(file, Some(growing.batch_bytes_max)).map(Some)
            }
            Written::All(None) | Written::Batch(_) => Ok(None),
        }
    }

    fn file(&self) -> MutexGuard<'_, Option<Growing>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Growing {
    fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Written::Batch(bytes) = (self.write)(Some(batch))? {
            self.bytes += bytes;
            self.batch_bytes_max = self.batch_bytes_max.max(bytes);
        }
        Ok(())
    }
}
