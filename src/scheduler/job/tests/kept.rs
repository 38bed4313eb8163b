//! Stages whose rows several others read.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::expressions::Column;
use datafusion::physical_plan::joins::CrossJoinExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::spilled::Tight;
use super::*;
use crate::scheduler::sketch::kept;

/// The rows of a stage, read twice by the root:
///
/// ```text
///  0 plan ×p ──forward──▶ ┐
///           └──forward──▶ ┴ 1 union ×2p ──▶
/// ```
///
/// The first p partitions of the results are those of the first reader.
fn read_twice(plan: Arc<dyn ExecutionPlan>, specs: [EdgeSpec; 2]) -> TaskGraph {
    let mut sketch = Sketch::new();
    let shared = sketch.stage(plan);
    let [one, two] = specs.map(|spec| sketch.spec(shared, spec));
    let root = sketch.stage(join(one, two));
    valid(sketch.finish(root))
}

fn valid(graph: TaskGraph) -> TaskGraph {
    graph.validate().unwrap();
    graph
}

fn partitioned(graph: TaskGraph, engine: Engine, context: TaskContext) -> Watched {
    let (every, records) = mpsc::unbounded_channel();
    let observers = Observers { every: vec![every], detail: Detail::Measures, ..Observers::default() };
    let options = JobOptions { engine, results: Results::Partitioned, observers };
    Watched { job: Job::submit(graph, Arc::new(context), options), records }
}

/// All numbers of a partition of the results, or those before an error, and the error.
async fn all(mut rows: SendableRecordBatchStream) -> (Vec<i64>, Option<DataFusionError>) {
    let mut found = Vec::new();
    while let Some(batch) = in_time(rows.next()).await {
        match batch {
            Ok(batch) => found.extend(numbers(&batch)),
            Err(error) => return (found, Some(error)),
        }
    }
    (found, None)
}

/// A pool that refuses early, temporary files below a folder, and both looked at when all is over.
struct Room {
    folder: tempfile::TempDir,
    env: Arc<datafusion::execution::runtime_env::RuntimeEnv>,
}

impl Room {
    fn new(pool: Arc<dyn MemoryPool>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = DiskManagerMode::Directories(vec![folder.path().to_path_buf()]);
        let env = RuntimeEnvBuilder::new()
            .with_memory_pool(pool)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(files))
            .build_arc()
            .unwrap();
        Self { folder, env }
    }

    fn context(&self) -> TaskContext {
        TaskContext::default().with_runtime(Arc::clone(&self.env))
    }

    /// Nothing of a job that has ended is left.
    async fn left_as_it_was(self, job: Watched) -> Vec<What> {
        let weak = Arc::downgrade(&job.job);
        let all = job.ended().await;
        // A file that is read is held by the thread that reads it, for a moment longer than by its reader.
        in_time(async {
            while files(self.folder.path()) > 0 || weak.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(self.env.memory_pool.reserved(), 0);
        assert_eq!(self.env.disk_manager.used_disk_space(), 0);
        all
    }
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn spilled(all: &[What]) -> usize {
    all.iter().map(|what| if let What::Spilled(_, bytes) = what { *bytes } else { 0 }).sum()
}

#[test]
fn each_reader_gets_every_row_in_its_partition_and_order() {
    on_each_engine(async |engine| {
        let graph = read_twice(many(3, 7, 20), [kept(3), kept(3)]);
        let job = partitioned(graph, engine, TaskContext::default());
        let streams = (0..6).map(|partition| all(job.job.stream(partition).unwrap()));
        let read = futures::future::join_all(streams).await;
        for (at, (found, error)) in read.into_iter().enumerate() {
            assert!(error.is_none());
            let partition = i64::try_from(at % 3).unwrap();
            assert_eq!(found, (0..140).map(|row| row * 3 + partition).collect::<Vec<_>>());
        }
        let all = job.ended().await;
        assert_eq!(spilled(&all), 0);
        assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Done)));
        let scanned = |what: &&What| matches!(what, What::StageStarted(stage) if stage.index() == 0);
        assert_eq!(all.iter().filter(scanned).count(), 1);
    });
}

