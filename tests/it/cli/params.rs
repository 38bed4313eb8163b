//! `--param`: values with the types of their places, never text that becomes SQL.

use super::{Done, Room};

/// A table with a column of each type that parameters are compared with.
const EVENTS: &str = "create table e as select * from (values
    (date '2026-11-01', 1, 10.50::decimal(10, 2), 'ab', timestamp '2026-11-01 12:00:00', true, 1.5::double),
    (date '2026-11-02', 2, 20.25::decimal(10, 2), 'cd', timestamp '2026-11-02 12:00:00', false, 2.5::double),
    (null, null, null, null, null, null, null)) v(day, n, amount, name, at, flag, x)";

/// Runs one statement over `e` with these parameters.
fn ask(sql: &str, params: &[&str]) -> Done {
    let room = Room::new();
    let params = params.iter().flat_map(|param| ["--param", param]);
    room.query(["-c", EVENTS, "-c", sql].into_iter().chain(params)).run()
}

/// The values of the first column, without its name.
#[track_caller]
fn values(sql: &str, params: &[&str]) -> String {
    let rows = ask(sql, params).rows();
    let (_, values) = rows.split_once('\n').unwrap();
    values.trim_end().replace('\n', " ")
}

#[test]
fn a_value_takes_the_type_of_the_column_it_is_compared_with() {
    assert_eq!(values("select n from e where day = $d", &["d=2026-11-02"]), "2");
    assert_eq!(values("select n from e where $d <= day", &["d=2026-11-02"]), "2");
    assert_eq!(values("select n from e where n = $d", &["d=2"]), "2");
    assert_eq!(values("select n from e where amount > $d", &["d=15.1"]), "2");
    assert_eq!(values("select n from e where amount = $d", &["d=10.5"]), "1");
    assert_eq!(values("select n from e where name = $d", &["d=cd"]), "2");
    assert_eq!(values("select n from e where at >= $d", &["d=2026-11-02 00:00:00"]), "2");
    assert_eq!(values("select n from e where at >= $d", &["d=2026-11-02"]), "2");
    assert_eq!(values("select n from e where at > $d", &["d=2026-11-01T14:00:00+01:00"]), "2");
    assert_eq!(values("select n from e where flag = $d", &["d=true"]), "1");
    assert_eq!(values("select n from e where x = $d", &["d=2.5"]), "2");
    assert_eq!(values("select n from e where x < $d", &["d=2"]), "1");
}

#[test]
fn digits_stay_text_beside_text() {
    assert_eq!(values("select count(*) from e where name = $d", &["d=01"]), "0");
    assert_eq!(values("select '01' = $d as same", &["d=01"]), "true");
    assert_eq!(values("select '1' = $d as same", &["d=01"]), "false");
}

#[test]
fn one_parameter_may_have_two_types_in_one_query() {
    let sql = "select n from e where day = $d and at >= $d and cast(day as varchar) = $d";
    assert_eq!(values(sql, &["d=2026-11-02"]), "2");
    assert_eq!(values("select n from e where n = $d and x > $d", &["d=1"]), "1");
    let sql = "select arrow_typeof($d) as t from e where day = $d";
    assert_eq!(values(sql, &["d=2026-11-02"]), "Utf8");
}

#[test]
fn a_parameter_stands_wherever_an_expression_does() {
    let days = ["a=2026-11-02", "b=2026-11-01"];
    assert_eq!(values("select n from e where day in ($a, $b) order by n", &days), "1 2");
    assert_eq!(values("select n from e where n not in ($a)", &["a=1"]), "2");
    let days = ["a=2026-10-01", "b=2026-11-01"];
    assert_eq!(values("select n from e where day between $a and $b", &days), "1");
    assert_eq!(values("select name from e where name like $a", &["a=a%"]), "ab");
    assert_eq!(values("select name from e where name ilike $a", &["a=A_"]), "ab");
    assert_eq!(values("select n from e order by n nulls last limit $k offset $o", &["k=1", "o=1"]), "2");
    let sql = "select case when n = $x then $y else 'other' end as k from e order by n";
    assert_eq!(values(sql, &["x=1", "y=one"]), "one other other");
    assert_eq!(values("select case $x when 1 then 'one' else 'more' end as k", &["x=1"]), "one");
    assert_eq!(values("select sum(n) filter (where name = $a) as s from e", &["a=ab"]), "1");
    let sql = "select sum(n) as s from e group by day having sum(n) > $d";
    assert_eq!(values(sql, &["d=1"]), "2");
    assert_eq!(values("select e.n from e join (values (1)) v(k) on e.n = v.k + $d", &["d=1"]), "2");
    let sql = "select count(*) as c from e where n = (select max(n) from e where day <= $d)";
    assert_eq!(values(sql, &["d=2026-11-01"]), "1");
    assert_eq!(values("with c as (select n from e where day = $d) select n from c", &["d=2026-11-01"]), "1");
    assert_eq!(values("select array[$a, $b] as l", &["a=1", "b=2"]), "\"[1, 2]\"");
    assert_eq!(values("select -$a as s", &["a=5"]), "-5");
    assert_eq!(values("values ($d)", &["d=2"]), "2");
}

