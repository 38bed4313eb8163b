//! The programs in `examples/`, run as they are, and their answers.

#[path = "../../../examples/hourly_mean.rs"]
mod hourly_mean;
#[path = "../../../examples/json_counts.rs"]
mod json_counts;
#[path = "../../../examples/partitioned_join.rs"]
mod partitioned_join;

use query::prelude::*;

use crate::engine;

#[test]
fn the_programs_run() {
    hourly_mean::main().unwrap();
    json_counts::main().unwrap();
    partitioned_join::main().unwrap();
}

#[test]
fn the_mean_of_each_hour() {
    let room = tempfile::tempdir().unwrap();
    hourly_mean::write_readings(room.path()).unwrap();
    let answer = engine::runtime().block_on(async {
        let session = Session::new().unwrap();
        let files = format!("{}/*.csv", room.path().display());
        super::table(&hourly_mean::hourly_mean(&session, &files).await.unwrap()).await.unwrap()
    });
    assert_eq!(answer.names, ["hour", "mean", "readings"]);
    assert_eq!(answer.rows.len(), 24);
    let readings: u64 = answer.rows.iter().map(|row| row[2].as_ref().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(readings, 30 * 24 * 6 - 43, "every hundredth is missing");
    for (hour, row) in answer.rows.iter().enumerate() {
        assert_eq!(row[0].as_deref(), Some(hour.to_string().as_str()));
        // Half of the readings are at h + 0.5 and half at h + 1.5; a few are missing.
        let mean: f64 = row[1].as_ref().unwrap().parse().unwrap();
        assert!((mean - (f64::from(u32::try_from(hour).unwrap()) + 1.0)).abs() < 0.02, "hour {hour}: {mean}");
    }
}

#[test]
fn the_most_frequent_jobs() {
    let room = tempfile::tempdir().unwrap();
    json_counts::write_people(room.path()).unwrap();
    let session = query::blocking::Session::new().unwrap();
    let jobs = json_counts::frequent_jobs(&session, &format!("{}/*.json", room.path().display())).unwrap();
    // The same, counted by hand.
    let older = (0..1500usize).filter(|n| 20 + n % 41 > 30);
    let mut counts = [("baker", 0), ("smith", 0), ("potter", 0), ("", 0)];
    for n in older {
        counts[[0, 0, 1, 2, 3, 1, 0][n % 7]].1 += 1;
    }
    let rows = super::Table::of(&jobs.columns(), &jobs.collect().unwrap()).rows;
    let row = |at: usize| (rows[at][0].as_deref(), rows[at][1].clone().unwrap());
    assert_eq!(row(0), (Some("baker"), counts[0].1.to_string()));
    assert_eq!(row(1), (Some("smith"), counts[1].1.to_string()));
    let third = if counts[2].1 >= counts[3].1 { (Some("potter"), counts[2].1) } else { (None, counts[3].1) };
    assert_eq!(row(2), (third.0, third.1.to_string()));
}

#[test]
fn a_folder_for_each_category() {
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("out");
    let session = query::blocking::Session::new().unwrap();
    assert_eq!(partitioned_join::write_by_category(&session, &target).unwrap(), 46);
    let best = partitioned_join::best_products(&session, &target).unwrap();
    let sql = "select category, product, sum(amount) as amount from 'testdata/sales/*.csv' \
               join 'testdata/products.parquet' using (product) group by all order by category, amount desc";
    let expected = session.sql(sql).unwrap();
    let of =
        |frame: &query::blocking::DataFrame| super::Table::of(&frame.columns(), &frame.collect().unwrap());
    assert_eq!(of(&best), of(&expected));
    let folders = std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(folders.into_iter().all(|name| name.to_str().unwrap().starts_with("category=")));
}
