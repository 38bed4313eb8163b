//! Why a statement took its time: findings from what was measured, each with its evidence and what to try.
//!
//! Every finding is a function of what is recorded, and says only what follows from it. Thresholds are where a
//! change would be felt: a tenth of the time, not a hundredth.

mod joins;
mod lasting;
mod memory;
mod scans;
mod shape;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use super::{End, Ran, busy, operator_time, share};
use crate::config::EngineKind;
use crate::output::numbers::{bytes, count, percent, rows, time};
use crate::scheduler::measure::OperatorRun;
use crate::scheduler::record::{JobRun, StageRun};

/// Findings that are told in a terminal; a page has all of them.
const TOLD_MAX: usize = 6;
/// Columns of an operator's words in a finding.
const WORDS_CHARS_MAX: usize = 110;
/// Under this, a statement has nothing that anybody would wait for.
const FAST: Duration = Duration::from_millis(20);

/// Something that explains a part of the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// In a line.
    pub what: String,
    /// The numbers behind it.
    pub evidence: Vec<String>,
    /// Settings and rewrites to try; may be none.
    pub remedies: Vec<String>,
    /// The stage that it is about, in the statement's last job.
    pub stage: Option<usize>,
    /// The part of the time that it is about, from 0 to 1: what findings are ranked by.
    pub weight: f64,
}

/// What findings are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The statement failed or was stopped.
    Ended,
    /// It ran again because memory was short.
    Again,
    /// What did not fit into memory went to disk.
    Spill,
    /// Tasks of a stage were unlike.
    Skew,
    /// A scan read what its condition ruled out.
    Pruning,
    /// Many small files or batches.
    Small,
    /// One task did what several could.
    OneTask,
    /// A join that compares every pair of rows.
    Pairs,
    /// A join whose table is made from the larger side.
    BuildSide,
    /// A join that gives many more rows than it takes.
    Multiplies,
    /// The time before anything ran.
    Planning,
    /// Threads had nothing to do.
    Idle,
}

/// What there is to say about a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// Where the time went, in a line.
    pub summary: String,
    /// The operator that took most of it.
    pub slowest: Option<Slowest>,
    /// What explains the time, what matters most first.
    pub findings: Vec<Finding>,
}

/// The operator that took most of the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Slowest {
    /// Its stage in the last job.
    pub stage: usize,
    /// Itself, in the query's words.
    pub words: String,
    /// Its part of the time that tasks had a thread.
    pub share: f64,
    /// The numbers behind it.
    pub evidence: String,
}

impl Why {
    /// Looks into a statement.
    pub fn of(ran: &Ran) -> Self {
        let Some(job) = ran.jobs.last() else {
            return Self { summary: without_jobs(ran), slowest: None, findings: Vec::new() };
        };
        let slowest = slowest(job);
        let mut findings = lasting::findings(ran, job);
        if ran.took.is_none_or(|took| took >= FAST) {
            findings.extend(memory::findings(ran, job));
            findings.extend(scans::findings(job));
            findings.extend(joins::findings(job));
            findings.extend(shape::findings(ran, job));
        }
        findings.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        Self { summary: summary(ran), slowest, findings }
    }

    /// What `.why` prints.
    pub fn text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        match &self.slowest {
            Some(slowest) if self.findings.is_empty() => lines.push(format!(
                "nothing stands out: the slowest operator, {} (stage {}), has {} of the work\n   {}",
                slowest.words,
                slowest.stage,
                percent(slowest.share),
                slowest.evidence
            )),
            Some(slowest) => lines.push(format!(
                "slowest operator: {} (stage {})\n   {} of the work; {}",
                slowest.words,
                slowest.stage,
                percent(slowest.share),
                slowest.evidence
            )),
            None => {}
        }
        for (at, finding) in self.findings.iter().take(TOLD_MAX).enumerate() {
            let stage = finding.stage.map(|stage| format!(" (stage {stage})")).unwrap_or_default();
            lines.push(format!("{}. {}{stage}", at + 1, finding.what));
            lines.extend(finding.evidence.iter().map(|line| format!("   {line}")));
            lines.extend(finding.remedies.iter().map(|line| format!("   try: {line}")));
        }
        let more = self.findings.len().saturating_sub(TOLD_MAX);
        if more > 0 {
            lines.push(format!("and {more} more, of less weight: .report has all of them"));
        }
        lines.join("\n")
    }
}

