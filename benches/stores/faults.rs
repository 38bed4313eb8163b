//! Queries and writes while a share of all answers is in trouble: the same rows or one clear error, in not much more time.
//!
//! Each run in trouble has one without beside it, just before, and its time is told as a share of that one's: the machine
//! may be slower a minute later.

use std::time::Instant;

use crate::data::{LARGE_KEY, MANY_KEYS, SMALL_KEY};
use crate::ours::Ran;
use crate::server::{BUCKET, Fault};
use crate::{Bench, median, ours};

const PERCENT: u8 = 30;
/// Pairs of runs for each kind of trouble.
const PAIRS: u64 = 5;
/// Of a query that is over after a few requests.
const PAIRS_TINY: u64 = 15;
/// Times the time without trouble.
const RATIO_MAX: f64 = 3.0;
/// Files of a web server in one query; it has no listings.
const WEB_FILES: usize = 12;

/// All kinds of trouble, and the words of the errors that those make which do not pass.
const FAULTS: [(Fault, Option<&str>); 7] = [
    (Fault::Busy, None),
    (Fault::Reset, None),
    (Fault::Truncated, None),
    (Fault::Stall, None),
    (Fault::Silent, None),
    (Fault::Replaced, Some("changed")),
    (Fault::Expired, Some("403")),
];

/// A query under all kinds of trouble.
struct Case {
    name: &'static str,
    sql: String,
    pairs: u64,
    /// Whether objects are looked up first and read then, so that one may be replaced in between.
    looks_up: bool,
}

fn cases(server: &str) -> Vec<Case> {
    let large = |name, table: String| {
        let sums = "count(*), sum(l_quantity), sum(l_extendedprice * (1 - l_discount))";
        let keys = "l_returnflag, l_linestatus";
        let sql = format!("SELECT {keys}, {sums} FROM {table} GROUP BY {keys} ORDER BY {keys}");
        Case { name, sql, pairs: PAIRS, looks_up: true }
    };
    let tiny = |name, table: String| {
        let sql = format!("SELECT count(*), sum(l_quantity) FROM {table}");
        Case { name, sql, pairs: PAIRS_TINY, looks_up: false }
    };
    let s3 = |key: &str| format!("'s3://{BUCKET}/{key}'");
    let web = |key: &str| format!("'{server}/{BUCKET}/{key}'");
    let each = |number| format!("SELECT * FROM {}", web(&format!("many/{number:04}.parquet")));
    let many: Vec<_> = (0..WEB_FILES).map(each).collect();
    vec![
        large("S3, 1,000 objects", s3(MANY_KEYS)),
        large("S3, one object of 231 MB", s3(LARGE_KEY)),
        // Each is read whole by the first request.
        Case { looks_up: false, ..large("web, 12 files", format!("({})", many.join(" UNION ALL "))) },
        large("web, one file of 231 MB", web(LARGE_KEY)),
        tiny("S3, one small object", s3(SMALL_KEY)),
        tiny("web, one small file", web(SMALL_KEY)),
    ]
}

pub(crate) fn measure(bench: &mut Bench) {
    println!(
        "queries with {PERCENT} % of all answers in trouble, over the same without: at most {RATIO_MAX} times"
    );
    for case in cases(&bench.server.endpoint()) {
        under(bench, &case);
    }
    written_under(bench);
}

/// A run, the seconds that it took, and the requests.
fn run(bench: &Bench, sql: &str) -> (query::Result<Ran>, f64, usize) {
    let session = ours::session(&bench.server);
    let begun = Instant::now();
    let ran = bench.runtime.block_on(ours::ran(&session, sql));
    (ran, begun.elapsed().as_secs_f64(), bench.server.seen().requests)
}

/// A run without trouble.
fn calm(bench: &Bench, sql: &str) -> (String, f64, usize) {
    bench.server.calm();
    let (ran, time, requests) = run(bench, sql);
    (ran.unwrap().rows, time, requests)
}

