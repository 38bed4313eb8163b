//! `--readonly`: nothing that outlives the session changes.

use std::fs;

use super::Room;

fn room() -> Room {
    let room = Room::new();
    fs::create_dir_all(room.path(".query")).unwrap();
    fs::create_dir_all(room.path("data")).unwrap();
    room.write("data/a.csv", "x\n1\n");
    let made = "create external table t stored as csv location 'data'; create view v as from t";
    assert_eq!(room.sql(made).rows(), "");
    room
}

/// All files below a folder with their contents.
fn content(room: &Room) -> Vec<(String, Vec<u8>)> {
    let all = format!("{}/**/*", room.0.path().display());
    let hidden = format!("{}/.query/**/*", room.0.path().display());
    let paths = glob::glob(&all).unwrap().chain(glob::glob(&hidden).unwrap()).map(Result::unwrap);
    let files = paths.filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn what_would_change_something_is_refused() {
    let room = room();
    let before = content(&room);
    assert!(before.len() >= 3);
    for sql in [
        "copy t to 'out.csv'",
        "copy (select 1 as x) to 's3://bucket/x.csv'",
        "insert into t values (2)",
        "insert into 'data' values (2)",
        "create external table u stored as csv location 'data'",
        "create or replace view v as select 2 as x",
        "create view w as select 2 as x",
        "drop view v",
        "drop table t",
        "prepare p as insert into t values (3)",
    ] {
        let error = room.query(["--readonly", "-c", sql]).run().error(1);
        assert!(error.contains("is refused: the session is read-only"), "{sql}: {error}");
        assert_eq!(content(&room), before, "{sql}");
    }
    for (args, flag) in [
        (["-c", "select 1", "-o", "out.csv"], "-o"),
        (["-c", "select 1", "--record", "r.json"], "--record"),
        (["-c", "select 1", "--trace", "t.json"], "--trace"),
        (["-c", "select 1", "--report", "r.html"], "--report"),
        (["graph", "-cselect 1", "-o", "g.svg"], "-o"),
    ] {
        let error = room.query(["--readonly"].into_iter().chain(args)).run().error(2);
        assert!(error.starts_with(&format!("error: {flag} writes a file")), "{error}");
    }
    for command in [".output out.csv", ".report out.html"] {
        let error = room.query(["--readonly", "-c", command]).run().error(2);
        assert!(error.contains("writes a file, and the session is read-only"), "{error}");
    }
    assert_eq!(content(&room), before);
}

#[test]
fn what_ends_with_the_session_is_allowed() {
    let room = room();
    let before = content(&room);
    let script = "set datafusion.execution.batch_size = 100; create temp view w as from v; create table m as from w; \
                  insert into m values (5); create external temp table u stored as csv location 'data'; drop view w; \
                  select (select sum(x) from m) + (select sum(x) from u) as n";
    assert_eq!(room.query(["--readonly", "-q", "-c", script]).run().rows(), "n\n7\n");
    let explained = room.query(["--readonly", "-c", "explain copy t to 'out.csv'"]).run();
    assert_eq!(explained.both(0).1, "");
    assert_eq!(content(&room), before);
}
