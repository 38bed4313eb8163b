//! Running frames: the checks of SQL, order, and life inside and outside of tokio.

use futures::StreamExt;
use query::blocking;
use query::prelude::*;

use super::Table;
use crate::engine;

fn numbers(last: i64) -> blocking::DataFrame {
    let session = blocking::Session::new().unwrap();
    session.sql(&format!("select value as n from generate_series(1, {last})")).unwrap()
}

#[test]
fn arithmetic_is_checked_as_in_sql() {
    let session = blocking::Session::new().unwrap();
    let most = session.sql("select 9223372036854775807 as n from generate_series(1, 2)").unwrap();
    let error = |frame: query::Result<blocking::DataFrame>| frame.unwrap().collect().unwrap_err().to_string();
    assert!(error(most.select([col("n") + lit(1)])).starts_with("integer overflow"));
    assert!(error(most.agg([sum(col("n"))])).starts_with("integer overflow"));
    assert!(error(most.window(&Window::all(), [sum(col("n")).alias("s")])).starts_with("integer overflow"));
    assert!(error(most.pivot([col("n")], "n", [i64::MAX], sum(col("n")))).starts_with("integer overflow"));
    // The stock sum, asked for by its own name, is the session's sum too.
    let stock = datafusion::functions_aggregate::sum::sum(col("n"));
    assert!(error(most.agg([stock])).starts_with("integer overflow"));
    assert_eq!(error(most.select([col("n") / lit(0)])), "division by zero");
    // A guard guards.
    let zero = session.sql("select value % 2 as n from generate_series(1, 9)").unwrap();
    let guarded = zero.filter(col("n").not_eq(lit(0)).and((lit(10) / col("n")).gt(lit(1)))).unwrap();
    assert_eq!(guarded.count().unwrap(), 5);
}

#[test]
fn nothing_runs_before_it_is_asked_to() {
    let failing = numbers(10).with_column("bad", lit(1) / (col("n") - col("n"))).unwrap();
    let built = failing.filter(col("bad").gt(lit(0))).unwrap().group_by(["bad"]).size().unwrap();
    built.explain().unwrap().collect().unwrap();
    assert_eq!(built.collect().unwrap_err().to_string(), "division by zero");
}

#[test]
fn an_order_lasts_through_what_keeps_rows() {
    let session = blocking::Session::new().unwrap();
    let settings = "set datafusion.execution.target_partitions = 7; set datafusion.execution.batch_size = 50";
    session.run_sql(settings).unwrap();
    session.run_sql("create table t as select value as n from generate_series(1, 5000)").unwrap();
    let sorted = session.table("t").unwrap().sort([desc("n")]).unwrap();
    let kept = sorted
        .filter((col("n") % lit(3)).eq(lit(0)))
        .and_then(|frame| frame.with_column("m", col("n") * lit(2)))
        .and_then(|frame| frame.select(["m", "n"]))
        .unwrap();
    let rows = Table::of(&["m", "n"], &kept.collect().unwrap()).rows;
    let wanted: Vec<String> = (1..=5000).rev().filter(|n| n % 3 == 0).map(|n| n.to_string()).collect();
    assert_eq!(rows.into_iter().map(|row| row[1].clone().unwrap()).collect::<Vec<_>>(), wanted);
    // A random filter stays above the sort, and the limit above the filter.
    let some = sorted.sample(0.9).and_then(|frame| frame.with_column("m", -col("n"))?.limit(1000)).unwrap();
    let rows = Table::of(&["n", "m"], &some.collect().unwrap()).rows;
    let numbers: Vec<i64> = rows.iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers.len(), 1000);
    assert!(numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
    assert!(numbers[999] > 3000, "{}", numbers[999]);
}

#[test]
fn blocking_frames_work_inside_of_every_runtime() {
    let ask = || assert_eq!(numbers(1000).filter(col("n").gt(lit(10))).unwrap().count().unwrap(), 990);
    ask();
    engine::runtime().block_on(async { ask() });
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        ask();
        tokio::task::spawn_blocking(move || assert_eq!(numbers(3).count().unwrap(), 3)).await.unwrap();
    });
    futures::executor::block_on(async { assert_eq!(numbers(4).count().unwrap(), 4) });
    std::thread::spawn(|| assert_eq!(numbers(5).count().unwrap(), 5)).join().unwrap();
}

