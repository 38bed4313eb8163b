//! Decimals that would have more digits than their type holds.
//!
//! Arrow computes decimals in 32, 64, 128 or 256 bits and fails only where these overflow; a result of
//! 39 digits fits 128 bits, but no `DECIMAL(38, s)`.

use datafusion::arrow::array::{ArrayRef, ArrowNativeTypeOp, PrimitiveArray, Scalar};
use datafusion::arrow::compute::kernels::cmp::{gt, lt};
use datafusion::arrow::datatypes::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION,
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType,
};
use datafusion::arrow::error::ArrowError;

/// Whether a type has the most digits of its kind. The planner cuts the digits of a result at that number,
/// so only such a type may be given values that do not fit.
pub(super) fn is_full(kind: &DataType) -> bool {
    match kind {
        DataType::Decimal32(digits, _) => *digits == DECIMAL32_MAX_PRECISION,
        DataType::Decimal64(digits, _) => *digits == DECIMAL64_MAX_PRECISION,
        DataType::Decimal128(digits, _) => *digits == DECIMAL128_MAX_PRECISION,
        DataType::Decimal256(digits, _) => *digits == DECIMAL256_MAX_PRECISION,
        _ => false,
    }
}

/// The values, if none has more digits than its type. Other types pass.
///
/// # Errors
/// An overflow.
pub(super) fn fitting(values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let digits = match values.data_type() {
        DataType::Decimal32(digits, _)
        | DataType::Decimal64(digits, _)
        | DataType::Decimal128(digits, _)
        | DataType::Decimal256(digits, _) => *digits,
        _ => return Ok(values),
    };
    if has_digits_at_most(&values, digits)? { Ok(values) } else { Err(overflow(values.data_type())) }
}

/// Whether decimals have no more digits than so many, before and after the point together.
pub(super) fn has_digits_at_most(values: &ArrayRef, digits: u8) -> Result<bool, ArrowError> {
    match values.data_type() {
        DataType::Decimal32(..) => fits::<Decimal32Type>(values, digits),
        DataType::Decimal64(..) => fits::<Decimal64Type>(values, digits),
        DataType::Decimal128(..) => fits::<Decimal128Type>(values, digits),
        DataType::Decimal256(..) => fits::<Decimal256Type>(values, digits),
        _ => Ok(false),
    }
}

/// Compares with the bounds by Arrow's kernels, which pass over NULL.
fn fits<T: DecimalType>(values: &ArrayRef, digits: u8) -> Result<bool, ArrowError> {
    let digits = usize::from(digits);
    let bound = |value: T::Native| {
        let value = PrimitiveArray::<T>::new(vec![value].into(), None);
        Scalar::new(value.with_data_type(values.data_type().clone()))
    };
    let most = T::MAX_FOR_EACH_PRECISION[digits];
    let above = gt(values, &bound(most))?;
    let below = lt(values, &bound(most.neg_wrapping()))?;
    Ok(!above.has_true() && !below.has_true())
}

/// The error for a result that no decimal of this kind can hold.
pub(super) fn overflow(kind: &DataType) -> ArrowError {
    let digits = match kind {
        DataType::Decimal32(..) => DECIMAL32_MAX_PRECISION,
        DataType::Decimal64(..) => DECIMAL64_MAX_PRECISION,
        DataType::Decimal256(..) => DECIMAL256_MAX_PRECISION,
        _ => DECIMAL128_MAX_PRECISION,
    };
    ArrowError::ArithmeticOverflow(format!("decimal of more than {digits} digits"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use datafusion::arrow::array::Decimal128Array;
    use datafusion::arrow::buffer::NullBuffer;

    const MOST: i128 = Decimal128Type::MAX_FOR_EACH_PRECISION[38];

    fn decimals(values: Vec<i128>, nulls: Option<NullBuffer>) -> ArrayRef {
        let values = Decimal128Array::new(values.into(), nulls);
        Arc::new(values.with_precision_and_scale(38, 2).unwrap())
    }

    #[test]
    fn thirty_eight_digits_fit_and_one_more_does_not() {
        assert!(fitting(decimals(vec![MOST, 0, -MOST], None)).is_ok());
        assert!(fitting(decimals(vec![1, MOST + 1], None)).is_err());
        assert!(fitting(decimals(vec![-MOST - 1, 1], None)).is_err());
    }

    #[test]
    fn what_lies_under_a_null_does_not_count() {
        let nulls = NullBuffer::from(vec![false, true]);
        assert!(fitting(decimals(vec![i128::MAX, 1], Some(nulls))).is_ok());
    }
}
