//! `SUMMARIZE` against DuckDB's figures, and against the aggregates that it stands for.

use fastrand::Rng;
use query::Session;

use crate::engine::{self, Answer};

type Row = Vec<Option<String>>;

async fn rows(session: &Session, sql: &str) -> Vec<Row> {
    match engine::run(session, sql).await {
        Ok(Answer::Rows(_, batches)) => engine::texts(&batches),
        Ok(Answer::Count(_)) => Vec::new(),
        Err(error) => {
            let failed: query::Result<Vec<Row>> = Err(error);
            assert!(failed.is_ok(), "{sql}: {failed:?}");
            Vec::new()
        }
    }
}

/// The columns of SUMMARIZE by their place.
const COUNT: usize = 2;
const NULLS: usize = 3;
const PERCENTAGE: usize = 4;
const DISTINCT: usize = 5;
const MIN: usize = 6;
const MAX: usize = 7;
const MEAN: usize = 8;
const STD: usize = 9;
const QUARTILES: [usize; 3] = [10, 11, 12];

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn close(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let (one, other) = (number(one), number(other));
            (one.is_nan() && other.is_nan())
                || one == other
                || (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1e-9)
        }
        _ => false,
    }
}

#[test]
fn figures_agree_with_duckdb() {
    let summary = engine::runtime().block_on(async {
        rows(&Session::new().unwrap(), "summarize 'testdata/summarize/mixed.parquet'").await
    });
    let expected = std::fs::read_to_string("testdata/summarize/expected.csv").unwrap();
    let lines: Vec<Vec<Option<&str>>> = expected
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|field| Some(field).filter(|field| !field.is_empty())).collect())
        .collect();
    assert_eq!((summary.len(), lines.len()), (15, 15));
    for (row, line) in summary.iter().zip(&lines) {
        let ours = |at: usize| row[at].as_deref();
        assert_eq!([ours(0), ours(COUNT), ours(NULLS)], [line[0], line[1], line[2]]);
        let place = format!("{:?}: {row:?} {line:?}", ours(0));
        assert_eq!([ours(MIN), ours(MAX)], [line[4], line[5]], "{place}");
        assert!(close(ours(MEAN), line[6]) && close(ours(STD), line[7]), "{place}");
        assert_eq!(ours(DISTINCT).is_some(), line[3].is_some(), "{place}");
        if let (Some(estimate), Some(exact)) = (ours(DISTINCT), line[3]) {
            assert!((number(estimate) - number(exact)).abs() <= 0.05 * number(exact), "{place}");
        }
        for (at, quartile) in QUARTILES.into_iter().enumerate() {
            let (low, high) = (line[8 + 2 * at], line[9 + 2 * at]);
            match (ours(quartile), low, high) {
                (None, None, None) => {}
                (Some(estimate), Some(low), Some(high))
                    if low.contains(['T', '-']) && low.len() >= 10 && low.starts_with("20") =>
                {
                    assert!(low <= estimate && estimate <= high, "{place}");
                }
                (Some(estimate), Some(low), Some(high)) => {
                    let estimate = number(estimate);
                    // Whole numbers are rounded.
                    assert!(number(low) - 0.5 <= estimate && estimate <= number(high) + 0.5, "{place}");
                }
                _ => assert!(line.is_empty(), "{place}"),
            }
        }
    }
}

const NAMES: [&str; 8] = ["a", "A", "a.b", "with space", "select", "ünï", "per%cent", "value_0"];
const TYPES: [&str; 8] =
    ["bigint", "smallint", "double", "decimal(12, 3)", "varchar", "boolean", "date", "timestamp"];

fn value(rng: &mut Rng, data_type: &str) -> String {
    if rng.u8(..5) == 0 {
        return "null".into();
    }
    let number = rng.i64(-100..100);
    match data_type {
        "bigint" => [number, i64::MAX, i64::MIN + 1, number][rng.usize(..4)].to_string(),
        "smallint" => number.to_string(),
        "double" => {
            ["'NaN'".into(), "-0.0".into(), format!("{}.25", number), "1e300".into()][rng.usize(..4)].clone()
        }
        "varchar" => format!("'{}'", ["", "x", "Über", "1", "two words"][rng.usize(..5)]),
        "boolean" => rng.bool().to_string(),
        "date" => format!("'20{:02}-0{}-11'", rng.u8(10..30), rng.u8(1..9)),
        "timestamp" => format!("'20{:02}-0{}-11 10:0{}:00'", rng.u8(10..30), rng.u8(1..9), rng.u8(..9)),
        _ => format!("{number}.125"),
    }
}

