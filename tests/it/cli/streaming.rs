//! Results of any length in little memory.

use std::env;
use std::time::Duration;

use super::{Query, Room};

/// Rows of a hundred bytes: held together they would be far above the bounds below.
const ROWS_DEFAULT: u64 = 5_000_000;
/// The program itself with two dozen megabytes of batches on the way is at 80 to 100 MB.
const STREAM_BYTES_MAX: u64 = 300 << 20;
/// Parquet holds a row group of 64 MB, the engine's own writer some more.
const PARQUET_BYTES_MAX: u64 = 400 << 20;
/// A hundred million rows take minutes.
const HANG_STREAM: Duration = Duration::from_secs(3_600);

/// How many rows to write: `QUERY_SOAK_ROWS`, for the long run, else few enough for every day.
fn rows() -> u64 {
    env::var("QUERY_SOAK_ROWS").map_or(ROWS_DEFAULT, |rows| rows.parse().unwrap())
}

fn stream_rows(rows: u64) -> String {
    format!("select value as id, lpad(value::varchar, 100, '0') as text from generate_series(1, {rows})")
}

/// Runs a query to its end, which is to be a good one; gives the most memory that it ever held.
fn peak(query: Query) -> u64 {
    let (most, done) = super::peak::peak(query.hang(HANG_STREAM));
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    most
}

#[track_caller]
fn assert_below(peak: u64, most: u64) {
    assert!(peak < most, "the peak of {} MB is above {} MB", peak >> 20, most >> 20);
}

#[test]
fn text_is_streamed() {
    let room = Room::new();
    for format in ["csv", "ndjson"] {
        let query = room.query(["--format", format, "-c", &stream_rows(rows())]).stdout_to("/dev/null");
        assert_below(peak(query), STREAM_BYTES_MAX);
    }
}

#[test]
fn files_are_streamed() {
    let room = Room::new();
    let rows = rows();
    let query = room.query(["-c", &stream_rows(rows), "-o", "out.parquet"]).stdout_to("/dev/null");
    assert_below(peak(query), PARQUET_BYTES_MAX);
    let count = room.sql("select count(*) as n, max(id) as m from 'out.parquet'").rows();
    assert_eq!(count, format!("n,m\n{rows},{rows}\n"));

    let copy = "copy (select * from 'out.parquet') to 'copy.parquet'";
    let query = room.query(["-q", "-c", copy]).stdout_to("/dev/null");
    assert_below(peak(query), PARQUET_BYTES_MAX);

    // And back: what reads a file does not hold it either.
    let query = room.query(["--format", "csv", "-c", "select * from 'copy.parquet'"]).stdout_to("/dev/null");
    assert_below(peak(query), PARQUET_BYTES_MAX);
}

#[test]
fn a_cut_table_keeps_only_what_it_shows() {
    let room = Room::new();
    // Fewer rows: a table's cells are made one by one. Held together they would be half a gigabyte.
    let sql = stream_rows(rows().min(2_000_000));
    let query = room.query(["--format", "table", "--max-rows", "10", "-c", &sql]).stdout_to("/dev/null");
    assert_below(peak(query), STREAM_BYTES_MAX);
}
