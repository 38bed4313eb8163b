//! Scans that read more than they have to, or in too many pieces.

use super::{At, Finding, Kind, cut, operators};
use crate::graph::Scan;
use crate::output::numbers::{bytes, count, grouped, percent, rows, time};
use crate::output::report::{busy, operator_time, share};
use crate::scheduler::record::JobRun;

/// A scan that takes less of the time is not worth a word.
const SHARE_MIN: f64 = 0.05;
/// So many row groups, or rows, are worth leaving out.
const ROW_GROUPS_MIN: u64 = 4;
const ROWS_MIN: u64 = 100_000;
/// A condition that lets more rows through cannot leave out much.
const PASSED_MAX: f64 = 0.2;
/// Row groups that were left out: with more of them, statistics do their work.
const PRUNED_MAX: f64 = 0.5;
/// Files from which on, and rows a file up to which, opening them is what takes the time.
const FILES_MIN: usize = 50;
const ROWS_PER_FILE_MAX: u64 = 20_000;
/// Batches from which on, and rows a batch up to which, batches are too small.
const BATCHES_MIN: u64 = 1_000;
const ROWS_PER_BATCH_MAX: u64 = 100;

pub(super) fn findings(job: &JobRun) -> Vec<Finding> {
    let all = busy(job);
    let scans = operators(job).filter_map(|at| Some((at, at.operator.scan.as_ref()?)));
    let found = scans.flat_map(|(at, scan)| {
        let weight = share(operator_time(at.operator), all);
        let is_heavy = weight >= SHARE_MIN;
        let found =
            [pruning(at, scan, weight), small_files(at, scan, weight), small_batches(at, scan, weight)];
        found.into_iter().flatten().filter(move |_| is_heavy)
    });
    found.collect()
}

/// Rows that a scan's condition was asked about, and those that it let through: by the filter above the scan, or within.
fn asked_and_passed(at: At<'_>) -> Option<(u64, u64)> {
    let within = (at.operator.metric("pushdown_rows_matched"), at.operator.metric("pushdown_rows_pruned"));
    let (asked, passed) = match at.before.filter(|before| before.name == "FilterExec") {
        Some(filter) => (at.operator.metric("output_rows"), filter.metric("output_rows")),
        None => (at.operator.metric("output_rows"), at.operator.metric("output_rows")),
    };
    let (asked, passed) = match within {
        (0, 0) => (asked, passed),
        (matched, pruned) => (matched + pruned, passed.min(matched)),
    };
    (asked > 0).then_some((asked, passed))
}

fn pruning(at: At<'_>, scan: &Scan, weight: f64) -> Option<Finding> {
    let matched = at.operator.metric("row_groups_pruned_statistics_matched");
    let pruned = at.operator.metric("row_groups_pruned_statistics_pruned");
    let (asked, passed) = asked_and_passed(at)?;
    let passed_share = passed as f64 / asked as f64;
    let pruned_share = pruned as f64 / (matched + pruned).max(1) as f64;
    let is_much = matched >= ROW_GROUPS_MIN && asked >= ROWS_MIN;
    if scan.format != "parquet" || !is_much || passed_share > PASSED_MAX || pruned_share > PRUNED_MAX {
        return None;
    }
    let can_prune = at.operator.text.contains("pruning_predicate=");
    let remedies = match (scan.computed.as_slice(), scan.compared.as_slice(), can_prune) {
        ([computed, ..], [], false) => vec![format!(
            "compare the column itself: statistics are kept of columns, not of `{}`",
            cut(computed, 80)
        )],
        (_, [column, others @ ..], true) => {
            let others = match others {
                [] => String::new(),
                others => format!(" (or {}, whichever leaves fewest rows)", cut(&others.join(", "), 80)),
            };
            vec![format!(
                "a file sorted by {column}{others}: COPY (SELECT * FROM '{}' ORDER BY {column}) TO 'sorted.parquet', or \
                 files in folders by it (PARTITIONED BY): then whole row groups can be left out",
                scan.file
            )]
        }
        // By the condition alone nothing can be left out, however the file is laid out.
        _ => return None,
    };
    Some(Finding {
        kind: Kind::Pruning,
        what: format!("{} was read almost whole for {} of its rows", file_names(scan), percent(passed_share)),
        evidence: vec![format!(
            "{} of {} row groups, {}; {} passed the condition; {}",
            grouped(matched),
            grouped(matched + pruned),
            rows(asked),
            grouped(passed),
            time(operator_time(at.operator))
        )],
        remedies,
        stage: Some(at.stage),
        weight: weight * (1.0 - passed_share),
    })
}

fn small_files(at: At<'_>, scan: &Scan, weight: f64) -> Option<Finding> {
    let per_file = at.operator.metric("output_rows") / (scan.files as u64).max(1);
    // Of a scan with a condition it is not known how many rows the files have.
    let has_condition = !scan.compared.is_empty() || !scan.computed.is_empty();
    if scan.files < FILES_MIN || per_file > ROWS_PER_FILE_MAX || has_condition {
        return None;
    }
    let read = at.operator.metric("bytes_scanned");
    let read = if read > 0 { format!(", {}", bytes(read)) } else { String::new() };
    Some(Finding {
        kind: Kind::Small,
        what: format!("{} are many and small", file_names(scan)),
        evidence: vec![format!(
            "{} with {} on average{read}; {}",
            count(scan.files as u64, "file"),
            rows(per_file),
            time(operator_time(at.operator))
        )],
        remedies: vec!["fewer, larger files: COPY (SELECT * FROM …) TO 'one.parquet'".into()],
        stage: Some(at.stage),
        weight,
    })
}

fn small_batches(at: At<'_>, scan: &Scan, weight: f64) -> Option<Finding> {
    let batches = at.operator.metric("output_batches");
    let per_batch = at.operator.metric("output_rows") / batches.max(1);
    if batches < BATCHES_MIN || per_batch > ROWS_PER_BATCH_MAX {
        return None;
    }
    Some(Finding {
        kind: Kind::Small,
        what: format!("{} came in tiny batches", file_names(scan)),
        evidence: vec![format!(
            "{} of {} on average",
            count(batches, "batch").replace("batchs", "batches"),
            rows(per_batch)
        )],
        remedies: vec![
            "larger files and row groups; a larger datafusion.execution.batch_size, if it was made small"
                .into(),
        ],
        stage: Some(at.stage),
        weight,
    })
}

/// The file, or how many there are.
pub(super) fn file_names(scan: &Scan) -> String {
    match scan.files {
        0 | 1 => scan.file.clone(),
        files => format!("{files} files like {}", scan.file),
    }
}
