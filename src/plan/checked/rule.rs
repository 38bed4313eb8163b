//! The analyzer rule that puts checked operators in the place of wrapping ones.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::arithmetic::{Arithmetic, Op};
use super::digits::Digits;
use super::sum::CheckedSum;

/// Replaces `+ - *` and unary `-` on integers, `/ %` on floats, and `+ - * /` on decimals whose digits the
/// planner cuts to fit, by functions that fail where the operator would wrap around, divide by zero or give
/// more digits than there is room for. Column names and types stay as they were.
///
/// A chain of operators (`a + b - c + …`) becomes one function of all its terms: the planner's work on
/// nested functions grows with the cube of their depth.
///
/// Integer and decimal division by zero and date arithmetic are checked by Arrow already.
/// Runs after type coercion, when both sides of an operator have one type, which is the result's.
#[derive(Debug, Default)]
pub struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| self.rewrite_plan(plan)).map(|plan| plan.data)
    }
}

impl CheckedArithmetic {
    fn rewrite_plan(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let schema = schema_in_scope(&plan)?;
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_down(|expr| rewrite(expr, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) => match chain(&binary, schema)? {
            Some(ops) => {
                let (function, args) = (Arithmetic::checked(ops.clone()), terms(binary, ops.len()));
                Ok(Transformed::yes(call(function, args)))
            }
            None => Ok(Transformed::no(Expr::BinaryExpr(binary))),
        },
        Expr::Negative(inner) if inner.get_type(schema)?.is_signed_integer() => {
            Ok(Transformed::yes(call(Arithmetic::checked_neg(), vec![*inner])))
        }
        Expr::AggregateFunction(mut sum) if sums_decimals(&sum, schema)? => {
            rewrite_sum(&mut sum, schema)?;
            Ok(Transformed::new(Expr::AggregateFunction(sum), true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn sums_decimals(call: &AggregateFunction, schema: &DFSchema) -> Result<bool> {
    let [arg] = call.params.args.as_slice() else { return Ok(false) };
    let is_sum = call.func.inner().is::<CheckedSum>() && !call.params.distinct;
    Ok(is_sum && matches!(arg.get_type(schema)?, DataType::Decimal128(..)))
}

/// Tells a sum how many digits its values may have. It looks at their digits itself and is exact, so the
/// operator that gives them need not be checked.
fn rewrite_sum(sum: &mut AggregateFunction, schema: &DFSchema) -> Result<()> {
    let inside = |expr: &mut Expr| -> Result<()> {
        *expr = std::mem::take(expr).transform_down(|expr| rewrite(expr, schema))?.data;
        Ok(())
    };
    for arg in &mut sum.params.args {
        if let Some(digits) = Digits::of(arg, schema)? {
            sum.func = Arc::new(CheckedSum::over(digits));
        }
        match arg {
            Expr::BinaryExpr(binary) if Op::of(binary.op).is_some() => {
                inside(&mut binary.left)?;
                inside(&mut binary.right)?;
            }
            other => inside(other)?,
        }
    }
    sum.params.filter.iter_mut().try_for_each(|filter| inside(filter))
}

fn call(function: Arithmetic, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), args))
}

/// The operators of the chain that ends in this one, first to last, as far down its left side as they
/// all need checking; `None` if this one does not.
fn chain(last: &BinaryExpr, schema: &DFSchema) -> Result<Option<Vec<Op>>> {
    if Op::of(last.op).is_some() && last.right.get_type(schema)?.is_decimal() {
        return decimal_chain(last, schema);
    }
    let mut ops = Vec::new();
    let mut current = last;
    loop {
        // Both sides have one type: the right one's is the cheaper to find.
        match Op::of(current.op) {
            Some(op) if op.needs_check(&current.right.get_type(schema)?) => ops.push(op),
            _ => break,
        }
        match current.left.as_ref() {
            Expr::BinaryExpr(next) => current = next,
            _ => break,
        }
    }
    ops.reverse();
    Ok((!ops.is_empty()).then_some(ops))
}

/// The same for decimals, whose type differs from operator to operator. The chain starts with the first
/// operator that may give too many digits; those before it stay as they are.
fn decimal_chain(last: &BinaryExpr, schema: &DFSchema) -> Result<Option<Vec<Op>>> {
    let mut steps = Vec::new();
    let mut current = last;
    while let Some(op) = Op::of(current.op) {
        steps.push((op, current));
        match current.left.as_ref() {
            Expr::BinaryExpr(next) => current = next,
            _ => break,
        }
    }
    let Some((_, first)) = steps.last() else { return Ok(None) };
    let mut kind = first.left.get_type(schema)?;
    let Some(mut digits) = Digits::of(&first.left, schema)? else { return Ok(None) };
    let mut ops = Vec::new();
    let mut checked = false;
    for (op, step) in steps.into_iter().rev() {
        let Some(right) = Digits::of(&step.right, schema)? else { return Ok(None) };
        kind = op.result_type(&kind, &step.right.get_type(schema)?)?;
        digits = digits.after(op, right);
        checked = op.may_outgrow(&kind) && !digits.fit(&kind);
        if checked || !ops.is_empty() {
            ops.push(op);
        }
    }
    Ok(checked.then_some(ops))
}

/// The terms of the last `count` operators of a chain, left to right.
fn terms(last: BinaryExpr, count: usize) -> Vec<Expr> {
    let mut terms = vec![*last.right];
    let mut left = *last.left;
    for _ in 1..count {
        match left {
            Expr::BinaryExpr(binary) => {
                terms.push(*binary.right);
                left = *binary.left;
            }
            other => {
                left = other;
                break;
            }
        }
    }
    terms.push(left);
    terms.reverse();
    terms
}

impl Op {
    /// Whether the engine's own operator would give a silent wrong answer on this type.
    fn needs_check(self, kind: &DataType) -> bool {
        match self {
            Self::Add | Self::Sub | Self::Mul => kind.is_integer(),
            Self::Div | Self::Rem => kind.is_floating(),
        }
    }
}

/// The columns that a node's expressions may name.
fn schema_in_scope(plan: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = plan {
        let source = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&source);
    }
    if let LogicalPlan::Dml(dml) = plan {
        let target = DFSchema::try_from_qualified_schema(dml.table_name.clone(), &dml.target.schema())?;
        schema.merge(&target);
    }
    Ok(schema)
}
