//! The history of inputs: a file that only its owner can read, and without secrets.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustyline::history::{FileHistory, History as _};

use crate::cli::secrets::has_secret;
use crate::config::state_dir;

/// Inputs that are kept.
pub(super) const ENTRIES_MAX: usize = 10_000;
const FILE_NAME: &str = "history";

/// Where the history is kept.
pub(super) struct History {
    /// `None`: in memory only.
    file: Option<PathBuf>,
}

impl History {
    /// Loads what was kept. Without a home to keep it in, the history lives as long as the shell; then the
    /// reason is given back.
    pub(super) fn load(entries: &mut FileHistory) -> (Self, Option<String>) {
        let Some(folder) = state_dir() else {
            return (Self { file: None }, Some("the history is not kept: there is no home folder".into()));
        };
        match prepare(&folder) {
            Ok(file) => match entries.load(&file) {
                Ok(()) => (Self { file: Some(file) }, None),
                Err(error) => (Self { file: None }, Some(not_kept(&file, &error))),
            },
            Err(error) => (Self { file: None }, Some(not_kept(&folder, &error))),
        }
    }

    /// Keeps an input, unless it is the one before it again, starts with a blank, or may hold a secret.
    pub(super) fn add(&mut self, entries: &mut FileHistory, input: &str) {
        let input = input.trim_end();
        if input.is_empty() || has_secret(input) || !matches!(entries.add(input), Ok(true)) {
            return;
        }
        // A disk that is full now is no reason to bother anybody at each prompt.
        if let Some(file) = &self.file
            && entries.append(file).is_err()
        {
            self.file = None;
        }
    }
}

fn not_kept(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("the history is not kept: '{}': {error}", path.display())
}

/// Makes the folder and the file, for their owner only.
fn prepare(folder: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    restrict(folder, 0o700)?;
    let path = folder.join(FILE_NAME);
    let file = match fs::metadata(&path) {
        Ok(meta) if !meta.is_file() => return Err(io::Error::other("not a file")),
        _ => File::options().create(true).append(true).read(true).mode(0o600).open(&path)?,
    };
    drop(file);
    restrict(&path, 0o600)?;
    Ok(path)
}

fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    match fs::metadata(path)?.permissions().mode() & 0o777 {
        found if found == mode => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("state/query");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = prepare(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(mode(&prepare(&folder).unwrap()), 0o600);
    }
}
