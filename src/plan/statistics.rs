//! Aggregates answered from file statistics, where these can answer.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, TryCastExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::rules::PhysicalRule;

/// The stock rule of this name, kept from plans with casts from or to text: it casts a column's least and
/// greatest value, but the least text (`'10'`) is not the least number (`'9'`).
#[derive(Debug)]
pub struct ExactStatistics {
    stock: PhysicalRule,
}

/// Puts [`ExactStatistics`] in the place of the stock rule; the order of rules stays.
pub fn with_exact_statistics(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let exact = |stock: PhysicalRule| match stock.name() {
        "aggregate_statistics" => Arc::new(ExactStatistics { stock }),
        _ => stock,
    };
    rules.into_iter().map(exact).collect()
}

impl PhysicalOptimizerRule for ExactStatistics {
    fn name(&self) -> &str {
        "aggregate_statistics"
    }

    fn schema_check(&self) -> bool {
        self.stock.schema_check()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match reorders_values(&plan)? {
            true => Ok(plan),
            false => self.stock.optimize(plan, config),
        }
    }
}

/// Whether some cast in the plan changes which value is the least.
fn reorders_values(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        let inputs = node.children();
        let schema = inputs.first().map_or_else(|| node.schema(), |input| input.schema());
        node.apply_expressions(&mut |root| {
            root.apply(|expr| {
                found |= casts_text(expr, &schema);
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn casts_text(expr: &Arc<dyn PhysicalExpr>, schema: &datafusion::arrow::datatypes::Schema) -> bool {
    let cast = expr.downcast_ref::<CastExpr>().map(|cast| (cast.expr(), cast.cast_type().clone()));
    let cast = cast
        .or_else(|| expr.downcast_ref::<TryCastExpr>().map(|cast| (cast.expr(), cast.cast_type().clone())));
    let Some((inner, to)) = cast else { return false };
    // A scan's expressions may name columns that its own output lacks: then the cast counts.
    let from = inner.data_type(schema).ok();
    is_text(&to) != from.is_some_and(|from| is_text(&from))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
