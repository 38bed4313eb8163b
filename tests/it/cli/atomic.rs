//! Files appear whole or not at all, by `-o` and by `COPY`.

mod kill;
mod targets;

use super::{Done, Query, Room};

const OLD: &str = "the old file, byte for byte\n";

/// Fails after thousands of good rows.
const FAILS_LATE: &str = "select 1 / (value - 400000) as x from generate_series(1, 500000)";

/// The two ways to write a file.
#[derive(Debug, Clone, Copy)]
enum By {
    Output,
    Copy,
}

impl By {
    const ALL: [Self; 2] = [Self::Output, Self::Copy];

    fn query(self, room: &Room, sql: &str, file: &str) -> Query {
        match self {
            Self::Output => room.query(["-c", sql, "-o", file]),
            Self::Copy => room.query(["-q", "-c", &format!("copy ({sql}) to '{file}'")]),
        }
    }

    fn write(self, room: &Room, sql: &str, file: &str) -> Done {
        self.query(room, sql, file).run()
    }
}

#[test]
fn a_query_that_fails_leaves_the_old_file_and_nothing_else() {
    for by in By::ALL {
        for file in ["out.csv", "out.json", "out.parquet", "out.arrow"] {
            let room = Room::new();
            room.write(file, OLD);
            let error = by.write(&room, FAILS_LATE, file).error(1);
            assert!(error.starts_with("error: division by zero\n"), "{error}");
            assert_eq!(room.read(file), OLD, "{by:?} {file}");
            assert_eq!(room.names(), [file], "{by:?}");
        }
    }
}

#[test]
fn a_query_that_fails_makes_no_new_file() {
    for by in By::ALL {
        let room = Room::new();
        for sql in [FAILS_LATE, "select nope", "select 1 / 0 as x", "select * from 'missing.csv'"] {
            by.write(&room, sql, "out.csv").error(1);
            assert!(room.names().is_empty(), "{by:?} {sql}");
        }
    }
}

#[test]
fn an_output_with_forms_of_its_own_is_left_alone_too() {
    for file in ["out.txt", "out.tsv", "out.md", "out.ndjson"] {
        let room = Room::new();
        room.write(file, OLD);
        By::Output.write(&room, FAILS_LATE, file).error(1);
        assert_eq!((room.read(file).as_str(), room.names()), (OLD, vec![file.to_string()]));
    }
}

#[test]
fn a_query_that_succeeds_replaces_the_old_file_and_leaves_nothing_else() {
    for by in By::ALL {
        let room = Room::new();
        room.write("out.csv", OLD);
        assert_eq!(by.write(&room, "select 1 as a", "out.csv").rows(), "");
        assert_eq!(room.read("out.csv"), "a\n1\n");
        assert_eq!(by.write(&room, "select 1 as a where false", "out.csv").rows(), "");
        assert_eq!(room.read("out.csv"), "a\n", "no rows are still a result");
        assert_eq!(room.names(), ["out.csv"]);
    }
}

#[test]
fn the_statement_after_a_copy_cannot_undo_it() {
    let room = Room::new();
    let script = "copy (select 1 as a) to 'first.csv'; copy (select 1 / 0 as a) to 'second.csv'";
    let (_, error) = room.query(["-q", "-c", script]).run().both(1);
    assert!(error.starts_with("error: division by zero\n"), "{error}");
    assert_eq!(room.names(), ["first.csv"]);
    assert_eq!(room.read("first.csv"), "a\n1\n");
}

#[test]
fn a_later_statement_that_fails_leaves_the_finished_output() {
    let room = Room::new();
    let args = ["-c", "select 1 as a", "-c", "create table t as select 1 / 0 as a", "-o", "out.csv"];
    room.query(args).run().error(1);
    assert_eq!(room.names(), ["out.csv"]);
    assert_eq!(room.read("out.csv"), "a\n1\n");
}

#[test]
fn a_file_that_grows_too_large_is_an_error_and_the_old_one_stays() {
    for by in By::ALL {
        for file in ["out.csv", "out.json", "out.parquet", "out.arrow"] {
            let room = Room::new();
            room.write(file, OLD);
            let sql = "select value as a from generate_series(1, 1000000)";
            let error = limited(by.query(&room, sql, file), 64 << 10).run().error(1);
            assert!(error.starts_with("error: "), "{by:?} {file}: {error}");
            assert_eq!(room.read(file), OLD, "{by:?} {file}");
            assert_eq!(room.names(), [file], "{by:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_says_why() {
    for by in By::ALL {
        for file in ["out.csv", "out.json", "out.parquet"] {
            let room = Room::new();
            let sql = "select value as a from generate_series(1, 1000000)";
            let error = limited(by.query(&room, sql, file), 64 << 10).run().error(1);
            assert!(error.to_lowercase().contains("file too large"), "{by:?} {file}: {error}");
            assert!(!error.contains("bug"), "{by:?} {file}: {error}");
        }
    }
}

/// The command unable to write files larger than this, as on a full disk.
#[expect(unsafe_code, reason = "std sets no limits")]
pub(super) fn limited(mut query: Query, bytes: u64) -> Query {
    use std::os::unix::process::CommandExt;
    // SAFETY: both calls are safe between fork and exec; they touch nothing but the child.
    unsafe {
        query.command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The signal would end the process; ignored, the write fails instead.
            if libc::signal(libc::SIGXFSZ, libc::SIG_IGN) == libc::SIG_ERR {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    query
}
