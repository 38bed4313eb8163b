//! Joins that do not fit: planned again so that they can go to disk, with the same rows.

use super::{ROWS, Small, unlimited};

/// Both sides too large for the limit; some keys are NULL, some come twice, some have no partner.
fn sides() -> String {
    format!(
        "with a as (select case when id % 100 = 0 then null else key end as k, id, text from {ROWS}), \
         b as (select case when id % 50 = 0 then null else key / 2 * 2 end as k, id, text from {ROWS})"
    )
}

const LIMIT: &str = "48MB";

#[track_caller]
fn same(query: &str) {
    let sql = format!("{} {query}", sides());
    let small = Small::new(LIMIT);
    assert_eq!(small.sql(&sql).rows(), unlimited(&sql), "{query}");
    assert!(small.left().is_empty());
}

#[test]
fn every_kind_of_join() {
    for kind in ["join", "left join", "right join", "full join"] {
        same(&format!(
            "select count(*) as n, sum(a.id) as a, sum(b.id) as b, sum(length(a.text) + length(b.text)) as l \
             from a {kind} b on a.k = b.k"
        ));
    }
    for kind in ["semi join", "anti join"] {
        same(&format!(
            "select count(*) as n, sum(a.id) as a, sum(length(a.text)) as l from a {kind} b on a.k = b.k"
        ));
    }
}

#[test]
fn joins_with_a_condition_beside_the_key() {
    for kind in ["join", "left join", "full join"] {
        same(&format!(
            "select count(*) as n, sum(a.id) as a, sum(b.id) as b, sum(length(a.text) + length(b.text)) as l \
             from a {kind} b on a.k = b.k and a.id < b.id"
        ));
    }
}

#[test]
fn subqueries_that_are_joins() {
    same(
        "select count(*) as n, sum(id) as s from a where exists (select 1 from b where a.k = b.k and b.text > a.text)",
    );
    same(
        "select count(*) as n, sum(id) as s from a where not exists (select 1 from b where a.k = b.k and b.text > a.text)",
    );
    same(
        "select count(*) as n, sum(id) as s from a where text in (select text from b where k > 100) or id < 10",
    );
}

#[test]
fn whatever_becomes_of_the_rows() {
    let query = format!(
        "{} select a.id, length(b.text) as l from a join b on a.k = b.k where a.id % 5000 = b.id % 5000",
        sides()
    );
    let ordered = format!("select * from ({query}) order by id, l");
    let expected = unlimited(&ordered);
    let small = Small::new(LIMIT);
    assert_eq!(small.query(&["-o", "out.csv"], &ordered).run().rows(), "");
    assert_eq!(small.room.read("out.csv"), expected);
    let copy = format!("copy ({ordered}) to 'copy.csv'");
    assert_eq!(small.query(&["-q"], &copy).run().rows(), "");
    assert_eq!(small.room.read("copy.csv"), expected);
    let make = format!("create table t as {query}");
    let read = ["-c", "insert into t select * from t", "-c", "select distinct * from t order by id, l", "-q"];
    assert_eq!(small.query(&read, &make).run().rows(), expected);
    assert_eq!(small.room.names(), ["copy.csv", "out.csv", "temp"]);
}

#[test]
fn a_join_that_can_only_be_a_hash_join_is_refused_by_name() {
    // NOT IN with NULLs has no sort-merge form.
    let sql =
        format!("{} select count(*) as n from a where text not in (select text || '-' from b)", sides());
    let error = Small::new(LIMIT).sql(&sql).error(1);
    assert!(error.starts_with("error: out of memory: the limit of 48.0 MB"), "{error}");
    assert!(error.contains("hash join ("), "{error}");
}

#[test]
fn the_plan_that_gave_the_rows_is_the_one_that_explain_analyze_shows() {
    let sql =
        format!("explain analyze {} select count(a.text < b.text) as n from a join b on a.k = b.k", sides());
    for (limit, join) in [("8GB", "HashJoinExec"), (LIMIT, "SortMergeJoinExec")] {
        let plan = Small::new(limit).sql(&sql).rows();
        assert!(plan.contains(join), "{limit}: {plan}");
    }
}

#[test]
fn a_build_side_that_nearly_fills_the_limit_does_not_stall_the_other_side() {
    let columns: Vec<_> = (0..10).map(|c| format!("value * {} as c{c}", 7919 + c)).collect();
    let side =
        |rows: u32| format!("(select value as id, {} from generate_series(1, {rows}))", columns.join(", "));
    let sums: Vec<_> = (0..10).map(|c| format!("sum(a.c{c} + b.c{c}) as s{c}")).collect();
    for rows in [2_100_000, 2_150_000, 2_180_000] {
        let (a, b) = (side(rows), side(rows + 1));
        let sql = format!("select {} from {a} a join {b} b on a.id = b.id", sums.join(", "));
        let small = Small::new("256MB");
        let done = small.sql(&sql).rows();
        let (n, last) = (u64::from(rows), done.trim().rsplit(',').next().unwrap());
        assert_eq!(last.parse(), Ok(n * (n + 1) * 7928), "{rows}");
        assert!(small.left().is_empty());
    }
}