#[test]
fn a_reader_that_comes_when_the_other_has_gone_gets_every_row() {
    on_each_engine(async |engine| {
        let graph = read_twice(many(2, 30, 20), [kept(2), kept(2)]);
        let job = partitioned(graph, engine, TaskContext::default());
        for partition in 0..4 {
            let (found, error) = all(job.job.stream(partition).unwrap()).await;
            assert!(error.is_none() && found.len() == 600, "{partition}: {} rows", found.len());
        }
        job.ended().await;
    });
}

/// The second reader's stage is started when the first has read everything:
///
/// ```text
///  0 scan ×3 ──forward──▶ 1 ×3 ──gather───▶ ┐
///           └──forward──▶ 2 ×3 ──shuffle──▶ ┴ 3 cross join ×2 ──gather──▶ 4
/// ```
#[test]
fn a_stage_that_starts_when_the_producer_is_done_reads_from_the_first_row() {
    on_each_engine(async |engine| {
        let mut sketch = Sketch::new();
        let shared = sketch.stage(many(3, 4, 5));
        let [one, two] = [(); 2].map(|()| {
            let rows = sketch.kept_edge(shared, 3);
            sketch.stage(rows)
        });
        let (one, two) = (sketch.edge(one, EdgeKind::Gather, 1), sketch.edge(two, EdgeKind::Shuffle, 2));
        let joined = Arc::new(CrossJoinExec::new(one, two));
        let first = ProjectionExpr { expr: Arc::new(Column::new("a", 0)), alias: "a".into() };
        let joined = sketch.stage(Arc::new(ProjectionExec::try_new([first], joined).unwrap()));
        let rows = sketch.edge(joined, EdgeKind::Gather, 1);
        let root = sketch.stage(rows);
        let job = submit(valid(sketch.finish(root)), engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap().len(), 60 * 60);
        let all = job.ended().await;
        let at = |what: &What| all.iter().position(|other| other == what).unwrap();
        let ended = What::StageEnded(StageId::new(0), Status::Done);
        assert!(at(&ended) < at(&What::StageStarted(StageId::new(2))), "{all:?}");
    });
}

#[test]
fn a_reader_that_closes_early_leaves_the_others_their_rows() {
    on_each_engine(async |engine| {
        let first = EdgeSpec { fetch: Some(5), ..kept(2) };
        let job = partitioned(
            read_twice(many(2, 30, 20), [first, kept(2)]),
            engine.clone(),
            TaskContext::default(),
        );
        let streams = (0..4).map(|partition| all(job.job.stream(partition).unwrap()));
        let read = futures::future::join_all(streams).await;
        let counts: Vec<_> = read.iter().map(|(found, _)| found.len()).collect();
        assert_eq!(counts, [5, 5, 600, 600]);
        job.ended().await;

        // And the readers of one partition that were dropped leave the other partition its rows.
        let job =
            partitioned(read_twice(many(2, 30, 20), [kept(2), kept(2)]), engine, TaskContext::default());
        let mut streams: Vec<_> = (0..4).map(|partition| job.job.stream(partition).unwrap()).collect();
        in_time(streams[0].next()).await.unwrap().unwrap();
        drop((streams.swap_remove(2), streams.swap_remove(0)));
        for rows in streams {
            assert_eq!(all(rows).await.0.len(), 600);
        }
        job.ended().await;
    });
}

#[test]
fn the_producer_is_stopped_when_all_readers_have_closed_and_not_before() {
    on_each_engine(async |engine| {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let endless = source(2, move |_| {
            let counted = Arc::clone(&counted);
            stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(batch(0..10))
            })
            .boxed()
        });
        let specs = [25, 2_500].map(|rows| EdgeSpec { fetch: Some(rows), ..kept(2) });
        let room = Room::new(Arc::new(UnboundedMemoryPool::default()));
        let job = partitioned(read_twice(endless, specs), engine, room.context());
        let streams = (0..4).map(|partition| all(job.job.stream(partition).unwrap()));
        let read = futures::future::join_all(streams).await;
        let counts: Vec<_> = read.iter().map(|(found, _)| found.len()).collect();
        assert_eq!(counts, [25, 25, 2_500, 2_500]);
        assert!(made.load(Ordering::Relaxed) >= 500);
        let all = room.left_as_it_was(job).await;
        // Its tasks may find that nobody wants more before they are told to stop.
        let ended = |what: &What| matches!(what, What::StageEnded(stage, _) if stage.index() == 0);
        assert!(all.iter().any(ended), "{all:?}");
        assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Done)));
    });
}

