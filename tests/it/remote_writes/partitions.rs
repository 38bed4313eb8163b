//! Folders named by keys, and rows that are added to them.

use crate::engine;
use crate::remote_tables::rows;
use crate::servers::Hdfs;

use super::{Place, Server, write};

/// Values of a key, and the folders that they are to be in.
const KEYS: [(&str, &str); 14] = [
    ("plain", "k=plain"),
    ("a b", "k=a b"),
    ("a/b", "k=a%2Fb"),
    ("100%", "k=100%25"),
    ("%41", "k=%2541"),
    ("x=y", "k=x=y"),
    ("a:b", "k=a:b"),
    ("what?", "k=what%3F"),
    ("#1", "k=%231"),
    ("a*[1]", "k=a%2A%5B1%5D"),
    ("ü", "k=%C3%BC"),
    ("..", "k=.."),
    ("+1", "k=+1"),
    ("", "k="),
];

/// Rows: the values of the key in turn, and NULL.
fn values() -> String {
    let texts = KEYS.iter().map(|(text, _)| format!("'{text}'")).chain(["NULL".to_string()]);
    let rows: Vec<_> = texts.enumerate().map(|(n, text)| format!("({n}, {text})")).collect();
    format!("SELECT column1 AS n, column2 AS k FROM (VALUES {})", rows.join(", "))
}

fn on_each(test: impl AsyncFn(Server)) {
    let _calm = Hdfs::get().calm();
    engine::runtime().block_on(async {
        for server in Server::ALL {
            test(server).await;
        }
    });
}

/// The folders of the files in a place, each once.
async fn folders(place: &Place) -> Vec<String> {
    let names = place.names().await;
    let mut folders: Vec<_> = names.iter().map(|name| name.rsplit_once('/').unwrap().0.to_string()).collect();
    folders.dedup();
    folders
}

#[test]
fn keys_with_marks_name_folders_and_come_back() {
    on_each(async |server| {
        let place = Place::new(server, "keys");
        for form in ["parquet", "csv"] {
            let session = place.session().await;
            let folder = place.url(&format!("{form}/"));
            let sql = format!("COPY ({}) TO '{folder}' STORED AS {form} PARTITIONED BY (k)", values());
            assert_eq!(write(&session, &sql).await.unwrap(), KEYS.len() as u64 + 1);
            let found = rows(&place.session().await, &format!("SELECT n, k FROM '{folder}' ORDER BY n"))
                .await
                .unwrap();
            let texts = KEYS.iter().map(|(text, _)| Some((*text).to_string())).chain([None]);
            let wanted: Vec<_> = texts.enumerate().map(|(n, text)| vec![Some(n.to_string()), text]).collect();
            assert_eq!(found, wanted, "{server:?} {form}");
            // One is found by its folder alone.
            let one = rows(&session, &format!("SELECT n FROM '{folder}' WHERE k = 'a/b'")).await.unwrap();
            assert_eq!(one, [[Some("2".to_string())]]);
        }
        let named = |form: &str| {
            let names = KEYS.iter().map(|(_, name)| match server {
                // HDFS has no colons.
                Server::Hdfs => name.replace(':', "%3A"),
                Server::S3 => (*name).to_string(),
            });
            let names = names.chain(["k=__HIVE_DEFAULT_PARTITION__".to_string()]);
            names.map(|name| format!("{form}/{name}")).collect::<Vec<_>>()
        };
        let mut wanted = [named("csv"), named("parquet")].concat();
        wanted.sort();
        let mut found = folders(&place).await;
        found.sort();
        assert_eq!(found, wanted, "{server:?}");
    });
}

#[test]
fn times_can_be_keys() {
    on_each(async |server| {
        let place = Place::new(server, "times");
        let session = place.session().await;
        let folder = place.url("t/");
        let values =
            "VALUES (1, 2026, TIMESTAMP '2026-11-28 01:02:03'), (2, 2025, TIMESTAMP '2025-01-01 10:00:00')";
        let sql = format!(
            "COPY (SELECT column1 AS n, column2 AS year, column3 AS moment FROM ({values})) TO '{folder}' \
             STORED AS parquet PARTITIONED BY (year, moment)"
        );
        assert_eq!(write(&session, &sql).await.unwrap(), 2);
        let sql = format!("SELECT n, year, moment::timestamp FROM '{folder}' ORDER BY n");
        let wanted = [["1", "2026", "2026-11-28T01:02:03"], ["2", "2025", "2025-01-01T10:00:00"]];
        let wanted = wanted.map(|row| row.map(|text| Some(text.to_string())));
        assert_eq!(rows(&session, &sql).await.unwrap(), wanted, "{server:?}");
    });
}

