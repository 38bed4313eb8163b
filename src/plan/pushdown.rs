//! Filters that go down a physical plan with their columns told by place.
//!
//! Operators take filters for their inputs and translate the columns by name. Where two columns have one name, as
//! above every join of tables that share one, the filter of one lands on the other, and rows are lost:
//!
//! ```text
//! Filter: coalesce(year@1, 2026) = 2026         of l
//!   Repartition                                 finds the first `year`
//!     Join                                      id@0 of l, year@1 of r, year@2 of l
//! ```
//!
//! DataFusion 55.2 does so for filters and dynamic filters alike (its issues #25244, #25262, #25296). The rule here
//! takes the place of its two: the same questions to the same operators, their answers held against the places.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::buffer::BufferExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
    PushedDown, PushedDownPredicate,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::rules::PhysicalRule;
use crate::graph::copies_text;

type Plan = Arc<dyn ExecutionPlan>;
type Filter = Arc<dyn PhysicalExpr>;

/// The stock rules, with ours in the place of those that push filters down.
pub fn with_exact_pushdown(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let [stock, stock_last] = [FilterPushdown::new(), FilterPushdown::new_post_optimization()];
    let ours = |rule: PhysicalRule| -> PhysicalRule {
        let phase = match rule.name() {
            name if name == stock.name() => FilterPushdownPhase::Pre,
            name if name == stock_last.name() => FilterPushdownPhase::Post,
            _ => return rule,
        };
        Arc::new(ExactPushdown { phase, name: rule.name().to_string() })
    };
    rules.into_iter().map(ours).collect()
}

#[derive(Debug)]
struct ExactPushdown {
    phase: FilterPushdownPhase,
    name: String,
}

