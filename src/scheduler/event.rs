//! What happens in a job, for whoever wants to know.

use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::state::{Outcome, Status, TaskEnd};
use crate::graph::{EdgeId, StageId, TaskId};

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, since the job was submitted.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What can happen in a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The tasks of a stage were started.
    StageStarted(StageId),
    /// A task was first run, on a worker.
    TaskStarted(TaskId, Worker),
    /// A task came to its end, having handed on so many rows and bytes.
    TaskEnded(TaskId, TaskEnd, Volume),
    /// The tasks of a stage were told to stop: nobody wants their rows any more.
    StageStopped(StageId),
    /// The last task of a stage has ended.
    StageEnded(StageId, Status),
    /// An edge has written a batch of so many bytes to disk.
    Spilled(EdgeId, usize),
    /// Nothing of the job runs any more.
    JobEnded(Outcome),
}

/// Rows and their size in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// Rows.
    pub rows: u64,
    /// Bytes that their arrays take.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
}

/// A thread that polls tasks, by its number in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker(pub u32);

/// Where records of what happens go.
#[derive(Debug, Clone, Default)]
pub struct Observers {
    /// Gets every record, in order.
    pub every: Option<mpsc::UnboundedSender<Record>>,
    /// May miss some when it is slow: for live views.
    pub live: Option<broadcast::Sender<Record>>,
}

impl Observers {
    /// Whether anybody listens.
    pub fn any(&self) -> bool {
        self.every.is_some() || self.live.is_some()
    }

    /// Tells all of them. Those that have gone are told in vain.
    pub(super) fn tell(&self, record: Record) {
        if let Some(live) = &self.live {
            let _ = live.send(record.clone());
        }
        if let Some(every) = &self.every {
            let _ = every.send(record);
        }
    }
}
