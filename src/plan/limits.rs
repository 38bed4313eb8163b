//! LIMIT and OFFSET, which take their rows in the order that was asked for.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::{Literal, lit};
use datafusion::physical_expr::{Distribution, OrderingRequirements};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::output_requirements::OutputRequirementExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::rules::PhysicalRule;

type Plan = Arc<dyn ExecutionPlan>;

/// Keeps the stock rule for orders and distributions from changing which rows a limit takes.
///
/// It moves sorts down as far as they go. Below an OFFSET, other rows of
/// `SELECT * FROM (SELECT a FROM t ORDER BY a OFFSET 1) ORDER BY a DESC` would be left out, and of
/// `SELECT * FROM (SELECT a FROM t LIMIT 4 OFFSET 3) ORDER BY a` one row would be left. Sorts do not pass filters,
/// so one that keeps all rows stands above such limits while the rule runs.
///
/// It takes out sorts whose order nobody asks for, and a limit asks for none: with the sort column projected away,
/// `(SELECT a FROM t ORDER BY b OFFSET 2)` would leave out any two rows. So there is a node above the sort that asks
/// for its order, the one that the stock rules have above the sort of a whole query, which they remove when it has
/// served.
///
/// ```text
/// limit, skip=2                  limit, skip=2
///   projection: a                  projection: a
///     sort: b           becomes      output requirement: b
///       a, b                           sort: b
///                                        a, b
/// ```
#[derive(Debug)]
enum OrderOfLimits {
    Protect,
    Release,
}

/// The stock rules with what protects limits put into plans before the one that moves sorts. The filters are
/// removed after it.
pub fn with_order_of_limits(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let mut all: Vec<PhysicalRule> = Vec::with_capacity(rules.len() + 2);
    for rule in rules {
        if rule.name() == "EnsureRequirements" {
            all.push(Arc::new(OrderOfLimits::Protect));
            all.push(rule);
            all.push(Arc::new(OrderOfLimits::Release));
        } else {
            all.push(rule);
        }
    }
    all
}

impl PhysicalOptimizerRule for OrderOfLimits {
    fn name(&self) -> &str {
        "order_of_limits"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, _: &ConfigOptions) -> Result<Plan> {
        match self {
            Self::Protect => protect(plan, false).map(|plan| plan.data),
            Self::Release => plan.transform_up(remove).map(|plan| plan.data),
        }
    }
}

/// Filters are raised below something that wants an order only. Elsewhere no sort can come, and the rows of an
/// ordered query would come to lie below a filter that may be given them in any order.
fn protect(plan: Plan, sorted: bool) -> Result<Transformed<Plan>> {
    let wants_order = plan.is::<SortExec>() || plan.required_input_ordering().iter().any(Option::is_some);
    let mut plan = plan.map_children(|child| protect(child, sorted || wants_order))?;
    let Some(limit) = plan.data.downcast_ref::<GlobalLimitExec>() else { return Ok(plan) };
    let mut depends_on_order = limit.skip() > 0;
    if let Some(input) = held(limit.input())? {
        plan = Transformed::yes(replace_children_if_necessary(plan.data, vec![input])?);
        depends_on_order = true;
    }
    if sorted && depends_on_order {
        plan = Transformed::yes(Arc::new(FilterExec::try_new(lit(true), plan.data)?));
    }
    Ok(plan)
}

/// A limit's input with the sort that its order comes from held in its place; `None` if there is none that could be
/// taken out: sorts that are limits themselves stay anyway.
fn held(plan: &Plan) -> Result<Option<Plan>> {
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        if sort.fetch().is_some() {
            return Ok(None);
        }
        let order = OrderingRequirements::from(sort.expr().clone());
        let one = Distribution::SinglePartition;
        return Ok(Some(Arc::new(OutputRequirementExec::new(Arc::clone(plan), Some(order), one, None))));
    }
    let children = plan.children();
    let [child] = children.as_slice() else { return Ok(None) };
    let asks_for_none = plan.required_input_ordering().iter().all(Option::is_none);
    if !asks_for_none || plan.maintains_input_order() != [true] {
        return Ok(None);
    }
    match held(child)? {
        Some(child) => replace_children_if_necessary(Arc::clone(plan), vec![child]).map(Some),
        None => Ok(None),
    }
}

fn remove(plan: Plan) -> Result<Transformed<Plan>> {
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
