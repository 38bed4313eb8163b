//! Opening many Parquet objects: a listing, their footers, and planning until rows can be asked for.

use crate::data::{MANY, MANY_KEYS};
use crate::server::BUCKET;
use crate::{Bench, LATENCY, median, ours, peers};

/// Objects that the program looks into at the same time (`datafusion.execution.meta_fetch_concurrency`).
const AT_ONCE: usize = 32;
/// So often as each of the objects at once may wait for an answer.
const ROUND_TRIPS: f64 = 10.0;
/// Requests of a statement that had its answers before.
const AGAIN_MAX: usize = 10;
const RUNS: usize = 5;

/// A statement, whether it does nothing but open, and what peers call it.
struct Case {
    name: &'static str,
    sql: String,
    only_opens: bool,
    peers: Option<&'static str>,
}

fn cases() -> [Case; 3] {
    let table = format!("'s3://{BUCKET}/{MANY_KEYS}'");
    let sums = "l_returnflag, count(*), sum(l_quantity)";
    [
        Case {
            name: "EXPLAIN SELECT *",
            sql: format!("EXPLAIN SELECT * FROM {table}"),
            only_opens: true,
            peers: None,
        },
        Case {
            name: "count(*)",
            sql: format!("SELECT count(*) FROM {table}"),
            only_opens: true,
            peers: Some("count"),
        },
        Case {
            name: "sums of 2 columns",
            sql: format!("SELECT {sums} FROM {table} GROUP BY l_returnflag ORDER BY l_returnflag"),
            only_opens: false,
            peers: Some("sums"),
        },
    ]
}

pub(crate) fn measure(bench: &mut Bench) {
    let most = ROUND_TRIPS * LATENCY.as_secs_f64() * MANY as f64 / AT_ONCE as f64;
    println!("opening {MANY} Parquet objects over S3, {LATENCY:?} a request: at most {most:.2} s");
    for case in cases() {
        let (mut cold, mut again) = (Vec::new(), Vec::new());
        let (mut seen, mut seen_again) = (bench.server.seen(), bench.server.seen());
        for _ in 0..RUNS {
            let session = ours::session(&bench.server);
            bench.server.calm();
            let ran = bench.runtime.block_on(ours::ran(&session, &case.sql)).unwrap();
            seen = bench.server.seen();
            cold.push(ran.time.as_secs_f64());
            let ran = bench.runtime.block_on(ours::ran(&session, &case.sql)).unwrap();
            seen_again = bench.server.seen();
            again.push(ran.time.as_secs_f64());
        }
        let (cold, again) = (median(cold), median(again));
        println!(
            "  {:20} {cold:6.3} s  {:5} requests, {:3} at once;  again {again:6.3} s  {:5} requests",
            case.name, seen.requests, seen.together, seen_again.requests
        );
        bench.bound(&format!("opening by {}", case.name), cold, most);
        if case.only_opens {
            let requests = seen_again.requests as f64;
            bench.bound(&format!("requests of {} again", case.name), requests, AGAIN_MAX as f64);
        }
        if let Some(name) = case.peers {
            peers::beside(bench, name, cold);
        }
    }
}
