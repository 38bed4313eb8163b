//! The document of `--trace`: what each worker did when, in the trace event format of Chrome.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::document::unwritable;
use crate::error::Result;
use crate::graph::TaskId;
use crate::scheduler::JobId;
use crate::scheduler::event::{Record, What, Worker};
use crate::scheduler::record::History;

/// Turns of a task that follow each other this closely are one slice.
const GAP_MAX: Duration = Duration::from_micros(20);
/// A counter has a value this often at most.
const SAMPLE: Duration = Duration::from_millis(1);
/// Slices that are kept: more than a viewer can show.
const SLICES_MAX: usize = 2_000_000;
/// The one process of a trace.
const PROCESS: u32 = 1;

/// What workers did. Times count from the start of the run.
pub(super) struct Trace {
    began: Instant,
    /// When jobs were submitted.
    submitted: HashMap<JobId, Duration>,
    /// The last slice of each worker, which may go on.
    open: HashMap<Worker, Slice>,
    slices: Vec<Slice>,
    /// Slices that came when there were too many.
    dropped: u64,
    held: HashMap<JobId, usize>,
    roots: HashMap<TaskKey, u64>,
    root_of: HashMap<JobId, usize>,
    samples: Vec<Sample>,
}

type TaskKey = (JobId, usize, usize);

/// A task on a worker, for a while.
#[derive(Debug, Clone, Copy)]
struct Slice {
    job: JobId,
    task: TaskId,
    worker: Worker,
    start: Duration,
    end: Duration,
    turns: u32,
}

/// The counters at a time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    memory: usize,
    rows: u64,
}

impl Trace {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            submitted: HashMap::new(),
            open: HashMap::new(),
            slices: Vec::new(),
            dropped: 0,
            held: HashMap::new(),
            roots: HashMap::new(),
            root_of: HashMap::new(),
            samples: Vec::new(),
        }
    }

    /// Takes note of what has happened.
    pub(super) fn take(&mut self, record: &Record) {
        let job = record.job;
        if let What::Submitted(at, shape) = &record.what {
            self.submitted.insert(job, at.saturating_duration_since(self.began));
            self.root_of.insert(job, shape.root.index());
        }
        let Some(submitted) = self.submitted.get(&job) else { return };
        let end = *submitted + record.at;
        match &record.what {
            What::Polled(task, worker, poll) => {
                let start = end.saturating_sub(poll.took);
                self.slice(Slice { job, task: *task, worker: *worker, start, end, turns: 1 });
                self.held.insert(job, poll.memory);
                if self.root_of.get(&job) == Some(&task.stage.index()) {
                    self.roots.insert((job, task.stage.index(), task.partition), poll.rows);
                }
                self.sample(end, false);
            }
            What::JobEnded(_) => {
                self.held.remove(&job);
                self.sample(end, true);
            }
            What::Submitted(..)
            | What::StageStarted(_)
            | What::TaskStarted(..)
            | What::Failed(..)
            | What::TaskEnded(..)
            | What::StageStopped(_)
            | What::Measured(..)
            | What::StageEnded(..)
            | What::Spilled(..)
            | What::Held(_)
            | What::PeakMemory(_) => {}
        }
    }

    fn slice(&mut self, next: Slice) {
        if let Some(open) = self.open.get_mut(&next.worker) {
            let follows = next.start.saturating_sub(open.end) <= GAP_MAX;
            if open.job == next.job && open.task == next.task && follows {
                open.end = next.end;
                open.turns += 1;
                return;
            }
        }
        let worker = next.worker;
        if let Some(closed) = self.open.insert(worker, next) {
            self.keep(closed);
        }
    }

    fn keep(&mut self, slice: Slice) {
        match self.slices.len() < SLICES_MAX {
            true => self.slices.push(slice),
            false => self.dropped += 1,
        }
    }

    fn sample(&mut self, at: Duration, is_last: bool) {
        let is_due = self.samples.last().is_none_or(|last| at.saturating_sub(last.at) >= SAMPLE);
        if (is_due || is_last) && self.samples.len() < SLICES_MAX {
            let (memory, rows) = (self.held.values().sum(), self.roots.values().sum());
            self.samples.push(Sample { at, memory, rows });
        }
    }

    /// The document. What stages mainly do is in the history.
    pub(super) fn json(mut self, history: &History) -> Result<Vec<u8>> {
        for (_, slice) in std::mem::take(&mut self.open) {
            self.keep(slice);
        }
        self.slices.sort_by_key(|slice| (slice.start, slice.worker));
        self.samples.sort_by_key(|sample| sample.at);
        let workers: BTreeSet<_> = self.slices.iter().map(|slice| slice.worker).collect();
        let mut events = vec![named("process_name", 0, "query")];
        events.extend(
            workers
                .iter()
                .map(|worker| named("thread_name", track(*worker), &format!("worker {}", worker.0))),
        );
        events.extend(self.slices.iter().map(|slice| shown(slice, history)));
        for Sample { at, memory, rows } in &self.samples {
            events.push(counter("memory reserved", *at, json!({ "bytes": memory })));
            events.push(counter("rows out", *at, json!({ "rows": rows })));
        }
        let other = json!({ "version": env!("CARGO_PKG_VERSION"), "dropped_slices": self.dropped });
        let document = json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": other });
        let mut bytes = serde_json::to_vec(&document).map_err(unwritable)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Viewers take a track with the number of its process for the main thread, and 0 for none.
fn track(worker: Worker) -> u32 {
    worker.0.saturating_add(PROCESS + 1)
}

fn shown(slice: &Slice, history: &History) -> Value {
    let Slice { job, task, worker, start, end, turns } = *slice;
    let TaskId { stage, partition } = task;
    let run = history.jobs().iter().find(|run| run.job == job);
    let op = run.map_or("", |run| run.stages[stage.index()].op.name());
    json!({
        "ph": "X",
        "name": format!("{op} {}.{partition}", stage.index()),
        "cat": op,
        "pid": PROCESS,
        "tid": track(worker),
        "ts": micros(start),
        "dur": micros(end.saturating_sub(start)),
        "args": {
            "job": job.number(), "stage": stage.index(), "op": op, "partition": partition, "turns": turns,
        },
    })
}

fn counter(name: &str, at: Duration, args: Value) -> Value {
    json!({ "ph": "C", "name": name, "pid": PROCESS, "tid": 0, "ts": micros(at), "args": args })
}

fn named(what: &str, track: u32, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": PROCESS, "tid": track, "args": { "name": name } })
}

/// With the parts of a microsecond: rounded, slices would overlap.
fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
