//! Reads from HDFS of which a DataNode goes away: a real one, that of the tests (`tests/servers.sh`), without latency.

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

const RUNS: usize = 6;
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

pub(crate) fn measure(bench: &mut Bench) {
    let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut hdfs = Hdfs::start(room.path());
    let bytes = std::fs::read(bench.folder.join("tpch1").join(LARGE_KEY)).unwrap();
    let url = Url::parse(&hdfs.url).unwrap();
    bench.runtime.block_on(async {
        let store = ours::session(&bench.server).stores().get_store(&url).unwrap();
        store.put(&Key::from(LARGE_KEY), bytes.into()).await.unwrap();
    });
    let sql = format!(
        "SELECT l_returnflag, l_linestatus, count(*), sum(l_quantity), sum(l_extendedprice * (1 - l_discount)) \
         FROM '{}/{LARGE_KEY}' GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus",
        hdfs.url
    );
    let run = |bench: &Bench| bench.runtime.block_on(ours::ran(&ours::session(&bench.server), &sql));
    let clean: Vec<_> = (0..5).map(|_| run(bench).unwrap()).collect();
    let rows = clean[0].rows.clone();
    let clean = median(clean.iter().map(|ran| ran.time.as_secs_f64()).collect());
    println!(
        "HDFS, one file of 231 MB: {clean:.2} s without trouble; a DataNode goes away after a third of that:"
    );
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let ran = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_secs_f64(clean / 3.0));
                // The one that has been there for longer: each in turn.
                hdfs.command("stop 0");
            });
            let ran = run(bench);
            ratios.push(begun.elapsed().as_secs_f64() / clean);
            ran
        });
        assert_eq!(ran.unwrap().rows, rows);
        hdfs.command("start");
    }
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let middle = median(ratios);
    println!("  {middle:.2} times as long, worst {worst:.2}, the same rows {RUNS} times");
    bench.bound("HDFS, a DataNode that goes away", middle, RATIO_MAX);
}
