//! What is refused when a frame is built, and how the message reads.

use query::blocking::{DataFrame, Session};
use query::prelude::*;

fn sales() -> DataFrame {
    Session::new().unwrap().read_csv("testdata/sales/*.csv").unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(built: query::Result<T>, message: &str) {
    assert_eq!(built.unwrap_err().to_string(), message);
}

#[test]
fn an_unknown_column_names_the_nearest_wherever_it_stands() {
    let sales = sales();
    let message = "column 'regoin' does not exist: did you mean 'region'?";
    let products = sales.select(["product", "region"]).unwrap();
    refused(sales.select(["regoin"]), message);
    refused(sales.select([upper(col("regoin"))]), message);
    refused(sales.filter(col("regoin").is_null()), message);
    refused(sales.with_column("x", col("regoin")), message);
    refused(sales.rename([("regoin", "x")]), message);
    refused(sales.drop(["regoin"]), message);
    refused(sales.sort(["regoin"]), message);
    refused(sales.sort([desc("regoin")]), message);
    refused(sales.group_by(["regoin"]).size(), message);
    refused(sales.group_by(["region"]).agg([sum(col("regoin"))]), message);
    refused(sales.agg([max(col("regoin"))]), message);
    refused(sales.join(&products, How::Inner, ["regoin"]), message);
    refused(products.drop(["product"]).unwrap().join(&sales, How::Inner, ["regoin"]), message);
    refused(sales.join_on(&products, How::Inner, [left_col("regoin").eq(right_col("region"))]), message);
    refused(sales.value_counts(["regoin"]), message);
    refused(sales.quantile(["regoin"], [0.5], Quantile::Exact), message);
    refused(sales.fillna([("regoin", lit("x"))]), message);
    refused(sales.dropna_in(["regoin"]), message);
    refused(sales.window(&Window::by(["regoin"]), [row_number()]), message);
    refused(sales.window(&Window::all().sort(["regoin"]), [row_number()]), message);
    refused(sales.window(&Window::all(), [sum(col("regoin"))]), message);
    refused(sales.pivot(["regoin"], "product", ["x"], sum(col("amount"))), message);
    refused(sales.pivot(["region"], "regoin", ["x"], sum(col("amount"))), message);
    refused(sales.partition_by(["regoin"]), message);
    refused(
        sales.select(["zebra"]),
        "column 'zebra' does not exist: columns are day, region, product, customer, quantity, amount",
    );
}

#[test]
fn names_are_taken_as_they_are_written() {
    let session = Session::new().unwrap();
    let frame = session.sql("select 1 as \"Amount\", 2 as \"a.b\", 3 as amount").unwrap();
    let rows = |columns: [&str; 1]| frame.select(columns).unwrap().to_text().unwrap();
    assert!(rows(["Amount"]).contains("     1 │"));
    assert!(rows(["amount"]).contains("     3 │"));
    assert!(rows(["a.b"]).contains("   2 │"));
    refused(frame.select(["AMOUNT"]), "column 'AMOUNT' does not exist: did you mean 'Amount'?");
    // DataFusion's own `col` reads a dot as a table's name.
    let theirs = datafusion::prelude::col("a.b");
    assert_eq!(frame.select([theirs]).unwrap().columns(), ["a.b"]);
}

#[test]
fn aggregates_and_window_functions_have_their_places() {
    let sales = sales();
    let message = "sum(amount) is an aggregate: it belongs in agg(..) or window(..)";
    refused(sales.select([sum(col("amount"))]), message);
    refused(sales.with_column("x", sum(col("amount"))), message);
    refused(sales.filter(sum(col("amount")).gt(lit(1))), message);
    refused(sales.group_by([sum(col("amount"))]).size(), message);
    refused(
        sales.join_on(&sales, How::Inner, [sum(left_col("amount")).gt(lit(1))]),
        "sum(left.amount) is an aggregate: it belongs in agg(..) or window(..)",
    );
    let window = sales.filter(row_number().eq(lit(1))).unwrap_err().to_string();
    assert!(
        window.contains("is a window function: give it a column with window(..) before filter(..)"),
        "{window}"
    );
    refused(
        sales.group_by(["region"]).agg([col("amount")]),
        "column 'amount' has many values in a group: aggregate it (max(col(\"amount\"))) or group by it",
    );
    refused(
        sales.window(&Window::all(), [col("amount")]),
        "amount is neither an aggregate nor a window function: add it with with_column(..)",
    );
    refused(
        sales.pivot(["region"], "product", ["x"], col("amount")),
        "pivot needs an aggregate, like sum(col(\"amount\"))",
    );
}

#[test]
fn two_columns_do_not_have_one_name() {
    let sales = sales();
    refused(
        sales.select(["region", "region"]),
        "two columns would be named 'region': name one of them with alias(..)",
    );
    refused(
        sales.rename([("region", "product")]),
        "two columns would be named 'product': name one of them with alias(..)",
    );
    refused(
        sales.group_by(["region"]).agg([max(col("amount")).alias("region")]),
        "two columns would be named 'region': name one of them with alias(..)",
    );
    refused(
        sales.group_by(["region", "region"]).size(),
        "two columns would be named 'region': name one of them with alias(..)",
    );
    let twice = sales.with_column("amount_right", lit(1)).unwrap();
    refused(
        twice.join(&sales, How::Inner, ["day"]),
        "both sides have a column 'amount', and 'amount_right' is taken too: rename one of them before the join",
    );
    let session = Session::new().unwrap();
    session.run_sql("create table a as values (1); create table b as values (2)").unwrap();
    refused(
        session.sql("select * from a cross join b"),
        "two columns are named 'column1': name one of them with AS, or leave it out with * EXCLUDE (column1)",
    );
}

#[test]
fn types_that_cannot_meet_are_refused() {
    let session = Session::new().unwrap();
    let numbers = session.sql("select 1 as id").unwrap();
    let texts = session.sql("select '1' as id").unwrap();
    refused(
        numbers.join(&texts, How::Inner, ["id"]),
        "column 'id' is Int64 on the left and Utf8 on the right: cast one of them before the join",
    );
    refused(
        numbers.union(&texts),
        "column 'id' is Int64 in one frame and Utf8 in the other: cast one of them before the union",
    );
    refused(numbers.fillna([("id", lit("x"))]), "column 'id' is Int64: it cannot be filled with Utf8");
    refused(numbers.fillna_all(lit(true)), "no column can be filled with Boolean");
    let message = numbers.filter(col("id")).unwrap_err().to_string();
    assert!(message.contains("a condition has to be true or false"), "{message}");
    let message = numbers.select([col("id").dt().hour()]).unwrap_err().to_string();
    assert!(message.contains("date_part"), "{message}");
    refused(texts.describe(), "describe is about columns of numbers, and there is none: see value_counts");
    refused(
        texts.quantile(["id"], [0.5], Quantile::Exact),
        "column 'id' has no numbers, so it has no quantiles",
    );
}

#[test]
fn columns_of_both_sides_need_a_side() {
    let sales = sales();
    refused(
        sales.join_on(&sales, How::Inner, [col("day").eq(col("day"))]),
        "both sides have a column 'day': say left_col(\"day\") or right_col(\"day\")",
    );
    let none: [&str; 0] = [];
    refused(
        sales.join(&sales, How::Inner, none),
        "join needs columns to join on; every row with every row is cross_join",
    );
    let other = sales.select(["region"]).unwrap().rename([("region", "area")]).unwrap();
    refused(
        other.union(&sales.select(["product"]).unwrap()),
        "the frames have no column in common: union matches columns by name",
    );
}

#[test]
fn numbers_out_of_their_range_are_refused() {
    let sales = sales();
    refused(sales.sample(1.5), "a fraction is between 0 and 1, not 1.5");
    refused(sales.sample_seeded(f64::NAN, 1), "a fraction is between 0 and 1, not NaN");
    refused(sales.random_split([0.0, 0.0], 1), "the weights of a split are numbers from 0 up, and not all 0");
    refused(
        sales.random_split([1.0, -0.5], 1),
        "the weights of a split are numbers from 0 up, and not all 0",
    );
    refused(sales.quantile(["amount"], [50.0], Quantile::Exact), "a quantile is between 0 and 1, not 50");
    refused(sales.limit(usize::MAX), "18446744073709551615 rows are more than can be counted");
    refused(
        sales.drop(["day", "region", "product", "customer", "quantity", "amount"]),
        "no column is left: a frame has at least one",
    );
}

#[test]
fn readers_and_sql_say_what_they_take() {
    let session = Session::new().unwrap();
    refused(
        session.read_csv("testdata/products.parquet"),
        "'testdata/products.parquet' is for read_parquet, not for read_csv",
    );
    refused(session.read_json("x/*.csv.gz"), "'x/*.csv.gz' is for read_csv, not for read_json");
    refused(session.read_csv("testdata/nothing.csv"), "no such file: 'testdata/nothing.csv'");
    refused(
        session.sql("create table t as values (1)"),
        "sql takes a query; run_sql runs statements that have an effect",
    );
    refused(session.sql("select 1; select 2"), "sql takes one query, this text has 2 statements");
    refused(session.sql("select $x"), "parameter '$x' has no value: filter the frame by a lit(..) instead");
    refused(session.sql(""), "sql takes one query, this text has 0 statements");
    refused(session.sql("select regoin from 'testdata/sales/*.csv'"), "column 'regoin' does not exist");
    session.run_sql("create table sales as values (1)").unwrap();
    refused(session.table("slaes"), "table 'slaes' does not exist: did you mean 'sales'?");
    refused(
        session.from_batches(Vec::new()),
        "from_batches needs a batch, one without rows will do: it tells the columns",
    );
}

#[test]
fn an_error_that_main_returns_reads_well() {
    let session = Session::new().unwrap();
    let debug = |error: query::Error| format!("{error:?}");
    assert_eq!(
        debug(session.sql("select regoin\nfrom 'testdata/sales/*.csv'").unwrap_err()),
        "column 'regoin' does not exist (<sql>, line 1); did you mean 'region'?"
    );
    let failing = session.sql("select 1 as n").unwrap().select([col("n") / lit(0)]).unwrap();
    assert_eq!(
        debug(failing.collect().unwrap_err()),
        "division by zero; `x / nullif(y, 0)` gives NULL where y is zero"
    );
    let message = debug(sales().agg([avg(col("region"))]).unwrap_err());
    assert!(message.contains("avg") && !message.contains("bug"), "{message}");
}
