//! Findings from histories made by hand: each is there when its numbers are, and is not when they are not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::graph::{Drawing, EdgeKind, Op, Scan, StageId};
use crate::scheduler::JobId;
use crate::scheduler::event::{Failure, Worker};
use crate::scheduler::record::{EdgeRun, Samples, TaskRun};
use crate::scheduler::state::{Outcome, Status, TaskEnd};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(in crate::output::report) fn operator(name: &str, metrics: &[(&str, u64)]) -> OperatorRun {
    OperatorRun {
        name: name.into(),
        text: format!("{name}: in full"),
        words: name.trim_end_matches("Exec").into(),
        metrics: metrics.iter().map(|(name, value)| ((*name).to_string(), *value)).collect(),
        ..OperatorRun::default()
    }
}

fn edge_reader(edge: usize) -> OperatorRun {
    OperatorRun { edge: Some(crate::graph::EdgeId::new(edge)), ..operator("EdgeExec", &[]) }
}

/// A stage whose tasks were busy for so many milliseconds, with ten rows for each.
pub(in crate::output::report) fn stage(op: Op, busy: &[u64], operators: Vec<OperatorRun>) -> StageRun {
    let task = |busy: &u64| TaskRun {
        started: Some((ms(1), Worker(0))),
        ended: Some((ms(1_000), TaskEnd::Done)),
        volume: crate::scheduler::event::Volume { rows: busy * 10, busy: ms(*busy), ..Default::default() },
        failure: None,
    };
    StageRun {
        op,
        status: Status::Done,
        started: Some(ms(1)),
        ended: Some(ms(1_000)),
        memory_peak: 5_000_000,
        operators,
        tasks: busy.iter().map(task).collect(),
    }
}

pub(in crate::output::report) fn job(stages: Vec<StageRun>, edges: Vec<EdgeRun>) -> JobRun {
    JobRun {
        job: JobId::of_tests(),
        submitted: Instant::now(),
        root: StageId::new(stages.len() - 1),
        stages,
        edges,
        memory_peak: 7_000_000,
        held: Samples::default(),
        drawing: Drawing::default(),
        end: Some((ms(1_000), Outcome::Done)),
    }
}

pub(in crate::output::report) fn ran(jobs: Vec<JobRun>) -> Ran {
    Ran {
        sql: Some("select 1".into()),
        script: "<shell>".into(),
        line: 1,
        end: End::Rows(3),
        engine: EngineKind::Local,
        threads: 2,
        memory_limit: 100_000_000,
        took: Some(ms(1_010)),
        planning: Some(ms(10)),
        jobs,
    }
}

/// What is found in a job of one stage.
fn found_in(op: Op, busy: &[u64], operators: Vec<OperatorRun>) -> Vec<Finding> {
    Why::of(&ran(vec![job(vec![stage(op, busy, operators)], Vec::new())])).findings
}

fn kinds(findings: &[Finding]) -> Vec<Kind> {
    findings.iter().map(|finding| finding.kind).collect()
}

fn ns(millis: u64) -> u64 {
    millis * 1_000_000
}

/// A Parquet scan below a filter that lets so many of a million rows through.
fn filtered_scan(scan: Scan, passed: u64, pruned: u64) -> Vec<OperatorRun> {
    let read = operator(
        "DataSourceExec",
        &[
            ("output_rows", 1_000_000),
            ("time_elapsed_processing_ns", ns(800)),
            ("row_groups_pruned_statistics_matched", 10),
            ("row_groups_pruned_statistics_pruned", pruned),
        ],
    );
    let scan = Scan { files: 1, file: "sales.parquet".into(), format: "parquet".into(), ..scan };
    let text =
        if scan.compared.is_empty() { "DataSourceExec: x" } else { "DataSourceExec: x, pruning_predicate=y" };
    let read = OperatorRun { scan: Some(scan), text: text.into(), ..read };
    vec![operator("FilterExec", &[("output_rows", passed)]), read]
}

fn compared() -> Scan {
    Scan { compared: vec!["day".into()], ..Scan::default() }
}

#[test]
fn nothing_stands_out_where_tasks_share_the_work() {
    let why = Why::of(&ran(vec![job(
        vec![stage(
            Op::GroupBy,
            &[900, 900],
            vec![operator("AggregateExec", &[("elapsed_compute_ns", ns(1_500))])],
        )],
        Vec::new(),
    )]));
    assert_eq!(why.findings, []);
    assert_eq!(
        why.text(),
        "1.01 s in all: 10 ms planning, 1.00 s running (1.80 s of work on 2 threads)\n\
         nothing stands out: the slowest operator, Aggregate (stage 0), has 83 % of the work\n   1.50 s of 1.80 s"
    );
}

