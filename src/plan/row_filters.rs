//! Dynamic filters of hash joins, row by row.
//!
//! When a hash join has read its build side it knows which keys can have a partner at all, and DataFusion takes that to
//! the scans of its probe side (sideways information passing). A scan leaves out row groups and pages with it; where
//! keys lie about in no order, it leaves out nothing, and rows without a partner are shuffled, aggregated and probed
//! until they meet the join. Here the rows themselves are asked, as they come from the scan:
//!
//! ```text
//!   Join on partkey                              57 keys
//!     ├─ build: ...                                │
//!     └─ Aggregate by partkey                      ▼
//!          └─ Shuffle
//!               └─ Filter: partkey IN (...)      added here
//!                    └─ Scan
//! ```
//!
//! Whether that costs less is only known while it runs: a filter counts which share of the rows it lets through, and
//! lets all through for a while where it is too many. Joins that are probed right above the scan find out as fast by
//! themselves; rows that such a join leaves out are only half as much worth leaving out before it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::{conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::join_selection::JoinSelection;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use adaptive::Adaptive;
use computed::ComputedKeys;

use super::own_filter::{How, OwnFilter};
use super::rules::{PhysicalRule, ours};
use crate::config::Applied;

mod adaptive;
mod computed;
mod known;
mod stream;

pub(super) use stream::passing;

type Plan = Arc<dyn ExecutionPlan>;

/// Adds filters of rows where dynamic filters of joins have reached scans of files.
#[derive(Debug)]
pub struct RowFilters;

/// The stock rules, with [`RowFilters`] behind the one that takes dynamic filters to scans, and the rule that asks
/// computed keys later once the sides of joins are chosen.
pub fn with_row_filters(mut rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let sides = JoinSelection::new();
    let place = rules.iter().position(|rule| rule.name() == sides.name());
    rules.insert(place.map_or(0, |place| place + 1), Arc::new(ComputedKeys));
    let pushdown = FilterPushdown::new_post_optimization();
    let place = rules.iter().position(|rule| rule.name() == pushdown.name());
    rules.insert(place.map_or(rules.len(), |place| place + 1), Arc::new(RowFilters));
    rules
}

impl PhysicalOptimizerRule for RowFilters {
    fn name(&self) -> &str {
        "row_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let applied = ours(config).map_or(Applied::Off, |options| options.row_filters);
        // Readers that ask the rows themselves have them asked already.
        if applied == Applied::Off || config.execution.parquet.pushdown_filters {
            return Ok(plan);
        }
        Walk { applied, rows: config.execution.batch_size.get() }.filtered(&plan, &HashMap::new())
    }
}

/// What rows are spared that do not pass: what is between the scan and the join whose filter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Spared {
    /// Nothing: the join is the next that they meet.
    Nothing,
    /// Little: other joins look for their partners, which costs about as much as to ask them.
    Little,
    /// They are shuffled, aggregated, sorted or kept in the build side of another join.
    Keeping,
}

impl Spared {
    /// The share of rows up to which it is worth asking all of them.
    fn most(self) -> Option<f64> {
        match self {
            Self::Nothing | Self::Little => None,
            Self::Keeping => Some(0.5),
        }
    }
}

/// The joins above a node, by the ids of their filters.
type Joins = HashMap<u64, Spared>;

struct Walk {
    applied: Applied,
    /// The rows of a batch.
    rows: usize,
}

impl Walk {
    /// A plan with its rows filtered above its scans.
    fn filtered(&self, node: &Plan, joins: &Joins) -> Result<Plan> {
        if let Some(filter) = self.of_scan(node, joins)? {
            return Ok(filter);
        }
        // Recursive terms run again, with other filters.
        if node.is::<RecursiveQueryExec>() {
            return Ok(Arc::clone(node));
        }
        let children = node.children().into_iter().enumerate();
        let filtered = children.map(|(at, child)| self.filtered(child, &below(node, at, joins)));
        let filtered = filtered.collect::<Result<_>>()?;
        replace_children_if_necessary(Arc::clone(node), filtered)
    }

