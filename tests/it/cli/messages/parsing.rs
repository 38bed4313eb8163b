//! SQL that is no SQL.

use super::{message, message_of_script};

#[test]
fn a_misspelt_keyword_is_shown_with_the_one_that_was_meant() {
    insta::assert_snapshot!(message("slect 1"), @r"
    error: expected an SQL statement, found slect
     --> <command line>:1:1
      |
    1 | slect 1
      | ^^^^^
      |
      = help: did you mean SELECT?
    ");
    insta::assert_snapshot!(message("create tabel x (a int)"), @r"
    error: expected an object type after CREATE, found tabel
     --> <command line>:1:8
      |
    1 | create tabel x (a int)
      |        ^^^^^
      |
      = help: did you mean TABLE?
    ");
}

#[test]
fn a_misspelt_from_is_not_taken_for_another_word() {
    // The parser reads `form` as the column's other name and stumbles over what follows.
    for sql in ["select 1 form orders", "select id fromm orders"] {
        let error = message(sql);
        assert!(error.starts_with("error: expected end of statement, found orders\n"), "{error}");
        assert!(!error.contains("did you mean ORDER?"), "{error}");
    }
}

#[test]
fn what_is_missing_at_the_end_is_shown_after_the_last_word() {
    insta::assert_snapshot!(message("select id from orders where"), @r"
    error: expected an expression, found the end of the statement
     --> <command line>:1:28
      |
    1 | select id from orders where
      |                            ^
    ");
    insta::assert_snapshot!(message("select (1 + 2"), @r"
    error: expected ), found the end of the statement
     --> <command line>:1:14
      |
    1 | select (1 + 2
      |              ^
    ");
    insta::assert_snapshot!(message("select 1 +   -- to be continued"), @r"
    error: expected an expression, found the end of the statement
     --> <command line>:1:11
      |
    1 | select 1 +   -- to be continued
      |           ^
    ");
}

#[test]
fn what_is_too_much_is_underlined() {
    insta::assert_snapshot!(message("select id,, region from orders"), @r"
    error: expected an expression, found ,
     --> <command line>:1:11
      |
    1 | select id,, region from orders
      |           ^
    ");
    insta::assert_snapshot!(message("select * from orders order id"), @r"
    error: expected end of statement, found order
     --> <command line>:1:22
      |
    1 | select * from orders order id
      |                      ^^^^^
    ");
    insta::assert_snapshot!(message("select 1)"), @r"
    error: expected end of statement, found )
     --> <command line>:1:9
      |
    1 | select 1)
      |         ^
    ");
}

#[test]
fn what_never_ends_is_shown_where_it_begins() {
    insta::assert_snapshot!(message("select 'it''s open"), @r"
    error: unterminated string literal
     --> <command line>:1:8
      |
    1 | select 'it''s open
      |        ^
    ");
    for (sql, column) in [("select \"open", 8), ("select 1, 'open", 11)] {
        let error = message(sql);
        assert!(error.contains(&format!("<command line>:1:{column}\n")), "{error}");
    }
}

#[test]
fn comments_and_dollar_quotes_that_never_end_are_errors() {
    for (sql, named) in
        [("select /* open", "comment"), ("select $$open", "dollar"), ("select $tag$ open $$", "dollar")]
    {
        let error = message(sql);
        assert!(error.contains(named) && error.contains("<command line>:1:"), "{error}");
    }
}

#[test]
fn the_line_of_a_script_is_the_line_of_the_file() {
    insta::assert_snapshot!(message_of_script("report.sql", "-- a report\n\nselect 1,\n  (2 + 3\nfrom t\n"), @r"
    error: expected ), found from
     --> report.sql:5:1
      |
    5 | from t
      | ^^^^
    ");
}

#[test]
fn a_word_that_is_no_near_miss_gets_no_advice() {
    let error = message("frobnicate the orders");
    assert!(error.starts_with("error: expected an SQL statement, found frobnicate\n"), "{error}");
    assert!(!error.contains("help"), "{error}");
}
