//! `SUM` of integers that is exact or fails.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, internal_err, not_impl_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};

/// Sums of integers are kept in 128 bits: 2⁶⁴ rows of the largest value still fit.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// DataFusion's `sum` with the integers' overflow checked: the running sum is 128 bits wide, so the
/// answer does not depend on the order of rows or partitions, and a total that does not fit the result
/// type (BIGINT, or BIGINT UNSIGNED for unsigned input) is an error. Other types are the stock sum's.
pub fn checked_sum() -> AggregateUDF {
    AggregateUDF::from(CheckedSum { stock: sum_udaf() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    stock: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.stock.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.stock.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Some(total) = Total::of(args.return_type()) else { return self.stock.accumulator(args) };
        let wide = self.stock.accumulator(widen(args))?;
        Ok(Box::new(CheckedAccumulator { wide, total }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Some(total) = Total::of(args.return_type()) else {
            return self.stock.create_sliding_accumulator(args);
        };
        if args.is_distinct {
            return not_impl_err!("SUM(DISTINCT …) of integers over a sliding window frame");
        }
        let wide = self.stock.create_sliding_accumulator(widen(args))?;
        Ok(Box::new(CheckedAccumulator { wide, total }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match Total::of(args.return_type()) {
            Some(_) => self.stock.state_fields(StateFieldsArgs { return_field: wide_field(), ..args }),
            None => self.stock.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.stock.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(total) = Total::of(args.return_type()) else {
            return self.stock.create_groups_accumulator(args);
        };
        let wide = self.stock.create_groups_accumulator(widen(args))?;
        Ok(Box::new(CheckedGroups { wide, total }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.stock.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.stock.documentation()
    }
}

fn wide_field() -> FieldRef {
    Arc::new(Field::new("sum", WIDE, true))
}

fn widen(args: AccumulatorArgs<'_>) -> AccumulatorArgs<'_> {
    AccumulatorArgs { return_field: wide_field(), ..args }
}

/// The integer types that a sum can have.
#[derive(Debug, Clone, Copy)]
enum Total {
    Signed,
    Unsigned,
}

impl Total {
    fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Int64 => Some(Self::Signed),
            DataType::UInt64 => Some(Self::Unsigned),
            _ => None,
        }
    }

    /// Integers as 128-bit ones. States of other accumulators pass through.
    fn widen(self, values: &ArrayRef) -> Result<ArrayRef> {
        fn wide<T: ArrowPrimitiveType<Native: Into<i128>>>(values: &ArrayRef) -> Result<ArrayRef> {
            let wide: PrimitiveArray<Decimal128Type> = values.as_primitive::<T>().unary(Into::into);
            Ok(Arc::new(wide.with_data_type(WIDE)))
        }
        match (self, values.data_type()) {
            (Self::Signed, DataType::Int64) => wide::<Int64Type>(values),
            (Self::Unsigned, DataType::UInt64) => wide::<UInt64Type>(values),
            (_, other) => internal_err!("sum of {self:?} integers was given {other}"),
        }
    }

    fn widen_all(self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().map(|values| self.widen(values)).collect()
    }

    fn narrow(self, total: Option<i128>) -> Result<ScalarValue> {
        let scalar = match (self, total) {
            (Self::Signed, None) => Some(ScalarValue::Int64(None)),
            (Self::Unsigned, None) => Some(ScalarValue::UInt64(None)),
            (Self::Signed, Some(total)) => {
                i64::try_from(total).ok().map(|total| ScalarValue::Int64(Some(total)))
            }
            (Self::Unsigned, Some(total)) => {
                u64::try_from(total).ok().map(|total| ScalarValue::UInt64(Some(total)))
            }
        };
        scalar.ok_or_else(|| too_large(total.unwrap_or_default()))
    }

    fn narrow_all(self, totals: &ArrayRef) -> Result<ArrayRef> {
        let totals = totals.as_primitive::<Decimal128Type>();
        Ok(match self {
            Self::Signed => Arc::new(totals.try_unary::<_, Int64Type, _>(|total| {
                i64::try_from(total).map_err(|_| overflow_of(total))
            })?),
            Self::Unsigned => Arc::new(totals.try_unary::<_, UInt64Type, _>(|total| {
                u64::try_from(total).map_err(|_| overflow_of(total))
            })?),
        })
    }
}

fn overflow_of(total: i128) -> ArrowError {
    ArrowError::ArithmeticOverflow(format!("the sum {total} does not fit 64 bits"))
}

fn too_large(total: i128) -> datafusion::error::DataFusionError {
    overflow_of(total).into()
}

#[derive(Debug)]
struct CheckedAccumulator {
    wide: Box<dyn Accumulator>,
    total: Total,
}

impl Accumulator for CheckedAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.wide.update_batch(&self.total.widen_all(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.wide.evaluate()? {
            ScalarValue::Decimal128(total, _, _) => self.total.narrow(total),
            other => internal_err!("a 128-bit sum came as {}", other.data_type()),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.wide.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.wide.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.wide.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.wide.retract_batch(&self.total.widen_all(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.wide.supports_retract_batch()
    }
}

struct CheckedGroups {
    wide: Box<dyn GroupsAccumulator>,
    total: Total,
}

impl GroupsAccumulator for CheckedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.wide.update_batch(&self.total.widen_all(values)?, group_indices, filter, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.total.narrow_all(&self.wide.evaluate(emit_to)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.wide.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.wide.merge_batch(states, group_indices, groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.wide.convert_to_state(&self.total.widen_all(values)?, filter)
    }

    fn size(&self) -> usize {
        self.wide.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int64Array, UInt64Array};

    #[test]
    fn totals_are_narrowed_or_refused() {
        assert_eq!(Total::Signed.narrow(Some(-3)).unwrap(), ScalarValue::Int64(Some(-3)));
        assert_eq!(Total::Unsigned.narrow(None).unwrap(), ScalarValue::UInt64(None));
        assert!(Total::Signed.narrow(Some(i128::from(i64::MAX) + 1)).is_err());
        assert!(Total::Unsigned.narrow(Some(-1)).is_err());
    }

    #[test]
    fn widening_keeps_values_and_nulls() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), None]));
        let wide = Total::Signed.widen(&ints).unwrap();
        assert_eq!(wide.as_primitive::<Decimal128Type>().value(0), i128::from(i64::MIN));
        assert!(wide.is_null(1));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let wide = Total::Unsigned.widen(&unsigned).unwrap();
        assert_eq!(wide.as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    }
}
