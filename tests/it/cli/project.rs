//! Tables and views that last: made in one process, used in the next.

use std::fs;

use super::{Done, Room};

/// A folder that is a project, with some files in it.
fn project() -> Room {
    let room = Room::new();
    fs::create_dir_all(room.path(".query")).unwrap();
    fs::create_dir_all(room.path("data/sub")).unwrap();
    room.write("data/a.csv", "id,name\n1,ada\n2,bob\n");
    room
}

const TABLE: &str = "create external table people stored as csv location 'data'";

fn done(done: Done) {
    assert_eq!(done.rows(), "");
}

/// The command in a folder of the room.
fn sql_in(room: &Room, folder: &str, sql: &str) -> Done {
    let mut query = room.query(["-c", sql]);
    query.command.current_dir(room.path(folder));
    query.run()
}

#[test]
fn a_table_and_a_view_are_there_in_the_next_process() {
    let room = project();
    done(room.sql(TABLE));
    done(room.sql("create view names as\n  -- a note\n  select name from people where id > 1"));
    assert_eq!(room.sql("from names").rows(), "name\nbob\n");
    let kept = room.read(".query/catalog/names.sql");
    assert_eq!(kept, "create view names as\n  -- a note\n  select name from people where id > 1;\n");
    assert_eq!(room.read(".query/catalog/people.sql"), format!("{TABLE};\n"));
    assert_eq!(super::names(&room.path(".query/catalog")), ["names.sql", "people.sql"]);
    // New files and new columns are seen.
    room.write("data/b.csv", "id,name\n3,eve\n");
    assert_eq!(room.sql("select count(*) as n from people").rows(), "n\n3\n");
}

#[test]
fn locations_count_from_the_project_wherever_one_stands() {
    let room = project();
    done(sql_in(&room, "data/sub", TABLE));
    done(sql_in(&room, "data/sub", "create view v as select count(*) as n from 'data/*.csv'"));
    for folder in ["", "data", "data/sub"] {
        assert_eq!(sql_in(&room, folder, "select n from v").rows(), "n\n2\n", "{folder}");
        assert_eq!(sql_in(&room, folder, "select max(id) as m from people").rows(), "m\n2\n", "{folder}");
    }
    // What does not last counts from where one stands.
    let counted = "create temp view w as from '../*.csv'; select count(*) as n from w";
    assert_eq!(sql_in(&room, "data/sub", counted).rows(), "n\n2\n");
}

#[test]
fn a_project_is_named_by_a_flag_as_well() {
    let (room, other) = (project(), Room::new());
    let root = room.0.path().to_str().unwrap();
    let there = |sql: &str| other.query(["--project", root, "-c", sql]).run();
    done(there(TABLE));
    assert_eq!(there("select count(*) as n from people").rows(), "n\n2\n");
    other.sql("from people").error(1);
    assert!(other.names().is_empty());
    let error = other.query(["--project", "nowhere", "-c", "select 1"]).run().error(2);
    assert!(error.starts_with("error: no folder 'nowhere'\n"), "{error}");
    // A folder becomes a project with the first thing that lasts.
    let fresh = other.path("fresh");
    fs::create_dir(&fresh).unwrap();
    done(other.query(["--project", "fresh", "-c", "create view v as select 1 as one"]).run());
    assert_eq!(other.query(["--project", "fresh", "-c", "from v"]).run().rows(), "one\n1\n");
}

#[test]
fn without_a_project_nothing_lasts() {
    let room = Room::new();
    assert_eq!(room.sql("create view v as select 1 as one; from v").rows(), "one\n1\n");
    let error = room.sql("from v").error(1);
    assert!(error.starts_with("error: table 'v' does not exist\n"), "{error}");
    assert!(room.names().is_empty());
}

