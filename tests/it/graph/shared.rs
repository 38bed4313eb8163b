//! Shared stages: which subplans become one, and what they look like.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::physical_plan::displayable;
use query::graph::{EdgeKind, TaskGraph, Transport};
use query::plan::lower::lower;
use query::prelude::How;

use super::lower::{Corpus, corpora, sorted};
use crate::engine::{self, Answer};

/// How many readers each shared stage has.
fn shared(graph: &TaskGraph) -> Vec<usize> {
    let mut readers = BTreeMap::new();
    for edge in graph.edges() {
        assert_eq!(edge.kind == EdgeKind::Forward, edge.transport == Transport::Materialized);
        if edge.kind == EdgeKind::Forward {
            *readers.entry(edge.from).or_insert(0) += 1;
        }
    }
    readers.into_values().collect()
}

async fn graph(corpus: &Corpus, sql: &str) -> TaskGraph {
    let graph = lower(corpus.plan(sql).await).unwrap();
    graph.validate().unwrap();
    graph
}

async fn text(corpus: &Corpus, sql: &str) -> String {
    displayable(corpus.plan(sql).await.as_ref()).indent(false).to_string()
}

async fn set(corpus: &Corpus, setting: &str) {
    engine::run(&corpus.session, &format!("SET query.{setting}")).await.unwrap();
}

/// A table `t` in memory.
async fn small() -> Corpus {
    let corpus = Corpus::new(Path::new("nowhere"), "nowhere").await;
    corpus.partitions(2).await;
    let table =
        "CREATE TABLE t AS SELECT value AS id, value % 7 AS k, value % 3 AS g FROM generate_series(1, 1000)";
    engine::run(&corpus.session, table).await.unwrap();
    corpus
}

/// The queries of TPC-H and TPC-DS that have a common table expression more than once, with the readers of each. Of
/// TPC-DS some.
const REPEATS: [(&str, &[usize]); 9] = [
    ("tpch/q15.sql", &[2]),
    ("tpcds/q1.sql", &[2]),
    ("tpcds/q4.sql", &[6]),
    ("tpcds/q11.sql", &[4]),
    ("tpcds/q23.sql", &[2, 2]),
    ("tpcds/q31.sql", &[3, 3]),
    ("tpcds/q47.sql", &[3]),
    ("tpcds/q64.sql", &[2]),
    ("tpcds/q74.sql", &[4]),
];

#[test]
fn repeats_of_benchmarks_are_shared_stages() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        for corpus in corpora(room.path()).await {
            let is_tpch = corpus.queries.len() == 22;
            for partitions in [1, 2, 7] {
                corpus.partitions(partitions).await;
                for (name, sql) in &corpus.queries {
                    let known = REPEATS.iter().find(|(file, _)| name.ends_with(file));
                    let readers = shared(&graph(&corpus, sql).await);
                    match known {
                        Some((_, expected)) => {
                            assert_eq!(readers, *expected, "{name}, {partitions} partitions")
                        }
                        None if is_tpch => assert_eq!(readers, Vec::<usize>::new(), "{name}"),
                        None => {}
                    }
                }
            }
        }
    });
}

const TOTALS: &str = "WITH c AS (SELECT k, g, sum(id) AS s FROM t GROUP BY k, g)";

#[test]
fn what_readers_have_in_common_goes_below_the_subplan_and_the_rest_stays_in_them() {
    engine::runtime().block_on(async {
        let corpus = small().await;
        let sql = format!(
            "{TOTALS} SELECT a.s, b.s FROM c a JOIN c b ON a.k = b.k
             WHERE a.g = 1 AND a.s > 5 AND a.k < 6 AND b.g = 2 AND b.k < 6"
        );
        assert_eq!(shared(&graph(&corpus, &sql).await), [2]);
        let text = text(&corpus, &sql).await;
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        let filters: Vec<_> = lines.iter().filter(|line| line.starts_with("FilterExec")).collect();
        assert_eq!(filters.len(), 4, "{text}");
        // Each reader's own, the groups of either, and the rows that groups of either are made of.
        assert!(filters[0].contains("g@1 = 1") && filters[0].contains("s@2 > 5"), "{text}");
        assert!(filters[1].contains("g@1 = 1 AND sum(t.id)@2 > 5 OR g@1 = 2"), "{text}");
        assert!(filters[2].contains("k@1 < 6 AND (g@2 = 1 OR g@2 = 2)"), "{text}");
        assert!(filters[3].contains("g@1 = 2"), "{text}");
    });
}

