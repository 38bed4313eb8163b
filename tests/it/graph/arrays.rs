//! Joins that keep their keys in arrays give the same rows as with hash tables, and are those that can.

use super::lower::sorted;
use crate::engine::{self, Answer, Way};
use query::Session;
use query::config::Applied;

/// Keys far apart, some twice, some NULL; keys close together; the least and the greatest numbers of their types.
const TABLES: &str = "
    CREATE TABLE few AS SELECT CASE WHEN value % 7 = 0 THEN NULL ELSE (value % 80) * 1000 END AS k, value AS v
        FROM generate_series(-100, 100);
    CREATE TABLE many AS SELECT CASE WHEN value % 11 = 0 THEN NULL ELSE value * 50 END AS k, value % 5 AS w
        FROM generate_series(-2000, 2000);
    CREATE TABLE tiny AS SELECT CAST(value AS TINYINT) AS k, value AS v FROM generate_series(-128, 127);
    CREATE TABLE ends AS SELECT * FROM (VALUES (9223372036854775807), (-9223372036854775807 - 1), (0), (NULL)) AS t (k);
    CREATE TABLE positive AS SELECT CAST(value * 3 AS BIGINT UNSIGNED) AS k FROM generate_series(0, 500);
    CREATE TABLE nothing AS SELECT * FROM few WHERE v > 1000";

const QUERIES: [&str; 16] = [
    "SELECT few.v, many.w FROM few JOIN many USING (k)",
    "SELECT few.v, many.w FROM few LEFT JOIN many USING (k)",
    "SELECT few.v, many.w FROM few RIGHT JOIN many ON few.k = many.k",
    "SELECT few.v, many.w, few.k, many.k FROM few FULL JOIN many ON few.k = many.k",
    "SELECT few.v, many.w FROM few JOIN many ON few.k = many.k AND few.v > many.w * 10",
    "SELECT few.v, many.w FROM few JOIN many ON few.k IS NOT DISTINCT FROM many.k AND many.w = 1",
    "SELECT w FROM many WHERE k IN (SELECT k FROM few)",
    "SELECT w FROM many WHERE k NOT IN (SELECT k FROM few)",
    "SELECT w FROM many WHERE k NOT IN (SELECT k FROM few WHERE k IS NOT NULL)",
    "SELECT w FROM many WHERE NOT EXISTS (SELECT 1 FROM few WHERE few.k = many.k)",
    "SELECT w FROM many WHERE k IN (SELECT k FROM few) OR w = 2",
    "SELECT a.v, b.v FROM tiny a JOIN tiny b USING (k)",
    "SELECT a.k, b.w FROM ends a LEFT JOIN many b ON a.k = b.k",
    "SELECT a.k, b.k FROM positive a JOIN many b ON a.k = b.k",
    "SELECT many.w FROM many LEFT JOIN nothing USING (k)",
    "SELECT k, sum(w), max(v) FROM (SELECT k, max(w) AS w FROM many GROUP BY k) m JOIN few USING (k) GROUP BY k",
];

/// No join has an array: none has less than no place, and none is so full.
const HASH_TABLES: &str = "SET datafusion.execution.perfect_hash_join_small_build_threshold = 0;
    SET datafusion.execution.perfect_hash_join_min_key_density = 1e9";

async fn rows(session: &Session, sql: &str) -> Vec<Vec<Option<String>>> {
    match engine::run(session, sql).await.unwrap() {
        Answer::Rows(_, batches) => sorted(&batches),
        Answer::Count(_) => panic!("{sql}: no rows"),
    }
}

/// How many joins of a query have looked keys up in an array.
async fn arrays(session: &Session, sql: &str) -> usize {
    let shown = rows(session, &format!("EXPLAIN ANALYZE {sql}")).await;
    let text = shown.into_iter().flatten().flatten().collect::<String>();
    let counts = text.split("array_map_created_count=").skip(1);
    counts
        .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<usize>().unwrap())
        .sum()
}

#[test]
fn keys_in_arrays_give_the_same_rows() {
    engine::runtime().block_on(async {
        for partitions in engine::PARTITIONS {
            for broadcast in [Applied::Off, Applied::On] {
                let local = Way::local(partitions).broadcasting(broadcast);
                let stock = Way::stock(partitions).session().await.unwrap();
                let (arrayed, hashed) = (local.session().await.unwrap(), local.session().await.unwrap());
                for session in [&stock, &arrayed, &hashed] {
                    engine::run(session, TABLES).await.unwrap();
                }
                engine::run(&hashed, HASH_TABLES).await.unwrap();
                for sql in QUERIES {
                    let name = format!("{partitions} partitions, broadcast {broadcast}: {sql}");
                    let expected = rows(&hashed, sql).await;
                    assert_eq!(rows(&arrayed, sql).await, expected, "{name}");
                    assert_eq!(rows(&stock, sql).await, expected, "{name}, stock");
                }
                // Keys far apart: with DataFusion's limits they go into a hash table.
                let name = format!("{partitions} partitions, broadcast {broadcast}");
                assert!(arrays(&arrayed, QUERIES[0]).await > 0, "{name}");
                assert_eq!(arrays(&stock, QUERIES[0]).await, 0, "{name}, stock");
                assert_eq!(arrays(&hashed, QUERIES[0]).await, 0, "{name}, hash tables");
            }
        }
    });
}
