//! One run of a graph: carries out what the state machine decides.

mod task;
mod waking;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};

use super::event::{Holding, Observers, Record, What};
use super::exchange::{Control, Exchange, Output, Reader, Store};
use super::inline::Step;
use super::measure::{JobShape, Measured, operators};
use super::progress::{Progress, Watch};
use super::state::{Action, Event, Outcome, State, Status};
use super::watch::{Gauge, watched};
use super::{Engine, Stopper};
use crate::graph::{Edge, EdgeId, EdgeReader, Notes, Op, Stage, StageId, TaskGraph, TaskId, Transport};

/// Tasks polled from one poll of the results, without threads of their own. The runtime gives each of its polls a
/// budget, and an operator that has used it up says that it can go on at once, but does so only in the next.
const STEPS_PER_POLL: usize = 16;

/// What a job holds is told so often at most.
const SAMPLE_MICROS: u64 = 4_000;

/// A job's number in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

static JOBS: AtomicU64 = AtomicU64::new(1);

impl JobId {
    /// A number that no job has.
    #[cfg(test)]
    pub(crate) fn of_tests() -> Self {
        Self(0)
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// A number that no job has to have.
    #[cfg(test)]
    pub(crate) fn of_test(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How a job's results are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// As one stream, in the order of the root if it has one partition, else as they come.
    Gathered,
    /// As a stream for each partition of the root.
    Partitioned,
}

/// How a job is run.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// On which threads.
    pub engine: Engine,
    /// How its results are read.
    pub results: Results,
    /// Who is told what happens.
    pub observers: Observers,
}

/// One run of a graph. Nothing runs before a stream of its results is made; it ends when all of them are read or
/// dropped.
pub struct Job {
    id: JobId,
    submitted: Instant,
    engine: Engine,
    observers: Observers,
    /// The memory that all of it holds, if somebody wants to know.
    memory: Option<Arc<Gauge>>,
    /// When what it holds was last told, in microseconds since it was submitted.
    sampled: AtomicU64,
    /// If somebody wants to see how far it is.
    watch: Option<Watch>,
    context: Arc<TaskContext>,
    stages: Vec<StageRun>,
    /// By edge. Those of a stage whose rows are kept have one store.
    exchanges: Vec<Output>,
    results: Arc<Exchange>,
    control: Mutex<Controlled>,
}

/// What tasks need to know of their stage.
struct StageRun {
    op: Op,
    partitions: usize,
    /// An edge that its rows go to; none for the root. If there are others, they have the same store.
    output: Option<EdgeId>,
    context: Arc<TaskContext>,
    /// The memory that its operators hold, if somebody wants to know.
    memory: Option<Arc<Gauge>>,
}

impl StageRun {
    /// `job`: what the whole job's memory is counted by, if it is.
    fn new(stage: &Stage, context: &Arc<TaskContext>, job: Option<&Arc<Gauge>>) -> Self {
        let memory = job.map(|_| Arc::new(Gauge::default()));
        let context = match (&memory, job) {
            (Some(own), Some(job)) => watched(context, vec![Arc::clone(own), Arc::clone(job)]),
            _ => Arc::clone(context),
        };
        let Stage { op, partitions, outputs, .. } = stage;
        Self { op: *op, partitions: *partitions, output: outputs.first().copied(), context, memory }
    }
}

/// What changes while a job runs.
struct Controlled {
    state: State,
    /// By stage. A stage that is over has none: what its operators hold is free.
    plans: Vec<Option<Arc<dyn ExecutionPlan>>>,
    tasks: Vec<Vec<Stopper>>,
}

impl Job {
    /// A job that waits for somebody to read its results. The graph's plans are good for this run only.
    pub fn submit(graph: TaskGraph, context: Arc<TaskContext>, options: JobOptions) -> Arc<Self> {
        let JobOptions { engine, results, observers } = options;
        let id = JobId(JOBS.fetch_add(1, Ordering::Relaxed));
        let submitted = Instant::now();
        let memory = observers.measure().then(|| Arc::new(Gauge::default()));
        if observers.measure() {
            let what = What::Submitted(submitted, Arc::new(JobShape::of(&graph)));
            observers.tell(Record { job: id, at: Duration::ZERO, what });
        }
        let stage = |stage| StageRun::new(stage, &context, memory.as_ref());
        let stages: Vec<_> = graph.stages().iter().map(stage).collect();
        // What edges hold is the job's, and no stage's.
        let context = match &memory {
            Some(memory) => watched(&context, vec![Arc::clone(memory)]),
            None => context,
        };
        let running = observers.running.clone();
        let watch = running.as_ref().map(|running| Watch::new(&graph, running));
        let job = Arc::new_cyclic(|job: &Weak<Self>| {
            let control = || Box::new(Signals(Weak::clone(job))) as Box<dyn Control>;
            let root = graph.stage(graph.root());
            let is_gathered = results == Results::Gathered;
            let schema = root.plan.schema();
            let results = Exchange::of_results(schema, root.partitions, is_gathered, &context, control());
            let mut exchanges = Vec::with_capacity(graph.edges().len());
            for edge in graph.edges() {
                exchanges.push(connect(&graph, edge, &exchanges, &context, control));
            }
            let partitions = if is_gathered { 1 } else { root.partitions };
            let state = State::new(&graph, partitions);
            Self {
                id,
                submitted,
                engine,
                observers,
                memory,
                sampled: AtomicU64::new(0),
                watch,
                context,
                stages,
                exchanges,
                results,
                control: Mutex::new(Controlled {
                    state,
                    plans: graph.stages().iter().map(|stage| Some(Arc::clone(&stage.plan))).collect(),
                    tasks: graph.stages().iter().map(|_| Vec::new()).collect(),
                }),
            }
        });
        if let Some(running) = running {
            running.add(&job);
        }
        job
    }

