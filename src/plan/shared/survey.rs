//! What there is to know of each node of a plan before shared subplans are taken out of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion, TreeNodeVisitor};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Signature, Subquery, TableScan, Volatility};

use super::marker::{Marker, Wish};

/// Subplans deeper than this are computed by each reader: comparing them takes stack for each level.
const DEPTH_MAX: usize = 500;

/// A node and all below it, subqueries in expressions included.
#[derive(Debug, Clone)]
pub(super) struct Info {
    kind: Discriminant<LogicalPlan>,
    /// Equal for equal subplans.
    pub(super) hash: u64,
    /// Nodes.
    pub(super) size: usize,
    depth: usize,
    /// Whether some function in it gives other values each time it is called.
    is_volatile: bool,
    /// Whether it has values of a query around it.
    is_correlated: bool,
    /// Whether it reads something.
    reads: bool,
    /// Whether it has an operator that is worth not to be repeated.
    is_heavy: bool,
    /// Whether nothing may be taken out here: in a recursive term, and where NOT MATERIALIZED says so.
    is_closed: bool,
    /// Whether a MATERIALIZED or a NOT MATERIALIZED is all that there is to it.
    pub(super) is_marked: bool,
    cut: Cut,
}

/// Whether a plan may be cut above a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// A query, or the end of a step of one.
    Good,
    /// A table or a condition on it: nothing is saved by it.
    Idle,
    /// Tables whose conditions are still above them, which would make a cross product of them; what gives no rows.
    Never,
}

impl Info {
    /// Whether a subplan that repeats may be shared; `all` for those that promise nothing as well.
    pub(super) fn may_repeat(&self, all: bool) -> bool {
        let is_possible = self.reads && !self.is_volatile && !self.is_closed && !self.is_marked;
        let is_useful = match self.cut {
            Cut::Good => all || self.is_heavy,
            Cut::Idle => all,
            Cut::Never => false,
        };
        is_possible && is_useful && !self.is_correlated && self.depth <= DEPTH_MAX
    }

    /// Whether a subplan may be kept because MATERIALIZED says so.
    pub(super) fn may_be_kept(&self) -> bool {
        !self.is_closed && !self.is_correlated
    }

    /// Whether it is about a node of the same kind.
    pub(super) fn is_of(&self, plan: &LogicalPlan) -> bool {
        self.kind == discriminant(plan)
    }
}

/// The nodes of a plan, each before its subqueries, these before its inputs.
pub(super) fn survey(plan: &LogicalPlan) -> Result<Vec<Info>> {
    let mut surveyor = Surveyor::default();
    plan.visit_with_subqueries(&mut surveyor)?;
    Ok(surveyor.infos)
}

#[derive(Default)]
struct Surveyor {
    infos: Vec<Info>,
    open: Vec<Open>,
}

/// A node whose subqueries and inputs are being visited.
struct Open {
    at: usize,
    is_recursive: bool,
    is_closed: bool,
    /// Where the nodes right below it are.
    below: Vec<usize>,
}

impl Open {
    /// Whether the next node right below is closed. A recursive query's second input is computed again every round.
    fn closes_next(&self) -> bool {
        self.is_closed || (self.is_recursive && self.below.len() == 1)
    }
}

impl<'n> TreeNodeVisitor<'n> for Surveyor {
    type Node = LogicalPlan;

