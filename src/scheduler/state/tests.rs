use std::collections::HashSet;
use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::*;
use crate::graph::EdgeKind;
use crate::scheduler::sketch::{Sketch, join, scan};

/// A state machine whose every step is checked.
struct Run {
    state: State,
    admitted: HashSet<StageId>,
    released: HashSet<EdgeId>,
}

impl Run {
    fn new(graph: &TaskGraph) -> Self {
        let partitions = graph.stage(graph.root()).partitions;
        Self { state: State::new(graph, partitions), admitted: HashSet::new(), released: HashSet::new() }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let actions = self.state.on(event);
        self.state.validate().unwrap_or_else(|broken| panic!("after {event:?}: {broken}"));
        for action in &actions {
            match action {
                Action::Admit(stage) => {
                    assert!(self.admitted.insert(*stage), "stage {stage} was admitted twice");
                }
                Action::Release(edge) => {
                    assert!(self.released.insert(*edge), "edge {edge} was released twice");
                }
                Action::Stop(_) | Action::Over(..) | Action::Finish(_) => {}
            }
        }
        let admitted = actions.iter().filter(|action| matches!(action, Action::Admit(_))).count();
        assert!(admitted <= 1, "{event:?} admitted {admitted} stages, in an order that nobody chose");
        actions
    }

    /// Ends a task, by its stage's index and its partition.
    fn end(&mut self, stage: usize, partition: usize, end: TaskEnd) -> Vec<Action> {
        self.on(Event::Ended(TaskId { stage: StageId::new(stage), partition }, end))
    }

    fn statuses(&self) -> Vec<Status> {
        self.state.stages.iter().map(|stage| stage.status).collect()
    }
}

fn admit(stage: usize) -> Action {
    Action::Admit(StageId::new(stage))
}

fn stop(stage: usize) -> Action {
    Action::Stop(StageId::new(stage))
}

fn release(edge: usize) -> Action {
    Action::Release(EdgeId::new(edge))
}

fn over(stage: usize, status: Status) -> Action {
    Action::Over(StageId::new(stage), status)
}

/// ```text
///  0 scan ×2 ──gather──▶ 1 ×1 ──▶
/// ```
fn two() -> TaskGraph {
    let mut sketch = Sketch::new();
    let rows = sketch.stage(scan(2));
    let rows = sketch.edge(rows, EdgeKind::Gather, 1);
    let root = sketch.stage(rows);
    sketch.finish(root)
}

/// ```text
///  0 scan ×2 ──gather───▶ ┐
///                         ├ 2 join ×5 ──gather──▶ 3 ×1 ──▶
///  1 scan ×2 ──shuffle──▶ ┘
/// ```
fn joined() -> TaskGraph {
    let mut sketch = Sketch::new();
    let build = sketch.stage(scan(2));
    let probe = sketch.stage(scan(2));
    let build = sketch.edge(build, EdgeKind::Gather, 1);
    let probe = sketch.edge(probe, EdgeKind::Shuffle, 4);
    let joined = sketch.stage(join(build, probe));
    let rows = sketch.edge(joined, EdgeKind::Gather, 1);
    let root = sketch.stage(rows);
    sketch.finish(root)
}

#[test]
fn stages_start_when_they_are_wanted_and_the_job_ends_with_its_root() {
    let mut run = Run::new(&two());
    assert_eq!(run.on(Event::Start), [admit(1)]);
    assert_eq!(run.on(Event::Start), []);
    assert_eq!(run.on(Event::Wanted(EdgeId::new(0))), [admit(0)]);
    assert_eq!(run.on(Event::Wanted(EdgeId::new(0))), []);
    assert_eq!(run.end(0, 1, TaskEnd::Done), []);
    assert_eq!(run.end(0, 0, TaskEnd::Done), [over(0, Status::Done)]);
    assert_eq!(run.end(1, 0, TaskEnd::Done), [over(1, Status::Done), Action::Finish(Outcome::Done)]);
}

#[test]
fn a_reader_that_closes_early_stops_what_it_read() {
    let mut run = Run::new(&two());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(0)));
    assert_eq!(run.on(Event::Closed(EdgeId::new(0))), [stop(0)]);
    assert_eq!(run.end(1, 0, TaskEnd::Done), [over(1, Status::Done)]);
    assert_eq!(run.end(0, 0, TaskEnd::Stopped), []);
    // One had all its rows handed on when the word came.
    let last = run.end(0, 1, TaskEnd::Done);
    assert_eq!(last, [over(0, Status::Stopped), Action::Finish(Outcome::Done)]);
}

