//! Paths, patterns and folders to files.

mod remote;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::Session;
use datafusion::common::{Result, plan_datafusion_err, plan_err};
use globset::{GlobBuilder, GlobMatcher};
use object_store::ObjectMeta;
use url::Url;
use walkdir::{DirEntry, WalkDir};

use super::format::Format;
use super::partition::partitions;
use super::prune::Conditions;
use super::remote::{Remote, Remotes};
use crate::store::{Kind, Stores};

/// A file of a table.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Where it is, reached from the path as it was written: relative if that was. The URL of an object.
    pub path: PathBuf,
    /// What it is in a store of the network, if it is not local.
    pub(super) object: Option<Object>,
}

/// An object in a store of the network, as it was when it was listed.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) remote: Arc<Remote>,
    pub(super) meta: ObjectMeta,
}

impl DataFile {
    /// A local file.
    pub(super) fn local(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), object: None }
    }

    /// The file's name in messages and in the column `filename`.
    pub fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// The files that a location means, sorted by path.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<DataFile>,
    /// Whether folders were left out because of their keys: then there may be more, or no files at all.
    pub(super) is_part: bool,
}

/// The files that a location means, sorted by path.
///
/// A location is a file, a folder (all data files in it and below it), or a pattern: `*` and `?` within a
/// name, `**` across folders, `[0-9]`, `{a,b}`. What exists under the very name is no pattern. Hidden
/// files and folders (`.x`, `_x`) are no data unless the pattern spells the mark. It may be in a store of the
/// network; there, folders whose keys have no wanted rows are not listed.
///
/// # Errors
/// Nothing there, a store that cannot be opened, a folder that may not be read.
pub(super) async fn find(
    state: &dyn Session,
    location: &str,
    wanted: Option<&Conditions<'_>>,
) -> Result<Found> {
    match located(state, location)? {
        Some(place) => remote::find(&place, wanted).await,
        None => Ok(Found { files: find_local(location)?, is_part: false }),
    }
}

/// The keys in the paths of a location's files. No file is opened for it.
///
/// In a store of the network one way down from the location is looked at, through the first folders that may have
/// wanted rows, to the first keys that are not known.
///
/// # Errors
/// As for [`find`].
pub(super) async fn keys(
    state: &dyn Session,
    location: &str,
    wanted: Option<&Conditions<'_>>,
    known: &[FieldRef],
) -> Result<Vec<FieldRef>> {
    match located(state, location)? {
        Some(place) => remote::keys(&place, wanted, known).await,
        None => Ok(partitions(&find_local(location)?, &[])?.fields),
    }
}

/// The place in a store of the network that a location names; `None` if it is local.
fn located(state: &dyn Session, location: &str) -> Result<Option<remote::Place>> {
    if local_path(location).is_some() {
        return Ok(None);
    }
    let stores = state.config().get_extension::<Stores>();
    let place = match stores {
        Some(stores) => stores.locate(location)?,
        None => None,
    };
    let Some(place) = place else {
        let scheme = location.split("://").next().unwrap_or_default();
        let known: Vec<_> = Kind::ALL.iter().map(|kind| format!("{}://", kind.schemes()[0])).collect();
        return plan_err!(
            "there are no {scheme}:// locations: write a path, or a URL that begins with {}",
            known.join(", ")
        );
    };
    let remote = Remotes::at(state, place.kind, &place.store)?;
    Ok(Some(remote::Place::new(location, place, remote)))
}

/// The local files that a location means, sorted by path.
///
/// # Errors
/// Nothing there, a folder that may not be read.
pub(super) fn find_local(location: &str) -> Result<Vec<DataFile>> {
    let local = local_path(location).unwrap_or_else(|| PathBuf::from(location));
    match fs::metadata(&local) {
        Ok(meta) if meta.is_dir() => in_folder(location, &local),
        Ok(_) => Ok(vec![DataFile::local(local)]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match is_pattern(location) {
            true => matching(location, &local),
            false => plan_err!("no such file: '{location}'"),
        },
        Err(error) => plan_err!("'{location}' cannot be read: {error}"),
    }
}

/// The local path that a location means; `None` for other stores.
pub fn local_path(location: &str) -> Option<PathBuf> {
    match location.split_once("://") {
        Some(("file", _)) => Url::parse(location).ok()?.to_file_path().ok(),
        Some(_) => None,
        None => Some(PathBuf::from(location)),
    }
}

/// Whether a location is written as a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn in_folder(location: &str, folder: &Path) -> Result<Vec<DataFile>> {
    let mut files = walk(folder, usize::MAX, |entry| !is_hidden(entry), |_| true)?;
    retain_data(&mut files);
    match files.is_empty() {
        true => plan_err!("folder '{location}' has no data files"),
        false => Ok(files),
    }
}

/// Leaves out what is no data by its name, if there is any data.
fn retain_data(files: &mut Vec<DataFile>) {
    if files.iter().any(|file| Format::of_name(&file.path).is_some()) {
        files.retain(|file| Format::of_name(&file.path).is_some());
    }
}

