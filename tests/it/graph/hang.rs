//! Shapes of queries in which stages could wait for each other for ever.

use std::path::Path;
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use query::Session;
use query::config::{Applied, STACK_BYTES};
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::graph::{EdgeKind, TaskGraph, nodes};
use query::memory::Limits;
use query::plan::lower::lower;
use query::session::SessionOptions;

use crate::engine::{self, Answer, Way};
use crate::tpch;

/// Long after which a query is taken to hang.
const DEADLINE: Duration = Duration::from_secs(240);
/// Many more partitions than threads.
const PARTITIONS: usize = 16;

/// The ways in which a query may not hang.
fn ways() -> [Way; 3] {
    [0, 1, 2].map(|at| match at {
        0 => Way::local(PARTITIONS),
        seed => Way { partitions: PARTITIONS, ..Way::inline(seed) },
    })
}

/// All rows as text, sorted.
#[expect(clippy::panic, reason = "a test fails by panicking")]
async fn rows(session: &Session, sql: &str) -> Vec<Vec<Option<String>>> {
    let run = tokio::time::timeout(DEADLINE, engine::run(session, sql));
    let answer = run.await.unwrap_or_else(|_| panic!("{sql} hangs"));
    match answer.unwrap_or_else(|error| panic!("{error}: {sql}")) {
        Answer::Rows(_, batches) => {
            let mut rows = engine::texts(&batches);
            rows.sort();
            rows
        }
        Answer::Count(_) => Vec::new(),
    }
}

async fn graph(session: &Session, sql: &str) -> TaskGraph {
    let raw = split(&Script::new("test", sql)).statements.pop().unwrap();
    let statement = raw.parse(&session.functions()).unwrap();
    lower(session.physical_plan(&statement, &Params::default()).await.unwrap()).unwrap()
}

/// Runs a query after some statements in all ways, and checks its rows against those of `stock`.
async fn agree(folder: &Path, first: &str, sql: &str, has_the_shape: impl Fn(&TaskGraph) -> bool) {
    let stock = tpch::session(Way::stock(1), folder).await;
    rows(&stock, first).await;
    let expected = rows(&stock, sql).await;
    assert!(!expected.is_empty(), "{sql}");
    for way in ways() {
        let session = tpch::session(way, folder).await;
        rows(&session, first).await;
        let graph = graph(&session, sql).await;
        assert!(has_the_shape(&graph), "the plan is another one: {graph:#?}");
        assert_eq!(rows(&session, sql).await, expected, "{way}: {sql}");
    }
}

fn has_node(graph: &TaskGraph, name: &str) -> bool {
    graph.stages().iter().flat_map(|stage| nodes(&stage.plan)).any(|node| node.plan.name() == name)
}

fn small_tables() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    tpch::generate(room.path(), 0.01);
    room
}

#[test]
fn a_collected_build_side_with_a_dynamic_filter_does_not_hang() {
    let room = small_tables();
    let sql = "SELECT l_orderkey, o_custkey FROM orders JOIN lineitem ON l_orderkey = o_orderkey
        WHERE o_orderkey < 500 AND o_totalprice > 100000";
    // A filter below a shuffle, and all partitions wait for the filter.
    let grouped = "SELECT c_custkey, n FROM customer
        JOIN (SELECT o_custkey, count(*) AS n FROM orders GROUP BY o_custkey) ON o_custkey = c_custkey
        WHERE c_custkey < 300";
    engine::runtime().block_on(async {
        for sql in [sql, grouped] {
            agree(room.path(), "", sql, |graph| {
                let filters = graph.stages().iter().flat_map(|stage| nodes(&stage.plan));
                filters.flat_map(|node| node.plan.dynamic_expressions_produced()).next().is_some()
                    && has_node(graph, "HashJoinExec")
            })
            .await;
        }
    });
}

#[test]
fn a_union_of_200_edges_does_not_hang() {
    let room = small_tables();
    let parts: Vec<_> = (0..200)
        .map(|part| {
            format!("SELECT n_regionkey AS k, count(*) + {part} AS n FROM nation GROUP BY n_regionkey")
        })
        .collect();
    let sql = format!("SELECT k, sum(n) FROM ({}) GROUP BY k", parts.join(" UNION ALL "));
    // As deep as it is long: planned with the stack that the command line gives to a query.
    let test = || {
        engine::runtime().block_on(agree(room.path(), "", &sql, |graph| graph.edges().len() >= 200));
    };
    thread::scope(|scope| {
        let deep = thread::Builder::new().stack_size(STACK_BYTES);
        deep.spawn_scoped(scope, test).unwrap().join().unwrap();
    });
}

