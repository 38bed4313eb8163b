//! Conditions on groups stay above the grouping, where they are about something else than its rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The stock rule that moves filters down, kept from two kinds of aggregations.
///
/// It takes a condition below an aggregation when all of its columns are keys, and one without columns has none that
/// is not: `1 = 0`, `(SELECT max(a) FROM t) > 5`, what is left of `a = 1 AND a = 2`. But an aggregation without keys,
/// or with a grouping set that has none, gives a row for no rows: the condition would choose between that row and the
/// right one, and not between the right one and none. Where all that could go down has no columns, nothing does.
///
/// Nor does a volatile condition: computed once for each row, and not for each group, it takes parts of groups.
#[derive(Debug)]
struct HavingStays {
    stock: Arc<dyn OptimizerRule + Send + Sync>,
}

/// Puts a rule in the place of the stock one that leaves such conditions where they are; the order of rules stays.
pub fn with_having_above(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let ours = |stock: Arc<dyn OptimizerRule + Send + Sync>| match stock.name() {
        "push_down_filter" => Arc::new(HavingStays { stock }) as Arc<dyn OptimizerRule + Send + Sync>,
        _ => stock,
    };
    rules.into_iter().map(ours).collect()
}

impl OptimizerRule for HavingStays {
    fn name(&self) -> &str {
        self.stock.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.stock.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match stays(&plan, false) {
            true => Ok(Transformed::no(plan)),
            false => self.stock.rewrite(plan, config),
        }
    }
}

/// Whether a plan is filters above an aggregation that one of them must not pass. The stock rule makes one of all.
fn stays(plan: &LogicalPlan, is_volatile: bool) -> bool {
    let LogicalPlan::Filter(filter) = plan else { return false };
    let is_volatile = is_volatile || filter.predicate.is_volatile();
    match filter.input.as_ref() {
        LogicalPlan::Aggregate(aggregate) => is_volatile || gives_row_of_nothing(aggregate),
        LogicalPlan::Window(_) => is_volatile,
        input => stays(input, is_volatile),
    }
}

/// Whether an aggregation may have a row for no rows. Of one with several grouping sets, no column is a key to the
/// stock rule.
fn gives_row_of_nothing(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.is_empty()
        || aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
}
