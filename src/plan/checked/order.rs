//! Conditions in an order in which they guard each other.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::{
    conjunction, merge_schema, split_conjunction, split_conjunction_owned,
};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::fallible::may_fail;

/// Puts the conditions of a filter or join that cannot fail before those that may. The stock rule that moves
/// filters down puts cheap ones first, and takes a cast for cheap: of `x LIKE '1%' AND CAST(x AS INT) > 5`
/// it makes `CAST(x AS INT) > 5 AND x LIKE '1%'`.
#[derive(Debug)]
pub(super) struct SafeConditionsFirst;

/// Puts [`SafeConditionsFirst`] behind the stock rule whose order it mends.
pub(super) fn with_safe_conditions_first(
    mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let place = rules.iter().position(|rule| rule.name() == "push_down_filter");
    rules.insert(place.map_or(rules.len(), |place| place + 1), Arc::new(SafeConditionsFirst));
    rules
}

impl OptimizerRule for SafeConditionsFirst {
    fn name(&self) -> &str {
        "safe_conditions_first"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(mut filter) => {
                let ordered = ordered(&filter.predicate, filter.input.schema())?;
                let changed = ordered.is_some();
                if let Some(ordered) = ordered {
                    filter.predicate = ordered;
                }
                Ok(Transformed::new_transformed(LogicalPlan::Filter(filter), changed))
            }
            LogicalPlan::Join(ref join) => {
                let Some(filter) = &join.filter else { return Ok(Transformed::no(plan)) };
                let Some(ordered) = ordered(filter, &merge_schema(&plan.inputs()))? else {
                    return Ok(Transformed::no(plan));
                };
                let mut join = join.clone();
                join.filter = Some(ordered);
                Ok(Transformed::yes(LogicalPlan::Join(join)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// The condition in another order, if its own is not safe. Volatile ones keep their order.
fn ordered(condition: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let parts = split_conjunction(condition);
    if parts.len() < 2 || condition.is_volatile() {
        return Ok(None);
    }
    let fails = parts.iter().map(|part| may_fail(part, schema)).collect::<Result<Vec<_>>>()?;
    if fails.is_sorted() {
        return Ok(None);
    }
    let mut parts: Vec<_> = fails.into_iter().zip(split_conjunction_owned(condition.clone())).collect();
    parts.sort_by_key(|(fails, _)| *fails);
    Ok(conjunction(parts.into_iter().map(|(_, part)| part)))
}
