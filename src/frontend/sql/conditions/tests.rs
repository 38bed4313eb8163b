use datafusion::sql::parser::DFParserBuilder;
use sqlparser::dialect::GenericDialect;

use super::*;

/// The conditions on `t` and on `u`, relations with the keys `a`, `b` and `c`, each reading in brackets.
fn guessed(sql: &str) -> String {
    let dialect = GenericDialect {};
    let mut parser = DFParserBuilder::new(sql).with_dialect(&dialect).build().unwrap();
    let ast = parser.parse_statement().unwrap();
    let keys = |name: &str| match name {
        "t" | "u" => ["a", "b", "c"].map(str::to_string).to_vec(),
        _ => Vec::new(),
    };
    let mut found = conditions(&ast, &keys);
    found.sort_by(|left, right| left.relation.cmp(&right.relation));
    let shown = |Readings { relation, conditions }: Readings| {
        let reading = |parts: &Vec<Expr>| {
            let parts: Vec<_> = parts.iter().map(|part| part.to_string().replace('"', "")).collect();
            format!("[{}]", parts.join("; "))
        };
        format!("{relation}{}", conditions.iter().map(reading).collect::<String>())
    };
    found.into_iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(guessed(sql), *expected, "{sql}");
    }
}

#[test]
fn a_where_counts_for_the_relations_of_its_select() {
    check(&[
        (
            "select * from t where a = 1 and (b or c) and c in (1, 2) and x = 1",
            "t[a = 1; b OR c; c IN (1, 2)]",
        ),
        ("select * from t as x where x.a = 1", "t[a = 1]"),
        ("select * from T where t.A = 1", "t[a = 1]"),
        ("select * from u join t on u.x = t.x where t.a = 1 and u.b = 2", "t[a = 1] u[b = 2]"),
        ("select * from v, t where a = 1", "t[a = 1]"),
        ("select x from v where x in (select x from t where b = 1)", "t[b = 1]"),
        ("copy (select * from t where a = 1) to 'x.csv'", "t[a = 1]"),
        ("create table c as select * from t where a = 1", "t[a = 1]"),
        ("create view c as select * from t where a = 1", "t[a = 1]"),
        ("explain select * from t where a = 1", "t[a = 1]"),
        ("insert into v select * from t where a = 1", "t[a = 1]"),
        ("select * from t where a = 1 union all select * from t where b = 2", "t[a = 1][b = 2]"),
    ]);
}

#[test]
fn conditions_of_outer_queries_count_for_the_keys_that_are_handed_on() {
    check(&[
        ("select * from (select * from t) where a = 1", "t[a = 1]"),
        ("select * from (select a as y, x from t) as d where d.y = 1 and x = 2", "t[a = 1]"),
        ("select * from (select a + 1 as a from t) where a = 1", ""),
        ("select * from (select * exclude (a) from t) where a = 1 and b = 2", "t[b = 2]"),
        ("select * from (select * replace (1 as a) from t) where a = 1 and b = 2", "t[b = 2]"),
        ("select * from (select a, b from t) as d (p, q) where p = 1 and q = 2", "t[a = 1; b = 2]"),
        ("select * from (select * from t) as d (p, q) where p = 1", ""),
        ("select * from (select distinct a from t) where a = 1", "t[a = 1]"),
        ("select a, count(*) from t group by a having a = 1 and count(*) > 2", "t[a = 1; a = 1]"),
        ("select a as k from t group by 1 having k = 1", "t[a = 1]"),
        ("select * from (select * from t where b = 2) where a = 1", "t[b = 2; a = 1]"),
        ("select * from (select * from t limit 5) where a = 1", ""),
        ("select * from (select * from t where b = 2 offset 5) where a = 1", "t[b = 2]"),
        ("select * from (select a, x from t union all select c, x from u) where a = 1", "t[a = 1] u[c = 1]"),
        ("select * from (select * from t union all select * from u) where a = 1", "t[a = 1] u[a = 1]"),
    ]);
}

