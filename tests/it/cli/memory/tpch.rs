//! The TPC-H queries at a limit of memory, in two partitions: equal answers, and no more memory than the
//! limit and what a process needs beside it.

use std::fs;
use std::path::Path;

use crate::cli::peak::peak;
use crate::cli::{Query, Room};

/// Code, stacks, the buffers of decoders and of the allocator.
const BESIDE_BYTES_MAX: u64 = 300_000_000;

/// The scale and the limit: `QUERY_SOAK_TPCH`, as in `1:256MB`, for the long run, else small for every day.
fn scale_and_limit() -> (f64, String) {
    let text = std::env::var("QUERY_SOAK_TPCH").unwrap_or_else(|_| "0.1:32MB".into());
    let (scale, limit) = text.split_once(':').unwrap();
    (scale.parse().unwrap(), limit.to_string())
}

fn query(room: &Room, query: usize, limit: &[&str], output: &str) -> Query {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("queries/tpch/q{query}.sql"));
    let set = "set datafusion.execution.target_partitions = 2";
    let args = ["-q", "-c", set, "-f", "tables.sql", "-f", sql.to_str().unwrap(), "-o", output];
    room.query(args.iter().chain(limit))
}

#[test]
fn all_queries_answer_within_the_limit() {
    let (scale, limit) = scale_and_limit();
    let bytes = limit.parse::<bytesize::ByteSize>().unwrap().as_u64();
    let room = Room::new();
    crate::tpch::generate(Path::new(&room.path("")), scale);
    let tables: String = room.names().iter().filter_map(|file| file.strip_suffix(".parquet")).fold(
        String::new(),
        |sql, name| {
            format!("{sql}create external table {name} stored as parquet location '{name}.parquet';\n")
        },
    );
    room.write("tables.sql", tables);
    let mut wrong = Vec::new();
    for number in 1..=22 {
        query(&room, number, &[], "free.csv").run().rows();
        let (peak, done) =
            peak(query(&room, number, &["--memory-limit", &limit, "--temp-dir", "."], "out.csv"));
        let held = peak / 1_000_000;
        if done.code != Some(0) {
            wrong.push(format!("Q{number}: {}", done.stderr));
            continue;
        }
        if sorted(&room.read("out.csv")) != sorted(&room.read("free.csv")) {
            wrong.push(format!("Q{number}: another answer"));
        }
        if peak > bytes + BESIDE_BYTES_MAX {
            wrong.push(format!("Q{number}: {held} MB were held"));
        }
        fs::remove_file(room.path("out.csv")).unwrap();
    }
    assert!(wrong.is_empty(), "at {limit}:\n{}", wrong.join("\n"));
    assert!(!room.names().iter().any(|name| name.starts_with("query-spill-")), "{:?}", room.names());
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}
