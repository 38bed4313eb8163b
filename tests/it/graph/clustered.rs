//! Scans that read ranges of a column that is grouped by: the same groups, each in one partition, and no shuffle.

use std::path::Path;

use query::Session;
use query::config::Applied;

use crate::engine::{self, Answer, Way};

/// Four rows for each `k`.
const ROWS: usize = 24_000;
/// The rows of all row groups: those of `straddling` end within a `k`, but for one in four.
const ROW_GROUPS: [(&str, usize); 2] = [("clean", 1_000), ("straddling", 1_001)];
/// Partitions that have a range each.
const PARTITIONS: [usize; 4] = [2, 3, 5, 8];

/// A session with these tables of `k`, in the order of which its rows lie, `v`, each number once, `day`, which goes by
/// with `k`, and `d`, in no order; `d` may be found in `few`.
///
/// `clean`, `straddling`: see above. `parts`: three files, in another order. `unknown`: a NULL among the `k`.
/// `scattered`: no order.
async fn session(way: Way, room: &Path) -> Session {
    let session = way.session().await.unwrap();
    let run = async |sql: &str| engine::run(&session, sql).await.map(drop).unwrap();
    let rows = format!(
        "SELECT (value - 1) / 4 AS k, value * 7919 % {ROWS} AS v, (value - 1) / 100 AS day, value * 31 % 97 AS d
         FROM generate_series(1, {ROWS})"
    );
    let copy = async |query: &str, to: &str, row_group: usize| {
        run(&format!("SET datafusion.execution.parquet.max_row_group_size = {row_group}")).await;
        run(&format!("COPY ({query}) TO '{}'", room.join(to).display())).await;
    };
    if !room.join("few.parquet").exists() {
        for (name, row_group) in ROW_GROUPS {
            copy(&format!("{rows} ORDER BY value"), &format!("{name}.parquet"), row_group).await;
        }
        let part = |share: usize| {
            let (from, to) = (ROWS / 3 * share, ROWS / 3 * (share + 1));
            format!("SELECT * FROM ({rows}) WHERE k * 4 >= {from} AND k * 4 < {to} ORDER BY k, v")
        };
        std::fs::create_dir(room.join("parts")).unwrap();
        for (name, share) in [("a", 2), ("b", 0), ("c", 1)] {
            copy(&part(share), &format!("parts/{name}.parquet"), 1_000).await;
        }
        let unknown = format!("SELECT nullif(k, 77) AS k, v, day, d FROM ({rows}) ORDER BY v * 0 + day, k");
        copy(&unknown, "unknown.parquet", 1_000).await;
        copy(&format!("SELECT * FROM ({rows}) ORDER BY v"), "scattered.parquet", 1_000).await;
        copy("SELECT value AS d FROM generate_series(1, 20)", "few.parquet", 1_000).await;
    }
    for table in ["clean", "straddling", "parts", "unknown", "scattered", "few"] {
        let file = room.join(if table == "parts" { "parts/".into() } else { format!("{table}.parquet") });
        run(&format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{}'", file.display())).await;
    }
    run("SET datafusion.optimizer.repartition_file_min_size = 1").await;
    session
}

async fn rows(session: &Session, sql: &str) -> Vec<Vec<Option<String>>> {
    match engine::run(session, sql).await {
        Ok(Answer::Rows(_, batches)) => engine::texts(&batches),
        Ok(Answer::Count(_)) => panic!("no rows: {sql}"),
        Err(error) => panic!("{error}: {sql}"),
    }
}

/// How many shuffles a query has, and how many scans in ranges.
async fn shuffles_and_ranges(session: &Session, sql: &str) -> (usize, usize) {
    let plan = rows(session, &format!("EXPLAIN FORMAT INDENT {sql}")).await;
    let text: String = plan.into_iter().flatten().flatten().collect();
    (text.matches("partitioning=Hash").count(), text.matches("output_partitioning=Range").count())
}

#[test]
fn groups_of_a_column_that_files_are_clustered_by_are_not_shuffled() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        for partitions in PARTITIONS {
            let session = session(Way::local(partitions), room.path()).await;
            for table in ["clean", "straddling", "parts"] {
                for sql in [
                    format!("SELECT k, sum(v) FROM {table} GROUP BY k"),
                    format!("SELECT DISTINCT k FROM {table}"),
                    format!("SELECT key, count(*) FROM (SELECT k AS key, v FROM {table}) GROUP BY key"),
                    // `v` and `d` have their values in all ranges.
                    format!("SELECT k, max(v) FROM {table} WHERE v % 3 = 0 GROUP BY k"),
                    format!("SELECT k, count(*) FROM {table} JOIN few USING (d) GROUP BY k"),
                ] {
                    // Eight of its 24 row groups cannot be parted from the next.
                    let is_cut = table != "straddling" || partitions < 5;
                    let expected = if is_cut { (0, 1) } else { (1, 0) };
                    let found = shuffles_and_ranges(&session, &sql).await;
                    assert_eq!(found, expected, "{partitions} partitions: {sql}");
                    let graph = rows(&session, &format!("EXPLAIN GRAPH {sql}")).await;
                    let graph: String = graph.into_iter().flatten().flatten().collect();
                    assert_eq!(
                        graph.contains(", in ranges of k"),
                        is_cut,
                        "{partitions} partitions: {graph}"
                    );
                }
            }
        }
    });
}

