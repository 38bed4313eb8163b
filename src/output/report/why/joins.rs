//! Joins that do more than the query needs.

use std::time::Duration;

use super::{At, Finding, Kind, operators, words};
use crate::output::numbers::{bytes, grouped, rows, time};
use crate::output::report::{busy, operator_time, share};
use crate::scheduler::record::JobRun;

/// A join that takes less of the time is not worth a word.
const SHARE_MIN: f64 = 0.05;
/// Rows from which on a side is large.
const ROWS_MIN: u64 = 100_000;
/// So many times as many rows are built as are looked up.
const BUILD_FACTOR_MIN: u64 = 2;
/// So many times as many rows come out as went in on the larger side.
const OUT_FACTOR_MIN: u64 = 4;

pub(super) fn findings(job: &JobRun) -> Vec<Finding> {
    let all = busy(job);
    operators(job)
        .flat_map(|at| {
            let weight = share(operator_time(at.operator), all);
            [pairs(at, weight), build_side(at, all), multiplies(at, weight)]
        })
        .flatten()
        .collect()
}

fn pairs(at: At<'_>, weight: f64) -> Option<Finding> {
    let is_pairs = matches!(at.operator.name.as_str(), "NestedLoopJoinExec" | "CrossJoinExec");
    if !is_pairs || weight < SHARE_MIN {
        return None;
    }
    let (build, probe) = sides(at);
    let compared = build.saturating_mul(probe);
    Some(Finding {
        kind: Kind::Pairs,
        what: format!("{} compares every pair of rows", words(at)),
        evidence: vec![format!(
            "{} × {} rows are {} pairs; {} came out; {}",
            grouped(build),
            grouped(probe),
            grouped(compared),
            rows(at.operator.metric("output_rows")),
            time(operator_time(at.operator))
        )],
        remedies: vec![
            "an equality between columns of both sides in ON: then matching rows are found by a hash table"
                .into(),
        ],
        stage: Some(at.stage),
        weight,
    })
}

/// Rows of the side that is kept, and of the one that goes by.
fn sides(at: At<'_>) -> (u64, u64) {
    (at.operator.metric("build_input_rows"), at.operator.metric("input_rows"))
}

fn build_side(at: At<'_>, all: Duration) -> Option<Finding> {
    let (build, probe) = sides(at);
    let building = Duration::from_nanos(at.operator.metric("build_time_ns"));
    let weight = share(building, all);
    let is_large = build >= ROWS_MIN && build / BUILD_FACTOR_MIN >= probe;
    if at.operator.name != "HashJoinExec" || !is_large || weight < SHARE_MIN {
        return None;
    }
    Some(Finding {
        kind: Kind::BuildSide,
        what: format!("{} makes its table from the larger side", words(at)),
        evidence: vec![format!(
            "{} in the table, {} looked up; making it took {} and {}",
            rows(build),
            grouped(probe),
            time(building),
            bytes(at.operator.metric("build_mem_used"))
        )],
        remedies: vec![
            "fewer rows on that side before the join: filter or aggregate it first, or only take the keys that the other side has (IN, EXISTS)".into(),
            "where sizes are not known, as of CSV and JSON, the side named first is the table: name the smaller one first".into(),
        ],
        stage: Some(at.stage),
        weight,
    })
}

fn multiplies(at: At<'_>, weight: f64) -> Option<Finding> {
    let (build, probe) = sides(at);
    let out = at.operator.metric("output_rows");
    let is_many = out >= ROWS_MIN && out / OUT_FACTOR_MIN >= build.max(probe);
    let is_hash = matches!(at.operator.name.as_str(), "HashJoinExec" | "SortMergeJoinExec");
    if !is_hash || !is_many || build.max(probe) == 0 {
        return None;
    }
    Some(Finding {
        kind: Kind::Multiplies,
        what: format!("{} gives many more rows than it takes", words(at)),
        evidence: vec![format!("{} and {} rows in, {} out", grouped(build), grouped(probe), grouped(out))],
        remedies: vec![
            "the keys are unique on neither side: join on all columns of the key, or aggregate one side by the key first".into(),
        ],
        stage: Some(at.stage),
        weight: weight.max(0.1),
    })
}
