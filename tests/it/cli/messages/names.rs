//! Names that do not exist, and the nearest that do.

use super::message;

#[test]
fn an_unknown_table_is_shown_with_the_nearest_one() {
    insta::assert_snapshot!(message("select * from ordres"), @r"
    error: table 'ordres' does not exist
     --> <command line>:1:15
      |
    1 | select * from ordres
      |               ^^^^^^
      |
      = help: did you mean 'orders'?
    ");
    insta::assert_snapshot!(message("select *\nfrom orders o\njoin customers c using (id)"), @r"
    error: table 'customers' does not exist
     --> <command line>:3:6
      |
    3 | join customers c using (id)
      |      ^^^^^^^^^
    ");
    insta::assert_snapshot!(message("describe zebra"), @r"
    error: table 'zebra' does not exist
     --> <command line>:1:10
      |
    1 | describe zebra
      |          ^^^^^
    ");
    insta::assert_snapshot!(message(r#"select * from "Orders""#), @r#"
    error: table 'Orders' does not exist
     --> <command line>:1:15
      |
    1 | select * from "Orders"
      |               ^^^^^^^^
      |
      = help: did you mean 'orders'?
    "#);
}

#[test]
fn a_file_that_is_not_there_is_told_from_a_table() {
    insta::assert_snapshot!(message("select * from 'zebra.csv'"), @r"
    error: no such file: 'zebra.csv'
     --> <command line>:1:15
      |
    1 | select * from 'zebra.csv'
      |               ^^^^^^^^^^^
    ");
    insta::assert_snapshot!(message("select * from zebra.csv"), @r"
    error: table 'zebra.csv' does not exist
     --> <command line>:1:15
      |
    1 | select * from zebra.csv
      |               ^^^^^^^^^
      |
      = help: to read a file, put its path in quotes: FROM 'zebra.csv'
    ");
}

#[test]
fn an_unknown_column_is_shown_with_the_nearest_one() {
    insta::assert_snapshot!(message("select amuont from orders"), @r"
    error: column 'amuont' does not exist
     --> <command line>:1:8
      |
    1 | select amuont from orders
      |        ^^^^^^
      |
      = help: did you mean 'amount'?
    ");
    insta::assert_snapshot!(message("select o.amuont from orders o"), @r"
    error: column 'o.amuont' does not exist
     --> <command line>:1:8
      |
    1 | select o.amuont from orders o
      |        ^^^^^^^^
      |
      = help: did you mean 'amount'?
    ");
    insta::assert_snapshot!(message("select region, sum(amuont) from orders group by region"), @r"
    error: column 'amuont' does not exist
     --> <command line>:1:20
      |
    1 | select region, sum(amuont) from orders group by region
      |                    ^^^^^^
      |
      = help: did you mean 'amount'?
    ");
    insta::assert_snapshot!(message("select * from orders order by amuont"), @r"
    error: column 'amuont' does not exist
     --> <command line>:1:31
      |
    1 | select * from orders order by amuont
      |                               ^^^^^^
      |
      = help: did you mean 'amount'?
    ");
}

#[test]
fn an_unknown_column_far_from_all_is_shown_with_all() {
    insta::assert_snapshot!(message("select zzz from orders"), @r"
    error: column 'zzz' does not exist
     --> <command line>:1:8
      |
    1 | select zzz from orders
      |        ^^^
      |
      = help: columns are id, region, amount
    ");
    let columns = (0..100).map(|n| format!("{n} as column_{n}")).collect::<Vec<_>>().join(", ");
    let error = message(&format!("select zzz from (select {columns})"));
    assert!(error.contains("column_0, column_1, ") && error.contains(" and 88 more\n"), "{error}");
}

#[test]
fn unknown_columns_are_found_wherever_columns_stand() {
    for sql in [
        "select * from orders where nope > 1",
        "select sum(id) over (order by nope) from orders",
        "select id from orders join orders o2 using (nope)",
        "select * exclude (nope) from orders",
        "select * replace (1 as nope) from orders",
        "with c as (select nope from orders) select * from c",
        "select id from (select nope from orders)",
        "insert into orders (id, nope) values (1, 2)",
        "create view v as select nope from orders",
        "copy (select nope from orders) to 'out.csv'",
        "explain select nope from orders",
    ] {
        let error = message(sql);
        assert!(error.starts_with("error: column 'nope' does not exist\n"), "{sql}: {error}");
        let (line, carets) = source_and_carets(&error);
        let at = carets.find('^').unwrap();
        assert_eq!((line.get(at..at + 4), &carets[at..]), (Some("nope"), "^^^^"), "{error}");
    }
}

/// The shown line of SQL and the line of carets below it.
fn source_and_carets(error: &str) -> (&str, &str) {
    let lines: Vec<_> = error.lines().collect();
    let at = lines.iter().position(|line| line.contains('^')).unwrap();
    (lines[at - 1], lines[at])
}

#[test]
fn case_matters_in_quotes_only() {
    insta::assert_snapshot!(message(r#"select "ID" from orders"#), @r#"
    error: column 'ID' does not exist
     --> <command line>:1:8
      |
    1 | select "ID" from orders
      |        ^^^^
      |
      = help: names keep their case only in quotes: "id"
    "#);
}

#[test]
fn a_wrong_qualifier_is_not_mistaken_for_a_matter_of_case() {
    let error = message("select x.id from orders o");
    assert!(error.starts_with("error: column 'x.id' does not exist\n"), "{error}");
    assert!(!error.contains("case only in quotes"), "{error}");
}

#[test]
fn an_ambiguous_column_is_underlined() {
    insta::assert_snapshot!(message("select id from orders a join orders b on a.id = b.id"), @r"
    error: ambiguous reference to unqualified field id
     --> <command line>:1:8
      |
    1 | select id from orders a join orders b on a.id = b.id
      |        ^^
    ");
    insta::assert_snapshot!(message("select a.id from orders a join orders b on a.id = b.id where id = 1"), @r"
    error: ambiguous reference to unqualified field id
     --> <command line>:1:62
      |
    1 | select a.id from orders a join orders b on a.id = b.id where id = 1
      |                                                              ^^
    ");
}

#[test]
fn an_unknown_function_is_shown_with_the_nearest_one() {
    insta::assert_snapshot!(message("select uper(region) from orders"), @r"
    error: function 'uper' does not exist
     --> <command line>:1:8
      |
    1 | select uper(region) from orders
      |        ^^^^
      |
      = help: did you mean 'upper'?
    ");
    insta::assert_snapshot!(message("select sume(amount) from orders"), @r"
    error: function 'sume' does not exist
     --> <command line>:1:8
      |
    1 | select sume(amount) from orders
      |        ^^^^
      |
      = help: did you mean 'sum'?
    ");
    insta::assert_snapshot!(message("select qqqqqq(region) from orders"), @r"
    error: function 'qqqqqq' does not exist
     --> <command line>:1:8
      |
    1 | select qqqqqq(region) from orders
      |        ^^^^^^
    ");
}

#[test]
fn an_unknown_window_function_is_an_unknown_function() {
    let error = message("select row_numbr() over (order by id) from orders");
    assert!(error.starts_with("error: function 'row_numbr' does not exist\n"), "{error}");
    assert!(error.contains("did you mean 'row_number'?"), "{error}");
}

#[test]
fn an_unknown_table_function_is_underlined() {
    let error = message("select * from generate_serie(1, 2)");
    assert!(error.starts_with("error: table function 'generate_serie' "), "{error}");
    assert!(error.contains("<command line>:1:15\n"), "{error}");
}

#[test]
fn tables_are_made_once_and_dropped_when_there() {
    insta::assert_snapshot!(message("create table orders as select 1"), @r"
    error: table 'orders' already exists
     --> <command line>:1:1
      |
    1 | create table orders as select 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(message("drop table nothere"), @r"
    error: table 'nothere' does not exist
     --> <command line>:1:1
      |
    1 | drop table nothere
      | ^^^^^^^^^^^^^^^^^^ in this statement
    ");
}
