//! Random queries that read common table expressions more than once: the same rows, shared or not.

use fastrand::Rng;
use query::Session;
use query::config::Applied;

use super::lower::sorted;
use crate::engine::{self, Answer, Way};

const QUERIES: usize = 80;

const TABLES: &str = "
    CREATE TABLE t AS SELECT value AS id, CASE WHEN value % 11 = 0 THEN NULL ELSE value % 6 END AS k, value % 4 AS g,
        (value * 37) % 101 AS v, CASE WHEN value % 7 = 0 THEN NULL ELSE chr(97 + value % 5) END AS s
    FROM generate_series(1, 120);
    CREATE TABLE u AS SELECT value % 8 AS k, value AS w, chr(97 + value % 3) AS s FROM generate_series(1, 20)";

/// Queries with the columns `k`, `g`, `x`, `y` and `z`, a text.
const BODIES: [&str; 9] = [
    "SELECT k, g, sum(v) AS x, count(*) AS y, min(s) AS z FROM t GROUP BY k, g",
    "SELECT k, max(g) AS g, sum(v) AS x, count(s) AS y, max(s) AS z FROM t WHERE v > 10 GROUP BY k HAVING count(*) > 3",
    "SELECT DISTINCT k, g, v % 7 AS x, id % 3 AS y, s AS z FROM t",
    "SELECT k, g, v AS x, row_number() OVER (PARTITION BY k, g ORDER BY id) AS y, s AS z FROM t",
    "SELECT t.k, t.g, sum(u.w) AS x, count(*) AS y, u.s AS z FROM t JOIN u ON t.k = u.k GROUP BY t.k, t.g, u.s",
    "SELECT k, g, sum(v) AS x, count(*) AS y, 'a' AS z FROM t GROUP BY k, g
     UNION ALL SELECT k, count(*), sum(w), max(w), 'b' FROM u GROUP BY k",
    "SELECT a.k, a.g, a.v AS x, b.w AS y, b.s AS z FROM t a LEFT JOIN u b ON a.k = b.k AND b.w > 5",
    "SELECT a.k, b.w AS g, a.v AS x, a.id AS y, b.s AS z FROM t a, u b WHERE a.k = b.k AND a.s = b.s",
    "SELECT k, g, sum(v) AS x, count(*) AS y, max(s) AS z FROM t GROUP BY ROLLUP (k, g)",
];

/// Makes up queries.
struct Maker(Rng);

impl Maker {
    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.usize(..of.len())]
    }

    fn condition(&mut self, of: &str) -> String {
        let (small, large) = (self.0.i64(0..6), self.0.i64(0..300));
        match self.0.u8(0..10) {
            0 => format!("{of}.k = {small}"),
            1 => format!("{of}.g IN (1, {small})"),
            2 => format!("{of}.x > {large}"),
            3 => format!("{of}.y BETWEEN {small} AND {}", small + 9),
            4 => format!("{of}.z LIKE 'a%'"),
            5 => format!("{of}.k IS NULL"),
            6 => format!("({of}.k = {small} OR {of}.x < {large})"),
            7 => format!("{of}.k + {of}.g > {small}"),
            8 => format!("coalesce({of}.k, 9) < {small}"),
            _ => format!("NOT ({of}.k = {small} AND {of}.g = 1)"),
        }
    }

    fn conditions(&mut self, of: &str) -> String {
        let count = self.0.usize(0..3);
        (0..count).fold("true".into(), |text, _| format!("{text} AND {}", self.condition(of)))
    }

    fn table(&mut self, name: &str, body: &str) -> String {
        let word = self.one_of(&["", "", "MATERIALIZED", "NOT MATERIALIZED"]);
        format!("{name} AS {word} ({body})")
    }

    fn query(&mut self) -> String {
        let bodies = [self.one_of(&BODIES), self.one_of(&BODIES)];
        let above = format!(
            "SELECT a.k, max(a.g) AS g, sum(a.x) AS x, count(*) AS y, min(a.z) AS z FROM c a WHERE {} GROUP BY a.k",
            self.conditions("a")
        );
        let with =
            [self.table("c", bodies[0]), self.table("d", bodies[1]), self.table("e", &above)].join(", ");
        let [p, q, r] = [(); 3].map(|()| self.one_of(&["c", "c", "d", "e"]));
        let [a, b, b2] = [self.conditions("a"), self.conditions("b"), self.conditions("b")];
        let [column, other] = [(); 2].map(|()| self.one_of(&["k", "g", "x", "y", "z"]));
        let body = match self.0.u8(0..7) {
            0 => format!("SELECT a.{column}, b.{other} AS o FROM {p} a JOIN {q} b ON a.k = b.k WHERE {a} AND {b}"),
            1 => format!(
                "SELECT a.k, a.x FROM {p} a WHERE {a} UNION ALL SELECT b.k, b.x FROM {q} b WHERE {b}
                 UNION ALL SELECT b.g, b.y FROM {r} b WHERE {b2}"
            ),
            2 => format!(
                "SELECT a.{column} FROM {p} a WHERE a.x >= (SELECT avg(b.x) FROM {q} b WHERE {b}) AND {a}"
            ),
            3 => format!("SELECT a.{column} FROM {p} a WHERE {a} AND a.k IN (SELECT b.k FROM {q} b WHERE {b})"),
            4 => format!(
                "SELECT a.{column} FROM {p} a
                 WHERE {a} AND NOT EXISTS (SELECT 1 FROM {q} b WHERE b.k = a.k AND {b})"
            ),
            5 => format!(
                "SELECT count(*) AS n, (SELECT count(*) FROM {q} b WHERE {b}) AS m,
                 (SELECT max(b.y) FROM {r} b WHERE {b2}) AS o FROM {p} a WHERE {a}"
            ),
            _ => format!(
                "SELECT a.{column}, b.{other} AS o FROM {p} a LEFT JOIN {q} b ON a.k = b.k AND a.g = b.g AND {b}
                 WHERE {a}"
            ),
        };
        format!("WITH {with} {body}")
    }
}

async fn rows(session: &Session, sql: &str) -> Vec<Vec<Option<String>>> {
    let answer = engine::run(session, sql).await.unwrap_or_else(|error| unreachable!("{error}: {sql}"));
    let Answer::Rows(_, batches) = answer else { unreachable!("{sql} has no rows") };
    sorted(&batches)
}

#[test]
fn random_queries_give_the_same_rows_shared_or_not() {
    engine::runtime().block_on(async {
        let stages = [Applied::On, Applied::Always];
        for partitions in [1, 3] {
            let plain = Way::stock(partitions).session().await.unwrap();
            engine::run(&plain, TABLES).await.unwrap();
            let mut maker = Maker(Rng::with_seed(u64::try_from(partitions).unwrap()));
            let mut sharing = Vec::new();
            for stages in stages {
                let session = Way::local(partitions).sharing(stages).session().await.unwrap();
                engine::run(&session, TABLES).await.unwrap();
                sharing.push((stages, session));
            }
            for _ in 0..QUERIES {
                let sql = maker.query();
                let expected = rows(&plain, &sql).await;
                for (stages, session) in &sharing {
                    assert_eq!(
                        rows(session, &sql).await,
                        expected,
                        "{stages}, {partitions} partitions: {sql}"
                    );
                }
            }
        }
    });
}