#[test]
fn a_plan_shows_a_shared_subplan_once() {
    engine::runtime().block_on(async {
        let corpus = small().await;
        let sql = format!("{TOTALS} SELECT * FROM c a JOIN c b ON a.k = b.k JOIN c d ON a.k = d.k");
        for explain in ["EXPLAIN FORMAT INDENT", "EXPLAIN FORMAT TREE"] {
            let answer = engine::run(&corpus.session, &format!("{explain} {sql}")).await.unwrap();
            let Answer::Rows(_, batches) = answer else { unreachable!() };
            let rows = engine::texts(&batches);
            let text = rows.last().unwrap()[1].clone().unwrap();
            assert_eq!(text.matches("computed once").count(), 1, "{text}");
            assert_eq!(text.matches("shown elsewhere").count(), 2, "{text}");
            assert_eq!(text.matches("DataSourceExec").count(), 1, "{text}");
        }
        let answer = engine::run(&corpus.session, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
        let Answer::Rows(_, batches) = answer else { unreachable!() };
        let text = engine::texts(&batches)[0][1].clone().unwrap();
        assert_eq!(text.matches("EdgeExec: Forward of c").count(), 3, "{text}");
        assert_eq!(text.matches("DataSourceExec").count(), 1, "{text}");
    });
}

#[test]
fn a_subplan_may_read_another() {
    engine::runtime().block_on(async {
        let corpus = small().await;
        let sql = format!(
            "{TOTALS}, d AS (SELECT k, max(s) AS m FROM c GROUP BY k)
             SELECT a.m, c.s FROM d a JOIN d b ON a.k = b.k JOIN c ON c.k = a.k"
        );
        assert_eq!(shared(&graph(&corpus, &sql).await), [2, 2]);
    });
}

#[test]
fn what_is_asked_for_beats_cost_and_setting() {
    engine::runtime().block_on(async {
        let corpus = small().await;
        let sql = |word: &str, from: &str| {
            format!("WITH c AS {word} (SELECT k, count(*) AS n FROM t GROUP BY k) SELECT * FROM {from}")
        };
        let twice = "c a JOIN c b ON a.k = b.k";
        assert_eq!(shared(&graph(&corpus, &sql("", twice)).await), [2]);
        assert_eq!(shared(&graph(&corpus, &sql("", "c")).await), Vec::<usize>::new());
        assert_eq!(shared(&graph(&corpus, &sql("NOT MATERIALIZED", twice)).await), Vec::<usize>::new());
        assert_eq!(shared(&graph(&corpus, &sql("MATERIALIZED", "c")).await), [1]);
        let idle =
            "WITH c AS MATERIALIZED (SELECT id FROM t WHERE k = 1) SELECT * FROM c a JOIN c b ON a.id = b.id";
        assert_eq!(shared(&graph(&corpus, idle).await), [2]);
        assert_eq!(shared(&graph(&corpus, &idle.replace("MATERIALIZED", "")).await), Vec::<usize>::new());

        set(&corpus, "optimizer.shared_stages = false").await;
        assert_eq!(shared(&graph(&corpus, &sql("", twice)).await), Vec::<usize>::new());
        assert_eq!(shared(&graph(&corpus, &sql("MATERIALIZED", twice)).await), [2]);
        set(&corpus, "optimizer.shared_stages = always").await;
        assert_eq!(shared(&graph(&corpus, &sql("NOT MATERIALIZED", twice)).await), Vec::<usize>::new());
        assert_eq!(shared(&graph(&corpus, &idle.replace("MATERIALIZED", "")).await), [2]);

        set(&corpus, "engine = stock").await;
        assert!(!text(&corpus, &sql("MATERIALIZED", twice)).await.contains("SharedExec"));
    });
}

/// Queries with repeats that are better computed by each reader, or have to be.
const UNSHARED: [&str; 9] = [
    // Other numbers each time.
    "WITH c AS (SELECT k, max(random()) AS x FROM t GROUP BY k) SELECT * FROM c a JOIN c b ON a.k = b.k",
    "WITH c AS (SELECT k, max(x) AS x FROM (SELECT k, (SELECT max(random()) FROM t) AS x FROM t) GROUP BY k)
     SELECT * FROM c a JOIN c b ON a.k = b.k",
    // Nothing but a scan.
    "WITH c AS (SELECT id, k + 1 AS k FROM t WHERE g = 1) SELECT * FROM c a JOIN c b ON a.id = b.id",
    // One of the readers has gone.
    "WITH c AS (SELECT k, count(*) AS n FROM t GROUP BY k) SELECT n FROM c UNION ALL SELECT n FROM c WHERE false",
    // One reader that wants all rows.
    "WITH c AS (SELECT a.id, b.k FROM t a JOIN t b ON a.id = b.id)
     SELECT (SELECT count(*) FROM (SELECT id FROM c LIMIT 3)), (SELECT sum(k) FROM c)",
    // A condition that keeps a column of one reader from an error.
    "WITH c AS (SELECT g, 10 / g AS x, count(*) AS n FROM t GROUP BY g)
     SELECT (SELECT sum(x) FROM c WHERE g > 0) AS p, (SELECT sum(n) FROM c) AS q",
    // Tables without a condition: that of each reader makes a join of them.
    "WITH c AS (SELECT a.id, b.id AS other, b.k FROM t a, t b)
     SELECT (SELECT sum(k) FROM c WHERE id = other), (SELECT max(k) FROM c WHERE id = other + 1)",
    // Values of the row around it.
    "SELECT (SELECT count(*) FROM (SELECT k FROM t WHERE t.k = o.k GROUP BY k)),
            (SELECT max(k) FROM (SELECT k FROM t WHERE t.k = o.k GROUP BY k)) FROM t o",
    // Computed anew every round.
    "WITH RECURSIVE c AS (SELECT k, count(*) AS n FROM t GROUP BY k),
     r AS (SELECT 0 AS k UNION ALL SELECT r.k + 1 FROM r JOIN c a ON a.k = r.k JOIN c b ON b.k = a.k) SELECT * FROM r",
];

#[test]
fn what_is_not_shared_is_planned_as_if_nothing_had_been_looked_for() {
    engine::runtime().block_on(async {
        let corpus = small().await;
        for sql in UNSHARED {
            set(&corpus, "optimizer.shared_stages = true").await;
            assert_eq!(shared(&graph(&corpus, sql).await), Vec::<usize>::new(), "{sql}");
            let plan = text(&corpus, sql).await;
            set(&corpus, "optimizer.shared_stages = false").await;
            assert_eq!(plan, text(&corpus, sql).await, "{sql}");
        }
    });
}

/// Frames of files and batches all have tables of one name.
#[test]
fn frames_of_other_rows_are_not_taken_for_the_same() {
    engine::runtime().block_on(async {
        let corpus = small().await;
        let counted = |numbers: Vec<i64>| {
            let column = Arc::new(Int64Array::from(numbers)) as ArrayRef;
            let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
            corpus.session.from_batches(vec![batch]).unwrap().group_by(["n"]).size().unwrap()
        };
        let (one, other) = (counted(vec![1, 1]), counted(vec![2]));
        for stages in ["true", "always"] {
            set(&corpus, &format!("optimizer.shared_stages = {stages}")).await;
            let mixed = one.union(&other).unwrap().union(&one).unwrap().collect().await.unwrap();
            let rows: Vec<_> = sorted(&mixed).into_iter().map(|row| row[0].clone().unwrap()).collect();
            assert_eq!(rows, ["1", "1", "2"], "{stages}");
            let joined = one.join(&one, How::Inner, ["n"]).unwrap().collect().await.unwrap();
            assert_eq!(sorted(&joined).len(), 1, "{stages}");
        }
    });
}
