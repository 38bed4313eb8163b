//! From where relative locations count: the working directory, or the folder of the project that a table lasts in.

use std::borrow::Cow;
use std::future::Future;
use std::path::{Path, PathBuf};

use super::find::is_pattern;

tokio::task_local! {
    static BASE: PathBuf;
}

/// Does some work in which relative locations of files count from a folder.
pub async fn from_base<T>(folder: &Path, work: impl Future<Output = T>) -> T {
    BASE.scope(folder.to_path_buf(), work).await
}

/// A location as it counts from the working directory.
pub fn located(location: &str) -> Cow<'_, str> {
    BASE.try_with(|base| below(base, location)).unwrap_or(Cow::Borrowed(location))
}

/// A location that counts from a folder, as it counts from the working directory. One that is absolute, or in a
/// store, stays as it is.
pub fn below<'a>(base: &Path, location: &'a str) -> Cow<'a, str> {
    let is_here = base.as_os_str().is_empty() || base == Path::new(".");
    if is_here || location.contains("://") || Path::new(location).is_absolute() {
        return Cow::Borrowed(location);
    }
    let base = base.to_string_lossy();
    // Only what was written as a pattern is one.
    let base = match is_pattern(location) {
        true => escaped(&base),
        false => base.into_owned(),
    };
    Cow::Owned(format!("{}/{location}", base.trim_end_matches('/')))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '*' | '?' | '[' | '{' => escaped.extend(['[', letter, ']']),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_locations_count_from_the_base() {
        let base = Path::new("/home/ada/project [1]");
        assert_eq!(below(base, "data/x.csv"), "/home/ada/project [1]/data/x.csv");
        assert_eq!(below(base, "data/*.csv"), "/home/ada/project [[]1]/data/*.csv");
        for stays in ["/data/x.csv", "s3://bucket/x.csv", "file:///x.csv"] {
            assert_eq!(below(base, stays), stays);
        }
        assert_eq!(below(Path::new(""), "x.csv"), "x.csv");
    }

    #[tokio::test]
    async fn a_base_ends_with_its_work() {
        assert_eq!(from_base(Path::new("/p"), async { located("x").into_owned() }).await, "/p/x");
        assert_eq!(located("x"), "x");
    }
}
