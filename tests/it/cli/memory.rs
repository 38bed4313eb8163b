//! Queries within a limit of memory: what spills, what is refused and how, what is left behind.

mod copies;
mod folder;
mod joins;
mod limits;
mod shared;
mod spill;
mod tpch;

use super::{Done, Query, Room};

/// A table of a million rows of more than a hundred bytes, several times what the limits below allow.
/// Keys are scattered, so that nothing comes in order by chance.
const ROWS: &str = "(select value as id, (value * 7919) % 1000003 as key, value % 1000 as part, \
                     lpad(value::varchar, 100, 'x') as text from generate_series(1, 1000000))";

/// A folder with a place for temporary files.
struct Small {
    room: Room,
    limit: &'static str,
}

impl Small {
    fn new(limit: &'static str) -> Self {
        let room = Room::new();
        std::fs::create_dir(room.path("temp")).unwrap();
        Self { room, limit }
    }

    /// The command with two partitions, so that every machine plans alike.
    fn query(&self, more: &[&str], sql: &str) -> Query {
        let partitions = "set datafusion.execution.target_partitions = 2";
        let args = ["--memory-limit", self.limit, "--temp-dir", "temp", "-c", partitions, "-c", sql];
        self.room.query(args.iter().chain(more))
    }

    fn sql(&self, sql: &str) -> Done {
        self.query(&[], sql).run()
    }

    /// What is in the folder for temporary files.
    fn left(&self) -> Vec<String> {
        super::names(&self.room.path("temp"))
    }
}

/// What a query gives without a limit that it could feel.
fn unlimited(sql: &str) -> String {
    let rows = Small::new("8GB").sql(sql).rows();
    assert!(rows.lines().count() > 1, "{sql} gives nothing to compare");
    rows
}
