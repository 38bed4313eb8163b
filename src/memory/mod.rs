//! What queries may take of the machine: one pool of memory, one folder of temporary files.

mod budget;
mod copies;
mod limits;
mod pool;
mod spill;

pub use limits::{Limits, MemoryLimit, temp_bytes};
pub use pool::Pool;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::MemoryPool;

use crate::config;
use crate::error::{Error, Result};
use spill::{SpillFiles, SpillRoom};

/// Of what is free on the disk of the temporary files, how much they may take.
const TEMP_PERCENT: u64 = 90;
/// A merge of spilled runs keeps a couple of batches of each, and takes as many runs as it finds memory
/// for: with a limit of so many bytes a run, several merges find room beside each other.
const LIMIT_BYTES_PER_RUN: usize = 16 << 20;
const RUNS_MIN: usize = 2;
const RUNS_MAX: usize = 64;
/// Where the system does not say what is free.
const TEMP_BYTES_MAX: u64 = 100_000_000_000;

/// The memory and the temporary files of queries. Sessions that have the same value share both; when the
/// last of them is gone, the folder of temporary files goes too.
#[derive(Debug)]
pub struct Resources {
    pool: Arc<Pool>,
    room: Arc<SpillRoom>,
    start: Start,
}

/// The limits that resources started with.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// Bytes of temporary files.
    pub temp_bytes_max: u64,
}

/// What sessions share that ask for nothing else.
static OF_THE_PROCESS: Mutex<Weak<Resources>> = Mutex::new(Weak::new());

impl Resources {
    /// Resources within limits. Sweeps the folder of temporary files of what killed processes left.
    ///
    /// # Errors
    /// A folder for temporary files that is none.
    pub fn new(limits: &Limits) -> Result<Arc<Self>> {
        let parent = limits.temp_dir.clone().unwrap_or_else(config::temp_dir);
        if limits.temp_dir.is_some() && !parent.is_dir() {
            return Err(Error::usage_help(
                format!("'{}' is not a folder for temporary files", parent.display()),
                "make it, or name another with --temp-dir",
            ));
        }
        let temp_bytes_max = limits.temp_bytes_max.unwrap_or_else(|| default_temp_bytes(&parent));
        let memory_bytes = limits.memory.unwrap_or_default().bytes();
        let pool = Arc::new(Pool::new(memory_bytes));
        let room = Arc::new(SpillRoom::below(absolute(parent), temp_bytes_max));
        Ok(Arc::new(Self { pool, room, start: Start { memory_bytes, temp_bytes_max } }))
    }

    /// The resources that all sessions of this process share unless they are given others.
    ///
    /// # Errors
    /// As [`Resources::new`].
    pub fn of_the_process() -> Result<Arc<Self>> {
        let mut shared = OF_THE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resources) = shared.upgrade() {
            return Ok(resources);
        }
        let resources = Self::new(&Limits::default())?;
        *shared = Arc::downgrade(&resources);
        Ok(resources)
    }

    /// The account of memory.
    pub fn pool(&self) -> Arc<dyn MemoryPool> {
        Arc::clone(&self.pool) as Arc<dyn MemoryPool>
    }

    /// The limits at the start, to which `RESET` goes back.
    pub fn start(&self) -> Start {
        self.start
    }

    /// The limit of memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.pool.limit()
    }

    /// Changes the limit of memory for everything that runs.
    pub fn set_memory_bytes(&self, bytes: usize) {
        self.pool.set_limit(bytes);
    }

    /// How many spilled runs may be merged at a time, by the limit of memory.
    pub fn merge_runs_max(&self) -> usize {
        (self.memory_bytes() / LIMIT_BYTES_PER_RUN).clamp(RUNS_MIN, RUNS_MAX)
    }

    /// Changes the limit of temporary files.
    pub fn set_temp_bytes_max(&self, bytes: u64) {
        self.room.set_bytes_max(bytes);
    }

    /// Bytes that temporary files take now.
    pub fn temp_bytes(&self) -> u64 {
        self.room.used()
    }

    /// The engine's manager of temporary files, which are ours.
    pub fn disk(&self) -> DiskManagerBuilder {
        DiskManagerBuilder::default()
            .with_temp_file_factory(Arc::new(SpillFiles(Arc::clone(&self.room))))
            .with_max_temp_directory_size(self.start.temp_bytes_max)
            .with_max_spill_merge_fan_in(self.merge_runs_max())
    }

    /// Removes all temporary files, in use or not; from now on none can be made. For the end of a process
    /// whose queries may still be running.
    pub fn close(&self) {
        self.room.close();
    }
}

/// A relative folder would be another one after a change of the working folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn default_temp_bytes(folder: &Path) -> u64 {
    free_bytes(folder).map_or(TEMP_BYTES_MAX, |free| free / 100 * TEMP_PERCENT)
}

/// What a user without privileges may still write to the file system of a folder.
#[expect(unsafe_code, reason = "std does not ask file systems")]
#[allow(clippy::useless_conversion, reason = "the fields' types differ between systems")]
fn free_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in NUL, and the struct is read only after the call has filled it.
    let stat = unsafe {
        if libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return None;
        }
        stat.assume_init()
    };
    Some(u64::from(stat.f_bavail).saturating_mul(u64::from(stat.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_share_what_the_process_has() {
        let one = Resources::of_the_process().unwrap();
        let two = Resources::of_the_process().unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        assert!(one.memory_bytes() > 0);
    }

    #[test]
    fn a_folder_that_is_none_is_a_misuse() {
        let room = tempfile::tempdir().unwrap();
        let temp_dir = Some(room.path().join("missing"));
        let error = Resources::new(&Limits { temp_dir, ..Limits::default() }).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn what_is_free_is_known_and_bounds_the_default() {
        let room = tempfile::tempdir().unwrap();
        let free = free_bytes(room.path()).unwrap();
        assert!(free > 0);
        // Others write and delete meanwhile: about nine tenths.
        let most = default_temp_bytes(room.path());
        assert!(most > 0 && most < free.saturating_mul(2));
        assert_eq!(default_temp_bytes(&room.path().join("missing")), TEMP_BYTES_MAX);
    }
}
