//! Where operators are polled: by tasks of the scheduler, on its threads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use query::Session;
use query::config::EngineKind;
use query::graph::TaskGraph;
use query::plan::lower::lower;
use query::prelude::col;
use query::scheduler::event::Observers;
use query::scheduler::{Engine, Inline, Job, JobOptions, Results, Workers};

use super::lower::{Corpus, OPERATORS, SPECIAL};
use super::seen::{Log, seen};
use super::watched::{Polled, Polls, watched};
use crate::engine::{self, THREADS, Way};
use crate::tpch;

const WORKER: &str = "query-worker";

/// A graph's rows, from a job.
pub(super) fn job(graph: TaskGraph, engine: Engine) -> SendableRecordBatchStream {
    let options = JobOptions { engine, results: Results::Gathered, observers: Observers::default() };
    Job::submit(graph, Arc::default(), options).stream(0).unwrap()
}

pub(super) fn workers() -> Engine {
    Engine::Local(Workers::of_the_process(THREADS.get()).unwrap())
}

/// Runs a statement by itself; gives who polled its operators, and how many tasks the graph has.
async fn polled(corpus: &Corpus, sql: &str, engine: Engine) -> (Polled, usize) {
    let polls = Arc::new(Polls::default());
    let graph = lower(watched(corpus.plan(sql).await, &polls)).unwrap();
    let tasks = graph.tasks();
    job(graph, engine).try_collect::<Vec<_>>().await.unwrap();
    (polls.polled(), tasks)
}

fn statements(corpus: &Corpus, room: &Path) -> Vec<String> {
    let queries = corpus.queries.iter().map(|(_, sql)| sql.clone());
    let special = SPECIAL.iter().map(ToString::to_string);
    let copies =
        [("out.parquet", "PARQUET"), ("out.csv", "CSV"), ("out/", "PARQUET")].map(|(name, format)| {
            let target = room.join(name).display().to_string();
            format!("COPY (SELECT o_orderkey FROM orders ORDER BY 1) TO '{target}' STORED AS {format}")
        });
    let insert = "INSERT INTO kept SELECT c_custkey FROM customer".to_string();
    queries.chain(special).chain(copies).chain([insert]).collect()
}

#[test]
fn operators_are_polled_by_tasks_of_the_scheduler_on_its_threads() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        tpch::generate(room.path(), 0.01);
        let corpus = Corpus::new(room.path(), "queries/tpch/q*.sql").await;
        engine::run(&corpus.session, "CREATE TABLE kept (k BIGINT)").await.unwrap();
        let mut seen = BTreeSet::new();
        for partitions in [1, 3, 16] {
            corpus.partitions(partitions).await;
            for sql in statements(&corpus, room.path()) {
                let (polled, tasks) = polled(&corpus, &sql, workers()).await;
                assert_eq!(polled.threads, BTreeSet::from([WORKER.to_string()]), "{sql}");
                assert!(
                    polled.tasks.len() <= tasks && !polled.tasks.contains(&None),
                    "{} tasks poll operators, the graph has {tasks}, in {partitions} partitions: {sql}",
                    polled.tasks.len()
                );
                seen.extend(polled.operators);
            }
        }
        // Those that a setting brings are not among these plans.
        let rare = ["PiecewiseMergeJoinExec", "SortMergeJoinExec"];
        let expected =
            OPERATORS.iter().chain(&["DataSourceExec", "DataSinkExec", "AggregateExec", "SortExec"]);
        let missing: Vec<_> =
            expected.filter(|name| !rare.contains(name) && !seen.contains(**name)).collect();
        assert!(missing.is_empty(), "{missing:?} were not polled, only {seen:?}");
    });
}

#[test]
fn inline_polls_on_the_thread_that_reads() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        tpch::generate(room.path(), 0.01);
        let corpus = Corpus::new(room.path(), "queries/tpch/q*.sql").await;
        engine::run(&corpus.session, "CREATE TABLE kept (k BIGINT)").await.unwrap();
        corpus.partitions(3).await;
        for sql in statements(&corpus, room.path()) {
            // A recursive term with an exchange in it has tasks of the runtime, as sinks have.
            if sql.contains("RECURSIVE") || sql.starts_with("COPY") {
                continue;
            }
            let (polled, _) = polled(&corpus, &sql, Engine::Inline(Inline::new(7))).await;
            assert!(polled.thread_ids.iter().eq([&thread::current().id()]), "{:?}: {sql}", polled.threads);
        }
    });
}

