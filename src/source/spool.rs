//! Pipes as files: what can be read only once is kept in a temporary file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::execution::spill_file::SpillFile;

use crate::error::FileError;

/// The copies of the pipes that a session has read. They count as spilled data, and go with the session.
#[derive(Default)]
pub(super) struct Pipes {
    copies: Mutex<HashMap<String, Arc<dyn SpillFile>>>,
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipes").finish_non_exhaustive()
    }
}

impl Pipes {
    /// The path of a pipe's copy; `None` for what is no pipe. The first call reads the pipe to its end.
    pub(super) fn spooled(&self, state: &SessionState, name: &str) -> Result<Option<String>> {
        if !is_pipe(Path::new(name)) {
            return Ok(None);
        }
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if !copies.contains_key(name) {
            let copy = state.runtime_env().disk_manager.create_tmp_file("a copy of a pipe")?;
            fill(name, copy.as_ref())?;
            copies.insert(name.to_string(), copy);
        }
        let path = copies.get(name).and_then(|copy| copy.path());
        Ok(path.map(|path| path.to_string_lossy().into_owned()))
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_fifo() || kind.is_socket() || kind.is_char_device()
    })
}

fn fill(name: &str, copy: &dyn SpillFile) -> Result<()> {
    let failed = |error: io::Error| FileError::wrap(name, DataFusionError::from(error));
    let mut from = File::open(name).map_err(failed)?;
    let mut into = copy.open_writer()?;
    let bytes = io::copy(&mut from, &mut into).map_err(failed)?;
    into.finish()?;
    match bytes {
        0 => Err(FileError::new(name, "it is empty").into()),
        _ => Ok(()),
    }
}
