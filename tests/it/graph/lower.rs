//! The plans of all TPC-H queries, and of TPC-DS in the long run, as task graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use query::Session;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::graph::{EdgeKind, TaskGraph, nodes};
use query::plan::lower::lower;

use super::stock;
use crate::engine::{self, Answer};
use crate::tpch;

/// What lowering takes out, and what it puts in.
const CUT: [&str; 6] = [
    "RepartitionExec",
    "CoalescePartitionsExec",
    "SortPreservingMergeExec",
    "BufferExec",
    "SharedExec",
    "EdgeExec",
];

/// Tables as Parquet files, and queries over them.
pub(super) struct Corpus {
    pub(super) session: Session,
    /// Names and texts.
    pub(super) queries: Vec<(String, String)>,
}

impl Corpus {
    pub(super) async fn new(tables: &Path, queries: &str) -> Self {
        let session = Session::new().unwrap();
        for file in glob::glob(&format!("{}/*.parquet", tables.display())).unwrap() {
            let path = file.unwrap();
            let (name, path) = (path.file_stem().unwrap().to_str().unwrap(), path.display());
            let sql = format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}'");
            engine::run(&session, &sql).await.unwrap();
        }
        let queries = glob::glob(queries).unwrap().map(|file| {
            let file = file.unwrap();
            (file.display().to_string(), fs::read_to_string(&file).unwrap())
        });
        Self { session, queries: queries.collect() }
    }

    pub(super) async fn partitions(&self, partitions: usize) {
        self.set("execution.target_partitions", partitions).await;
    }

    pub(super) async fn set(&self, setting: &str, value: impl Display) {
        engine::run(&self.session, &format!("SET datafusion.{setting} = {value}")).await.unwrap();
    }

    pub(super) async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan> {
        let raw = split(&Script::new("test", sql)).statements.pop().unwrap();
        let statement = raw.parse(&self.session.functions()).unwrap();
        self.session.physical_plan(&statement, &Params::default()).await.unwrap()
    }
}

/// The queries of TPC-H, and those in the folder that `QUERY_SOAK_TPCDS` names.
pub(super) async fn corpora(room: &Path) -> Vec<Corpus> {
    tpch::generate(room, 0.01);
    let mut corpora = vec![Corpus::new(room, "queries/tpch/q*.sql").await];
    assert_eq!(corpora[0].queries.len(), 22);
    if let Ok(folder) = std::env::var("QUERY_SOAK_TPCDS") {
        let corpus = Corpus::new(Path::new(&folder), &format!("{folder}/q*.sql")).await;
        assert_eq!(corpus.queries.len(), 99, "{folder}");
        corpora.push(corpus);
    }
    corpora
}

/// The operators that stay, by name, and the addresses of the leaves.
#[derive(Debug, Default, PartialEq)]
struct Census {
    operators: BTreeMap<String, usize>,
    leaves: Vec<*const ()>,
}

impl Census {
    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        for node in nodes(plan) {
            if !CUT.contains(&node.plan.name()) {
                *self.operators.entry(node.plan.name().into()).or_default() += 1;
            }
            if !CUT.contains(&node.plan.name()) && node.plan.children().is_empty() {
                // What is around an operator is new; the operator is the plan's own.
                let leaf = node.plan.downcast_delegate().unwrap_or(node.plan.as_ref());
                self.leaves.push(std::ptr::from_ref(leaf).cast());
            }
        }
        self.leaves.sort_unstable();
    }
}

fn census<'a>(plans: impl IntoIterator<Item = &'a Arc<dyn ExecutionPlan>>) -> Census {
    let mut census = Census::default();
    plans.into_iter().for_each(|plan| census.add(plan));
    census
}

fn cut_nodes(graph: &TaskGraph) -> Vec<String> {
    let own = graph.stages().iter().flat_map(|stage| nodes(&stage.plan));
    own.filter(|node| !node.recursive)
        .map(|node| node.plan.name().to_string())
        .filter(|name| CUT[..5].contains(&name.as_str()))
        .collect()
}

#[test]
fn plans_of_all_queries_are_cut_whole() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        for corpus in corpora(room.path()).await {
            for partitions in engine::PARTITIONS {
                corpus.partitions(partitions).await;
                let mut edges = 0;
                for (name, sql) in &corpus.queries {
                    let plan = corpus.plan(sql).await;
                    let before = census([&plan]);
                    let name = format!("{name} in {partitions} partitions");
                    let original = displayable(plan.as_ref()).indent(false).to_string();
                    let graph = lower(plan).unwrap_or_else(|error| panic!("{name}: {error}\n{original}"));
                    graph.validate().unwrap();
                    assert_eq!(cut_nodes(&graph), [""; 0], "{name}\n{original}");
                    let after = census(graph.stages().iter().map(|stage| &stage.plan));
                    assert_eq!(before, after, "{name}\n{original}");
                    edges += graph.edges().len();
                }
                assert!(partitions == 1 || edges > 5 * corpus.queries.len(), "{edges} edges");
            }
        }
    });
}