fn matching(location: &str, pattern: &Path) -> Result<Vec<DataFile>> {
    let (root, rest) = split_pattern(pattern);
    let matcher = matcher(location, &pattern.to_string_lossy())?;
    let (spelled, depth) = (spells_hidden(&rest), depth_max(&rest));
    let start = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let written = |path: &Path| match pattern.starts_with(".") {
        true => path.to_path_buf(),
        false => path.strip_prefix(".").unwrap_or(path).to_path_buf(),
    };
    let files = match start.is_dir() {
        true => {
            walk(&start, depth, |entry| spelled || !is_hidden(entry), |path| matcher.is_match(written(path)))?
        }
        false => Vec::new(),
    };
    match files.is_empty() {
        true => plan_err!("no file matches '{location}'"),
        false => Ok(files.into_iter().map(|file| DataFile::local(written(&file.path))).collect()),
    }
}

/// A pattern that spells the mark of hidden names means them.
fn spells_hidden(rest: &str) -> bool {
    rest.split('/').any(|part| part.starts_with(['.', '_']))
}

/// How many folders deep a pattern reaches.
fn depth_max(rest: &str) -> usize {
    if rest.contains("**") { usize::MAX } else { rest.matches('/').count() + 1 }
}

fn matcher(location: &str, pattern: &str) -> Result<GlobMatcher> {
    let built = GlobBuilder::new(pattern).literal_separator(true).build();
    let glob =
        built.map_err(|error| plan_datafusion_err!("'{location}' is not a pattern: {}", error.kind()))?;
    Ok(glob.compile_matcher())
}

/// The folder in which a pattern starts to vary, and the rest of it.
fn split_pattern(pattern: &Path) -> (PathBuf, String) {
    let mut root = PathBuf::new();
    let mut rest = Vec::new();
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if rest.is_empty() && !(matches!(part, Component::Normal(_)) && is_pattern(&text)) {
            root.push(part);
        } else {
            rest.push(text.into_owned());
        }
    }
    (root, rest.join("/"))
}

fn walk(
    root: &Path,
    depth_max: usize,
    enter: impl Fn(&DirEntry) -> bool,
    take: impl Fn(&Path) -> bool,
) -> Result<Vec<DataFile>> {
    let mut files = Vec::new();
    let entries = WalkDir::new(root).follow_links(true).max_depth(depth_max).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || enter(entry)) {
        let entry = match entry {
            Ok(entry) => entry,
            // A dangling link or a file that went away in between is no data.
            Err(error) if error.io_error().is_some_and(|io| io.kind() == io::ErrorKind::NotFound) => continue,
            Err(error) => {
                let place = error.path().unwrap_or(root).display().to_string();
                return match error.io_error() {
                    Some(io) => plan_err!("'{place}' cannot be read: {io}"),
                    None => plan_err!("'{place}' cannot be read: {error}"),
                };
            }
        };
        if entry.file_type().is_file() && take(entry.path()) {
            files.push(DataFile::local(entry.into_path()));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(['.', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(files: &[&str]) -> tempfile::TempDir {
        let room = tempfile::tempdir().unwrap();
        for file in files {
            let path = room.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "a\n1\n").unwrap();
        }
        room
    }

    fn found(room: &tempfile::TempDir, pattern: &str) -> Vec<String> {
        let files = find_local(room.path().join(pattern).to_str().unwrap()).unwrap();
        let inside = |file: &DataFile| file.path.strip_prefix(room.path()).unwrap().display().to_string();
        files.iter().map(inside).collect()
    }

    #[test]
    fn patterns_find_what_they_say() {
        let room =
            room(&["a.csv", "b1.csv", "b2.csv", "c.tsv", "x/d.csv", "x/y/e.csv", ".h.csv", "_t/f.csv"]);
        assert_eq!(found(&room, "*.csv"), ["a.csv", "b1.csv", "b2.csv"]);
        assert_eq!(found(&room, "b[0-9].csv"), ["b1.csv", "b2.csv"]);
        assert_eq!(found(&room, "{a,b1}.csv"), ["a.csv", "b1.csv"]);
        assert_eq!(found(&room, "{a.csv,x/d.csv}"), ["a.csv", "x/d.csv"]);
        assert_eq!(found(&room, "**/*.csv"), ["a.csv", "b1.csv", "b2.csv", "x/d.csv", "x/y/e.csv"]);
        assert_eq!(found(&room, "x/**/*.csv"), ["x/d.csv", "x/y/e.csv"]);
        assert_eq!(found(&room, "?.csv"), ["a.csv"]);
        assert_eq!(found(&room, ".h*"), [".h.csv"]);
        assert_eq!(found(&room, "_t/*"), ["_t/f.csv"]);
        assert_eq!(found(&room, ""), ["a.csv", "b1.csv", "b2.csv", "c.tsv", "x/d.csv", "x/y/e.csv"]);
    }

    #[test]
    fn an_existing_name_is_no_pattern() {
        let room = room(&["a[1].csv", "a1.csv"]);
        assert_eq!(found(&room, "a[1].csv"), ["a[1].csv"]);
    }

    #[test]
    fn nothing_found_is_an_error() {
        let room = room(&["a.csv"]);
        let error =
            |pattern: &str| find_local(room.path().join(pattern).to_str().unwrap()).unwrap_err().to_string();
        assert!(error("b.csv").contains("no such file"));
        assert!(error("b*.csv").contains("no file matches"));
        assert!(error("nowhere/*.csv").contains("no file matches"));
        assert!(error("[.csv").contains("is not a pattern"));
    }
}
