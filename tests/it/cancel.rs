//! Queries that are stopped at random moments: nothing of them stays behind.
//!
//! The long run, `QUERY_SOAK_CANCELS=200`, also measures how long that takes, and holds it against the bounds that
//! people feel: the prompt within 100 ms, the cores quiet within a second.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use query::Session;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::memory::Limits;
use query::scheduler::Workers;
use query::session::{Outcome, SessionOptions};

use crate::{engine, tpch};

/// Long after which what was stopped is taken to run on for ever.
const DEADLINE: Duration = Duration::from_secs(120);
/// What counts as quiet: less than a twentieth of a core.
const WINDOW: Duration = Duration::from_millis(40);
const QUIET: Duration = Duration::from_millis(2);
/// Threads of a pool that no other test uses, so that its tasks are this test's.
const THREADS: usize = 5;

/// What people stop, by the operator that has most to do in it.
const QUERIES: [(&str, &str); 11] = [
    ("cross join", "select count(*), min(a.l_comment || b.l_comment) from lineitem a, lineitem b"),
    (
        "nested-loop join",
        "select count(*) from lineitem a join lineitem b on a.l_extendedprice < b.l_extendedprice - a.l_tax",
    ),
    (
        "hash join",
        "select count(*), sum(a.l_tax + b.l_tax) from lineitem a join lineitem b on a.l_suppkey = b.l_suppkey",
    ),
    (
        "hash join, built",
        "select count(*) from (select l_orderkey * 8 + l_linenumber as k, l_comment from lineitem) a join
         (select l_orderkey * 8 + l_linenumber as k, l_comment from lineitem) b using (k)
         where a.l_comment <> b.l_comment",
    ),
    (
        "aggregation",
        "select k, count(*), min(value), max(value) from
         (select value, value % 4000000 as k from generate_series(1, 80000000)) group by k order by 2 limit 5",
    ),
    ("distinct", "select count(distinct l_comment || l_partkey || l_suppkey) from lineitem"),
    ("sort", "select * from lineitem order by l_comment, l_partkey, l_orderkey"),
    ("sort, large", "select value from generate_series(1, 20000000) order by value % 1000003, value"),
    (
        "window",
        "select sum(l_quantity) over (partition by l_returnflag order by l_extendedprice, l_orderkey) as s
         from lineitem order by s limit 3",
    ),
    (
        "recursion",
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 100000000) select count(*) from t",
    ),
    ("scan", "select sum(length(l_comment) * l_quantity) from lineitem, generate_series(1, 400)"),
];

fn cancels() -> Option<usize> {
    std::env::var("QUERY_SOAK_CANCELS").ok().map(|cancels| cancels.parse().unwrap())
}

/// What a stopped query took to leave, from the moment in which its reader let go of it.
#[derive(Default)]
struct Times {
    prompt: Duration,
    tasks: Duration,
    quiet: Duration,
}

#[test]
fn what_is_stopped_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    tpch::generate(data.path(), 0.1);
    let temp = tempfile::tempdir().unwrap();
    let threads = NonZeroUsize::new(THREADS);
    let limits = Limits {
        memory: Some("2GB".parse().unwrap()),
        temp_dir: Some(temp.path().to_path_buf()),
        ..Limits::default()
    };
    let session = Session::with_options(&SessionOptions { limits, threads, ..Default::default() }).unwrap();
    let runtime = engine::runtime();
    let lineitem = data.path().join("lineitem.parquet");
    let view = format!("create view lineitem as select * from '{}'", lineitem.display());
    runtime.block_on(engine::run(&session, &view)).unwrap();
    let is_long = cancels().is_some();
    let mut random = fastrand::Rng::with_seed(7);
    let mut found: BTreeMap<&str, Vec<Times>> = BTreeMap::new();
    for round in 0..cancels().unwrap_or(QUERIES.len()) {
        let (name, sql) = QUERIES[round % QUERIES.len()];
        let after = Duration::from_millis(random.u64(1..if is_long { 1_500 } else { 250 }));
        let times = runtime.block_on(stopped(&session, sql, after, temp.path(), is_long));
        found.entry(name).or_default().push(times);
    }
    if is_long {
        hold_to_bounds(&found);
    }
}

