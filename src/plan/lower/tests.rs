//! Small plans, by SQL where SQL makes them and by hand where it does not.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::MemTable;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};
use datafusion::physical_plan::{displayable, empty::EmptyExec};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::graph::{Edge, Op, Stage, Transport};

const PARTITIONS: usize = 4;

/// A table `t` of the columns `k` and `v` in four partitions, and `one` of a single row in the same columns.
fn context() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(PARTITIONS).with_batch_size(2);
    let context = SessionContext::new_with_config(config);
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
    ]));
    let batch = |range: std::ops::Range<i64>| {
        let values: Arc<Int64Array> = Arc::new(range.collect::<Vec<_>>().into());
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(&values) as _, values]).unwrap()
    };
    let table = |partitions| Arc::new(MemTable::try_new(Arc::clone(&schema), partitions).unwrap());
    let of_t = [0..10, 5..20, 7..9, 3..4].map(|range| vec![batch(range)]).to_vec();
    context.register_table("t", table(of_t)).unwrap();
    context.register_table("one", table(vec![vec![batch(1..2)], vec![], vec![], vec![]])).unwrap();
    context
}

async fn plan(sql: &str) -> Arc<dyn ExecutionPlan> {
    let context = context();
    let state = context.state();
    let logical = state.create_logical_plan(sql).await.unwrap();
    state.create_physical_plan(&logical).await.unwrap()
}

async fn lowered(sql: &str) -> TaskGraph {
    valid(plan(sql).await)
}

fn valid(plan: Arc<dyn ExecutionPlan>) -> TaskGraph {
    let graph = lower(plan).unwrap();
    graph.validate().unwrap();
    graph
}

fn kinds(graph: &TaskGraph) -> Vec<EdgeKind> {
    graph.edges().iter().map(|edge| edge.kind).collect()
}

fn root(graph: &TaskGraph) -> &Stage {
    graph.stage(graph.root())
}

fn text(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(false).to_string()
}

fn only_edge(graph: &TaskGraph) -> &Edge {
    let [edge] = graph.edges() else { panic!("{:?}", graph.edges()) };
    edge
}

