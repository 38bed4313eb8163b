//! The history of jobs, put together from their records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::{Failure, Holding, Record, Volume, What, Worker};
use super::job::JobId;
use super::measure::{EdgeShape, JobShape, OperatorRun, StageShape};
use super::state::{Outcome, Status, TaskEnd};
use crate::graph::{Drawing, EdgeId, EdgeKind, Op, StageId, TaskId};

/// What is known of a job. All times count from when it was submitted.
#[derive(Debug, Clone)]
pub struct JobRun {
    /// Its number in the process.
    pub job: JobId,
    /// When it was submitted.
    pub submitted: Instant,
    /// The stage whose rows are its own.
    pub root: StageId,
    /// By id.
    pub stages: Vec<StageRun>,
    /// By id.
    pub edges: Vec<EdgeRun>,
    /// The most memory, in bytes, that all of it has held at a time.
    pub memory_peak: usize,
    /// What it held when.
    pub held: Samples,
    /// How its graph is drawn.
    pub drawing: Drawing,
    /// When it ended and how; `None` while something of it runs.
    pub end: Option<(Duration, Outcome)>,
}

/// What is known of a stage.
#[derive(Debug, Clone)]
pub struct StageRun {
    /// What it mainly does.
    pub op: Op,
    /// Where it is in its life.
    pub status: Status,
    /// When its tasks were started.
    pub started: Option<Duration>,
    /// When the last of them ended.
    pub ended: Option<Duration>,
    /// The most memory, in bytes, that its operators have held at a time.
    pub memory_peak: usize,
    /// Its operators, each before those that it reads.
    pub operators: Vec<OperatorRun>,
    /// By partition.
    pub tasks: Vec<TaskRun>,
}

/// What is known of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskRun {
    /// When it was first run, and where.
    pub started: Option<(Duration, Worker)>,
    /// When it ended and how. One that was stopped before it first ran has an end without a start.
    pub ended: Option<(Duration, TaskEnd)>,
    /// What it has handed on.
    pub volume: Volume,
    /// Why it failed, if it did.
    pub failure: Option<Arc<Failure>>,
}

/// What is known of an edge.
#[derive(Debug, Clone)]
pub struct EdgeRun {
    /// Which rows go where.
    pub kind: EdgeKind,
    /// The stage that makes the rows.
    pub from: StageId,
    /// The stage that reads them.
    pub to: StageId,
    /// Partitions on the reader's side.
    pub partitions: usize,
    /// What decides where a row goes, as `by …`; `None` if its values do not.
    pub keys: Option<String>,
    /// Bytes of the batches that went to disk.
    pub spilled_bytes: u64,
}

/// A spread of values over the tasks of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread<T> {
    /// The smallest.
    pub min: T,
    /// The one in the middle; the smaller of two.
    pub median: T,
    /// The largest.
    pub max: T,
}

impl<T: Copy + Ord> Spread<T> {
    /// `None` for no values.
    pub fn of(values: impl Iterator<Item = T>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        let median = *values.get(values.len().saturating_sub(1) / 2)?;
        Some(Self { min: *values.first()?, median, max: *values.last()? })
    }
}

impl JobRun {
    fn new(job: JobId, submitted: Instant, shape: &JobShape) -> Self {
        let stage = |stage: &StageShape| StageRun {
            op: stage.op,
            status: Status::Waiting,
            started: None,
            ended: None,
            memory_peak: 0,
            operators: stage.operators.clone(),
            tasks: vec![TaskRun::default(); stage.tasks],
        };
        let edge = |edge: &EdgeShape| {
            let EdgeShape { kind, from, to, partitions, keys } = edge.clone();
            EdgeRun { kind, from, to, partitions, keys, spilled_bytes: 0 }
        };
        Self {
            job,
            submitted,
            root: shape.root,
            stages: shape.stages.iter().map(stage).collect(),
            edges: shape.edges.iter().map(edge).collect(),
            memory_peak: 0,
            held: Samples::default(),
            drawing: shape.drawing.clone(),
            end: None,
        }
    }

    fn take(&mut self, at: Duration, what: What) {
        match what {
            What::Submitted(..) | What::Polled(..) => {}
            What::StageStarted(stage) => {
                let stage = &mut self.stages[stage.index()];
                (stage.started, stage.status) = (Some(at), Status::Running);
            }
            What::TaskStarted(task, worker) => self.task(task).started = Some((at, worker)),
            What::Failed(task, failure) => self.task(task).failure = Some(failure),
            What::TaskEnded(task, end, volume) => {
                let task = self.task(task);
                (task.ended, task.volume) = (Some((at, end)), volume);
            }
            What::StageStopped(stage) => self.stages[stage.index()].status = Status::Stopping,
            What::Measured(stage, measured) => {
                let stage = &mut self.stages[stage.index()];
                stage.operators.clone_from(&measured.operators);
                stage.memory_peak = measured.memory_peak;
            }
            What::StageEnded(stage, status) => {
                let stage = &mut self.stages[stage.index()];
                (stage.status, stage.ended) = (status, stage.started.map(|_| at));
            }
            What::Spilled(edge, bytes) => self.edges[edge.index()].spilled_bytes += bytes as u64,
            What::Held(holding) => self.held.add(at, holding),
            What::PeakMemory(bytes) => self.memory_peak = bytes,
            What::JobEnded(outcome) => self.end = Some((at, outcome)),
        }
    }

