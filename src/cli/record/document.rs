//! The document of `--record`; docs/records.md describes it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{End, Entry, Pages, micros, told};
use crate::cli::execute::Done;
use crate::cli::secrets::has_secret;
use crate::error::{Error, Result};
use crate::graph::{EdgeId, StageId, TaskId};
use crate::scheduler::measure::OperatorRun;
use crate::scheduler::record::{EdgeRun, JobRun, Spread, StageRun, TaskRun};
use crate::scheduler::state::{Outcome, TaskEnd};

/// Grows when something is taken out of the document, or changes its meaning.
const FORMAT_VERSION: u32 = 1;

/// A run. All `…_us` are microseconds; starts and ends count from the start of the run.
#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    query_version: &'static str,
    started_unix_ms: u64,
    duration_us: u64,
    outcome: &'static str,
    exit_code: u8,
    errors: &'a [String],
    statements: Vec<Statement<'a>>,
}

#[derive(Serialize)]
struct Statement<'a> {
    script: &'a str,
    line: usize,
    sql: Option<&'a str>,
    sql_withheld: bool,
    outcome: &'static str,
    error: Option<String>,
    rows: Option<u64>,
    rows_written: Option<u64>,
    start_us: u64,
    duration_us: Option<u64>,
    engine: &'static str,
    threads: usize,
    jobs: Vec<Job<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    job: u64,
    outcome: &'static str,
    failure: Option<FailedTask<'a>>,
    start_us: u64,
    duration_us: Option<u64>,
    rows: u64,
    peak_memory_bytes: usize,
    root: usize,
    stages: Vec<Stage<'a>>,
    edges: Vec<Edge>,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct FailedTask<'a> {
    stage: usize,
    op: &'static str,
    task: usize,
    tasks: usize,
    operator: Option<&'a str>,
    message: String,
}

#[derive(Serialize)]
struct Stage<'a> {
    id: usize,
    op: &'static str,
    status: &'static str,
    tasks: usize,
    start_us: Option<u64>,
    end_us: Option<u64>,
    rows: u64,
    bytes: u64,
    batches: u64,
    busy_us: u64,
    task_busy_us: Option<MinMax>,
    task_rows: Option<MinMax>,
    spilled_bytes: u64,
    spilled_files: u64,
    peak_memory_bytes: usize,
    operators: Vec<Operator<'a>>,
}

#[derive(Serialize)]
struct MinMax {
    min: u64,
    median: u64,
    max: u64,
}

#[derive(Serialize)]
struct Operator<'a> {
    name: &'a str,
    text: &'a str,
    edge: Option<usize>,
    metrics: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Edge {
    id: usize,
    kind: &'static str,
    from: usize,
    to: usize,
    partitions: usize,
    rows: u64,
    bytes: u64,
    spilled_bytes: u64,
    spilled_files: u64,
}

#[derive(Serialize)]
struct Task {
    stage: usize,
    partition: usize,
    status: &'static str,
    worker: Option<u32>,
    start_us: Option<u64>,
    end_us: Option<u64>,
    busy_us: u64,
    rows: u64,
    bytes: u64,
    batches: u64,
}

/// The document about everything until now.
pub(super) fn json(pages: &Pages, exit_code: u8) -> Result<Vec<u8>> {
    let statements: Vec<_> = pages.statements.iter().map(|entry| statement(pages, entry)).collect();
    let has = |outcome: &str| statements.iter().any(|statement| statement.outcome == outcome);
    let outcome = match () {
        () if has("cancelled") => "cancelled",
        () if has("failed") || exit_code != 0 => "failed",
        () => "done",
    };
    let since = pages.began_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let document = Document {
        format_version: FORMAT_VERSION,
        query_version: env!("CARGO_PKG_VERSION"),
        started_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        duration_us: micros(pages.began.elapsed()),
        outcome,
        exit_code,
        errors: &pages.errors,
        statements,
    };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(unwritable)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What cannot happen: there is nothing in the documents that JSON has no form for.
pub(super) fn unwritable(error: serde_json::Error) -> Error {
    Error::Internal { message: error.to_string() }
}

fn statement<'a>(pages: &'a Pages, entry: &'a Entry) -> Statement<'a> {
    let (outcome, error) = match &entry.end {
        End::Done(_) => ("done", None),
        End::Failed(message) => ("failed", Some(message.clone())),
        End::Cancelled(message) => {
            ("cancelled", Some(message.clone().unwrap_or_else(|| "the run was stopped".into())))
        }
    };
    let (rows, rows_written) = match &entry.end {
        End::Done(Done::Rows(rows)) => (Some(*rows as u64), None),
        End::Done(Done::Written(rows)) => (None, Some(*rows)),
        End::Done(Done::Effect) | End::Failed(_) | End::Cancelled(_) => (None, None),
    };
    Statement {
        script: &entry.script,
        line: entry.line,
        sql: entry.sql.as_deref(),
        sql_withheld: entry.sql.is_none(),
        outcome,
        // Errors quote what they are about.
        error: error.filter(|_| entry.sql.is_some()),
        rows,
        rows_written,
        start_us: micros(entry.start),
        duration_us: entry.took.map(micros),
        engine: entry.options.engine.name(),
        threads: entry.options.threads.get(),
        jobs: entry.jobs_of(pages).iter().map(|run| job(pages, run, entry.sql.is_none())).collect(),
    }
}

/// `is_secret`: nothing may be quoted of it.
fn job<'a>(pages: &Pages, run: &'a JobRun, is_secret: bool) -> Job<'a> {
    let base = run.submitted.saturating_duration_since(pages.began);
    let outcome = match run.end {
        None => "running",
        Some((_, Outcome::Done)) => "done",
        Some((_, Outcome::Failed)) => "failed",
        Some((_, Outcome::Cancelled)) => "cancelled",
    };
    let stages = run.stages.iter().enumerate();
    let tasks = stages.clone().flat_map(|(stage, of)| {
        of.tasks.iter().enumerate().map(move |(partition, run)| task(base, stage, partition, run))
    });
    Job {
        job: run.job.number(),
        outcome,
        failure: run.failure().map(|(task, failure)| FailedTask {
            message: if is_secret { String::new() } else { told(failure.message.clone()) },
            ..failed_task(run, task, failure.operator.as_deref())
        }),
        start_us: micros(base),
        duration_us: run.end.map(|(at, _)| micros(at)),
        rows: run.rows(),
        peak_memory_bytes: run.memory_peak,
        root: run.root.index(),
        tasks: tasks.collect(),
        stages: stages.map(|(id, of)| stage(base, id, of, is_secret)).collect(),
        edges: run.edges.iter().enumerate().map(|(id, of)| edge(run, id, of)).collect(),
    }
}