/// A table `t` of up to eight columns and fifty rows.
fn table(rng: &mut Rng) -> (String, Vec<(&'static str, &'static str)>) {
    let columns: Vec<_> = NAMES[..rng.usize(1..=NAMES.len())]
        .iter()
        .map(|name| (*name, TYPES[rng.usize(..TYPES.len())]))
        .collect();
    let count = [0, 1, 2, 10, 50][rng.usize(..5)];
    let lines: Vec<String> = (0..count.max(1))
        .map(|_| {
            let values: Vec<_> = columns
                .iter()
                .map(|(_, data_type)| format!("{}::{data_type}", value(rng, data_type)))
                .collect();
            format!("({})", values.join(", "))
        })
        .collect();
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let nothing = if count == 0 { " where false" } else { "" };
    let sql = format!(
        "create table t as select * from (values {}) v ({}){nothing}",
        lines.join(", "),
        names.join(", ")
    );
    (sql, columns)
}

/// The aggregates that SUMMARIZE stands for, written out.
fn aggregates(name: &str, data_type: &str) -> String {
    let column = format!("\"{name}\"");
    let is_number = matches!(data_type, "bigint" | "smallint" | "double" | "decimal(12, 3)");
    let counted = if data_type == "double" { format!("({column} + 0.0)::varchar") } else { column.clone() };
    let (mean, std) = match is_number {
        true => (format!("avg({column}::double)"), format!("stddev({column}::double)")),
        false => ("null".into(), "null".into()),
    };
    format!(
        "select count({column}), count(*) - count({column}),
         round(100.0 * (count(*) - count({column})) / nullif(count(*), 0), 2), least(approx_distinct({counted}), count({column})),
         min({column})::varchar, max({column})::varchar, {mean} as mean, {std} as std from t"
    )
}

#[test]
fn a_summary_is_the_aggregates_of_each_column() {
    let runtime = engine::runtime();
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let (sql, columns) = table(&mut rng);
        runtime.block_on(async {
            let session = Session::new().unwrap();
            rows(&session, &sql).await;
            let summary = rows(&session, "summarize t").await;
            assert_eq!(summary.len(), columns.len(), "{sql}");
            for (row, (name, data_type)) in summary.iter().zip(&columns) {
                let apart = rows(&session, &aggregates(name, data_type)).await.remove(0);
                let place = format!("seed {seed}, column {name} {data_type}: {row:?} {apart:?}\n{sql}");
                assert_eq!(row[0].as_deref(), Some(*name), "{place}");
                for at in [COUNT, NULLS, DISTINCT, MIN, MAX] {
                    assert_eq!(row[at], apart[at - COUNT], "{at} {place}");
                }
                for at in [PERCENTAGE, MEAN, STD] {
                    assert!(close(row[at].as_deref(), apart[at - COUNT].as_deref()), "{at} {place}");
                }
                let places = [MIN, QUARTILES[0], QUARTILES[1], QUARTILES[2], MAX];
                let places: Vec<_> = places.iter().filter_map(|at| row[*at].as_deref()).collect();
                let ordered = match *data_type {
                    "double" | "varchar" | "boolean" => true,
                    "date" | "timestamp" => places.is_sorted(),
                    // The largest integers are rounded as floats.
                    _ => places.windows(2).all(|pair| number(pair[0]) <= number(pair[1])),
                };
                assert!(ordered, "{place}");
            }
        });
    }
}

#[test]
fn many_columns_are_summarized_at_once() {
    let columns: Vec<_> = (0..200).map(|at| format!("value + {at} as c{at}")).collect();
    let sql = format!("summarize select {} from generate_series(1, 100)", columns.join(", "));
    let summary = engine::runtime().block_on(async { rows(&Session::new().unwrap(), &sql).await });
    assert_eq!(summary.len(), 200);
    for (at, row) in summary.iter().enumerate() {
        let figures = [0, COUNT, MIN, MAX].map(|figure| row[figure].clone().unwrap());
        assert_eq!(figures, [format!("c{at}"), "100".into(), (1 + at).to_string(), (100 + at).to_string()]);
    }
}
