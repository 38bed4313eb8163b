//! `--record` and `--trace`: documents that fit what was run, also when it failed or was stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Room;

/// Two partitions, whatever machine this is.
const TWO: [&str; 4] = ["--threads", "2", "-c", "set datafusion.execution.target_partitions = 2"];
const GROUPS: &str =
    "select value % 7 as k, count(*) as n from generate_series(1, 100000) group by 1 order by 2, 1";
/// Takes seconds, without giving a row before.
const LONG: &str = "select count(*) from generate_series(1, 100000) as a, generate_series(1, 100000) as b
    where (a.value * 7 + b.value) % 1000003 = 1";

fn parsed(room: &Room, name: &str) -> Value {
    serde_json::from_str(&room.read(name)).unwrap()
}

/// Runs one statement and gives the last entry of its record.
fn recorded(sql: &str, args: &[&str]) -> Value {
    let room = Room::new();
    let all = TWO.into_iter().chain(["-c", sql, "--record", "run.json"]).chain(args.iter().copied());
    room.query(all).run();
    assert_eq!(room.names(), ["run.json"]);
    list(&parsed(&room, "run.json")["statements"]).pop().unwrap()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().unwrap().clone()
}

fn number(value: &Value) -> u64 {
    assert!(value.is_u64(), "{value}");
    value.as_u64().unwrap()
}

#[test]
fn a_record_fits_the_result_and_the_graph() {
    for engine in ["local", "inline"] {
        let statement = recorded(GROUPS, &["--engine", engine]);
        assert_eq!((&statement["outcome"], &statement["engine"]), (&"done".into(), &engine.into()));
        assert_eq!((&statement["sql"], number(&statement["rows"])), (&GROUPS.into(), 7));
        let [job] = list(&statement["jobs"]).try_into().unwrap();
        let (stages, edges, tasks) = (list(&job["stages"]), list(&job["edges"]), list(&job["tasks"]));

        let drawn = Room::new().query(["graph"].into_iter().chain(TWO).chain(["-c", GROUPS])).run().rows();
        let title = format!("{} stages, {} tasks\n", stages.len(), tasks.len());
        assert!(drawn.starts_with(&title), "{title}{drawn}");

        assert_eq!(number(&job["rows"]), 7);
        assert_eq!(number(&stages[usize::try_from(number(&job["root"])).unwrap()]["rows"]), 7);
        for stage in &stages {
            assert_eq!(stage["status"], "done");
            let own: Vec<_> = tasks.iter().filter(|task| task["stage"] == stage["id"]).collect();
            assert_eq!(number(&stage["tasks"]), own.len() as u64);
            assert_eq!(number(&stage["rows"]), own.iter().map(|task| number(&task["rows"])).sum::<u64>());
            let last = own.iter().map(|task| number(&task["end_us"])).max();
            assert!(last <= stage["end_us"].as_u64(), "{stage}");
            let busy = &stage["task_busy_us"];
            assert!(number(&busy["min"]) <= number(&busy["median"]), "{stage}");
            assert!(number(&busy["median"]) <= number(&busy["max"]), "{stage}");
            let first = &stage["operators"][0]["metrics"]["output_rows"];
            if first.is_u64() {
                assert_eq!(first, &stage["rows"], "{stage}");
            }
        }
        for task in &tasks {
            assert_eq!(task["status"], "done");
            let (start, end) = (number(&task["start_us"]), number(&task["end_us"]));
            assert!(start <= end && number(&task["busy_us"]) <= end - start + 1000, "{task}");
            let worker = number(&task["worker"]);
            assert!(if engine == "inline" { worker == 0 } else { worker < 2 }, "{task}");
        }
        for edge in &edges {
            let from = &stages[usize::try_from(number(&edge["from"])).unwrap()];
            assert_eq!(edge["rows"], from["rows"], "no edge here has a limit: {edge}");
        }
    }
}