    /// The job's number.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The rows of a results partition (0 if they are gathered). The first call starts the job. Dropping the stream
    /// stops what is computed for it alone.
    ///
    /// # Errors
    /// A partition that is not there, or that was asked for before.
    pub fn stream(self: &Arc<Self>, partition: usize) -> Result<SendableRecordBatchStream> {
        let rows = Reader(Arc::clone(&self.results)).open(partition, &self.context)?;
        self.on(Event::Start);
        Ok(Box::pin(ResultStream { rows: Some(rows), job: Arc::clone(self) }))
    }

    /// Stops everything. Streams of results end with an error.
    pub fn cancel(self: &Arc<Self>) {
        self.on(Event::Cancel);
    }

    /// Whether nothing of it runs any more.
    pub fn is_finished(&self) -> bool {
        self.control().state.is_finished()
    }

    /// The time since it was submitted.
    pub fn age(&self) -> Duration {
        self.submitted.elapsed()
    }

    /// How far it is; `None` if it was submitted without [`Observers::running`]. Takes some microseconds for each
    /// operator and file.
    pub fn progress(&self) -> Option<Progress> {
        let watch = self.watch.as_ref()?;
        let control = self.control();
        let plans = control.plans.clone();
        let statuses = self.statuses(&control.state);
        let is_finished = control.state.is_finished();
        drop(control);
        let (fraction, totals) = watch.ask(&plans, &statuses);
        Some(Progress {
            job: self.id,
            fraction: if is_finished { Some(1.0) } else { fraction },
            rows_read: totals.rows_read,
            spilled_bytes: totals.spilled_bytes,
            stages: totals.stages,
            is_finished,
        })
    }

    /// Its graph with these notes, in so many lines at most; nothing if it was submitted without
    /// [`Observers::running`], or with one that has no graphs.
    pub fn draw(&self, notes: &Notes, lines_max: usize) -> Vec<String> {
        let statuses = self.statuses(&self.control().state);
        self.watch.as_ref().map(|watch| watch.draw(notes, lines_max, &statuses)).unwrap_or_default()
    }

    /// Where its stages are in their lives, by id.
    fn statuses(&self, state: &State) -> Vec<Status> {
        (0..self.stages.len()).map(|stage| state.status(StageId::new(stage))).collect()
    }