#[test]
fn function_arguments_and_casts_take_parameters() {
    assert_eq!(values("select upper($x) as u", &["x=abc"]), "ABC");
    assert_eq!(values("select substr($y, $n) as s", &["y=hello", "n=3"]), "llo");
    assert_eq!(values("select coalesce($z, 'none') as c", &["z=null"]), "none");
    assert_eq!(values("select date_trunc('month', $x::date) as m", &["x=2026-11-15"]), "2026-11-01T00:00:00");
    assert_eq!(values("select arrow_typeof($x::date) as t", &["x=2026-11-15"]), "Date32");
    assert_eq!(values("select $x::date + interval '1 day' as d", &["x=2026-11-30"]), "2026-12-01");
    assert_eq!(values("select cast($x as int) + 1 as n", &["x=41"]), "42");
}

#[test]
fn without_a_type_to_take_a_value_is_what_its_literal_would_be() {
    let kind = |value: &str| values("select arrow_typeof($x) as t", &[&format!("x={value}")]);
    let kinds = [
        ("42", "Int64"),
        ("-7", "Int64"),
        ("1.5", "Float64"),
        ("true", "Boolean"),
        ("null", "Null"),
        ("date '2026-11-01'", "Date32"),
        ("'42'", "Utf8"),
        ("2026-11-01", "Utf8"),
        ("", "Utf8"),
        ("two words", "Utf8"),
    ];
    for (value, expected) in kinds {
        assert_eq!(kind(value), expected, "{value}");
    }
}

#[test]
fn a_day_beside_an_interval_is_a_day() {
    let day = ["d=2026-11-30"];
    assert_eq!(values("select $d + interval '1 day' as d", &day), "2026-12-01");
    assert_eq!(values("select interval '1 month' + $d as d", &day), "2026-12-30");
    assert_eq!(
        values("select $d - interval '1 day' as d", &["d=2026-11-30 12:00:00"]),
        "2026-11-29T12:00:00"
    );
    let sql = "select n from e where day >= $d and day < $d + interval '1 day'";
    assert_eq!(values(sql, &["d=2026-11-02"]), "2");
    let error = ask("select $d + interval '1 day' as d", &["d=soon"]).error(1);
    assert!(error.contains("soon") || error.contains("Interval"), "{error}");
}

#[test]
fn null_is_a_value_of_every_type_but_text() {
    assert_eq!(
        values("select n is null as missing from e where n is not distinct from $d", &["d=null"]),
        "true"
    );
    assert_eq!(values("select count(*) as c from e where day = $d", &["d=NULL"]), "0");
    assert_eq!(values("select n from e order by n nulls last limit $k", &["k=null"]), "1 2 \"\"");
    // A text column may well hold the word.
    assert_eq!(values("select 'null' = $d as same", &["d=null"]), "true");
}

#[test]
fn tables_views_and_files_are_made_with_parameters() {
    let room = Room::new();
    let args =
        ["-c", EVENTS, "-c", "create table t as select n from e where day = $d", "-c", "select n from t"];
    assert_eq!(room.query(args.into_iter().chain(["--param", "d=2026-11-02"])).run().rows(), "n\n2\n");
    let args = ["-c", EVENTS, "-c", "create view v as select n from e where n = $d", "-c", "select n from v"];
    assert_eq!(room.query(args.into_iter().chain(["--param", "d=1"])).run().rows(), "n\n1\n");
    let args = ["-q", "-c", "copy (select $d as a) to 'out.csv'", "--param", "d=1"];
    assert_eq!(room.query(args).run().rows(), "");
    assert_eq!(room.read("out.csv"), "a\n1\n");
}

#[test]
fn rows_are_inserted_with_parameters() {
    let room = Room::new();
    let args = ["-q", "-c", "create table t (day date, n int)", "-c", "insert into t values ($d, $n)"];
    let more = ["-c", "select * from t", "--param", "d=2026-11-02", "--param", "n=7"];
    assert_eq!(room.query(args.into_iter().chain(more)).run().rows(), "day,n\n2026-11-02,7\n");
}

