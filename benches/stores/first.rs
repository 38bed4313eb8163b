//! The first row of one Parquet object: its footer with its size and version, and its rows.

use crate::data::{LARGE_KEY, SMALL_KEY};
use crate::server::BUCKET;
use crate::{Bench, LATENCY, median, ours, peers};

const REQUESTS: f64 = 3.0;
/// What all else may take, as a share of the requests.
const SLACK: f64 = 1.2;
const RUNS: usize = 15;

struct Case {
    name: &'static str,
    sql: String,
    peers: Option<&'static str>,
}

fn cases(server: &str) -> Vec<Case> {
    let s3 = |key: &str| format!("'s3://{BUCKET}/{key}'");
    let web = |key: &str| format!("'{server}/{BUCKET}/{key}'");
    let few = |table: &str| {
        format!(
            "SELECT l_orderkey, l_extendedprice FROM {table} WHERE l_quantity > 30 AND l_shipmode = 'AIR'"
        )
    };
    let ten = |table: &str| format!("SELECT * FROM {table} LIMIT 10");
    let case = |name, sql, peers| Case { name, sql, peers };
    vec![
        case("S3, small, all columns, LIMIT 10", ten(&s3(SMALL_KEY)), Some("small")),
        case("S3, small, all rows", format!("SELECT * FROM {}", s3(SMALL_KEY)), None),
        case("S3, 231 MB, all columns, LIMIT 10", ten(&s3(LARGE_KEY)), Some("large")),
        case("S3, 231 MB, 2 columns and a filter", few(&s3(LARGE_KEY)), None),
        case("web, small, all columns, LIMIT 10", ten(&web(SMALL_KEY)), None),
        case("web, 231 MB, all columns, LIMIT 10", ten(&web(LARGE_KEY)), None),
        case("web, 231 MB, 2 columns and a filter", few(&web(LARGE_KEY)), None),
    ]
}

pub(crate) fn measure(bench: &mut Bench) {
    let most = REQUESTS * LATENCY.as_secs_f64() * SLACK;
    println!(
        "the first row of one Parquet object, {LATENCY:?} a request: at most {:.0} ms, median of {RUNS} new sessions",
        most * 1e3
    );
    for (place, case) in cases(&bench.server.endpoint()).into_iter().enumerate() {
        let mut times = Vec::new();
        let mut seen = bench.server.seen();
        for _ in 0..RUNS {
            let session = ours::session(&bench.server);
            bench.server.calm();
            let time = bench.runtime.block_on(ours::first_row(&session, &case.sql)).unwrap();
            seen = bench.server.seen();
            times.push(time.as_secs_f64());
        }
        let (first, worst) = (times[0], times.iter().copied().fold(0.0, f64::max));
        let middle = median(times);
        let requests = seen.requests;
        print!("  {:36} {:6.1} ms, worst {:6.1} ms", case.name, middle * 1e3, worst * 1e3);
        println!("  {requests:3} requests");
        if place == 0 {
            println!("  {:36} {:6.1} ms", "… the first in this process", first * 1e3);
        }
        bench.bound(&format!("first row, {}", case.name), middle, most);
        if let Some(name) = case.peers {
            peers::beside(bench, name, middle);
        }
    }
}
