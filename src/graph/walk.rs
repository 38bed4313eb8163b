//! A walk over the nodes that are a stage's own.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;

use super::EdgeExec;

/// The nodes of a stage's plan, each before its children, the children from left to right. It ends at the leaves
/// that stand for edges: what such a leaf shows below itself is another stage's.
///
/// A loop with a stack of its own, for plans of any depth.
pub fn nodes(plan: &Arc<dyn ExecutionPlan>) -> impl Iterator<Item = Node<'_>> {
    let mut ahead = vec![Node { plan, recursive: false }];
    std::iter::from_fn(move || {
        let node = ahead.pop()?;
        let first = ahead.len();
        ahead.extend(children(node));
        ahead[first..].reverse();
        Some(node)
    })
}

/// A node in a stage's plan.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The node.
    pub plan: &'a Arc<dyn ExecutionPlan>,
    /// Whether it is within the recursive term of a query, which is executed anew every round.
    pub recursive: bool,
}

impl<'a> Node<'a> {
    /// The edge that it stands for, if it does.
    pub fn edge(self) -> Option<&'a EdgeExec> {
        self.plan.downcast_ref()
    }
}

/// The children of a node that belong to the same stage.
fn children(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let is_query = node.plan.is::<RecursiveQueryExec>();
    let own = if node.edge().is_some() { Vec::new() } else { node.plan.children() };
    own.into_iter()
        .enumerate()
        .map(move |(at, plan)| Node { plan, recursive: node.recursive || (is_query && at == RECURSIVE_TERM) })
}

/// Which child of a [`RecursiveQueryExec`] is its recursive term.
pub const RECURSIVE_TERM: usize = 1;
