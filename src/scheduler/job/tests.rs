use std::collections::BTreeSet;
use std::time::Duration;

use datafusion::common::{JoinType, NullEquality};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::expressions::col;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::limit::LocalLimitExec;
use futures::stream::{self, FuturesUnordered};
use tokio::sync::mpsc;

use super::*;
use crate::error::TaskFailure;
use crate::graph::{EdgeKind, EdgeSpec, NamedExec};
use crate::scheduler::event::{Detail, Volume, Worker};
use crate::scheduler::record::{History, Spread};
use crate::scheduler::sketch::{Sketch, batch, batches, join, numbers, schema, source, spec};
use crate::scheduler::state::Status;
use crate::scheduler::{Inline, Workers};

/// Long after which a job is taken to hang.
const DEADLINE: Duration = Duration::from_secs(60);

/// The engines that every test runs on: threads, and seeds.
fn engines() -> Vec<Engine> {
    let local = [1, 3].map(|threads| Engine::Local(Workers::of_the_process(threads).unwrap()));
    let inline = (0..30).map(|seed| Engine::Inline(Inline::new(seed)));
    local.into_iter().chain(inline).collect()
}

struct Watched {
    job: Arc<Job>,
    records: mpsc::UnboundedReceiver<Record>,
}

fn submit(graph: TaskGraph, engine: Engine, context: TaskContext) -> Watched {
    let (every, records) = mpsc::unbounded_channel();
    let observers = Observers { every: vec![every], detail: Detail::Measures, ..Observers::default() };
    let options = JobOptions { engine, results: Results::Gathered, observers };
    Watched { job: Job::submit(graph, Arc::new(context), options), records }
}

impl Watched {
    fn rows(&self) -> SendableRecordBatchStream {
        self.job.stream(0).unwrap()
    }

    /// All numbers of the results, in the order in which they come.
    async fn collect(&self) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        let mut rows = self.rows();
        while let Some(batch) = in_time(rows.next()).await {
            found.extend(numbers(&batch?));
        }
        Ok(found)
    }

    /// Waits for the end of the job; gives all that happened.
    async fn ended(mut self) -> Vec<What> {
        let mut all = Vec::new();
        while !matches!(all.last(), Some(What::JobEnded(_))) {
            let record = in_time(self.records.recv()).await.expect("a job that ends says so");
            match record.what {
                // What is measured is different each time.
                What::Submitted(..) | What::Measured(..) | What::Held(_) | What::PeakMemory(_) => {}
                What::TaskEnded(task, end, volume) => {
                    all.push(What::TaskEnded(task, end, Volume { busy: Duration::ZERO, ..volume }));
                }
                what => all.push(what),
            }
        }
        assert!(self.job.is_finished());
        let started = all.iter().filter(|what| matches!(what, What::TaskStarted(..))).count();
        let ended = all.iter().filter(|what| matches!(what, What::TaskEnded(..))).count();
        assert!(started <= ended, "{started} tasks have started, {ended} have ended");
        all
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the job hangs")
}

fn on_each_engine(test: impl AsyncFn(Engine)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for engine in engines() {
        runtime.block_on(test(engine));
    }
}

/// So many partitions of so many batches of so many rows, all numbers different.
fn many(partitions: i64, batches_each: i64, rows: i64) -> Arc<dyn ExecutionPlan> {
    let batch_of = |p: i64, b: i64| batch((0..rows).map(move |row| (b * rows + row) * partitions + p));
    batches((0..partitions).map(|p| (0..batches_each).map(|b| batch_of(p, b)).collect()).collect())
}

fn ordered(kind: EdgeKind, outputs: usize) -> EdgeSpec {
    let by = PhysicalSortExpr::new_default(col("a", &schema()).unwrap());
    EdgeSpec { ordering: LexOrdering::new([by]), ..spec(kind, outputs) }
}