#[test]
fn a_stage_whose_tasks_all_came_to_their_end_is_done_though_it_was_told_to_stop() {
    let mut run = Run::new(&two());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(0)));
    assert_eq!(run.end(0, 0, TaskEnd::Done), []);
    // A LIMIT is met by the last row.
    assert_eq!(run.on(Event::Closed(EdgeId::new(0))), [stop(0)]);
    assert_eq!(run.end(0, 1, TaskEnd::Done), [over(0, Status::Done)]);
    assert_eq!(run.end(1, 0, TaskEnd::Done), [over(1, Status::Done), Action::Finish(Outcome::Done)]);
}

#[test]
fn a_producer_runs_until_the_last_of_its_partitions_is_closed() {
    let mut run = Run::new(&joined());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(2)));
    run.on(Event::Wanted(EdgeId::new(1)));
    for _ in 0..3 {
        assert_eq!(run.on(Event::Closed(EdgeId::new(1))), []);
    }
    assert_eq!(run.on(Event::Closed(EdgeId::new(1))), [stop(1)]);
    assert_eq!(run.on(Event::Closed(EdgeId::new(1))), []);
}

#[test]
fn stopping_goes_through_to_the_scans_at_once() {
    let mut run = Run::new(&joined());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(2)));
    run.on(Event::Wanted(EdgeId::new(0)));
    let mut stopped = run.on(Event::Closed(EdgeId::new(2)));
    stopped.sort_by_key(|action| format!("{action:?}"));
    assert_eq!(stopped, [stop(0), stop(2)]);
    assert_eq!(run.statuses(), [Status::Stopping, Status::Skipped, Status::Stopping, Status::Running]);
    assert_eq!(run.on(Event::Wanted(EdgeId::new(1))), [], "what was skipped is not started any more");
}

#[test]
fn a_failure_reaches_the_root_by_the_edges_and_fails_the_job() {
    let mut run = Run::new(&two());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(0)));
    assert_eq!(run.end(0, 0, TaskEnd::Failed), []);
    assert_eq!(run.end(1, 0, TaskEnd::Failed), [over(1, Status::Failed), stop(0)]);
    let last = run.end(0, 1, TaskEnd::Stopped);
    assert_eq!(last, [over(0, Status::Failed), Action::Finish(Outcome::Failed)]);
}

#[test]
fn a_failure_behind_the_rows_that_were_wanted_fails_nothing() {
    let mut run = Run::new(&two());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(0)));
    run.end(0, 0, TaskEnd::Failed);
    run.on(Event::Closed(EdgeId::new(0)));
    run.end(1, 0, TaskEnd::Done);
    let last = run.end(0, 1, TaskEnd::Stopped);
    assert_eq!(last, [over(0, Status::Failed), Action::Finish(Outcome::Done)]);
}

#[test]
fn cancelling_stops_everything_and_starts_nothing() {
    let mut run = Run::new(&joined());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(2)));
    let mut actions = run.on(Event::Cancel);
    actions.sort_by_key(|action| format!("{action:?}"));
    assert_eq!(actions, [stop(2), stop(3)]);
    assert_eq!(run.on(Event::Wanted(EdgeId::new(0))), []);
    assert_eq!(run.on(Event::Cancel), []);
    run.end(3, 0, TaskEnd::Stopped);
    for partition in 0..4 {
        assert_eq!(run.end(2, partition, TaskEnd::Stopped), []);
    }
    let last = run.end(2, 4, TaskEnd::Stopped);
    assert_eq!(last, [over(2, Status::Stopped), Action::Finish(Outcome::Cancelled)]);
}

#[test]
fn a_job_that_is_cancelled_before_it_starts_runs_nothing() {
    let mut run = Run::new(&joined());
    assert_eq!(run.on(Event::Cancel), [Action::Finish(Outcome::Cancelled)]);
    assert_eq!(run.on(Event::Start), []);
    assert!(run.statuses().iter().all(|status| *status == Status::Skipped));
}