    /// A scan, or its filter, with a filter above it for what the joins above know by the time that it runs.
    fn of_scan(&self, node: &Plan, joins: &Joins) -> Result<Option<Plan>> {
        let (scan, outputs) = match node.downcast_ref::<FilterExec>() {
            // How many rows are wanted is counted after all conditions that there are.
            Some(filter) if filter.fetch().is_some() => return Ok(None),
            Some(filter) => (filter.input(), filter.projection().as_ref()),
            None => (node, None),
        };
        let Some(source) = scan.downcast_ref::<DataSourceExec>() else { return Ok(None) };
        let Some(config) = source.data_source().downcast_ref::<FileScanConfig>() else { return Ok(None) };
        let Some(predicate) = config.file_source().filter() else { return Ok(None) };
        if config.limit.is_some() {
            return Ok(None);
        }
        let read: Vec<Option<usize>> = match config.file_source().projection() {
            Some(read) => read.iter().map(|read| Some(read.expr.downcast_ref::<Column>()?.index())).collect(),
            None => (0..scan.schema().fields().len()).map(Some).collect(),
        };
        let outputs = outputs.map_or_else(|| (0..read.len()).collect(), |outputs| outputs.to_vec());
        // A column of the files, where the rows have it.
        let place =
            |column: usize| outputs.iter().position(|output| read.get(*output) == Some(&Some(column)));
        let parts = split_conjunction(&predicate).into_iter();
        let dynamic = parts.filter(|part| part.is::<DynamicFilterPhysicalExpr>()).filter_map(|part| {
            let spared = *joins.get(&part.expression_id()?)?;
            Some((spared, part))
        });
        let mut next = Vec::new();
        let mut asked = Vec::new();
        for (spared, part) in dynamic {
            let most = match self.applied {
                Applied::Always => Some(f64::INFINITY),
                Applied::Off | Applied::On => spared.most(),
            };
            let placed = placed(part, place, node)?;
            if spared == Spared::Nothing {
                next.extend(placed.clone());
            }
            asked.extend(placed.zip(most));
        }
        let next = next.pop();
        let filters = asked.into_iter().map(|(filter, most)| Adaptive::around(filter, most, next.clone()));
        let filters: Vec<_> = filters.collect();
        if filters.is_empty() {
            return Ok(None);
        }
        // Of how many rows pass nothing is known: what counts on numbers of rows keeps those that it has.
        let filter = FilterExecBuilder::new(conjunction(filters), Arc::clone(node))
            .with_default_selectivity(100)
            .with_batch_size(self.rows)
            .build()?;
        Ok(Some(OwnFilter::around(filter, How::Lightly)))
    }
}

/// A filter with its columns where the rows of a node have them; `None` if they do not have one of them.
fn placed(
    filter: &Arc<dyn PhysicalExpr>,
    place: impl Fn(usize) -> Option<usize>,
    node: &Plan,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let schema = node.schema();
    let mut is_whole = true;
    let placed = Arc::clone(filter).transform_down(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        match place(column.index()).map(|at| Column::new(schema.field(at).name(), at)) {
            Some(column) => Ok(Transformed::yes(Arc::new(column) as _)),
            None => {
                is_whole = false;
                Ok(Transformed::no(expr))
            }
        }
    })?;
    Ok(is_whole.then_some(placed.data))
}

/// The joins above an input of a node.
fn below(node: &Plan, input: usize, joins: &Joins) -> Joins {
    let costs = match node.downcast_ref::<HashJoinExec>() {
        Some(_) if input == 0 => Spared::Keeping,
        Some(_) => Spared::Little,
        None if passes_on(node) => Spared::Nothing,
        None => Spared::Keeping,
    };
    let mut below: Joins = joins.iter().map(|(id, spared)| (*id, costs.max(*spared))).collect();
    if node.is::<HashJoinExec>() && input == 1 {
        let own = node.dynamic_expressions_produced();
        below.extend(own.iter().filter_map(|filter| Some((filter.expression_id()?, Spared::Nothing))));
    }
    below
}

/// Whether a node hands batches on as they are, at next to no cost.
fn passes_on(node: &Plan) -> bool {
    node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<CooperativeExec>()
        || node.is::<UnionExec>()
}
