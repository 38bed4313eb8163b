//! Expressions that make no sense together.

use super::message;

#[test]
fn types_that_do_not_fit_an_operator_are_named() {
    insta::assert_snapshot!(message("select region + 1 from orders"), @r"
    error: cannot coerce arithmetic expression Utf8 + Int64 to valid types
     --> <command line>:1:8
      |
    1 | select region + 1 from orders
      |        ^^^^^^
    ");
    insta::assert_snapshot!(message("select id from orders where region"), @r"
    error: a condition has to be true or false, and this one is of type Utf8
     --> <command line>:1:1
      |
    1 | select id from orders where region
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(message("select not id from orders"), @r"
    error: unary operator 'NOT' requires a boolean expression, got Int64
     --> <command line>:1:12
      |
    1 | select not id from orders
      |            ^^
      |
      = help: perhaps you need to cast orders.id
    ");
}

#[test]
fn a_column_outside_the_groups_is_underlined() {
    let error = message("select region, amount from orders group by region");
    assert!(
        error.starts_with(
            "error: column 'orders.amount' must be in GROUP BY or inside an aggregate function\n"
        ),
        "{error}"
    );
    assert!(
        error
            .contains("\n1 | select region, amount from orders group by region\n  |                ^^^^^^\n"),
        "{error}"
    );
    assert!(error.contains("add 'orders.amount' to GROUP BY"), "{error}");
    let error = message("select region, sum(amount) from orders");
    assert!(error.contains("\n1 | select region, sum(amount) from orders\n  |        ^^^^^^\n"), "{error}");
}

#[test]
fn aggregates_in_the_wrong_place_are_refused() {
    insta::assert_snapshot!(message("select sum(sum(amount)) from orders"), @r"
    error: aggregate function calls cannot be nested: 'sum(orders.amount)' is nested inside 'sum(sum(orders.amount))'
     --> <command line>:1:16
      |
    1 | select sum(sum(amount)) from orders
      |                ^^^^^^
      |
      = help: Compute 'sum(orders.amount)' in an inner query and aggregate its result
    ");
    insta::assert_snapshot!(message("select region from orders where sum(amount) > 1"), @r"
    error: aggregate functions are not allowed in the WHERE clause. Consider using HAVING instead
     --> <command line>:1:1
      |
    1 | select region from orders where sum(amount) > 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
}

#[test]
fn the_wrong_number_of_arguments_is_an_error_of_the_call() {
    let error = message("select upper(region, 1) from orders");
    assert!(error.starts_with("error: function 'upper' expects 1 arguments but received 2"), "{error}");
    let error = message("select upper() from orders");
    assert!(error.starts_with("error: 'upper' does not support zero arguments"), "{error}");
}

#[test]
fn arguments_of_the_wrong_type_are_nobodys_bug() {
    for sql in
        ["select sum(region) from orders", "select avg(region) from orders", "select abs(region) from orders"]
    {
        let error = message(sql);
        assert!(!error.contains("bug") && !error.contains("internal error"), "{sql}: {error}");
        let function = sql.split(['(', ' ']).nth(1).unwrap();
        assert!(error.lines().next().unwrap().contains(&format!("'{function}")), "{sql}: {error}");
    }
}

#[test]
fn rows_of_different_shapes_do_not_unite() {
    insta::assert_snapshot!(message("select id from orders union all select id, region from orders"), @r"
    error: UNION queries have different number of columns
     --> <command line>:1:1
      |
    1 | select id from orders union all select id, region from orders
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(message("insert into orders values (1)"), @r"
    error: inconsistent data length across values list: got 1 values in row 0 but expected 3
     --> <command line>:1:1
      |
    1 | insert into orders values (1)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ in this statement
    ");
    insta::assert_snapshot!(message("select id in (select id, region from orders) from orders"), @r"
    error: too many columns! The subquery should only return one column: orders.id, orders.region
     --> <command line>:1:22
      |
    1 | select id in (select id, region from orders) from orders
      |                      ^^^^^^^^^^
      |
      = help: Select only one column in the subquery
    ");
}