/// A node of a type in a plan, the first from above.
fn first<T: ExecutionPlan>(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let mut found = None;
    plan.apply(|node| {
        let is_it = node.is::<T>();
        found = is_it.then(|| Arc::clone(node));
        Ok(if is_it { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .unwrap();
    found
}

#[tokio::test]
async fn a_limit_goes_along_with_a_gather() {
    let graph = lowered("SELECT k FROM t WHERE v > 0 LIMIT 3").await;
    let edge = only_edge(&graph);
    assert_eq!((edge.kind, edge.fetch, edge.keeps_order()), (EdgeKind::Gather, Some(3), false));
    assert_eq!(graph.stage(edge.from).partitions, PARTITIONS);
    assert_eq!(text(&root(&graph).plan), "EdgeExec: Gather, fetch=3\n");
}

#[tokio::test]
async fn order_and_limit_go_along_with_a_merge() {
    let graph = lowered("SELECT k FROM t ORDER BY k DESC LIMIT 5").await;
    let edge = only_edge(&graph);
    assert_eq!((edge.kind, edge.fetch), (EdgeKind::Merge, Some(5)));
    assert_eq!(edge.ordering.as_ref().unwrap().to_string(), "k@0 DESC");
    assert_eq!(edge.leaf.properties().output_ordering(), edge.ordering.as_ref());
    assert_eq!(graph.stage(edge.from).op, Op::Sort);
}

#[tokio::test]
async fn a_leaf_has_the_properties_of_what_it_stands_for() {
    let plan = plan("SELECT k, sum(v) FROM t GROUP BY k").await;
    let replaced = first::<RepartitionExec>(&plan).unwrap();
    let above = Arc::clone(plan.properties());
    let graph = valid(plan);
    let edge = only_edge(&graph);
    assert_eq!(edge.kind, EdgeKind::Shuffle);
    assert_eq!(edge.output_partitions(), PARTITIONS);
    assert_eq!(edge.transport, Transport::Pipelined);
    assert!(Arc::ptr_eq(edge.leaf.properties(), replaced.properties()));
    assert!(Arc::ptr_eq(root(&graph).plan.properties(), &above), "planned anew");
    assert_eq!(root(&graph).op, Op::GroupBy);
}

#[tokio::test]
async fn a_stage_reads_the_edges_of_all_arms_of_a_union() {
    let arm = "SELECT k, sum(v) AS s FROM t GROUP BY k";
    let graph =
        lowered(&format!("SELECT max(s) FROM ({arm} UNION ALL {arm} UNION ALL SELECT k, v FROM t)")).await;
    let gather = graph.edges().last().unwrap();
    assert_eq!(gather.kind, EdgeKind::Gather);
    let union = graph.stage(gather.from);
    assert_eq!(union.inputs.len(), 2);
    assert_eq!(union.partitions, 3 * PARTITIONS);
    assert_eq!(root(&graph).op, Op::Reduce);
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]))
}

fn rows(partitions: usize) -> Arc<dyn ExecutionPlan> {
    Arc::new(EmptyExec::new(schema()).with_partitions(partitions))
}

fn by_a() -> LexOrdering {
    LexOrdering::from([PhysicalSortExpr::new_default(col("a", &schema()).unwrap())])
}

fn sorted(partitions: usize) -> Arc<dyn ExecutionPlan> {
    Arc::new(SortExec::new(by_a(), rows(partitions)).with_preserve_partitioning(true))
}

fn repartitioned(input: Arc<dyn ExecutionPlan>, partitioning: Partitioning) -> RepartitionExec {
    RepartitionExec::try_new(input, partitioning).unwrap()
}

fn hash(partitions: usize) -> Partitioning {
    Partitioning::Hash(vec![col("a", &schema()).unwrap()], partitions)
}

#[test]
fn one_partition_is_not_moved_and_its_limit_stays() {
    let input = sorted(1);
    for fetch in [None, Some(2)] {
        let coalesce = CoalescePartitionsExec::new(Arc::clone(&input)).with_fetch(fetch);
        let merge = SortPreservingMergeExec::new(by_a(), Arc::clone(&input)).with_fetch(fetch);
        for node in [Arc::new(coalesce) as Arc<dyn ExecutionPlan>, Arc::new(merge)] {
            let graph = valid(node);
            assert!(graph.edges().is_empty());
            let plan = &root(&graph).plan;
            assert_eq!(plan.output_ordering(), Some(&by_a()));
            match fetch {
                None => assert_eq!(shown(plan), shown(&input)),
                Some(fetch) => {
                    let limit = plan.downcast_ref::<GlobalLimitExec>().unwrap();
                    assert_eq!((limit.skip(), limit.fetch()), (0, Some(fetch)));
                    assert_eq!(shown(limit.input()), shown(&input));
                }
            }
        }
    }
    let graph = valid(Arc::new(repartitioned(Arc::clone(&input), Partitioning::RoundRobinBatch(1))));
    assert_eq!(shown(&root(&graph).plan), shown(&input));
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(true).to_string()
}

#[test]
fn no_partition_becomes_one_without_rows() {
    let graph = valid(Arc::new(CoalescePartitionsExec::new(rows(0))));
    let edge = only_edge(&graph);
    assert_eq!((graph.stage(edge.from).partitions, edge.output_partitions()), (0, 1));
}

#[test]
fn one_partition_goes_to_several_in_its_order_without_a_merge() {
    let graph =
        valid(Arc::new(repartitioned(sorted(1), Partitioning::RoundRobinBatch(3)).with_preserve_order()));
    let edge = only_edge(&graph);
    assert_eq!((edge.kind, edge.output_partitions()), (EdgeKind::Rebalance, 3));
    assert!(!edge.keeps_order());
    assert_eq!(edge.leaf.properties().output_ordering(), Some(&by_a()));
}

#[test]
fn a_repartitioning_keeps_order_if_it_says_so() {
    let graph = valid(Arc::new(repartitioned(sorted(2), hash(3)).with_preserve_order()));
    let edge = only_edge(&graph);
    assert_eq!((edge.kind, edge.ordering.as_ref()), (EdgeKind::Shuffle, Some(&by_a())));

    let graph = valid(Arc::new(repartitioned(sorted(2), hash(3))));
    assert!(!only_edge(&graph).keeps_order());
}

#[test]
fn an_unknown_partitioning_is_refused() {
    let error = lower(Arc::new(repartitioned(rows(2), Partitioning::UnknownPartitioning(3)))).unwrap_err();
    assert!(error.to_string().contains("UnknownPartitioning(3)"), "{error}");
}

#[test]
fn an_interleave_of_single_partitions_still_sees_how_they_are_partitioned() {
    let arm = || Arc::new(repartitioned(rows(1), hash(1))) as Arc<dyn ExecutionPlan>;
    let graph = valid(Arc::new(InterleaveExec::try_new(vec![arm(), arm()]).unwrap()));
    assert_eq!(kinds(&graph), [EdgeKind::Shuffle; 2]);
}

#[test]
fn a_buffer_goes_and_its_input_stays() {
    let buffer = Arc::new(BufferExec::new(sorted(2), 1 << 20));
    let graph = valid(Arc::new(SortPreservingMergeExec::new(by_a(), buffer)));
    assert_eq!(kinds(&graph), [EdgeKind::Merge]);
    assert!(graph.stages()[0].plan.is::<SortExec>());
}

#[test]
fn a_plan_that_is_there_twice_becomes_two_edges() {
    let shared: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(rows(2)));
    let graph = valid(UnionExec::try_new(vec![Arc::clone(&shared), shared]).unwrap());
    assert_eq!(kinds(&graph), [EdgeKind::Gather; 2]);
    assert_eq!(root(&graph).inputs.len(), 2);
}

