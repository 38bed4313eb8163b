//! Aggregates that do not compute what their FILTER drops.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Case, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::fallible::may_fail;

/// Makes `sum(CASE WHEN b <> 0 THEN a / b END) FILTER (WHERE b <> 0)` of `sum(a / b) FILTER (WHERE b <> 0)`:
/// DataFusion computes the arguments for all rows, also for those that the filter drops, and the common
/// parts of several aggregates even before them. Column names stay as they were.
#[derive(Debug)]
pub struct GuardedFilters;

impl AnalyzerRule for GuardedFilters {
    fn name(&self) -> &str {
        "guarded_filters"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            if !matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)) {
                return Ok(Transformed::no(plan));
            }
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_down(|expr| guarded(expr, &schema))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|plan| plan.data)
    }
}

fn guarded(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (filter, args): (_, Vec<&mut Expr>) = match &mut expr {
        Expr::AggregateFunction(call) => {
            let keys = call.params.order_by.iter_mut().map(|key| &mut key.expr);
            (&call.params.filter, call.params.args.iter_mut().chain(keys).collect())
        }
        Expr::WindowFunction(call) => (&call.params.filter, call.params.args.iter_mut().collect()),
        _ => return Ok(Transformed::no(expr)),
    };
    let Some(filter) = filter.clone().filter(|filter| !filter.is_volatile()) else {
        return Ok(Transformed::no(expr));
    };
    let mut changed = false;
    for arg in args {
        if may_fail(arg, schema)? {
            let then = Box::new(std::mem::take(arg));
            *arg = Expr::Case(Case::new(None, vec![(filter.clone(), then)], None));
            changed = true;
        }
    }
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}