#[test]
fn a_value_never_becomes_sql() {
    let attempts = [
        "x' or '1'='1",
        "'); drop table e; --",
        "1; drop table e",
        "1 union select 2",
        "1 or true",
        "(select max(n) from e)",
        "upper('x')",
        "$other",
        "-- comment",
        "\\'; select 1",
    ];
    for attempt in attempts {
        let param = format!("d={attempt}");
        let count = "select count(*) as c from e where name = $d";
        assert_eq!(values(count, &[&param]), "0", "{attempt}");
        let shown = ask("select $d as d; select count(*) as c from e", &[&param]).rows();
        assert_eq!(shown, format!("d\n{attempt}\nc\n3\n"));
        let error = ask("select n from e where n = $d", &[&param]).error(1);
        let named = format!("value '{attempt}' of parameter '$d' is not of type Int64");
        assert!(error.contains(&named), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_named_at_its_place() {
    insta::assert_snapshot!(ask("select n from e where day = $d", &["d=2026-13-01"]).error(1), @r"
    error: value '2026-13-01' of parameter '$d' is not of type Date32
     --> <command line>:1:29
      |
    1 | select n from e where day = $d
      |                             ^^
    ");
    insta::assert_snapshot!(ask("select n\nfrom e\nwhere amount > $least", &["least=ten"]).error(1), @r"
    error: value 'ten' of parameter '$least' is not of type Decimal128(10, 2)
     --> <command line>:3:16
      |
    3 | where amount > $least
      |                ^^^^^^
    ");
    let wrong =
        [("flag", "maybe"), ("at", "yesterday"), ("n", "1.5"), ("n", ""), ("n", "99999999999999999999")];
    for (column, value) in wrong {
        let error = ask(&format!("select n from e where {column} = $d"), &[&format!("d={value}")]).error(1);
        assert!(error.contains(&format!("value '{value}' of parameter '$d' is not of type")), "{error}");
    }
}

#[test]
fn a_decimal_is_not_rounded_to_its_column() {
    // Rounding the value to the column's two places would find, or lose, the row with 10.50.
    let cases =
        [("amount = $d", "10.501", ""), ("amount < $d", "10.504", "1"), ("amount > $d", "10.499", "1 2")];
    for (condition, value, expected) in cases {
        let sql = format!("select n from e where {condition} order by n");
        let done = ask(&sql, &[&format!("d={value}")]);
        if done.code == Some(1) {
            let error = done.error(1);
            assert!(error.contains(&format!("value '{value}' of parameter '$d'")), "{error}");
        } else {
            let rows = done.rows().replace('\n', " ");
            assert_eq!(rows.trim_start_matches('n').trim(), expected, "{condition} {value}");
        }
    }
}

#[test]
fn a_parameter_without_a_value_is_named_at_its_place_before_anything_runs() {
    let room = Room::new();
    let args = ["-c", "copy (select 1 as a) to 'ran.csv'", "-c", "select $e,\n  $day", "--param", "e=1"];
    insta::assert_snapshot!(room.query(args).run().error(2), @r"
    error: parameter '$day' has no value
     --> <command line>:2:3
      |
    2 |   $day
      |   ^^^^
      |
      = help: give it one with --param day=…
    ");
    assert!(room.names().is_empty());
    // Names keep their case.
    let error = room.query(["-c", "select $D", "--param", "d=1"]).run().error(2);
    assert!(error.contains("parameter '$D' has no value"), "{error}");
}

#[test]
fn a_value_without_a_use_is_misuse() {
    let room = Room::new();
    for sql in [
        "select 1",
        "select '$d'",
        "select 1 -- $d",
        "select \"$d\" from (select 1 as \"$d\")",
        "select $$d$$",
    ] {
        let args = ["-c", "copy (select 1 as a) to 'ran.csv'", "-c", sql, "--param", "d=1"];
        let error = room.query(args).run().error(2);
        assert!(error.starts_with("error: parameter 'd' is not used\n"), "{sql}: {error}");
        assert!(room.names().is_empty());
    }
    let error = ask("select $e", &["e=1", "d=1"]).error(2);
    assert!(error.starts_with("error: parameter 'd' is not used\n"), "{error}");
}

#[test]
fn malformed_parameters_are_misuse() {
    let calls = [
        (&["d"][..], "error: parameter 'd' has no value\n"),
        (&["=1"], "error: '' cannot be the name of a parameter\n"),
        (&["a b=1"], "error: 'a b' cannot be the name of a parameter\n"),
        (&["d=1", "d=2"], "error: parameter 'd' is given twice\n"),
        (&["d=1", "$d=2"], "error: parameter 'd' is given twice\n"),
    ];
    for (params, expected) in calls {
        let error = ask("select $d", params).error(2);
        assert!(error.starts_with(expected), "{params:?}: {error}");
    }
}

#[test]
fn a_value_may_hold_equals_signs_and_its_name_a_dollar() {
    assert_eq!(values("select $d as d", &["d=a=b=c"]), "a=b=c");
    assert_eq!(values("select $d as d", &["$d=1"]), "1");
    assert_eq!(values("select $1 + $2 as d", &["1=40", "2=2"]), "42");
}

#[test]
fn prepared_statements_keep_their_own_parameters() {
    let room = Room::new();
    let prepared = ["-c", EVENTS, "-c", "prepare p(int) as select n from e where n = $1"];
    assert_eq!(room.query(prepared.into_iter().chain(["-c", "execute p(2)"])).run().rows(), "n\n2\n");
    let args = prepared.into_iter().chain(["-c", "execute p($x)", "--param", "x=1"]);
    assert_eq!(room.query(args).run().rows(), "n\n1\n");
    let args = prepared.into_iter().chain(["-c", "execute p(2)", "--param", "1=1"]);
    assert!(room.query(args).run().error(2).starts_with("error: parameter '1' is not used\n"));
}