#[test]
fn the_slowest_operator_is_that_with_the_most_time_in_its_own_count() {
    let join = operator(
        "HashJoinExec",
        &[
            ("elapsed_compute_ns", ns(300)),
            ("build_input_rows", 5),
            ("input_rows", 7),
            ("output_rows", 1_234),
        ],
    );
    let scan =
        operator("DataSourceExec", &[("elapsed_compute_ns", ns(1)), ("time_elapsed_processing_ns", ns(200))]);
    let scan = OperatorRun { scan: Some(Scan::default()), ..scan };
    let slowest = |operators| {
        Why::of(&ran(vec![job(vec![stage(Op::Join, &[500, 500], operators)], Vec::new())])).slowest
    };
    let found = slowest(vec![join, scan.clone()]).unwrap();
    assert_eq!((found.words.as_str(), found.share), ("HashJoin", 0.3));
    assert_eq!(found.evidence, "300 ms of 1.00 s, 5 rows in its table, 7 rows looked up, 1,234 rows out");
    assert_eq!(slowest(vec![scan]).unwrap().words, "DataSource");
    assert_eq!(slowest(vec![operator("EmptyExec", &[])]), None);
}

#[test]
fn a_task_that_did_the_most_is_skew_and_names_the_key() {
    let stages = |busy: &[u64]| {
        let reads = vec![operator("AggregateExec", &[]), edge_reader(0)];
        vec![stage(Op::Scan, &[100, 100], Vec::new()), stage(Op::GroupBy, busy, reads)]
    };
    let edge = || EdgeRun {
        kind: EdgeKind::Shuffle,
        from: StageId::new(0),
        to: StageId::new(1),
        partitions: 4,
        keys: Some("by region".into()),
        spilled_bytes: 0,
    };
    let found = |busy: &[u64]| Why::of(&ran(vec![job(stages(busy), vec![edge()])])).findings;
    let [skew] = found(&[100, 900, 100, 100]).try_into().unwrap();
    assert_eq!((skew.kind, skew.stage), (Kind::Skew, Some(1)));
    assert_eq!(skew.what, "one task of a GroupBy stage, whose rows come by region did the most");
    assert!(skew.evidence[0].starts_with(
        "task 1.1, one of 4, was busy for 900 ms, the others for 100 ms on average; it gave 75 %"
    ));
    assert!(skew.remedies[0].contains("GROUP BY region"), "{skew:?}");
    assert_eq!(kinds(&found(&[300, 400, 300, 300])), []);
    assert_eq!(kinds(&found(&[4, 40, 4, 4])), [Kind::Idle], "too little to be felt");
}

#[test]
fn what_spills_is_named_with_the_setting() {
    let sort = |bytes| {
        operator("SortExec", &[("elapsed_compute_ns", ns(900)), ("spilled_bytes", bytes), ("spill_count", 3)])
    };
    let [spill] = found_in(Op::Sort, &[900, 900], vec![sort(120_000_000)]).try_into().unwrap();
    assert_eq!((spill.kind, spill.what.as_str()), (Kind::Spill, "Sort did not fit into memory"));
    assert_eq!(spill.evidence, ["it wrote 120.0 MB to 3 temporary files; its stage held 5.0 MB at most"]);
    assert_eq!(
        spill.remedies,
        ["more memory: --memory-limit, or SET datafusion.runtime.memory_limit (now 100.0 MB)"]
    );
    assert_eq!(kinds(&found_in(Op::Sort, &[900, 900], vec![sort(0)])), []);
}

#[test]
fn an_edge_that_spills_is_a_finding() {
    let stages =
        || vec![stage(Op::Scan, &[900, 900], Vec::new()), stage(Op::Map, &[900, 900], vec![edge_reader(0)])];
    let edge = |spilled_bytes| EdgeRun {
        kind: EdgeKind::Rebalance,
        from: StageId::new(0),
        to: StageId::new(1),
        partitions: 2,
        keys: None,
        spilled_bytes,
    };
    let found = |spilled| Why::of(&ran(vec![job(stages(), vec![edge(spilled)])])).findings;
    assert_eq!(kinds(&found(1_000_000)), [Kind::Spill]);
    assert_eq!(kinds(&found(0)), []);
}

