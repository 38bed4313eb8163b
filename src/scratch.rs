//! Folders that belong to one process: locked while it lives, swept when it is gone.
//!
//! The lock (`flock`) ends with its process, however that dies. A folder of ours without a lock was left
//! behind, and whoever comes next to the same place takes it away.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Names taken by others, or swept between creation and lock, are tried again this often.
const TRIES: usize = 16;

/// A folder for this user alone (mode 0700) that lives as long as the value; dropped, it is removed with
/// all that is in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held open: its lock says that this process lives.
    _lock: File,
}

impl Folder {
    /// Makes a folder below `parent`. `name` gives a name for each try; see [`random_suffix`].
    ///
    /// # Errors
    /// What the file system answers; `AlreadyExists` if every name is taken.
    pub fn create(parent: &Path, name: impl Fn() -> OsString) -> io::Result<Self> {
        for _ in 0..TRIES {
            let path = parent.join(name());
            if let Some(lock) = claim(&path)? {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name for a temporary folder is taken"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Tasks of a stopped query may still be creating files: what cannot be removed now is swept
        // by the next process that comes here.
        for _ in 0..TRIES {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
    }
}

/// Sixteen digits that no other folder has.
pub fn random_suffix() -> String {
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

/// Removes the folders below `parent` that killed processes of this user left, among those whose name
/// is one of ours. Best effort: others may be doing the same.
pub fn sweep(parent: &Path, is_ours: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !is_ours(&entry.file_name().to_string_lossy()) {
            continue;
        }
        // The entry itself, not what a link points to: in a folder that all may write to, a link
        // could lead anywhere.
        let is_own = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == user());
        if is_own
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// Creates and locks a folder; `None` if another process took or swept it in between.
fn claim(folder: &Path) -> io::Result<Option<File>> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    }
    let Ok(lock) = File::open(folder) else { return Ok(None) };
    if lock.try_lock().is_err() || !folder.exists() {
        return Ok(None);
    }
    Ok(Some(lock))
}

/// The user that this process works for.
#[expect(unsafe_code, reason = "std does not tell the user")]
pub fn user() -> u32 {
    // SAFETY: the call cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn is_ours(name: &str) -> bool {
        name.starts_with("ours-")
    }

    fn name() -> OsString {
        format!("ours-{}", random_suffix()).into()
    }

    #[test]
    fn a_folder_is_private_and_gone_with_its_value() {
        let room = tempfile::tempdir().unwrap();
        let folder = Folder::create(room.path(), name).unwrap();
        let path = folder.path().to_path_buf();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("file"), "content").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn only_dead_folders_of_ours_are_swept() {
        let room = tempfile::tempdir().unwrap();
        let living = Folder::create(room.path(), name).unwrap();
        let dead = room.path().join("ours-dead");
        fs::create_dir_all(dead.join("inner")).unwrap();
        let other = room.path().join("others-dead");
        fs::create_dir(&other).unwrap();
        let file = room.path().join("ours-file");
        fs::write(&file, "").unwrap();
        let link = room.path().join("ours-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        sweep(room.path(), is_ours);
        assert!(!dead.exists());
        assert!(living.path().exists() && other.exists() && file.exists() && link.exists());
    }

    #[test]
    fn a_taken_name_is_tried_again() {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir(room.path().join("ours-0")).unwrap();
        let count = std::cell::Cell::new(0);
        let next = || {
            let name = format!("ours-{}", count.get());
            count.set(count.get() + 1);
            name.into()
        };
        let folder = Folder::create(room.path(), next).unwrap();
        assert_eq!(folder.path(), room.path().join("ours-1"));
        let taken = Folder::create(room.path(), || "ours-1".into()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    }
}
