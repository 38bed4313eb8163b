//! Reads and writes of HDFS during which a DataNode goes away: a real one, that of the tests (`tests/servers.sh`),
//! without latency.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use query::datafusion::execution::object_store::ObjectStoreRegistry;
use query::datafusion::object_store::ObjectStoreExt;
use query::datafusion::object_store::path::Path as Key;
use url::Url;

use crate::data::LARGE_KEY;
use crate::{Bench, median, ours};

/// Pairs of runs.
const PAIRS: usize = 5;
const RATIO_MAX: f64 = 3.0;
/// A server that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Two NameNodes and two DataNodes with a copy of each block each, in a process that ends with this one.
struct Hdfs {
    url: String,
    commands: ChildStdin,
    answers: Receiver<String>,
    child: Child,
}

impl Hdfs {
    fn start(room: &Path) -> Self {
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers.sh"))
            .args(["hdfs", room.to_str().unwrap(), "2"])
            .env_remove("HADOOP_CONF_DIR")
            .env_remove("HADOOP_USER_NAME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, answers) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut hdfs = Self { url: String::new(), commands: child.stdin.take().unwrap(), answers, child };
        loop {
            let line = hdfs.answer();
            match line.split_once(' ') {
                Some(("namenode", address)) if hdfs.url.is_empty() => hdfs.url = format!("hdfs://{address}"),
                _ if line == "ready" => return hdfs,
                _ => {}
            }
        }
    }

    fn command(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
        assert_eq!(self.answer(), "done", "{command}");
    }

    fn answer(&self) -> String {
        self.answers.recv_timeout(PATIENCE).expect("tests/servers.sh is silent: was it installed?")
    }
}

impl Drop for Hdfs {
    fn drop(&mut self) {
        // Its data go with it, and it is gone one way or the other when this process is.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Hdfs {
    /// Does some work while a DataNode goes away after so many seconds, the one that has been there for longest; gives
    /// the seconds that it took. The DataNode is back afterwards.
    fn without_one<T>(&mut self, after: f64, work: impl FnOnce() -> T) -> (T, f64) {
        let begun = Instant::now();
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_secs_f64(after));
                self.command("stop 0");
            });
            let done = work();
            (done, begun.elapsed().as_secs_f64())
        });
        self.command("start");
        done
    }
}

/// What is done, and how its end is told from a wrong one.
struct Case {
    name: &'static str,
    /// Where it is to write to, if it does.
    sql: fn(&Place) -> String,
    writes: bool,
    /// Words of the error that it may end with.
    words: Option<&'static str>,
}

/// Where rows come from and go to.
struct Place {
    /// On HDFS.
    large: String,
    /// On this machine.
    local: String,
    target: String,
}

/// CSV is written as rows come, in small parts; a block has 8 MiB.
const SMALL_PARTS: &str = "SET datafusion.execution.objectstore_writer_buffer_size = 500000";

const CASES: [Case; 4] = [
    Case {
        name: "read, 231 MB",
        sql: |place| {
            let keys = "l_returnflag, l_linestatus";
            let sums = "count(*), sum(l_quantity), sum(l_extendedprice * (1 - l_discount))";
            format!("SELECT {keys}, {sums} FROM '{}' GROUP BY {keys} ORDER BY {keys}", place.large)
        },
        writes: false,
        words: None,
    },
    Case {
        name: "write, less than a block",
        sql: |place| {
            let rows = format!("SELECT l_orderkey FROM '{}' WHERE md5(l_comment) LIKE 'a%'", place.local);
            format!("{SMALL_PARTS}; COPY ({rows}) TO '{}'", place.target)
        },
        writes: true,
        // It goes on with the other DataNode, unless it has not begun.
        words: Some("DataNode"),
    },
    Case {
        name: "write, in no time",
        sql: |place| {
            let rows = format!("SELECT l_orderkey FROM '{}' WHERE l_orderkey % 7 = 0", place.local);
            format!("{SMALL_PARTS}; COPY ({rows}) TO '{}'", place.target)
        },
        writes: true,
        words: Some("DataNode"),
    },
    // The NameNode does not know yet that the DataNode is gone, and has the next block begin there.
    Case {
        name: "write, many blocks",
        sql: |place| {
            let rows = format!("SELECT l_orderkey, l_partkey, l_suppkey FROM '{}'", place.local);
            format!("{SMALL_PARTS}; COPY ({rows}) TO '{}'", place.target)
        },
        writes: true,
        words: Some("DataNode"),
    },
];

