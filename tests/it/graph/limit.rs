//! LIMIT without ORDER BY: what nobody wants any more is not read.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use query::Session;
use query::prelude::{col, lit};
use query::session::SessionOptions;

use super::seen::{Log, seen};
use crate::engine::{self, Answer, Way};

const FILES: i64 = 60;
const ROWS_PER_FILE: i64 = 4000;
const ROWS: usize = (FILES * ROWS_PER_FILE) as usize;
const BATCH_ROWS: usize = 100;
/// What may be read at most: a few batches a partition are on their way.
const READ_MAX: usize = ROWS / 10;
/// Long after which a job is taken not to end.
const DEADLINE: Duration = Duration::from_secs(60);

async fn session(way: Way, room: &Path, log: &Arc<Log>) -> Session {
    // Memory of its own, in which only this session's tasks hold something.
    let limits = query::memory::Limits { memory: Some("1GB".parse().unwrap()), ..Default::default() };
    let session = way.session_with(SessionOptions { limits, ..SessionOptions::default() }).await.unwrap();
    engine::run(&session, &format!("SET datafusion.execution.batch_size = {BATCH_ROWS}")).await.unwrap();
    let files = room.join("files");
    if !files.exists() {
        fs::create_dir(&files).unwrap();
        let numbers = Arc::new((0..ROWS_PER_FILE).collect::<Int64Array>()) as ArrayRef;
        let frame =
            session.from_batches(vec![RecordBatch::try_from_iter([("n", numbers)]).unwrap()]).unwrap();
        for file in 0..FILES {
            frame.write_parquet(files.join(format!("{file}.parquet"))).await.unwrap();
        }
    }
    let files = session.read_parquet(&files.display().to_string()).await.unwrap();
    let view = files.filter(seen(log).call(vec![col("n")]).gt_eq(lit(0i64))).unwrap();
    session.register("v", &view).unwrap();
    session
}

/// Queries in which the limit goes less and less far down. The last one never ends unless its second part, which
/// gives no row before its end, is stopped.
const QUERIES: [&str; 7] = [
    "SELECT n FROM v LIMIT 5",
    "SELECT n FROM v LIMIT 5 OFFSET 20",
    "SELECT unnest([n, n + 1]) AS m FROM v LIMIT 5",
    "SELECT * FROM (FROM v UNION ALL FROM v UNION ALL FROM v) LIMIT 5",
    "SELECT a.n FROM v a JOIN (VALUES (1), (2), (3), (17), (99)) b(k) ON a.n % 100 = b.k LIMIT 5",
    "SELECT row_number() OVER () AS i FROM v LIMIT 5",
    "SELECT n FROM (
        SELECT n FROM v
        UNION ALL
        SELECT count(*) FROM generate_series(1, 1000000000000) AS s(i) GROUP BY i % 3
     ) LIMIT 5",
];

#[test]
fn a_limit_stops_what_is_above_it() {
    engine::runtime().block_on(async {
        let room = tempfile::tempdir().unwrap();
        for way in [Way::local(1), Way::local(3), Way::local(16), Way::inline(0), Way::inline(1)] {
            let log = Arc::new(Log::default());
            let session = session(way, room.path(), &log).await;
            for partitioned in [false, true] {
                // A join with a shuffle between the scan and the limit, and one without.
                let threshold = if partitioned { 0 } else { 1 << 20 };
                for setting in ["threshold", "threshold_rows"] {
                    let sql = format!(
                        "SET datafusion.optimizer.hash_join_single_partition_{setting} = {threshold}"
                    );
                    engine::run(&session, &sql).await.unwrap();
                }
                let sql = format!("SET query.optimizer.broadcast_joins = {}", !partitioned);
                engine::run(&session, &sql).await.unwrap();
                for sql in QUERIES {
                    let Answer::Rows(_, batches) = engine::run(&session, sql).await.unwrap() else {
                        panic!()
                    };
                    assert_eq!(engine::texts(&batches).len(), 5, "{way}: {sql}");
                    at_rest(&session, way, sql).await;
                    let read: usize = log.take().into_values().sum();
                    assert!((5..READ_MAX).contains(&read), "{way}: {read} of {ROWS} rows were read by {sql}");
                }
            }
            // Without a limit the log has all rows; a batch that was being read may come late to it.
            engine::run(&session, "SELECT count(*) FROM v").await.unwrap();
            assert!(log.take().into_values().sum::<usize>() >= ROWS, "{way}");
        }
    });
}

/// Waits until nothing that the query started holds memory.
#[expect(clippy::panic, reason = "a test fails by panicking")]
async fn at_rest(session: &Session, way: Way, sql: &str) {
    let pool = session.resources().pool();
    let waited = tokio::time::timeout(DEADLINE, async {
        while pool.reserved() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{way}: {} bytes are held after {sql}", pool.reserved()));
}