#[tokio::test]
async fn nothing_is_cut_in_a_recursive_term() {
    let sql = "WITH RECURSIVE r AS (
        SELECT min(v) AS n FROM t
        UNION ALL
        SELECT r.n + 1 FROM r JOIN (SELECT k, count(*) AS c FROM t GROUP BY k) g ON r.n = g.k WHERE r.n < 9
    ) SELECT n FROM r ORDER BY n";
    let graph = lowered(sql).await;
    assert_eq!(kinds(&graph), [EdgeKind::Gather]);
    let query = first::<RecursiveQueryExec>(&root(&graph).plan).unwrap();
    let query = query.downcast_ref::<RecursiveQueryExec>().unwrap();
    assert!(first::<EdgeExec>(query.static_term()).is_some());
    assert!(first::<EdgeExec>(query.recursive_term()).is_none());
    assert!(first::<RepartitionExec>(query.recursive_term()).is_some(), "{}", text(query.recursive_term()));
}

#[tokio::test]
async fn an_analysed_query_is_a_stage_of_its_own_and_is_shown_whole() {
    let graph = lowered("EXPLAIN ANALYZE SELECT k, sum(v) FROM t GROUP BY k").await;
    assert_eq!(kinds(&graph), [EdgeKind::Shuffle, EdgeKind::Gather]);
    let plan = &root(&graph).plan;
    assert!(plan.is::<AnalyzeExec>());
    assert_eq!(root(&graph).inputs.len(), 1);
    assert_eq!(root(&graph).op, Op::Map, "what it shows is no part of it");
    let shown = text(plan);
    let names: Vec<_> =
        shown.lines().map(|line| line.trim_start().split([':', ' ']).next().unwrap()).collect();
    let expected = ["AnalyzeExec", "AggregateExec", "EdgeExec", "AggregateExec", "DataSourceExec"];
    assert_eq!(names, expected, "{shown}");

    // A leaf of one partition needs no other.
    let graph = lowered("EXPLAIN ANALYZE SELECT k FROM t ORDER BY k").await;
    assert_eq!(kinds(&graph), [EdgeKind::Merge]);
    assert!(text(&root(&graph).plan).contains("SortExec"));
}

#[tokio::test]
async fn a_scalar_subquery_of_several_partitions_is_gathered() {
    let graph = lowered("SELECT k, (SELECT v FROM one) AS o FROM t").await;
    let plan = &root(&graph).plan;
    let subqueries = first::<ScalarSubqueryExec>(plan).unwrap();
    let subqueries = subqueries.downcast_ref::<ScalarSubqueryExec>().unwrap();
    let subquery = &subqueries.subqueries()[0].plan;
    assert_eq!(kinds(&graph), [EdgeKind::Gather], "{}", text(plan));
    assert_eq!(subquery.output_partitioning().partition_count(), 1);
    assert!(subquery.is::<EdgeExec>());
    assert!(!subqueries.input().is::<EdgeExec>());
}

#[tokio::test]
async fn what_is_written_is_made_in_another_stage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    for (query, kinds_expected) in [
        ("SELECT k FROM t ORDER BY k", vec![EdgeKind::Merge]),
        ("SELECT count(*) FROM t WHERE k > v", vec![EdgeKind::Gather, EdgeKind::Gather]),
    ] {
        let graph = lowered(&format!("COPY ({query}) TO '{}' STORED AS CSV", path.display())).await;
        assert_eq!(root(&graph).op, Op::Write);
        assert_eq!(kinds(&graph), kinds_expected, "{query}");
        let sink = root(&graph).plan.children()[0];
        assert!(sink.is::<EdgeExec>());
    }
}

/// Whether a stage lists an expression.
fn lists(plan: &Arc<dyn ExecutionPlan>, id: Option<u64>) -> bool {
    let mut found = false;
    for node in nodes(plan) {
        let mut look = |root: &Arc<dyn PhysicalExpr>| {
            root.apply(|expr| {
                found |= expr.expression_id() == id;
                Ok(TreeNodeRecursion::Continue)
            })
        };
        node.plan.apply_expressions(&mut look).unwrap();
    }
    found
}

