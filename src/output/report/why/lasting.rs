//! How a statement ended, and what passed before and around its tasks.

use std::time::Duration;

use super::{Finding, Kind, cut};
use crate::output::numbers::{percent, time};
use crate::output::report::{End, Ran, busy, elapsed, share};
use crate::scheduler::record::JobRun;

/// Planning that takes so much of the time, and so long, is worth a word.
const PLANNING_SHARE_MIN: f64 = 0.3;
const PLANNING_MIN: Duration = Duration::from_millis(50);
/// Threads that are busy for less than this part of the time.
const BUSY_SHARE_MAX: f64 = 0.5;
const RUNNING_MIN: Duration = Duration::from_millis(200);
/// Characters of an error's message.
const MESSAGE_CHARS_MAX: usize = 300;

pub(super) fn findings(ran: &Ran, job: &JobRun) -> Vec<Finding> {
    [ended(ran, job), planning(ran), idle(ran, job)].into_iter().flatten().collect()
}

fn ended(ran: &Ran, job: &JobRun) -> Option<Finding> {
    let (what, is_failure) = match &ran.end {
        End::Failed(message) => (format!("it failed: {}", cut(message, MESSAGE_CHARS_MAX)), true),
        End::Stopped(message) => {
            (format!("it did not come to its end: {}", cut(message, MESSAGE_CHARS_MAX)), false)
        }
        End::Rows(_) | End::Written(_) | End::Effect => return None,
    };
    let failure = job.failure();
    let place = failure.map(|(task, failure)| {
        let of = &job.stages[task.stage.index()];
        let operator = failure.operator.as_deref().map(|name| format!(", in {name}")).unwrap_or_default();
        format!("in task {task}, one of {} of a {} stage{operator}", of.tasks.len(), of.op)
    });
    let rest = "what follows is about what ran until then".to_string();
    let evidence = place.filter(|_| is_failure).into_iter().chain([rest]).collect();
    Some(Finding {
        kind: Kind::Ended,
        what,
        evidence,
        remedies: Vec::new(),
        stage: failure.map(|(task, _)| task.stage.index()).filter(|_| is_failure),
        weight: f64::INFINITY,
    })
}

fn planning(ran: &Ran) -> Option<Finding> {
    let (took, planning) = ran.took.zip(ran.planning)?;
    let weight = share(planning, took);
    if weight < PLANNING_SHARE_MIN || planning < PLANNING_MIN {
        return None;
    }
    let files = ran.jobs.last().into_iter().flat_map(|job| &job.stages).flat_map(|stage| &stage.operators);
    let files: usize = files.filter_map(|operator| operator.scan.as_ref()).map(|scan| scan.files).sum();
    let remedies = match files {
        0 => Vec::new(),
        1.. => vec![
            "CREATE EXTERNAL TABLE once in a session that runs several queries: files are looked into when it is made"
                .to_string(),
        ],
    };
    Some(Finding {
        kind: Kind::Planning,
        what: format!("planning took {} of the {}", time(planning), time(took)),
        evidence: vec![match files {
            0 => "this is the time until there was a graph to run".to_string(),
            1 => "this is the time until there was a graph to run, with a look into 1 file".to_string(),
            files => {
                format!("this is the time until there was a graph to run, with a look into {files} files")
            }
        }],
        remedies,
        stage: None,
        weight,
    })
}

fn idle(ran: &Ran, job: &JobRun) -> Option<Finding> {
    let running = elapsed(job);
    let capacity = running * u32::try_from(ran.threads).unwrap_or(u32::MAX);
    let used = share(busy(job), capacity);
    if running < RUNNING_MIN || used >= BUSY_SHARE_MAX || ran.threads < 2 {
        return None;
    }
    Some(Finding {
        kind: Kind::Idle,
        what: format!("threads were idle for {} of the time", percent(1.0 - used)),
        evidence: vec![format!(
            "{} of work in {} on {} threads: tasks waited for files, for each other, for whoever took the rows, or for processors that others had",
            time(busy(job)),
            time(running),
            ran.threads
        )],
        remedies: Vec::new(),
        stage: None,
        // Of what could be gained, less than of what is known to be slow.
        weight: (1.0 - used) / 2.0,
    })
}