#[test]
fn a_common_table_expression_is_read_where_it_is_named() {
    check(&[
        ("with d as (select * from t) select * from d where a = 1", "t[a = 1]"),
        ("with d (k) as (select a from t) select * from d as e where e.k = 1", "t[a = 1]"),
        (
            "with d as (select * from t) select * from d where a = 1 union all select * from d where b = 2",
            "t[a = 1][b = 2]",
        ),
        ("with d as (select * from t) select * from d where a = 1 union all select * from d", ""),
        ("with t as (select 1 as a) select * from t where a = 1", ""),
        ("with d as (select * from t), e as (select * from d) select * from e where a = 1", "t[a = 1]"),
    ]);
}

#[test]
fn joins_choose_on_the_sides_that_they_do_not_keep() {
    check(&[
        ("select * from t join u on t.a = 1 and u.b = 2", "t[a = 1] u[b = 2]"),
        ("select * from t left join u on t.a = 1 and u.b = 2", "u[b = 2]"),
        ("select * from t right join u on t.a = 1 and u.b = 2", "t[a = 1]"),
        ("select * from t full join u on t.a = 1 and u.b = 2", ""),
        ("select * from t right join u on t.x = u.x where u.a = 1 and t.b = 2", "t[b = 2] u[a = 1]"),
        ("select * from t join u using (a) where a = 1", "t[a = 1] u[a = 1]"),
        ("select * from t natural join u where c = 1", "t[c = 1] u[c = 1]"),
        ("select * from t join u on t.a = u.b and u.b = 1", "t[a = 1] u[b = 1]"),
        ("select * from t, u where u.b = t.a and t.a in (1, 2)", "t[a IN (1, 2)] u[b IN (1, 2)]"),
        ("select * from t left semi join u on t.a = u.a where t.a = 1", "t[a = 1] u[a = 1]"),
    ]);
}

#[test]
fn pipes_count() {
    check(&[
        ("select * from t |> where a = 1 |> where b = 2 |> limit 1 |> where c = 3", "t[a = 1; b = 2]"),
        ("select * from t where c = 3 |> where a = 1", "t[c = 3; a = 1]"),
        ("select a as b from t |> where b = 1", "t[a = 1]"),
        ("select * from t |> as d |> where d.b = 1", "t[b = 1]"),
        ("select * from t |> select a as k |> where k = 1", "t[a = 1]"),
        ("select * from t |> extend x + 1 as y |> where a = 1 and y = 2", "t[a = 1]"),
        ("select * from t |> aggregate count(*) group by a as k |> where k = 1", "t[a = 1]"),
        ("select * from t |> join u using (a) |> where a = 1", "t[a = 1] u[a = 1]"),
        ("select * from t |> union all (select * from u) |> where a = 1", "t[a = 1] u[a = 1]"),
        ("select * from t limit 1 |> where a = 1", ""),
    ]);
}

#[test]
fn nothing_is_guessed_without_a_condition_on_keys_for_each_reading() {
    check(&[
        ("select * from t", ""),
        ("select * from t where x = 1", ""),
        ("select * from t where a = x", ""),
        ("select * from t where a = (select 1)", ""),
        ("select * from t where a in (select a from u where b = 1)", "u[b = 1]"),
        ("select * from t where a = 1 union all select * from t", ""),
        ("select * from t where a = 1 union all select * from public.\"t\"", ""),
        ("select * from t as x (a, b) where a = 1", ""),
        ("insert into t select * from v where a = 1", ""),
    ]);
}

#[test]
fn a_chain_of_expressions_that_doubles_is_given_up() {
    let mut sql = "with c0 as (select * from t)".to_string();
    for level in 1..=40 {
        sql += &format!(", c{level} as (select * from c{0} union all select * from c{0})", level - 1);
    }
    assert_eq!(guessed(&format!("{sql} select * from c40 where a = 1")), "");
}