#[test]
fn inserted_rows_are_new_files_beside_the_old_ones() {
    on_each(async |server| {
        let place = Place::new(server, "inserts");
        let folder = place.url("t/");
        let table =
            format!("CREATE EXTERNAL TABLE t (n BIGINT, name VARCHAR) STORED AS parquet LOCATION '{folder}'");
        let session = place.session().await;
        engine::run(&session, &table).await.unwrap();
        let mut before = Vec::new();
        for (round, name) in ["ada", "bob"].into_iter().enumerate() {
            let insert = format!("INSERT INTO t VALUES ({round}, '{name}'), ({}, NULL)", round + 10);
            assert_eq!(write(&session, &insert).await.unwrap(), 2, "{server:?}");
            let after = place.names().await;
            assert!(before.iter().all(|name| after.contains(name)), "{server:?}: {before:?}, {after:?}");
            assert!(after.len() > before.len(), "{server:?}: {after:?}");
            assert!(
                after.iter().all(|name| name.starts_with("t/") && name.ends_with(".parquet")),
                "{after:?}"
            );
            before = after;
        }
        let wanted = [("0", Some("ada")), ("1", Some("bob")), ("10", None), ("11", None)];
        let wanted = wanted.map(|(n, name)| [Some(n.to_string()), name.map(str::to_string)]);
        // Seen by who added them, and by others.
        for session in [session, place.session().await] {
            let found = rows(&session, &format!("SELECT n, name FROM '{folder}' ORDER BY n")).await.unwrap();
            assert_eq!(found, wanted, "{server:?}");
        }
    });
}

#[test]
fn rows_inserted_by_keys_go_to_their_folders() {
    on_each(async |server| {
        let place = Place::new(server, "inserts-by-keys");
        let session = place.session().await;
        let folder = place.url("t/");
        let first = format!(
            "COPY (SELECT 1 AS n, 2025 AS year, 'a' AS kind) TO '{folder}' STORED AS csv PARTITIONED BY (year, kind)"
        );
        write(&session, &first).await.unwrap();
        let old = place.names().await;
        let table =
            format!("CREATE EXTERNAL TABLE t STORED AS csv PARTITIONED BY (year, kind) LOCATION '{folder}'");
        engine::run(&session, &table).await.unwrap();
        for insert in ["(2, 2026, 'b/c'), (3, 2025, 'a')", "(4, 2026, 'b/c')"] {
            write(&session, &format!("INSERT INTO t VALUES {insert}")).await.unwrap();
        }
        let names = place.names().await;
        assert!(old.iter().all(|name| names.contains(name)), "{server:?}: {names:?}");
        let wanted = ["t/year=2025/kind=a", "t/year=2026/kind=b%2Fc"];
        assert_eq!(folders(&place).await, wanted, "{server:?}");
        assert_eq!(names.len(), 4, "{names:?}");
        let sum = "SELECT year, kind, count(*), sum(n) FROM t GROUP BY ALL ORDER BY 1";
        let wanted = [["2025", "a", "2", "4"], ["2026", "b/c", "2", "6"]];
        let wanted = wanted.map(|row| row.map(|text| Some(text.to_string())));
        assert_eq!(rows(&session, sum).await.unwrap(), wanted, "{server:?}");
    });
}

#[test]
fn a_write_that_fails_adds_nothing_to_a_folder() {
    on_each(async |server| {
        let place = Place::new(server, "failing");
        let session = place.session().await;
        let folder = place.url("t/");
        let copy = |sql: &str, by: &str| format!("COPY ({sql}) TO '{folder}' STORED AS csv{by}");
        write(&session, &copy("SELECT 1 AS n, 1 AS k", " PARTITIONED BY (k)")).await.unwrap();
        let before = place.names().await;
        let fails = "SELECT 1 / (value - 400000) AS n, value % 3 AS k FROM generate_series(1, 500000)";
        for by in ["", " PARTITIONED BY (k)"] {
            let error = write(&session, &copy(fails, by)).await.unwrap_err().to_string();
            assert!(error.contains("division by zero"), "{server:?}: {error}");
            assert_eq!(place.names().await, before, "{server:?}{by}");
        }
    });
}
