//! Text buffers in joins that are built from what other joins give.

use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use query::Session;
use query::config::Applied;

use crate::engine::{self, Answer, Way};

const ROWS: usize = 6000;
const BATCH: usize = 64;
/// Each of three tables is joined with the one before it, by a key of its own; the largest is not a build side.
const QUERY: &str = "SELECT a.text, b.text AS other, c.n FROM a JOIN b ON b.n = a.n JOIN c ON c.n = b.m";

/// A session with tables `a`, `b` and `c` of numbers and of texts that no view holds by itself, in batches of few rows.
async fn session(way: Way, room: &Path, is_compact: bool) -> Session {
    let session = way.session().await.unwrap();
    for (name, rows) in [("a", ROWS), ("b", ROWS), ("c", 2 * ROWS)] {
        let file = room.join(name).with_extension("parquet").display().to_string();
        if !Path::new(&file).exists() {
            let rows = format!(
                "SELECT value * 7919 % {rows} AS n, value * 31 % {rows} AS m, 'a text of {name} that is not short ' || value AS text
                 FROM generate_series(1, {rows})"
            );
            engine::run(&session, &format!("COPY ({rows}) TO '{file}'")).await.unwrap();
        }
        engine::run(&session, &format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{file}'"))
            .await
            .unwrap();
    }
    let settings = format!(
        "SET datafusion.execution.batch_size = {BATCH}; SET query.optimizer.compact_builds = {is_compact}"
    );
    engine::run(&session, &settings).await.unwrap();
    session
}

async fn batches(session: &Session, sql: &str) -> Vec<RecordBatch> {
    let Answer::Rows(_, batches) = engine::run(session, sql).await.unwrap() else { panic!("no rows") };
    batches
}

/// In an order of their own.
async fn rows(session: &Session, sql: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = engine::texts(&batches(session, sql).await);
    rows.sort();
    rows
}

/// The most text buffers that a column of a batch holds.
fn buffers(batches: &[RecordBatch]) -> usize {
    let of = |batch: &RecordBatch| {
        batch.columns()[..2].iter().map(|column| column.as_string_view().data_buffers().len()).max()
    };
    batches.iter().filter_map(of).max().unwrap()
}

#[test]
fn a_join_holds_text_once_however_many_joins_it_has_come_through() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        // A buffer or two for each batch of the build side.
        let few = 2 * ROWS / BATCH;
        for way in [
            Way::local(1),
            Way::local(2).broadcasting(Applied::Off),
            Way::local(3).broadcasting(Applied::Off),
            Way::local(3).broadcasting(Applied::Always),
            Way::inline(1),
        ] {
            let found = buffers(&batches(&session(way, room.path(), true).await, QUERY).await);
            assert!(found <= few, "{way}: {found} buffers, not {few}");
        }
        // Or else it is batches times buffers.
        let found = buffers(&batches(&session(Way::local(1), room.path(), false).await, QUERY).await);
        assert!(found > 10 * few, "{found} buffers");
    });
}

#[test]
fn rows_do_not_depend_on_where_text_is_copied() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let queries = [
            QUERY,
            "SELECT b.text, count(*) FROM a LEFT JOIN b ON b.n = a.n + 5000 RIGHT JOIN c ON c.n = a.n + 100 GROUP BY 1",
            "SELECT a.text FROM a JOIN b ON b.n = a.n WHERE a.n IN (SELECT n FROM c WHERE n % 3 = 0) LIMIT 100000",
            "SELECT u.text, c.n FROM (SELECT a.n, b.text FROM a JOIN b ON a.n = b.n
               UNION ALL SELECT n, NULL FROM a) u JOIN c ON c.n = u.n",
        ];
        for sql in queries {
            let expected = rows(&session(Way::stock(3), room.path(), true).await, sql).await;
            assert!(expected.len() > 1000);
            for partitions in [1, 2, 7, 16] {
                for is_compact in [true, false] {
                    let way = Way::local(partitions);
                    let found = rows(&session(way, room.path(), is_compact).await, sql).await;
                    assert!(found == expected, "{way}, compact {is_compact}: {sql}");
                }
            }
        }
    });
}