#[test]
fn a_failed_query_has_a_record_that_names_the_operator() {
    let sql = "select count(1 / (value - 5000)) from generate_series(1, 100000)";
    let statement = recorded(sql, &[]);
    assert_eq!((&statement["outcome"], &statement["error"]), (&"failed".into(), &"division by zero".into()));
    let job = &statement["jobs"][0];
    assert_eq!(job["outcome"], "failed");
    let failure = &job["failure"];
    assert_eq!(failure["operator"], "AggregateExec", "{failure}");
    let stage = &job["stages"][usize::try_from(number(&failure["stage"])).unwrap()];
    assert_eq!((&stage["status"], &stage["op"]), (&"failed".into(), &failure["op"]));
    let failed = list(&job["tasks"])
        .into_iter()
        .find(|task| task["stage"] == failure["stage"] && task["partition"] == failure["task"]);
    assert_eq!(failed.unwrap()["status"], "failed");
}

#[test]
fn what_fails_before_it_runs_is_recorded_and_later_statements_are_with_keep_going() {
    let room = Room::new();
    let done =
        room.query(["-c", "select nope; select 1 as one", "--keep-going", "--record", "run.json"]).run();
    assert_eq!(done.code, Some(1));
    let document = parsed(&room, "run.json");
    assert_eq!((&document["outcome"], number(&document["exit_code"])), (&"failed".into(), 1));
    let [first, second] = list(&document["statements"]).try_into().unwrap();
    assert_eq!((&first["error"], list(&first["jobs"]).len()), (&"column 'nope' does not exist".into(), 0));
    assert_eq!((&second["outcome"], number(&second["jobs"][0]["rows"])), (&"done".into(), 1));
}

#[test]
fn a_query_that_takes_too_long_has_a_record() {
    let statement = recorded(LONG, &["--timeout", "300ms"]);
    assert_eq!(statement["outcome"], "cancelled");
    let error = statement["error"].as_str().unwrap();
    assert!(error.starts_with("the statement took longer than"), "{error}");
    assert!(number(&statement["duration_us"]) >= 300_000);
    assert!(!list(&statement["jobs"][0]["stages"]).is_empty());
}

#[test]
fn an_interrupted_query_has_a_record_and_a_trace() {
    let room = Room::new();
    let query = room.query(["-c", LONG, "--record", "run.json", "--trace", "trace.json"]);
    let running = query.start().read_all();
    thread::sleep(Duration::from_millis(700));
    running.signal(libc::SIGINT);
    assert_eq!(running.wait().code, Some(130));
    let document = parsed(&room, "run.json");
    assert_eq!((&document["outcome"], number(&document["exit_code"])), (&"cancelled".into(), 130));
    let [statement] = list(&document["statements"]).try_into().unwrap();
    assert_eq!(
        (&statement["outcome"], &statement["error"]),
        (&"cancelled".into(), &"the run was stopped".into())
    );
    assert_eq!(list(&statement["jobs"]).len(), 1);
    assert!(!list(&parsed(&room, "trace.json")["traceEvents"]).is_empty());
    assert_eq!(room.names(), ["run.json", "trace.json"]);
}

#[test]
fn what_spills_is_counted() {
    let sql = "select max(value) from (select value from generate_series(1, 3000000) order by -value % 1000 offset 1)";
    let statement = recorded(sql, &["--memory-limit", "24MB"]);
    assert_eq!(statement["outcome"], "done", "{statement}");
    let stages = list(&statement["jobs"][0]["stages"]);
    let sort = stages.iter().find(|stage| stage["op"] == "Sort").unwrap();
    assert!(number(&sort["spilled_bytes"]) > 1_000_000, "{sort}");
    assert!(number(&sort["spilled_files"]) > 0, "{sort}");
    let peak = number(&sort["peak_memory_bytes"]);
    assert!(peak > 1_000_000 && peak <= 24_000_000, "{peak}");
}

