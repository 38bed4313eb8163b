//! Subplans that are computed once: kept on disk where memory does not hold them.

use super::{ROWS, Small, unlimited};

const LIMIT: &str = "48MB";

#[track_caller]
fn same(sql: &str) {
    let small = Small::new(LIMIT);
    assert_eq!(small.sql(sql).rows(), unlimited(sql), "{sql}");
    assert!(small.left().is_empty());
}

#[test]
fn rows_that_do_not_fit_are_kept_for_all_readers() {
    same(&format!(
        "with c as materialized (select key, id, text from {ROWS}) \
         select (select count(*) from c) as n, (select sum(length(text)) from c where id % 3 = 0), \
                (select max(text) from c where id % 5 = 1), (select count(*) as n from (select * from c limit 10)) as few"
    ));
}

#[test]
fn groups_that_do_not_fit_are_kept_for_all_readers() {
    same(&format!(
        "with c as materialized (select key, count(*) as n, max(text) as t from {ROWS} group by key) \
         select (select sum(n) from c), (select sum(length(t)) from c), (select count(*) from c where n > 1)"
    ));
}

#[test]
fn joins_within_a_shared_subplan_go_to_disk() {
    same(&format!(
        "with c as materialized (select a.id, a.text, b.id as other from {ROWS} a join {ROWS} b on a.id = b.id and a.text = b.text) \
         select (select count(*) from c) as n, (select sum(length(text)) from c), (select max(other) from c where id < 1000)"
    ));
}
