//! Frames from files and into files, and in and out of SQL.

use std::fs;
use std::path::Path;

use query::blocking::{DataFrame, Session};
use query::prelude::*;

use super::Table;

fn rows(frame: &DataFrame) -> Table {
    Table::of(&frame.columns(), &frame.collect().unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_read_back() {
    let room = tempfile::tempdir().unwrap();
    let session = Session::new().unwrap();
    let customers = session.read_json("testdata/customers.json").unwrap().sort(["id"]).unwrap();
    let path = |name: &str| room.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_string();
    assert_eq!(customers.write_parquet(path("c.parquet")).unwrap(), 9);
    assert_eq!(customers.write_csv(path("c.csv")).unwrap(), 9);
    assert_eq!(customers.write_json(path("c.json")).unwrap(), 9);
    for back in [
        session.read_parquet(&text("c.parquet")).unwrap(),
        session.read_csv(&text("c.csv")).unwrap(),
        session.read_json(&text("c.json")).unwrap(),
    ] {
        assert_eq!(rows(&back.sort(["id"]).unwrap()), rows(&customers));
    }
    assert_eq!(names(room.path()), ["c.csv", "c.json", "c.parquet"]);
}

#[test]
fn partitions_become_folders_and_null_has_a_name() {
    let room = tempfile::tempdir().unwrap();
    let session = Session::new().unwrap();
    let customers = session.read_json("testdata/customers.json").unwrap();
    let target = room.path().join("by-segment");
    assert_eq!(customers.partition_by(["segment"]).unwrap().write_parquet(&target).unwrap(), 9);
    assert_eq!(
        names(&target),
        ["segment=__HIVE_DEFAULT_PARTITION__", "segment=caf%C3%A9", "segment=home", "segment=office"]
    );
    let back = session.read_parquet(target.to_str().unwrap()).unwrap();
    assert_eq!(back.columns(), ["id", "name", "since", "segment"]);
    let home = back.filter(col("segment").eq(lit("home"))).unwrap().drop(["segment"]).unwrap();
    let wanted = customers.filter(col("segment").eq(lit("home"))).unwrap().drop(["segment"]).unwrap();
    assert_eq!(rows(&home).sorted(), rows(&wanted).sorted());
    assert_eq!(names(room.path()), ["by-segment"]);
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_no_trace() {
    let room = tempfile::tempdir().unwrap();
    let session = Session::new().unwrap();
    let numbers = session.sql("select value as n, value % 3 as part from generate_series(0, 50000)").unwrap();
    let failing = numbers.with_column("bad", lit(1) / (lit(49_999) - col("n"))).unwrap();
    for (name, whole) in [("out.csv", true), ("out.parquet", true), ("folder", false)] {
        let target = room.path().join(name);
        if whole {
            fs::write(&target, "old").unwrap();
        }
        let written = match name {
            "out.csv" => failing.write_csv(&target),
            "out.parquet" => failing.write_parquet(&target),
            _ => failing.partition_by(["part"]).unwrap().write_parquet(&target),
        };
        assert_eq!(written.unwrap_err().to_string(), "division by zero", "{name}");
        match whole {
            true => assert_eq!(fs::read_to_string(&target).unwrap(), "old", "{name}"),
            false => assert!(!target.exists(), "{name}"),
        }
    }
    assert_eq!(names(room.path()), ["out.csv", "out.parquet"]);
}

#[test]
fn frames_go_in_and_out_of_sql() {
    let session = Session::new().unwrap();
    let sales = session.read_csv("testdata/sales/*.csv").unwrap();
    session.register("large", &sales.filter(col("amount").gt(lit(50))).unwrap()).unwrap();
    let by_region = session.sql("select region, count(*) as n from large group by all").unwrap();
    let wanted = sales.filter(col("amount").gt(lit(50))).unwrap().group_by(["region"]);
    let wanted = wanted.agg([count(lit(1)).alias("n")]).unwrap();
    assert_eq!(rows(&by_region).sorted(), rows(&wanted).sorted());
    assert_eq!(rows(&session.table("large").unwrap()).rows.len(), 17);
    // Under its own name: the new view is made of the old one.
    let larger = session.table("large").unwrap().filter(col("amount").gt(lit(100))).unwrap();
    session.register("large", &larger).unwrap();
    assert_eq!(session.table("large").unwrap().count().unwrap(), 4);
    // Frames know the columns of aggregates and joins in SQL by their plain names.
    let joined = session
        .sql("select s.*, p.price from 'testdata/sales/*.csv' s join 'testdata/products.parquet' p using (product)")
        .unwrap();
    assert_eq!(joined.filter(col("price").gt(lit(0))).unwrap().count().unwrap(), 46);
}

#[test]
fn frames_of_two_files_with_one_name_join() {
    let session = Session::new().unwrap();
    let sales = session.read_csv("testdata/sales/*.csv").unwrap();
    let once = sales.join(&sales, How::Inner, ["day", "region", "product"]).unwrap();
    let twice = once.join(&sales, How::Left, ["day", "region", "product"]).unwrap_err().to_string();
    assert!(twice.contains("'customer_right' is taken too"), "{twice}");
    let total = once.agg([sum(col("amount") - col("amount_right")).alias("difference")]).unwrap();
    assert_eq!(rows(&total).rows, [[Some("0.0".to_string())]]);
}

/// A folder whose files do not fit together, but those of each year do.
fn years() -> (tempfile::TempDir, String) {
    let room = tempfile::tempdir().unwrap();
    for (year, values) in [(2025, ["one", "two"]), (2026, ["3", "4"])] {
        for (month, value) in (1..).zip(values) {
            let folder = room.path().join(format!("years/year={year}/month={month}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("x.csv"), format!("id\n{value}\n")).unwrap();
        }
    }
    let path = room.path().join("years").to_str().unwrap().to_string();
    (room, path)
}

#[test]
fn a_filter_on_keys_decides_which_files_are_looked_into() {
    let (_room, path) = years();
    let session = Session::new().unwrap();
    let error = session.read_csv(&path).unwrap_err().to_string();
    assert!(error.contains("its column 'id' is Int64, but Utf8 in"), "{error}");
    let ids = |options: ReadOptions| {
        session.read_csv_with(&path, &options)?.sort(["id"])?.select(["id"])?.collect()
    };
    let texts = |options| crate::engine::texts(&ids(options).unwrap()).into_iter().flatten().flatten();
    let year = |year: i64| ReadOptions::new().filters(col("year").eq(lit(year)));
    assert_eq!(texts(year(2026)).collect::<Vec<_>>(), ["3", "4"]);
    assert_eq!(texts(year(2025)).collect::<Vec<_>>(), ["one", "two"]);
    // Several conditions have to hold together, and those on other columns choose rows.
    let both = || col("month").gt(lit(1)).and(col("id").gt(lit(1)));
    assert_eq!(texts(year(2026).filters(both())).collect::<Vec<_>>(), ["4"]);
    assert_eq!(texts(year(2026).filters(col("id").lt(lit(4)))).collect::<Vec<_>>(), ["3"]);
    // What is sure of no file, and what is true of several years, needs them all.
    for options in [
        ReadOptions::new().filters(col("year").eq(lit(2026)).or(col("id").eq(lit("one")))),
        ReadOptions::new().filters(col("year").gt(lit(2024))),
        ReadOptions::new().filters(col("year").eq(col("id"))),
        ReadOptions::new(),
    ] {
        let error = ids(options).unwrap_err().to_string();
        assert!(error.contains("its column 'id' is Int64, but Utf8 in"), "{error}");
    }
}

#[test]
fn a_filter_of_a_reading_is_one_of_the_frame() {
    let session = Session::new().unwrap();
    let path = "testdata/sales/*.csv";
    let condition = || col("region").eq(lit("north")).and(col("amount").gt(lit(50)));
    let read = session.read_csv_with(path, &ReadOptions::new().filters(condition())).unwrap();
    let filtered = session.read_csv(path).unwrap().filter(condition()).unwrap();
    assert_eq!(rows(&read).sorted(), rows(&filtered).sorted());
    let wrong = ReadOptions::new().filters(col("regoin").eq(lit("north")));
    let error = session.read_csv_with(path, &wrong).unwrap_err().to_string();
    assert_eq!(error, "column 'regoin' does not exist: did you mean 'region'?");
    let summed = ReadOptions::new().filters(sum(col("amount")).gt(lit(1)));
    let error = session.read_csv_with(path, &summed).unwrap_err().to_string();
    assert!(error.contains("is an aggregate"), "{error}");
}