fn under(bench: &mut Bench, case: &Case) {
    let Case { name, sql, .. } = case;
    let (rows, ..) = calm(bench, sql);
    let (_, time, requests) = calm(bench, sql);
    println!("  {name}: {time:.3} s without trouble, {requests} requests");
    for (fault, words) in FAULTS {
        let mut ratios = Vec::new();
        let (mut same, mut errors, mut hit, mut sent) = (0, 0, 0, 0);
        for seed in 1..=case.pairs {
            let (again, clean, _) = calm(bench, sql);
            assert_eq!(again, rows, "{name}: other rows without any trouble");
            bench.server.trouble(fault, PERCENT, seed);
            let (ran, time, requests) = run(bench, sql);
            ratios.push(time / clean);
            hit += bench.server.hit();
            sent += requests;
            match (ran, words) {
                (Ok(ran), _) => {
                    assert_eq!(ran.rows, rows, "{name}, {fault}, seed {seed}: other rows");
                    same += 1;
                }
                (Err(error), Some(words)) if error.to_string().contains(words) => errors += 1,
                (Err(error), _) => panic!("{name}, {fault}, seed {seed}: {error}"),
            }
        }
        bench.server.calm();
        let is_seen = words.is_some() && (fault != Fault::Replaced || case.looks_up);
        assert!(errors > 0 || !is_seen, "{name}, {fault}: never an error");
        let middle = told(fault, &ratios, [same, errors], [sent, hit]);
        bench.bound(&format!("{name}, {fault}"), middle, RATIO_MAX);
    }
}

/// Prints what became of the runs under a kind of trouble; gives the middle ratio.
fn told(fault: Fault, ratios: &[f64], [same, errors]: [usize; 2], [sent, hit]: [usize; 2]) -> f64 {
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let middle = median(ratios.to_vec());
    let (sent, hit) = (sent / ratios.len(), hit / ratios.len());
    print!("    {fault:10} {middle:5.2} times, worst {worst:5.2}");
    println!("  {same:2} the same, {errors:2} errors; each {sent} requests, {hit} in trouble");
    middle
}

/// An object of 40 MB that is sent in parts.
const WRITTEN_KEY: &str = "written.csv";

/// Writes an object; gives how that ended, the seconds that it took, and the requests.
fn write(bench: &Bench) -> (query::Result<u64>, f64, usize) {
    bench.server.writes().forget();
    let session = ours::session(&bench.server);
    let local = bench.folder.join("tpch1").join(LARGE_KEY);
    // One partition, so that the object has the rows in order.
    let sql = format!(
        "SET datafusion.execution.target_partitions = 1; \
         COPY (SELECT l_orderkey, l_partkey FROM '{}' WHERE l_linenumber <= 2) TO 's3://{BUCKET}/{WRITTEN_KEY}'",
        local.display()
    );
    let begun = Instant::now();
    let written = bench.runtime.block_on(ours::written(&session, &sql));
    (written, begun.elapsed().as_secs_f64(), bench.server.seen().requests)
}

/// The same for an object that is written: it is whole, or not there.
fn written_under(bench: &mut Bench) {
    bench.server.calm();
    let (rows, time, requests) = write(bench);
    let (rows, whole) = (rows.unwrap(), bench.server.writes().object(WRITTEN_KEY).unwrap());
    println!(
        "  S3, {} MB written: {time:.3} s without trouble, {requests} requests",
        whole.len() / 1_000_000
    );
    for (fault, words) in FAULTS {
        if fault == Fault::Replaced {
            // Nothing is read of it.
            continue;
        }
        let mut ratios = Vec::new();
        let (mut same, mut errors, mut hit, mut sent) = (0, 0, 0, 0);
        for seed in 1..=PAIRS {
            bench.server.calm();
            let (again, clean, _) = write(bench);
            assert_eq!(again.unwrap(), rows);
            bench.server.trouble(fault, PERCENT, seed);
            let (written, time, requests) = write(bench);
            ratios.push(time / clean);
            hit += bench.server.hit();
            sent += requests;
            let found = bench.server.writes().object(WRITTEN_KEY);
            assert!(found.as_ref().is_none_or(|found| *found == whole), "{fault}, seed {seed}: other bytes");
            match (written, words) {
                (Ok(written), _) => {
                    assert_eq!((written, found.is_some()), (rows, true), "{fault}, seed {seed}");
                    assert_eq!(bench.server.writes().open(), 0, "{fault}, seed {seed}: uploads are left");
                    same += 1;
                }
                (Err(error), Some(words)) if error.to_string().contains(words) => errors += 1,
                (Err(error), _) => panic!("S3, written, {fault}, seed {seed}: {error}"),
            }
        }
        bench.server.calm();
        let middle = told(fault, &ratios, [same, errors], [sent, hit]);
        bench.bound(&format!("S3, written, {fault}"), middle, RATIO_MAX);
    }
}
