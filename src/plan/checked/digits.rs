//! How many digits a decimal may have, as far as its expression tells.
//!
//! The type alone says too much: `price * (1 - discount)` has a type of 38 digits, because the 1 was made a
//! decimal of 20, but no value of more than 31.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable};

use super::arithmetic::Op;

/// Expressions nested deeper than this go by their type.
const DEPTH_MAX: usize = 8;

/// The most digits before and after the decimal point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Digits {
    whole: i32,
    scale: i32,
}

impl Digits {
    /// Of an expression of a decimal type; `None` if it has another one.
    pub(super) fn of(expr: &Expr, schema: &DFSchema) -> Result<Option<Self>> {
        Self::within(expr, schema, DEPTH_MAX)
    }

    fn within(expr: &Expr, schema: &DFSchema, depth: usize) -> Result<Option<Self>> {
        Ok(match expr {
            Expr::Alias(alias) => Self::within(&alias.expr, schema, depth)?,
            Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) => {
                Some(Self::of_value(value.unsigned_abs(), i32::from(*scale)))
            }
            Expr::Cast(Cast { expr: inner, field }) => match (inner.as_ref(), field.data_type()) {
                (Expr::Literal(ScalarValue::Int64(Some(value)), _), DataType::Decimal128(_, scale)) => {
                    Some(Self { scale: i32::from(*scale), ..Self::of_value(value.unsigned_abs().into(), 0) })
                }
                (_, kind) => Self::of_type(kind),
            },
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if depth > 0 => match Op::of(*op) {
                Some(op) => {
                    let left = Self::within(left, schema, depth - 1)?;
                    let right = Self::within(right, schema, depth - 1)?;
                    left.zip(right).map(|(left, right)| left.after(op, right))
                }
                None => None,
            },
            other => Self::of_type(&other.get_type(schema)?),
        })
    }

    fn of_type(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Decimal32(digits, scale)
            | DataType::Decimal64(digits, scale)
            | DataType::Decimal128(digits, scale)
            | DataType::Decimal256(digits, scale) => {
                Some(Self { whole: i32::from(*digits) - i32::from(*scale), scale: i32::from(*scale) })
            }
            _ => None,
        }
    }

    /// Of a number of units of 10⁻ˢ.
    fn of_value(units: u128, scale: i32) -> Self {
        let digits = units.checked_ilog10().map_or(0, |log| i32::try_from(log + 1).unwrap_or(i32::MAX));
        Self { whole: digits - scale, scale }
    }

    /// Of the result of an operator; types of full width may have fewer decimal places.
    pub(super) fn after(self, op: Op, right: Self) -> Self {
        let scale = self.scale.max(right.scale);
        match op {
            Op::Add | Op::Sub => Self { whole: self.whole.max(right.whole) + 1, scale },
            Op::Mul => Self { whole: self.whole + right.whole, scale: self.scale + right.scale },
            // By the least divisor that is not zero; the engine adds four places.
            Op::Div => Self { whole: self.whole + right.scale, scale: self.scale + 4 },
            Op::Rem => Self { whole: self.whole.min(right.whole), scale },
        }
    }

    /// All of them together.
    pub(super) fn count(self) -> u32 {
        u32::try_from(self.whole + self.scale).unwrap_or(0)
    }

    /// Whether a type has room for them.
    pub(super) fn fit(self, kind: &DataType) -> bool {
        Self::of_type(kind).is_some_and(|room| self.whole <= room.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{cast, lit};

    fn money() -> Expr {
        cast(lit("0"), DataType::Decimal128(15, 2))
    }

    fn digits(expr: &Expr) -> Digits {
        Digits::of(expr, &DFSchema::empty()).unwrap().unwrap()
    }

    #[test]
    fn a_literal_has_the_digits_that_are_written() {
        let one = || cast(lit(1i64), DataType::Decimal128(20, 0));
        assert_eq!(digits(&one()), Digits { whole: 1, scale: 0 });
        assert_eq!(digits(&(one() - money())), Digits { whole: 14, scale: 2 });
        assert_eq!(digits(&(money() * (one() - money()))), Digits { whole: 27, scale: 4 });
        let literal = Expr::Literal(ScalarValue::Decimal128(Some(-5), 10, 3), None);
        assert_eq!(digits(&literal), Digits { whole: -2, scale: 3 });
    }

    #[test]
    fn digits_fit_where_those_before_the_point_do() {
        let product = digits(&(money() * money() * money()));
        assert_eq!(product, Digits { whole: 39, scale: 6 });
        assert!(!product.fit(&DataType::Decimal128(38, 6)));
        assert!(digits(&(money() * money())).fit(&DataType::Decimal128(31, 4)));
    }
}
