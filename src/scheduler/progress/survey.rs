//! Asks the plans of a running job how far they are.

use std::sync::Arc;

use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode};

use super::StageProgress;
use super::estimate::{Estimate, Outline, Phase, Seen, Source, StageOutline};
use super::scan::Scan;
use crate::graph::{EdgeExec, Node, RECURSIVE_TERM, StageId, nodes};
use crate::scheduler::state::Status;

/// Groups for each row of an aggregation's input, before it says how many.
const GROUPS_PER_ROW: f64 = 0.1;
/// Rows for each that a join looks up, before it says how many. Joins come in chains: were it 1, those behind the
/// first would promise work that most often does not come.
const MATCHES_PER_ROW: f64 = 0.5;
/// The work of a row that comes from another stage, and of one that was kept before it is given.
const EDGE_ROW_WORK: f64 = 0.3;
const KEPT_ROW_WORK: f64 = 1.5;

/// What is known of a job's stages, and how far they were when they were last asked.
#[derive(Debug)]
pub(super) struct Survey {
    estimate: Estimate,
    stages: Vec<Asked>,
}

/// A stage, and its last answer.
#[derive(Debug)]
struct Asked {
    /// What it reads, in the order of the leaves of its plan.
    leaves: Vec<Leaf>,
    seen: Seen,
    /// Rows that its scans have read.
    rows_read: u64,
    spilled_bytes: u64,
    status: Status,
}

/// What a stage reads, and what is done to the rows.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    from: From,
    role: Role,
}

#[derive(Debug, Clone, Copy)]
enum From {
    Scan(Scan),
    Stage(usize),
}

/// What the first operator of weight does to the rows of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing of weight.
    Pass,
    /// They are put into a hash table, or kept for a join in another way.
    Build,
    /// They are looked up in one.
    Probe,
    Group,
    Sort,
}

impl Role {
    /// The work of a row, as it was measured with TPC-H at scale factor 10.
    fn row_work(self) -> f64 {
        match self {
            Self::Pass => 0.0,
            Self::Build => 8.0,
            Self::Probe | Self::Group => 2.5,
            Self::Sort => 1.5,
        }
    }

    /// What a node does to the rows of one of its inputs, if it does something of weight.
    fn of(node: &Arc<dyn ExecutionPlan>, input: usize) -> Option<Self> {
        if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
            return (!aggregate.group_expr().is_empty()).then_some(Self::Group);
        }
        match node.name() {
            "SortMergeJoinExec" | "SymmetricHashJoinExec" => Some(Self::Probe),
            name if name.ends_with("JoinExec") => Some(if input == 0 { Self::Build } else { Self::Probe }),
            name if name.starts_with("SortExec") || name.ends_with("WindowAggExec") => Some(Self::Sort),
            _ => None,
        }
    }
}

/// What a job has done, over all its stages.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::scheduler) struct Totals {
    pub(in crate::scheduler) rows_read: u64,
    pub(in crate::scheduler) spilled_bytes: u64,
    pub(in crate::scheduler) stages: Vec<StageProgress>,
}

impl Survey {
    /// Of these plans, by stage; one that has ended has none. `producers`: by edge, the stage that its rows come from.
    pub(super) fn of(plans: &[Option<Arc<dyn ExecutionPlan>>], producers: &[StageId], root: StageId) -> Self {
        let stages =
            plans.iter().map(|plan| plan.as_ref().map(|plan| leaves(plan, producers)).unwrap_or_default());
        let stages: Vec<Vec<Leaf>> = stages.collect();
        let outlines = plans.iter().zip(&stages).map(|(plan, leaves)| outline(plan.as_ref(), leaves));
        let outline = Outline { stages: outlines.collect(), root: root.index() };
        let stages = stages.into_iter().map(|leaves| Asked {
            seen: Seen { read: vec![0.0; leaves.len()], ..Seen::default() },
            leaves,
            rows_read: 0,
            spilled_bytes: 0,
            status: Status::Waiting,
        });
        Self { estimate: Estimate::new(outline), stages: stages.collect() }
    }

    /// Asks a stage how far it is.
    pub(super) fn ask(&mut self, stage: usize, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(asked) = self.stages.get_mut(stage) {
            asked.ask(plan);
        }
    }

    /// Takes note of where the stages are; gives the fraction of the job that is done, if it can be said.
    pub(super) fn settle(&mut self, statuses: &[Status]) -> Option<f64> {
        for (asked, status) in self.stages.iter_mut().zip(statuses) {
            asked.status = *status;
            asked.seen.status = match status {
                Status::Waiting | Status::Running | Status::Stopping => Phase::Open,
                Status::Done | Status::Failed | Status::Stopped => Phase::Over,
                Status::Skipped => Phase::Skipped,
            };
        }
        let seen: Vec<Seen> = self.stages.iter().map(|asked| asked.seen.clone()).collect();
        self.estimate.take(&seen)
    }

    /// What all stages have done.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            rows_read: self.stages.iter().map(|asked| asked.rows_read).sum(),
            spilled_bytes: self.stages.iter().map(|asked| asked.spilled_bytes).sum(),
            stages: self.stages.iter().map(Asked::progress).collect(),
        }
    }
}

