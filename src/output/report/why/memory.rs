//! Memory that was short.

use super::{Finding, Kind, operators, words};
use crate::output::numbers::{bytes, count, time};
use crate::output::report::{Ran, busy, elapsed, share};
use crate::scheduler::record::JobRun;
use crate::scheduler::state::Outcome;

/// A spill is told before what takes as much of the time without one.
const SPILL_WEIGHT_MIN: f64 = 0.2;

pub(super) fn findings(ran: &Ran, job: &JobRun) -> Vec<Finding> {
    again(ran).into_iter().chain(operator_spills(ran, job)).chain(edge_spills(ran, job)).collect()
}

/// What gives a query more memory.
fn more_memory(ran: &Ran) -> String {
    format!(
        "more memory: --memory-limit, or SET datafusion.runtime.memory_limit (now {})",
        bytes(ran.memory_limit as u64)
    )
}

fn again(ran: &Ran) -> Option<Finding> {
    let [first, .., _] = ran.jobs.as_slice() else { return None };
    if !matches!(first.end, Some((_, Outcome::Failed))) {
        return None;
    }
    let lost = elapsed(first);
    Some(Finding {
        kind: Kind::Again,
        what: "it ran again, with joins that sort, because the first attempt was refused memory".into(),
        evidence: vec![format!(
            "the first attempt took {} and held {} at most",
            time(lost),
            bytes(first.memory_peak as u64)
        )],
        remedies: vec![
            more_memory(ran),
            "SET datafusion.optimizer.prefer_hash_join = false, if it is to stay within this memory: the first attempt falls away".into(),
        ],
        stage: None,
        weight: ran.took.map_or(0.5, |took| share(lost, took)).max(0.5),
    })
}

fn operator_spills(ran: &Ran, job: &JobRun) -> Vec<Finding> {
    let all = busy(job);
    let spilling =
        operators(job).filter(|at| at.operator.edge.is_none() && at.operator.metric("spilled_bytes") > 0);
    let finding = spilling.map(|at| {
        let (written, files) = (at.operator.metric("spilled_bytes"), at.operator.metric("spill_count"));
        Finding {
            kind: Kind::Spill,
            what: format!("{} did not fit into memory", words(at)),
            evidence: vec![format!(
                "it wrote {} to {}; its stage held {} at most",
                bytes(written),
                count(files, "temporary file"),
                bytes(at.run.memory_peak as u64)
            )],
            remedies: vec![more_memory(ran)],
            stage: Some(at.stage),
            weight: share(at.run.volume().busy, all).max(SPILL_WEIGHT_MIN),
        }
    });
    finding.collect()
}

fn edge_spills(ran: &Ran, job: &JobRun) -> Vec<Finding> {
    let all = busy(job);
    let spilling = job.edges.iter().filter(|edge| edge.spilled_bytes > 0);
    let finding = spilling.map(|edge| {
        let keys = edge.keys.as_deref().map(|keys| format!(" {keys}")).unwrap_or_default();
        let reader = &job.stages[edge.to.index()];
        Finding {
            kind: Kind::Spill,
            what: format!(
                "rows on their way from stage {} ({}{keys}) had to wait on disk",
                edge.from, edge.kind
            ),
            evidence: vec![format!(
                "{} of them: they were read later than they came",
                bytes(edge.spilled_bytes)
            )],
            remedies: vec![more_memory(ran)],
            stage: Some(edge.to.index()),
            weight: share(reader.volume().busy, all).max(SPILL_WEIGHT_MIN),
        }
    });
    finding.collect()
}