#[test]
fn statements_with_secrets_are_left_out() {
    let room = Room::new();
    let sql =
        "select 'hunter2' as password from generate_series(1, 2) where 'hunter2' < cast(value as varchar)";
    room.query(["-c", sql, "-c", "select 1 as one", "--record", "run.json"]).run();
    let text = room.read("run.json");
    assert!(!text.contains("hunter2"), "{text}");
    let [secret, plain] = list(&parsed(&room, "run.json")["statements"]).try_into().unwrap();
    assert_eq!((&secret["sql"], &secret["sql_withheld"]), (&Value::Null, &true.into()));
    assert!(!list(&secret["jobs"]).is_empty());
    assert_eq!((&plain["sql"], &plain["sql_withheld"]), (&"select 1 as one".into(), &false.into()));
}

#[test]
fn the_engine_stock_has_no_jobs_to_record() {
    let statement = recorded(GROUPS, &["--engine", "stock"]);
    assert_eq!((&statement["outcome"], number(&statement["rows"])), (&"done".into(), 7));
    assert!(list(&statement["jobs"]).is_empty());
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_runs() {
    for flag in ["--record", "--trace"] {
        let room = Room::new();
        let error = room.query(["-c", "copy (select 1 as a) to 'a.csv'", flag, "no/run.json"]).run().error(1);
        assert!(error.starts_with("error: could not write beside 'no/run.json'"), "{error}");
        assert!(room.names().is_empty());
    }
}

/// A slice: its track, its start and its end, in microseconds.
fn slices(events: &[Value]) -> BTreeMap<u64, Vec<(f64, f64)>> {
    let mut tracks: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let (start, time) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        tracks.entry(number(&event["tid"])).or_default().push((start, start + time));
    }
    tracks
}

#[test]
fn a_trace_has_a_track_for_each_worker_and_no_slice_over_another() {
    for engine in ["local", "inline"] {
        let room = Room::new();
        let args = ["-c", GROUPS, "--engine", engine, "--record", "run.json", "--trace", "trace.json"];
        room.query(TWO.into_iter().chain(args)).run();
        let events = list(&parsed(&room, "trace.json")["traceEvents"]);
        let phases: BTreeSet<_> = events.iter().map(|event| event["ph"].as_str().unwrap()).collect();
        assert_eq!(phases, BTreeSet::from(["C", "M", "X"]));
        let named: BTreeSet<_> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| number(&event["tid"]))
            .collect();
        let mut tracks = slices(&events);
        assert_eq!(tracks.keys().copied().collect::<BTreeSet<_>>(), named);
        // That of the main thread, which does no work of a query.
        assert!(!named.contains(&number(&events[0]["pid"])), "{named:?}");
        assert!(named.len() <= if engine == "inline" { 1 } else { 2 }, "{named:?}");
        for track in tracks.values_mut() {
            track.sort_by(|one, two| one.0.total_cmp(&two.0));
            for pair in track.windows(2) {
                // Numbers with fractions are rounded a little.
                assert!(pair[0].1 <= pair[1].0 + 0.01, "{pair:?} overlap");
            }
        }

        let job = &parsed(&room, "run.json")["statements"][1]["jobs"][0];
        let seen: BTreeSet<_> = events
            .iter()
            .filter(|event| event["ph"] == "X")
            .map(|event| (number(&event["args"]["stage"]), number(&event["args"]["partition"])))
            .collect();
        let tasks: BTreeSet<_> = list(&job["tasks"])
            .iter()
            .map(|task| (number(&task["stage"]), number(&task["partition"])))
            .collect();
        assert_eq!(seen, tasks, "every task has a slice");
        let last = |name: &str, arg: &str| {
            let counter = events.iter().rfind(|event| event["name"] == name).unwrap();
            number(&counter["args"][arg])
        };
        assert_eq!((last("rows out", "rows"), last("memory reserved", "bytes")), (7, 0));
    }
}
