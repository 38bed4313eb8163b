//! Dynamic filters: jobs leave as much unread as DataFusion's own streams do.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use futures::TryStreamExt;
use query::config::Applied;
use query::graph::nodes;
use query::plan::lower::lower;
use query::scheduler::{Engine, Inline};

use super::lower::{Corpus, sorted};
use super::threads::{job, workers};
use crate::engine;

const FILES: i64 = 64;
const ROW_GROUPS: i64 = 2;
const ROWS_PER_GROUP: i64 = 200;
const ROWS: usize = (FILES * ROW_GROUPS * ROWS_PER_GROUP) as usize;
/// Of the smaller table.
const KEYS: i64 = 400;

/// Writes a table of `k`, counted up, and `v`: so many files of so many row groups each.
fn write(folder: &Path, files: i64, row_groups: i64, rows: i64, step: i64) {
    fs::create_dir(folder).unwrap();
    for file in 0..files {
        let from = file * row_groups * rows;
        let keys = from..from + row_groups * rows;
        let column =
            |of: &dyn Fn(i64) -> i64| Arc::new(keys.clone().map(of).collect::<Int64Array>()) as ArrayRef;
        let batch =
            RecordBatch::try_from_iter([("k", column(&|k| k * step)), ("v", column(&|k| k * 7919 % 1000))]);
        let batch = batch.unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(usize::try_from(rows).unwrap()))
            .build();
        let target = File::create(folder.join(format!("{file:02}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(target, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
}

/// `fact` of many files, `dim` of few keys, `wide` of the keys in between.
async fn corpus(room: &Path) -> Corpus {
    write(&room.join("fact"), FILES, ROW_GROUPS, ROWS_PER_GROUP, 1);
    write(&room.join("wide"), 4, 2, 1000, 2);
    write(&room.join("dim"), 1, 1, KEYS, 17);
    let corpus = Corpus::new(room, "queries/tpch/q1.sql").await;
    for table in ["fact", "wide", "dim"] {
        let location = room.join(table);
        let sql =
            format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{}/'", location.display());
        engine::run(&corpus.session, &sql).await.unwrap();
    }
    corpus
}

/// What a scan has read and left out, by name: files, row groups, pages, rows.
type Counts = BTreeMap<String, usize>;

const COUNTED: [&str; 7] = [
    "output_rows",
    "bytes_scanned",
    "files_ranges_pruned_statistics",
    "row_groups_pruned_statistics",
    "page_index_rows_pruned",
    "pushdown_rows_pruned",
    "pushdown_rows_matched",
];

fn counts(scan: &Arc<dyn ExecutionPlan>) -> Counts {
    let metrics = scan.metrics().unwrap().aggregate_by_name();
    let counted = metrics.iter().filter(|metric| COUNTED.contains(&metric.value().name()));
    let counts = counted.map(|metric| {
        let count = match metric.value() {
            MetricValue::PruningMetrics { pruning_metrics, .. } => pruning_metrics.pruned(),
            other => other.as_usize(),
        };
        (metric.value().name().to_string(), count)
    });
    counts.collect()
}

/// A query's scans from left to right, and its rows.
struct Run {
    scans: Vec<Counts>,
    rows: Vec<Vec<Option<String>>>,
}

impl Run {
    fn largest(&self) -> usize {
        self.scans.iter().map(|counts| counts["output_rows"]).max().unwrap()
    }
}

/// Runs a query as a job, or without an engine as DataFusion does.
async fn run(corpus: &Corpus, sql: &str, engine: Option<Engine>) -> Run {
    let plan = corpus.plan(sql).await;
    let scans: Vec<_> = nodes(&plan)
        .map(|node| Arc::clone(node.plan))
        .filter(|node| node.name() == "DataSourceExec")
        .collect();
    let batches = match engine {
        None => collect(plan, Arc::default()).await.unwrap(),
        // Lowering leaves the scans as they are, so what they count can be read here.
        Some(engine) => job(lower(plan).unwrap(), engine).try_collect().await.unwrap(),
    };
    Run { scans: scans.iter().map(counts).collect(), rows: sorted(&batches) }
}

fn engines() -> [Engine; 4] {
    [
        workers(),
        Engine::Inline(Inline::new(1)),
        Engine::Inline(Inline::new(2)),
        Engine::Inline(Inline::new(3)),
    ]
}

/// The conditions have a column that no other table has, so that the planner cannot take them over to the key of
/// the larger table: only a filter made while the query runs can.
const JOINS: [&str; 7] = [
    "SELECT count(*), sum(fact.v) FROM fact JOIN dim USING (k) WHERE dim.k + dim.v BETWEEN 3000 AND 3500",
    "SELECT fact.k FROM fact JOIN dim ON fact.k = dim.k AND fact.v > dim.v WHERE dim.v < 5",
    "SELECT count(*) FROM fact WHERE k IN (SELECT k FROM dim WHERE k + v > 7000)",
    "SELECT fact.k, dim.v FROM dim LEFT JOIN fact USING (k) WHERE dim.k + dim.v < 900",
    "SELECT count(*) FROM fact JOIN wide USING (k) JOIN dim USING (k) WHERE dim.k + dim.v BETWEEN 100 AND 700",
    "SELECT count(*), sum(m) FROM (SELECT k, max(v) AS m FROM fact GROUP BY k) f JOIN dim USING (k)
     WHERE dim.k + dim.v > 7000",
    "SELECT count(*) FROM (SELECT k FROM fact UNION ALL SELECT k FROM wide) u JOIN dim USING (k)
     WHERE dim.k + dim.v = 808",
];

#[test]
fn joins_leave_as_much_unread_as_stock() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let corpus = corpus(room.path()).await;
        let mut modes = Vec::new();
        for partitions in engine::PARTITIONS {
            corpus.partitions(partitions).await;
            // The join's build side in one piece, and in as many as there are partitions.
            for threshold in [1 << 20, 0] {
                corpus.set("optimizer.hash_join_single_partition_threshold", threshold).await;
                corpus.set("optimizer.hash_join_single_partition_threshold_rows", threshold).await;
                let broadcast = format!("SET query.optimizer.broadcast_joins = {}", threshold > 0);
                engine::run(&corpus.session, &broadcast).await.unwrap();
                for by_row in [false, true] {
                    corpus.set("execution.parquet.pushdown_filters", by_row).await;
                    let mut pruned = 0;
                    for sql in JOINS {
                        let name = format!("{partitions} partitions, {threshold} bytes, {by_row}: {sql}");
                        let plan = corpus.plan(sql).await;
                        modes.extend(nodes(&plan).filter(|n| n.plan.name() == "HashJoinExec").map(|n| {
                            let shown = displayable(n.plan.as_ref()).one_line().to_string();
                            (partitions > 1, shown.contains("mode=Partitioned"))
                        }));
                        let stock = run(&corpus, sql, None).await;
                        pruned += usize::from(stock.largest() < ROWS);
                        for engine in engines() {
                            let job = run(&corpus, sql, Some(engine.clone())).await;
                            assert_eq!(job.scans, stock.scans, "{engine:?}, {name}");
                            assert_eq!(job.rows, stock.rows, "{engine:?}, {name}");
                        }
                    }
                    // The filter of a partition among several tells nothing of whole row groups.
                    let is_partitioned = partitions > 1 && threshold == 0;
                    let at_least = if is_partitioned && !by_row { 0 } else { 4 };
                    assert!(
                        pruned >= at_least,
                        "{pruned}: {partitions} partitions, {threshold} bytes, {by_row}"
                    );
                }
            }
        }
        assert!(modes.contains(&(true, true)) && modes.contains(&(true, false)), "{modes:?}");
    });
}

