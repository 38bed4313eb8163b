//! Queries while a share of all answers is in trouble: the same rows or one clear error, in not much more time.

use std::time::Instant;

use crate::data::{LARGE_KEY, MANY_KEYS};
use crate::server::{BUCKET, Fault};
use crate::{Bench, median, ours};

const PERCENT: u8 = 30;
const SEEDS: u64 = 5;
/// Times the time without trouble.
const RATIO_MAX: f64 = 3.0;

/// All kinds of trouble, and the words of the errors that those make which do not pass.
const FAULTS: [(Fault, Option<&[&str]>); 6] = [
    (Fault::Busy, None),
    (Fault::Reset, None),
    (Fault::Truncated, None),
    (Fault::Stall, None),
    (Fault::Replaced, Some(&["changed"])),
    (Fault::Expired, Some(&["403"])),
];

pub(crate) fn measure(bench: &mut Bench) {
    println!(
        "queries with {PERCENT} % of all answers in trouble: at most {RATIO_MAX} times as long, median of {SEEDS} seeds"
    );
    let sql = |table: String| {
        format!(
            "SELECT l_returnflag, l_linestatus, count(*), sum(l_quantity), sum(l_extendedprice * (1 - l_discount)) \
             FROM '{table}' GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus"
        )
    };
    let many = sql(format!("s3://{BUCKET}/{MANY_KEYS}"));
    let large = sql(format!("s3://{BUCKET}/{LARGE_KEY}"));
    let web = sql(format!("{}/{BUCKET}/{LARGE_KEY}", bench.server.endpoint()));
    under(bench, "S3, 1,000 objects", &many);
    under(bench, "S3, one object of 231 MB", &large);
    under(bench, "web, one file of 231 MB", &web);
}

fn under(bench: &mut Bench, name: &str, sql: &str) {
    bench.server.calm();
    let run = |bench: &Bench| bench.runtime.block_on(ours::ran(&ours::session(&bench.server), sql));
    let clean: Vec<_> = (0..3).map(|_| run(bench).unwrap()).collect();
    let requests = bench.server.seen().requests / clean.len();
    let rows = clean[0].rows.clone();
    let clean = median(clean.iter().map(|ran| ran.time.as_secs_f64()).collect());
    println!("  {name}: {clean:.2} s without trouble, {requests} requests");
    for (fault, words) in FAULTS {
        let mut ratios = Vec::new();
        let (mut same, mut errors, mut hit) = (0, 0, 0);
        for seed in 1..=SEEDS {
            bench.server.trouble(fault, PERCENT, seed);
            let begun = Instant::now();
            let ran = run(bench);
            ratios.push(begun.elapsed().as_secs_f64() / clean);
            hit += bench.server.seen().hit;
            match ran {
                Ok(ran) => {
                    assert_eq!(ran.rows, rows, "{name}, {fault}, seed {seed}: other rows");
                    same += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    let is_clear = words.is_some_and(|words| words.iter().all(|word| text.contains(word)));
                    assert!(is_clear, "{name}, {fault}, seed {seed}: {text}");
                    errors += 1;
                }
            }
        }
        bench.server.calm();
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        let middle = median(ratios);
        println!(
            "    {fault:10} {middle:5.2} times, worst {worst:5.2}  {same} the same, {errors} errors, {} hit each",
            hit as u64 / SEEDS
        );
        bench.bound(&format!("{name}, {fault}"), middle, RATIO_MAX);
    }
}