#[test]
fn a_scan_that_read_what_its_condition_ruled_out_could_have_pruned() {
    let [pruning] = found_in(Op::Scan, &[900, 900], filtered_scan(compared(), 20_000, 0)).try_into().unwrap();
    assert_eq!(
        (pruning.kind, pruning.what.as_str()),
        (Kind::Pruning, "sales.parquet was read almost whole for 2 % of its rows")
    );
    assert_eq!(
        pruning.evidence,
        ["10 of 10 row groups, 1,000,000 rows; 20,000 passed the condition; 800 ms"]
    );
    assert!(pruning.remedies[0].contains("ORDER BY day"), "{pruning:?}");

    let most_rows = filtered_scan(compared(), 900_000, 0);
    assert_eq!(
        kinds(&found_in(Op::Scan, &[900, 900], most_rows)),
        [],
        "the condition lets most rows through"
    );
    let pruned = filtered_scan(compared(), 20_000, 90);
    assert_eq!(kinds(&found_in(Op::Scan, &[900, 900], pruned)), [], "nine of ten row groups were left out");
    let other = filtered_scan(Scan::default(), 20_000, 0);
    assert_eq!(kinds(&found_in(Op::Scan, &[900, 900], other)), [], "the condition is of no use to a scan");
}

#[test]
fn a_condition_on_a_computed_value_is_quoted() {
    let scan = Scan { computed: vec!["CAST(day AS Utf8) = 2026".into()], ..Scan::default() };
    let [pruning] = found_in(Op::Scan, &[900, 900], filtered_scan(scan, 20_000, 0)).try_into().unwrap();
    assert!(pruning.remedies[0].contains("not of `CAST(day AS Utf8) = 2026`"), "{pruning:?}");
}

#[test]
fn many_small_files_and_tiny_batches_are_told() {
    let scan = |files, rows, batches| {
        let read = operator(
            "DataSourceExec",
            &[("output_rows", rows), ("output_batches", batches), ("time_elapsed_processing_ns", ns(800))],
        );
        vec![OperatorRun { scan: Some(Scan { files, file: "a.csv".into(), ..Scan::default() }), ..read }]
    };
    let found = |files, rows, batches| found_in(Op::Scan, &[900, 900], scan(files, rows, batches));
    let [small] = found(500, 100_000, 500).try_into().unwrap();
    assert_eq!((small.kind, small.what.as_str()), (Kind::Small, "500 files like a.csv are many and small"));
    assert_eq!(small.evidence, ["500 files with 200 rows on average; 800 ms"]);
    assert_eq!(kinds(&found(500, 100_000_000, 50_000)), []);
    let [tiny] = found(2, 50_000, 10_000).try_into().unwrap();
    assert_eq!(tiny.evidence, ["10,000 batches of 5 rows on average"]);
}

#[test]
fn a_stage_of_one_task_is_told_with_the_reason_that_its_plan_has() {
    let csv = Scan { files: 1, file: "a.csv.gz".into(), format: "csv".into(), ..Scan::default() };
    let scan = OperatorRun {
        scan: Some(csv),
        ..operator("DataSourceExec", &[("time_elapsed_processing_ns", ns(900))])
    };
    let findings = found_in(Op::Scan, &[950], vec![scan]);
    let alone = findings.iter().find(|finding| finding.kind == Kind::OneTask).unwrap();
    assert_eq!(alone.what, "one task did all of DataSource");
    assert!(alone.evidence[1].starts_with("a.csv.gz was not read in pieces"), "{alone:?}");
    assert!(alone.remedies[0].contains("COPY (SELECT * FROM 'a.csv.gz')"), "{alone:?}");

    let window = |text: &str| {
        let window = operator("BoundedWindowAggExec", &[("elapsed_compute_ns", ns(900))]);
        let findings = found_in(Op::Window, &[950], vec![OperatorRun { text: text.into(), ..window }]);
        findings.into_iter().find(|finding| finding.kind == Kind::OneTask).unwrap().remedies
    };
    assert!(window("wdw=[rank() ORDER BY [v]]")[0].starts_with("PARTITION BY in the window"));
    assert_eq!(window("wdw=[rank() PARTITION BY [k]]").len(), 0, "it has one");
    let short = found_in(Op::Scan, &[100], vec![operator("DataSourceExec", &[])]);
    assert!(!kinds(&short).contains(&Kind::OneTask), "{short:?}");
}