#[test]
fn everything_may_be_dropped_inside_of_a_runtime() {
    let outside = (blocking::Session::new().unwrap(), numbers(10), numbers(100_000).stream().unwrap());
    engine::runtime().block_on(async {
        drop(outside);
        let session = Session::new().unwrap();
        let frame = session.sql("from generate_series(1, 100000)").await.unwrap();
        let mut stream = frame.stream().await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(session);
        drop(frame);
        let mut batches = numbers(100_000).stream().unwrap();
        batches.next().unwrap().unwrap();
        drop(batches);
        drop(stream);
    });
}

#[test]
fn frames_outlive_their_session() {
    let runtime = engine::runtime();
    let frame = runtime.block_on(async {
        let session = Session::new().unwrap();
        let sales = session.read_csv("testdata/sales/*.csv").await.unwrap();
        session.register("north", &sales.filter(col("region").eq(lit("north"))).unwrap()).unwrap();
        session.sql("from north").await.unwrap()
    });
    assert_eq!(runtime.block_on(frame.count()).unwrap(), 14);
}

#[test]
fn async_frames_outside_of_a_runtime_say_so() {
    let frame = numbers(10).asynchronous();
    let error = futures::executor::block_on(frame.collect()).unwrap_err().to_string();
    assert_eq!(error, "async frames run inside a tokio runtime: use query::blocking outside of one");
}

#[test]
fn a_stream_ends_at_an_error_and_after_its_rows() {
    let numbers = numbers(30_000);
    let rows: usize = numbers.stream().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 30_000);
    let failing = numbers.with_column("bad", lit(1) / (lit(29_000) - col("n"))).unwrap();
    let mut batches = failing.stream().unwrap();
    let error = batches.by_ref().find_map(Result::err).unwrap();
    assert_eq!(error.to_string(), "division by zero");
    assert!(batches.next().is_none());
}

#[test]
fn a_frame_without_rows_still_has_columns() {
    let none = numbers(10).filter(col("n").gt(lit(10))).unwrap();
    assert_eq!(none.count().unwrap(), 0);
    assert_eq!(none.collect().unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    let text = none.to_text().unwrap();
    assert!(text.contains("n") && text.ends_with("0 rows\n"), "{text}");
    let statistics = Table::of(&["s", "n"], &none.describe().unwrap().collect().unwrap()).rows;
    assert_eq!(statistics[0], [Some("count".to_string()), Some("0.0".to_string())]);
    assert!(statistics[1..].iter().all(|row| row[1].is_none()), "{statistics:?}");
}

#[test]
fn schemas_are_those_of_the_rows() {
    let session = blocking::Session::new().unwrap();
    let sales = session.read_csv("testdata/sales/*.csv").unwrap();
    let frames = [
        sales.describe().unwrap(),
        sales.value_counts(["region"]).unwrap(),
        sales.union(&session.sql("select 1.5 as quantity, 'x' as note").unwrap()).unwrap(),
        sales.fillna([("customer", lit(0))]).unwrap(),
        sales.quantile(["amount"], [0.5], Quantile::Approximate).unwrap(),
        sales.group_by([col("day").dt().month().alias("month")]).agg([sum(col("quantity"))]).unwrap(),
    ];
    for frame in frames {
        let batches = frame.collect().unwrap();
        let (built, run) = (frame.schema(), batches[0].schema());
        let types = |schema: &datafusion::arrow::datatypes::Schema| {
            schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
        };
        assert_eq!(types(&built), types(&run));
    }
}

#[test]
fn long_chains_of_steps_and_terms_are_built_and_run() {
    let mut frame = numbers(10);
    for step in 0..200 {
        frame = frame.with_column("n", col("n") + lit(1)).unwrap();
        if step % 10 == 0 {
            frame = frame.filter(col("n").gt(lit(0))).unwrap();
        }
    }
    assert_eq!(frame.agg([max(col("n"))]).unwrap().count().unwrap(), 1);
    let any = (0..2000).map(|n| col("n").eq(lit(n))).reduce(Expr::or).unwrap();
    assert_eq!(numbers(10).filter(any).unwrap().count().unwrap(), 10);
}
