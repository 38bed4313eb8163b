//! The line, the column and the caret, whatever the line looks like.

use super::{Room, message, message_of_script};

/// More than this is not read but scrolled past.
const BYTES_MAX: usize = 2_000;

#[test]
fn lines_count_in_the_file_and_columns_in_characters() {
    let script = "-- a report\ncreate table t as select 1 as a;\nselect a,\n  nope\nfrom t;\nselect 2;\n";
    insta::assert_snapshot!(message_of_script("report.sql", script), @r"
    error: column 'nope' does not exist
     --> report.sql:4:3
      |
    4 |   nope
      |   ^^^^
      |
      = help: columns are a
    ");
}

#[test]
fn an_error_while_rows_are_computed_points_at_the_statement() {
    insta::assert_snapshot!(message_of_script("report.sql", "create table t as select 1 as a;\n\nselect 1 /\n  0 as b;\n"), @r"
    error: division by zero
     --> report.sql:3:1
      |
    3 | select 1 /
      | ^^^^^^^^^^ in this statement
      |
      = help: `x / nullif(y, 0)` gives NULL where y is zero
    ");
}

#[test]
fn a_script_goes_by_the_name_it_was_given() {
    let room = Room::new();
    std::fs::create_dir(room.path("sub")).unwrap();
    room.write("sub/a.sql", "select nope");
    for name in ["sub/a.sql", "./sub/a.sql"] {
        let error = room.query(["run", name]).run().error(1);
        assert!(error.contains(&format!(" --> {name}:1:8\n")), "{error}");
    }
    let error = room.query(["-f", "-"]).input("select nope").run().error(1);
    assert!(error.contains(" --> <standard input>:1:8\n"), "{error}");
}

#[test]
fn the_caret_stands_under_the_word_after_wide_characters() {
    insta::assert_snapshot!(message("select '日本語', nope from orders"), @r"
    error: column 'nope' does not exist
     --> <command line>:1:15
      |
    1 | select '日本語', nope from orders
      |                  ^^^^
      |
      = help: columns are id, region, amount
    ");
    insta::assert_snapshot!(message("select 'żółw' as \"ä\", nope from orders"), @r#"
    error: column 'nope' does not exist
     --> <command line>:1:23
      |
    1 | select 'żółw' as "ä", nope from orders
      |                       ^^^^
      |
      = help: columns are id, region, amount
    "#);
    insta::assert_snapshot!(message("select \"日本\" from (select 1 as \"日本語\")"), @r#"
    error: column '日本' does not exist
     --> <command line>:1:8
      |
    1 | select "日本" from (select 1 as "日本語")
      |        ^^^^^^
      |
      = help: did you mean '日本語'?
    "#);
    insta::assert_snapshot!(message("select 'é', 1 1 1"), @r"
    error: expected end of statement, found 1
     --> <command line>:1:15
      |
    1 | select 'é', 1 1 1
      |               ^
    ");
}

#[test]
fn tabs_do_not_move_the_caret() {
    insta::assert_snapshot!(message("\tselect\tid,\tnope\tfrom orders"), @r"
    error: column 'nope' does not exist
     --> <command line>:1:13
      |
    1 |     select    id,    nope    from orders
      |                      ^^^^
      |
      = help: columns are id, region, amount
    ");
}

#[test]
fn lines_may_end_as_on_windows() {
    let error = message_of_script(
        "crlf.sql",
        "create table t as select 1 as a;\r\nselect nope\r\nfrom (select 1 as a)\r\n",
    );
    assert!(error.contains(" --> crlf.sql:2:8\n"), "{error}");
    assert!(error.contains("\n2 | select nope\n  |        ^^^^\n"), "{error}");
}

fn many_columns() -> String {
    (0..3000).map(|n| format!("{n} as c{n}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_very_long_line_is_cut_around_the_place() {
    let columns = many_columns();
    for sql in [
        format!("select {columns}, nope from orders"),
        format!("select nope, {columns} from orders"),
        format!("select {columns} 1 1 from orders"),
        format!("select {columns}, 1 / 0 as z"),
        format!("select '{}', nope, '{}'", "日".repeat(3000), "本".repeat(3000)),
        format!("select nope from (select {columns})"),
    ] {
        let error = message(&sql);
        assert!(error.contains('^') && error.len() < BYTES_MAX, "{} bytes: {error}", error.len());
    }
}

#[test]
fn the_column_in_a_very_long_line_is_the_line_s() {
    let start = format!("select {}, ", many_columns());
    let error = message(&format!("{start}nope from orders"));
    assert!(error.contains(&format!(" --> <command line>:1:{}\n", start.len() + 1)), "{error}");
    let start = format!("select '{}', ", "日".repeat(3000));
    let error = message(&format!("{start}nope"));
    assert!(error.contains(&format!(" --> <command line>:1:{}\n", start.chars().count() + 1)), "{error}");
}

#[test]
fn a_very_long_name_or_value_is_cut_in_the_message() {
    let long = "x".repeat(100_000);
    for sql in [
        format!("select '{long}'::int"),
        format!("select {long} from orders"),
        format!("select * from {long}"),
        format!("select {long}(1)"),
    ] {
        let error = message(&sql);
        assert!(error.len() < BYTES_MAX, "{} bytes: {}", error.len(), &error[..200]);
    }
}

#[test]
fn far_down_a_script_the_line_is_still_right() {
    let error = message_of_script("tall.sql", &format!("select\n{}nope", "1,\n".repeat(5000)));
    assert!(error.contains(" --> tall.sql:5002:1\n") && error.contains("\n5002 | nope\n"), "{error}");
}
