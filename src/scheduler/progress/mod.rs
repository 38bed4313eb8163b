//! How far running jobs are, for whoever looks at them now and then.
//!
//! Nothing is counted for it but what operators count anyway; a job that nobody asks pays nothing.

mod estimate;
mod scan;
mod survey;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::physical_plan::ExecutionPlan;

use self::survey::{Survey, Totals};
use super::Job;
use super::job::JobId;
use super::state::Status;
use crate::graph::{Drawing, Notes, StageId, TaskGraph};

/// How far a job is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Which job.
    pub job: JobId,
    /// The part of its work that is done, from 0 to 1. It never goes back, and is 1 only when nothing runs any more.
    /// `None`: nobody knows how much work there is.
    pub fraction: Option<f64>,
    /// Rows that its scans have read.
    pub rows_read: u64,
    /// Bytes that it has written to disk because memory was short.
    pub spilled_bytes: u64,
    /// By id.
    pub stages: Vec<StageProgress>,
    /// Whether nothing of it runs any more.
    pub is_finished: bool,
}

/// How far a stage is. Of a stage that had ended before anybody asked, only that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageProgress {
    /// Where it is in its life.
    pub status: Status,
    /// Rows that it has read, from its scans and from other stages.
    pub rows_read: u64,
    /// Rows that it has given.
    pub rows: u64,
    /// Bytes that it, and the edges that it reads, have written to disk.
    pub spilled_bytes: u64,
}

/// The jobs that run, for [`Observers::running`](super::event::Observers::running). Copies share the list. It keeps
/// no job from going.
#[derive(Clone, Default)]
pub struct Running {
    jobs: Arc<Mutex<Vec<Weak<Job>>>>,
    with_graphs: bool,
}

impl Running {
    /// An empty list. `with_graphs`: its jobs can be drawn.
    pub fn new(with_graphs: bool) -> Self {
        Self { jobs: Arc::default(), with_graphs }
    }

    pub(super) fn add(&self, job: &Arc<Job>) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|job| job.strong_count() > 0);
        jobs.push(Arc::downgrade(job));
    }

    /// The jobs that are there, in the order in which they were submitted. Some may have ended.
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("with_graphs", &self.with_graphs).finish_non_exhaustive()
    }
}

/// A job's side of it.
pub(super) struct Watch {
    /// By edge, the stage that its rows come from.
    producers: Vec<StageId>,
    root: StageId,
    drawing: Option<Mutex<Drawing>>,
    /// Made when the job is first asked.
    survey: Mutex<Option<Survey>>,
}

/// A stage's plan, if it has not ended.
pub(super) type Plan = Option<Arc<dyn ExecutionPlan>>;

impl Watch {
    pub(super) fn new(graph: &TaskGraph, running: &Running) -> Self {
        Self {
            producers: graph.edges().iter().map(|edge| edge.from).collect(),
            root: graph.root(),
            drawing: running.with_graphs.then(|| Mutex::new(graph.drawing())),
            survey: Mutex::new(None),
        }
    }

    /// Asks all stages that run. The plans are those that there were a moment ago.
    pub(super) fn ask(&self, plans: &[Plan], statuses: &[Status]) -> (Option<f64>, Totals) {
        let mut survey = self.survey.lock().unwrap_or_else(PoisonError::into_inner);
        let survey = survey.get_or_insert_with(|| Survey::of(plans, &self.producers, self.root));
        for (stage, plan) in plans.iter().enumerate() {
            if let Some(plan) = plan
                && statuses.get(stage) != Some(&Status::Waiting)
            {
                survey.ask(stage, plan);
            }
        }
        (survey.settle(statuses), survey.totals())
    }

    /// Asks a stage for the last time: its plan is about to go.
    pub(super) fn ask_last(&self, stage: StageId, plan: &Arc<dyn ExecutionPlan>) {
        let mut survey = self.survey.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(survey) = survey.as_mut() {
            survey.ask(stage.index(), plan);
        }
    }

    pub(super) fn draw(&self, notes: &Notes, lines_max: usize, statuses: &[Status]) -> Vec<String> {
        let is_live =
            |stage: StageId| matches!(statuses.get(stage.index()), Some(Status::Running | Status::Stopping));
        let Some(drawing) = &self.drawing else { return Vec::new() };
        drawing.lock().unwrap_or_else(PoisonError::into_inner).lines(notes, lines_max, is_live)
    }
}
