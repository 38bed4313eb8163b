//! Scans in pieces: more than there are partitions, each row in one of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::physical_plan::ExecutionPlan;
use query::Session;
use query::config::Applied;
use query::error::Script;
use query::frontend::sql::{Params, split};

use crate::engine::{self, Answer, Way};

const ROW_GROUPS: usize = 23;
const ROWS: usize = ROW_GROUPS * 1000;

/// A session with a table `t` of `n` from 1 on and of `text`, in a file of many row groups, which is shared out
/// however small it is.
async fn session(way: Way, room: &Path) -> Session {
    let session = way.session().await.unwrap();
    let file = room.join("t.parquet").display().to_string();
    let setting = |name: &str, value: usize| format!("SET datafusion.{name} = {value}");
    if !Path::new(&file).exists() {
        engine::run(&session, &setting("execution.parquet.max_row_group_size", 1000)).await.unwrap();
        // Each number once, in no order: files in order keep it.
        let rows = format!(
            "SELECT value * 7919 % {ROWS} + 1 AS n, 'text ' || (value % 10) AS text FROM generate_series(1, {ROWS})"
        );
        engine::run(&session, &format!("COPY ({rows}) TO '{file}'")).await.unwrap();
    }
    engine::run(&session, &setting("optimizer.repartition_file_min_size", 1)).await.unwrap();
    engine::run(&session, &format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{file}'"))
        .await
        .unwrap();
    session
}

async fn plan(session: &Session, sql: &str) -> Arc<dyn ExecutionPlan> {
    let raw = split(&Script::new("test", sql)).statements.remove(0);
    let statement = raw.parse(&session.functions()).unwrap();
    session.physical_plan(&statement, &Params::default()).await.unwrap()
}

/// The partitions and the pieces of a plan's scans, in the order of the plan.
fn scans(plan: &Arc<dyn ExecutionPlan>) -> Vec<(usize, usize)> {
    let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    let own = source
        .and_then(|source| source.downcast_ref::<FileScanConfig>())
        .map(|config| (config.file_groups.len(), config.file_groups.iter().map(FileGroup::len).sum()));
    own.into_iter().chain(plan.children().into_iter().flat_map(scans)).collect()
}

#[test]
fn a_scan_has_more_pieces_than_partitions_and_no_more_than_row_groups() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let sql = "SELECT text, sum(n) FROM t GROUP BY text";
        for (partitions, pieces) in [(2, 8..=17), (3, 12..=25), (16, ROW_GROUPS..=ROW_GROUPS + 16)] {
            let session = session(Way::local(partitions), room.path()).await;
            let [(of, found)] = scans(&plan(&session, sql).await)[..] else { panic!("one scan") };
            assert!(
                of == partitions && pieces.contains(&found),
                "{found} pieces for {partitions} partitions"
            );
            engine::run(&session, "SET query.optimizer.scan_pieces = false").await.unwrap();
            assert_eq!(scans(&plan(&session, sql).await), [(partitions, partitions)]);
        }
        let session = session(Way::stock(3), room.path()).await;
        assert_eq!(scans(&plan(&session, sql).await), [(3, 3)]);
    });
}

#[test]
fn scans_that_choose_their_order_or_have_one_partition_stay_whole() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let session = session(Way::local(3), room.path()).await;
        let first = "SELECT * FROM t WHERE text <> 'text 1' ORDER BY n DESC LIMIT 5";
        assert_eq!(scans(&plan(&session, first).await), [(3, 3)]);
        engine::run(&session, "SET datafusion.execution.target_partitions = 1").await.unwrap();
        assert_eq!(scans(&plan(&session, "SELECT sum(n) FROM t").await).len(), 1);
        assert!(
            scans(&plan(&session, "SELECT text, sum(n) FROM t GROUP BY text").await).iter().all(|s| s.1 == 1)
        );
    });
}

#[test]
fn each_row_is_in_one_piece() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let queries = [
            "SELECT count(*), count(DISTINCT n), sum(n), min(n), max(n) FROM (SELECT n FROM t WHERE text IS NOT NULL)",
            "SELECT text, count(*), sum(n) FROM t WHERE n % 7 <> 3 GROUP BY text ORDER BY text",
            "SELECT a.text, count(*) FROM t a JOIN t b ON a.n = b.n + 1000 GROUP BY a.text ORDER BY 1",
            "SELECT n FROM t WHERE n BETWEEN 4990 AND 5010 ORDER BY n",
            "SELECT n, text FROM t ORDER BY text, n DESC LIMIT 20",
        ];
        for sql in queries {
            let mut expected = None;
            let ways = [1, 2, 7, 16].map(Way::local);
            let ways = ways.into_iter().chain([Way::stock(3)]).chain((0..5).map(Way::inline));
            for way in ways {
                let session = session(way, room.path()).await;
                for pieces in Applied::ALL {
                    engine::run(&session, &format!("SET query.optimizer.scan_pieces = {pieces}")).await.unwrap();
                    let Answer::Rows(_, batches) = engine::run(&session, sql).await.unwrap() else {
                        panic!("no rows")
                    };
                    let rows = engine::texts(&batches);
                    assert!(!rows.is_empty());
                    let expected = expected.get_or_insert_with(|| rows.clone());
                    assert_eq!(&rows, expected, "{way}, pieces {pieces}: {sql}");
                }
            }
        }
    });
}

/// Rows of the tables of [`large_groups`].
const LARGE: usize = 200_000;

