//! Finds what a query has more than once, and puts a table in the place of each occurrence.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::common::{Result, TableReference, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;

use super::marker::{Marker, Wish};
use super::survey::{Info, same, survey};
use super::table::{Demand, Share, scans};
use crate::config::{Applied, EngineKind, QueryOptions};

/// Takes subplans that repeat out of a query, the largest first; what repeats within these as well. Runs after all
/// other analyzer rules, while repeats still are equal: the optimiser makes something of its own of each.
///
/// ```text
///  Join                             Join
///    SubqueryAlias: a                 SubqueryAlias: a
///      SubqueryAlias: c                 TableScan: c ──┐
///        Aggregate                    SubqueryAlias: b │
///          TableScan: t     ──▶         TableScan: c ──┴─▶ SubqueryAlias: c
///    SubqueryAlias: b                                        Aggregate
///      SubqueryAlias: c                                        TableScan: t
///        Aggregate
///          TableScan: t
/// ```
///
/// What is taken out gives the same rows each time it is computed, needs no values of a query around it, and is not in
/// a recursive term. Whether it is worth it is decided when it can be planned: a candidate that is not goes back.
#[derive(Debug)]
pub struct FindShared;

impl AnalyzerRule for FindShared {
    fn name(&self) -> &str {
        "find_shared"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        // CREATE TABLE … AS plans its query twice.
        if !scans(&plan)?.is_empty() {
            return Ok(plan);
        }
        let options = config.extensions.get::<QueryOptions>().cloned().unwrap_or_default();
        let sought = match (options.engine, options.shared_stages) {
            (EngineKind::Stock, _) => Sought::Nothing,
            (EngineKind::Local | EngineKind::Inline, Applied::Off) => Sought::Marked,
            (EngineKind::Local | EngineKind::Inline, Applied::On) => Sought::Useful,
            (EngineKind::Local | EngineKind::Inline, Applied::Always) => Sought::All,
        };
        let plan = if sought == Sought::Nothing { plan } else { taken_out(plan, sought)? };
        without_markers(plan)
    }
}

/// What is to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sought {
    Nothing,
    /// What MATERIALIZED asks for.
    Marked,
    /// That, and what may be worth it.
    Useful,
    /// That, and all else that repeats.
    All,
}

/// A subplan that is taken out.
struct Found {
    share: Arc<Share>,
    hash: u64,
    /// As it was found, to know it again by.
    plan: LogicalPlan,
}

/// The trees of a query: its own, and those taken out of it, each of which is looked through in turn.
fn taken_out(query: LogicalPlan, sought: Sought) -> Result<LogicalPlan> {
    let mut found: Vec<Found> = Vec::new();
    let mut query = query;
    let mut trees: Vec<LogicalPlan> = Vec::new();
    loop {
        let surveys = std::iter::once(&query).chain(&trees).map(survey).collect::<Result<Vec<_>>>()?;
        let mut counts = HashMap::new();
        let may_repeat = |info: &&Info| sought != Sought::Marked && info.may_repeat(sought == Sought::All);
        for info in surveys.iter().flatten().filter(may_repeat) {
            *counts.entry(info.hash).or_insert(0_usize) += 1;
        }
        let before = found.len();
        let mut changed = false;
        let mut surveys = surveys.iter();
        for (is_root_kept, tree) in
            std::iter::once((false, &mut query)).chain(trees.iter_mut().map(|tree| (true, tree)))
        {
            let Some(infos) = surveys.next() else { break };
            // Most queries have nothing that repeats: they stay as they are.
            let is_candidate = |info: &Info| {
                info.is_marked
                    || counts.get(&info.hash).is_some_and(|count| *count > 1)
                    || found.iter().any(|found| found.hash == info.hash)
            };
            if !infos.iter().any(is_candidate) {
                continue;
            }
            let mut taking =
                Taking { infos, at: 0, counts: &counts, is_root_kept, sought, found: &mut found };
            let rewritten = std::mem::take(tree).rewrite_with_subqueries(&mut taking)?;
            changed |= rewritten.transformed;
            *tree = rewritten.data;
        }
        trees.extend(found[before..].iter().map(|found| found.plan.clone()));
        if !changed {
            break;
        }
    }
    for (found, tree) in found.into_iter().zip(trees) {
        // Set once: it was made above.
        let _ = found.share.plan.set(without_markers(tree)?);
    }
    Ok(query)
}

/// Takes subplans out of one tree.
struct Taking<'a> {
    infos: &'a [Info],
    /// The next node among them.
    at: usize,
    /// How often there are subplans that may repeat, by hash.
    counts: &'a HashMap<u64, usize>,
    /// Whether the root is what was taken out.
    is_root_kept: bool,
    sought: Sought,
    found: &'a mut Vec<Found>,
}

impl TreeNodeRewriter for Taking<'_> {
    type Node = LogicalPlan;

    fn f_down(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let at = self.at;
        let Some(info) = self.infos.get(at).filter(|info| info.is_of(&node)) else {
            return internal_err!("a plan has other nodes than were counted");
        };
        self.at += 1;
        if self.is_root_kept && at == 0 {
            return Ok(Transformed::no(node));
        }
        let Some(share) = self.share(&node, info)? else { return Ok(Transformed::no(node)) };
        self.at = at + info.size;
        let leaf = share.leaf(node.schema())?;
        Ok(Transformed::new(leaf, true, TreeNodeRecursion::Jump))
    }
}

impl Taking<'_> {
    fn share(&mut self, node: &LogicalPlan, info: &Info) -> Result<Option<Arc<Share>>> {
        if let Some(marker) = Marker::of(node)
            && let Wish::Materialized(name) = &marker.wish
            && info.may_be_kept()
        {
            return self
                .known_or_new(&marker.input, info, TableReference::bare(name.as_str()), Demand::Asked)
                .map(Some);
        }
        if self.sought == Sought::Marked || !info.may_repeat(self.sought == Sought::All) {
            return Ok(None);
        }
        let is_known = self.found.iter().any(|found| found.hash == info.hash);
        let count = self.counts.get(&info.hash).copied().unwrap_or(0);
        if count < 2 && !is_known {
            return Ok(None);
        }
        let name = match node {
            LogicalPlan::SubqueryAlias(alias) => alias.alias.clone(),
            _ => TableReference::bare(format!("shared_{}", self.found.len() + 1)),
        };
        let demand = if self.sought == Sought::All { Demand::Repeats } else { Demand::Cost };
        self.known_or_new(node, info, name, demand).map(Some)
    }

    fn known_or_new(
        &mut self,
        plan: &LogicalPlan,
        info: &Info,
        name: TableReference,
        demand: Demand,
    ) -> Result<Arc<Share>> {
        for found in self.found.iter().filter(|found| found.hash == info.hash) {
            if same(&found.plan, plan)? {
                return Ok(Arc::clone(&found.share));
            }
        }
        let share = Arc::new(Share::new(name, demand, plan.schema()));
        self.found.push(Found { share: Arc::clone(&share), hash: info.hash, plan: plan.clone() });
        Ok(share)
    }
}

/// The plan without markers, which only this rule knows.
fn without_markers(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut is_marked = false;
    plan.apply_with_subqueries(|node| {
        is_marked |= Marker::of(node).is_some();
        Ok(if is_marked { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !is_marked {
        return Ok(plan);
    }
    let plan = plan.transform_up_with_subqueries(|node| match Marker::of(&node) {
        Some(marker) => Ok(Transformed::yes(LogicalPlan::clone(&marker.input))),
        None => Ok(Transformed::no(node)),
    })?;
    Ok(plan.data)
}
