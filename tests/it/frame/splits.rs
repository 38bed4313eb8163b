//! Samples and splits: which rows they take.

use std::collections::BTreeSet;

use query::blocking::{DataFrame, Session};

fn numbers(partitions: usize, batch_size: usize, order: &str) -> DataFrame {
    let session = Session::new().unwrap();
    let settings = format!(
        "set datafusion.execution.target_partitions = {partitions}; \
         set datafusion.execution.batch_size = {batch_size}"
    );
    session.run_sql(&settings).unwrap();
    let sql = format!(
        "select value as n, case when value % 7 <> 0 then 't' || (value % 100) end as text \
         from generate_series(1, 5000) order by value {order}"
    );
    session.run_sql(&format!("create table t as {sql}")).unwrap();
    session.table("t").unwrap()
}

fn members(frame: &DataFrame) -> BTreeSet<i64> {
    let rows = super::Table::of(&["n"], &frame.select(["n"]).unwrap().collect().unwrap()).rows;
    rows.into_iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_row_is_in_the_same_split_however_rows_are_spread() {
    let split = |frame: DataFrame| {
        let parts = frame.random_split([0.7, 0.2, 0.1], 42).unwrap();
        parts.iter().map(members).collect::<Vec<_>>()
    };
    let first = split(numbers(1, 8192, "asc"));
    assert_eq!(first.iter().map(BTreeSet::len).sum::<usize>(), 5000, "each row is in one part");
    assert_eq!(first.iter().flatten().collect::<BTreeSet<_>>().len(), 5000);
    assert_eq!(split(numbers(2, 100, "desc")), first);
    assert_eq!(split(numbers(7, 33, "asc")), first);
}

#[test]
fn parts_are_as_large_as_their_weights() {
    let parts = numbers(2, 1000, "asc").random_split([3.0, 0.0, 1.0], 7).unwrap();
    let sizes: Vec<u64> = parts.iter().map(|part| part.count().unwrap()).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 5000);
    assert_eq!(sizes[1], 0);
    // 3750 expected, with a standard deviation of 31.
    assert!(sizes[0].abs_diff(3750) < 155, "{sizes:?}");
}

#[test]
fn another_seed_is_another_split() {
    let frame = numbers(1, 8192, "asc");
    let of = |seed| members(&frame.random_split([0.5, 0.5], seed).unwrap()[0]);
    let common = of(1).intersection(&of(2)).count();
    assert!(common.abs_diff(1250) < 200, "{common} rows in both");
}

#[test]
fn a_sample_of_a_split_is_a_sample() {
    let frame = numbers(2, 1000, "asc");
    let half = &frame.random_split([0.5, 0.5], 1).unwrap()[0];
    let sample = half.sample_seeded(0.5, 1).unwrap().count().unwrap();
    assert!(sample.abs_diff(1250) < 200, "{sample} of about 2500");
}

#[test]
fn a_sample_has_its_size_and_a_seeded_one_its_rows() {
    let frame = numbers(2, 1000, "asc");
    let size = frame.sample(0.3).unwrap().count().unwrap();
    assert!(size.abs_diff(1500) < 200, "{size}");
    assert_eq!(frame.sample(0.0).unwrap().count().unwrap(), 0);
    assert_eq!(frame.sample(1.0).unwrap().count().unwrap(), 5000);
    let seeded = members(&frame.sample_seeded(0.3, 9).unwrap());
    assert!(seeded.len().abs_diff(1500) < 200, "{}", seeded.len());
    assert_eq!(members(&numbers(7, 33, "desc").sample_seeded(0.3, 9).unwrap()), seeded);
    assert_eq!(frame.sample_seeded(1.0, 9).unwrap().count().unwrap(), 5000);
    assert_eq!(frame.sample_seeded(0.0, 9).unwrap().count().unwrap(), 0);
}

#[test]
fn a_text_from_a_file_and_one_from_memory_fall_alike() {
    let room = tempfile::tempdir().unwrap();
    let frame = numbers(2, 1000, "asc");
    let path = room.path().join("t.parquet");
    frame.write_parquet(&path).unwrap();
    let file = Session::new().unwrap().read_parquet(path.to_str().unwrap()).unwrap();
    let first = |frame: &DataFrame| members(&frame.random_split([0.5, 0.5], 3).unwrap()[0]);
    assert_eq!(first(&file), first(&frame));
}
