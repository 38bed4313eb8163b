//! Temporary files: where operators put what does not fit into memory.
//!
//! All of a process's files are in one folder of its own, made when the first is needed. It is removed at
//! the end; what a killed process left is swept by the next process with the same `--temp-dir`.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::{Stream, StreamExt, stream};
use tempfile::TempPath;

use super::limits::shown;
use crate::error::Refusal;
use crate::scratch::{self, Folder};

const PREFIX: &str = "query-spill-";
/// Bytes read at a time. A merge has this much of each of its runs beside the decoded batches.
const READ_BYTES: usize = 128 * 1024;

/// The temporary files of a process.
#[derive(Debug)]
pub(super) struct SpillRoom {
    parent: PathBuf,
    bytes_max: AtomicU64,
    used: AtomicU64,
    folder: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unmade,
    Made(Folder),
    /// The process ends: nothing may be made any more.
    Closed,
}

impl SpillRoom {
    /// Room below a folder, which is swept of what killed processes left there.
    pub(super) fn below(parent: PathBuf, bytes_max: u64) -> Self {
        scratch::sweep(&parent, |name| name.starts_with(PREFIX));
        let (bytes_max, used) = (AtomicU64::new(bytes_max), AtomicU64::new(0));
        Self { parent, bytes_max, used, folder: Mutex::new(State::Unmade) }
    }

    pub(super) fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Bytes that the files take now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Removes the folder with all files; from now on none can be made.
    pub(super) fn close(&self) {
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }

    /// Makes an empty file, and the folder before the first.
    fn create(&self) -> io::Result<TempPath> {
        let mut state = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Unmade = &*state {
            let name = || format!("{PREFIX}{}", scratch::random_suffix()).into();
            *state = State::Made(Folder::create(&self.parent, name)?);
        }
        let State::Made(folder) = &*state else {
            return Err(io::Error::other("the process is about to end"));
        };
        let mut builder = tempfile::Builder::new();
        let file = builder.permissions(Permissions::from_mode(0o600)).tempfile_in(folder.path())?;
        // Only the name is kept: a sort with thousands of runs would need thousands of open files.
        Ok(file.into_temp_path())
    }

    fn failed(&self, what: &str, source: &io::Error) -> Refusal {
        let message = format!("could not {what} in '{}': {source}", self.parent.display());
        let help =
            "choose another folder with --temp-dir, or raise --memory-limit so that less has to go there";
        Refusal::new(message, help)
    }

    fn full(&self) -> Refusal {
        let used = shown(self.bytes_max.load(Ordering::Relaxed));
        let folder = self.parent.display();
        let message = format!("the temporary files in '{folder}' have reached {used} (--max-temp-size)");
        let help = "raise --max-temp-size, choose a larger disk with --temp-dir, or raise --memory-limit so that less \
             has to go there";
        Refusal::new(message, help)
    }
}

/// Makes the files of a [`SpillRoom`] for the engine.
#[derive(Debug)]
pub(super) struct SpillFiles(pub(super) Arc<SpillRoom>);

impl TempFileFactory for SpillFiles {
    fn create_temp_file(&self, _description: &str) -> Result<Arc<dyn SpillFile>> {
        let room = Arc::clone(&self.0);
        let path = room.create().map_err(|error| {
            DataFusionError::External(Box::new(room.failed("make temporary files", &error)))
        })?;
        Ok(Arc::new(Spilled(Arc::new(TempFile { path, bytes: AtomicU64::new(0), room }))))
    }
}

