//! Answers that pandas gave over `testdata/frame/readings.csv`; `testdata/frame/expected.py` writes them.

use std::fs;

use query::blocking::{DataFrame, Session};
use query::prelude::*;

use super::Table;

/// Relative difference of floats that comes from computing in another order.
const FLOAT_TOLERANCE: f64 = 1e-12;

fn expected(name: &str) -> Table {
    let text = fs::read_to_string(format!("testdata/frame/expected/{name}.txt")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_string).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let rows = lines.map(|row| row.into_iter().map(|field| (!field.is_empty()).then_some(field)).collect());
    Table { names, rows: rows.collect() }
}

fn readings(partitions: usize) -> DataFrame {
    let session = Session::new().unwrap();
    let settings = format!(
        "set datafusion.execution.target_partitions = {partitions}; set datafusion.execution.batch_size = 7"
    );
    session.run_sql(&settings).unwrap();
    session.read_csv("testdata/frame/readings.csv").unwrap()
}

fn same(actual: &Option<String>, wanted: &Option<String>) -> bool {
    match (actual, wanted) {
        (Some(actual), Some(wanted)) if actual == wanted => true,
        (Some(actual), Some(wanted)) => match (actual.parse::<f64>(), wanted.parse::<f64>()) {
            (Ok(a), Ok(w)) => (a - w).abs() <= FLOAT_TOLERANCE * a.abs().max(w.abs()),
            _ => false,
        },
        (actual, wanted) => actual == wanted,
    }
}

/// Compares names and rows, in order, with one partition and with several.
fn check(name: &str, build: impl Fn(&DataFrame) -> query::Result<DataFrame>) {
    let wanted = expected(name);
    assert!(!wanted.rows.is_empty());
    for partitions in [1, 2, 7] {
        let frame = build(&readings(partitions)).unwrap();
        let actual = Table::of(&frame.columns(), &frame.collect().unwrap());
        assert_eq!(actual.names, wanted.names, "{name}");
        assert_eq!(actual.rows.len(), wanted.rows.len(), "{name}");
        for (at, (row, wanted)) in actual.rows.iter().zip(&wanted.rows).enumerate() {
            let differ = row.iter().zip(wanted).position(|(a, w)| !same(a, w));
            assert!(differ.is_none(), "{name}, row {at} of {partitions} partitions:\n{row:?}\n{wanted:?}");
        }
    }
}

#[test]
fn describe() {
    check("describe", |readings| readings.describe());
}

#[test]
fn quantiles() {
    let points = [0.0, 0.1, 1.0 / 3.0, 0.5, 0.7, 0.9, 0.99, 1.0];
    check("quantile", |readings| readings.quantile(["level", "wind"], points, Quantile::Exact));
}

#[test]
fn approximate_quantiles_are_near() {
    let wanted = expected("quantile");
    let quantile = readings(1).quantile(["wind"], [0.1, 0.5, 0.9], Quantile::Approximate).unwrap();
    let rows = Table::of(&quantile.columns(), &quantile.collect().unwrap()).rows;
    for (row, at) in rows.iter().zip([1, 3, 5]) {
        let number = |text: &Option<String>| text.as_ref().unwrap().parse::<f64>().unwrap();
        let (near, exact) = (number(&row[1]), number(&wanted.rows[at][2]));
        assert!((near - exact).abs() < 3.0, "{near} instead of {exact}");
    }
}

#[test]
fn datetime_accessors() {
    check("datetime", |readings| {
        let ts = || col("ts").dt();
        readings
            .select([
                col("reading"),
                ts().year().alias("year"),
                ts().quarter().alias("quarter"),
                ts().month().alias("month"),
                ts().day().alias("day"),
                ts().hour().alias("hour"),
                ts().minute().alias("minute"),
                ts().second().alias("second"),
                ts().microsecond().alias("microsecond"),
                ts().nanosecond().alias("nanosecond"),
                ts().day_of_week().alias("day_of_week"),
                ts().day_of_year().alias("day_of_year"),
                ts().week().alias("week"),
                ts().iso_year().alias("iso_year"),
                ts().date().alias("date"),
                ts().floor("hour").alias("floor_hour"),
                ts().strftime("%d/%m/%Y %H:%M:%S").alias("text"),
            ])?
            .sort(["reading"])
    });
}

fn grouped(groups: GroupBy<query::frontend::frame::Blocking>) -> query::Result<DataFrame> {
    let all = groups.agg([
        count(lit(1)).alias("rows"),
        count(col("level")).alias("levels"),
        sum(col("level")).alias("level"),
        avg(col("wind")).alias("mean"),
        stddev(col("wind")).alias("std"),
        min(col("wind")).alias("least"),
        max(col("wind")).alias("most"),
        median("wind").alias("median"),
    ])?;
    all.sort(["station"])
}

#[test]
fn groups_with_the_null_group() {
    check("groups_with_null", |readings| grouped(readings.group_by(["station"])));
}

#[test]
fn groups_without_the_null_group() {
    check("groups_without_null", |readings| grouped(readings.group_by(["station"]).dropna()));
}

#[test]
fn value_counts() {
    check("counts_with_null", |readings| readings.value_counts(["station"]));
    check("counts_without_null", |readings| readings.dropna_in(["station"])?.value_counts(["station"]));
}

#[test]
fn windows() {
    check("windows", |readings| {
        let by = || Window::by(["station"]);
        let level = coalesce(vec![col("level"), lit(0)]);
        readings
            .window(&by().sort(["reading"]).rows(None, Some(0)), [sum(level).alias("so_far")])?
            .window(
                &by().sort(["reading"]).rows(Some(2), Some(0)),
                [avg(col("wind")).alias("mean_of_3"), median("wind").alias("middle_of_3")],
            )?
            .window(&by().sort([desc("reading")]), [row_number().alias("place")])?
            .window(&by().sort(["reading"]), [lag("level", 1).alias("before")])?
            .select(["reading", "so_far", "mean_of_3", "middle_of_3", "place", "before"])?
            .sort(["reading"])
    });
}

#[test]
fn pivot() {
    check("pivot", |readings| {
        let wide = readings.pivot(["station"], col("ts").dt().month(), [1, 2, 11, 12], avg(col("wind")))?;
        wide.sort(["station"])
    });
}

#[test]
fn missing_values() {
    check("filled", |readings| {
        let filled = readings.fillna([("level", lit(0)), ("station", lit("?"))])?;
        filled.select(["reading", "station", "level"])?.sort(["reading"])
    });
    check("dropped", |readings| readings.dropna()?.select(["reading"])?.sort(["reading"]));
    check("dropped_in", |readings| readings.dropna_in(["station"])?.select(["reading"])?.sort(["reading"]));
}