impl Asked {
    fn ask(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        let mut given = None;
        let (mut spilled, mut rows_read) = (0, 0);
        let mut read = Vec::with_capacity(self.leaves.len());
        for node in nodes(plan) {
            let metrics = match node.edge() {
                Some(edge) => Some(edge.metrics_set().clone_inner()),
                None => node.plan.metrics(),
            };
            let rows = metrics.as_ref().and_then(|metrics| metrics.output_rows());
            spilled += metrics.and_then(|metrics| metrics.spilled_bytes()).unwrap_or(0) as u64;
            given = given.or(rows);
            if !is_leaf(node) {
                continue;
            }
            match self.leaves.get(read.len()) {
                Some(Leaf { from: From::Scan(scan), .. }) => {
                    let done = scan.read(node.plan);
                    rows_read += done.rows;
                    read.push(done.fraction);
                }
                Some(Leaf { from: From::Stage(_), .. }) => read.push(rows.unwrap_or(0) as f64),
                None => {}
            }
        }
        // What is written is counted where it comes from.
        let is_sink = plan.name() == SINK;
        self.seen.given = if is_sink { 0.0 } else { given.unwrap_or(0) as f64 };
        (self.seen.read, self.rows_read, self.spilled_bytes) = (read, rows_read, spilled);
    }

    fn progress(&self) -> StageProgress {
        let edges = self.leaves.iter().zip(&self.seen.read);
        let taken = edges.map(|(leaf, read)| match leaf.from {
            From::Stage(_) => *read as u64,
            From::Scan(_) => 0,
        });
        StageProgress {
            status: self.status,
            rows_read: self.rows_read + taken.sum::<u64>(),
            rows: self.seen.given as u64,
            spilled_bytes: self.spilled_bytes,
        }
    }
}

/// The operator that writes.
const SINK: &str = "DataSinkExec";

/// Whether a node reads something that is not in the same stage. What a recursive term reads in each of its rounds
/// says nothing about the whole.
fn is_leaf(node: Node<'_>) -> bool {
    !node.recursive && (node.edge().is_some() || node.plan.children().is_empty())
}

/// The leaves in the order of [`nodes`].
fn leaves(plan: &Arc<dyn ExecutionPlan>, producers: &[StageId]) -> Vec<Leaf> {
    let from = |node: Node<'_>| match node.edge() {
        Some(edge) => {
            From::Stage(producers.get(edge.edge().index()).map_or(usize::MAX, |stage| stage.index()))
        }
        None => From::Scan(Scan::of(node.plan)),
    };
    let roles = roles(plan);
    let leaves = nodes(plan).filter(|node| is_leaf(*node)).enumerate();
    let role = |at: usize| roles.get(at).copied().unwrap_or(Role::Pass);
    leaves.map(|(at, node)| Leaf { from: from(node), role: role(at) }).collect()
}

/// What is done to the rows of each leaf.
fn roles(plan: &Arc<dyn ExecutionPlan>) -> Vec<Role> {
    let mut roles = Vec::new();
    // A stack of our own, for plans of any depth; the next node is the last one.
    let mut ahead = vec![(plan, Role::Pass)];
    while let Some((node, role)) = ahead.pop() {
        let inputs = if node.is::<EdgeExec>() { Vec::new() } else { node.children() };
        if inputs.is_empty() {
            roles.push(role);
        }
        let is_recursion = node.is::<RecursiveQueryExec>();
        let inputs = inputs.into_iter().enumerate().rev();
        let inputs = inputs.filter(|(at, _)| !(is_recursion && *at == RECURSIVE_TERM));
        ahead.extend(inputs.map(|(at, input)| (input, Role::of(node, at).unwrap_or(role))));
    }
    roles
}

fn outline(plan: Option<&Arc<dyn ExecutionPlan>>, leaves: &[Leaf]) -> StageOutline {
    let sources = leaves.iter().map(|leaf| match leaf.from {
        From::Scan(scan) => scan.source(leaf.role.row_work()),
        From::Stage(from) => Source::Stage { from, row_work: EDGE_ROW_WORK + leaf.role.row_work() },
    });
    let mut outline = StageOutline {
        sources: sources.collect(),
        holds: false,
        ratio: 1.0,
        rows_max: None,
        given_work: EDGE_ROW_WORK,
    };
    let mut next = plan;
    // Down to the leaf that the rows come from when rows are given: the last one, of a join the probe side.
    while let Some(node) = next
        && !node.is::<EdgeExec>()
    {
        add_operator(node, &mut outline);
        next = node.children().pop();
    }
    if outline.holds {
        outline.given_work = KEPT_ROW_WORK;
    }
    outline
}

/// What an operator does to the rows on their way.
fn add_operator(node: &Arc<dyn ExecutionPlan>, outline: &mut StageOutline) {
    let partitions = node.output_partitioning().partition_count() as f64;
    let mut at_most =
        |rows: f64| outline.rows_max = Some(outline.rows_max.map_or(rows, |most| most.min(rows)));
    if let Some(fetch) = node.fetch() {
        at_most(fetch as f64 * partitions);
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        if aggregate.group_expr().is_empty() {
            at_most(partitions);
        }
        outline.ratio *= GROUPS_PER_ROW;
        outline.holds |= *aggregate.input_order_mode() == InputOrderMode::Linear;
        return;
    }
    match node.name() {
        SINK => at_most(0.0),
        name if name.ends_with("JoinExec") => outline.ratio *= MATCHES_PER_ROW,
        "WindowAggExec" => outline.holds = true,
        name if name.starts_with("SortExec") => outline.holds = true,
        _ => {}
    }
}