    fn f_down(&mut self, node: &'n LogicalPlan) -> Result<TreeNodeRecursion> {
        let is_closed = self.open.last().is_some_and(Open::closes_next)
            || Marker::of(node).is_some_and(|marker| marker.wish == Wish::NotMaterialized);
        let open = Open {
            at: self.infos.len(),
            is_recursive: matches!(node, LogicalPlan::RecursiveQuery(_)),
            is_closed,
            below: Vec::new(),
        };
        self.open.push(open);
        // Known on the way up.
        self.infos.push(Info {
            kind: discriminant(node),
            hash: 0,
            size: 1,
            depth: 1,
            is_volatile: false,
            is_correlated: false,
            reads: false,
            is_heavy: false,
            is_closed,
            is_marked: false,
            cut: cut(node),
        });
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, node: &'n LogicalPlan) -> Result<TreeNodeRecursion> {
        let Some(open) = self.open.pop() else { return Ok(TreeNodeRecursion::Stop) };
        let info =
            summed(node, &self.infos[open.at], open.below.iter().map(|at| &self.infos[*at]).collect())?;
        self.infos[open.at] = info;
        if let Some(above) = self.open.last_mut() {
            above.below.push(open.at);
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

/// A node with what is below it: its subqueries first, then its inputs.
fn summed(node: &LogicalPlan, own: &Info, below: Vec<&Info>) -> Result<Info> {
    let any = |is: fn(&Info) -> bool| below.iter().any(|info| is(info));
    let inputs = &below[below.len() - node.inputs().len().min(below.len())..];
    let kept = Marker::of(node).filter(|marker| marker.wish != Wish::NotMaterialized);
    let is_correlated = inputs.iter().any(|info| info.is_correlated) || is_correlated(node)?;
    let is_volatile = (any(|info| info.is_volatile) || is_volatile(node)?)
        // Its readers see the same rows.
        && !(kept.is_some() && !own.is_closed && !is_correlated);
    let passes = matches!(node, LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_));
    Ok(Info {
        hash: hash(node, &below)?,
        size: 1 + below.iter().map(|info| info.size).sum::<usize>(),
        depth: 1 + below.iter().map(|info| info.depth).max().unwrap_or(0),
        is_volatile,
        is_correlated,
        reads: any(|info| info.reads)
            || matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::RecursiveQuery(_)),
        is_heavy: any(|info| info.is_heavy) || is_heavy(node),
        is_marked: Marker::of(node).is_some() || (passes && any(|info| info.is_marked)),
        ..own.clone()
    })
}

fn hash(node: &LogicalPlan, below: &[&Info]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    discriminant(node).hash(&mut hasher);
    match node {
        LogicalPlan::TableScan(scan) => {
            (&scan.table_name, &scan.projection, &scan.fetch, origin(scan)).hash(&mut hasher);
        }
        LogicalPlan::SubqueryAlias(alias) => alias.alias.hash(&mut hasher),
        LogicalPlan::Extension(extension) => extension.node.dyn_hash(&mut hasher),
        LogicalPlan::Join(join) => join.join_type.hash(&mut hasher),
        // Equal hashes are followed by a comparison: not everything needs to be in them.
        _ => {}
    }
    node.apply_expressions(|expr| {
        expr.hash(&mut hasher);
        Ok(TreeNodeRecursion::Continue)
    })?;
    below.iter().for_each(|info| info.hash.hash(&mut hasher));
    Ok(hasher.finish())
}

/// The table that a scan reads: scans of the same name need not read the same.
fn origin(scan: &TableScan) -> usize {
    match source_as_provider(&scan.source) {
        Ok(provider) => Arc::as_ptr(&provider).addr(),
        Err(_) => Arc::as_ptr(&scan.source).addr(),
    }
}

/// Whether two subplans give the same rows and columns.
pub(super) fn same(one: &LogicalPlan, other: &LogicalPlan) -> Result<bool> {
    Ok(origins(one)? == origins(other)? && one == other)
}

fn origins(plan: &LogicalPlan) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.push(origin(scan));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn cut(node: &LogicalPlan) -> Cut {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Cut::Good,
        // A condition on groups or on a window's values belongs to the query; one on tables may be a join's.
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => Cut::Good,
            LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => Cut::Never,
            _ => Cut::Idle,
        },
        LogicalPlan::TableScan(_) => Cut::Idle,
        _ => Cut::Never,
    }
}

fn is_heavy(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Aggregate(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::RecursiveQuery(_) => true,
        LogicalPlan::Limit(limit) => matches!(limit.input.as_ref(), LogicalPlan::Sort(_)),
        LogicalPlan::Sort(sort) => sort.fetch.is_some(),
        _ => false,
    }
}

fn is_volatile(node: &LogicalPlan) -> Result<bool> {
    let differs = |signature: &Signature| signature.volatility == Volatility::Volatile;
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.exists(|part| {
            Ok(match part {
                Expr::ScalarFunction(call) => differs(call.func.signature()),
                Expr::AggregateFunction(call) => differs(call.func.signature()),
                Expr::WindowFunction(call) => differs(&call.fun.signature()),
                _ => false,
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether a node's own expressions, or subqueries in them, have values of a query around the node.
fn is_correlated(node: &LogicalPlan) -> Result<bool> {
    let inputs = node.inputs();
    let is_inner = |outer: &Expr| match outer {
        Expr::OuterReferenceColumn(_, column) => inputs.iter().any(|input| input.schema().has_column(column)),
        _ => false,
    };
    let is_free = |subquery: &Subquery| subquery.outer_ref_columns.iter().all(is_inner);
    // A lateral query stands beside what it has the values from.
    let mut found = matches!(node, LogicalPlan::Subquery(query) if !query.outer_ref_columns.is_empty());
    node.apply_expressions(|expr| {
        found |= expr.exists(|part| {
            Ok(match part {
                Expr::OuterReferenceColumn(..) => true,
                Expr::ScalarSubquery(subquery) => !is_free(subquery),
                Expr::InSubquery(membership) => !is_free(&membership.subquery),
                Expr::Exists(existence) => !is_free(&existence.subquery),
                Expr::SetComparison(comparison) => !is_free(&comparison.subquery),
                _ => false,
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
