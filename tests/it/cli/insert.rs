//! `INSERT INTO` tables of files.

use std::fs;

use super::{Room, names};

fn room() -> Room {
    let room = Room::new();
    fs::create_dir_all(room.path("t")).unwrap();
    room
}

#[test]
fn rows_are_added_as_a_new_file_of_the_tables_format() {
    for (format, extension, first) in [
        ("csv", "csv", "id,name\n1,ada\n"),
        ("tsv", "tsv", "id\tname\n1\tada\n"),
        ("json", "json", "{\"id\":1,\"name\":\"ada\"}\n"),
    ] {
        let room = room();
        room.write(&format!("t/a.{extension}"), first);
        let table = format!("create external table t stored as {format} location 't'");
        let insert = "insert into t (name, id) select 'bob', 2 union all select null, 3";
        let script = format!("{table}; {insert}; select id, name from t order by id");
        assert_eq!(room.query(["-q", "-c", &script]).run().rows(), "id,name\n1,ada\n2,bob\n3,\n", "{format}");
        let files = names(&room.path("t"));
        assert!(files.len() >= 2, "{files:?}");
        assert!(files.iter().all(|file| file.ends_with(&format!(".{extension}"))), "{files:?}");
        assert_eq!(room.names(), ["t"]);
        // The folder as a table tells the same.
        assert_eq!(room.sql("select sum(id) as n from t").rows(), "n\n6\n", "{format}");
    }
    for format in ["parquet", "arrow"] {
        let room = room();
        let made = format!("copy (select 1 as id, 'ada' as name) to 't/a.{format}'");
        room.query(["-q", "-c", &made]).run().rows();
        let table = format!("create external table t stored as {format} location 't'");
        let script = format!("{table}; insert into t values (2, 'bob'); select id, name from t order by id");
        assert_eq!(room.query(["-q", "-c", &script]).run().rows(), "id,name\n1,ada\n2,bob\n", "{format}");
        assert_eq!(names(&room.path("t")).len(), 2);
    }
}

#[test]
fn keys_become_folders() {
    let room = room();
    fs::create_dir_all(room.path("t/year=2025/kind=a")).unwrap();
    room.write("t/year=2025/kind=a/x.csv", "n\n1\n");
    let table = "create external table t stored as csv partitioned by (year, kind) location 't/'";
    let insert = "insert into t values (2, 2026, 'b c'), (3, 2025, 'a'), (4, 2026, 'b c')";
    let script =
        format!("{table}; {insert}; select year, kind, sum(n) as n from t group by all order by 1, 2");
    assert_eq!(room.query(["-q", "-c", &script]).run().rows(), "year,kind,n\n2025,a,4\n2026,b c,6\n");
    assert_eq!(names(&room.path("t")), ["year=2025", "year=2026"]);
    assert_eq!(names(&room.path("t/year=2025/kind=a")).len(), 2);
}

#[test]
fn a_table_with_declared_columns_may_begin_empty() {
    for format in ["csv", "parquet", "json"] {
        let room = Room::new();
        let table = format!(
            "create external table t (id bigint, name varchar, day date) stored as {format} partitioned by (day) \
             location 'new/t/'"
        );
        fs::create_dir(room.path("new")).unwrap();
        let script = format!(
            "{table}; select count(*) as n from t; insert into t values (1, 'ada', date '2026-11-27'); \
             insert into t values (2, 'bob', date '2026-11-28'); select id, name, day from t order by id"
        );
        assert_eq!(
            room.query(["-q", "-c", &script]).run().rows(),
            "n\n0\nid,name,day\n1,ada,2026-11-27\n2,bob,2026-11-28\n",
            "{format}"
        );
        assert_eq!(names(&room.path("new/t")), ["day=2026-11-27", "day=2026-11-28"]);
    }
}

