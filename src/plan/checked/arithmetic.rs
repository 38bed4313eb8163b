//! The operators as functions: checked (put in by the rule) and wrapping (called by name).

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, FieldRef, Float16Type, Float32Type, Float64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::interval_arithmetic::{Interval, apply_operator};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use super::decimal;

/// An arithmetic operator with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Op {
    fn operator(self) -> Operator {
        match self {
            Self::Add => Operator::Plus,
            Self::Sub => Operator::Minus,
            Self::Mul => Operator::Multiply,
            Self::Div => Operator::Divide,
            Self::Rem => Operator::Modulo,
        }
    }

    /// The operator of the engine's, if it is one of these.
    pub(super) fn of(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Sub),
            Operator::Multiply => Some(Self::Mul),
            Operator::Divide => Some(Self::Div),
            Operator::Modulo => Some(Self::Rem),
            _ => None,
        }
    }

    /// The type of a result. Decimals grow with each operator; of other types both sides are of the result's.
    pub(super) fn result_type(self, left: &DataType, right: &DataType) -> Result<DataType> {
        match left.is_decimal() {
            true => BinaryTypeCoercer::new(left, &self.operator(), right).get_result_type(),
            false => Ok(left.clone()),
        }
    }

    /// Whether a decimal result of this type may have more digits than it holds.
    pub(super) fn may_outgrow(self, result: &DataType) -> bool {
        self != Self::Rem && decimal::is_full(result)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum OnOverflow {
    Fail,
    Wrap,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Shape {
    /// `a op b op c …`, evaluated from left to right.
    Chain(Vec<Op>),
    /// `-a`.
    Neg,
}

/// Operators with their way of dealing with results that do not fit.
///
/// All arguments have one numeric type, which is the result's; or all are decimals, and the result is of the
/// type that the plain operators give. NULL where an argument is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Arithmetic {
    shape: Shape,
    on_overflow: OnOverflow,
    name: Cow<'static, str>,
    signature: Signature,
}

impl Arithmetic {
    /// A chain of operators that fails on overflow and on a zero divisor.
    pub(super) fn checked(ops: Vec<Op>) -> Self {
        let name = checked_name(&ops);
        Self::new(Shape::Chain(ops), OnOverflow::Fail, name)
    }

    /// The unary minus that fails for the smallest number of its type.
    pub(super) fn checked_neg() -> Self {
        Self::new(Shape::Neg, OnOverflow::Fail, "checked_neg")
    }

    fn new(shape: Shape, on_overflow: OnOverflow, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        Self { shape, on_overflow, name, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Whether it is an error for some values, and not only for wrong types.
    pub(super) fn may_fail(&self) -> bool {
        self.on_overflow == OnOverflow::Fail
    }

    fn arity(&self) -> usize {
        match &self.shape {
            Shape::Chain(ops) => ops.len() + 1,
            Shape::Neg => 1,
        }
    }
}

/// How a plan shows a chain: `checked_add(a, b, c)` where all operators are one, else `checked[+ -](a, b, c)`.
fn checked_name(ops: &[Op]) -> Cow<'static, str> {
    /// A plan is to be read: the rest of a long chain says nothing more.
    const SHOWN: usize = 8;
    match ops {
        [first, rest @ ..] if rest.iter().all(|op| op == first) => Cow::Borrowed(match first {
            Op::Add => "checked_add",
            Op::Sub => "checked_sub",
            Op::Mul => "checked_mul",
            Op::Div => "checked_div",
            Op::Rem => "checked_rem",
        }),
        _ => {
            let shown = ops.iter().take(SHOWN).map(|op| op.operator().to_string());
            let mut shown = shown.collect::<Vec<_>>().join(" ");
            if ops.len() > SHOWN {
                shown.push_str(" …");
            }
            Cow::Owned(format!("checked[{shown}]"))
        }
    }
}

/// `wrapping_add(a, b)`, `wrapping_sub(a, b)`, `wrapping_mul(a, b)` and `wrapping_neg(a)`: integer
/// arithmetic modulo 2ⁿ in the wider of the arguments' types, for hashes and checksums.
pub fn wrapping_functions() -> Vec<ScalarUDF> {
    let chain = |op| Shape::Chain(vec![op]);
    [
        (chain(Op::Add), "wrapping_add"),
        (chain(Op::Sub), "wrapping_sub"),
        (chain(Op::Mul), "wrapping_mul"),
        (Shape::Neg, "wrapping_neg"),
    ]
    .into_iter()
    .map(|(shape, name)| ScalarUDF::from(Arithmetic::new(shape, OnOverflow::Wrap, name)))
    .collect()
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() != self.arity() {
            return plan_err!("{} takes {} argument(s), not {}", self.name, self.arity(), types.len());
        }
        if self.on_overflow == OnOverflow::Fail && types.iter().all(DataType::is_decimal) {
            return Ok(types.to_vec());
        }
        let fits = |kind: &DataType| match self.on_overflow {
            OnOverflow::Wrap => kind.is_integer() || kind.is_null(),
            OnOverflow::Fail => kind.is_numeric(),
        };
        match types.iter().cloned().reduce(wider) {
            Some(kind) if types.iter().all(fits) && kind.is_numeric() => Ok(vec![kind; types.len()]),
            _ => plan_err!("{} takes integers, not {types:?}", self.name),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some((first, rest)) = types.split_first() else {
            return plan_err!("{} takes {} argument(s), not 0", self.name, self.arity());
        };
        match &self.shape {
            Shape::Chain(ops) => {
                ops.iter().zip(rest).try_fold(first.clone(), |left, (op, right)| op.result_type(&left, right))
            }
            Shape::Neg => Ok(first.clone()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name.clone(), self.return_type(&types)?, nullable)))
    }

    /// A checked operator has the name of the operator it stands for, so no column changes its name.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names = args.iter().map(|arg| arg.schema_name().to_string());
        match (&self.shape, self.on_overflow) {
            (Shape::Chain(ops), OnOverflow::Fail) => {
                let mut text = String::new();
                for (at, name) in names.enumerate() {
                    if let Some(op) = at.checked_sub(1).and_then(|at| ops.get(at)) {
                        text.push_str(&format!(" {} ", op.operator()));
                    }
                    text.push_str(&name);
                }
                Ok(text)
            }
            (Shape::Neg, OnOverflow::Fail) => Ok(format!("(- {})", names.collect::<String>())),
            (_, OnOverflow::Wrap) => Ok(format!("{}({})", self.name, names.collect::<Vec<_>>().join(","))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut args = args.args.into_iter();
        let Some(mut value) = args.next() else {
            return exec_err!("{} was called without arguments", self.name);
        };
        match &self.shape {
            Shape::Neg => negate(&value, self.on_overflow),
            Shape::Chain(ops) => {
                for (op, next) in ops.iter().zip(args) {
                    let kernel = match value.data_type().is_decimal() {
                        true => decimal_kernel(*op),
                        false => kernel(*op, self.on_overflow),
                    };
                    value = apply(&value, &next, kernel)?;
                }
                Ok(value)
            }
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let Some((first, rest)) = inputs.split_first() else {
            return Interval::make_unbounded(&DataType::Null);
        };
        match (&self.shape, self.on_overflow) {
            _ if first.data_type().is_decimal() => {
                let types: Vec<_> = inputs.iter().map(|input| input.data_type()).collect();
                Interval::make_unbounded(&self.return_type(&types)?)
            }
            (Shape::Chain(ops), OnOverflow::Fail) => {
                let mut range = (*first).clone();
                for (op, next) in ops.iter().zip(rest) {
                    range = apply_operator(&op.operator(), &range, next)?;
                }
                Ok(range)
            }
            _ => Interval::make_unbounded(&first.data_type()),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        if inputs.iter().all(|input| input.sort_properties == SortProperties::Singleton) {
            return Ok(SortProperties::Singleton);
        }
        // A sum that cannot wrap around is monotonic in each of its terms.
        let (Shape::Chain(ops), OnOverflow::Fail, Some((first, rest))) =
            (&self.shape, self.on_overflow, inputs.split_first())
        else {
            return Ok(SortProperties::Unordered);
        };
        let mut order = first.sort_properties;
        for (op, next) in ops.iter().zip(rest) {
            order = match op {
                Op::Add => order.add(&next.sort_properties),
                Op::Sub => order.sub(&next.sort_properties),
                Op::Mul | Op::Div | Op::Rem => SortProperties::Unordered,
            };
        }
        Ok(order)
    }
}

fn negate(value: &ColumnarValue, on_overflow: OnOverflow) -> Result<ColumnarValue> {
    let kernel = match on_overflow {
        OnOverflow::Fail => numeric::neg,
        OnOverflow::Wrap => numeric::neg_wrapping,
    };
    match value {
        ColumnarValue::Array(array) => Ok(ColumnarValue::Array(kernel(array.as_ref())?)),
        ColumnarValue::Scalar(scalar) => {
            let array = kernel(scalar.to_array()?.as_ref())?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        }
    }
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

fn kernel(op: Op, on_overflow: OnOverflow) -> Kernel {
    match (op, on_overflow) {
        (Op::Add, OnOverflow::Fail) => numeric::add,
        (Op::Add, OnOverflow::Wrap) => numeric::add_wrapping,
        (Op::Sub, OnOverflow::Fail) => numeric::sub,
        (Op::Sub, OnOverflow::Wrap) => numeric::sub_wrapping,
        (Op::Mul, OnOverflow::Fail) => numeric::mul,
        (Op::Mul, OnOverflow::Wrap) => numeric::mul_wrapping,
        (Op::Div, _) => |left, right| unless_zero(left, right, numeric::div),
        (Op::Rem, _) => |left, right| unless_zero(left, right, numeric::rem),
    }
}

/// The operator on decimals, which fails where the result has more digits than its type.
fn decimal_kernel(op: Op) -> Kernel {
    match op {
        Op::Add => |left, right| fitting(numeric::add, left, right),
        Op::Sub => |left, right| fitting(numeric::sub, left, right),
        Op::Mul => |left, right| fitting(numeric::mul, left, right),
        Op::Div => |left, right| fitting(numeric::div, left, right),
        Op::Rem => numeric::rem,
    }
}

fn fitting(kernel: Kernel, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
    match kernel(left, right) {
        Ok(values) if decimal::is_full(values.data_type()) => decimal::fitting(values),
        // Arrow names the numbers without their decimal point: of no use to anybody.
        Err(ArrowError::ArithmeticOverflow(_)) => Err(decimal::overflow(left.get().0.data_type())),
        result => result,
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
    fn plans_show_which_operators_are_checked() {
        let name = |ops: &[Op]| checked_name(ops).into_owned();
        assert_eq!(name(&[Op::Add]), "checked_add");
        assert_eq!(name(&[Op::Mul, Op::Mul]), "checked_mul");
        assert_eq!(name(&[Op::Add, Op::Sub]), "checked[+ -]");
        assert_eq!(name(&[Op::Add, Op::Sub].repeat(50)), "checked[+ - + - + - + - …]");
    }

    #[test]
    fn mixed_signs_meet_in_a_wider_signed_type() {
        assert_eq!(wider(DataType::UInt8, DataType::Int8), DataType::Int16);
        assert_eq!(wider(DataType::Int64, DataType::UInt8), DataType::Int64);
        assert_eq!(wider(DataType::Int16, DataType::Int32), DataType::Int32);
        assert_eq!(wider(DataType::Null, DataType::Int32), DataType::Int32);
    }

    #[test]
    fn checked_operators_have_the_names_of_those_they_replace() {
        let [one, two, three] = [1i64, 2, 3].map(datafusion::logical_expr::lit);
        let stock = one.clone() + two.clone() - three.clone();
        let function = Arithmetic::checked(vec![Op::Add, Op::Sub]);
        let args = [one.clone(), two, three];
        assert_eq!(function.schema_name(&args).unwrap(), stock.schema_name().to_string());
        let stock = Expr::Negative(Box::new(one.clone()));
        assert_eq!(Arithmetic::checked_neg().schema_name(&[one]).unwrap(), stock.schema_name().to_string());
    }
}