/// Two tables of the same rows in a row group of three quarters of them and one of the rest: `t`, whose footer knows
/// where the pages are, those of its columns in different places, and `u`, whose footer does not.
async fn large_groups(way: Way, room: &Path) -> Session {
    let session = way.session().await.unwrap();
    let rows = format!(
        "SELECT value * 7919 % {LARGE} + 1 AS n, CASE WHEN value % 11 <> 0 THEN 'text ' || (value % 10) END AS text,
             'words ' || md5(CAST(value AS VARCHAR)) AS words,
             CASE WHEN value % 13 <> 0 THEN range(value % 4) END AS list
         FROM generate_series(1, {LARGE})"
    );
    for (table, has_places) in [("t", true), ("u", false)] {
        let file = room.join(format!("{table}.parquet"));
        if !file.exists() {
            let Answer::Rows(schema, batches) = engine::run(&session, &rows).await.unwrap() else {
                panic!("no rows")
            };
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(LARGE / 4 * 3))
                .set_data_page_row_count_limit(17_000)
                .set_data_page_size_limit(200_000)
                .set_write_batch_size(500)
                .set_column_dictionary_enabled("n".into(), false)
                .set_column_dictionary_enabled("words".into(), false)
                .set_statistics_enabled(if has_places {
                    EnabledStatistics::Page
                } else {
                    EnabledStatistics::Chunk
                })
                .set_offset_index_disabled(!has_places)
                .build();
            let target = File::create(&file).unwrap();
            let mut writer = ArrowWriter::try_new(target, schema, Some(properties)).unwrap();
            batches.iter().for_each(|batch| writer.write(batch).unwrap());
            writer.close().unwrap();
        }
        let file = file.display();
        engine::run(&session, &format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{file}'"))
            .await
            .unwrap();
    }
    engine::run(&session, "SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    session
}

/// How many pieces of a plan's scans are rows of one row group, and of how many row groups.
fn chosen(plan: &Arc<dyn ExecutionPlan>) -> (usize, usize) {
    let mut groups = BTreeSet::new();
    let mut pieces = 0;
    let mut plans = vec![Arc::clone(plan)];
    while let Some(plan) = plans.pop() {
        plans.extend(plan.children().into_iter().cloned());
        let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        let Some(config) = source.and_then(|source| source.downcast_ref::<FileScanConfig>()) else {
            continue;
        };
        for file in config.file_groups.iter().flat_map(FileGroup::iter) {
            if let Some(plan) = file.extension::<ParquetAccessPlan>() {
                pieces += 1;
                groups.extend(plan.row_group_indexes());
            }
        }
    }
    (pieces, groups.len())
}

#[test]
fn large_row_groups_are_cut_into_ranges_of_rows() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let sql = |table: &str| format!("SELECT text, sum(n), min(words) FROM {table} GROUP BY text");
        for (table, partitions, pieces) in
            [("t", 2, 4..=6), ("t", 16, 8..=9), ("u", 2, 0..=0), ("u", 8, 6..=6)]
        {
            let session = large_groups(Way::local(partitions), room.path()).await;
            let (found, groups) = chosen(&plan(&session, &sql(table)).await);
            assert!(pieces.contains(&found), "{found} pieces of {table} for {partitions} partitions");
            assert_eq!(groups, if found == 0 { 0 } else { 2 });
            engine::run(&session, "SET query.optimizer.scan_pieces = false").await.unwrap();
            assert_eq!(chosen(&plan(&session, &sql(table)).await), (0, 0));
        }
        let session = large_groups(Way::stock(16), room.path()).await;
        assert_eq!(chosen(&plan(&session, &sql("t")).await), (0, 0));
    });
}

#[test]
fn each_row_of_a_large_row_group_is_in_one_range() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let queries = [
            "SELECT count(*), count(DISTINCT n), sum(n), min(n), max(n), count(DISTINCT words), sum(length(words)) FROM t",
            "SELECT text, count(*), sum(n), sum(array_length(list)), count(list) FROM t GROUP BY text ORDER BY text",
            "SELECT text, sum(list[2] + n), min(words) FROM t WHERE n % 7 <> 3 GROUP BY text ORDER BY text",
            "SELECT n, text, words, list FROM t WHERE n BETWEEN 77990 AND 78010 OR words LIKE 'words abcd%' ORDER BY n",
            "SELECT a.text, count(*), min(b.words) FROM t a JOIN t b ON a.n = b.n + 1000 WHERE b.text = 'text 3'
             GROUP BY a.text ORDER BY 1",
            "SELECT count(*) FROM (SELECT n FROM t WHERE n > 150000 LIMIT 40000)",
        ];
        for sql in queries {
            let mut expected = None;
            let ways = [1, 2, 7, 16].map(Way::local);
            let ways = ways.into_iter().chain([Way::stock(3)]).chain((0..2).map(Way::inline));
            for way in ways {
                let session = large_groups(way, room.path()).await;
                for (pieces, filters) in
                    Applied::ALL.into_iter().flat_map(|pieces| [(pieces, true), (pieces, false)])
                {
                    let settings = format!(
                        "SET query.optimizer.scan_pieces = {pieces};
                         SET datafusion.execution.parquet.pushdown_filters = {filters}"
                    );
                    engine::run(&session, &settings).await.unwrap();
                    for sql in [sql.to_owned(), sql.replace("FROM t", "FROM u").replace("JOIN t", "JOIN u")] {
                        let Answer::Rows(_, batches) = engine::run(&session, &sql).await.unwrap() else {
                            panic!("no rows")
                        };
                        let rows = engine::texts(&batches);
                        assert!(!rows.is_empty());
                        let expected = expected.get_or_insert_with(|| rows.clone());
                        assert_eq!(&rows, expected, "{way}, pieces {pieces}, filters {filters}: {sql}");
                    }
                }
            }
        }
    });
}
