//! Statements that are fine until a row is not.

use super::message;

#[test]
fn integer_overflow_says_what_overflowed_and_what_to_do() {
    insta::assert_snapshot!(message("select 9223372036854775807 + 1"), @r"
    error: integer overflow: 9223372036854775807 + 1
     --> <command line>:1:1
      |
    1 | select 9223372036854775807 + 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
      |
      = help: compute with a wider type, `cast(x as decimal(38, 0))`, or wrap around on purpose with wrapping_add, wrapping_sub, wrapping_mul or wrapping_neg
    ");
    insta::assert_snapshot!(message("select sum(v) from (values (9223372036854775807), (1)) t(v)"), @r"
    error: integer overflow: the sum 9223372036854775808 does not fit 64 bits
     --> <command line>:1:1
      |
    1 | select sum(v) from (values (9223372036854775807), (1)) t(v)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
      |
      = help: compute with a wider type, `cast(x as decimal(38, 0))`, or wrap around on purpose with wrapping_add, wrapping_sub, wrapping_mul or wrapping_neg
    ");
    for (sql, what) in [
        ("select a * b from (values (9223372036854775807, 2)) t(a, b)", "9223372036854775807 * 2"),
        ("select a - b from (values (-9223372036854775807, 2)) t(a, b)", "-9223372036854775807 - 2"),
        ("select a + b from (values (2147483647::int, 1::int)) t(a, b)", "2147483647 + 1"),
        ("select a + b from (values (100::tinyint, 100::tinyint)) t(a, b)", "100 + 100"),
    ] {
        let error = message(sql);
        assert!(error.starts_with(&format!("error: integer overflow: {what}\n")), "{sql}: {error}");
    }
}

#[test]
fn division_by_zero_is_an_error_of_every_number() {
    insta::assert_snapshot!(message("select id / (id - 2) as x from orders"), @r"
    error: division by zero
     --> <command line>:1:1
      |
    1 | select id / (id - 2) as x from orders
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
      |
      = help: `x / nullif(y, 0)` gives NULL where y is zero
    ");
    for sql in [
        "select 1 / 0",
        "select 1.0 / 0",
        "select 1 % 0",
        "select 1::double / 0",
        "select 1::decimal(5, 2) / 0",
    ] {
        let error = message(sql);
        assert!(error.starts_with("error: division by zero\n"), "{sql}: {error}");
    }
}

#[test]
fn a_cast_names_the_value_that_does_not_fit() {
    insta::assert_snapshot!(message("select cast(region as int) from orders"), @r"
    error: cannot cast string 'north' to value of Int32 type
     --> <command line>:1:1
      |
    1 | select cast(region as int) from orders
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(message("select cast(300 as tinyint)"), @r"
    error: can't cast value 300 to type Int8
     --> <command line>:1:1
      |
    1 | select cast(300 as tinyint)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(message("select date '2026-13-01'"), @r"
    error: cannot cast string '2026-13-01' to value of Date32 type
     --> <command line>:1:1
      |
    1 | select date '2026-13-01'
      | ^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(message("select cast('9999999' as decimal(5, 2))"), @r"
    error: 9999999.00 is too large to store in a Decimal128 of precision 5. Max is 999.99
     --> <command line>:1:1
      |
    1 | select cast('9999999' as decimal(5, 2))
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
}

#[test]
fn a_subquery_of_several_rows_is_no_value() {
    insta::assert_snapshot!(message("select (select id from orders) as x"), @r"
    error: scalar subquery returned more than one row
     --> <command line>:1:1
      |
    1 | select (select id from orders) as x
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
}

#[test]
fn settings_and_formats_that_there_are_not_are_named() {
    for (sql, first, help) in [
        ("set nope = 1", "there is no setting 'nope'", "SHOW ALL lists the settings"),
        (
            "set datafusion.execution.batch_sise = 1",
            "there is no setting or option 'batch_sise'",
            "SHOW ALL lists the settings",
        ),
        (
            "copy (select 1) to 'x.xlsx'",
            "files named '.xlsx' cannot be written: the name tells no format",
            "say it: STORED AS CSV, JSON, PARQUET or ARROW",
        ),
        (
            "create external table t stored as xlsx location 'x.csv'",
            "'XLSX' is no format of files",
            "formats are CSV, TSV, JSON, PARQUET, AVRO and ARROW",
        ),
        (
            "select * from read_csv('x.csv')",
            "table function 'read_csv' not found",
            "a file is read by its path alone: FROM 'path'",
        ),
    ] {
        let error = message(sql);
        assert!(error.starts_with(&format!("error: {first}\n")), "{sql}: {error}");
        assert!(error.contains(&format!("\n  = help: {help}")), "{sql}: {error}");
    }
}

#[test]
fn errors_of_the_engine_are_in_words_for_people() {
    for (sql, first) in [
        ("select abs(-9223372036854775808)", "integer overflow: abs(-9223372036854775808)"),
        ("select sqrt(-1)", "cannot take square root of a negative number"),
        ("select {a: 1}.a", "a dot takes no field of this expression"),
        (
            "select date '2026-01-01' + interval '99999999 years'",
            "date overflow: the result is no date that can be stored",
        ),
    ] {
        let error = message(sql);
        assert!(error.starts_with(&format!("error: {first}\n")), "{sql}: {error}");
    }
}

#[test]
fn a_column_is_listed_once() {
    let error = message("select b.x from orders a join orders b on a.id = b.id");
    assert!(error.ends_with("help: columns are id, region, amount\n"), "{error}");
}