#[test]
fn or_replace_if_not_exists_and_drop_take_effect() {
    let room = project();
    done(room.sql("create view v as select 1 as x"));
    let error = room.sql("create view v as select 2 as x").error(1);
    assert!(error.starts_with("error: 'v' already exists\n"), "{error}");
    done(room.sql("create view if not exists v as select 3 as x"));
    assert_eq!(room.sql("from v").rows(), "x\n1\n");
    done(room.sql("create or replace view v as select 4 as x"));
    assert_eq!(room.sql("from v").rows(), "x\n4\n");
    done(room.sql(TABLE));
    room.sql(TABLE).error(1);
    done(room.sql("create external table if not exists people stored as csv location 'nowhere'"));
    let error = room.sql("drop table v").error(1);
    assert!(error.starts_with("error: 'v' is a view: write DROP VIEW\n"), "{error}");
    room.sql("drop view people").error(1);
    done(room.sql("drop view v; drop table people; drop view if exists v"));
    assert!(super::names(&room.path(".query/catalog")).is_empty());
    room.sql("drop view v").error(1);
    // Within one session, too, and what reads a view reads the new one.
    let script = "create view a as select 1 as x; create view b as from a; create or replace view a as select 2 as x; \
                  from b";
    assert_eq!(room.sql(script).rows(), "x\n2\n");
}

#[test]
fn what_is_temporary_does_not_last() {
    let room = project();
    let script = "create temp view v as select 1 as x; create external temporary table t stored as csv location \
                  'data'; create temp table m as select 5 as x; select x + (select count(*) from t) as n from v";
    assert_eq!(room.sql(script).rows(), "n\n3\n");
    assert_eq!(room.names(), [".query", "data"]);
    assert!(super::names(&room.path(".query")).is_empty());
    // A temporary view hides one that lasts, and goes first when it is dropped.
    done(room.sql("create view v as select 'lasting' as x"));
    let script = "create temp view v as select 'session' as x; from v; drop view v; from v";
    assert_eq!(room.sql(script).rows(), "x\nsession\nx\nlasting\n");
    assert_eq!(room.sql("from v").rows(), "x\nlasting\n");
}

#[test]
fn what_lasts_cannot_read_what_does_not() {
    let room = project();
    let error = room.sql("create table m as select 1 as x; create view v as from m").error(1);
    assert!(error.starts_with("error: 'm' ends with the session, and what lasts cannot read it"), "{error}");
    let error = room.query(["--param", "n=1", "-c", "create view v as select $n as x"]).run().error(1);
    assert!(error.starts_with("error: a view that lasts has no parameters, and this one has $n"), "{error}");
    let error = room.sql("create table v as select 1 as x; create view v as select 2 as x").error(1);
    assert!(error.contains("would hide one that lasts"), "{error}");
    done(room.sql("create view v as select 2 as x"));
    let error = room.sql("create or replace table v as select 1 as x").error(1);
    assert!(error.starts_with("error: 'v' already exists\n"), "{error}");
}

#[test]
fn a_view_does_not_read_itself() {
    let room = project();
    done(room.sql("create view a as select 1 as x"));
    done(room.sql("create view b as from a"));
    let error = room.sql("create or replace view a as select x + 1 as x from b").error(1);
    assert!(error.contains("'a' reads 'b' reads 'a'"), "{error}");
    assert_eq!(room.sql("from b").rows(), "x\n1\n");
    // Somebody may have written the files.
    room.write(".query/catalog/a.sql", "create view a as from b;\n");
    let error = room.sql("from a").error(1);
    assert!(error.contains("views read each other"), "{error}");
    assert_eq!(room.sql("select 1 as one").rows(), "one\n1\n");
}

