//! Scans in pieces: more than there are partitions, each row in one of them.

use std::path::Path;
use std::sync::Arc;

use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use query::Session;
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
                for pieces in [true, false] {
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
