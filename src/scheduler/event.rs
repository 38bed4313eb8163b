//! What happens in a job, for whoever wants to know.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc};

use super::job::JobId;
use super::measure::{JobShape, Measured};
use super::progress::Running;
use super::state::{Outcome, Status, TaskEnd};
use crate::graph::{EdgeId, StageId, TaskId};

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// In which job.
    pub job: JobId,
    /// When, since the job was submitted.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What can happen in a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The job was made, at this time. The first record of a job; told to those only who get every record.
    Submitted(Instant, Arc<JobShape>),
    /// The tasks of a stage were started.
    StageStarted(StageId),
    /// A task was first run, on a worker.
    TaskStarted(TaskId, Worker),
    /// A task was run for a while, and let go of its thread. Told only if it was asked for.
    Polled(TaskId, Worker, Poll),
    /// A task has failed.
    Failed(TaskId, Arc<Failure>),
    /// A task came to its end.
    TaskEnded(TaskId, TaskEnd, Volume),
    /// The tasks of a stage were told to stop: nobody wants their rows any more.
    StageStopped(StageId),
    /// What the operators of a stage have counted; told before the stage's end, to those only who get every record.
    Measured(StageId, Arc<Measured>),
    /// The last task of a stage has ended.
    StageEnded(StageId, Status),
    /// An edge has written a batch of so many bytes to disk.
    Spilled(EdgeId, usize),
    /// What the job holds now; told every few milliseconds at most, to those only who get every record.
    Held(Holding),
    /// The most memory, in bytes, that the job has held at a time; told before the job's end, to those only who get
    /// every record.
    PeakMemory(usize),
    /// Nothing of the job runs any more.
    JobEnded(Outcome),
}

/// What a task has handed on, and the time that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// Rows.
    pub rows: u64,
    /// Bytes that their arrays take.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
    /// The time that it had a thread; measured for those only who get every record.
    pub busy: Duration,
}

/// One turn of a task on a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// How long it took; it ended when the record says.
    pub took: Duration,
    /// Rows that the task has handed on until now.
    pub rows: u64,
    /// Bytes that the job holds now.
    pub memory: usize,
}

/// What is held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// Bytes of memory that the job holds.
    pub memory: usize,
    /// Bytes of the temporary files of all jobs that share them; 0 where nobody counts them.
    pub temp: u64,
}

/// Tells how many bytes temporary files take.
#[derive(Clone)]
pub struct TempGauge(pub Arc<dyn Fn() -> u64 + Send + Sync>);

impl fmt::Debug for TempGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TempGauge")
    }
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The operator that the error comes from, where it is known.
    pub operator: Option<Arc<str>>,
    /// The engine's words.
    pub message: String,
}

/// A thread that polls tasks, by its number in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker(pub u32);

/// Where records of what happens go.
#[derive(Debug, Clone, Default)]
pub struct Observers {
    /// Get every record, in order.
    pub every: Vec<mpsc::UnboundedSender<Record>>,
    /// May miss some when it is slow: for live views.
    pub live: Option<broadcast::Sender<Record>>,
    /// Has each job, and asks it when it wants to know how far it is.
    pub running: Option<Running>,
    /// How much those that get every record get to know.
    pub detail: Detail,
    /// Where the size of temporary files is asked for.
    pub temp: Option<TempGauge>,
}

/// How much a job tells. What is not told is not measured either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Detail {
    /// What was started, stopped and ended, with its rows and bytes.
    #[default]
    Transitions,
    /// Also what the operators have counted, how long tasks were busy, and how much memory was held when.
    Measures,
    /// Also each poll of a task.
    Polls,
}

impl Observers {
    /// Whether anybody listens.
    pub fn any(&self) -> bool {
        self.live.is_some() || !self.every.is_empty()
    }

    /// Whether somebody wants times and memory to be measured.
    pub(super) fn measure(&self) -> bool {
        !self.every.is_empty() && self.detail >= Detail::Measures
    }

    /// Whether somebody wants to know of each poll.
    pub(super) fn polls(&self) -> bool {
        !self.every.is_empty() && self.detail >= Detail::Polls
    }

    /// Tells all of them. Those that have gone are told in vain.
    pub(super) fn tell(&self, record: Record) {
        if let Some(live) = &self.live {
            let _ = live.send(record.clone());
        }
        if let Some((last, others)) = self.every.split_last() {
            for every in others {
                let _ = every.send(record.clone());
            }
            let _ = last.send(record);
        }
    }
}
