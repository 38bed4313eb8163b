//! CSV files that end inside quotes, and quotes that are values.

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use super::Room;
use crate::fixtures;

/// Runs one SQL text with the files split as finely as can be, and with each read whole.
fn both(room: &Room, sql: &str) -> [super::Done; 2] {
    [1, 100_000_000].map(|bytes| {
        let split = format!("set datafusion.optimizer.repartition_file_min_size = {bytes}");
        let threads = "set datafusion.execution.target_partitions = 4";
        room.query(["-q", "-c", threads, "-c", &split, "-c", sql]).run()
    })
}

#[track_caller]
fn refused(room: &Room, sql: &str, file: &str, line: usize) {
    for done in both(room, sql) {
        let error = done.error(1);
        let expected = format!("'{file}' cannot be read: a quote that opens in line {line} is not closed");
        assert!(error.contains(&expected), "{sql}: {error}");
    }
}

#[track_caller]
fn rows(room: &Room, sql: &str, expected: &str) {
    for done in both(room, sql) {
        assert_eq!(done.rows(), expected, "{sql}");
    }
}

fn gzip(text: String) -> Vec<u8> {
    fixtures::compressed(text.into_bytes(), FileCompressionType::GZIP)
}

/// So many records that the last ones are not looked at when the columns are made out.
fn long(last: &str) -> String {
    let lines: String = (1..=5000).map(|n| format!("{n},text {n}\n")).collect();
    format!("id,text\n{lines}{last}")
}

#[test]
fn a_quote_that_is_not_closed_is_told_with_its_line() {
    let room = Room::new();
    for (text, line) in [
        ("a,b\n1,\"x\n2,y\n3,z\n".to_string(), 2),
        ("a,b\n1,\"x".to_string(), 2),
        ("a,b\n1,\"".to_string(), 2),
        ("a,b\r\n1,\"x\r\n2,\"\"y\r\n".to_string(), 2),
        ("a,b\n\"1\n2\",x\n\"3\",\"y\"\"\n4,z\n".to_string(), 4),
        ("a,b\n1,5\" disk\n2,\"y\n".to_string(), 3),
        ("a,b\n1,5\" or 7\" disk\n2,\"y".to_string(), 3),
        ("\"a,b\n1,x\n".to_string(), 1),
        ("\"a".to_string(), 1),
        (long("5001,\"open\n5002,x\n5003,y\n"), 5002),
        (long("5001,\"open"), 5002),
        (long("\"5001,open\n"), 5002),
        (long("5001,5\" disk\n5002,\"open"), 5003),
    ] {
        room.write("x.csv", &text);
        refused(&room, "select count(*) as n from (select distinct * from 'x.csv')", "x.csv", line);
    }
}

#[test]
fn compressed_files_and_files_among_others_too() {
    let room = Room::new();
    room.write("a.csv", "id,text\n0,fine\n");
    room.write("b.csv.gz", gzip(long("5001,\"open\n")));
    refused(&room, "select count(text) as n from 'b.csv.gz'", "b.csv.gz", 5002);
    refused(&room, "select count(text) as n from '*.csv*'", "b.csv.gz", 5002);
    room.write("b.csv.gz", gzip(long("5001,5\" disk\n")));
    rows(&room, "select count(text) as n from '*.csv*'", "n\n5002\n");
    // What a small file has is seen when it is planned with.
    room.write("c.tsv", "id\ttext\n1\t\"open\n");
    refused(&room, "select count(text) as n from 'c.tsv'", "c.tsv", 2);
}

#[test]
fn the_options_of_the_table_count() {
    let room = Room::new();
    room.write("x.csv", long("5001,'open\n5002,\"fine\n"));
    let table = |options: &str| {
        format!(
            "create external table t stored as csv location 'x.csv' options ({options}); \
             select count(text) as n, max(id) as m from t"
        )
    };
    refused(&room, &table("'format.quote' ''''"), "x.csv", 5002);
    refused(&room, "select count(text) as n from 'x.csv'", "x.csv", 5003);
    room.write("x.csv", long("5001,x").replace(',', ";"));
    rows(&room, &table("'format.delimiter' ';'"), "n,m\n5001,5001\n");
    room.write("x.csv", long("5001,\"open").replace(',', ";"));
    refused(&room, &table("'format.delimiter' ';'"), "x.csv", 5002);
    // Not at the start of a field for the other delimiter, so no quote opens.
    room.write("x.csv", long("5001,a;\"b\n5002,\"c\\\" d\"\n"));
    rows(&room, &table("'format.escape' '\\'"), "n,m\n5002,5002\n");
    room.write("x.csv", long("#,\"no record\n5001,a\n"));
    rows(&room, &table("'format.comment' '#'"), "n,m\n5001,5001\n");
}

#[test]
fn quotes_inside_of_values_are_values() {
    let room = Room::new();
    room.write("x.csv", "id,text\n1,5\" disk\n2,a \"b\" c\n3,x\"\n4,\"one \"\"two\"\"\n5\"\n");
    let expected = "id,text\n1,\"5\"\" disk\"\n2,\"a \"\"b\"\" c\"\n3,\"x\"\"\"\n4,\"one \"\"two\"\"\n5\"\n";
    rows(&room, "select id, text from 'x.csv' order by id", expected);
    room.write("x.csv", long("5001,5\" disk\n5002,7\" disk\n5003,9\" disk\n"));
    rows(&room, "select count(*) as n, max(id) as m from 'x.csv' where text like '%\"%'", "n,m\n3,5003\n");
    // The record of such a value ends with its line, however much follows.
    let sql = "set query.max_row_bytes = '1kB'; select count(*) as n from 'x.csv'";
    rows(&room, sql, "n\n5003\n");
    room.write("x.csv", format!("id,text\n1,5\" disk\n{}", long("").split_once('\n').unwrap().1));
    rows(&room, sql, "n\n5001\n");
}

#[test]
fn a_quoted_line_break_between_split_parts_is_no_end() {
    let room = Room::new();
    let text = format!("id,text\n{}", (1..=3000).map(|n| format!("{n},\"a\n{n}\"\n")).collect::<String>());
    room.write("x.csv", text);
    rows(&room, "select count(*) as n, sum(id) as s from 'x.csv'", "n,s\n3000,4501500\n");
}
