//! Paths, patterns and folders to files.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use datafusion::common::{Result, plan_datafusion_err, plan_err};
use globset::{GlobBuilder, GlobMatcher};
use url::Url;
use walkdir::{DirEntry, WalkDir};

use super::format::Format;

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataFile {
    /// Where it is, reached from the path as it was written: relative if that was.
    pub path: PathBuf,
}

impl DataFile {
    /// The file's name in messages and in the column `filename`.
    pub fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// The files that a location means, sorted by path.
///
/// A location is a file, a folder (all data files in it and below it), or a pattern: `*` and `?` within a
/// name, `**` across folders, `[0-9]`, `{a,b}`. What exists under the very name is no pattern. Hidden
/// files and folders (`.x`, `_x`) are no data unless the pattern spells the mark.
///
/// # Errors
/// Nothing there, other stores than the local disk, a folder that may not be read.
pub fn find(location: &str) -> Result<Vec<DataFile>> {
    let Some(local) = local_path(location) else {
        let scheme = location.split("://").next().unwrap_or_default();
        return plan_err!("{scheme}:// locations cannot be read yet, only local files: '{location}'");
    };
    match fs::metadata(&local) {
        Ok(meta) if meta.is_dir() => in_folder(location, &local),
        Ok(_) => Ok(vec![DataFile { path: local }]),
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

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn in_folder(location: &str, folder: &Path) -> Result<Vec<DataFile>> {
    let mut files = walk(folder, usize::MAX, |entry| !is_hidden(entry), |_| true)?;
    if files.iter().any(|file| Format::of_name(&file.path).is_some()) {
        files.retain(|file| Format::of_name(&file.path).is_some());
    }
    match files.is_empty() {
        true => plan_err!("folder '{location}' has no data files"),
        false => Ok(files),
    }
}

fn matching(location: &str, pattern: &Path) -> Result<Vec<DataFile>> {
    let (root, rest) = split_pattern(pattern);
    let matcher = matcher(location, pattern)?;
    // A pattern that spells the mark of hidden names means them.
    let spelled = rest.split('/').any(|part| part.starts_with(['.', '_']));
    let depth = if rest.contains("**") { usize::MAX } else { rest.matches('/').count() + 1 };
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
        false => Ok(files.into_iter().map(|file| DataFile { path: written(&file.path) }).collect()),
    }
}

fn matcher(location: &str, pattern: &Path) -> Result<GlobMatcher> {
    let built = GlobBuilder::new(&pattern.to_string_lossy()).literal_separator(true).build();
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
            files.push(DataFile { path: entry.into_path() });
        }
    }
    files.sort();
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
        let files = find(room.path().join(pattern).to_str().unwrap()).unwrap();
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
            |pattern: &str| find(room.path().join(pattern).to_str().unwrap()).unwrap_err().to_string();
        assert!(error("b.csv").contains("no such file"));
        assert!(error("b*.csv").contains("no file matches"));
        assert!(error("nowhere/*.csv").contains("no file matches"));
        assert!(error("[.csv").contains("is not a pattern"));
        assert!(find("s3://bucket/x.csv").unwrap_err().to_string().contains("s3://"));
    }
}
