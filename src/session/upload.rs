//! Files to objects in stores: where results of the command line go with `-o s3://…`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::spill_file::SpillFile;
use object_store::{ObjectStoreExt, WriteMultipart};

use super::{Session, copy};
use crate::error::{Error, FileError, Result};

/// Bytes of one part, and how many parts are on their way at the same time.
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;

/// A temporary file of the session; it goes with the value.
pub struct Spool {
    path: PathBuf,
    _file: Arc<dyn SpillFile>,
}

impl Spool {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Session {
    /// A temporary file, which counts as those of queries do.
    ///
    /// # Errors
    /// No room for temporary files.
    pub fn spool(&self) -> Result<Spool> {
        let file = self.context.runtime_env().disk_manager.create_tmp_file("a result on its way")?;
        let path = file.path().map(Path::to_path_buf);
        let path = path.ok_or_else(|| DataFusionError::Internal("a temporary file without a path".into()))?;
        Ok(Spool { path, _file: file })
    }

    /// Puts a local file into a store, whole or not at all.
    ///
    /// # Errors
    /// A URL that cannot be written to, a store that fails, a file that cannot be read.
    pub async fn upload(&self, file: &Path, url: &str) -> Result<()> {
        let target = copy::Target::of(&self.context, url)?;
        if target.is_folder() {
            return Err(Error::usage(format!("'{url}' is a folder: a result is one object")));
        }
        let sent = send(file, &target).await;
        let ended = target.end(sent).await;
        // What was listed before is out of date.
        self.refresh();
        Ok(ended?)
    }
}

async fn send(file: &Path, target: &copy::Target) -> Result<(), DataFusionError> {
    let failed = |error: std::io::Error| FileError::wrap(&file.to_string_lossy(), error.into());
    let upload = target.store()?.put_multipart(&target.key).await?;
    let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let mut source = File::open(file).map_err(failed)?;
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let count = source.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        parts.wait_for_capacity(PARTS_AT_ONCE).await?;
        parts.write(&buffer[..count]);
    }
    parts.finish().await?;
    Ok(())
}
