//! `-o FILE`: the format by extension, and one result set to a file.

use crate::cli::Room;

#[test]
fn the_extension_tells_the_format() {
    let room = Room::new();
    let formats = [
        ("table", &["txt"][..]),
        ("csv", &["csv", "CSV"]),
        ("tsv", &["tsv", "tab"]),
        ("json", &["json"]),
        ("ndjson", &["ndjson", "jsonl"]),
        ("markdown", &["md"]),
        ("parquet", &["parquet", "pq"]),
        ("arrow", &["arrow", "ipc", "feather"]),
    ];
    let sql = "select 1 as a, null as b, 'x' as c";
    for (format, extensions) in formats {
        let expected = room.query(["--format", format, "-c", sql]).run().stdout;
        for extension in extensions {
            let file = format!("out.{extension}");
            assert_eq!(room.query(["-c", sql, "-o", &file]).run().rows(), "", "{file}");
            assert!(room.bytes(&file) == expected, "{file} is no {format}");
        }
    }
}

#[test]
fn the_flag_beats_the_extension() {
    let room = Room::new();
    assert_eq!(room.query(["-c", "select 1 as a", "-o", "out.csv", "--format", "json"]).run().rows(), "");
    assert_eq!(room.read("out.csv"), "[{\"a\":1}]\n");
    let args = ["-c", "select 1 as a", "--output", "no-extension", "--format", "csv"];
    assert_eq!(room.query(args).run().rows(), "");
    assert_eq!(room.read("no-extension"), "a\n1\n");
}

#[test]
fn a_dash_is_standard_output() {
    let room = Room::new();
    assert_eq!(room.query(["-c", "select 1 as a; select 2 as b", "-o", "-"]).run().rows(), "a\n1\nb\n2\n");
    let args = ["-c", "select 1 as a", "-o", "-", "--format", "ndjson"];
    assert_eq!(room.query(args).run().rows(), "{\"a\":1}\n");
    assert!(room.names().is_empty());
}

#[test]
fn an_unknown_extension_is_misuse_before_anything_runs() {
    let room = Room::new();
    for file in ["out.xyz", "out", ".csv", "out.", "csv"] {
        let args = ["-c", "copy (select 1 as a) to 'ran.csv'", "-c", "select 1 as a", "-o", file];
        let error = room.query(args).run().error(2);
        let expected = format!("error: the format of '{file}' cannot be told from its name\n");
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains("--format"), "{error}");
        assert!(room.names().is_empty());
    }
}

#[test]
fn a_file_takes_exactly_one_result_set() {
    let room = Room::new();
    let scripts = [
        ("select 1 as a; select 2 as b", 2),
        ("create table t as select 1 as a", 0),
        ("create table t as select 1 as a; insert into t values (2)", 0),
        ("select 1; show tables; describe select 1; explain select 1", 4),
        ("", 0),
    ];
    for (script, count) in scripts {
        for file in ["out.csv", "out.parquet"] {
            let args = ["-c", "copy (select 1 as a) to 'ran.csv'", "-c", script, "-o", file];
            let error = room.query(args).run().error(2);
            let expected = format!("error: the output takes one result set, the SQL gives {count}\n");
            assert!(error.starts_with(&expected), "{error}");
            assert!(room.names().is_empty(), "{script}");
        }
    }
}

#[test]
fn statements_without_rows_may_surround_the_one_with_rows() {
    let room = Room::new();
    let script = "create table t as select 1 as a; insert into t values (2); select sum(a) as n from t;
        create table u as select 1 as b";
    assert_eq!(room.query(["-q", "-c", script, "-o", "out.csv"]).run().rows(), "");
    assert_eq!(room.read("out.csv"), "n\n3\n");
    for (sql, expected) in [
        ("prepare p as select 1 as a; execute p", "a\n1\n"),
        ("describe select 1 as a", "column_name,data_type,is_nullable\na,Int64,NO\n"),
        ("with c as (select 1 as a) select * from c", "a\n1\n"),
        ("values (1)", "column1\n1\n"),
        ("from (select 1 as a)", "a\n1\n"),
    ] {
        assert_eq!(room.query(["-q", "-c", sql, "-o", "out.csv"]).run().rows(), "", "{sql}");
        assert_eq!(room.read("out.csv"), expected, "{sql}");
    }
}

#[test]
fn sql_that_does_not_parse_is_the_error_not_the_count_of_results() {
    let room = Room::new();
    let error = room.query(["-c", "selec 1", "-o", "out.csv"]).run().error(1);
    assert!(error.starts_with("error: expected an SQL statement, found selec\n"), "{error}");
    assert!(room.names().is_empty());
}

#[test]
fn written_files_are_read_back() {
    let room = Room::new();
    let source = "select value as id, value % 3 = 0 as third, date '2026-11-01' + value::int as day,
        case when value % 2 = 0 then 'é' || value end as text from generate_series(1, 5000)
        order by id";
    let expected = room.sql(source).rows();
    for file in ["out.csv", "out.ndjson", "out.parquet", "out.arrow", "out.tsv"] {
        assert_eq!(room.query(["-c", source, "-o", file]).run().rows(), "", "{file}");
        let sql = format!("select id, third, day, text from '{file}' order by id");
        let rows = room.sql(&sql).rows();
        assert!(rows == expected, "{file}: {}", rows.chars().take(200).collect::<String>());
    }
}

#[test]
fn a_query_may_read_the_file_it_replaces() {
    let room = Room::new();
    room.write("numbers.csv", "a\n1\n2\n");
    let sql = "select a, a * 10 as b from 'numbers.csv'";
    assert_eq!(room.query(["-c", sql, "-o", "numbers.csv"]).run().rows(), "");
    assert_eq!(room.read("numbers.csv"), "a,b\n1,10\n2,20\n");
    let sql = "copy (select b from 'numbers.csv') to 'numbers.csv'";
    assert_eq!(room.query(["-q", "-c", sql]).run().rows(), "");
    assert_eq!(room.read("numbers.csv"), "b\n10\n20\n");
    assert_eq!(room.names(), ["numbers.csv"]);
}

#[test]
fn null_in_a_file_of_one_column_is_a_row_when_it_is_read_again() {
    let room = Room::new();
    let sql = "select a from (values (null::int), (1)) as t(a) order by a nulls first";
    for file in ["out.csv", "out.tsv"] {
        assert_eq!(room.query(["-o", file, "-c", sql]).run().rows(), "");
        assert_eq!(room.read(file), "a\n\"\"\n1\n");
        let again = room.sql(&format!("select count(*) as n, count(a) as values from '{file}'"));
        assert_eq!(again.rows(), "n,values\n2,1\n");
    }
}
