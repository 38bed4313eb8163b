//! What does not fit goes to disk, and the answer is the same.

use super::{ROWS, Small, unlimited};

/// The answer at a limit is that without one, by way of the disk: where nothing may go there, it is refused.
#[track_caller]
fn spills(limit: &'static str, sql: &str) {
    let small = Small::new(limit);
    assert_eq!(small.sql(sql).rows(), unlimited(sql), "{sql}");
    assert!(small.left().is_empty(), "{:?}", small.left());
    let error = small.query(&["--max-temp-size", "0"], sql).run().error(1);
    assert!(error.contains("--max-temp-size"), "{sql} does not spill: {error}");
}

/// Reads all of a query's rows and gives a few numbers that any wrong order or row would change.
fn digest(query: &str, order: &str) -> String {
    format!(
        "select count(*) as n, sum(position * (id % 97)) as s, min(length(text)) as l from \
         (select id, text, row_number() over (order by {order}) as position from ({query}))"
    )
}

#[test]
fn a_sort() {
    spills("32MB", &format!("select id, text from {ROWS} order by text desc, key offset 999990"));
}

#[test]
fn a_sort_under_a_window() {
    spills("32MB", &digest(&format!("select * from {ROWS}"), "key"));
}

#[test]
fn a_grouping() {
    let sql = format!(
        "select count(*) as n, sum(c) as c, sum(m) as m from \
         (select key, text, count(*) as c, max(id) as m from {ROWS} group by key, text)"
    );
    spills("32MB", &sql);
}

#[test]
fn a_distinct() {
    spills(
        "32MB",
        &format!("select count(*) as n, sum(length(text)) as l from (select distinct text, key from {ROWS})"),
    );
}

#[test]
fn a_count_of_distinct_values() {
    spills(
        "32MB",
        &format!("select part % 2 as p, count(distinct text) as n from {ROWS} group by all order by p"),
    );
}

#[test]
fn an_exchange_that_runs_ahead_of_its_reader() {
    let sql = format!(
        "select a.part, count(*) as n, sum(length(a.text)) as l from {ROWS} a join {ROWS} b on a.key = b.key \
         group by a.part order by n desc, a.part limit 5"
    );
    spills("48MB", &sql);
}