/// Of several partitions only one has a key: what it knows is about all rows.
#[test]
fn the_only_key_of_a_join_in_partitions_leaves_files_unread() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let corpus = corpus(room.path()).await;
        let sql = "SELECT count(*), sum(fact.v) FROM fact JOIN dim USING (k) WHERE dim.k + dim.v * 0 = 1700";
        engine::run(&corpus.session, "SET query.optimizer.broadcast_joins = false").await.unwrap();
        corpus.set("optimizer.hash_join_single_partition_threshold", 0).await;
        corpus.set("optimizer.hash_join_single_partition_threshold_rows", 0).await;
        for partitions in [2, 3, 8, 16] {
            corpus.partitions(partitions).await;
            let plan = displayable(corpus.plan(sql).await.as_ref()).indent(false).to_string();
            assert!(plan.contains("mode=Partitioned"), "{plan}");
            for engine in engines() {
                let job = run(&corpus, sql, Some(engine.clone())).await;
                assert!(job.largest() < ROWS / 8, "{engine:?}, {partitions} partitions: {:?}", job.scans);
                assert_eq!(job.rows[0][0].as_deref(), Some("1"));
            }
        }
    });
}

/// The rows that filters of ours in a stage have taken in, and given.
fn left_of(plan: &Arc<dyn ExecutionPlan>) -> Vec<(usize, usize)> {
    let rows = |plan: &Arc<dyn ExecutionPlan>| plan.metrics().unwrap().output_rows().unwrap();
    let filters = nodes(plan).filter(|node| node.plan.is::<FilterExec>());
    let dynamic = filters
        .filter(|node| displayable(node.plan.as_ref()).one_line().to_string().contains("DynamicFilter"));
    dynamic.map(|node| (rows(node.plan.children()[0]), rows(node.plan))).collect()
}

