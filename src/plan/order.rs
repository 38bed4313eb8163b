//! An order that was asked for lasts to the end, or to the limit that takes its first rows.
//!
//! DataFusion keeps a sort that the result's order depends on, but may deal its rows out to several
//! partitions again for the sake of a filter or a projection above it; the result then comes in the order
//! in which partitions happen to be ready, and a limit above takes other rows. The stock rules protect
//! only what stands right above the sort, which is all that plain SQL makes; DataFrames, pipes and queries in
//! queries stack steps.
//!
//! ```text
//! projection                         projection
//!   round robin 1 → n      becomes     merge of sorted partitions
//!     merge of sorted partitions         …
//!       …
//! ```

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::rules::{PhysicalRule, before_last};

/// Takes out the round robin between a result, or a limit, and the sort that its order comes from, if nothing in
/// between makes another order. What is above the sort runs in one partition then.
#[derive(Debug)]
pub struct LastingOrder;

/// The stock rules, with [`LastingOrder`] when they have dealt out all rows, and before what wants plans as they stay.
pub fn with_lasting_order(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    before_last(rules, Arc::new(LastingOrder))
}

impl PhysicalOptimizerRule for LastingOrder {
    fn name(&self) -> &str {
        "lasting_order"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = lasting(&plan)?.unwrap_or(plan);
        let plan = plan.transform_up(|node| match takes_first_rows(&node) {
            true => Ok(lasting(&node)?.map_or_else(|| Transformed::no(node), Transformed::yes)),
            false => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

/// Sorts what a merge cannot be known to find in order. Of the order of a UNION's branches with constants or with a
/// column twice, as in `SELECT 'x', a, a FROM t UNION ALL SELECT 'y', b, b FROM t ORDER BY 1, 2, 3`, the stock rules
/// leave out what goes without saying in each branch, and then refuse the plan, because it does go with saying in all.
#[derive(Debug)]
struct SortedMerges;

/// The stock rules, with one of ours before the one that refuses plans.
pub fn with_sorted_merges(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    before_last(rules, Arc::new(SortedMerges))
}

impl PhysicalOptimizerRule for SortedMerges {
    fn name(&self) -> &str {
        "sorted_merges"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() else {
                return Ok(Transformed::no(node));
            };
            let (order, input) = (merge.expr(), merge.input());
            if input.equivalence_properties().ordering_satisfy(order.clone())? {
                return Ok(Transformed::no(node));
            }
            let sort = SortExec::new(order.clone(), Arc::clone(input));
            let sort = sort.with_fetch(merge.fetch()).with_preserve_partitioning(true);
            replace_children_if_necessary(node, vec![Arc::new(sort)]).map(Transformed::yes)
        })?;
        Ok(plan.data)
    }
}

/// Whether a node gives the first rows of its input, or leaves them out.
fn takes_first_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<GlobalLimitExec>()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some_and(|coalesce| coalesce.fetch().is_some())
}

/// The plan without the round robin; `None` if there is none to take out.
fn lasting(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let children = plan.children();
    let [child] = children.as_slice() else { return Ok(None) };
    if deals_out_one(plan) {
        return Ok(is_sorted(child).then(|| Arc::clone(child)));
    }
    // Of one partition, coalescing keeps the order.
    if !keeps_order(plan) && !plan.is::<CoalescePartitionsExec>() {
        return Ok(None);
    }
    match lasting(child)? {
        Some(child) => replace_children_if_necessary(Arc::clone(plan), vec![child]).map(Some),
        None => Ok(None),
    }
}

fn deals_out_one(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some_and(|repartition| {
        matches!(repartition.partitioning(), Partitioning::RoundRobinBatch(_))
            && repartition.input().output_partitioning().partition_count() == 1
    })
}

/// Whether its rows come in the order of a sort below.
fn is_sorted(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<SortExec>() || plan.is::<SortPreservingMergeExec>() {
        return true;
    }
    match plan.children().as_slice() {
        [child] => keeps_order(plan) && is_sorted(child),
        _ => false,
    }
}

fn keeps_order(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.maintains_input_order() == [true] && !plan.is::<RepartitionExec>()
}
