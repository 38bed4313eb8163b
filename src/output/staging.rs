//! Files that appear whole or not at all.
//!
//! Output is written into a hidden folder beside its target, so on the same file system, and renamed
//! into place at the end. The folder is locked for as long as its process lives: a folder without a
//! lock was left behind by a process that was killed, and the next write beside it sweeps it away.

mod named;
mod remote;
mod store;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use object_store::ObjectStore;
use url::Url;

use crate::error::{Error, Result};
use crate::scratch::{self, Folder};
pub use named::TsvNames;
pub use remote::{Failure, RemoteStaging};
use store::{Closing, StagedStore};

const MARK: &str = ".query-staging-";
/// A file system's limit is 255 bytes a name; the staging folder's own suffix has to fit as well.
const NAME_CHARS_MAX: usize = 50;

/// Staging folders of this process that are not yet gone.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether this process has something half written.
pub fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst) > 0
}

/// A file or folder being written; dropped without [`Staging::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    /// Before the folder, so that no file is made in it when it goes.
    store: Option<Closing>,
    folder: Folder,
    /// After the folder, so that it is counted until it is gone.
    _open: Open,
}

impl Staging {
    /// Makes room beside `target`, whose parent folder must exist. A link is followed.
    pub fn beside(target: &Path) -> Result<Self> {
        let target = follow(target)?;
        let Some(name) = target.file_name() else {
            return Err(Error::usage(format!("'{}' is not a file name", target.display())));
        };
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        scratch::sweep(parent, |name| name.starts_with('.') && name.contains(MARK));
        // Counted before it is there: whoever sees the folder finds it open.
        let open = Open::count();
        let folder = Folder::create(parent, || staging_name(name))
            .map_err(|source| Error::io("write beside", &target, source))?;
        Ok(Self { target, store: None, folder, _open: open })
    }

    /// The folder as a store, with a URL for it and one for [`path`](Self::path) in it: that of a folder, or of a
    /// file. Nothing is written to it any more once the staging is dropped.
    pub fn store(&mut self, is_folder: bool) -> Result<(Arc<dyn ObjectStore>, Url, Url)> {
        let failed = |source| Error::io("write beside", &self.target, source);
        let (store, closing) = StagedStore::open(self.folder.path()).map_err(|e| failed(e.into()))?;
        self.store = Some(closing);
        let inside = Path::new("/").join(self.target.file_name().unwrap_or_default());
        let inside = match is_folder {
            true => Url::from_directory_path(&inside),
            false => Url::from_file_path(&inside),
        };
        let root = format!("staging://{}/", scratch::random_suffix());
        let unnamed = |_| failed(io::Error::from(io::ErrorKind::InvalidFilename));
        let root = Url::parse(&root).map_err(|_| failed(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let mut place = root.clone();
        place.set_path(inside.map_err(unnamed)?.path());
        Ok((Arc::new(store), root, place))
    }

    /// Where to write: a path with the target's own name, so that its extension still tells the format.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.target.file_name().unwrap_or_default())
    }

    /// Where the output will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts what was written in the target's place: a file replaces a file and keeps its permissions, a
    /// folder's files are added to an existing folder.
    pub fn commit(self) -> Result<()> {
        let written = self.path();
        let failed = |source| Error::io("write", &self.target, source);
        if written.is_dir() {
            merge(&written, &self.target).map_err(failed)?;
        } else {
            if let Ok(old) = fs::metadata(&self.target) {
                fs::set_permissions(&written, old.permissions()).map_err(failed)?;
            }
            File::open(&written).and_then(|file| file.sync_all()).map_err(failed)?;
            fs::rename(&written, &self.target).map_err(failed)?;
        }
        Ok(())
    }
}

/// One of [`OPEN`].
#[derive(Debug)]
struct Open;

impl Open {
    fn count() -> Self {
        OPEN.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The file that a path means in the end.
fn follow(path: &Path) -> Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => {
            fs::canonicalize(path).map_err(|e| Error::io("follow the link", path, e))
        }
        _ => Ok(path.to_path_buf()),
    }
}

fn staging_name(target: &OsStr) -> OsString {
    let short: String = target.to_string_lossy().chars().take(NAME_CHARS_MAX).collect();
    OsString::from(format!(".{short}{MARK}{}", scratch::random_suffix()))
}

fn merge(from: &Path, into: &Path) -> io::Result<()> {
    if !into.exists() {
        return fs::rename(from, into);
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = into.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => merge(&entry.path(), &place)?,
            false => fs::rename(entry.path(), place)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_replaces_a_file_and_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let room = tempfile::tempdir().unwrap();
        let target = room.path().join("out.csv");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let staging = Staging::beside(&target).unwrap();
        fs::write(staging.path(), "new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        staging.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(room.path()), ["out.csv"]);
    }

    #[test]
    fn dropped_staging_leaves_the_old_file_and_no_trace() {
        let room = tempfile::tempdir().unwrap();
        let target = room.path().join("out.csv");
        fs::write(&target, "old").unwrap();
        let staging = Staging::beside(&target).unwrap();
        fs::write(staging.path(), "half").unwrap();
        drop(staging);
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(names(room.path()), ["out.csv"]);
    }

    #[test]
    fn leftovers_are_swept_but_a_living_neighbour_is_not() {
        let room = tempfile::tempdir().unwrap();
        let dead = room.path().join(format!(".out.csv{MARK}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("out.csv"), "half").unwrap();
        let living = Staging::beside(&room.path().join("a.csv")).unwrap();
        assert!(!dead.exists());
        let other = Staging::beside(&room.path().join("b.csv")).unwrap();
        assert!(living.folder.path().exists());
        assert!(other.folder.path().exists());
    }

    #[test]
    fn a_link_is_followed() {
        let room = tempfile::tempdir().unwrap();
        let real = room.path().join("real.csv");
        fs::write(&real, "old").unwrap();
        let link = room.path().join("link.csv");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let staging = Staging::beside(&link).unwrap();
        fs::write(staging.path(), "new").unwrap();
        staging.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    }

    #[test]
    fn a_folder_is_added_to_an_existing_one() {
        let room = tempfile::tempdir().unwrap();
        let target = room.path().join("out");
        fs::create_dir_all(target.join("k=1")).unwrap();
        fs::write(target.join("k=1/old"), "1").unwrap();
        let staging = Staging::beside(&target).unwrap();
        fs::create_dir_all(staging.path().join("k=1")).unwrap();
        fs::create_dir_all(staging.path().join("k=2")).unwrap();
        fs::write(staging.path().join("k=1/new"), "2").unwrap();
        fs::write(staging.path().join("k=2/new"), "3").unwrap();
        staging.commit().unwrap();
        assert_eq!(names(&target.join("k=1")), ["new", "old"]);
        assert_eq!(names(&target.join("k=2")), ["new"]);
        assert_eq!(names(room.path()), ["out"]);
    }

    #[test]
    fn the_longest_names_fit() {
        let room = tempfile::tempdir().unwrap();
        let target = room.path().join(format!("{}.csv", "é".repeat(120)));
        let staging = Staging::beside(&target).unwrap();
        fs::write(staging.path(), "x").unwrap();
        staging.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "x");
    }
}
