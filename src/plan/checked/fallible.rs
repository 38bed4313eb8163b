//! Which expressions can be an error for some row.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{BinaryExpr as LogicalBinary, Expr, ExprSchemable, Operator, ScalarUDF};
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::arithmetic::Arithmetic;

/// Functions that fail on some values of the right type; so do all those that start with `to_`.
const FUNCTIONS: [&str; 24] = [
    "arrow_cast",
    "abs",
    "chr",
    "date_bin",
    "decode",
    "factorial",
    "from_unixtime",
    "gcd",
    "generate_series",
    "lcm",
    "lpad",
    "make_date",
    "make_time",
    "overlay",
    "power",
    "pow",
    "range",
    "regexp_count",
    "regexp_instr",
    "repeat",
    "rpad",
    "split_part",
    "substr",
    "substr_index",
];

/// Whether computing it for a row can be an error: arithmetic, casts, and functions that refuse values.
pub(in crate::plan) fn may_fail(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    expr.exists(|expr| {
        Ok(match expr {
            Expr::BinaryExpr(LogicalBinary { op, .. }) => divides(*op),
            Expr::ScalarFunction(call) => function_may_fail(&call.func),
            Expr::Cast(cast) => cast_may_fail(&cast.expr.get_type(schema)?, cast.field.data_type()),
            _ => false,
        })
    })
}

/// The same of a physical expression over columns of a schema.
pub(super) fn physical_may_fail(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<bool> {
    let mut fails = false;
    expr.apply(|expr| {
        fails = if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            divides(*binary.op())
        } else if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
            function_may_fail(call.fun())
        } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            cast_may_fail(&cast.expr().data_type(schema)?, cast.cast_type())
        } else {
            false
        };
        Ok(if fails { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(fails)
}

fn divides(op: Operator) -> bool {
    matches!(op, Operator::Divide | Operator::Modulo)
}

fn function_may_fail(function: &ScalarUDF) -> bool {
    match function.inner().downcast_ref::<Arithmetic>() {
        Some(arithmetic) => arithmetic.may_fail(),
        None => function.name().starts_with("to_") || FUNCTIONS.contains(&function.name()),
    }
}

/// Casts that always succeed: to text, and to a number type with room for all values.
fn cast_may_fail(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Int64, LargeUtf8, Utf8, Utf8View};
    let bits = |kind: &DataType| kind.primitive_width().unwrap_or(usize::MAX);
    if from == to || from.is_null() || matches!(to, Utf8 | LargeUtf8 | Utf8View) {
        return false;
    }
    let fits = match (from, to) {
        (from, to) if from.is_integer() && to.is_floating() => true,
        (from, to) if from.is_floating() && to.is_floating() => bits(from) <= bits(to),
        (from, Decimal128(digits, scale)) => {
            from.is_integer() && i16::from(*digits) - i16::from(*scale) >= 20
        }
        (from, Int64) if from.is_unsigned_integer() => bits(from) < 8,
        (from, to) if from.is_unsigned_integer() == to.is_unsigned_integer() => {
            from.is_integer() && to.is_integer() && bits(from) <= bits(to)
        }
        _ => false,
    };
    !fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_fail_where_the_new_type_has_less_room() {
        use DataType::{Decimal128, Float32, Float64, Int32, Int64, UInt32, UInt64, Utf8, Utf8View};
        for (from, to) in [
            (Int32, Int64),
            (UInt32, Int64),
            (UInt32, UInt64),
            (Int64, Float64),
            (Float32, Float64),
            (Int64, Utf8),
            (Utf8, Utf8View),
            (Int64, Decimal128(20, 0)),
        ] {
            assert!(!cast_may_fail(&from, &to), "{from} to {to}");
        }
        for (from, to) in [
            (Int64, Int32),
            (UInt64, Int64),
            (Int32, UInt32),
            (Utf8, Int64),
            (Float64, Float32),
            (Float64, Int64),
            (Int64, Decimal128(10, 0)),
            (Decimal128(10, 2), Decimal128(8, 2)),
        ] {
            assert!(cast_may_fail(&from, &to), "{from} to {to}");
        }
    }
}