/// Queries whose plans have the nodes that are lowered in a way of their own.
pub(super) const SPECIAL: [&str; 14] = [
    "WITH RECURSIVE r AS (
        SELECT min(o_custkey) AS n FROM orders
        UNION ALL
        SELECT c.n + 1 FROM r c JOIN (SELECT o_custkey AS k FROM orders GROUP BY o_custkey) o ON c.n = o.k
    ) SELECT n FROM r",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 20) SELECT * FROM r, nation",
    "SELECT r_name, (SELECT max(n_nationkey) FROM nation), (SELECT s_name FROM supplier WHERE s_suppkey = 3) FROM region",
    "SELECT k, sum(c) FROM (
        SELECT o_custkey AS k, count(*) AS c FROM orders GROUP BY o_custkey
        UNION ALL
        SELECT c_custkey, count(*) FROM customer GROUP BY c_custkey
    ) GROUP BY k",
    "SELECT c_custkey FROM customer EXCEPT SELECT o_custkey FROM orders",
    "SELECT c_custkey FROM customer INTERSECT SELECT o_custkey FROM orders",
    "SELECT c_custkey FROM customer WHERE c_custkey NOT IN (SELECT o_custkey FROM orders)",
    "SELECT o_custkey, o_orderkey, rank() OVER (PARTITION BY o_custkey ORDER BY o_orderdate) FROM orders",
    "SELECT o_orderkey, sum(o_totalprice) OVER (ORDER BY o_orderkey) FROM orders",
    "SELECT o_orderkey FROM orders ORDER BY o_orderkey LIMIT 7 OFFSET 1000",
    "SELECT count(DISTINCT l_suppkey), sum(l_quantity) FROM lineitem",
    "SELECT n_name, r_name FROM nation FULL JOIN region ON n_regionkey = r_regionkey + 2",
    "SELECT count(*) FROM supplier a, supplier b WHERE a.s_acctbal < b.s_acctbal",
    "SELECT unnest([n_nationkey, n_regionkey]) FROM nation",
];

/// What makes the planner take other operators, each both ways.
const SETTINGS: [&str; 3] =
    ["optimizer.enable_piecewise_merge_join", "optimizer.prefer_existing_sort", "optimizer.prefer_hash_join"];
/// What the plans have among them.
pub(super) const OPERATORS: [&str; 11] = [
    "BoundedWindowAggExec",
    "CrossJoinExec",
    "GlobalLimitExec",
    "HashJoinExec",
    "InterleaveExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "RecursiveQueryExec",
    "ScalarSubqueryExec",
    "SortMergeJoinExec",
    "UnnestExec",
];

/// Rows as text, sorted: not every query has a complete order.
pub(super) fn sorted(batches: &[RecordBatch]) -> Vec<Vec<Option<String>>> {
    let mut rows = engine::texts(batches);
    rows.sort();
    rows
}

async fn expect_same_rows(corpus: &Corpus, name: &str, sql: &str) {
    let Answer::Rows(_, expected) = engine::run(&corpus.session, sql).await.unwrap() else {
        unreachable!("{name} has no rows");
    };
    let graph = lower(corpus.plan(sql).await).unwrap();
    let rows = stock::rows(&graph, Arc::default()).await.unwrap();
    assert_eq!(sorted(&rows), sorted(&expected), "{name}");
}

#[test]
fn lowered_plans_give_the_rows_of_plans() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        tpch::generate(room.path(), 0.01);
        let corpus = Corpus::new(room.path(), "queries/tpch/q*.sql").await;
        // An edge of a shared stage stands for no node.
        engine::run(&corpus.session, "SET query.optimizer.shared_stages = false").await.unwrap();
        let mut seen = BTreeSet::new();
        for partitions in [1, 3, 16] {
            corpus.partitions(partitions).await;
            for (name, sql) in &corpus.queries {
                expect_same_rows(&corpus, &format!("{name} in {partitions} partitions"), sql).await;
            }
            for setting in SETTINGS {
                for value in [false, true] {
                    corpus.set(setting, value).await;
                    for sql in SPECIAL {
                        let name = format!("{setting} {value}, {partitions} partitions: {sql}");
                        expect_same_rows(&corpus, &name, sql).await;
                        seen.extend(census([&corpus.plan(sql).await]).operators.into_keys());
                    }
                }
            }
        }
        let missing: Vec<_> = OPERATORS.iter().filter(|name| !seen.contains(**name)).collect();
        assert!(missing.is_empty(), "no plan has {missing:?}, only {seen:?}");
    });
}

#[test]
fn an_analysed_query_shows_every_operator_with_its_rows() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        tpch::generate(room.path(), 0.01);
        let corpus = Corpus::new(room.path(), "queries/tpch/q3.sql").await;
        corpus.partitions(3).await;
        let query = &corpus.queries[0].1;
        let operators = census([&corpus.plan(query).await]).operators;
        let graph = lower(corpus.plan(&format!("EXPLAIN ANALYZE {query}")).await).unwrap();
        let rows = stock::rows(&graph, Arc::default()).await.unwrap();
        let text = engine::texts(&rows)[0][1].clone().unwrap();
        for (operator, count) in operators {
            let operator = operator.trim_end_matches("(TopK)");
            let lines: Vec<_> =
                text.lines().filter(|line| line.trim_start().starts_with(&format!("{operator}:"))).collect();
            assert_eq!(lines.len(), count, "{operator} in\n{text}");
            assert!(lines.iter().all(|line| line.contains("output_rows=")), "{operator} in\n{text}");
        }
        assert_eq!(
            text.matches("EdgeExec").count(),
            graph.edges().len() - 1 + usize::from(!is_hidden(&graph))
        );
    });
}

/// Whether the root reads an edge that stands for no node.
fn is_hidden(graph: &TaskGraph) -> bool {
    let [edge] = graph.stage(graph.root()).inputs[..] else { unreachable!("one child") };
    graph.edge(edge).kind == EdgeKind::Gather
}