fn failed_task<'a>(run: &JobRun, task: TaskId, operator: Option<&'a str>) -> FailedTask<'a> {
    let TaskId { stage, partition } = task;
    let of = &run.stages[StageId::index(stage)];
    FailedTask {
        stage: stage.index(),
        op: of.op.name(),
        task: partition,
        tasks: of.tasks.len(),
        operator,
        message: String::new(),
    }
}

fn stage(base: Duration, id: usize, run: &StageRun, is_secret: bool) -> Stage<'_> {
    let volume = run.volume();
    let (spilled_bytes, spilled_files) = run.spilled();
    Stage {
        id,
        op: run.op.name(),
        status: run.status.name(),
        tasks: run.tasks.len(),
        start_us: run.started.map(|at| micros(base + at)),
        end_us: run.ended.map(|at| micros(base + at)),
        rows: volume.rows,
        bytes: volume.bytes,
        batches: volume.batches,
        busy_us: micros(volume.busy),
        task_busy_us: spread(run.tasks.iter().map(|task| micros(task.volume.busy))),
        task_rows: spread(run.tasks.iter().map(|task| task.volume.rows)),
        spilled_bytes,
        spilled_files,
        peak_memory_bytes: run.memory_peak,
        operators: run.operators.iter().map(|of| operator(of, is_secret)).collect(),
    }
}

fn spread(values: impl Iterator<Item = u64>) -> Option<MinMax> {
    let Spread { min, median, max } = Spread::of(values)?;
    Some(MinMax { min, median, max })
}

fn operator(run: &OperatorRun, is_secret: bool) -> Operator<'_> {
    let text = if is_secret || has_secret(&run.text) { &run.name } else { &run.text };
    Operator { name: &run.name, text, edge: run.edge.map(EdgeId::index), metrics: &run.metrics }
}

fn edge(job: &JobRun, id: usize, run: &EdgeRun) -> Edge {
    let metric = |name| job.reader(EdgeId::new(id)).map_or(0, |reader| reader.metric(name));
    Edge {
        id,
        kind: run.kind.name(),
        from: run.from.index(),
        to: run.to.index(),
        partitions: run.partitions,
        rows: metric("output_rows"),
        bytes: metric("output_bytes"),
        spilled_bytes: run.spilled_bytes,
        spilled_files: metric("spill_count"),
    }
}

fn task(base: Duration, stage: usize, partition: usize, run: &TaskRun) -> Task {
    let status = match (run.started, run.ended) {
        (_, Some((_, TaskEnd::Done))) => "done",
        (_, Some((_, TaskEnd::Failed))) => "failed",
        (_, Some((_, TaskEnd::Stopped))) => "stopped",
        (Some(_), None) => "running",
        (None, None) => "waiting",
    };
    Task {
        stage,
        partition,
        status,
        worker: run.started.map(|(_, worker)| worker.0),
        start_us: run.started.map(|(at, _)| micros(base + at)),
        end_us: run.ended.map(|(at, _)| micros(base + at)),
        busy_us: micros(run.volume.busy),
        rows: run.volume.rows,
        bytes: run.volume.bytes,
        batches: run.volume.batches,
    }
}
