//! What runs and what does not, as a pure function of events: no clock, no thread, no I/O, nothing random.
//!
//! Stages are started when somebody wants their rows, and stopped when nobody does any more. Both go against the
//! direction of the rows, from the root to the scans:
//!
//! ```text
//!                    Wanted                  Wanted
//!      ┌──────┐ ◀────────────── ┌──────┐ ◀────────────── ┌──────┐
//!      │ scan │                 │ join │                 │ root │ ──▶ results
//!      └──────┘ ──────────────▶ └──────┘ ──────────────▶ └──────┘
//!                     rows                    rows
//! ```
//!
//! After the worker state machine of Dask's `distributed`: events in, actions out, invariants in code
//! ([`State::validate`]).

use crate::graph::{EdgeId, StageId, TaskGraph, TaskId, Transport};

/// Something that has happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It begins.
    Start,
    /// The reader of an edge wants its rows: for the first time, or again.
    Wanted(EdgeId),
    /// The reader of an edge is done with one of its output partitions.
    Closed(EdgeId),
    /// Whoever reads the results is done with one of their partitions.
    ResultsClosed,
    /// A task is over.
    Ended(TaskId, TaskEnd),
    /// Nobody wants any of it any more.
    Cancel,
}

/// How a task came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    /// All its rows are handed on, or nobody wants more of them.
    Done,
    /// By an error, which is handed on in the place of rows.
    Failed,
    /// It was stopped, or what it reads was.
    Stopped,
}

/// Something that is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start all tasks of a stage.
    Admit(StageId),
    /// Stop the tasks of a stage.
    Stop(StageId),
    /// Let go of what is kept for the reader of an edge: it takes no more, of any partition, opened or not.
    Release(EdgeId),
    /// A stage has ended: its last task has.
    Over(StageId, Status),
    /// Nothing of the job runs any more, and nothing will.
    Finish(Outcome),
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All results were handed over, or all that were wanted.
    Done,
    /// By an error.
    Failed,
    /// By being cancelled.
    Cancelled,
}

/// Where a stage is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has wanted its rows yet.
    Waiting,
    /// Its tasks run.
    Running,
    /// Its tasks are told to stop.
    Stopping,
    /// All its tasks have ended, none by an error.
    Done,
    /// All its tasks have ended, one of them by an error.
    Failed,
    /// All its tasks have ended, some before their rows did.
    Stopped,
    /// It never ran, and nobody can want it any more.
    Skipped,
}

impl Status {
    /// Whether nothing can happen to the stage any more.
    pub fn is_over(self) -> bool {
        match self {
            Self::Waiting | Self::Running | Self::Stopping => false,
            Self::Done | Self::Failed | Self::Stopped | Self::Skipped => true,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Skipped => "skipped",
        }
    }
}

/// A job's stages and how far each has come.
#[derive(Debug, Clone)]
pub struct State {
    stages: Vec<StageState>,
    edges: Vec<EdgeState>,
    root: usize,
    /// Result partitions that are still read.
    results_open: usize,
    has_started: bool,
    is_cancelled: bool,
    is_finished: bool,
    /// Stages that run or are told to stop.
    live_stages: usize,
    /// Edges that are about to be closed; empty between events.
    closing: Vec<usize>,
}

#[derive(Debug, Clone)]
struct StageState {
    status: Status,
    partitions: usize,
    /// Tasks that have not ended, of a stage that was started.
    live: usize,
    has_failed: bool,
    /// Whether a task was stopped before its end.
    was_stopped: bool,
    inputs: Vec<usize>,
    /// Edges out of it with an output partition that is still read.
    outputs_open: usize,
}

#[derive(Debug, Clone)]
struct EdgeState {
    from: usize,
    /// Output partitions that are still read, or may be.
    open: usize,
    /// Whether rows are kept for it, beside those for other readers.
    is_kept: bool,
}