#[test]
fn groups_are_shuffled_where_ranges_are_not_known_or_not_worth_it() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        let session = session(Way::local(2), room.path()).await;
        let queries = [
            // NULLs may be anywhere, numbers are everywhere.
            "SELECT k, sum(v) FROM unknown GROUP BY k",
            "SELECT k, sum(v) FROM scattered GROUP BY k",
            // The key is computed; a range of one of two keys is not enough for DataFusion in so few partitions.
            "SELECT k % 10, sum(v) FROM clean GROUP BY k % 10",
            "SELECT k, d, sum(v) FROM clean GROUP BY k, d",
            // One of the ranges would have all the work.
            "SELECT k, sum(v) FROM clean WHERE k > 5000 GROUP BY k",
            "SELECT k, sum(v) FROM clean WHERE day > 200 GROUP BY k",
        ];
        for sql in queries {
            assert_eq!(shuffles_and_ranges(&session, sql).await, (1, 0), "{sql}");
        }
        // As above, by what a join knows of its other side.
        for sql in [
            "SELECT k, sum(v) FROM clean JOIN few ON few.d = clean.day GROUP BY k",
            "SELECT few.d, c FROM (SELECT k, count(*) AS c FROM clean GROUP BY k) t JOIN few ON few.d = t.k",
        ] {
            assert_eq!(shuffles_and_ranges(&session, sql).await.1, 0, "{sql}");
        }
        // Few groups; a small file.
        assert_eq!(shuffles_and_ranges(&session, "SELECT day, sum(v) FROM clean GROUP BY day").await, (1, 0));
        let sql = "SELECT k, sum(v) FROM clean GROUP BY k";
        engine::run(&session, "RESET datafusion.optimizer.repartition_file_min_size").await.unwrap();
        assert_eq!(shuffles_and_ranges(&session, sql).await.1, 0);
        for (set, expected) in [("always", (0, 1)), ("false", (1, 0))] {
            engine::run(&session, &format!("SET query.optimizer.clustered_groups = {set}")).await.unwrap();
            assert_eq!(shuffles_and_ranges(&session, sql).await.1, expected.1, "{set}");
        }
        let stock = self::session(Way::stock(2), room.path()).await;
        assert_eq!(shuffles_and_ranges(&stock, sql).await, (1, 0));
    });
}

