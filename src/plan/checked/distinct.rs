//! Sums beside a DISTINCT aggregate, planned in two phases.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::sum::{CheckedSum, Phase};

/// The stock rule that makes `count(DISTINCT a), sum(b) … GROUP BY g` two aggregations, by `g, a` and by `g`,
/// with sums in between that are as wide as they need to be: only the last total has to fit its type.
#[derive(Debug)]
pub(super) struct WidePartialSums {
    stock: Arc<dyn OptimizerRule + Send + Sync>,
}

/// Puts [`WidePartialSums`] in the place of the stock rule; the order of rules stays.
pub(super) fn with_wide_partial_sums(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let wide = |stock: Arc<dyn OptimizerRule + Send + Sync>| match stock.name() {
        "single_distinct_aggregation_to_group_by" => Arc::new(WidePartialSums { stock }),
        _ => stock,
    };
    rules.into_iter().map(wide).collect()
}

impl OptimizerRule for WidePartialSums {
    fn name(&self) -> &str {
        self.stock.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.stock.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let plan = self.stock.rewrite(plan, config)?;
        if plan.transformed { widened(plan.data).map(Transformed::yes) } else { Ok(plan) }
    }
}

/// Makes the sums between the two aggregations wide.
fn widened(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = &plan else { return Ok(plan) };
    let LogicalPlan::Aggregate(outer) = projection.input.as_ref() else { return Ok(plan) };
    let LogicalPlan::Aggregate(inner) = outer.input.as_ref() else { return Ok(plan) };

    let mut wide = Vec::new();
    let mut firsts = Vec::with_capacity(inner.aggr_expr.len());
    for expr in &inner.aggr_expr {
        let name = expr.schema_name().to_string();
        let total = inner.schema.field_with_unqualified_name(&name)?.data_type();
        match expr.clone() {
            Expr::Alias(mut alias) if CheckedSum::widens(total) => {
                if let Expr::AggregateFunction(sum) = alias.expr.as_mut()
                    && replace(sum, Phase::First)
                {
                    wide.push((name, total.clone()));
                }
                firsts.push(Expr::Alias(alias));
            }
            other => firsts.push(other),
        }
    }
    if wide.is_empty() {
        return Ok(plan);
    }
    let mut lasts = outer.aggr_expr.clone();
    for expr in &mut lasts {
        let Expr::AggregateFunction(sum) = expr else { continue };
        let total = match sum.params.args.as_slice() {
            [Expr::Column(column)] => wide.iter().find(|(name, _)| *name == column.name),
            _ => None,
        };
        if let Some((_, total)) = total {
            replace(sum, Phase::Last(total.clone()));
        }
    }
    let inner = Aggregate::try_new(Arc::clone(&inner.input), inner.group_expr.clone(), firsts)?;
    let outer = Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(inner)), outer.group_expr.clone(), lasts)?;
    let input = Arc::new(LogicalPlan::Aggregate(outer));
    Ok(LogicalPlan::Projection(Projection::try_new(projection.expr.clone(), input)?))
}

/// Makes a checked sum one of the given phase.
fn replace(sum: &mut AggregateFunction, phase: Phase) -> bool {
    let is_sum = sum.func.inner().is::<CheckedSum>();
    if is_sum {
        sum.func = Arc::new(CheckedSum::of(phase));
    }
    is_sum
}