#[test]
fn a_table_whose_files_are_gone_stops_only_those_who_use_it() {
    let room = project();
    done(room.sql(TABLE));
    done(room.sql("create view v as from people"));
    fs::remove_dir_all(room.path("data")).unwrap();
    for table in ["people", "v"] {
        let error = room.sql(&format!("from {table}")).error(1);
        assert!(error.starts_with(&format!("error: '{table}' cannot be used (")), "{error}");
        assert!(error.contains("data"), "{error}");
    }
    assert_eq!(room.sql("select 1 as one").rows(), "one\n1\n");
    let listed = room.sql("show tables").rows();
    assert_eq!(
        listed,
        "table_catalog,table_schema,table_name,table_type\ndatafusion,public,people,BASE TABLE\n\
         datafusion,public,v,VIEW\n"
    );
    let definition =
        room.sql("select definition from information_schema.views where table_name = 'v'").rows();
    assert_eq!(definition, "definition\ncreate view v as from people;\n");
    let columns = "select count(*) as n from information_schema.columns where table_schema = 'public'";
    assert_eq!(room.sql(columns).rows(), "n\n0\n");
    done(room.sql("drop table people; drop view v"));
}

#[test]
fn the_information_schema_shows_what_lasts() {
    let room = project();
    done(room.sql(TABLE));
    done(room.sql("create view v as select name from people"));
    let columns = "select table_name, column_name, data_type from information_schema.columns \
                   where table_schema = 'public' order by 1, ordinal_position";
    assert_eq!(
        room.sql(columns).rows(),
        "table_name,column_name,data_type\npeople,id,Int64\npeople,name,Utf8\nv,name,Utf8\n"
    );
    let views = "select table_name, definition from information_schema.views where table_schema = 'public' order by 1";
    assert_eq!(
        room.sql(views).rows(),
        format!("table_name,definition\npeople,{TABLE};\nv,create view v as select name from people;\n")
    );
}

#[test]
fn secrets_are_not_kept() {
    let room = project();
    let planted = "planted-7f3a";
    for sql in [
        format!("{TABLE} options ('aws.secret_access_key' '{planted}')"),
        format!("create view v as from 'https://ada:{planted}@localhost:1/x.csv'"),
        format!("create view v as from 'https://localhost:1/x.csv?sig={planted}'"),
    ] {
        let error = room.sql(&sql).error(1);
        assert!(!error.starts_with("error: internal"), "{error}");
        let kept = room.path(".query/catalog");
        assert!(!kept.exists() || super::names(&kept).is_empty(), "{sql}");
    }
    // A column may be called what it likes.
    done(room.sql("create view v as select 1 as token, 2 as secret"));
}

#[test]
fn a_file_that_makes_something_else_is_told() {
    let room = project();
    fs::create_dir_all(room.path(".query/catalog")).unwrap();
    for (text, why) in [
        ("create view other as select 1 as x;", "does not make a table or view 'v'"),
        ("select 1;", "does not make a table or view 'v'"),
        ("create view v as select 1; create view w as select 2;", "it has 2 statements"),
        ("create vew v", "expected"),
        ("", "it has 0 statements"),
    ] {
        room.write(".query/catalog/v.sql", text);
        let error = room.sql("from v").error(1);
        assert!(error.starts_with("error: 'v' cannot be used ("), "{error}");
        assert!(error.contains(".query/catalog/v.sql): "), "{error}");
        assert!(error.contains(why), "{text}: {error}");
        assert_eq!(room.sql("select 1 as one").rows(), "one\n1\n");
    }
}

#[test]
fn odd_names_last_too() {
    let room = project();
    done(room.sql("create view \"A b/ü.csv\" as select 1 as x"));
    assert_eq!(room.sql("from \"A b/ü.csv\"").rows(), "x\n1\n");
    assert_eq!(super::names(&room.path(".query/catalog")), ["A%20b%2Fü%2Ecsv.sql"]);
    let long = "x".repeat(300);
    room.sql(&format!("create view {long} as select 1 as x")).error(1);
}

#[test]
fn a_file_named_on_the_command_line_does_not_last() {
    let room = project();
    assert_eq!(room.query(["data/a.csv", "-c", "select count(*) as n from a"]).run().rows(), "n\n2\n");
    assert!(super::names(&room.path(".query")).is_empty());
}
