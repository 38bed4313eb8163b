//! Joins whose build side is read by all partitions, where that costs less than shuffling both sides.
//!
//! A hash join can be run in two ways: *partitioned*, where both sides are shuffled by the key and each partition
//! builds a table of its share, or *broadcast* (DataFusion's `CollectLeft`), where one table of the whole build side
//! is made by one task and probed by all, and the probe side stays where it is. DataFusion broadcasts what it
//! estimates below a fixed size. What is right depends on the other side and on the number of partitions `n`: with
//! `b` and `p` rows on the sides, in units of what it costs to shuffle a row,
//!
//! ```text
//! broadcast    b * BUILD                   one task, while the others wait
//! partitioned (b * BUILD + b + p) / n      all of them
//! ```
//!
//! A join that gives many rows for one of the probe side spends its time on these, in jumps from one row of the build
//! side to the next. What a shuffle costs is little then, and jumps in one `n`-th of the table stay in a core's cache.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::join_selection::JoinSelection;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use super::rules::{PhysicalRule, ours};
use crate::config::Applied;

/// What it costs to put a row into the table of a join, in shuffles of a row.
const BUILD: f64 = 2.0;
/// A build side that one task makes has no more rows: an estimate may be far too low, and a table that no cache holds
/// costs more than shuffles save.
const BUILD_ROWS_MAX: f64 = 2e6;
/// Rows for each row of the probe side from which on a join is left to its partitions.
const MULTIPLIED_MIN: f64 = 4.0;

/// Broadcasts the build sides of partitioned hash joins where that is estimated to be faster.
///
/// Only joins whose rows come from the probe side's partitions: those that give rows of the build side would give
/// them in one partition. Sides without an estimate stay as they are.
#[derive(Debug)]
pub struct BroadcastJoins;

/// The stock rules, with [`BroadcastJoins`] after the one that chooses build sides.
pub fn with_broadcast_joins(mut rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let stock = JoinSelection::new();
    let place = rules.iter().position(|rule| rule.name() == stock.name());
    rules.insert(place.map_or(0, |place| place + 1), Arc::new(BroadcastJoins));
    rules
}

impl PhysicalOptimizerRule for BroadcastJoins {
    fn name(&self) -> &str {
        "broadcast_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(options) = ours(config) else { return Ok(plan) };
        let is_always = match options.broadcast_joins {
            Applied::Off => return Ok(plan),
            Applied::On => false,
            Applied::Always => true,
        };
        // More partitions than threads share the threads.
        let at_once = config.execution.target_partitions.min(options.threads.get());
        let plan = plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join) if is_shuffled(join) && (is_always || pays(&node, join, at_once)?) => {
                let join = join.builder().with_partition_mode(PartitionMode::CollectLeft).build()?;
                Ok(Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>))
            }
            Some(_) | None => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

fn is_shuffled(join: &HashJoinExec) -> bool {
    let is_partitioned = match join.partition_mode() {
        PartitionMode::Partitioned => true,
        PartitionMode::CollectLeft | PartitionMode::Auto => false,
    };
    let gives_probe_rows = match join.join_type() {
        JoinType::Inner
        | JoinType::Right
        | JoinType::RightSemi
        | JoinType::RightAnti
        | JoinType::RightMark => true,
        JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            false
        }
    };
    is_partitioned && gives_probe_rows
}

fn pays(node: &Arc<dyn ExecutionPlan>, join: &HashJoinExec, at_once: usize) -> Result<bool> {
    let (Some(build), Some(probe)) = (rows(join.left())?, rows(join.right())?) else { return Ok(false) };
    Ok(is_cheaper(build, probe, at_once) && !rows(node)?.is_some_and(|given| multiplies(probe, given)))
}

fn multiplies(probe: f64, given: f64) -> bool {
    given >= probe * MULTIPLIED_MIN
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn rows(side: &Arc<dyn ExecutionPlan>) -> Result<Option<f64>> {
    let statistics = StatisticsContext::new().compute(side.as_ref(), &StatisticsArgs::new())?;
    Ok(statistics.num_rows.get_value().map(|rows| *rows as f64))
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn is_cheaper(build: f64, probe: f64, at_once: usize) -> bool {
    let partitioned = (build * BUILD + build + probe) / at_once as f64;
    build <= BUILD_ROWS_MAX && build * BUILD <= partitioned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_run_at_once_the_smaller_a_build_side_must_be() {
        assert!(is_cheaper(1e6, 1e6, 2));
        assert!(is_cheaper(1e6, 5e6, 4));
        assert!(!is_cheaper(1e6, 4e6, 4));
        assert!(is_cheaper(2e5, 6e6, 16));
        assert!(!is_cheaper(3e5, 6e6, 16));
    }

    #[test]
    fn a_side_that_is_larger_than_the_other_is_shuffled() {
        assert!(!is_cheaper(2e6, 1e6, 2));
    }

    #[test]
    fn a_join_that_gives_many_rows_for_one_multiplies() {
        assert!(!multiplies(1e6, 1e6));
        assert!(multiplies(1e6, 34e6));
    }

    #[test]
    fn a_side_that_may_be_huge_is_shuffled() {
        assert!(!is_cheaper(2.5e6, 1e9, 2));
    }
}
