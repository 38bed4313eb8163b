//! One task: it runs a partition of its stage's plan and hands the rows on.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use futures::StreamExt;

use super::waking::Waking;
use super::{Job, StageRun};
use crate::error::{Stopped, TaskFailure, panicked};
use crate::graph::{NamedExec, TaskId};
use crate::scheduler::Engine;
use crate::scheduler::event::{self, Failure, Volume, What};
use crate::scheduler::exchange::Sender;
use crate::scheduler::state::{Event, TaskEnd};

/// Batches after which a task lets others on its thread go on. Waiting for a full queue does so as well.
const BATCHES_PER_TURN: u32 = 8;

/// Says that a task has ended, also when it is dropped before its end.
struct Ending {
    job: Arc<Job>,
    task: TaskId,
    end: TaskEnd,
    tally: Tally,
    busy: Duration,
}

/// What a task has handed on until now.
#[derive(Debug, Default)]
struct Tally {
    rows: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
}

impl Tally {
    fn add(&self, batch: &RecordBatch, with_bytes: bool) {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        if with_bytes {
            self.bytes.fetch_add(batch.get_array_memory_size() as u64, Ordering::Relaxed);
        }
    }

    fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

impl Ending {
    fn is(&mut self, end: TaskEnd) {
        self.end = end;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Self { job, task, end, tally, busy } = self;
        let volume = Volume {
            rows: tally.rows(),
            bytes: tally.bytes.load(Ordering::Relaxed),
            batches: tally.batches.load(Ordering::Relaxed),
            busy: *busy,
        };
        job.tell(|| What::TaskEnded(*task, *end, volume));
        job.on(Event::Ended(*task, *end));
    }
}

/// One task. That it has ended is said, and known to its readers, also when it is dropped before it first runs.
pub(super) fn run(job: Arc<Job>, task: TaskId) -> impl Future<Output = ()> + Send {
    let mut sender = Sender::new(job.output(task.stage), task.partition);
    let end = TaskEnd::Stopped;
    let mut ending = Ending { job, task, end, tally: Tally::default(), busy: Duration::ZERO };
    async move {
        let job = Arc::clone(&ending.job);
        job.tell(|| What::TaskStarted(task, job.engine.worker()));
        let pumped = {
            let Ending { tally, busy, .. } = &mut ending;
            let mut pumped = pin!(pump(&job, task, &mut sender, tally));
            let mut waking = None;
            let mut turn = |cx: &mut Context<'_>| turn(&job, task, pumped.as_mut(), cx, tally, busy);
            poll_fn(|cx| match &job.engine {
                Engine::Local(workers) if workers.threads() > 1 => Waking::turn(&mut waking, cx, &mut turn),
                Engine::Local(_) | Engine::Inline(_) => turn(cx),
            })
            .await
        };
        match pumped {
            Ok(()) => ending.is(TaskEnd::Done),
            // It may find that what it reads was stopped before it is stopped itself.
            Err(error) if Stopped::is_cause_of(&error) => sender.fail(Arc::new(error)),
            Err(error) => {
                let StageRun { op, partitions, .. } = &job.stages[task.stage.index()];
                let stage = task.stage.index();
                let error = TaskFailure::locate(stage, op.name(), task.partition, *partitions, error);
                job.tell(|| What::Failed(task, Arc::new(failure(&error))));
                sender.fail(Arc::new(error));
                ending.is(TaskEnd::Failed);
            }
        }
    }
}

/// Lets a task go on until it waits. A panic of an operator is the task's error.
fn turn(
    job: &Job,
    task: TaskId,
    pumped: Pin<&mut impl Future<Output = Result<()>>>,
    cx: &mut Context<'_>,
    tally: &Tally,
    busy: &mut Duration,
) -> Poll<Result<()>> {
    let began = job.observers.measure().then(Instant::now);
    let polled = catch_unwind(AssertUnwindSafe(|| pumped.poll(cx)));
    if let Some(began) = began {
        let took = began.elapsed();
        *busy += took;
        job.sample(began + took);
        if job.observers.polls() {
            let memory = job.memory.as_ref().map_or(0, |memory| memory.now());
            let poll = event::Poll { took, rows: tally.rows(), memory };
            job.tell(|| What::Polled(task, job.engine.worker(), poll));
        }
    }
    polled.unwrap_or_else(|panic| {
        let operator = NamedExec::take_panicked();
        Poll::Ready(Err(panicked(panic.as_ref(), operator.as_ref())))
    })
}

/// What to tell of an error. One that came from another task has been told.
fn failure(error: &DataFusionError) -> Failure {
    let operator = TaskFailure::of(error).and_then(|failure| failure.operator.clone());
    Failure { operator, message: error.to_string() }
}

/// Takes a task's rows to those who read them.
async fn pump(job: &Arc<Job>, task: TaskId, sender: &mut Sender, tally: &Tally) -> Result<()> {
    let plan = job.control().plans[task.stage.index()].clone();
    let Some(plan) = plan else { return Ok(()) };
    let mut rows = plan.execute(task.partition, Arc::clone(&job.stages[task.stage.index()].context))?;
    drop(plan);
    let mut turn = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        tally.add(&batch, job.observers.any());
        if !sender.send(batch).await? {
            break;
        }
        turn += 1;
        if turn == BATCHES_PER_TURN || job.engine.is_inline() {
            turn = 0;
            yield_now(&job.engine).await;
        }
    }
    drop(rows);
    sender.finish().await
}

/// Lets other tasks go on.
async fn yield_now(engine: &Engine) {
    match engine {
        Engine::Local(_) => tokio::task::yield_now().await,
        // Tokio would wake the task only when the thread has nothing else to do.
        Engine::Inline(_) => {
            let mut has_yielded = false;
            poll_fn(|cx| match std::mem::replace(&mut has_yielded, true) {
                true => Poll::Ready(()),
                false => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await;
        }
    }
}
