//! SQL as programs write it: thousands of terms, thousands of levels. An answer or an error, never a crash.

use std::time::Duration;

use super::Room;

/// Planning thousands of terms takes its time on a busy machine; a loop without an end takes longer.
const HANG_DEEP: Duration = Duration::from_secs(600);

/// Runs a text that an argument list has no room for; gives the answer, if there is one.
#[track_caller]
fn survives(sql: &str) -> Option<String> {
    let done = Room::new().query(["-f", "-"]).input(sql).hang(HANG_DEEP).run();
    assert_eq!(done.signal, None, "{}", done.stderr);
    for word in ["panicked", "overflowed its stack", "internal error", "defect"] {
        assert!(!done.stderr.contains(word), "{}", done.stderr);
    }
    if done.code == Some(0) {
        return Some(done.rows());
    }
    let error = done.error(1);
    assert!(error.starts_with("error: ") && error.len() < 4_000, "{error}");
    None
}

/// As [`survives`], and an answer must be this one.
#[track_caller]
fn answers(sql: &str, expected: &str) {
    if let Some(answer) = survives(sql) {
        assert_eq!(answer, expected);
    }
}

fn join(count: usize, between: &str, term: impl Fn(usize) -> String) -> String {
    (0..count).map(term).collect::<Vec<_>>().join(between)
}

fn nested(count: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn a_sum_of_20_000_terms() {
    let ones = join(20_000, "+", |_| "1".into());
    answers(&format!("select {ones} as x"), "x\n20000\n");
    let columns = join(20_000, "+", |_| "a".into());
    answers(&format!("select {columns} as x from (values (1), (2)) t(a)"), "x\n20000\n40000\n");
}

#[test]
fn a_text_of_20_000_pieces() {
    let pieces = join(20_000, "||", |_| "'a'".into());
    answers(&format!("select length({pieces}) as x"), "x\n20000\n");
}

#[test]
fn an_or_of_20_000_terms() {
    let same = join(20_000, " or ", |_| "a".into());
    let sql = format!("select count(*) as n from (values (true), (false), (null)) t(a) where {same}");
    assert_eq!(survives(&sql).as_deref(), Some("n\n1\n"));
    let different = join(20_000, " or ", |n| format!("a = {n}"));
    let sql = format!("select count(*) as n from (values (-1), (2), (null)) t(a) where {different}");
    assert_eq!(survives(&sql).as_deref(), Some("n\n1\n"));
}

#[test]
fn an_and_of_5_000_terms() {
    let terms = join(5_000, " and ", |n| format!("a <> {}", n + 5));
    let sql = format!("select count(*) as n from (values (1), (7), (null)) t(a) where {terms}");
    assert_eq!(survives(&sql).as_deref(), Some("n\n1\n"));
}

#[test]
fn a_list_of_20_000_values() {
    let values = join(20_000, ",", |n| n.to_string());
    let sql = format!("select count(*) as n from (values (1), (2), (-1)) t(a) where a in ({values})");
    assert_eq!(survives(&sql).as_deref(), Some("n\n2\n"));
    let rows = join(20_000, ",", |n| format!("({n})"));
    let sql = format!("select count(*) as n, sum(a) as s from (values {rows}) t(a)");
    assert_eq!(survives(&sql).as_deref(), Some("n,s\n20000,199990000\n"));
}

#[test]
fn a_select_of_3_000_columns() {
    let columns = join(3_000, ",", |n| format!("{n} as c{n}"));
    let answer = survives(&format!("select {columns}")).unwrap();
    assert!(answer.starts_with("c0,c1,") && answer.ends_with(",2998,2999\n"));
}

#[test]
fn parentheses_5_000_deep() {
    answers(&format!("select {} as x", nested(5_000, "(", "1", ")")), "x\n1\n");
    // What people write by hand works in any case.
    assert_eq!(survives(&format!("select {} as x", nested(100, "(", "1", ")"))).as_deref(), Some("x\n1\n"));
}

#[test]
fn calls_5_000_deep() {
    answers(&format!("select {} as x", nested(5_000, "abs(", "-1", ")")), "x\n1\n");
    assert_eq!(
        survives(&format!("select {} as x", nested(50, "abs(", "-1", ")"))).as_deref(),
        Some("x\n1\n")
    );
}

#[test]
fn subqueries_5_000_deep() {
    let sql = |count| format!("select * from {}", nested(count, "(select * from ", "(select 1 as a)", ")"));
    answers(&sql(5_000), "a\n1\n");
    assert_eq!(survives(&sql(50)).as_deref(), Some("a\n1\n"));
    answers(&format!("select {} as x", nested(5_000, "(select ", "1", ")")), "x\n1\n");
    answers(
        &format!("select 1 as a where {}", nested(2_000, "exists (select 1 where ", "true", ")")),
        "a\n1\n",
    );
}

#[test]
fn a_union_of_20_000_queries() {
    let sql = join(20_000, " union all ", |_| "select 1 as a".into());
    answers(&sql, &format!("a\n{}", "1\n".repeat(20_000)));
    let sql = join(200, " union all ", |_| "select 1 as a".into());
    assert_eq!(survives(&sql), Some(format!("a\n{}", "1\n".repeat(200))));
}

#[test]
fn cases_2_000_deep() {
    let sql = |count| {
        let cases = nested(count, "case when a = 1 then 1 else ", "2", " end");
        format!("select {cases} as x from (values (1), (3)) t(a)")
    };
    answers(&sql(2_000), "x\n1\n2\n");
    assert_eq!(survives(&sql(50)).as_deref(), Some("x\n1\n2\n"));
}

#[test]
fn chains_of_prefixes_and_suffixes() {
    answers(&format!("select {}true as x", "not ".repeat(20_000)), "x\ntrue\n");
    answers(&format!("select {}1 as x", "- ".repeat(20_000)), "x\n1\n");
    answers(&format!("select 1{} as x", "::int".repeat(20_000)), "x\n1\n");
    answers(&format!("select a{} as x from (values (1)) t(a)", ".a".repeat(20_000)), "");
    survives(&format!("select {} as x", nested(5_000, "[", "1", "]")));
}

#[test]
fn a_script_of_5_000_statements() {
    let sql = "select 1 as a;\n".repeat(5_000);
    assert_eq!(survives(&sql), Some("a\n1\n".repeat(5_000)));
}