/// Statements over a view `v` of columns `k` and `n`, in which each row of `n` is seen.
fn over_the_view(room: &Path) -> Vec<String> {
    let path = |name: &str| room.join(name).display().to_string();
    let fixed = [
        "SELECT count(*), sum(a.n + b.n) FROM v a JOIN v b USING (k)",
        "SELECT k, sum(n) FROM v GROUP BY k",
        "SELECT count(DISTINCT n) FROM v",
        "SELECT * FROM v ORDER BY n DESC",
        "SELECT * FROM v ORDER BY n LIMIT 3",
        "SELECT * FROM v LIMIT 3",
        "FROM v UNION ALL FROM v",
        "SELECT (SELECT max(n) FROM v), k FROM v WHERE n IN (SELECT n FROM v WHERE k = 3)",
        "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT r.i + 1 FROM r JOIN v ON v.n = r.i WHERE r.i < 5)
         SELECT * FROM r",
        "SELECT row_number() OVER (PARTITION BY k ORDER BY n) FROM v",
        "EXPLAIN ANALYZE SELECT sum(n) FROM v GROUP BY k",
        "SUMMARIZE v",
        "CREATE TABLE w AS SELECT * FROM v",
        "INSERT INTO w SELECT * FROM v",
        "CREATE VIEW x AS SELECT * FROM v; SELECT sum(n) FROM x",
    ];
    let copies = [
        format!("COPY v TO '{}'", path("one.parquet")),
        format!("COPY (SELECT * FROM v ORDER BY n) TO '{}'", path("one.csv")),
        format!("COPY v TO '{}' STORED AS PARQUET PARTITIONED BY (k)", path("many/")),
    ];
    fixed.map(Into::into).into_iter().chain(copies).collect()
}

/// A session with the view.
async fn session(way: Way, room: &Path, log: &Arc<Log>) -> Session {
    let session = way.session().await.unwrap();
    let files = room.join("files");
    if !files.exists() {
        fs::create_dir(&files).unwrap();
        for file in 0..6 {
            let numbers = |of: fn(i64) -> i64| Arc::new((0..500).map(of).collect::<Int64Array>()) as ArrayRef;
            let batch =
                RecordBatch::try_from_iter([("k", numbers(|n| n % 7)), ("n", numbers(|n| n))]).unwrap();
            session
                .from_batches(vec![batch])
                .unwrap()
                .write_parquet(files.join(format!("{file}.parquet")))
                .await
                .unwrap();
        }
    }
    let files = session.read_parquet(&files.display().to_string()).await.unwrap();
    let view = files.select([col("k"), seen(log).call(vec![col("n")]).alias("n")]).unwrap();
    session.register("v", &view).unwrap();
    session
}

#[test]
fn whatever_a_session_runs_is_computed_on_the_threads_of_the_scheduler() {
    engine::runtime().block_on(async {
        for way in [Way::local(1), Way::local(3), Way::local(16), Way::stock(3)] {
            let room = tempfile::tempdir().unwrap();
            let log = Arc::new(Log::default());
            let session = session(way, room.path(), &log).await;
            for sql in over_the_view(room.path()) {
                engine::run(&session, &sql).await.unwrap_or_else(|error| panic!("{way}: {error}: {sql}"));
                let names: Vec<_> = log.take().into_keys().collect();
                match way.engine {
                    EngineKind::Local => assert_eq!(names, [WORKER], "{way}: {sql}"),
                    // The log can tell other threads.
                    EngineKind::Stock | EngineKind::Inline => {
                        assert!(!names.is_empty() && !names.contains(&WORKER.to_string()), "{way}: {sql}");
                    }
                }
            }
            let frame = session.table("v").await.unwrap();
            frame.collect().await.unwrap();
            frame.count().await.unwrap();
            frame.stream().await.unwrap().try_collect::<Vec<_>>().await.unwrap();
            frame.write_parquet(room.path().join("frame.parquet")).await.unwrap();
            let is_ours = log.take().into_keys().eq([WORKER.to_string()]);
            assert_eq!(is_ours, way.engine == EngineKind::Local, "{way}");
        }
    });
}