fn summary(ran: &Ran) -> String {
    let running: Duration = ran.jobs.iter().map(super::elapsed).sum();
    let work = format!("{} of work on {}", time(ran.busy()), count(ran.threads as u64, "thread"));
    let start = match ran.took {
        Some(took) => format!("{} in all", time(took)),
        None => "not over".to_string(),
    };
    let planning = ran.planning.map(|planning| format!(": {} planning,", time(planning))).unwrap_or_default();
    format!("{start}{planning} {} running ({work})", time(running))
}

/// What is said of a statement that ran no graph.
fn without_jobs(ran: &Ran) -> String {
    let took = ran.took.map(|took| format!(" in {}", time(took))).unwrap_or_default();
    match (&ran.end, ran.engine) {
        (End::Failed(message), _) => format!("it failed before anything of it ran: {message}"),
        (End::Stopped(message), _) => format!("it was stopped before anything of it ran: {message}"),
        (End::Rows(_) | End::Written(_), EngineKind::Stock) => format!(
            "it was done{took}. The engine 'stock' runs queries by itself, and nothing of that is recorded: \
             SET query.engine = local, and run it again"
        ),
        (End::Rows(_) | End::Written(_) | End::Effect, _) => {
            format!("it was done{took} without any task: there is nothing to look into")
        }
    }
}

/// An operator among its stage's.
#[derive(Clone, Copy)]
struct At<'a> {
    stage: usize,
    run: &'a StageRun,
    operator: &'a OperatorRun,
    /// The one before it in the plan: of an operator with one input, the one that reads it.
    before: Option<&'a OperatorRun>,
}

/// All operators of a job.
fn operators(job: &JobRun) -> impl Iterator<Item = At<'_>> {
    job.stages.iter().enumerate().flat_map(|(stage, run)| {
        run.operators.iter().enumerate().map(move |(at, operator)| {
            let before = at.checked_sub(1).and_then(|before| run.operators.get(before));
            At { stage, run, operator, before }
        })
    })
}

fn slowest(job: &JobRun) -> Option<Slowest> {
    let all = busy(job);
    let slowest = operators(job).max_by_key(|at| operator_time(at.operator))?;
    let taken = operator_time(slowest.operator);
    if taken.is_zero() {
        return None;
    }
    Some(Slowest {
        stage: slowest.stage,
        words: words(slowest),
        share: share(taken, all),
        evidence: format!("{} of {}{}", time(taken), time(all), did(slowest.operator)),
    })
}

/// What an operator has had to do, in numbers that its kind counts.
fn did(operator: &OperatorRun) -> String {
    let mut parts = Vec::new();
    if operator.metrics.contains_key("build_input_rows") {
        parts.push(format!("{} in its table", rows(operator.metric("build_input_rows"))));
        parts.push(format!("{} looked up", rows(operator.metric("input_rows"))));
    }
    if operator.scan.is_some() && operator.metric("bytes_scanned") > 0 {
        parts.push(format!("{} read", bytes(operator.metric("bytes_scanned"))));
    }
    if operator.metrics.contains_key("output_rows") {
        parts.push(format!("{} out", rows(operator.metric("output_rows"))));
    }
    parts.iter().map(|part| format!(", {part}")).collect()
}

/// An operator as findings name it. What stands for an edge is named after what it does.
fn words(at: At<'_>) -> String {
    let text = match (&at.operator.edge, at.operator.words.is_empty()) {
        (Some(_), _) => format!("moving rows into stage {}", at.stage),
        (None, true) => at.operator.name.clone(),
        (None, false) => at.operator.words.clone(),
    };
    cut(&text, WORDS_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_string(),
    }
}