#[test]
fn joins_that_do_more_than_they_have_to_are_told() {
    let join = |name, build, probe, out| {
        let metrics = [
            ("elapsed_compute_ns", ns(900)),
            ("build_time_ns", ns(500)),
            ("build_input_rows", build),
            ("input_rows", probe),
            ("output_rows", out),
        ];
        kinds(&found_in(Op::Join, &[900, 900], vec![operator(name, &metrics)]))
    };
    assert_eq!(join("HashJoinExec", 1_000, 1_000_000, 1_000_000), []);
    assert_eq!(join("HashJoinExec", 1_000_000, 1_000, 1_000), [Kind::BuildSide]);
    assert_eq!(join("HashJoinExec", 1_000, 100_000, 10_000_000), [Kind::Multiplies]);
    assert_eq!(join("NestedLoopJoinExec", 1_000, 1_000, 5), [Kind::Pairs]);
    assert_eq!(join("CrossJoinExec", 1_000, 1_000, 1_000_000), [Kind::Pairs]);
    assert_eq!(join("SortMergeJoinExec", 0, 0, 0), []);
}

#[test]
fn a_second_attempt_is_told_with_what_it_cost() {
    let mut first = job(vec![stage(Op::Join, &[300, 300], Vec::new())], Vec::new());
    first.end = Some((ms(400), Outcome::Failed));
    let second = || job(vec![stage(Op::Join, &[900, 900], Vec::new())], Vec::new());
    let findings = Why::of(&ran(vec![first, second()])).findings;
    assert_eq!(kinds(&findings), [Kind::Again]);
    assert_eq!(findings[0].evidence, ["the first attempt took 400 ms and held 7.0 MB at most"]);
    assert_eq!(kinds(&Why::of(&ran(vec![second(), second()])).findings), [], "two jobs that went well");
}

#[test]
fn planning_and_idle_threads_are_told_when_they_are_felt() {
    let busy = |busy: &[u64]| vec![job(vec![stage(Op::Map, busy, Vec::new())], Vec::new())];
    let slow = Ran { took: Some(ms(3_000)), planning: Some(ms(2_000)), ..ran(busy(&[900, 900])) };
    let [planning] = Why::of(&slow).findings.try_into().unwrap();
    assert_eq!(
        (planning.kind, planning.what.as_str()),
        (Kind::Planning, "planning took 2.00 s of the 3.00 s")
    );
    let [idle] = Why::of(&ran(busy(&[100, 100]))).findings.try_into().unwrap();
    assert_eq!((idle.kind, idle.what.as_str()), (Kind::Idle, "threads were idle for 90 % of the time"));
    let single = Ran { threads: 1, ..ran(busy(&[100])) };
    assert_eq!(kinds(&Why::of(&single).findings), [], "one thread waits for nobody");
}

#[test]
fn a_failed_statement_says_so_before_all_else() {
    let mut failing =
        job(vec![stage(Op::GroupBy, &[900, 900], vec![operator("AggregateExec", &[])])], Vec::new());
    let failure = Failure { operator: Some("AggregateExec".into()), message: "division by zero".into() };
    failing.stages[0].tasks[1].failure = Some(Arc::new(failure));
    let statement = Ran { end: End::Failed("division by zero".into()), ..ran(vec![failing]) };
    let text = Why::of(&statement).text();
    assert!(
        text.contains("1. it failed: division by zero (stage 0)\n   in task 0.1, one of 2 of a GroupBy stage, in AggregateExec\n"),
        "{text}"
    );
    let stopped = Ran { end: End::Stopped("interrupted".into()), took: None, ..ran(Vec::new()) };
    assert_eq!(Why::of(&stopped).text(), "it was stopped before anything of it ran: interrupted");
}

#[test]
fn what_ran_no_task_has_no_findings() {
    let text = |end, engine| Why::of(&Ran { end, engine, ..ran(Vec::new()) }).text();
    assert!(text(End::Rows(1), EngineKind::Stock).contains("SET query.engine = local"));
    assert_eq!(
        text(End::Effect, EngineKind::Local),
        "it was done in 1.01 s without any task: there is nothing to look into"
    );
}

#[test]
fn findings_come_by_weight_and_the_rest_is_counted() {
    let cross = || {
        operator(
            "CrossJoinExec",
            &[("elapsed_compute_ns", ns(170)), ("build_input_rows", 10), ("input_rows", 10)],
        )
    };
    let stages = (0..8).map(|at| {
        let mut join = cross();
        join.metrics.insert("elapsed_compute_ns".into(), ns(170 + at * 20));
        stage(Op::Join, &[200, 200], vec![join])
    });
    let why = Why::of(&ran(vec![job(stages.collect(), Vec::new())]));
    assert!(why.findings.is_sorted_by(|one, other| one.weight >= other.weight));
    assert_eq!((why.findings.len(), why.findings[0].stage), (8, Some(7)));
    assert!(why.text().ends_with("and 2 more, of less weight: .report has all of them"), "{}", why.text());
}
