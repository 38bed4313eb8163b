//! AND and OR that do not compute what their left side has settled.
//!
//! DataFusion computes both sides of `b <> 0 AND a / b > 1` for all rows of a batch, unless nearly all of
//! them fail the first: the guard that people write does not guard. It also makes such an AND of the
//! boolean `CASE WHEN b <> 0 THEN a / b > 1 END`.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, PhysicalGroupBy};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::joins::{HashJoinExecBuilder, NestedLoopJoinExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::fallible::physical_may_fail;
use super::guarded::Guarded;
use crate::plan::join_filter::with_filter;
use crate::plan::rules::PhysicalRule;

type Plan = Arc<dyn ExecutionPlan>;

/// Guards the right sides of AND and OR that may fail, wherever rows are filtered, projected, aggregated or
/// joined. Rows, order and partitions are as before.
#[derive(Debug)]
pub(super) struct GuardedLogic {
    /// Filters are guarded last: other rules take their conditions apart to move them.
    filters: bool,
}

/// The stock rules between two that guard: projections first, because they may move into scans, where they
/// are not found again; everything else last.
pub fn with_guarded_logic(mut rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    rules.insert(0, Arc::new(GuardedLogic { filters: false }));
    rules.push(Arc::new(GuardedLogic { filters: true }));
    rules
}

impl PhysicalOptimizerRule for GuardedLogic {
    fn name(&self) -> &str {
        "guarded_logic"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, _: &ConfigOptions) -> Result<Plan> {
        let filters = self.filters;
        plan.transform_up(|plan| {
            let guarded = match filters {
                true => guard_filters(&plan)?,
                false => guard_projection(&plan)?,
            };
            Ok(guarded.map_or_else(|| Transformed::no(plan), Transformed::yes))
        })
        .map(|plan| plan.data)
    }
}

fn guard_projection(plan: &Plan) -> Result<Option<Plan>> {
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let schema = projection.input().schema();
    let mut exprs = Guards::new(&schema);
    let guarded = projection.expr().iter().map(|ProjectionExpr { expr, alias }| {
        Ok(ProjectionExpr { expr: exprs.guard(expr)?, alias: alias.clone() })
    });
    let guarded = guarded.collect::<Result<Vec<_>>>()?;
    if !exprs.changed {
        return Ok(None);
    }
    Ok(Some(Arc::new(ProjectionExec::try_new(guarded, Arc::clone(projection.input()))?)))
}

fn guard_filters(plan: &Plan) -> Result<Option<Plan>> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let schema = filter.input().schema();
        let mut exprs = Guards::new(&schema);
        let predicate = exprs.guard(filter.predicate())?;
        if !exprs.changed {
            return Ok(None);
        }
        let predicate = with_equalities(predicate, filter.predicate());
        return Ok(Some(Arc::new(FilterExecBuilder::from(filter).with_predicate(predicate).build()?)));
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return guard_aggregate(aggregate);
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let filter = guard_join(join.filter())?;
        let guarded = filter.map(|f| HashJoinExecBuilder::from(join).with_filter(Some(f)).build_exec());
        return guarded.transpose();
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        let Some(filter) = guard_join(join.filter())? else { return Ok(None) };
        return Ok(Some(Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?)));
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        let Some(filter) = guard_join(join.filter().as_ref())? else { return Ok(None) };
        return Ok(Some(with_filter(join, filter)?));
    }
    guard_projection(plan)
}

/// A guarded condition, and once more those of its parts that make a column a constant or the same as another: filters
/// look for them in a chain of AND, and nodes above have been planned with what was found there. A window over
/// `WHERE k = 1 AND a / b > 1` sorts by no `k`, and fails if it is not known to be one value.
fn with_equalities(guarded: Arc<dyn PhysicalExpr>, plain: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    let found: Vec<_> = split_conjunction(&guarded).into_iter().cloned().collect();
    let hidden =
        split_conjunction(plain).into_iter().filter(|part| is_equality(part) && !found.contains(part));
    hidden.fold(guarded, |all, part| Arc::new(BinaryExpr::new(all, Operator::And, Arc::clone(part))))
}

fn is_equality(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let is_column = |side: &Arc<dyn PhysicalExpr>| side.is::<Column>();
    let is_simple = |side: &Arc<dyn PhysicalExpr>| is_column(side) || side.is::<Literal>();
    expr.downcast_ref::<BinaryExpr>().is_some_and(|binary| {
        let is_one = is_column(binary.left()) || is_column(binary.right());
        *binary.op() == Operator::Eq && is_one && is_simple(binary.left()) && is_simple(binary.right())
    })
}

fn guard_join(filter: Option<&JoinFilter>) -> Result<Option<JoinFilter>> {
    let Some(filter) = filter else { return Ok(None) };
    let mut exprs = Guards::new(filter.schema());
    let guarded = exprs.guard(filter.expression())?;
    let (columns, schema) = (filter.column_indices().to_vec(), Arc::clone(filter.schema()));
    Ok(exprs.changed.then(|| JoinFilter::new(guarded, columns, schema)))
}

