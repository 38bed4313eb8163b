//! OFFSET, which sorts must not pass.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::{Literal, lit};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;

type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Keeps the stock rules from moving a sort below an OFFSET: of
/// `SELECT * FROM (SELECT a FROM t ORDER BY a OFFSET 1) ORDER BY a DESC` other rows would be left out, and of
/// `SELECT * FROM (SELECT a FROM t LIMIT 4 OFFSET 3) ORDER BY a` one row would be left.
///
/// Sorts do not pass filters, so one that keeps all rows stands above the OFFSET while the stock rule runs.
#[derive(Debug)]
enum OffsetsFirst {
    Raise,
    Remove,
}

/// The stock rules with filters raised before the one that moves sorts, and removed after it.
pub fn with_offsets_first(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let mut all: Vec<PhysicalRule> = Vec::with_capacity(rules.len() + 2);
    for rule in rules {
        if rule.name() == "EnsureRequirements" {
            all.push(Arc::new(OffsetsFirst::Raise));
            all.push(rule);
            all.push(Arc::new(OffsetsFirst::Remove));
        } else {
            all.push(rule);
        }
    }
    all
}

impl PhysicalOptimizerRule for OffsetsFirst {
    fn name(&self) -> &str {
        "offsets_first"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        match self {
            Self::Raise => raise(plan, false).map(|plan| plan.data),
            Self::Remove => plan.transform_up(remove).map(|plan| plan.data),
        }
    }
}

/// Raises filters above the offsets below something that wants an order. Elsewhere no sort can come, and the
/// rows of an ordered query would come to lie below a filter that may be given them in any order.
fn raise(plan: Arc<dyn ExecutionPlan>, sorted: bool) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let wants_order = plan.is::<SortExec>() || plan.required_input_ordering().iter().any(Option::is_some);
    let plan = plan.map_children(|child| raise(child, sorted || wants_order))?;
    match plan.data.downcast_ref::<GlobalLimitExec>() {
        Some(limit) if sorted && limit.skip() > 0 => {
            Ok(Transformed::yes(Arc::new(FilterExec::try_new(lit(true), plan.data)?)))
        }
        _ => Ok(plan),
    }
}

fn remove(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    match plan.downcast_ref::<FilterExec>() {
        Some(filter) if keeps_all(filter) => Ok(Transformed::yes(Arc::clone(filter.input()))),
        _ => Ok(Transformed::no(plan)),
    }
}

/// Whether a filter gives its input as it is.
fn keeps_all(filter: &FilterExec) -> bool {
    let predicate = filter.predicate().downcast_ref::<Literal>();
    let always = predicate.is_some_and(|literal| *literal.value() == ScalarValue::Boolean(Some(true)));
    always && filter.projection().is_none() && filter.fetch().is_none()
}