fn breaking(how: fn() -> Result<RecordBatch>) -> Arc<dyn ExecutionPlan> {
    source(2, move |partition| {
        let rows = stream::iter((0..3).map(|_| Ok(batch(0..10))));
        let end = stream::once(async move { how() });
        if partition == 1 { rows.chain(end).boxed() } else { rows.boxed() }
    })
}

#[test]
fn an_error_or_a_panic_of_the_producer_comes_to_each_reader_behind_the_rows() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    type How = fn() -> Result<RecordBatch>;
    let error = || Err(DataFusionError::Execution("a file broke".into()));
    let hows: [(How, &str); 2] = [(error, "a file broke"), (|| panic!("it broke"), "it broke")];
    for (how, message) in hows {
        on_each_engine(async |engine| {
            let job =
                partitioned(read_twice(breaking(how), [kept(2), kept(2)]), engine, TaskContext::default());
            let streams = (0..4).map(|partition| all(job.job.stream(partition).unwrap()));
            let read = futures::future::join_all(streams).await;
            for (at, (found, error)) in read.into_iter().enumerate() {
                assert_eq!((found.len(), error.is_some()), (30, at % 2 == 1));
                if let Some(error) = error {
                    assert!(error.to_string().contains(message), "{error}");
                    let failure = TaskFailure::of(&error).unwrap();
                    assert_eq!((failure.stage, failure.task, failure.tasks), (0, 1, 2));
                }
            }
            assert_eq!(job.ended().await.last(), Some(&What::JobEnded(Outcome::Failed)));
        });
    }
    std::panic::set_hook(hook);
}

#[test]
fn a_job_that_is_cancelled_keeps_nothing_and_its_readers_are_told() {
    on_each_engine(async |engine| {
        let silent = source(2, |_| {
            stream::iter((0..50).map(|_| Ok(batch(0..1_000)))).chain(stream::pending()).boxed()
        });
        let room = Room::new(Arc::new(Tight(UnboundedMemoryPool::default())));
        let job = partitioned(read_twice(silent, [kept(2), kept(2)]), engine, room.context());
        let mut streams: Vec<_> = (0..4).map(|partition| job.job.stream(partition).unwrap()).collect();
        // One reader takes all that there is, another a little, the others nothing.
        for _ in 0..50 {
            in_time(streams[0].next()).await.unwrap().unwrap();
        }
        in_time(streams[3].next()).await.unwrap().unwrap();
        job.job.cancel();
        for rows in streams {
            let (_, error) = all(rows).await;
            assert!(error.unwrap().to_string().contains("was stopped"));
        }
        let all = room.left_as_it_was(job).await;
        assert!(spilled(&all) > 0);
        assert_eq!(all.last(), Some(&What::JobEnded(Outcome::Cancelled)));
    });
}

#[test]
fn rows_that_memory_does_not_hold_go_to_disk_once_for_all_readers() {
    on_each_engine(async |engine| {
        let room = Room::new(Arc::new(Tight(UnboundedMemoryPool::default())));
        let job =
            partitioned(read_twice(many(2, 40, 1_000), [kept(2), kept(2)]), engine.clone(), room.context());
        let streams: Vec<_> = (0..4).map(|partition| job.job.stream(partition).unwrap()).collect();
        let read = streams.into_iter().enumerate().map(async |(at, mut rows)| {
            let mut found = Vec::new();
            while let Some(batch) = in_time(rows.next()).await {
                found.extend(numbers(&batch.unwrap()));
                // The first two come along with the producer, the others far behind.
                if at >= 2 {
                    tokio::time::sleep(Duration::from_micros(50)).await;
                }
            }
            found
        });
        for (at, found) in futures::future::join_all(read).await.into_iter().enumerate() {
            let partition = i64::try_from(at % 2).unwrap();
            assert_eq!(found, (0..40_000).map(|row| row * 2 + partition).collect::<Vec<_>>());
        }
        let all = room.left_as_it_was(job).await;
        let bytes = spilled(&all);
        assert!((320_000..=640_000).contains(&bytes), "{bytes} of 640000 bytes went to disk");
        assert!(all.iter().all(|what| !matches!(what, What::Spilled(edge, _) if edge.index() != 0)));
    });
}

