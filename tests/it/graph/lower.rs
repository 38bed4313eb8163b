//! The plans of all TPC-H queries, and of TPC-DS in the long run, as task graphs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use query::Session;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::graph::{TaskGraph, nodes};
use query::plan::lower::lower;

use crate::engine::{self, Answer};
use crate::tpch;

const PARTITIONS: [usize; 5] = [1, 2, 3, 8, 16];
/// What lowering takes out, and what it may put in for the limit of one of them.
const CUT: [&str; 5] =
    ["RepartitionExec", "CoalescePartitionsExec", "SortPreservingMergeExec", "BufferExec", "EdgeExec"];

/// Tables as Parquet files, and queries over them.
struct Corpus {
    session: Session,
    queries: Vec<PathBuf>,
}

impl Corpus {
    async fn new(tables: &Path, queries: &str) -> Self {
        let session = Session::new().unwrap();
        for file in glob::glob(&format!("{}/*.parquet", tables.display())).unwrap() {
            let path = file.unwrap();
            let (name, path) = (path.file_stem().unwrap().to_str().unwrap(), path.display());
            let sql = format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}'");
            engine::run(&session, &sql).await.unwrap();
        }
        let queries: Vec<_> = glob::glob(queries).unwrap().map(Result::unwrap).collect();
        Self { session, queries }
    }

    async fn partitions(&self, partitions: usize) {
        let sql = format!("SET datafusion.execution.target_partitions = {partitions}");
        engine::run(&self.session, &sql).await.unwrap();
    }

    /// The plan of a file's last statement.
    async fn plan(&self, file: &Path) -> Arc<dyn ExecutionPlan> {
        let sql = fs::read_to_string(file).unwrap();
        let raw = split(&Script::new("test", &sql)).statements.pop().unwrap();
        let statement = raw.parse(&self.session.functions()).unwrap();
        self.session.physical_plan(&statement, &Params::default()).await.unwrap()
    }
}

/// The queries of TPC-H, and those in the folder that `QUERY_SOAK_TPCDS` names.
async fn corpora(room: &Path) -> Vec<Corpus> {
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
            if node.edge().is_none() && node.plan.children().is_empty() {
                self.leaves.push(Arc::as_ptr(node.plan).cast());
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
    own.filter(|node| !node.recursive && !node.plan.is::<RecursiveQueryExec>())
        .map(|node| node.plan.name().to_string())
        .filter(|name| CUT[..4].contains(&name.as_str()))
        .collect()
}

#[test]
fn plans_of_all_queries_are_cut_whole() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        for corpus in corpora(room.path()).await {
            for partitions in PARTITIONS {
                corpus.partitions(partitions).await;
                let mut edges = 0;
                for file in &corpus.queries {
                    let plan = corpus.plan(file).await;
                    let before = census([&plan]);
                    let name = format!("{} in {partitions} partitions", file.display());
                    let original = displayable(plan.as_ref()).indent(false).to_string();
                    let graph = lower(plan).unwrap_or_else(|error| panic!("{name}: {error}\n{original}"));
                    graph.validate().unwrap();
                    assert_eq!(cut_nodes(&graph), [""; 0], "{name}\n{original}");
                    let after = census(graph.stages().iter().map(|stage| &stage.plan));
                    assert_eq!(before, after, "{name}\n{original}");
                    let mut ranks = graph.priorities();
                    ranks.sort_unstable();
                    assert!(ranks.into_iter().eq(0..graph.stages().len() as u32), "{name}");
                    edges += graph.edges().len();
                }
                assert!(partitions == 1 || edges > 5 * corpus.queries.len(), "{edges} edges");
            }
        }
    });
}

/// Rows as text, in order for queries whose order is complete, as all of TPC-H's are.
fn texts(answer: query::Result<Answer>) -> Vec<Vec<Option<String>>> {
    match answer.unwrap() {
        Answer::Rows(_, batches) => engine::texts(&batches),
        Answer::Count(_) => Vec::new(),
    }
}

#[test]
fn lowered_plans_give_the_rows_of_plans() {
    let room = tempfile::tempdir().unwrap();
    let runtime = engine::runtime();
    runtime.block_on(async {
        tpch::generate(room.path(), 0.01);
        let corpus = Corpus::new(room.path(), "queries/tpch/q*.sql").await;
        corpus.partitions(3).await;
        for file in &corpus.queries {
            let expected = texts(engine::run(&corpus.session, &fs::read_to_string(file).unwrap()).await);
            let graph = lower(corpus.plan(file).await).unwrap();
            let context = Arc::new(datafusion::execution::TaskContext::default());
            let rows = super::stock::rows(&graph, context).await.unwrap();
            assert_eq!(engine::texts(&rows), expected, "{}", file.display());
        }
    });
}
