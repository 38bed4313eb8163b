//! The statements of a project, a file each: `.query/catalog/NAME.sql`.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::output::staging::Staging;

const EXTENSION: &str = ".sql";
/// A file system's limit is 255 bytes a name, and staging adds to it.
const NAME_BYTES_MAX: usize = 200;
/// How long other processes may be at the files.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// The files with the statements.
#[derive(Debug)]
pub(super) struct Definitions {
    folder: PathBuf,
}

impl Definitions {
    /// Those in a folder, which need not be there.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The names that have a statement, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
        let mut names: Vec<_> = files.filter_map(|file| decoded(file.file_name().to_str()?)).collect();
        names.sort();
        names
    }

    /// The file of a name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(encoded(name))
    }

    /// Whether a name has a statement.
    pub(super) fn has(&self, name: &str) -> bool {
        is_fit(name) && self.file(name).is_file()
    }

    /// A name's statement, if it has one.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>> {
        if !is_fit(name) {
            return Ok(None);
        }
        match fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", self.file(name), error)),
        }
    }

    /// Gives a name a statement: in the place of the one that it has, or only if it has none. Says whether it did.
    pub(super) fn write(&self, name: &str, statement: &str, replaces: bool) -> Result<bool> {
        let file = self.file(name);
        if !is_fit(name) {
            return Err(Error::io("write", file, io::Error::from(io::ErrorKind::InvalidFilename)));
        }
        fs::create_dir_all(&self.folder).map_err(|error| Error::io("make", &self.folder, error))?;
        let _lock = self.lock()?;
        if !replaces && self.has(name) {
            return Ok(false);
        }
        let staging = Staging::beside(&file)?;
        let text = format!("{};\n", statement.trim_end().trim_end_matches(';'));
        fs::write(staging.path(), text).map_err(|error| Error::io("write", &file, error))?;
        staging.commit()?;
        Ok(true)
    }

    /// Takes a name's statement away; says whether it had one.
    pub(super) fn remove(&self, name: &str) -> Result<bool> {
        if !self.has(name) {
            return Ok(false);
        }
        let _lock = self.lock()?;
        match fs::remove_file(self.file(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", self.file(name), error)),
        }
    }

    /// The files for this process alone, until the value is dropped or the process ends.
    fn lock(&self) -> Result<File> {
        let failed = |error| Error::io("lock", &self.folder, error);
        let folder = File::open(&self.folder).map_err(failed)?;
        let began = Instant::now();
        while let Err(refused) = folder.try_lock() {
            match refused {
                fs::TryLockError::Error(error) => return Err(failed(error)),
                fs::TryLockError::WouldBlock if began.elapsed() > PATIENCE => {
                    return Err(failed(io::Error::from(io::ErrorKind::WouldBlock)));
                }
                fs::TryLockError::WouldBlock => std::thread::sleep(POLL),
            }
        }
        Ok(folder)
    }
}

/// Whether a name can be a file's.
fn is_fit(name: &str) -> bool {
    !name.is_empty() && encoded(name).len() <= NAME_BYTES_MAX
}

/// The file name of a table's: letters, digits, `_` and `-` as they are.
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len() + EXTENSION.len());
    for letter in name.chars() {
        if letter.is_alphanumeric() || matches!(letter, '_' | '-') {
            encoded.push(letter);
        } else {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| encoded.push_str(&format!("%{byte:02X}")));
        }
    }
    encoded + EXTENSION
}

/// The table's name that a file name stands for, if it is one that we give.
fn decoded(file: &str) -> Option<String> {
    let name = percent_decode_str(file.strip_suffix(EXTENSION)?).decode_utf8().ok()?;
    (is_fit(&name) && encoded(&name) == file).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files_and_back() {
        for (name, file) in
            [("orders", "orders.sql"), ("Größe", "Größe.sql"), ("a b/..", "a%20b%2F%2E%2E.sql")]
        {
            assert_eq!(encoded(name), file);
            assert_eq!(decoded(file).as_deref(), Some(name));
        }
        for file in ["readme.md", ".sql", "a b.sql", ".hidden.sql", "x%2g.sql"] {
            assert_eq!(decoded(file), None, "{file}");
        }
    }

    #[test]
    fn a_statement_lasts_until_it_is_removed() {
        let room = tempfile::tempdir().unwrap();
        let definitions = Definitions::new(room.path().join(".query/catalog"));
        assert!(definitions.names().is_empty());
        assert!(definitions.write("v", "create view v as select 1", false).unwrap());
        assert!(!definitions.write("v", "create view v as select 2", false).unwrap());
        assert_eq!(definitions.read("v").unwrap().as_deref(), Some("create view v as select 1;\n"));
        assert!(definitions.write("v", "create view v as select 2;", true).unwrap());
        assert_eq!(definitions.read("v").unwrap().as_deref(), Some("create view v as select 2;\n"));
        assert_eq!(definitions.names(), ["v"]);
        assert!(definitions.remove("v").unwrap() && !definitions.remove("v").unwrap());
        assert_eq!(definitions.read("v").unwrap(), None);
    }

    #[test]
    fn of_many_who_make_a_name_one_does() {
        let room = tempfile::tempdir().unwrap();
        let made: Vec<_> = std::thread::scope(|scope| {
            let one = |n: usize| {
                let definitions = Definitions::new(room.path().join("catalog"));
                move || definitions.write("v", &format!("create view v as select {n}"), false).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(one(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.into_iter().filter(|made| *made).count(), 1);
    }
}
