//! Subqueries in conditions, where the stock rules that make joins of them give other rows than were asked for.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, JoinType, Result, not_impl_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, Subquery,
    lit,
};
use datafusion::optimizer::AnalyzerRule;

/// Rewrites `IN` and `EXISTS` where DataFusion forgets NULLs or rows:
///
/// | written | planned as |
/// | --- | --- |
/// | `x NOT IN (…)` as a condition, correlated | `NOT EXISTS (… WHERE (x = y) IS NOT FALSE)` |
/// | `x IN (…)` where NULL and false differ, as below NOT | `x = ANY (…)`, which tells them apart |
/// | `EXISTS (SELECT count(*) …)`, correlated | true: an aggregate without keys always has its row |
/// | `x IN (SELECT max(y) …)`, correlated | `x = (SELECT max(y) …)` |
///
/// The stock rules move correlated conditions up to the join. Where these would leave what they belong to (the
/// inner side of an outer join, a window, a limit), the query is refused.
#[derive(Debug)]
pub struct ExactSubqueries;

impl AnalyzerRule for ExactSubqueries {
    fn name(&self) -> &str {
        "exact_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            let place = if matches!(plan, LogicalPlan::Filter(_)) { Place::Condition } else { Place::Value };
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = rewrite(expr, place, &schema)?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|plan| plan.data)
    }
}

/// What becomes of an expression's value.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// It is one of the conditions that all must be true.
    Condition,
    /// It is part of a condition in which NULL is as good as false.
    Alternative,
    /// NULL and false differ.
    Value,
}

fn rewrite(expr: Expr, place: Place, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right })
            if place != Place::Value =>
        {
            let both = op == Operator::And && place == Place::Condition;
            let place = if both { Place::Condition } else { Place::Alternative };
            let (left, right) = (rewrite(*left, place, schema)?, rewrite(*right, place, schema)?);
            let changed = left.transformed || right.transformed;
            let expr = BinaryExpr::new(Box::new(left.data), op, Box::new(right.data));
            Ok(Transformed::new_transformed(Expr::BinaryExpr(expr), changed))
        }
        Expr::Not(inner) if place == Place::Condition => match *inner {
            Expr::InSubquery(membership) => {
                let negated = !membership.negated;
                let expr = membership_of(InSubquery { negated, ..membership }, place, schema)?;
                Ok(Transformed::yes(expr.data))
            }
            other => rewrite(Expr::Not(Box::new(other)), Place::Value, schema),
        },
        Expr::InSubquery(membership) => membership_of(membership, place, schema),
        Expr::Exists(existence) => {
            let Exists { subquery, negated } = &existence;
            if is_correlated(subquery) && has_one_row(&subquery.subquery) {
                return Ok(Transformed::yes(lit(!negated)));
            }
            check(subquery, true)?;
            Ok(Transformed::no(Expr::Exists(existence)))
        }
        Expr::ScalarSubquery(subquery) => {
            check(&subquery, false)?;
            Ok(Transformed::no(Expr::ScalarSubquery(subquery)))
        }
        other => other.map_children(|child| rewrite(child, Place::Value, schema)),
    }
}

fn membership_of(membership: InSubquery, place: Place, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = &membership;
    let correlated = is_correlated(subquery);
    if correlated && has_one_row(&subquery.subquery) {
        let equal = expr.as_ref().clone().eq(Expr::ScalarSubquery(subquery.clone()));
        return Ok(Transformed::yes(if *negated { !equal } else { equal }));
    }
    check(subquery, true)?;
    let value = Column::from(subquery.subquery.schema().qualified_field(0));
    let nullable = expr.nullable(schema)? || subquery.subquery.schema().field(0).is_nullable();
    let is_positive = !negated && place != Place::Value;
    if *negated && correlated && place == Place::Condition {
        let equal = outer(expr.as_ref().clone(), schema)?.eq(Expr::Column(value));
        let unsettled = if nullable { Expr::IsNotFalse(Box::new(equal)) } else { equal };
        let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).filter(unsettled)?.build()?;
        let outer_ref_columns = plan.all_out_ref_exprs();
        let subquery = Subquery { subquery: Arc::new(plan), outer_ref_columns, ..subquery.clone() };
        return Ok(Transformed::yes(Expr::Exists(Exists { subquery, negated: true })));
    }
    if is_positive || !nullable {
        return Ok(Transformed::no(Expr::InSubquery(membership)));
    }
    if place == Place::Condition && expr.any_column_refs() {
        // This becomes a join that knows about NULL.
        return Ok(Transformed::no(Expr::InSubquery(membership)));
    }
    let InSubquery { expr, subquery, negated } = membership;
    let any = Expr::SetComparison(SetComparison::new(expr, subquery, Operator::Eq, SetQuantifier::Any));
    Ok(Transformed::yes(if negated { !any } else { any }))
}

fn is_correlated(subquery: &Subquery) -> bool {
    !subquery.outer_ref_columns.is_empty()
}

/// An expression of the outer query as it stands inside a subquery.
fn outer(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let expr = expr.transform_up(|expr| match expr {
        Expr::Column(column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    });
    expr.map(|expr| expr.data)
}

/// Whether a subquery has exactly one row, whatever its input: aggregates without keys.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Sort(sort) => sort.fetch.is_none() && has_one_row(&sort.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// Refuses correlated conditions that cannot be moved up without changing what they select.
fn check(subquery: &Subquery, as_condition: bool) -> Result<()> {
    if !is_correlated(subquery) {
        return Ok(());
    }
    let limit = outermost_limit(&subquery.subquery);
    subquery.subquery.apply(|plan| {
        let owner = match plan {
            LogicalPlan::Join(join) => {
                let (left, right) = (is_correlated_below(&join.left), is_correlated_below(&join.right));
                let moved = match join.join_type {
                    JoinType::Inner => false,
                    JoinType::Full => left || right,
                    JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => right,
                    JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => left,
                };
                moved.then_some("the inner side of an outer join")
            }
            LogicalPlan::Window(window) => is_correlated_below(&window.input).then_some("a window function"),
            LogicalPlan::Limit(node) => {
                let skips = !matches!(node.get_skip_type()?, SkipType::Literal(0));
                let inside = limit.is_none_or(|limit| !std::ptr::eq(limit, plan));
                (is_correlated_below(&node.input) && (skips || inside)).then_some("LIMIT or OFFSET")
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                is_correlated_below(&on.input).then_some("DISTINCT ON")
            }
            LogicalPlan::Aggregate(aggregate) if as_condition && aggregate.group_expr.is_empty() => {
                is_correlated_below(&aggregate.input).then_some("an aggregate without keys in IN or EXISTS")
            }
            _ => None,
        };
        match owner {
            Some(owner) => not_impl_err!("a condition on the outer query below {owner} is not supported"),
            None => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    Ok(())
}

fn is_correlated_below(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

/// The LIMIT that stands last in a query: EXISTS may forget it.
fn outermost_limit(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => outermost_limit(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => outermost_limit(&alias.input),
        LogicalPlan::Sort(sort) => outermost_limit(&sort.input),
        LogicalPlan::Limit(_) => Some(plan),
        _ => None,
    }
}
