//! The folder of temporary files: gone when its process is, however that ends.

use super::{ROWS, Small};
use crate::cli::atomic::limited;

/// Too little for the rows, and enough for the merges of two sorts, so that none is refused.
const ROOMY: &str = "64MB";

/// Fills the folder for seconds before the first row comes.
fn long() -> String {
    format!("select a.id from generate_series(1, 20) b cross join {ROWS} a order by a.text desc, b.value")
}

impl Small {
    /// Starts a long sort and waits until it has begun to spill.
    fn begin(&self) -> crate::cli::Running {
        let before = self.left();
        let mut running = self.query(&[], &long()).start().read_all();
        running.until("its first temporary file", || {
            let made = self.left().into_iter().find(|name| !before.contains(name));
            made.is_some_and(|name| !crate::cli::names(&self.room.path("temp").join(name)).is_empty())
        });
        running
    }
}

#[test]
fn it_is_private_and_made_only_when_needed() {
    use std::os::unix::fs::PermissionsExt;
    let small = Small::new(ROOMY);
    assert_eq!(small.sql("select 1 as a").rows(), "a\n1\n");
    let _running = small.begin();
    let names = small.left();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("query-spill-"), "{names:?}");
    let folder = small.room.path("temp").join(&names[0]);
    let mode = |path: &std::path::Path| std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
    assert_eq!(mode(&folder).unwrap(), 0o700);
    for name in crate::cli::names(&folder) {
        // A file may be gone again by now.
        assert!(mode(&folder.join(name)).map_or(true, |mode| mode == 0o600));
    }
}

#[test]
fn a_signal_takes_it_away() {
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130)] {
        let small = Small::new(ROOMY);
        let running = small.begin();
        running.signal(signal);
        assert_eq!(running.wait().error(code), "error: interrupted\n");
        assert!(small.left().is_empty(), "{:?}", small.left());
    }
}

#[test]
fn a_failure_takes_it_away() {
    let small = Small::new("32MB");
    let sql =
        format!("select 1 / (length(text) - 100) as x from (select * from {ROWS} order by key offset 10)");
    let error = small.sql(&sql).error(1);
    assert!(error.starts_with("error: division by zero"), "{error}");
    assert!(small.left().is_empty(), "{:?}", small.left());
}

#[test]
fn what_a_killed_process_left_is_swept_by_the_next() {
    let small = Small::new(ROOMY);
    let killed = small.begin().kill();
    assert_eq!(killed.signal, Some(libc::SIGKILL));
    assert_eq!(small.left().len(), 1);
    let living = small.begin();
    assert_eq!(small.left().len(), 1, "the dead one's is swept, the living one's is there");
    assert_eq!(small.sql("select 1 as a").rows(), "a\n1\n");
    assert_eq!(small.left().len(), 1, "the living one's is not touched");
    living.signal(libc::SIGTERM);
    living.wait().error(143);
    assert!(small.left().is_empty());
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left() {
    let small = Small::new("32MB");
    let sql = format!("select id from {ROWS} order by text desc, key");
    let error = limited(small.query(&[], &sql), 1 << 20).run().error(1);
    assert!(error.starts_with("error: could not write temporary files in '"), "{error}");
    assert!(error.contains("/temp': File too large") && error.contains("--temp-dir"), "{error}");
    assert!(small.left().is_empty(), "{:?}", small.left());
}

#[test]
fn a_cap_that_is_reached_is_named_and_nothing_is_left() {
    let small = Small::new("32MB");
    let sql = format!("select id from {ROWS} order by text desc, key");
    let error = small.query(&["--max-temp-size", "20MB"], &sql).run().error(1);
    assert!(error.starts_with("error: the temporary files in '"), "{error}");
    assert!(error.contains("/temp' have reached 20.0 MB (--max-temp-size)"), "{error}");
    assert!(error.contains("help: raise --max-temp-size"), "{error}");
    assert!(small.left().is_empty(), "{:?}", small.left());
}

#[test]
fn a_folder_that_cannot_be_written_is_named_when_it_is_needed() {
    let small = Small::new("32MB");
    // Even root makes no folder there.
    let args = ["--temp-dir", "/proc"];
    assert_eq!(small.room.query(args.iter().chain(&["-c", "select 1 as a"])).run().rows(), "a\n1\n");
    let sql = format!("select id from {ROWS} order by text desc, key");
    let more = ["--memory-limit", "32MB", "-c", &sql];
    let error = small.room.query(args.iter().chain(&more)).run().error(1);
    assert!(error.starts_with("error: could not make temporary files in '/proc': "), "{error}");
    assert!(error.contains("--temp-dir"), "{error}");
}
