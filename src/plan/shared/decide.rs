//! Whether sharing a subplan costs less than computing it for each reader.
//!
//! A shared subplan is kept whole until its last reader has passed, and gets no more of its readers' conditions than
//! they have in common. Keeping rows in memory costs little, and on disk less than grouping or sorting them again. So it
//! goes back where
//!
//! - there is one reader, and nobody asked for more;
//! - what repeats in it is a leaf of another shared subplan, and nothing is left that takes work;
//! - a column could be an error for rows of readers that do not ask for it (this is about answers, not about cost);
//! - what the readers' conditions say about joins is lost, and tables would be multiplied;
//! - it gives its first rows at once, and all readers but one want the first rows only;
//! - it joins and no more, and makes more rows than it reads, or takes much of the memory that there is, or gets less of
//!   its readers' conditions than they would make use of without reducing its tables' rows.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::{Distinct, JoinType, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use super::needs::{Reader, is_safe};
use super::table::{Demand, Share};

/// Of the memory that the process may use, the part that joined rows may be estimated to take.
const MEMORY_PART: usize = 4;
/// By how much a join has to reduce its tables' rows where its readers' conditions differ.
const REDUCTION_MIN: usize = 2;

/// What a subplan does, as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    /// Whether it makes few rows of many: groups, distinct rows, the first of an order, a recursion.
    reduces: bool,
    joins: bool,
    /// Whether it has windows: as many rows, but much work.
    windows: bool,
}

impl Work {
    fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut work = Self::default();
        plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::Aggregate(_)
                | LogicalPlan::Distinct(Distinct::All(_) | Distinct::On(_))
                | LogicalPlan::RecursiveQuery(_) => work.reduces = true,
                LogicalPlan::Limit(_) => work.reduces = true,
                LogicalPlan::Sort(sort) => work.reduces |= sort.fetch.is_some(),
                LogicalPlan::Join(_) => work.joins = true,
                LogicalPlan::Window(_) => work.windows = true,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(work)
    }

    /// Whether its rows come as their inputs' do.
    fn streams(self) -> bool {
        !self.reduces && !self.windows
    }
}

/// Whether a subplan goes back to its readers, by what is known before it is optimised.
pub(super) fn goes_back(share: &Share, plan: &LogicalPlan, readers: &[Reader]) -> Result<bool> {
    let repeats = readers.len() > 1;
    match share.demand {
        Demand::Asked => return Ok(false),
        Demand::Repeats => return Ok(!repeats || !is_safe(plan, readers)?),
        Demand::Cost => {}
    }
    let work = Work::of(plan)?;
    let patient = readers.iter().filter(|reader| !reader.is_limited).count();
    Ok(!repeats || (work.streams() && (!work.joins || patient < 2)) || !is_safe(plan, readers)?)
}

/// Whether a subplan, optimised for all its readers, compares each row of some tables with each where it would not if it
/// were optimised for one of them.
pub(super) fn multiplies(
    share: &Share,
    for_all: &LogicalPlan,
    for_one: impl FnOnce() -> Result<LogicalPlan>,
) -> Result<bool> {
    match share.demand {
        Demand::Asked | Demand::Repeats => return Ok(false),
        Demand::Cost => {}
    }
    let products = products(for_all)?;
    Ok(products > 0 && products > self::products(&for_one()?)?)
}

/// Joins that compare each row with each.
fn products(plan: &LogicalPlan) -> Result<usize> {
    let mut found = 0;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found += usize::from(join.on.is_empty() && join.join_type == JoinType::Inner);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether a subplan goes back to its readers, by what its plan says about its size. `differ` says that its readers'
/// conditions do.
pub(super) fn is_too_large(
    share: &Share,
    differ: bool,
    logical: &LogicalPlan,
    plan: &Arc<dyn ExecutionPlan>,
    session: &dyn Session,
) -> Result<bool> {
    match share.demand {
        Demand::Asked | Demand::Repeats => return Ok(false),
        Demand::Cost => {}
    }
    if !Work::of(logical)?.streams() {
        return Ok(false);
    }
    let (Some(rows), Some(read)) = (rows(plan)?, rows_read(plan)?) else { return Ok(true) };
    if rows > read || (differ && rows > read / REDUCTION_MIN) {
        return Ok(true);
    }
    Ok(match session.runtime_env().memory_pool.memory_limit() {
        MemoryLimit::Finite(limit) => rows.saturating_mul(row_bytes(plan)) > limit / MEMORY_PART,
        MemoryLimit::Infinite | MemoryLimit::Unknown => false,
    })
}

fn rows(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<usize>> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
    Ok(statistics.num_rows.get_value().copied())
}

/// The rows that the leaves of a plan give, if all of them know.
fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<usize>> {
    let mut sum = Some(0_usize);
    plan.apply(|node| {
        if node.children().is_empty() {
            sum = match (sum, rows(node)?) {
                (Some(sum), Some(rows)) => Some(sum.saturating_add(rows)),
                _ => None,
            };
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sum)
}

/// About what a row takes in memory.
fn row_bytes(plan: &Arc<dyn ExecutionPlan>) -> usize {
    /// For text and what is nested.
    const OTHER: usize = 32;
    let schema = plan.schema();
    schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(OTHER)).sum()
}