#[test]
fn an_insert_that_fails_adds_nothing() {
    let room = room();
    room.write("t/a.csv", "id\n1\n");
    let table = "create external table t stored as csv location 't'";
    let insert = "insert into t select 1 / (value - 400000) from generate_series(1, 500000)";
    let error = room.query(["-c", &format!("{table}; {insert}")]).run().error(1);
    assert!(error.starts_with("error: division by zero\n"), "{error}");
    assert_eq!((room.names(), names(&room.path("t"))), (vec!["t".to_string()], vec!["a.csv".to_string()]));
    let error = room.sql(&format!("{table}; insert into t values ('many')")).error(1);
    assert!(error.contains("many"), "{error}");
    assert_eq!(names(&room.path("t")), ["a.csv"]);
}

#[test]
fn a_table_can_be_read_while_it_is_added_to() {
    let room = room();
    room.write("t/a.csv", "id\n1\n2\n");
    let table = "create external table t stored as csv location 't'";
    let script = format!(
        "{table}; insert into t select id + 2 from t; insert into t select id + 4 from t; \
                          select count(*) as n, sum(id) as s from t"
    );
    assert_eq!(room.query(["-q", "-c", &script]).run().rows(), "n,s\n8,36\n");
}

#[test]
fn null_in_a_column_that_has_none_is_refused() {
    let room = room();
    fs::create_dir_all(room.path("t/k=1")).unwrap();
    room.write("t/k=1/a.csv", "n\n1\n");
    let table = "create external table t stored as csv location 't'";
    let error = room.sql(&format!("{table}; insert into t select 2, null")).error(1);
    assert!(error.starts_with("error: column 'k' of 't' has no NULL in any file"), "{error}");
    assert_eq!(names(&room.path("t")), ["k=1"]);
}

#[test]
fn tables_that_no_file_can_be_added_to_say_why() {
    let room = room();
    room.write("t/a.csv", "id\n1\n");
    fs::create_dir_all(room.path("year=2026")).unwrap();
    room.write("year=2026/a.csv", "id\n1\n");
    fs::create_dir_all(room.path("mixed")).unwrap();
    room.write("mixed/a.csv", "id\n1\n");
    room.write("mixed/b.json", "{\"id\":1}\n");
    for (location, why) in [
        ("t/*.csv", "is a pattern, not a folder"),
        ("t/a.csv", "is a single file"),
        ("year=2026", "its key 'year' stands in the location itself"),
    ] {
        let table = format!("create external table x stored as csv location '{location}'");
        let values = if location == "year=2026" { "(2, 2025)" } else { "(2)" };
        let error = room.sql(&format!("{table}; insert into x values {values}")).error(1);
        assert!(error.starts_with("error: INSERT INTO 'x' is not possible: "), "{error}");
        assert!(error.contains(why), "{location}: {error}");
    }
    let table = "create external table x (id bigint) stored as csv location 'mixed'";
    let error = room.sql(&format!("{table}; insert into x values (2)")).error(1);
    assert!(error.contains("it has files of several formats, such as 'mixed/b.json'"), "{error}");
    let error = room.sql("create view v as from 't/a.csv'; insert into v values (2)").error(1);
    assert!(error.contains("INSERT INTO 'v' is not possible: it is a view"), "{error}");
    let table = "create external table x stored as csv location 't'";
    let error = room.sql(&format!("{table}; insert overwrite x values (2)")).error(1);
    assert!(error.contains("rows are only added to a table of files"), "{error}");
}

#[test]
fn an_insert_is_explained_and_drawn() {
    let room = room();
    room.write("t/a.csv", "id\n1\n");
    let table = "create external table t stored as csv location 't'";
    for explain in ["explain", "explain graph"] {
        let (plan, _) = room.sql(&format!("{table}; {explain} insert into t values (2)")).both(0);
        assert!(plan.contains("DataSinkExec") || plan.contains("Write") || plan.contains("CopyTo"), "{plan}");
    }
    assert_eq!(names(&room.path("t")), ["a.csv"]);
}