/// A file that is gone, and its bytes free again, when nobody reads or writes it any more.
#[derive(Debug)]
struct TempFile {
    path: TempPath,
    bytes: AtomicU64,
    room: Arc<SpillRoom>,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

struct Spilled(Arc<TempFile>);

impl SpillFile for Spilled {
    fn path(&self) -> Option<&Path> {
        Some(&self.0.path)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.bytes.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let file = Arc::clone(&self.0);
        let chunks = stream::try_unfold(None, move |open: Option<File>| {
            let file = Arc::clone(&file);
            async move {
                let read = tokio::task::spawn_blocking(move || next_chunk(open, &file)).await;
                read.map_err(|error| DataFusionError::External(Box::new(error)))?
            }
        });
        Ok(chunks.boxed())
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let file = File::options().append(true).open(&self.0.path).map_err(DataFusionError::IoError)?;
        Ok(Box::new(Writer { file, target: Arc::clone(&self.0) }))
    }
}

/// Reads a file's next bytes; `None` at its end.
fn next_chunk(open: Option<File>, target: &TempFile) -> Result<Option<(Bytes, Option<File>)>> {
    let failed = |error| {
        let error = target.room.failed("read temporary files", &error);
        DataFusionError::External(Box::new(error))
    };
    let mut file = match open {
        Some(file) => file,
        None => File::open(&target.path).map_err(failed)?,
    };
    let mut chunk = vec![0; READ_BYTES];
    let length = loop {
        match file.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read.map_err(failed)?,
        }
    };
    chunk.truncate(length);
    Ok((length > 0).then(|| (Bytes::from(chunk), Some(file))))
}

struct Writer {
    file: File,
    target: Arc<TempFile>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = &self.target.room;
        let length = bytes.len() as u64;
        let used = room.used.fetch_add(length, Ordering::Relaxed).saturating_add(length);
        if used > room.bytes_max.load(Ordering::Relaxed) {
            room.used.fetch_sub(length, Ordering::Relaxed);
            return Err(io::Error::other(room.full()));
        }
        // Counted before it is written: what a full disk has taken of it is gone with the file.
        self.target.bytes.fetch_add(length, Ordering::Relaxed);
        let written = self.file.write_all(bytes);
        written
            .map_err(|error| io::Error::new(error.kind(), room.failed("write temporary files", &error)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(parent: &Path, bytes_max: u64) -> (Arc<SpillRoom>, SpillFiles) {
        let room = Arc::new(SpillRoom::below(parent.to_path_buf(), bytes_max));
        (Arc::clone(&room), SpillFiles(room))
    }

    fn count(parent: &Path) -> usize {
        std::fs::read_dir(parent).unwrap().count()
    }

    async fn content(file: &dyn SpillFile) -> Vec<u8> {
        let mut chunks = file.read_stream().unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = chunks.next().await {
            all.extend_from_slice(&chunk.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_gone_with_its_last_user() {
        let parent = tempfile::tempdir().unwrap();
        let (room, files) = room(parent.path(), u64::MAX);
        assert_eq!(count(parent.path()), 0, "nothing is made before it is needed");
        let file = files.create_temp_file("a test").unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&bytes).unwrap();
        writer.finish().unwrap();
        assert_eq!(file.size(), Some(300_000));
        assert_eq!(content(&*file).await, bytes);
        let path = file.path().unwrap().to_path_buf();
        drop(file);
        assert!(path.exists(), "the writer still has it");
        drop(writer);
        assert!(!path.exists());
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
        drop((room, files));
        assert_eq!(count(parent.path()), 0);
    }

    #[test]
    fn the_cap_holds_for_all_files_together() {
        let parent = tempfile::tempdir().unwrap();
        let (room, files) = room(parent.path(), 1_000);
        let (one, two) = (files.create_temp_file("").unwrap(), files.create_temp_file("").unwrap());
        one.open_writer().unwrap().write_all(&[0; 600]).unwrap();
        let error = two.open_writer().unwrap().write_all(&[0; 600]).unwrap_err().to_string();
        assert!(error.contains("1.0 kB (--max-temp-size)"), "{error}");
        drop(one);
        two.open_writer().unwrap().write_all(&[0; 600]).unwrap();
        room.set_bytes_max(700);
        two.open_writer().unwrap().write_all(&[0; 600]).unwrap_err();
    }

    #[test]
    fn a_closed_room_is_gone_and_makes_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let (room, files) = room(parent.path(), u64::MAX);
        let file = files.create_temp_file("").unwrap();
        room.close();
        assert_eq!(count(parent.path()), 0);
        assert!(files.create_temp_file("").is_err());
        drop(file);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        let (_, files) = room(&missing, u64::MAX);
        let Err(error) = files.create_temp_file("") else { panic!("it was made") };
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    }
}