/// Joins whose keys are known before the rows of `fact` are aggregated. Most of its row groups have one of the keys.
const FAR: [&str; 4] = [
    "SELECT count(*), sum(m) FROM (SELECT k, max(v) AS m FROM fact GROUP BY k) f JOIN scattered USING (k)",
    "SELECT count(*), sum(m) FROM (SELECT k, max(v) AS m FROM fact WHERE v + k >= 0 GROUP BY k) f
     JOIN scattered USING (k)",
    // Keys that are only known once rows are aggregated do not keep the others from them.
    "SELECT count(*), sum(m) FROM (SELECT k, max(v) AS m FROM fact GROUP BY k) f
     JOIN (SELECT k, v - v AS none FROM scattered) s ON f.k = s.k AND f.m = s.none",
    "SELECT count(*), sum(k) FROM (SELECT k, v - v AS none FROM scattered) s
     WHERE none = (SELECT max(v) FROM fact WHERE fact.k = s.k)",
];
/// Joins that the rows of `fact` meet first, or behind another that they are probed with.
const NEAR: [&str; 2] = [
    "SELECT count(*), sum(fact.v) FROM fact JOIN scattered USING (k)",
    "SELECT count(*), sum(twin.v) FROM twin RIGHT JOIN fact ON twin.k = fact.k AND twin.v + 0 = fact.v
     JOIN scattered ON scattered.k = fact.k",
];

#[test]
fn rows_without_a_partner_are_left_out_above_the_scan_that_they_come_from() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let corpus = corpus(room.path()).await;
        let keys = ROWS / 1000;
        write(&room.path().join("scattered"), 1, 1, i64::try_from(keys).unwrap(), 1000);
        write(&room.path().join("twin"), 1, 1, i64::try_from(ROWS / 8).unwrap(), 1);
        for table in ["scattered", "twin"] {
            let location = room.path().join(table);
            let sql =
                format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{}/'", location.display());
            engine::run(&corpus.session, &sql).await.unwrap();
        }
        for partitions in engine::PARTITIONS {
            corpus.partitions(partitions).await;
            for broadcast in [Applied::Off, Applied::On] {
                let set = format!("SET query.optimizer.broadcast_joins = {broadcast}");
                engine::run(&corpus.session, &set).await.unwrap();
                for sql in FAR.into_iter().chain(NEAR) {
                    let mut all = Vec::new();
                    for filters in Applied::ALL {
                        let name =
                            format!("{filters}, {partitions} partitions, broadcast {broadcast}: {sql}");
                        let set = format!("SET query.optimizer.row_filters = {filters}");
                        engine::run(&corpus.session, &set).await.unwrap();
                        for engine in [workers(), Engine::Inline(Inline::new(1))] {
                            let plan = corpus.plan(sql).await;
                            let graph = lower(plan).unwrap();
                            let stages: Vec<_> =
                                graph.stages().iter().map(|stage| Arc::clone(&stage.plan)).collect();
                            let batches: Vec<_> = job(graph, engine).try_collect().await.unwrap();
                            all.push(sorted(&batches));
                            let left: Vec<_> = stages.iter().flat_map(left_of).collect();
                            // The first batches of each task may be on their way before the keys are known.
                            let is_filtered = left
                                .iter()
                                .any(|(taken, given)| *taken > ROWS / 2 && (keys..taken / 2).contains(given));
                            match filters {
                                Applied::Off => assert!(left.is_empty(), "{name}: {left:?}"),
                                Applied::On if NEAR.contains(&sql) => {
                                    assert!(left.is_empty(), "{name}: {left:?}");
                                }
                                Applied::On | Applied::Always => assert!(is_filtered, "{name}: {left:?}"),
                            }
                        }
                    }
                    assert!(
                        all.iter().all(|rows| *rows == all[0]),
                        "{partitions} partitions, {sql}: {all:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn without_dynamic_filters_everything_is_read() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let corpus = corpus(room.path()).await;
        corpus.set("optimizer.enable_dynamic_filter_pushdown", false).await;
        for sql in [JOINS[0], JOINS[2], JOINS[4], TOPS[0]] {
            assert_eq!(run(&corpus, sql, Some(workers())).await.largest(), ROWS, "{sql}");
        }
    });
}

/// The rows come from one end of the files; the filter leaves out the others.
const TOPS: [&str; 3] = [
    "SELECT k, v FROM fact ORDER BY k LIMIT 5",
    "SELECT k FROM fact ORDER BY k DESC LIMIT 70",
    "SELECT k, v FROM fact ORDER BY k DESC, v LIMIT 10",
];

#[test]
fn the_first_rows_of_an_order_leave_as_much_unread_as_stock() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let corpus = corpus(room.path()).await;
        for by_row in [false, true] {
            corpus.set("execution.parquet.pushdown_filters", by_row).await;
            for partitions in engine::PARTITIONS {
                corpus.partitions(partitions).await;
                for sql in TOPS {
                    let stock = run(&corpus, sql, None).await;
                    for engine in engines() {
                        let job = run(&corpus, sql, Some(engine.clone())).await;
                        let name = format!("{engine:?}, {partitions} partitions, {by_row}: {sql}");
                        assert_eq!(job.rows, stock.rows, "{name}");
                        // Several partitions race for the filter, on stock as well: each opens two files at most
                        // before there is one.
                        match partitions {
                            1 => assert_eq!(job.scans, stock.scans, "{name}"),
                            _ => assert!(job.largest() < ROWS * 3 / 4, "{name}: {:?}", job.scans),
                        }
                    }
                }
            }
        }
    });
}