    fn control(&self) -> MutexGuard<'_, Controlled> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event to the state machine and carries out what it says, before the next event comes: a stage that
    /// is to stop has been started, or never is.
    fn on(self: &Arc<Self>, event: Event) {
        let mut control = self.control();
        let actions = control.state.on(event);
        #[cfg(debug_assertions)]
        self.check(&control.state, event);
        let (mut over, mut released) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Admit(stage) => {
                    self.tell(|| What::StageStarted(stage));
                    control.tasks[stage.index()] = self.start(stage);
                }
                Action::Stop(stage) => {
                    self.tell(|| What::StageStopped(stage));
                    control.tasks[stage.index()].iter().for_each(Stopper::stop);
                }
                Action::Release(edge) => released.push(edge),
                Action::Over(stage, status) => {
                    let plan = control.plans[stage.index()].take();
                    self.tell_end(stage, status, plan.as_ref());
                    control.tasks[stage.index()].clear();
                    over.extend(plan);
                }
                Action::Finish(outcome) => {
                    let skipped = (0..self.stages.len()).map(StageId::new);
                    for stage in skipped.filter(|stage| control.state.status(*stage) == Status::Skipped) {
                        self.tell_end(stage, Status::Skipped, control.plans[stage.index()].as_ref());
                    }
                    if let Some(memory) = &self.memory {
                        self.tell(|| What::PeakMemory(memory.peak()));
                    }
                    self.tell(|| What::JobEnded(outcome));
                    over.extend(control.plans.iter_mut().filter_map(Option::take));
                    if outcome == Outcome::Cancelled {
                        self.results.abandon();
                    }
                }
            }
        }
        drop(control);
        // Plans that are dropped may drop streams, which tell of it.
        drop(over);
        for edge in released {
            self.exchanges[edge.index()].release(edge);
        }
    }

    /// Stops the process in tests when the state is not what it must be.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "a defect of this program, looked for in its own tests")]
    fn check(&self, state: &State, event: Event) {
        if self.stages.len() <= 64
            && let Err(broken) = state.validate()
        {
            panic!("after {event:?}: {broken}");
        }
    }

    fn start(self: &Arc<Self>, stage: StageId) -> Vec<Stopper> {
        let spawn = |partition| {
            let task = task::run(Arc::clone(self), TaskId { stage, partition });
            self.engine.spawn(task)
        };
        (0..self.stages[stage.index()].partitions).map(spawn).collect()
    }

    fn tell(&self, what: impl FnOnce() -> What) {
        if self.observers.any() {
            self.observers.tell(Record { job: self.id, at: self.submitted.elapsed(), what: what() });
        }
    }

    /// Tells what the job holds, unless that was told a moment ago. `now`: a time that has been read anyway.
    fn sample(&self, now: Instant) {
        let Some(memory) = &self.memory else { return };
        let at = now.saturating_duration_since(self.submitted);
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let last = self.sampled.load(Ordering::Relaxed);
        let is_due = micros.saturating_sub(last) >= SAMPLE_MICROS;
        let mine =
            || self.sampled.compare_exchange(last, micros, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_due && mine() {
            let temp = self.observers.temp.as_ref().map_or(0, |gauge| (gauge.0)());
            let what = What::Held(Holding { memory: memory.now(), temp });
            self.observers.tell(Record { job: self.id, at, what });
        }
    }

    /// Tells that a stage is over, and what its operators have counted.
    fn tell_end(&self, stage: StageId, status: Status, plan: Option<&Arc<dyn ExecutionPlan>>) {
        if let (Some(watch), Some(plan)) = (&self.watch, plan) {
            watch.ask_last(stage, plan);
        }
        if let (Some(memory), Some(plan)) = (&self.stages[stage.index()].memory, plan) {
            let measured = Measured { operators: operators(plan), memory_peak: memory.peak() };
            self.tell(|| What::Measured(stage, Arc::new(measured)));
        }
        self.tell(|| What::StageEnded(stage, status));
    }

    /// Where a stage's rows go.
    fn output(&self, stage: StageId) -> Output {
        match self.stages[stage.index()].output {
            None => Output::Exchange(Arc::clone(&self.results)),
            Some(edge) => self.exchanges[edge.index()].clone(),
        }
    }
}

/// Puts what carries an edge's rows between its stages. `before`: of the edges before it.
fn connect(
    graph: &TaskGraph,
    edge: &Edge,
    before: &[Output],
    context: &Arc<TaskContext>,
    control: impl Fn() -> Box<dyn Control>,
) -> Output {
    let from = graph.stage(edge.from);
    match edge.transport {
        Transport::Pipelined => {
            let exchange = Exchange::of_edge(edge, from.partitions, context, control());
            edge.leaf.attach(Arc::new(Reader(Arc::clone(&exchange))));
            Output::Exchange(exchange)
        }
        Transport::Materialized => {
            let store = match from.outputs.first().and_then(|first| before.get(first.index())) {
                Some(Output::Store(store)) => Arc::clone(store),
                Some(Output::Exchange(_)) | None => Store::new(from, edge, context, control()),
            };
            edge.leaf.attach(Arc::new(store.reader(edge)));
            Output::Store(store)
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How exchanges reach their job, if there still is one.
struct Signals(Weak<Job>);

impl Signals {
    fn on(&self, event: Event) {
        if let Some(job) = self.0.upgrade() {
            job.on(event);
        }
    }
}

impl Control for Signals {
    fn wanted(&self, edge: EdgeId) {
        self.on(Event::Wanted(edge));
    }

    fn closed(&self, edge: Option<EdgeId>) {
        self.on(edge.map_or(Event::ResultsClosed, Event::Closed));
    }

    fn spilled(&self, edge: Option<EdgeId>, bytes: usize) {
        if let (Some(job), Some(edge)) = (self.0.upgrade(), edge) {
            job.tell(|| What::Spilled(edge, bytes));
        }
    }
}

/// A job's results; drives its tasks if no thread of their own does.
struct ResultStream {
    /// `None` when it is being dropped.
    rows: Option<SendableRecordBatchStream>,
    job: Arc<Job>,
}

impl Stream for ResultStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        for _ in 0..STEPS_PER_POLL {
            let Some(rows) = &mut self.rows else { return Poll::Ready(None) };
            if let Poll::Ready(next) = rows.poll_next_unpin(cx) {
                return Poll::Ready(next);
            }
            let Engine::Inline(inline) = &self.job.engine else { return Poll::Pending };
            match inline.step(cx) {
                Step::Polled => {}
                Step::Idle => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl RecordBatchStream for ResultStream {
    fn schema(&self) -> SchemaRef {
        self.job.results.schema()
    }
}

impl Drop for ResultStream {
    fn drop(&mut self) {
        self.rows = None;
        if let Engine::Inline(inline) = &self.job.engine {
            inline.sweep();
        }
    }
}

#[cfg(test)]
mod tests;