#[test]
fn results_that_nobody_reads_any_more_stop_the_job_without_failing_it() {
    let mut run = Run::new(&two());
    run.on(Event::Start);
    assert_eq!(run.on(Event::ResultsClosed), [stop(1)]);
    let last = run.end(1, 0, TaskEnd::Stopped);
    assert_eq!(last, [over(1, Status::Stopped), Action::Finish(Outcome::Done)]);
    assert_eq!(run.statuses(), [Status::Skipped, Status::Stopped]);
}

#[test]
fn a_stage_with_two_readers_runs_until_both_are_done() {
    let mut sketch = Sketch::new();
    let shared = sketch.stage(scan(1));
    let (one, two) = (sketch.kept_edge(shared, 1), sketch.kept_edge(shared, 1));
    let root = sketch.stage(join(one, two));
    let mut run = Run::new(&sketch.finish(root));
    run.on(Event::Start);
    assert_eq!(run.on(Event::Wanted(EdgeId::new(1))), [admit(0)]);
    assert_eq!(run.on(Event::Wanted(EdgeId::new(0))), []);
    assert_eq!(run.on(Event::Closed(EdgeId::new(1))), [release(1)]);
    assert_eq!(run.on(Event::Closed(EdgeId::new(0))), [release(0), stop(0)]);
}

/// ```text
///  0 scan ×2 ──forward──▶ 1 ×2 ──gather───▶ ┐
///           └──forward──▶ 2 ×2 ──shuffle──▶ ┴ 3 join ×2 ──▶
/// ```
fn shared() -> TaskGraph {
    let mut sketch = Sketch::new();
    let shared = sketch.stage(scan(2));
    let [one, two] = [(); 2].map(|()| {
        let rows = sketch.kept_edge(shared, 2);
        sketch.stage(rows)
    });
    let (one, two) = (sketch.edge(one, EdgeKind::Gather, 1), sketch.edge(two, EdgeKind::Shuffle, 1));
    let root = sketch.stage(join(one, two));
    sketch.finish(root)
}

#[test]
fn what_is_kept_for_a_reader_that_never_started_is_let_go_and_the_producer_goes_on() {
    let mut run = Run::new(&shared());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(2)));
    assert_eq!(run.on(Event::Wanted(EdgeId::new(0))), [admit(0)]);
    // The build side was empty: nobody asks for the probe side any more.
    assert_eq!(run.on(Event::Closed(EdgeId::new(3))), [release(1)]);
    assert_eq!(run.statuses(), [Status::Running, Status::Running, Status::Skipped, Status::Running]);
    assert_eq!(run.on(Event::Closed(EdgeId::new(0))), [], "one of two partitions");
    assert_eq!(run.on(Event::Closed(EdgeId::new(0))), [release(0), stop(0)]);
}

#[test]
fn what_is_kept_for_a_reader_that_is_over_is_let_go() {
    let mut run = Run::new(&shared());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(2)));
    run.on(Event::Wanted(EdgeId::new(3)));
    run.on(Event::Wanted(EdgeId::new(0)));
    run.end(0, 0, TaskEnd::Done);
    assert_eq!(run.end(0, 1, TaskEnd::Done), [over(0, Status::Done)]);
    run.end(1, 0, TaskEnd::Done);
    assert_eq!(run.end(1, 1, TaskEnd::Done), [over(1, Status::Done), release(0)]);
    run.end(2, 1, TaskEnd::Failed);
    assert_eq!(run.end(2, 0, TaskEnd::Done), [over(2, Status::Failed), release(1)]);
}

#[test]
fn a_task_that_its_thread_dropped_stops_its_stage() {
    let mut run = Run::new(&two());
    run.on(Event::Start);
    run.on(Event::Wanted(EdgeId::new(0)));
    assert_eq!(run.end(0, 0, TaskEnd::Stopped), [stop(0)]);
}