/// Over `t`.
const QUERIES: [&str; 16] = [
    "SELECT k, count(*), sum(v), min(d), max(day) FROM t GROUP BY k ORDER BY k",
    "SELECT DISTINCT k FROM t ORDER BY k",
    "SELECT k, d % 3, count(*), sum(v) FROM t GROUP BY k, d % 3 ORDER BY 1, 2",
    "SELECT count(*), sum(v) FROM t WHERE k IN (SELECT k FROM t GROUP BY k HAVING sum(v) > 60000)",
    "SELECT count(*), sum(v) FROM t WHERE k NOT IN (SELECT k FROM t WHERE k IS NOT NULL GROUP BY k HAVING sum(v) > 60000)",
    // Two scans in the same ranges meet, and in others.
    "SELECT count(*), sum(a.s * 2 - b.c) FROM (SELECT k, sum(v) AS s FROM t GROUP BY k) a
     JOIN (SELECT k, count(*) AS c FROM t WHERE v % 2 = 0 GROUP BY k) b USING (k)",
    "SELECT count(*), count(b.c), sum(a.s) FROM (SELECT k, sum(v) AS s FROM t GROUP BY k) a
     FULL JOIN (SELECT k, count(*) AS c FROM scattered WHERE v % 5 = 0 GROUP BY k) b ON a.k = b.k",
    "SELECT count(*), sum(t.v * a.s) FROM t JOIN (SELECT k, sum(v) AS s FROM clean GROUP BY k) a ON t.k = a.k",
    "SELECT k, count(*), sum(v) FROM t JOIN few USING (d) GROUP BY k ORDER BY k",
    "SELECT k, count(few.d), sum(v) FROM few RIGHT JOIN t ON few.d = t.d WHERE t.v % 3 > 0 GROUP BY k ORDER BY k",
    "SELECT count(*), sum(v) FROM t o WHERE v > (SELECT avg(v) FROM t i WHERE i.k = o.k)",
    "SELECT k, d, grouping(k), count(*) FROM t WHERE d < 9 GROUP BY ROLLUP (k, d) ORDER BY 1, 2, 3, 4",
    "SELECT k, sum(c) FROM (SELECT k, count(*) AS c FROM t GROUP BY k UNION ALL SELECT k, max(v) FROM clean GROUP BY k)
     GROUP BY k ORDER BY k",
    "SELECT k, count(DISTINCT d), sum(v) FILTER (WHERE d > 40) FROM t GROUP BY k ORDER BY sum(v) DESC, k LIMIT 100",
    "SELECT c, s % 10, count(*) FROM (SELECT k, count(*) AS c, sum(v) AS s FROM t GROUP BY k) GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT sum(r * k), max(r) FROM (SELECT k, row_number() OVER (PARTITION BY k ORDER BY s) AS r
     FROM (SELECT k, day, sum(v) AS s FROM t GROUP BY k, day))",
];

#[test]
fn groups_are_the_same_wherever_scans_read_ranges() {
    let room = tempfile::tempdir().unwrap();
    engine::runtime().block_on(async {
        for table in ["clean", "straddling", "parts", "unknown", "scattered"] {
            let view = format!("CREATE VIEW t AS SELECT * FROM {table}");
            let mut expected = Vec::new();
            let stock = session(Way::stock(2), room.path()).await;
            engine::run(&stock, &view).await.unwrap();
            for sql in QUERIES {
                expected.push(rows(&stock, sql).await);
            }
            assert!(expected.iter().all(|rows| !rows.is_empty()));
            let ways =
                [1, 2, 3, 5, 8, 16].map(|partitions| Way::local(partitions).clustering(Applied::Always));
            let apart = Way::local(3).broadcasting(Applied::Off).filtering(Applied::Always);
            let inline = (0..3).map(|seed| Way::inline(seed).clustering(Applied::Always));
            let ways =
                ways.into_iter().chain([Way::local(2), apart.clustering(Applied::Always)]).chain(inline);
            for way in ways {
                let session = session(way, room.path()).await;
                engine::run(&session, &view).await.unwrap();
                for (sql, expected) in QUERIES.iter().zip(&expected) {
                    assert_eq!(&rows(&session, sql).await, expected, "{way}, {table}: {sql}");
                }
            }
        }
    });
}
