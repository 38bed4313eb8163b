//! A scalar subquery without rows is NULL, whatever its column says.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, exec_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

/// Makes the column of an uncorrelated scalar subquery nullable. DataFusion takes it for never NULL when
/// the column it comes from is, and then `(SELECT id FROM t WHERE false) IS NULL` is false.
#[derive(Debug)]
pub struct NullableScalarSubqueries;

impl AnalyzerRule for NullableScalarSubqueries {
    fn name(&self) -> &str {
        "nullable_scalar_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            plan.map_expressions(|expr| expr.transform_up(nullable_subquery))?
                .map_data(|plan| plan.recompute_schema())
        });
        rewritten.map(|plan| plan.data)
    }
}

fn nullable_subquery(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
    let correlated = !subquery.outer_ref_columns.is_empty();
    let columns: Vec<(Column, bool)> = subquery
        .subquery
        .schema()
        .iter()
        .map(|(qualifier, field)| (Column::new(qualifier.cloned(), field.name()), field.is_nullable()))
        .collect();
    let [(column, false)] = columns.as_slice() else {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    };
    if correlated {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let column = column.clone();
    let name = column.name.clone();
    let qualifier = column.relation.clone();
    let call =
        ScalarFunction::new_udf(Arc::new(ScalarUDF::from(Nullable::new())), vec![Expr::Column(column)]);
    let value = Expr::ScalarFunction(call).alias_qualified(qualifier, name);
    let plan = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery)).project(vec![value])?.build()?;
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery })))
}

/// Its argument, with a type that admits NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Nullable {
    signature: Signature,
}

impl Nullable {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Nullable {
    fn name(&self) -> &str {
        "nullable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().map_or_else(|| plan_err!("nullable takes one argument"), Ok)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields.first() {
            Some(field) => Ok(Arc::new(Field::clone(field).with_nullable(true))),
            None => plan_err!("nullable takes one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().map_or_else(|| exec_err!("nullable takes one argument"), Ok)
    }
}
