//! What is told of a statement that has run: why it took its time ([`why`]), and a page about it ([`page`]).

pub mod page;
pub mod why;

use std::time::Duration;

use crate::config::EngineKind;
use crate::scheduler::measure::OperatorRun;
use crate::scheduler::record::JobRun;

/// A statement that has run. Whoever makes it leaves out what may not be told.
#[derive(Debug, Clone)]
pub struct Ran {
    /// `None` if it is withheld.
    pub sql: Option<String>,
    /// The script that it stands in, and the line there.
    pub script: String,
    /// From 1.
    pub line: usize,
    /// How it ended.
    pub end: End,
    /// What ran it.
    pub engine: EngineKind,
    /// On how many threads.
    pub threads: usize,
    /// The most memory that all queries may take, in bytes.
    pub memory_limit: usize,
    /// From its start to its end; `None` if that has not come.
    pub took: Option<Duration>,
    /// From its start until its first job was there; `None` if there was none.
    pub planning: Option<Duration>,
    /// The graphs that it ran; a second if the first was refused memory.
    pub jobs: Vec<JobRun>,
}

/// How a statement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a result of so many rows.
    Rows(u64),
    /// It wrote so many rows.
    Written(u64),
    /// With an effect and no rows.
    Effect,
    /// With this error.
    Failed(String),
    /// It was stopped, for this reason.
    Stopped(String),
}

impl Ran {
    /// The time that tasks had a thread, in all jobs.
    pub fn busy(&self) -> Duration {
        self.jobs.iter().map(busy).sum()
    }

    /// What operators and edges have written to temporary files, in all jobs.
    pub fn spilled(&self) -> u64 {
        self.jobs.iter().map(spilled).sum()
    }

    /// The most memory that one of its jobs held.
    pub fn memory_peak(&self) -> usize {
        self.jobs.iter().map(|job| job.memory_peak).max().unwrap_or(0)
    }
}

/// The time that a job's tasks had a thread.
pub fn busy(job: &JobRun) -> Duration {
    job.stages.iter().map(|stage| stage.volume().busy).sum()
}

/// Bytes that a job's operators and edges have written to temporary files.
pub fn spilled(job: &JobRun) -> u64 {
    let operators: u64 = job.stages.iter().map(|stage| stage.spilled().0).sum();
    operators + job.edges.iter().map(|edge| edge.spilled_bytes).sum::<u64>()
}

/// When the last thing of a job happened that is known.
pub fn elapsed(job: &JobRun) -> Duration {
    let tasks = job.stages.iter().flat_map(|stage| &stage.tasks);
    let tasks = tasks.filter_map(|task| task.ended.map(|(at, _)| at).or(task.started.map(|(at, _)| at)));
    let samples = job.held.list().last().map(|sample| sample.at);
    job.end.map(|(at, _)| at).or_else(|| tasks.chain(samples).max()).unwrap_or_default()
}

/// The time that an operator has taken by itself, as far as it counts it. Scans count decoding apart.
pub fn operator_time(operator: &OperatorRun) -> Duration {
    let names: &[&str] = match (operator.edge, operator.scan.is_some()) {
        (Some(_), _) => &["repartition_time_ns"],
        (None, true) => &["time_elapsed_processing_ns", "elapsed_compute_ns"],
        (None, false) => &["elapsed_compute_ns"],
    };
    Duration::from_nanos(names.iter().map(|name| operator.metric(name)).max().unwrap_or(0))
}

/// A part of a whole, from 0 to 1.
pub(crate) fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { (part.as_secs_f64() / whole.as_secs_f64()).min(1.0) }
}