impl PhysicalOptimizerRule for ExactPushdown {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        Ok(self.push(&plan, Vec::new(), config)?.updated_node.unwrap_or(plan))
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A filter on its way to an input, and whose it is: one that the node was given, or one of its own, by place.
enum Whose {
    Given(usize),
    Own(usize),
}

impl ExactPushdown {
    /// Hands filters to a node, which hands them on as far as they go.
    fn push(
        &self,
        node: &Plan,
        given: Vec<Filter>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Plan>> {
        // A volatile filter has another value each time that it is computed.
        let asked: Vec<usize> = (0..given.len()).filter(|at| !is_volatile(&given[*at])).collect();
        let filters = asked.iter().map(|at| Arc::clone(&given[*at])).collect();
        let answer = node.gather_filters_for_pushdown(self.phase, filters, config)?;
        let (of_given, of_own) = (answer.parent_filters(), answer.self_filters());
        let mut given_results = vec![Vec::new(); given.len()];
        let mut own_results = Vec::new();
        let mut children = Vec::new();
        for (at, child) in node.children().into_iter().enumerate() {
            let (Some(answers), Some(own)) = (of_given.get(at), of_own.get(at)) else {
                let what = format!("{} says nothing of filters for its input {at}", node.name());
                return Err(DataFusionError::Internal(what));
            };
            let mut whose = Vec::new();
            let mut down = Vec::new();
            for (place, filter) in own.iter().enumerate() {
                if !is_volatile(filter) && is_clear_to(child, filter) {
                    whose.push(Whose::Own(place));
                    down.push(Arc::clone(filter));
                }
            }
            for (place, answer) in asked.iter().zip(answers) {
                if let Some(filter) = exact(node, at, child, &given[*place], answer)?
                    && is_clear_to(child, &filter)
                {
                    whose.push(Whose::Given(*place));
                    down.push(filter);
                }
            }
            let result = self.push(child, down, config)?;
            children.push(result.updated_node.unwrap_or_else(|| Arc::clone(child)));
            let mut own_taken = vec![PushedDown::No; own.len()];
            given_results.iter_mut().for_each(|results| results.push(PushedDown::No));
            for (whose, taken) in whose.into_iter().zip(result.filters) {
                match whose {
                    Whose::Own(place) => own_taken[place] = taken,
                    Whose::Given(place) => given_results[place][at] = taken,
                }
            }
            let told = own_taken.into_iter().zip(own);
            own_results.push(told.map(|(taken, filter)| taken.wrap_expression(Arc::clone(filter))).collect());
        }
        let updated = replace_children_if_necessary(Arc::clone(node), children)?;
        let results = given.into_iter().zip(given_results);
        let result = ChildPushdownResult {
            parent_filters: results
                .map(|(filter, child_results)| ChildFilterPushdownResult { filter, child_results })
                .collect(),
            self_filters: own_results,
        };
        let mut result = updated.handle_child_pushdown_result(self.phase, result, config)?;
        if result.updated_node.is_none() && !Arc::ptr_eq(&updated, node) {
            result.updated_node = Some(updated);
        }
        Ok(result)
    }
}

/// A filter for an input of a node, with the columns that it means, if the node lets it through.
fn exact(
    node: &Plan,
    at: usize,
    child: &Plan,
    filter: &Filter,
    answer: &PushedDownPredicate,
) -> Result<Option<Filter>> {
    if matches!(answer.discriminant, PushedDown::No) {
        return Ok(None);
    }
    let input = child.schema();
    let column = |at: usize| -> Option<Filter> {
        let field = input.fields().get(at)?;
        Some(Arc::new(Column::new(field.name(), at)))
    };
    if keeps_columns(node) {
        return translated(filter, column);
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return translated(filter, |at| Some(Arc::clone(&projection.expr().get(at)?.expr)));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let keys = aggregate.group_expr().expr();
        return translated(filter, |at| {
            let (key, _) = keys.get(at)?;
            column(key.downcast_ref::<Column>()?.index())
        });
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>()
        && let Some(places) = places(join, at)
    {
        return translated(filter, |at| column(*places.get(&at)?));
    }
    let is_clear = has_clear_names(&answer.predicate, &input);
    Ok(is_clear.then(|| Arc::clone(&answer.predicate)))
}

/// A filter with something else in the place of each column; `None` if a column has nothing.
fn translated(filter: &Filter, meaning: impl Fn(usize) -> Option<Filter>) -> Result<Option<Filter>> {
    let mut is_whole = true;
    let translated = Arc::clone(filter).transform_down(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        match meaning(column.index()) {
            Some(same) if same.as_ref() == expr.as_ref() => Ok(Transformed::no(expr)),
            Some(other) => Ok(Transformed::new(other, true, TreeNodeRecursion::Jump)),
            None => {
                is_whole = false;
                Ok(Transformed::complete(expr))
            }
        }
    })?;
    Ok(is_whole.then_some(translated.data))
}

/// Where the columns of a join's output are in one of its inputs; `None` for an input that gives no columns.
fn places(join: &HashJoinExec, input: usize) -> Option<HashMap<usize, usize>> {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let left = join.left().schema().fields().len();
    let right = join.right().schema().fields().len();
    let range = match (join.join_type(), input) {
        (Inner | Left | Right | Full | LeftSemi | LeftAnti | LeftMark, 0) => 0..left,
        (Inner | Left | Right | Full, _) => left..left + right,
        (RightSemi | RightAnti | RightMark, 1) => 0..right,
        // Keys of a semi join go to the other side as well, by name.
        (LeftSemi | LeftAnti | LeftMark | RightSemi | RightAnti | RightMark, _) => return None,
    };
    let width = range.end.max(left + right);
    let outputs: Vec<usize> = match &join.projection {
        Some(projection) => projection.to_vec(),
        None => (0..width).collect(),
    };
    let inside = outputs.into_iter().enumerate().filter(|(_, column)| range.contains(column));
    Some(inside.map(|(output, column)| (output, column - range.start)).collect())
}

/// Whether a node's columns are those of each input, at the same places.
fn keeps_columns(node: &Plan) -> bool {
    node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<CooperativeExec>()
        || copies_text(node.as_ref())
        || node.is::<BufferExec>()
        || node.is::<SortExec>()
        || node.is::<UnionExec>()
        || node.downcast_ref::<FilterExec>().is_some_and(|filter| filter.projection().is_none())
}

/// Whether a node that looks for the columns of what it is given by their names finds those that are meant.
fn is_clear_to(node: &Plan, filter: &Filter) -> bool {
    if keeps_columns(node)
        || node.is::<ProjectionExec>()
        || node.is::<AggregateExec>()
        || node.is::<HashJoinExec>()
    {
        // What they make of it is not used.
        return true;
    }
    let inputs = node.children().into_iter().map(|input| input.schema());
    inputs.chain([node.schema()]).all(|schema| has_clear_names(filter, &schema))
}

/// Whether none of a filter's columns has a name that several columns have.
fn has_clear_names(filter: &Filter, schema: &SchemaRef) -> bool {
    let mut is_clear = true;
    let walked = filter.apply(|expr| {
        if let Some(column) = expr.downcast_ref::<Column>() {
            is_clear &= schema.fields().iter().filter(|field| field.name() == column.name()).count() <= 1;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    is_clear && walked.is_ok()
}