/// A join of numbers with the same numbers.
fn self_joined(
    build: Arc<dyn ExecutionPlan>,
    probe: Arc<dyn ExecutionPlan>,
    mode: PartitionMode,
) -> Arc<dyn ExecutionPlan> {
    let a = || col("a", &schema()).unwrap();
    let (on, equal) = (vec![(a(), a())], NullEquality::NullEqualsNothing);
    let projected = Some(vec![0]);
    let joined =
        HashJoinExec::try_new(build, probe, on, None, &JoinType::Inner, projected, mode, equal, false);
    Arc::new(joined.unwrap())
}

/// The graph of a plan that goes through one edge.
fn through(plan: Arc<dyn ExecutionPlan>, edge: EdgeSpec) -> TaskGraph {
    let mut sketch = Sketch::new();
    let from = sketch.stage(plan);
    let rows = sketch.spec(from, edge);
    let root = sketch.stage(rows);
    sketch.finish(root)
}

#[test]
fn every_row_goes_through_every_kind_of_edge_once() {
    for kind in [EdgeKind::Gather, EdgeKind::Shuffle, EdgeKind::Rebalance] {
        on_each_engine(async |engine| {
            let outputs = if kind == EdgeKind::Gather { 1 } else { 5 };
            let job = submit(through(many(3, 7, 20), spec(kind, outputs)), engine, TaskContext::default());
            let mut found = job.collect().await.unwrap();
            found.sort_unstable();
            assert_eq!(found, (0..420).collect::<Vec<_>>(), "{kind}");
            let all = job.ended().await;
            assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Done)));
        });
    }
}

/// Each partition has a reader with a waker of its own; whichever is polled drives the tasks of all.
#[test]
fn partitions_of_the_results_are_read_side_by_side() {
    on_each_engine(async |engine| {
        let graph = through(many(3, 40, 20), spec(EdgeKind::Shuffle, 5));
        let options = JobOptions { engine, results: Results::Partitioned, observers: Observers::default() };
        let job = Job::submit(graph, Arc::default(), options);
        let readers: FuturesUnordered<_> =
            (0..5).map(|partition| job.stream(partition).unwrap().collect::<Vec<_>>()).collect();
        let read: Vec<_> = in_time(readers.collect()).await;
        let mut found: Vec<_> =
            read.into_iter().flatten().flat_map(|batch| numbers(&batch.unwrap())).collect();
        found.sort_unstable();
        assert_eq!(found, (0..2400).collect::<Vec<_>>());
    });
}

#[test]
fn a_merge_keeps_the_order_and_a_limit_on_it() {
    on_each_engine(async |engine| {
        let merge = EdgeSpec { fetch: Some(100), ..ordered(EdgeKind::Merge, 1) };
        let job = submit(through(many(3, 7, 20), merge), engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap(), (0..100).collect::<Vec<_>>());
        job.ended().await;
    });
}

/// All rows go to one partition of the shuffle, so that the merge waits for its other inputs while this one is full.
///
/// ```text
///  scan ×2 ──shuffle, in order──▶ ×3 ──merge──▶ ×1 ──▶
/// ```
#[test]
fn a_merge_over_a_shuffle_with_all_rows_in_one_partition_does_not_hang() {
    on_each_engine(async |engine| {
        let rows = |from: i64| (0..50).map(|b| batch(std::iter::repeat_n(from, 10 + b % 3))).collect();
        let mut sketch = Sketch::new();
        let from = sketch.stage(batches(vec![rows(7), rows(7)]));
        let shuffled = sketch.spec(from, ordered(EdgeKind::Shuffle, 3));
        let middle = sketch.stage(shuffled);
        let merged = sketch.spec(middle, ordered(EdgeKind::Merge, 1));
        let root = sketch.stage(merged);
        let job = submit(sketch.finish(root), engine, TaskContext::default());
        let found = job.collect().await.unwrap();
        assert_eq!(found.len(), 2 * (0..50).map(|b| 10 + b % 3).sum::<usize>());
        assert!(found.iter().all(|number| *number == 7));
        job.ended().await;
    });
}

