//! AND and OR that do not compute what their left side has settled.
//!
//! DataFusion computes both sides of `b <> 0 AND a / b > 1` for all rows of a batch, unless nearly all of
//! them fail the first: the guard that people write does not guard. It also makes such an AND of the
//! boolean `CASE WHEN b <> 0 THEN a / b > 1 END`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::kernels::boolean::{and_kleene, or_kleene};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::arithmetic::Arithmetic;

/// Guards the right sides of AND and OR that may fail, in filters and projections. Rows, order and
/// partitions are as before.
#[derive(Debug)]
pub struct GuardedLogic;

impl PhysicalOptimizerRule for GuardedLogic {
    fn name(&self) -> &str {
        "guarded_logic"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(guard_node).map(|plan| plan.data)
    }
}

fn guard_node(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let predicate = guard(Arc::clone(filter.predicate()))?;
        if predicate.transformed {
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
            return Ok(Transformed::yes(Arc::new(filter)));
        }
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let mut changed = false;
        let mut exprs = Vec::with_capacity(projection.expr().len());
        for ProjectionExpr { expr, alias } in projection.expr() {
            let expr = guard(Arc::clone(expr))?;
            changed |= expr.transformed;
            exprs.push(ProjectionExpr { expr: expr.data, alias: alias.clone() });
        }
        if changed {
            let projection = ProjectionExec::try_new(exprs, Arc::clone(projection.input()))?;
            return Ok(Transformed::yes(Arc::new(projection)));
        }
    }
    Ok(Transformed::no(plan))
}

fn guard(expr: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    expr.transform_up(|expr| {
        let Some(binary) = expr.downcast_ref::<BinaryExpr>() else { return Ok(Transformed::no(expr)) };
        let logic = matches!(binary.op(), Operator::And | Operator::Or);
        if !logic || !may_fail(binary.right())? {
            return Ok(Transformed::no(expr));
        }
        let (left, op, right) = (Arc::clone(binary.left()), *binary.op(), Arc::clone(binary.right()));
        Ok(Transformed::yes(Arc::new(Guarded { left, op, right })))
    })
}

/// Whether computing it for a row can be an error: arithmetic, and casts.
fn may_fail(expr: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let mut fails = false;
    expr.apply(|expr| {
        let divides = |binary: &BinaryExpr| matches!(binary.op(), Operator::Divide | Operator::Modulo);
        fails |= expr.downcast_ref::<BinaryExpr>().is_some_and(divides)
            || expr.is::<CastExpr>()
            || expr
                .downcast_ref::<ScalarFunctionExpr>()
                .is_some_and(|call| call.fun().inner().is::<Arithmetic>());
        Ok(if fails { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(fails)
}

/// `left AND right` or `left OR right`, in three-valued logic; the right side is computed for those rows
/// only that the left side leaves open.
#[derive(Debug, Eq)]
struct Guarded {
    left: Arc<dyn PhysicalExpr>,
    op: Operator,
    right: Arc<dyn PhysicalExpr>,
}

// Derived, these would move out of the shared sides (rust-lang/rust#78808).
impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.op.hash(state);
        self.left.hash(state);
        self.right.hash(state);
    }
}

impl Guarded {
    /// The rows for which the left side does not decide.
    fn open(&self, left: &BooleanArray) -> BooleanArray {
        let settles = self.op == Operator::Or;
        (0..left.len()).map(|row| Some(left.is_null(row) || left.value(row) != settles)).collect()
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BinaryExpr::new(Arc::clone(&self.left), self.op, Arc::clone(&self.right)).fmt(f)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        Ok(self.left.nullable(schema)? || self.right.nullable(schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let left = self.left.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(left) = left.as_boolean_opt() else {
            return internal_err!("{} of {} values", self.op, left.data_type());
        };
        let open = self.open(left);
        if !open.has_true() {
            return Ok(ColumnarValue::Array(Arc::new(left.clone())));
        }
        let right = self.right.evaluate_selection(batch, &open)?.into_array(batch.num_rows())?;
        let Some(right) = right.as_boolean_opt() else {
            return internal_err!("{} of {} values", self.op, right.data_type());
        };
        let both = match self.op {
            Operator::Or => or_kleene(left, right)?,
            _ => and_kleene(left, right)?,
        };
        Ok(ColumnarValue::Array(Arc::new(both)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match <[Arc<dyn PhysicalExpr>; 2]>::try_from(children) {
            Ok([left, right]) => Ok(Arc::new(Self { left, op: self.op, right })),
            Err(children) => internal_err!("{} of {} sides", self.op, children.len()),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.left.fmt_sql(f)?;
        write!(f, " {} ", self.op)?;
        self.right.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Int64Array;
    use datafusion::arrow::datatypes::Field;
    use datafusion::physical_expr::expressions::{col, lit};

    /// `b <> 0 op 10 / b > 1` over zero, NULL, small and large divisors.
    fn evaluated(op: Operator) -> BooleanArray {
        let schema = Arc::new(Schema::new(vec![Field::new("b", DataType::Int64, true)]));
        let values = Int64Array::from(vec![Some(0), None, Some(2), Some(20)]);
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap();
        let b = || col("b", &schema).unwrap();
        let zero = if op == Operator::And { Operator::NotEq } else { Operator::Eq };
        let left = BinaryExpr::new(b(), zero, lit(0i64));
        let quotient = BinaryExpr::new(lit(10i64), Operator::Divide, b());
        let right = BinaryExpr::new(Arc::new(quotient), Operator::Gt, lit(1i64));
        let plain: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(Arc::new(left), op, Arc::new(right)));
        assert!(plain.evaluate(&batch).is_err(), "the stock operator guards by itself now: drop this rule");
        let guarded = guard(plain).unwrap();
        assert!(guarded.transformed);
        guarded.data.evaluate(&batch).unwrap().into_array(4).unwrap().as_boolean().clone()
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
