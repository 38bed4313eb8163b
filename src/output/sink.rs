//! A sink that remembers its own failure, because encoders turn it into a text.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;

use super::{BatchWriter, Sink};
use crate::error::{Error, Result};

/// The sink side: passes everything on, keeps a copy of the first failure.
struct Watched {
    inner: Sink,
    failure: Failure,
}

/// The failure of one sink, shared with its writer.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<io::Error>>>);

/// A sink whose failures can be asked for.
pub(super) fn watch(inner: Sink) -> (Sink, Failure) {
    let failure = Failure::default();
    (Box::new(Watched { inner, failure: failure.clone() }), failure)
}

impl Failure {
    fn keep(&self, error: &io::Error) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            });
        }
    }

    /// The sink's own error in the place of an encoder's text about it.
    pub(super) fn reword(&self, path: &Path, error: Error) -> Error {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.map_or(error, |source| Error::write(path, source))
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).inspect_err(|error| self.failure.keep(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().inspect_err(|error| self.failure.keep(error))
    }
}

/// A writer whose errors say what the sink said, where it was the sink that failed.
pub(super) struct Guarded {
    pub(super) writer: Box<dyn BatchWriter>,
    pub(super) failure: Failure,
    pub(super) path: PathBuf,
}

impl BatchWriter for Guarded {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|error| self.failure.reword(&self.path, error))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { writer, failure, path } = *self;
        writer.finish().map_err(|error| failure.reword(&path, error))
    }
}