#[test]
fn a_limit_stops_what_never_ends() {
    on_each_engine(async |engine| {
        let endless = source(4, |_| stream::repeat_with(|| Ok(batch(0..10))).boxed());
        let limited = EdgeSpec { fetch: Some(25), ..spec(EdgeKind::Gather, 1) };
        let job = submit(through(endless, limited), engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap().len(), 25);
        let all = job.ended().await;
        assert!(all.contains(&What::StageEnded(StageId::new(0), Status::Stopped)), "{all:?}");
        assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Done)));
    });
}

/// The root's task waits with the last rows in hand until the results are read: until then nothing of it is dropped.
#[test]
fn a_limit_that_is_met_stops_what_is_above_while_its_reader_still_waits() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for threads in [1, 3] {
        runtime.block_on(async {
            let engine = Engine::Local(Workers::of_the_process(threads).unwrap());
            let endless = source(4, |_| stream::repeat_with(|| Ok(batch(0..10))).boxed());
            let limited = EdgeSpec { fetch: Some(25), ..spec(EdgeKind::Gather, 1) };
            let mut job = submit(through(endless, limited), engine, TaskContext::default());
            let rows = job.rows();
            loop {
                match in_time(job.records.recv()).await.unwrap().what {
                    // Its tasks may find that nobody wants more before they are told to stop.
                    What::StageEnded(stage, _) => {
                        assert_eq!(stage, StageId::new(0));
                        break;
                    }
                    What::JobEnded(_) => panic!("the root has handed over what nobody took"),
                    _ => {}
                }
            }
            let read: Vec<_> = in_time(rows.collect()).await;
            assert_eq!(read.into_iter().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 25);
            job.ended().await;
        });
    }
}

#[test]
fn results_that_are_dropped_stop_the_job() {
    on_each_engine(async |engine| {
        let endless = source(2, |_| stream::repeat_with(|| Ok(batch(0..10))).boxed());
        let job = submit(through(endless, spec(EdgeKind::Shuffle, 3)), engine, TaskContext::default());
        let mut rows = job.rows();
        in_time(rows.next()).await.unwrap().unwrap();
        drop(rows);
        let all = job.ended().await;
        assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Done)));
    });
}

#[test]
fn a_job_that_is_cancelled_gives_an_error_in_the_place_of_rows() {
    on_each_engine(async |engine| {
        let silent = source(2, |_| stream::pending().boxed());
        let job = submit(through(silent, spec(EdgeKind::Gather, 1)), engine, TaskContext::default());
        let mut rows = job.rows();
        assert!(futures::poll!(rows.next()).is_pending());
        job.job.cancel();
        let error = in_time(rows.next()).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("was stopped"), "{error}");
        assert!(in_time(rows.next()).await.is_none());
        drop(rows);
        assert_eq!(job.ended().await.last(), Some(&What::JobEnded(Outcome::Cancelled)));
    });
}

#[test]
fn a_job_that_is_cancelled_before_it_is_read_does_not_run() {
    on_each_engine(async |engine| {
        let job = submit(through(many(1, 1, 1), spec(EdgeKind::Gather, 1)), engine, TaskContext::default());
        job.job.cancel();
        job.collect().await.unwrap_err();
        let all = job.ended().await;
        let skipped = [0, 1].map(|stage| What::StageEnded(StageId::new(stage), Status::Skipped));
        assert_eq!((&all[..2], &all[2..]), (&skipped[..], &[What::JobEnded(Outcome::Cancelled)][..]));
    });
}

fn failing(how: fn() -> Result<RecordBatch>) -> Arc<dyn ExecutionPlan> {
    source(2, move |partition| {
        let fails = stream::once(async move { how() });
        match partition {
            1 => stream::iter([Ok(batch(0..3))]).chain(fails).chain(stream::iter([Ok(batch(0..3))])).boxed(),
            _ => stream::repeat_with(|| Ok(batch(0..10))).boxed(),
        }
    })
}