impl State {
    /// The state before [`Event::Start`] of a job whose results are read in so many partitions.
    pub fn new(graph: &TaskGraph, results: usize) -> Self {
        let stages = graph.stages().iter().map(|stage| StageState {
            status: Status::Waiting,
            partitions: stage.partitions,
            live: 0,
            has_failed: false,
            was_stopped: false,
            inputs: stage.inputs.iter().map(|edge| edge.index()).collect(),
            outputs_open: stage.outputs.len(),
        });
        let edges = graph.edges().iter().map(|edge| EdgeState {
            from: edge.from.index(),
            open: edge.output_partitions(),
            is_kept: edge.transport == Transport::Materialized,
        });
        Self {
            stages: stages.collect(),
            edges: edges.collect(),
            root: graph.root().index(),
            results_open: results,
            has_started: false,
            is_cancelled: false,
            is_finished: false,
            live_stages: 0,
            closing: Vec::new(),
        }
    }

    /// Takes note of what has happened; what is to be done comes in the order in which to do it.
    ///
    /// Events that come late (of a stage that is over, of an edge that is closed) are right at any time, and
    /// change nothing.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Start => {
                if !self.has_started && !self.is_cancelled {
                    self.admit(self.root, &mut actions);
                }
                self.has_started = true;
            }
            Event::Wanted(edge) => self.wanted(edge.index(), &mut actions),
            Event::Closed(edge) => {
                let closes = self.edges.get(edge.index()).map(|edge| edge.open) == Some(1);
                match closes {
                    true => {
                        self.closing.push(edge.index());
                        self.close(&mut actions);
                    }
                    false => self.edges[edge.index()].open = self.edges[edge.index()].open.saturating_sub(1),
                }
            }
            Event::ResultsClosed => {
                self.results_open = self.results_open.saturating_sub(1);
                if self.results_open == 0 {
                    self.unwanted(self.root, &mut actions);
                    self.close(&mut actions);
                }
            }
            Event::Ended(task, end) => self.ended(task.stage.index(), end, &mut actions),
            Event::Cancel => self.cancel(&mut actions),
        }
        self.finish(&mut actions);
        actions
    }

    fn wanted(&mut self, edge: usize, actions: &mut Vec<Action>) {
        let EdgeState { from, open, .. } = self.edges[edge];
        if open > 0 && self.stages[from].status == Status::Waiting {
            self.admit(from, actions);
        }
    }

    fn admit(&mut self, stage: usize, actions: &mut Vec<Action>) {
        let state = &mut self.stages[stage];
        state.status = Status::Running;
        state.live = state.partitions;
        self.live_stages += 1;
        actions.push(Action::Admit(StageId::new(stage)));
        if self.stages[stage].partitions == 0 {
            self.over(stage, actions);
        }
    }

    fn ended(&mut self, stage: usize, end: TaskEnd, actions: &mut Vec<Action>) {
        let state = &mut self.stages[stage];
        if state.live == 0 {
            return;
        }
        state.live -= 1;
        let is_last = state.live == 0;
        state.was_stopped |= end == TaskEnd::Stopped;
        match end {
            TaskEnd::Done => {}
            TaskEnd::Failed => state.has_failed = true,
            // Not by this state, which would have it stopping: what it reads was stopped, or its thread is about to end.
            TaskEnd::Stopped if state.status == Status::Running => {
                self.unwanted(stage, actions);
                self.close(actions);
            }
            TaskEnd::Stopped => {}
        }
        if is_last {
            self.over(stage, actions);
        }
    }

    /// A stage's last task has ended: it reads nothing any more.
    fn over(&mut self, stage: usize, actions: &mut Vec<Action>) {
        let state = &mut self.stages[stage];
        // One that was told to stop may have come to its end by itself.
        state.status = match (state.has_failed, state.was_stopped) {
            (true, _) => Status::Failed,
            (false, true) => Status::Stopped,
            (false, false) => Status::Done,
        };
        actions.push(Action::Over(StageId::new(stage), state.status));
        self.live_stages -= 1;
        self.closing.extend_from_slice(&state.inputs);
        self.close(actions);
    }

    /// Closes the edges that are about to be, for good. Producers that have no reader left are stopped, and so on up
    /// to the scans.
    fn close(&mut self, actions: &mut Vec<Action>) {
        while let Some(edge) = self.closing.pop() {
            let EdgeState { from, open, is_kept } = &mut self.edges[edge];
            if *open == 0 {
                continue;
            }
            *open = 0;
            let producer = *from;
            // What is not kept goes with its one reader, or with the job.
            if *is_kept {
                actions.push(Action::Release(EdgeId::new(edge)));
            }
            self.stages[producer].outputs_open -= 1;
            if self.stages[producer].outputs_open == 0 {
                self.unwanted(producer, actions);
            }
        }
    }

    /// A stage that nobody reads any more. The edges that it reads are about to be closed then.
    fn unwanted(&mut self, stage: usize, actions: &mut Vec<Action>) {
        let state = &mut self.stages[stage];
        match state.status {
            Status::Waiting => state.status = Status::Skipped,
            Status::Running => {
                state.status = Status::Stopping;
                actions.push(Action::Stop(StageId::new(stage)));
            }
            Status::Stopping | Status::Done | Status::Failed | Status::Stopped | Status::Skipped => {
                return;
            }
        }
        self.closing.extend_from_slice(&state.inputs);
    }

    fn cancel(&mut self, actions: &mut Vec<Action>) {
        if self.is_cancelled || self.is_finished {
            return;
        }
        // A root that has handed over everything is no cancelled one.
        self.is_cancelled = !self.stages[self.root].status.is_over();
        self.results_open = 0;
        self.unwanted(self.root, actions);
        self.close(actions);
    }

    fn finish(&mut self, actions: &mut Vec<Action>) {
        if self.is_finished || self.live_stages > 0 || !self.stages[self.root].status.is_over() {
            return;
        }
        self.is_finished = true;
        let outcome = match self.stages[self.root].status {
            _ if self.is_cancelled => Outcome::Cancelled,
            Status::Failed => Outcome::Failed,
            _ => Outcome::Done,
        };
        actions.push(Action::Finish(outcome));
    }

    /// Where a stage is in its life.
    pub fn status(&self, stage: StageId) -> Status {
        self.stages[stage.index()].status
    }

    /// Tasks of a stage that have not ended.
    pub fn live(&self, stage: StageId) -> usize {
        self.stages[stage.index()].live
    }

    /// Whether nothing runs any more, and nothing will.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// What must be true after every event.
    ///
    /// # Errors
    /// The invariant that is broken, in words.
    pub fn validate(&self) -> Result<(), String> {
        for (index, stage) in self.stages.iter().enumerate() {
            let fail = |what: &str| Err(format!("stage {index} ({}): {what}", stage.status.name()));
            let is_live = matches!(stage.status, Status::Running | Status::Stopping);
            if is_live != (stage.live > 0) {
                return fail("its live tasks do not fit its status");
            }
            if stage.live > stage.partitions {
                return fail("it has more tasks than partitions");
            }
            if stage.status != Status::Running && stage.status != Status::Waiting {
                let reads = stage.inputs.iter().find(|edge| self.edges[**edge].open > 0);
                if let Some(edge) = reads {
                    return fail(&format!("it still reads edge {edge}"));
                }
            }
            let open = self.edges.iter().filter(|edge| edge.from == index && edge.open > 0).count();
            if open != stage.outputs_open {
                return fail("its open edges are miscounted");
            }
            let is_read = open > 0 || index == self.root && self.results_open > 0;
            if stage.status == Status::Running && !is_read {
                return fail("it runs for nobody");
            }
            if self.is_finished && !stage.status.is_over() {
                return fail("it is left behind by a job that is over");
            }
        }
        let live = self.stages.iter().filter(|stage| stage.live > 0).count();
        match live == self.live_stages {
            true => Ok(()),
            false => Err(format!("{live} stages are live, {} are counted", self.live_stages)),
        }
    }
}

#[cfg(test)]
mod tests;