pub(crate) fn measure(bench: &mut Bench) {
    let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut hdfs = Hdfs::start(room.path());
    let local = bench.folder.join("tpch1").join(LARGE_KEY);
    let bytes = std::fs::read(&local).unwrap();
    let url = Url::parse(&hdfs.url).unwrap();
    bench.runtime.block_on(async {
        let store = ours::session(&bench.server).stores().get_store(&url).unwrap();
        store.put(&Key::from(LARGE_KEY), bytes.into()).await.unwrap();
    });
    println!(
        "HDFS, two copies of each block, a DataNode goes away after a third of the time, over all there: at most \
         {RATIO_MAX} times, {PAIRS} pairs"
    );
    for case in &CASES {
        under(bench, &mut hdfs, &local, case);
    }
}

/// Runs a case to its end; gives the rows that it reads, or finds where it wrote.
fn run(bench: &Bench, case: &Case, place: &Place) -> query::Result<String> {
    let session = ours::session(&bench.server);
    let sql = (case.sql)(place);
    bench.runtime.block_on(async {
        match case.writes {
            true => ours::written(&session, &sql).await.map(|rows| rows.to_string()),
            false => Ok(ours::ran(&session, &sql).await?.rows),
        }
    })
}

/// What was written, in figures.
fn found(bench: &Bench, place: &Place) -> query::Result<String> {
    let sql = format!("SELECT count(*), sum(l_orderkey), max(l_orderkey) FROM '{}'", place.target);
    Ok(bench.runtime.block_on(ours::ran(&ours::session(&bench.server), &sql))?.rows)
}

fn under(bench: &mut Bench, hdfs: &mut Hdfs, local: &Path, case: &Case) {
    let large = format!("{}/{LARGE_KEY}", hdfs.url);
    let place = |number: usize, kind: &str| {
        let target = format!("{}/{}/{kind}-{number}.csv", hdfs.url, case.name.replace([' ', ','], "-"));
        Place { large: large.clone(), local: local.display().to_string(), target }
    };
    let (mut times, mut ratios, mut errors) = (Vec::new(), Vec::new(), 0);
    let places: Vec<_> =
        (0..PAIRS).map(|number| (place(number, "whole"), place(number, "without"))).collect();
    run(bench, case, &place(PAIRS, "first")).unwrap();
    for (whole, without) in &places {
        let begun = Instant::now();
        let rows = run(bench, case, whole).unwrap();
        let clean = begun.elapsed().as_secs_f64();
        times.push(clean);
        let (ran, time) = hdfs.without_one(clean / 3.0, || run(bench, case, without));
        ratios.push(time / clean);
        match (ran, case.words) {
            (Ok(ran), _) => {
                assert_eq!(ran, rows, "{}: other rows", case.name);
                if case.writes {
                    let (found, wanted) = (found(bench, without).unwrap(), found(bench, whole).unwrap());
                    assert_eq!(found, wanted, "{}: other rows were written", case.name);
                }
            }
            (Err(error), Some(words)) if error.to_string().contains(words) => {
                errors += 1;
                let left = found(bench, without).expect_err("nothing is left of a write that failed");
                assert!(left.to_string().contains("no such file"), "{left}");
            }
            (Err(error), _) => panic!("{}: {error}", case.name),
        }
    }
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let (clean, middle) = (median(times), median(ratios));
    println!(
        "  {:26} {clean:5.2} s; {middle:5.2} times, worst {worst:5.2}  {} whole, {errors} errors",
        case.name,
        PAIRS - errors
    );
    bench.bound(&format!("HDFS, {}", case.name), middle, RATIO_MAX);
}
