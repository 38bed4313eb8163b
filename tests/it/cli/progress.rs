//! How far a statement is, where standard error is no terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use super::{Room, sql};

const TABLE: &str = "create table t as select value as n from generate_series(1, 3000000)";
const ROWS: &str = "select n, n + 1 as m, n + 2 as o from t";

#[test]
fn nothing_is_said_unless_it_is_asked_for() {
    let room = Room::new();
    let written = room.query(["-c", TABLE, "-c", ROWS, "-o", "out.csv"]).run();
    assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""));
    let quiet = room.query(["--progress", "on", "-q", "-c", TABLE, "-c", ROWS, "-o", "out.csv"]).run();
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
}

#[test]
fn lines_come_now_and_then_if_they_are_asked_for() {
    let room = Room::new();
    let made = std::process::Command::new("mkfifo").arg(room.path("pipe.csv")).status().unwrap();
    assert!(made.success());
    let query = room.query(["--progress", "on", "-c", TABLE, "-c", ROWS, "-o", "pipe.csv"]);
    let mut running = query.start();
    let mut pipe = File::open(room.path("pipe.csv")).unwrap();
    let mut lines = BufReader::new(running.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // The table may have taken so long that there are lines about it.
    let first = lines.find(|line| line.contains('%') && !line.contains("100%")).unwrap();
    assert!(first.contains(" rows"), "{first}");
    assert!(!first.contains('\u{1b}') && !first.contains('\r') && !first.contains('['), "{first}");
    pipe.read_to_end(&mut Vec::new()).unwrap();
    let last = lines.last().unwrap();
    assert!(last.starts_with("100%"), "{last}");
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn a_word_that_says_nothing_is_refused() {
    let room = Room::new();
    let refused = room.query(["--progress", "maybe", "-c", "select 1"]).run().error(2);
    assert!(refused.contains("auto, on, off"), "{refused}");
    let refused = room.query(["-c", "select 1"]).env("QUERY_PROGRESS", "maybe").run().error(2);
    assert!(refused.contains("QUERY_PROGRESS cannot be 'maybe'"), "{refused}");
    assert!(refused.contains("auto, on or off"), "{refused}");
}

#[test]
fn it_is_a_setting_like_others() {
    let rows = sql("select value from information_schema.df_settings where name = 'query.progress'").rows();
    assert_eq!(rows, "value\nauto\n");
    let rows = Room::new()
        .query(["--progress", "off", "-c", "show query.progress"])
        .env("QUERY_PROGRESS", "on")
        .run()
        .rows();
    assert_eq!(rows, "name,value\nquery.progress,off\n");
}
