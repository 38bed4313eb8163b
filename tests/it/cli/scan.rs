//! How much a query may read, and how much it would: `--max-scan`, `EXPLAIN ESTIMATE`, `.estimate`.

use std::fs;

use super::Room;

/// A folder of text by year, and a Parquet file of three row groups.
fn room() -> Room {
    let room = Room::new();
    for year in [2025, 2026] {
        fs::create_dir_all(room.path(&format!("logs/year={year}"))).unwrap();
        room.write(&format!("logs/year={year}/x.csv"), format!("a,b\n{}", "1,2\n".repeat(year)));
    }
    let copy = "copy (select value as id, repeat(md5(value::text), 4) as text from generate_series(1, 30000)) \
                to 'big.parquet' options ('format.max_row_group_size' '10000')";
    assert_eq!(room.query(["-q", "-c", copy]).run().rows(), "");
    room
}

/// The rows of an estimate: table, files, bytes, columns, row groups.
fn estimate(room: &Room, sql: &str) -> Vec<Vec<String>> {
    let rows = room.sql(&format!("explain estimate {sql}")).rows();
    let mut lines = rows.lines();
    assert_eq!(lines.next(), Some("table,files,bytes,size,columns,row_groups"));
    let row = |line: &str| {
        let mut row: Vec<_> = line.split(',').map(str::to_string).collect();
        row.remove(3);
        row
    };
    lines.map(row).collect()
}

fn bytes(rows: &[Vec<String>]) -> u64 {
    rows.last().unwrap()[2].parse().unwrap()
}

#[test]
fn an_estimate_knows_partitions_columns_and_row_groups() {
    let room = room();
    let text = |year: u64| 4 + 4 * year;
    assert_eq!(
        estimate(&room, "select * from logs"),
        [
            vec![
                "logs".to_string(),
                "2".into(),
                (text(2025) + text(2026)).to_string(),
                String::new(),
                String::new()
            ],
            vec![
                "total".into(),
                "2".into(),
                (text(2025) + text(2026)).to_string(),
                String::new(),
                String::new()
            ]
        ]
    );
    let one = estimate(&room, "select sum(a) from logs where year = 2026");
    assert_eq!((one[0][1].as_str(), bytes(&one)), ("1", text(2026)));

    let whole = estimate(&room, "from 'big.parquet'");
    assert_eq!(whole[0][3..], ["2 of 2", "3 of 3"]);
    let file = fs::metadata(room.path("big.parquet")).unwrap().len();
    assert!(bytes(&whole) < file && bytes(&whole) > file / 2, "{whole:?} {file}");
    let column = estimate(&room, "select sum(id) from 'big.parquet'");
    assert_eq!(column[0][3..], ["1 of 2", "3 of 3"]);
    assert!(bytes(&column) < bytes(&whole) / 2, "{column:?} {whole:?}");
    let group = estimate(&room, "select text from 'big.parquet' where id > 25000");
    assert_eq!(group[0][3..], ["2 of 2", "1 of 3"]);
    assert!(bytes(&group) < bytes(&whole) / 2);
    // A join reads both; what is only counted, or asked for by LIMIT, is little.
    let join = estimate(&room, "select count(*) from logs join 'big.parquet' on a = id");
    assert_eq!(join.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["big.parquet", "logs", "total"]);
    assert_eq!(bytes(&estimate(&room, "select count(*) from 'big.parquet'")), 0);
    assert_eq!(bytes(&estimate(&room, "select 1")), 0);
    let limited = estimate(&room, "from 'big.parquet' limit 5");
    assert!(bytes(&limited) < bytes(&whole), "{limited:?}");
    // What writes reads, too, and writes nothing.
    let copied = estimate(&room, "copy (from logs) to 'out.csv'");
    assert_eq!(bytes(&copied), text(2025) + text(2026));
    assert!(!room.path("out.csv").exists());
}

#[test]
fn a_query_that_would_read_too_much_is_refused_before_it_runs() {
    let room = room();
    let limited = |sql: &str| room.query(["--max-scan", "10kB", "-c", sql]).run();
    for sql in [
        "from logs",
        "copy logs to 'out.csv'",
        "create table t as from logs",
        "explain analyze select sum(a) from logs",
    ] {
        let error = limited(sql).error(1);
        assert!(
            error.contains("the query would read 16.2 kB of files, and may read 10.0 kB"),
            "{sql}: {error}"
        );
        assert!(error.contains("16.2 kB of 'logs' in 2 files"), "{sql}: {error}");
    }
    assert!(!room.path("out.csv").exists());
    assert_eq!(limited("select count(*) as n from logs where year = 2025").rows(), "n\n2025\n");
    assert!(limited("explain from logs").both(0).0.contains("plan"));
    assert!(limited("explain estimate from logs").both(0).0.contains("logs,2,"));
    let engine = room.query(["--max-scan", "10kB", "--engine", "stock", "-c", "from logs"]).run().error(1);
    assert!(engine.contains("the query would read"), "{engine}");
    let error = room.query(["--max-scan", "much", "-c", "select 1"]).run().error(2);
    assert!(error.starts_with("error: 'much' is not a size for --max-scan\n"), "{error}");
}

#[test]
fn the_limit_is_a_setting() {
    let room = room();
    let script = "set query.execution.max_scan = '1kB'; select count(a) as n from logs";
    assert!(room.sql(script).error(1).contains("the query would read"));
    let script = "set query.execution.max_scan = '1kB'; set query.execution.max_scan = 'none'; \
                  select count(a) as n from logs";
    assert_eq!(room.sql(script).rows(), "n\n4051\n");
}

#[test]
fn the_shell_has_a_command_for_it() {
    let room = room();
    let said = room.query(["-c", ".estimate select a from logs where year = 2026"]).run().rows();
    assert!(said.contains("logs,1,8108,"), "{said}");
    let error = room.query(["-c", ".estimate"]).run().error(2);
    assert!(error.starts_with("error: .estimate needs a query\n"), "{error}");
    let error = room.sql("explain estimate explain select 1").error(1);
    assert!(error.starts_with("error: EXPLAIN ESTIMATE takes a query, COPY or INSERT\n"), "{error}");
}