#[test]
fn an_error_and_a_panic_fail_the_job_with_their_place() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let error = || Err(DataFusionError::Execution("a file broke".into()));
    type How = fn() -> Result<RecordBatch>;
    let hows: [(How, &str); 2] =
        [(error, "a file broke"), (|| panic!("an operator broke"), "an operator broke")];
    for (how, message) in hows {
        on_each_engine(async |engine| {
            let mut sketch = Sketch::new();
            let failing = NamedExec::around(failing(how));
            let name = failing.name().to_string();
            let above = LocalLimitExec::new(failing, 1_000_000);
            let from = sketch.stage(NamedExec::around(Arc::new(above)));
            let shuffled = sketch.edge(from, EdgeKind::Shuffle, 3);
            let root = sketch.stage(NamedExec::around(shuffled));
            let job = submit(sketch.finish(root), engine, TaskContext::default());
            let error = job.collect().await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(message), "{text}");
            let failure = TaskFailure::of(&error).unwrap();
            assert_eq!((failure.stage, failure.task, failure.tasks), (0, 1, 2), "{text}");
            assert_eq!(failure.operator.as_deref(), Some(name.as_str()));
            let all = job.ended().await;
            assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Failed)));
            let told = all.iter().find_map(|what| match what {
                What::Failed(task, failure) if task.stage.index() == 0 => {
                    Some((task.partition, failure.clone()))
                }
                _ => None,
            });
            let (task, told) = told.unwrap();
            assert_eq!((task, told.operator.as_deref()), (1, Some(name.as_str())));
        });
    }
    std::panic::set_hook(hook);
}

#[test]
fn two_inputs_that_end_at_different_times_are_both_read() {
    on_each_engine(async |engine| {
        let mut sketch = Sketch::new();
        let one = sketch.stage(many(2, 1, 10));
        let two = sketch.stage(many(3, 20, 10));
        let one = sketch.edge(one, EdgeKind::Gather, 1);
        let two = sketch.edge(two, EdgeKind::Rebalance, 2);
        let both = sketch.stage(join(one, two));
        let all = sketch.edge(both, EdgeKind::Gather, 1);
        let root = sketch.stage(all);
        let job = submit(sketch.finish(root), engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap().len(), 620);
        job.ended().await;
    });
}

/// Stages start in the order in which the operators need them, without anybody who ranks them:
///
/// ```text
///  0 outer build ×2 ──gather───▶ ┐
///  1 inner build ×2 ──gather───▶ ┼ 3 two hash joins ×2 ──gather──▶ 4
///  2 probe ×2 ───────shuffle───▶ ┘
/// ```
#[test]
fn partitions_of_results_are_read_each_by_itself() {
    on_each_engine(async |engine| {
        let mut sketch = Sketch::new();
        let root = sketch.stage(many(3, 5, 10));
        let options = JobOptions { engine, results: Results::Partitioned, observers: Observers::default() };
        let job = Job::submit(sketch.finish(root), Arc::default(), options);
        assert!(job.stream(3).is_err());
        for partition in [2, 0, 1] {
            let batches: Vec<_> = job.stream(partition).unwrap().collect().await;
            assert_eq!(batches.len(), 5);
            let first = numbers(batches[0].as_ref().unwrap());
            assert_eq!(first[0], i64::try_from(partition).unwrap());
            assert!(job.stream(partition).is_err(), "read twice");
        }
    });
}

#[test]
fn a_seed_gives_an_order_and_the_same_seed_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let order = |seed| {
        runtime.block_on(async {
            let graph = through(many(4, 6, 10), spec(EdgeKind::Shuffle, 4));
            let job = submit(graph, Engine::Inline(Inline::new(seed)), TaskContext::default());
            job.collect().await.unwrap();
            job.ended().await
        })
    };
    let orders: BTreeSet<_> = (0..20).map(|seed| format!("{:?}", order(seed))).collect();
    assert!(orders.len() > 10, "{} orders", orders.len());
    for seed in 0..20 {
        assert_eq!(order(seed), order(seed));
    }
}

