//! Conditions that the stock simplifier makes true or false where they are NULL.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;

/// Says for a NULL what DataFusion's simplifier forgets, before it runs:
///
/// | written | simplified to | planned as |
/// | --- | --- | --- |
/// | `x IN (1) AND x IN (2)`, and `x IN (1) AND x NOT IN (1)` | false | `x IS NULL AND NULL` |
/// | `x NOT IN (1) OR x NOT IN (2)` | true | `x IS NOT NULL OR NULL` |
/// | `x ~ '.*'` | `x IS NOT NULL` | `x IS NOT NULL OR NULL` |
///
/// `random() BETWEEN a AND b`, which would be drawn twice, is refused.
#[derive(Debug)]
pub struct ThreeValued;

impl AnalyzerRule for ThreeValued {
    fn name(&self) -> &str {
        "three_valued"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(rewrite)?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|plan| plan.data)
    }
}

fn rewrite(expr: Expr) -> Result<Transformed<Expr>> {
    let truth = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::RegexMatch, right }) => match right.as_ref() {
            Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _)
                if text == ".*" =>
            {
                Some((left.as_ref(), true))
            }
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            match (left.as_ref(), right.as_ref()) {
                (Expr::InList(one), Expr::InList(other)) if one.expr == other.expr => {
                    settled(one, *op, other).map(|truth| (one.expr.as_ref(), truth))
                }
                _ => None,
            }
        }
        Expr::Between(between) if between.expr.is_volatile() => {
            return not_impl_err!("BETWEEN of an expression that differs each time it is computed");
        }
        _ => None,
    };
    Ok(match truth {
        Some((operand, true)) => {
            Transformed::yes(operand.clone().is_not_null().or(lit(ScalarValue::Boolean(None))))
        }
        Some((operand, false)) => {
            Transformed::yes(operand.clone().is_null().and(lit(ScalarValue::Boolean(None))))
        }
        None => Transformed::no(expr),
    })
}

/// What two lists say of every value but NULL, if it is the same of all. Lists with NULL are left alone.
fn settled(one: &InList, op: Operator, other: &InList) -> Option<bool> {
    let constant = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if !value.is_null());
    if !one.list.iter().chain(&other.list).all(constant) {
        return None;
    }
    let disjoint = || !one.list.iter().any(|value| other.list.contains(value));
    let within = |part: &InList, whole: &InList| part.list.iter().all(|value| whole.list.contains(value));
    match (op, one.negated, other.negated) {
        (Operator::And, false, false) => disjoint().then_some(false),
        (Operator::And, false, true) => within(one, other).then_some(false),
        (Operator::And, true, false) => within(other, one).then_some(false),
        (Operator::Or, true, true) => disjoint().then_some(true),
        (Operator::Or, false, true) => within(other, one).then_some(true),
        (Operator::Or, true, false) => within(one, other).then_some(true),
        _ => None,
    }
}