/// Random graphs, random events in any order that can occur: nothing is lost, admitted twice, or left at the end.
#[test]
fn whatever_happens_every_stage_ends_and_the_job_with_the_last() {
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let graph = random_graph(&mut random);
        let mut run = Run::new(&graph);
        let mut finished = Vec::new();
        let mut live: Vec<TaskId> = Vec::new();
        let mut pending = vec![Event::Start];
        for step in 0.. {
            assert!(step < 10_000, "seed {seed}: the job does not end");
            let event = match (pending.pop(), random.u8(0..10)) {
                (Some(event), _) => event,
                (None, 0..=4) if !live.is_empty() => {
                    let task = live.swap_remove(random.usize(0..live.len()));
                    let is_stopping = run.state.status(task.stage) == Status::Stopping;
                    let end = match random.u8(0..8) {
                        0 => TaskEnd::Failed,
                        1..=5 if is_stopping => TaskEnd::Stopped,
                        _ => TaskEnd::Done,
                    };
                    Event::Ended(task, end)
                }
                (None, 5..=7) if !graph.edges().is_empty() => {
                    Event::Wanted(EdgeId::new(random.usize(0..graph.edges().len())))
                }
                (None, 8) if !graph.edges().is_empty() => {
                    Event::Closed(EdgeId::new(random.usize(0..graph.edges().len())))
                }
                (None, 9) if random.u8(0..40) == 0 => Event::Cancel,
                (None, _) if random.u8(0..20) == 0 => Event::ResultsClosed,
                (None, _) if live.is_empty() && finished.is_empty() => {
                    panic!("seed {seed}: nothing runs, and the job has not ended")
                }
                (None, _) => continue,
            };
            for action in run.on(event) {
                match action {
                    Action::Admit(stage) => {
                        let partitions = 0..graph.stage(stage).partitions;
                        live.extend(partitions.map(|partition| TaskId { stage, partition }));
                    }
                    Action::Finish(outcome) => finished.push(outcome),
                    Action::Stop(_) | Action::Release(_) | Action::Over(..) => {}
                }
            }
            if !finished.is_empty() && live.is_empty() {
                break;
            }
            assert!(finished.is_empty(), "seed {seed}: tasks are left by a job that has ended");
        }
        assert_eq!(finished.len(), 1, "seed {seed}");
        let kept = graph.edges().iter().filter(|edge| edge.transport == Transport::Materialized);
        assert_eq!(run.released, kept.map(|edge| edge.id).collect(), "seed {seed}: what is kept is let go");
        assert!(run.statuses().iter().all(|status| status.is_over()), "seed {seed}");
    }
}

fn random_graph(random: &mut fastrand::Rng) -> TaskGraph {
    let mut sketch = Sketch::new();
    let mut open = Vec::new();
    let stage = |sketch: &mut Sketch, plan: Arc<dyn ExecutionPlan>| {
        let partitions = plan.output_partitioning().partition_count();
        (sketch.stage(plan), partitions)
    };
    open.push(stage(&mut sketch, scan(random.usize(1..4))));
    for _ in 0..random.usize(0..8) {
        match random.u8(0..5) {
            0 => open.push(stage(&mut sketch, scan(random.usize(1..4)))),
            1 => {
                let (from, _) = open.swap_remove(random.usize(0..open.len()));
                let rows = sketch.edge(from, EdgeKind::Shuffle, random.usize(1..4));
                open.push(stage(&mut sketch, rows));
            }
            // Read by two stages, or by one or three times by one.
            2 => {
                let (from, partitions) = open.swap_remove(random.usize(0..open.len()));
                let [one, two] = [(); 2].map(|()| sketch.kept_edge(from, partitions));
                open.push(stage(&mut sketch, one));
                open.push(stage(&mut sketch, two));
            }
            3 => {
                let (from, partitions) = open.swap_remove(random.usize(0..open.len()));
                let mut rows = sketch.kept_edge(from, partitions);
                if random.bool() {
                    rows = join(
                        rows,
                        join(sketch.kept_edge(from, partitions), sketch.kept_edge(from, partitions)),
                    );
                }
                open.push(stage(&mut sketch, rows));
            }
            _ if open.len() > 1 => {
                let ((one, _), (two, _)) = (open.swap_remove(0), open.swap_remove(0));
                let one = sketch.edge(one, EdgeKind::Gather, 1);
                let two = sketch.edge(two, EdgeKind::Rebalance, random.usize(1..4));
                open.push(stage(&mut sketch, join(one, two)));
            }
            _ => {}
        }
    }
    while open.len() > 1 {
        let ((one, _), (two, _)) = (open.swap_remove(0), open.swap_remove(0));
        let (one, two) = (sketch.edge(one, EdgeKind::Gather, 1), sketch.edge(two, EdgeKind::Gather, 1));
        open.push(stage(&mut sketch, join(one, two)));
    }
    let (root, _) = open.swap_remove(0);
    let graph = sketch.finish(root);
    graph.validate().unwrap();
    graph
}
