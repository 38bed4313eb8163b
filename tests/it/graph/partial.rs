//! Partial aggregations that are given up early give the same groups, and are those that group next to nothing.

use query::Session;

use super::lower::sorted;
use crate::engine::{self, Answer, Way};

/// Keys that are each there once, some NULL; keys that are all there, and then all of them again.
const TABLES: &str = "
    CREATE TABLE t AS SELECT CASE WHEN value % 40009 = 0 THEN NULL ELSE value * 7919 % 100000 END AS once,
            value % 6000 AS again, value % 97 AS v, CAST(value * 31 % 100000 AS VARCHAR) AS text,
            value * 0.25 AS amount
        FROM generate_series(1, 100000)";

const GROUPING: [&str; 6] = [
    "SELECT once, count(*), sum(v) FROM t GROUP BY once",
    "SELECT text, min(v), max(amount), avg(v) FROM t GROUP BY text",
    "SELECT once, v, sum(amount), count(nullif(v, 3)) FROM t GROUP BY once, v",
    "SELECT once, sum(v) FILTER (WHERE v > 50) FROM t GROUP BY once",
    "SELECT once, count(DISTINCT v), bit_xor(v) FROM t GROUP BY once",
    "SELECT again, count(*), sum(v) FROM t GROUP BY again",
];

async fn rows(session: &Session, sql: &str) -> Vec<Vec<Option<String>>> {
    match engine::run(session, sql).await.unwrap() {
        Answer::Rows(_, batches) => sorted(&batches),
        Answer::Count(_) => panic!("{sql}: no rows"),
    }
}

/// Whether a query has handed rows on as they are.
async fn skips(session: &Session, sql: &str) -> bool {
    let shown = rows(session, &format!("EXPLAIN ANALYZE {sql}")).await;
    let text = shown.into_iter().flatten().flatten().collect::<String>();
    text.split("skipped_aggregation_rows=").skip(1).any(|rest| !rest.starts_with('0'))
}

#[test]
fn what_is_given_up_early_has_the_same_groups() {
    engine::runtime().block_on(async {
        for partitions in engine::PARTITIONS {
            let (stock, local) = (Way::stock(partitions), Way::local(partitions));
            let (stock, local) = (stock.session().await.unwrap(), local.session().await.unwrap());
            for session in [&stock, &local] {
                engine::run(session, TABLES).await.unwrap();
            }
            for sql in GROUPING {
                assert_eq!(
                    rows(&local, sql).await,
                    rows(&stock, sql).await,
                    "{partitions} partitions: {sql}"
                );
            }
        }
    });
}

#[test]
fn few_rows_are_grouped_in_part_only_where_that_leaves_fewer() {
    engine::runtime().block_on(async {
        // Of 16 partitions each has too few rows.
        for (partitions, is_early) in [(2, true), (3, true), (16, false)] {
            let name = |sql| format!("{partitions} partitions: {sql}");
            let (stock, local) = (Way::stock(partitions), Way::local(partitions));
            let (stock, local) = (stock.session().await.unwrap(), local.session().await.unwrap());
            for session in [&stock, &local] {
                engine::run(session, TABLES).await.unwrap();
            }
            let [once, .., again] = GROUPING;
            assert_eq!(skips(&local, once).await, is_early, "{}", name(once));
            assert!(!skips(&local, again).await, "{}", name(again));
            assert!(!skips(&stock, once).await, "{}, stock", name(once));
            engine::run(
                &local,
                "SET datafusion.execution.skip_partial_aggregation_probe_ratio_threshold = 1",
            )
            .await
            .unwrap();
            assert!(!skips(&local, once).await, "{}, turned off", name(once));
        }
    });
}