#[test]
fn tasks_run_on_worker_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::Local(Workers::of_the_process(3).unwrap());
        let names = source(8, |_| {
            let name = std::thread::current().name().unwrap_or_default().to_string();
            stream::once(async move {
                assert_eq!(name, "query-worker");
                assert_eq!(std::thread::current().name(), Some("query-worker"));
                Ok(batch(0..1))
            })
            .boxed()
        });
        let job = submit(through(names, spec(EdgeKind::Gather, 1)), engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap().len(), 8);
        let workers: BTreeSet<Worker> = job
            .ended()
            .await
            .into_iter()
            .filter_map(|what| match what {
                What::TaskStarted(_, worker) => Some(worker),
                _ => None,
            })
            .collect();
        assert!((1..=3).contains(&workers.len()), "{workers:?}");
    });
}

#[test]
fn a_long_chain_of_stages_runs_without_deep_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for engine in [Engine::Local(Workers::of_the_process(2).unwrap()), Engine::Inline(Inline::new(1))] {
        runtime.block_on(async {
            let mut sketch = Sketch::new();
            let mut last = sketch.stage(batches(vec![vec![batch(0..3)]]));
            for _ in 0..2_000 {
                let rows = sketch.edge(last, EdgeKind::Gather, 1);
                last = sketch.stage(rows);
            }
            let job = submit(sketch.finish(last), engine.clone(), TaskContext::default());
            assert_eq!(job.collect().await.unwrap(), [0, 1, 2]);
            job.ended().await;
        });
    }
}

#[test]
fn the_history_of_a_job_fits_what_it_did() {
    on_each_engine(async |engine| {
        let graph = through(many(3, 7, 20), spec(EdgeKind::Shuffle, 5));
        let shape = (graph.stages().len(), graph.edges().len(), graph.tasks());
        let mut job = submit(graph, engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap().len(), 420);
        let mut history = History::default();
        while history.jobs().is_empty() || !history.is_over() {
            history.take(in_time(job.records.recv()).await.unwrap());
        }
        let [run] = history.jobs() else { panic!("one job") };
        let tasks: Vec<_> = run.stages.iter().flat_map(|stage| &stage.tasks).collect();
        assert_eq!((run.stages.len(), run.edges.len(), tasks.len()), shape);
        let (end, outcome) = run.end.unwrap();
        assert_eq!((run.rows(), outcome), (420, Outcome::Done));
        assert_eq!(run.reader(EdgeId::new(0)).unwrap().metric("output_rows"), 420);
        assert!(run.memory_peak > 0, "the edge held its batches");
        for task in tasks {
            let ((started, _), (ended, _)) = (task.started.unwrap(), task.ended.unwrap());
            assert!(started <= ended && ended <= end && task.volume.busy <= ended);
        }
        for stage in &run.stages {
            assert_eq!((stage.status, stage.volume().rows), (Status::Done, 420));
            assert!(stage.started.unwrap() <= stage.ended.unwrap());
        }
    });
}

#[test]
fn polls_are_told_to_those_who_ask() {
    on_each_engine(async |engine| {
        for polls in [false, true] {
            let (every, mut records) = mpsc::unbounded_channel();
            let detail = if polls { Detail::Polls } else { Detail::Measures };
            let observers = Observers { every: vec![every], detail, ..Observers::default() };
            let options = JobOptions { engine: engine.clone(), results: Results::Gathered, observers };
            let job = Job::submit(through(many(2, 3, 4), spec(EdgeKind::Gather, 1)), Arc::default(), options);
            let rows = job.stream(0).unwrap();
            in_time(rows.for_each(async |batch| drop(batch.unwrap()))).await;
            let mut polled = 0;
            loop {
                match in_time(records.recv()).await.unwrap().what {
                    What::Polled(..) => polled += 1,
                    What::JobEnded(_) => break,
                    _ => {}
                }
            }
            assert_eq!(polled >= 3, polls, "{polled} polls of 3 tasks");
        }
    });
}

#[test]
fn a_spread_is_of_the_values_in_order() {
    assert_eq!(Spread::of([3, 1, 2].into_iter()), Some(Spread { min: 1, median: 2, max: 3 }));
    assert_eq!(Spread::of([4, 1].into_iter()), Some(Spread { min: 1, median: 1, max: 4 }));
    assert_eq!(Spread::<u64>::of([].into_iter()), None);
}

mod build_sides;
mod kept;
mod spilled;
mod turns;
