//! Build sides of joins whose text is in buffers of its own.
//!
//! Text columns are views into buffers (Arrow's `Utf8View`), and a join gives each of its batches all text buffers of
//! its build side, however few rows of it the batch has. Where such batches are the build side of the next join, that
//! join holds all these buffers once for each batch, and gives them all to each of its own batches: of 1,800 batches
//! with 180 buffers each 330,000, which cost more than the join. So text is copied between the two joins, where its
//! buffers hold at least twice what the rows need. Shuffles copy it by themselves.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
#[expect(deprecated, reason = "operators put batches together by themselves now; hash joins do not")]
use datafusion::physical_plan::coalesce_batches::CoalesceBatchesExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::rules::{PhysicalRule, before_last, ours};
use crate::graph::has_views;

/// Copies text from one join to the build side of the next.
#[derive(Debug)]
pub struct CompactBuilds;

/// The stock rules, with [`CompactBuilds`] before what wants plans as they stay.
pub fn with_compact_builds(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    before_last(rules, Arc::new(CompactBuilds))
}

impl PhysicalOptimizerRule for CompactBuilds {
    fn name(&self) -> &str {
        "compact_builds"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !ours(config).is_some_and(|options| options.compact_builds) {
            return Ok(plan);
        }
        // Twice a batch: what is put together holds whole batches, the last of them perhaps in parts.
        let rows = config.execution.batch_size.get().saturating_mul(2);
        let plan = plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join) => {
                let Some(build) = compact(join.left(), rows)? else { return Ok(Transformed::no(node)) };
                let inputs = vec![build, Arc::clone(join.right())];
                Ok(Transformed::yes(replace_children_if_necessary(node, inputs)?))
            }
            None => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

/// A build side, its text copied after the join that it comes from; `None` where there is none or nothing to copy.
fn compact(node: &Arc<dyn ExecutionPlan>, rows: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    match node.children().as_slice() {
        // These copy what they give.
        [_] if node.is::<RepartitionExec>() || node.is::<AggregateExec>() => Ok(None),
        [only] => match compact(only, rows)? {
            Some(input) => replace_children_if_necessary(Arc::clone(node), vec![input]).map(Some),
            None => Ok(None),
        },
        [] => Ok(None),
        _ if has_views(&node.schema()) => {
            #[expect(deprecated, reason = "see the import")]
            let copied = CoalesceBatchesExec::new(Arc::clone(node), rows);
            Ok(Some(Arc::new(copied)))
        }
        _ => Ok(None),
    }
}