    fn task(&mut self, task: TaskId) -> &mut TaskRun {
        &mut self.stages[task.stage.index()].tasks[task.partition]
    }

    /// The rows that it has given.
    pub fn rows(&self) -> u64 {
        self.stages[self.root.index()].volume().rows
    }

    /// What stands for an edge in the stage that reads it: it has counted what went through.
    pub fn reader(&self, edge: EdgeId) -> Option<&OperatorRun> {
        let to = self.edges.get(edge.index())?.to;
        self.stages[to.index()].operators.iter().find(|operator| operator.edge == Some(edge))
    }

    /// The first task that failed, with its error.
    pub fn failure(&self) -> Option<(TaskId, &Failure)> {
        let tasks = self.stages.iter().enumerate().flat_map(|(stage, run)| {
            let stage = StageId::new(stage);
            run.tasks.iter().enumerate().map(move |(partition, task)| (TaskId { stage, partition }, task))
        });
        let failed = tasks.filter_map(|(id, task)| Some((task.ended?.0, id, task.failure.as_deref()?)));
        failed.min_by_key(|(at, id, _)| (*at, *id)).map(|(_, id, failure)| (id, failure))
    }
}

impl StageRun {
    /// What all its tasks have handed on.
    pub fn volume(&self) -> Volume {
        self.tasks.iter().fold(Volume::default(), |sum, task| Volume {
            rows: sum.rows + task.volume.rows,
            bytes: sum.bytes + task.volume.bytes,
            batches: sum.batches + task.volume.batches,
            busy: sum.busy + task.volume.busy,
        })
    }

    /// What its operators have written to disk: bytes and files. What its edges have is theirs.
    pub fn spilled(&self) -> (u64, u64) {
        let own = self.operators.iter().filter(|operator| operator.edge.is_none());
        own.fold((0, 0), |(bytes, files), operator| {
            (bytes + operator.metric("spilled_bytes"), files + operator.metric("spill_count"))
        })
    }
}

/// What was held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Since the job was submitted.
    pub at: Duration,
    /// What.
    pub held: Holding,
}

/// What was held over time, in so few samples that long runs can be kept: of neighbours the larger values stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    list: Vec<Sample>,
    /// So many that are told become one that is kept.
    per_sample: usize,
    /// Of these, so many are in the last one.
    in_last: usize,
}

impl Default for Samples {
    fn default() -> Self {
        Self { list: Vec::new(), per_sample: 1, in_last: 0 }
    }
}

impl Samples {
    /// Samples that are kept; there are half as many at least, once there have been so many.
    const MAX: usize = 2_048;

    /// By time.
    pub fn list(&self) -> &[Sample] {
        &self.list
    }

    fn add(&mut self, at: Duration, held: Holding) {
        match self.list.last_mut() {
            Some(last) if self.in_last < self.per_sample => {
                *last = larger(*last, Sample { at, held });
                self.in_last += 1;
            }
            Some(_) | None => {
                self.list.push(Sample { at, held });
                self.in_last = 1;
            }
        }
        if self.list.len() > Self::MAX {
            self.list = self.list.chunks(2).filter_map(|pair| pair.iter().copied().reduce(larger)).collect();
            (self.per_sample, self.in_last) = (self.per_sample * 2, self.per_sample);
        }
    }
}

fn larger(one: Sample, other: Sample) -> Sample {
    let memory = one.held.memory.max(other.held.memory);
    Sample { at: other.at, held: Holding { memory, temp: one.held.temp.max(other.held.temp) } }
}

/// The jobs of a process, or of a part of what it does, in the order in which they were submitted.
#[derive(Debug, Default)]
pub struct History {
    jobs: Vec<JobRun>,
}

impl History {
    /// Takes note of what has happened. What belongs to a job whose beginning is not known is dropped.
    pub fn take(&mut self, record: Record) {
        let Record { job, at, what } = record;
        if let What::Submitted(submitted, shape) = &what {
            self.jobs.push(JobRun::new(job, *submitted, shape));
        } else if let Some(run) = self.jobs.iter_mut().rev().find(|run| run.job == job) {
            run.take(at, what);
        }
    }

    /// The jobs.
    pub fn jobs(&self) -> &[JobRun] {
        &self.jobs
    }

    /// Forgets the jobs until now. What they still do is dropped.
    pub fn clear(&mut self) {
        self.jobs.clear();
    }

    /// Whether nothing of any job runs any more.
    pub fn is_over(&self) -> bool {
        self.jobs.iter().all(|run| run.end.is_some())
    }
}