fn guard_aggregate(aggregate: &AggregateExec) -> Result<Option<Plan>> {
    let schema = aggregate.input_schema();
    let mut exprs = Guards::new(&schema);
    // Later stages read the states of earlier ones: their arguments and filters are not computed again.
    if aggregate.mode().input_mode() == datafusion::physical_plan::aggregates::AggregateInputMode::Partial {
        return Ok(None);
    }
    let group = aggregate.group_expr();
    let keys = group.expr().iter().map(|(expr, name)| Ok((exprs.guard(expr)?, name.clone())));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let group = PhysicalGroupBy::new(
        keys,
        group.null_expr().to_vec(),
        group.groups().to_vec(),
        group.has_grouping_set(),
    );
    let functions = aggregate.aggr_expr().iter().map(|function| exprs.guard_function(function));
    let functions = functions.collect::<Result<Vec<_>>>()?;
    let filters =
        aggregate.filter_expr().iter().map(|filter| filter.as_ref().map(|f| exprs.guard(f)).transpose());
    let filters = filters.collect::<Result<Vec<_>>>()?;
    if !exprs.changed {
        return Ok(None);
    }
    let guarded = AggregateExec::try_new(
        *aggregate.mode(),
        group,
        functions,
        filters,
        Arc::clone(aggregate.input()),
        Arc::clone(&schema),
    )?;
    Ok(Some(Arc::new(guarded.with_limit_options(aggregate.limit_options()))))
}

/// Guards the expressions of one node, and remembers whether any changed.
struct Guards<'a> {
    schema: &'a Schema,
    changed: bool,
}

impl<'a> Guards<'a> {
    fn new(schema: &'a Schema) -> Self {
        Self { schema, changed: false }
    }

    fn guard(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let guarded = Arc::clone(expr).transform_up(|expr| {
            let Some(binary) = expr.downcast_ref::<BinaryExpr>() else { return Ok(Transformed::no(expr)) };
            let logic = matches!(binary.op(), Operator::And | Operator::Or);
            if !logic || !physical_may_fail(binary.right(), self.schema)? {
                return Ok(Transformed::no(expr));
            }
            let (left, right) = (Arc::clone(binary.left()), Arc::clone(binary.right()));
            Ok(Transformed::yes(Arc::new(Guarded::new(left, *binary.op(), right))))
        })?;
        self.changed |= guarded.transformed;
        Ok(guarded.data)
    }

    fn guard_function(
        &mut self,
        function: &Arc<AggregateFunctionExpr>,
    ) -> Result<Arc<AggregateFunctionExpr>> {
        let mut arguments = Guards::new(self.schema);
        let args = function.expressions();
        let args = args.iter().map(|arg| arguments.guard(arg)).collect::<Result<Vec<_>>>()?;
        if !arguments.changed {
            return Ok(Arc::clone(function));
        }
        let order = function.order_bys().iter().map(|key| Arc::clone(&key.expr)).collect();
        let guarded = function.with_new_expressions(args, order);
        self.changed |= guarded.is_some();
        Ok(guarded.map_or_else(|| Arc::clone(function), Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::physical_expr::expressions::{col, lit};

    /// `b <> 0 op 10 / b > 1` over zero, NULL, small and large divisors.
    fn evaluated(op: Operator) -> BooleanArray {
        let schema = Arc::new(Schema::new(vec![
            Field::new("unread", DataType::Utf8, true),
            Field::new("b", DataType::Int64, true),
        ]));
        let unread = StringArray::from(vec![Some("x"), None, Some("y"), Some("z")]);
        let values = Int64Array::from(vec![Some(0), None, Some(2), Some(20)]);
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(unread), Arc::new(values)]).unwrap();
        let b = || col("b", &schema).unwrap();
        let zero = if op == Operator::And { Operator::NotEq } else { Operator::Eq };
        let left = BinaryExpr::new(b(), zero, lit(0i64));
        let quotient = BinaryExpr::new(lit(10i64), Operator::Divide, b());
        let right = BinaryExpr::new(Arc::new(quotient), Operator::Gt, lit(1i64));
        let plain: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(Arc::new(left), op, Arc::new(right)));
        assert!(plain.evaluate(&batch).is_err(), "the stock operator guards by itself now: drop this rule");
        let mut exprs = Guards::new(&schema);
        let guarded = exprs.guard(&plain).unwrap();
        assert!(exprs.changed);
        guarded.evaluate(&batch).unwrap().into_array(4).unwrap().as_boolean().clone()
    }

    #[test]
    fn and_computes_its_right_side_where_the_left_is_not_false() {
        assert_eq!(
            evaluated(Operator::And),
            BooleanArray::from(vec![Some(false), None, Some(true), Some(false)])
        );
    }

    #[test]
    fn or_computes_its_right_side_where_the_left_is_not_true() {
        assert_eq!(
            evaluated(Operator::Or),
            BooleanArray::from(vec![Some(true), None, Some(true), Some(false)])
        );
    }
}