#[test]
fn each_leaf_counts_what_it_gives() {
    on_each_engine(async |engine| {
        let first = EdgeSpec { fetch: Some(50), ..kept(2) };
        let mut job =
            partitioned(read_twice(many(2, 10, 10), [first, kept(2)]), engine, TaskContext::default());
        let streams = (0..4).map(|partition| all(job.job.stream(partition).unwrap()));
        futures::future::join_all(streams).await;
        let mut history = History::default();
        while history.jobs().is_empty() || !history.is_over() {
            history.take(in_time(job.records.recv()).await.unwrap());
        }
        let [run] = history.jobs() else { panic!("one job") };
        let rows = [0, 1].map(|edge| run.reader(EdgeId::new(edge)).unwrap().metric("output_rows"));
        assert_eq!(rows, [100, 200]);
        assert_eq!(run.stages[0].volume().rows, 200);
    });
}

/// One join that has the same rows on both sides:
///
/// ```text
///  0 scan ×3 ──shuffle──▶ 1 ×p ──forward──▶ ┐
///                             └──forward──▶ ┴ 2 hash join ×p ──gather──▶ 3
/// ```
///
/// or with the build side collected, behind a stage of its own.
fn self_join(partitions: usize, mode: PartitionMode) -> TaskGraph {
    let mut sketch = Sketch::new();
    let scan = sketch.stage(many(3, 5, 12));
    let rows = sketch.edge(scan, EdgeKind::Shuffle, partitions);
    let properties = Arc::clone(rows.properties());
    let shared = sketch.stage(rows);
    let [build, probe] = [(); 2].map(|()| sketch.spec(shared, EdgeSpec::kept(Arc::clone(&properties))));
    let build = match mode {
        PartitionMode::CollectLeft => {
            let build = sketch.stage(build);
            sketch.edge(build, EdgeKind::Gather, 1)
        }
        PartitionMode::Partitioned | PartitionMode::Auto => build,
    };
    let joined = sketch.stage(self_joined(build, probe, mode));
    let rows = sketch.edge(joined, EdgeKind::Gather, 1);
    let root = sketch.stage(rows);
    valid(sketch.finish(root))
}

#[test]
fn a_join_of_shared_rows_with_themselves_gives_each_once_and_does_not_hang() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = [1, 3].map(|threads| Engine::Local(Workers::of_the_process(threads).unwrap()));
    let inline = (0..50).map(|seed| Engine::Inline(Inline::new(seed)));
    for engine in local.into_iter().chain(inline) {
        for partitions in [1, 2, 7, 16] {
            for mode in [PartitionMode::Partitioned, PartitionMode::CollectLeft] {
                let graph = self_join(partitions, mode);
                runtime.block_on(async {
                    let job = submit(graph, engine.clone(), TaskContext::default());
                    let mut found = job.collect().await.unwrap();
                    found.sort_unstable();
                    assert_eq!(found, (0..180).collect::<Vec<_>>(), "{partitions} partitions, {mode:?}");
                    job.ended().await;
                });
            }
        }
    }
}

#[test]
fn a_join_of_shared_rows_with_themselves_runs_in_little_memory() {
    on_each_engine(async |engine| {
        let room = Room::new(Arc::new(Tight(UnboundedMemoryPool::default())));
        let mut sketch = Sketch::new();
        let shared = sketch.stage(many(1, 60, 500));
        let [build, probe] = [(); 2].map(|()| sketch.kept_edge(shared, 1));
        let root = sketch.stage(self_joined(build, probe, PartitionMode::CollectLeft));
        let job = submit(valid(sketch.finish(root)), engine, room.context());
        let mut found = job.collect().await.unwrap();
        found.sort_unstable();
        assert_eq!(found, (0..30_000).collect::<Vec<_>>());
        let all = room.left_as_it_was(job).await;
        assert!(spilled(&all) > 0);
    });
}
