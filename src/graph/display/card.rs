//! What is shown of a stage and of an edge, in whatever form.

use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use super::operator::{Operator, first, order, sql};
use super::words::{counted, list, one_line};
use crate::graph::{Edge, EdgeExec, EdgeKind, Op, Stage, TaskGraph, Transport};

/// A stage as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) stage: usize,
    pub(super) op: Op,
    /// How many there are, with the noun.
    pub(super) tasks: String,
    /// The plan, the output's operator first.
    pub(super) rows: Vec<Row>,
    pub(super) notes: Vec<String>,
}

/// A line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Lines that lead from an operator with several inputs to each of them.
    pub(super) rail: String,
    pub(super) what: What,
}

/// What a line of a plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// An operator.
    Operator(Operator),
    /// The rows of another stage come in here, by this edge.
    Input(usize),
}

/// An edge as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: EdgeKind,
    /// Partitions of the producer and of the reader.
    pub(super) partitions: (usize, usize),
    /// What decides where a row goes, `by …`.
    pub(super) keys: Option<String>,
    /// The order that is kept, `in order of …`.
    pub(super) order: Option<String>,
    /// Rows that are enough, `first …`.
    pub(super) fetch: Option<String>,
    pub(super) transport: Transport,
    pub(super) notes: Vec<String>,
}

impl Card {
    pub(super) fn of(stage: &Stage) -> Self {
        let rows = rows_of(stage.plan.as_ref());
        Self {
            stage: stage.id.index(),
            op: stage.op,
            tasks: counted(stage.partitions, "task"),
            rows,
            notes: Vec::new(),
        }
    }
}

/// A plan's rows. An only input stands right below its operator; several are led to by rails:
///
/// ```text
/// HashJoin
/// ├ ← stage 1      the build side
/// └ Filter         the probe side
///   ← stage 2
/// ```
fn rows_of(plan: &dyn ExecutionPlan) -> Vec<Row> {
    let mut rows = Vec::new();
    // Nodes to come, the next one last, with what stands before their own row and before those below it: a stack
    // of our own, because a plan may be deeper than the thread's.
    let mut ahead = vec![(plan, String::new(), String::new())];
    while let Some((node, lead, rail)) = ahead.pop() {
        if let Some(leaf) = node.downcast_ref::<EdgeExec>() {
            // An edge may have children: the plan that it reads from, which is another stage's.
            rows.push(Row { rail: lead, what: What::Input(leaf.edge().index()) });
            continue;
        }
        let inputs: Vec<_> = node.children().into_iter().map(|input| input.as_ref()).collect();
        if let ([only], "CooperativeExec") = (inputs.as_slice(), node.name()) {
            // A node that only makes its input yield now and then says nothing about the query.
            ahead.push((*only, lead, rail));
            continue;
        }
        rows.push(Row { rail: lead, what: What::Operator(Operator::of(node)) });
        match inputs.as_slice() {
            [] => {}
            [only] => ahead.push((*only, rail.clone(), rail)),
            [others @ .., last] => {
                ahead.push((*last, format!("{rail}└ "), format!("{rail}  ")));
                let others = others.iter().rev();
                ahead.extend(others.map(|input| (*input, format!("{rail}├ "), format!("{rail}│ "))));
            }
        }
    }
    rows
}

impl Edge {
    /// What decides where a row goes, as `by …`; `None` if its values do not.
    pub fn keys(&self) -> Option<String> {
        let keys = match self.partitioning() {
            Partitioning::Hash(keys, _) if self.kind == EdgeKind::Shuffle => list(keys.iter().map(sql)),
            Partitioning::Range(range) if self.kind == EdgeKind::Range => order(range.ordering().iter()),
            Partitioning::Hash(..)
            | Partitioning::Range(_)
            | Partitioning::RoundRobinBatch(_)
            | Partitioning::UnknownPartitioning(_) => return None,
        };
        Some(one_line(&format!("by {keys}")))
    }
}

impl Arrow {
    pub(super) fn of(graph: &TaskGraph, edge: &Edge) -> Self {
        let order = edge.ordering.as_ref().map(|keys| order(keys.iter()));
        Self {
            from: edge.from.index(),
            to: edge.to.index(),
            kind: edge.kind,
            partitions: (graph.stage(edge.from).partitions, edge.output_partitions()),
            keys: edge.keys(),
            order: order.map(|keys| one_line(&format!("in order of {keys}"))),
            fetch: edge.fetch.map(first),
            transport: edge.transport,
            notes: Vec::new(),
        }
    }

    /// How many partitions become how many.
    pub(super) fn counts(&self) -> String {
        format!("{} → {}", self.partitions.0, self.partitions.1)
    }

    /// What there is to say beyond kind and counts, by importance.
    pub(super) fn details(&self) -> impl Iterator<Item = &str> {
        let kept = match self.transport {
            Transport::Pipelined => None,
            Transport::Materialized => Some("materialized"),
        };
        let texts = [self.keys.as_deref(), self.order.as_deref(), self.fetch.as_deref(), kept];
        texts.into_iter().flatten().chain(self.notes.iter().map(String::as_str))
    }
}
