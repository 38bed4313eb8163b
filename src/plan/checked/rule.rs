//! The analyzer rule that puts checked operators in the place of wrapping ones.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::arithmetic::{Arithmetic, Op};

/// Replaces `+ - *` and unary `-` on integers, and `/ %` on floats, by functions that fail where the
/// operator would wrap around or divide by zero. Column names and types stay as they were.
///
/// Integer and decimal division, decimal arithmetic and date arithmetic are checked by Arrow already.
/// Runs after type coercion, when both sides of an operator have one type.
#[derive(Debug)]
pub struct CheckedArithmetic {
    functions: Vec<(Op, Arc<ScalarUDF>)>,
}

impl Default for CheckedArithmetic {
    fn default() -> Self {
        let functions =
            Op::ALL.into_iter().map(|op| (op, Arc::new(ScalarUDF::from(Arithmetic::checked(op))))).collect();
        Self { functions }
    }
}

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
            let expr = expr.transform_up(|expr| self.rewrite(expr, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let (op, args) = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let checked = match arithmetic(op) {
                    Some(checked) if checked.applies(&left.get_type(schema)?, &right.get_type(schema)?) => checked,
                    _ => return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
                };
                (checked, vec![*left, *right])
            }
            Expr::Negative(inner) if inner.get_type(schema)?.is_signed_integer() => (Op::Neg, vec![*inner]),
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(self.function(op), args))))
    }

    fn function(&self, op: Op) -> Arc<ScalarUDF> {
        let found = self.functions.iter().find(|(of, _)| *of == op).map(|(_, function)| Arc::clone(function));
        found.unwrap_or_else(|| Arc::new(ScalarUDF::from(Arithmetic::checked(op))))
    }
}

fn arithmetic(op: Operator) -> Option<Op> {
    match op {
        Operator::Plus => Some(Op::Add),
        Operator::Minus => Some(Op::Sub),
        Operator::Multiply => Some(Op::Mul),
        Operator::Divide => Some(Op::Div),
        Operator::Modulo => Some(Op::Rem),
        _ => None,
    }
}

impl Op {
    /// Whether the engine's own operator would give a silent wrong answer on these types.
    fn applies(self, left: &DataType, right: &DataType) -> bool {
        left == right
            && match self {
                Self::Add | Self::Sub | Self::Mul | Self::Neg => left.is_integer(),
                Self::Div | Self::Rem => left.is_floating(),
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
