//! The operators as functions: checked (put in by the rule) and wrapping (called by name).

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::interval_arithmetic::{Interval, apply_operator};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Neg,
}

impl Op {
    pub(super) const ALL: [Self; 6] = [Self::Add, Self::Sub, Self::Mul, Self::Div, Self::Rem, Self::Neg];

    fn arity(self) -> usize {
        match self {
            Self::Neg => 1,
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Rem => 2,
        }
    }

    fn operator(self) -> Option<Operator> {
        match self {
            Self::Add => Some(Operator::Plus),
            Self::Sub => Some(Operator::Minus),
            Self::Mul => Some(Operator::Multiply),
            Self::Div => Some(Operator::Divide),
            Self::Rem => Some(Operator::Modulo),
            Self::Neg => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum OnOverflow {
    Fail,
    Wrap,
}

/// One operator with its way of dealing with results that do not fit.
///
/// Both arguments have one numeric type, which is the result's. NULL where an argument is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Arithmetic {
    op: Op,
    on_overflow: OnOverflow,
    name: &'static str,
    signature: Signature,
}

impl Arithmetic {
    /// The operator that fails on overflow and on a zero divisor.
    pub(super) fn checked(op: Op) -> Self {
        let name = match op {
            Op::Add => "checked_add",
            Op::Sub => "checked_sub",
            Op::Mul => "checked_mul",
            Op::Div => "checked_div",
            Op::Rem => "checked_rem",
            Op::Neg => "checked_neg",
        };
        Self { op, on_overflow: OnOverflow::Fail, name, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn wrapping(op: Op, name: &'static str) -> Self {
        Self { op, on_overflow: OnOverflow::Wrap, name, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// `wrapping_add(a, b)`, `wrapping_sub(a, b)`, `wrapping_mul(a, b)` and `wrapping_neg(a)`: integer
/// arithmetic modulo 2ⁿ in the wider of the arguments' types, for hashes and checksums.
pub fn wrapping_functions() -> Vec<ScalarUDF> {
    [(Op::Add, "wrapping_add"), (Op::Sub, "wrapping_sub"), (Op::Mul, "wrapping_mul"), (Op::Neg, "wrapping_neg")]
        .into_iter()
        .map(|(op, name)| ScalarUDF::from(Arithmetic::wrapping(op, name)))
        .collect()
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() != self.op.arity() {
            return plan_err!("{} takes {} argument(s), not {}", self.name, self.op.arity(), types.len());
        }
        let fits = |kind: &DataType| match self.on_overflow {
            OnOverflow::Wrap => kind.is_integer(),
            OnOverflow::Fail => kind.is_numeric(),
        };
        match types.iter().cloned().reduce(wider) {
            Some(kind) if fits(&kind) => Ok(vec![kind; types.len()]),
            _ => plan_err!("{} takes integers, not {types:?}", self.name),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(kind) => Ok(kind.clone()),
            None => plan_err!("{} takes {} argument(s), not 0", self.name, self.op.arity()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (args.args.as_slice(), self.on_overflow) {
            ([left, right], on_overflow) => apply(left, right, kernel(self.op, on_overflow)),
            ([inner], on_overflow) => {
                let negate = |array: &dyn Array| match on_overflow {
                    OnOverflow::Fail => numeric::neg(array),
                    OnOverflow::Wrap => numeric::neg_wrapping(array),
                };
                match inner {
                    ColumnarValue::Array(array) => Ok(ColumnarValue::Array(negate(array.as_ref())?)),
                    ColumnarValue::Scalar(scalar) => {
                        let array = negate(scalar.to_array()?.as_ref())?;
                        Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?))
                    }
                }
            }
            _ => exec_err!("{} was called with {} arguments", self.name, args.args.len()),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        match (self.on_overflow, self.op.operator(), inputs) {
            (OnOverflow::Fail, Some(operator), [left, right]) => apply_operator(&operator, left, right),
            (_, _, [first, ..]) => Interval::make_unbounded(&first.data_type()),
            (_, _, []) => Interval::make_unbounded(&DataType::Null),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        // A sum that cannot wrap around is monotonic in both of its terms.
        Ok(match (self.on_overflow, self.op, inputs) {
            (OnOverflow::Fail, Op::Add, [left, right]) => left.sort_properties.add(&right.sort_properties),
            (OnOverflow::Fail, Op::Sub, [left, right]) => left.sort_properties.sub(&right.sort_properties),
            (_, _, inputs) if inputs.iter().all(|i| i.sort_properties == SortProperties::Singleton) => {
                SortProperties::Singleton
            }
            _ => SortProperties::Unordered,
        })
    }
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

fn kernel(op: Op, on_overflow: OnOverflow) -> Kernel {
    match (op, on_overflow) {
        (Op::Add, OnOverflow::Fail) => numeric::add,
        (Op::Add, OnOverflow::Wrap) => numeric::add_wrapping,
        (Op::Sub | Op::Neg, OnOverflow::Fail) => numeric::sub,
        (Op::Sub | Op::Neg, OnOverflow::Wrap) => numeric::sub_wrapping,
        (Op::Mul, OnOverflow::Fail) => numeric::mul,
        (Op::Mul, OnOverflow::Wrap) => numeric::mul_wrapping,
        (Op::Div, _) => |left, right| unless_zero(left, right, numeric::div),
        (Op::Rem, _) => |left, right| unless_zero(left, right, numeric::rem),
    }
}

/// Runs a division of floats unless some row divides a value by zero.
fn unless_zero(left: &dyn Datum, right: &dyn Datum, divide: Kernel) -> Result<ArrayRef, ArrowError> {
    let (dividend, dividend_is_scalar) = left.get();
    let (divisor, divisor_is_scalar) = right.get();
    let rows = if divisor_is_scalar { dividend.len() } else { divisor.len() };
    let at = |row: usize, is_scalar: bool| if is_scalar { 0 } else { row };
    let zero: Box<dyn Fn(usize) -> bool> = match divisor.data_type() {
        DataType::Float16 => is_zero::<Float16Type>(divisor),
        DataType::Float32 => is_zero::<Float32Type>(divisor),
        DataType::Float64 => is_zero::<Float64Type>(divisor),
        _ => return divide(left, right),
    };
    for row in 0..rows {
        let below = at(row, divisor_is_scalar);
        if zero(below) && divisor.is_valid(below) && dividend.is_valid(at(row, dividend_is_scalar)) {
            return Err(ArrowError::DivideByZero);
        }
    }
    divide(left, right)
}

fn is_zero<T: ArrowPrimitiveType>(array: &dyn Array) -> Box<dyn Fn(usize) -> bool + '_> {
    let values = array.as_primitive::<T>().values();
    let zero = T::Native::default();
    Box::new(move |row| values[row] == zero)
}

/// The wider of two integer types; a signed and an unsigned one meet in the next wider signed type.
fn wider(left: DataType, right: DataType) -> DataType {
    use DataType::{Int8, Int16, Int32, Int64, Null, UInt8, UInt16, UInt32, UInt64};
    let rank = |kind: &DataType| match kind {
        Int8 | UInt8 => 1,
        Int16 | UInt16 => 2,
        Int32 | UInt32 => 3,
        Int64 | UInt64 => 4,
        _ => 0,
    };
    match (&left, &right) {
        (Null, _) => right,
        (_, Null) => left,
        (l, r) if l.is_signed_integer() == r.is_signed_integer() => {
            if rank(&right) > rank(&left) {
                right
            } else {
                left
            }
        }
        (l, r) => match rank(l).max(rank(r)) {
            1 => Int16,
            2 => Int32,
            _ => Int64,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use datafusion::arrow::array::{Float64Array, Int64Array};

    #[test]
    fn zero_divisors_count_only_where_both_sides_have_a_value() {
        let dividend = Float64Array::from(vec![Some(1.0), None, Some(3.0)]);
        let divisor = Float64Array::from(vec![Some(2.0), Some(0.0), None]);
        let quotient = unless_zero(&dividend, &divisor, numeric::div).unwrap();
        assert_eq!(quotient.as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(0.5), None, None]));

        let all = Float64Array::from(vec![1.0, 2.0]);
        let zero = Float64Array::new_scalar(0.0);
        assert!(matches!(unless_zero(&all, &zero, numeric::div), Err(ArrowError::DivideByZero)));
        let some = Float64Array::from(vec![1.0, -0.0]);
        assert!(matches!(unless_zero(&all, &some, numeric::rem), Err(ArrowError::DivideByZero)));
    }

    #[test]
    fn wrapping_wraps_and_checked_fails() {
        let max = Int64Array::from(vec![i64::MAX]);
        let one = Int64Array::new_scalar(1);
        let wrapped = kernel(Op::Add, OnOverflow::Wrap)(&max, &one).unwrap();
        assert_eq!(wrapped.as_primitive::<datafusion::arrow::datatypes::Int64Type>().value(0), i64::MIN);
        assert!(kernel(Op::Add, OnOverflow::Fail)(&max, &one).is_err());
    }

    #[test]
    fn mixed_signs_meet_in_a_wider_signed_type() {
        assert_eq!(wider(DataType::UInt8, DataType::Int8), DataType::Int16);
        assert_eq!(wider(DataType::Int64, DataType::UInt8), DataType::Int64);
        assert_eq!(wider(DataType::Int16, DataType::Int32), DataType::Int32);
        assert_eq!(wider(DataType::Null, DataType::Int32), DataType::Int32);
    }

    #[test]
    fn every_operator_has_its_function() {
        let rule = super::super::CheckedArithmetic::default();
        let names: Vec<_> =
            Op::ALL.into_iter().map(|op| Arc::new(ScalarUDF::from(Arithmetic::checked(op))).name().to_owned()).collect();
        assert_eq!(names.len(), 6);
        assert!(format!("{rule:?}").contains("checked_neg"));
    }
}
