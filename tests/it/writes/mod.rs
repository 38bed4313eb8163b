//! Writes to stores: all of it at the end, or nothing.

mod recorder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::execution::object_store::ObjectStoreRegistry;
use query::Session;
use url::Url;

use crate::engine::{self, Answer};
use recorder::{Recorder, Step};

/// Nothing here takes so long.
const HANG: Duration = Duration::from_secs(60);

/// Writes of more than this many bytes go in parts.
const SMALL_PARTS: &str = "set datafusion.execution.objectstore_writer_buffer_size = 50000";

const ROWS: &str =
    "select value as id, value % 3 as k, md5(value::text) as text from generate_series(1, 9000)";

/// Fails after many rows.
const FAILS_LATE: &str = "select value as id, 1 / (value - 8990) as k, md5(value::text) as text \
                          from generate_series(1, 9000)";

/// A session that knows a store by two schemes: uploads that are completed, files that are renamed.
fn session(recorder: &Recorder) -> Session {
    let session = Session::new().unwrap();
    for url in ["s3://bucket", "gs://bucket", "az://bucket", "hdfs://nn:8020"] {
        session.stores().register_store(&Url::parse(url).unwrap(), Arc::new(recorder.clone()));
    }
    session
}

async fn run(session: &Session, sql: &str) -> query::Result<u64> {
    match engine::run(session, &format!("{SMALL_PARTS}; {sql}")).await? {
        Answer::Count(rows) => Ok(rows),
        Answer::Rows(..) => unreachable!("a write"),
    }
}

fn urls(path: &str) -> [(String, bool); 2] {
    [(format!("s3://bucket/{path}"), true), (format!("hdfs://nn:8020/{path}"), false)]
}

/// The rows in all objects, read as one table, against those of a query.
async fn assert_same(recorder: &Recorder, path: &str, query: &str) {
    let room = tempfile::tempdir().unwrap();
    recorder.save(room.path()).await;
    let session = Session::new().unwrap();
    let there = format!("select id, k, text from '{}' order by id", room.path().join(path).display());
    let texts = async |sql: &str| match engine::run(&session, sql).await.unwrap() {
        Answer::Rows(_, batches) => engine::texts(&batches),
        Answer::Count(_) => unreachable!("a query"),
    };
    assert_eq!(texts(&there).await, texts(&format!("select id, k, text from ({query}) order by id")).await);
}