#[tokio::test]
async fn a_join_finds_its_filter_behind_an_edge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    let path = path.to_str().unwrap();
    let context = context();
    let run = async |sql: &str| context.sql(sql).await.unwrap().collect().await.unwrap();
    run(&format!("COPY t TO '{path}' STORED AS PARQUET")).await;
    run(&format!("CREATE EXTERNAL TABLE p STORED AS PARQUET LOCATION '{path}'")).await;
    // Both sides are shuffled, however small.
    run("SET datafusion.optimizer.hash_join_single_partition_threshold = 0").await;
    run("SET datafusion.optimizer.hash_join_single_partition_threshold_rows = 0").await;
    let frame = context.sql("SELECT b.k FROM (SELECT k FROM p WHERE v < 8) a JOIN p b ON a.k = b.k").await;
    let graph = valid(frame.unwrap().create_physical_plan().await.unwrap());

    let join = graph.stages().iter().find_map(|stage| first::<HashJoinExec>(&stage.plan)).unwrap();
    let join = join.downcast_ref::<HashJoinExec>().unwrap();
    let id = join.dynamic_expressions_produced().first().expect("a dynamic filter").expression_id();
    assert!(nodes(join.right()).any(|node| node.edge().is_some()));
    assert!(lists(join.right(), id));
    assert!(!lists(join.left(), id));
}

#[test]
fn filters_are_handed_on_from_edge_to_edge_up_to_their_maker() {
    use datafusion::physical_expr::expressions::{DynamicFilterPhysicalExpr, lit};
    use datafusion::physical_plan::filter::FilterExec;
    let filter = Arc::new(DynamicFilterPhysicalExpr::new(vec![col("a", &schema()).unwrap()], lit(true)));
    let below = Arc::new(FilterExec::try_new(Arc::clone(&filter) as _, rows(2)).unwrap());
    let middle = Arc::new(repartitioned(below, Partitioning::RoundRobinBatch(3)));
    let top = Arc::new(repartitioned(middle, hash(2)));
    let graph = valid(Arc::new(CoalescePartitionsExec::new(top)));
    assert_eq!(kinds(&graph), [EdgeKind::Rebalance, EdgeKind::Shuffle, EdgeKind::Gather]);
    for edge in graph.edges() {
        let mut ids = Vec::new();
        edge.leaf
            .apply_expressions(&mut |expr| {
                ids.push(expr.expression_id());
                Ok(TreeNodeRecursion::Continue)
            })
            .unwrap();
        assert_eq!(ids, [filter.expression_id()], "{edge:?}");
    }
}

#[test]
fn a_filter_ends_at_the_stage_that_makes_it() {
    let sort = SortExec::new(by_a(), rows(2)).with_preserve_partitioning(true).with_fetch(Some(3));
    assert_eq!(sort.dynamic_expressions_produced().len(), 1);
    let sort: Arc<dyn ExecutionPlan> = Arc::new(sort);
    assert!(consumed(&sort).unwrap().is_empty());
}

#[test]
fn joins_may_be_chained_to_either_side() {
    let alone = || Arc::new(CoalescePartitionsExec::new(rows(2))) as Arc<dyn ExecutionPlan>;
    let left = (0..300).fold(alone(), |chain, _| Arc::new(CrossJoinExec::new(chain, rows(1))));
    let right = (0..300).fold(rows(1), |chain, _| Arc::new(CrossJoinExec::new(alone(), chain)));
    for (plan, edges) in [(left, 1), (right, 300)] {
        let graph = valid(plan);
        assert_eq!((graph.edges().len(), root(&graph).op), (edges, Op::Join));
        assert_eq!(graph.stages().len(), edges + 1);
    }
}

#[test]
fn plans_may_be_wide_and_deep() {
    let arms = (0..1_000).map(|_| Arc::new(CoalescePartitionsExec::new(rows(2))) as _).collect();
    let graph = valid(UnionExec::try_new(arms).unwrap());
    assert_eq!((graph.stages().len(), root(&graph).partitions), (1_001, 1_000));

    let mut plan = rows(2);
    for level in 0..3_000 {
        plan = match level % 3 {
            0 => Arc::new(repartitioned(plan, Partitioning::RoundRobinBatch(2))),
            _ => Arc::new(CooperativeExec::new(plan)),
        };
    }
    // The thread of a test has 2 MB of stack.
    let graph = valid(plan);
    assert_eq!(graph.edges().len(), 1_000);
}
