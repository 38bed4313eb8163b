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

/// A result on its way to a store: a temporary file of the session, which goes with the value.
pub struct Spool {
    path: PathBuf,
    target: copy::Target,
    session: Session,
    _file: Arc<dyn SpillFile>,
}

impl Spool {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file into the store, whole or not at all.
    ///
    /// # Errors
    /// A store that fails, a file that cannot be read.
    pub async fn upload(self) -> Result<()> {
        let sent = send(&self.path, &self.target).await;
        let ended = self.target.end(sent).await;
        // What was listed before is out of date.
        self.session.refresh();
        Ok(ended?)
    }
}

impl Session {
    /// A temporary file, which counts as those of queries do, for an object in a store. Nothing is asked of that yet.
    ///
    /// # Errors
    /// A URL that cannot be written to, no room for temporary files.
    pub fn spool(&self, url: &str) -> Result<Spool> {
        let target = copy::Target::of(&self.context, url)?;
        if target.is_folder() {
            return Err(Error::usage(format!("'{url}' is a folder: a result is one object")));
        }
        let file = self.context.runtime_env().disk_manager.create_tmp_file("a result on its way")?;
        let path = file.path().map(Path::to_path_buf);
        let path = path.ok_or_else(|| DataFusionError::Internal("a temporary file without a path".into()))?;
        Ok(Spool { path, target, session: self.clone(), _file: file })
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