/// Waits until something is the case.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < HANG, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_whole_or_not_there() {
    for format in ["parquet", "csv", "json", "arrow"] {
        for (url, _) in urls(&format!("out/x.{format}")) {
            let recorder = Recorder::default();
            assert_eq!(run(&session(&recorder), &format!("copy ({ROWS}) to '{url}'")).await.unwrap(), 9000);
            assert_eq!(recorder.keys().await, [format!("out/x.{format}")], "{url}");
            assert_same(&recorder, &format!("out/x.{format}"), ROWS).await;
            assert!(recorder.count(Step::Part) > 1, "{url}: {:?}", recorder.steps());
            assert_eq!(recorder.count(Step::Begin), recorder.count(Step::Complete));
            assert_eq!(recorder.count(Step::Abort), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_appear_together_at_the_end() {
    for (url, is_deferred) in urls("out/") {
        let recorder = Recorder::default();
        let sql = format!("copy ({ROWS}) to '{url}' stored as csv partitioned by (k)");
        assert_eq!(run(&session(&recorder), &sql).await.unwrap(), 9000);
        let keys = recorder.keys().await;
        for k in 0..3 {
            assert!(keys.iter().any(|key| key.starts_with(&format!("out/k={k}/"))), "{keys:?}");
        }
        assert!(keys.iter().all(|key| key.starts_with("out/k=") && key.ends_with(".csv")), "{keys:?}");
        assert_same(&recorder, "out", ROWS).await;
        let steps = recorder.steps();
        let last_part = steps.iter().rposition(|step| *step == Step::Part).unwrap();
        let first_seen = match is_deferred {
            true => steps.iter().position(|step| *step == Step::Complete),
            false => steps.iter().position(|step| *step == Step::Rename),
        };
        assert!(last_part < first_seen.unwrap(), "{steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_are_put_at_the_end_only() {
    let recorder = Recorder::default();
    let sql = "copy (select value as id, value % 50 as k from generate_series(1, 500)) to 's3://bucket/small' stored as \
               json partitioned by (k)";
    assert_eq!(run(&session(&recorder), sql).await.unwrap(), 500);
    assert!(recorder.keys().await.len() >= 50);
    assert_eq!(recorder.count(Step::Begin), 0);
    let failing = Recorder::default();
    let sql = "copy (select value as id, 1 / (value - 499) as k from generate_series(1, 500)) to 's3://bucket/small' \
               stored as json partitioned by (k)";
    run(&session(&failing), sql).await.unwrap_err();
    assert!(failing.steps().is_empty(), "{:?}", failing.steps());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_leaves_nothing_and_the_old_object() {
    for format in ["parquet", "csv", "json"] {
        for (url, is_deferred) in urls(&format!("x.{format}")) {
            let recorder = Recorder::default();
            recorder.put_there(&format!("x.{format}"), "old").await;
            let error =
                run(&session(&recorder), &format!("copy ({FAILS_LATE}) to '{url}'")).await.unwrap_err();
            assert!(error.to_string().contains("division by zero"), "{error}");
            assert_eq!(recorder.keys().await, [format!("x.{format}")], "{url}");
            assert_eq!(recorder.text(&format!("x.{format}")).await, "old");
            if is_deferred {
                // Told only after everything was taken back.
                assert_eq!(
                    recorder.count(Step::Begin),
                    recorder.count(Step::Abort),
                    "{:?}",
                    recorder.steps()
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_at_any_step_keeps_nothing() {
    let steps = [
        (Step::Begin, 0),
        (Step::Begin, 2),
        (Step::Part, 0),
        (Step::Part, 4),
        (Step::Complete, 0),
        (Step::Complete, 1),
        (Step::Rename, 0),
        (Step::Rename, 1),
    ];
    for (step, after) in steps {
        for (url, is_deferred) in urls("out/") {
            if is_deferred && step == Step::Rename {
                continue;
            }
            let recorder = Recorder::failing(step, after);
            let sql = format!("copy ({ROWS}) to '{url}' stored as csv partitioned by (k)");
            let error = run(&session(&recorder), &sql).await.unwrap_err();
            let place = format!("{url} {step:?} {after}");
            assert!(error.to_string().contains("cannot be written: planted failure"), "{place}: {error}");
            assert_eq!(recorder.keys().await, Vec::<String>::new(), "{place}: {:?}", recorder.steps());
            if is_deferred {
                // All that come after so many fail.
                let begun = recorder.count(Step::Begin);
                let begun = if step == Step::Begin { begun.min(after) } else { begun };
                let ended = recorder.count(Step::Complete) + recorder.count(Step::Abort);
                assert!(ended >= begun, "{place}: {:?}", recorder.steps());
            }
        }
    }
    // Small objects: the second of several.
    let recorder = Recorder::failing(Step::Put, 1);
    let sql = "copy (select value as id, value % 5 as k from generate_series(1, 50)) to 's3://bucket/small/' stored as \
               csv partitioned by (k)";
    let error = run(&session(&recorder), sql).await.unwrap_err();
    assert!(error.to_string().contains("'s3://bucket/small/' cannot be written"), "{error}");
    assert_eq!(recorder.keys().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_dropped_at_any_step_keeps_nothing() {
    for slow in [Step::Begin, Step::Part] {
        for (url, is_deferred) in urls("out/") {
            let recorder = Recorder::slow(slow);
            let session = session(&recorder);
            let sql = format!("copy ({ROWS}) to '{url}' stored as csv partitioned by (k)");
            #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
            let work = tokio::spawn(async move { run(&session, &sql).await });
            until("at the slow step", async || recorder.count(slow) > 0).await;
            work.abort();
            assert!(work.await.unwrap_err().is_cancelled());
            let open = || query::output::staging::is_open();
            until("over", async || !open()).await;
            assert_eq!(recorder.keys().await, Vec::<String>::new(), "{url} {slow:?}");
            if is_deferred {
                assert_eq!(recorder.count(Step::Complete), 0);
                assert_eq!(
                    recorder.count(Step::Begin),
                    recorder.count(Step::Abort),
                    "{:?}",
                    recorder.steps()
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tsv_files_are_called_so() {
    let recorder = Recorder::default();
    let sql = format!("copy ({ROWS}) to 's3://bucket/out/' stored as tsv partitioned by (k)");
    run(&session(&recorder), &sql).await.unwrap();
    assert!(recorder.keys().await.iter().all(|key| key.ends_with(".tsv")), "{:?}", recorder.keys().await);
    assert_same(&recorder, "out", ROWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_what_is_written() {
    for key in ["a b.csv", "ü/%41.csv", "x#y?.csv"] {
        let recorder = Recorder::default();
        run(&session(&recorder), &format!("copy (select 1 as id) to 's3://bucket/{key}'")).await.unwrap();
        assert_eq!(recorder.keys().await, [key]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_cannot_be_written_are_refused() {
    let session = Session::new().unwrap();
    for (url, why) in [
        ("http://localhost:1/x.csv", "web servers can only be read from"),
        ("https://localhost:1/x.csv", "web servers can only be read from"),
        ("ftp://localhost:1/x.csv", "neither a path nor the URL of a store"),
    ] {
        let error = run(&session, &format!("copy (select 1 as id) to '{url}'")).await.unwrap_err();
        assert!(error.to_string().contains(why), "{url}: {error}");
    }
}