#[test]
fn a_recursion_with_a_join_inside_does_not_hang() {
    let room = small_tables();
    let sql = "WITH RECURSIVE r AS (
            SELECT o_custkey AS k, 1 AS depth FROM orders WHERE o_orderkey < 100
            UNION ALL
            SELECT n.k, r.depth + 1 FROM r
            JOIN (SELECT c_custkey + 1 AS k, c_custkey AS p FROM customer GROUP BY c_custkey) n ON n.p = r.k
            WHERE r.depth < 12
        ) SELECT depth, count(*), sum(k) FROM r JOIN customer ON c_custkey = r.k GROUP BY depth";
    engine::runtime().block_on(agree(room.path(), "", sql, |graph| has_node(graph, "RecursiveQueryExec")));
}

#[test]
fn a_merge_over_a_shuffle_with_all_rows_of_one_key_does_not_hang() {
    let room = small_tables();
    let first = "SET datafusion.optimizer.prefer_existing_sort = true;
        SET datafusion.execution.batch_size = 128;
        CREATE TABLE one AS SELECT 7 AS k, l_orderkey * 10 + l_linenumber AS v FROM lineitem;
        CREATE VIEW sorted AS SELECT k, v FROM one ORDER BY k, v LIMIT 50000";
    let sql = "SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v) AS i FROM (
            SELECT k, v FROM sorted WHERE v % 7 > 0 UNION ALL SELECT k, v FROM sorted WHERE v % 7 = 0
        ) ORDER BY k, v";
    engine::runtime().block_on(agree(room.path(), first, sql, |graph| {
        let mut kinds = graph.edges().iter().filter(|edge| edge.keeps_order()).map(|edge| edge.kind);
        kinds.any(|kind| kind == EdgeKind::Shuffle) && has_node(graph, "BoundedWindowAggExec")
    }));
}

/// Joins of joins, all of whose tables are read at once, in little memory.
const NESTED: &str = "SELECT count(*), sum(a.l_quantity), max(s.s_acctbal) FROM lineitem a
    JOIN orders o ON a.l_orderkey = o.o_orderkey
    JOIN customer c ON o.o_custkey = c.c_custkey
    JOIN part p ON a.l_partkey = p.p_partkey
    JOIN supplier s ON a.l_suppkey = s.s_suppkey
    JOIN partsupp ps ON ps.ps_partkey = p.p_partkey AND ps.ps_suppkey = s.s_suppkey
    JOIN nation n ON c.c_nationkey = n.n_nationkey
    JOIN region r ON n.n_regionkey = r.r_regionkey
    LEFT JOIN (SELECT l_orderkey AS k, count(*) AS n FROM lineitem GROUP BY l_orderkey) l ON l.k = o.o_orderkey
    WHERE l.n > 1";

#[test]
fn nested_joins_in_little_memory_do_not_hang() {
    let room = tempfile::tempdir().unwrap();
    tpch::generate(room.path(), 0.05);
    engine::runtime().block_on(async {
        let stock = tpch::session(Way::stock(1), room.path()).await;
        let expected = rows(&stock, NESTED).await;
        let limits = Limits { memory: Some("64MB".parse().unwrap()), ..Limits::default() };
        // All joins are partitioned: as many edges as there can be.
        for way in ways().map(|way| way.broadcasting(Applied::Off)) {
            let options = SessionOptions { limits: limits.clone(), ..SessionOptions::default() };
            let session = way.session_with(options).await.unwrap();
            tpch::add_tables(&session, room.path()).await;
            assert!(graph(&session, NESTED).await.edges().len() >= 15);
            assert_eq!(rows(&session, NESTED).await, expected, "{way}");
        }
    });
}

#[test]
fn twenty_jobs_at_once_on_two_threads_do_not_hang() {
    let room = small_tables();
    let runtime = engine::runtime();
    let queries: Vec<_> = (1..=20)
        .map(|query| std::fs::read_to_string(format!("queries/tpch/q{query}.sql")).unwrap())
        .collect();
    runtime.block_on(async {
        let stock = tpch::session(Way::stock(1), room.path()).await;
        let session = tpch::session(Way::local(PARTITIONS), room.path()).await;
        let jobs = join_all(queries.iter().map(|sql| rows(&session, sql))).await;
        for (found, sql) in jobs.into_iter().zip(&queries) {
            assert_eq!(found, rows(&stock, sql).await, "{sql}");
        }
    });
}