/// Reads a query's rows for a time, and lets go of them.
async fn stopped(session: &Session, sql: &str, after: Duration, temp: &Path, is_long: bool) -> Times {
    let workers = Workers::of_the_process(THREADS).unwrap();
    let pool = session.resources().pool();
    let held_before = pool.reserved();
    // The last task of a statement may end a moment after its last row.
    wait(Instant::now(), || workers.tasks() == 0, "tasks run before", sql).await;
    let raw = split(&Script::new("test", sql)).statements.remove(0);
    let statement = raw.parse(&session.functions()).unwrap();
    let Outcome::Rows(mut rows) = session.run(&statement, &Params::default()).await.unwrap() else {
        unreachable!("a query gives rows: {sql}")
    };
    let read = async { while rows.next().await.is_some_and(|batch| batch.is_ok()) {} };
    // One that ends before its time is one that there is nothing to stop of.
    let _ = tokio::time::timeout(after, read).await;
    let stopped = Instant::now();
    drop(rows);
    let mut times = Times { prompt: stopped.elapsed(), ..Times::default() };
    wait(stopped, || workers.tasks() == 0, "its tasks run on", sql).await;
    times.tasks = stopped.elapsed();
    wait(stopped, || pool.reserved() <= held_before, "its memory is held", sql).await;
    wait(stopped, || files(temp) == 0, "its files stay", sql).await;
    if is_long {
        times.quiet = quiet(stopped, sql);
    }
    times
}

async fn wait(since: Instant, is_done: impl Fn() -> bool, what: &str, sql: &str) {
    while !is_done() {
        assert!(since.elapsed() < DEADLINE, "{what}: {sql}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Temporary files, at any depth.
fn files(folder: &Path) -> usize {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_type().is_file()))
        .count()
}

/// How long until the process used hardly any time of a core.
fn quiet(since: Instant, sql: &str) -> Duration {
    loop {
        let (begin, used) = (since.elapsed(), processor_time());
        std::thread::sleep(WINDOW);
        if processor_time().saturating_sub(used) <= QUIET {
            return begin;
        }
        assert!(since.elapsed() < DEADLINE, "a core is busy: {sql}");
    }
}

/// The time of cores that this process's threads have used so far; a thread that ends takes its time along.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let used = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100).max(1) - 1]
}

#[expect(clippy::print_stderr, reason = "the figures are what the long run is for")]
fn hold_to_bounds(found: &BTreeMap<&str, Vec<Times>>) {
    eprintln!("operator             stops  prompt max   tasks max   quiet max");
    for (name, times) in found {
        let max = |of: fn(&Times) -> Duration| times.iter().map(of).max().unwrap().as_secs_f64() * 1e3;
        let (prompt, tasks, quiet) = (max(|t| t.prompt), max(|t| t.tasks), max(|t| t.quiet));
        eprintln!("{name:20} {:5} {prompt:8.1} ms {tasks:8.1} ms {quiet:8.1} ms", times.len());
    }
    let all = |of: fn(&Times) -> Duration| found.values().flatten().map(of).collect::<Vec<_>>();
    let prompt = percentile(&mut all(|times| times.prompt), 99);
    let quiet = percentile(&mut all(|times| times.quiet.max(times.tasks)), 95);
    eprintln!("prompt p99 {prompt:?}, quiet p95 {quiet:?}");
    assert!(prompt <= Duration::from_millis(100), "the prompt comes back after {prompt:?}");
    assert!(quiet <= Duration::from_secs(1), "cores are busy for {quiet:?}");
}
