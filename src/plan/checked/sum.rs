//! `SUM` of integers and decimals that is exact or fails.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DECIMAL256_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Field, FieldRef, Int64Type, UInt64Type,
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

use super::decimal;
use super::decimal_sum::Widening;
use super::digits::Digits;

/// DataFusion's `sum` with overflow checked: the running sum is twice as wide as the result, so the answer
/// does not depend on the order of rows or partitions, and a total that does not fit the result type
/// (BIGINT, BIGINT UNSIGNED for unsigned input, a decimal of all its kind's digits) is an error. Other types,
/// among them decimals with room for ten digits more than their values have, are the stock sum's.
pub fn checked_sum() -> AggregateUDF {
    CheckedSum::of(Phase::Whole)
}

/// What of a sum is computed. A sum beside a DISTINCT aggregate is planned as sums of sums
/// (`distinct`), and only the last total has to fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Values in, the total out.
    Whole,
    /// Values in, a wide total out.
    First,
    /// Wide totals in, the total of this type out.
    Last(DataType),
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedSum {
    stock: Arc<AggregateUDF>,
    phase: Phase,
    /// The most digits that its values may have, if they are decimals.
    digits: u32,
}

impl CheckedSum {
    pub(super) fn of(phase: Phase) -> AggregateUDF {
        AggregateUDF::from(Self { stock: sum_udaf(), phase, digits: u32::MAX })
    }

    /// A whole sum over decimals of no more digits than these.
    pub(super) fn over(digits: Digits) -> AggregateUDF {
        AggregateUDF::from(Self { stock: sum_udaf(), phase: Phase::Whole, digits: digits.count() })
    }

    /// Whether the sums of this type are kept wider than it.
    pub(super) fn widens(result: &DataType) -> bool {
        Total::of(result).is_some()
    }

    /// How this phase treats values that come in as one type and go out as another.
    fn total(&self, input: &DataType, result: &DataType) -> Result<Option<Total>> {
        match &self.phase {
            Phase::First => Ok(Total::of(&self.stock.return_type(std::slice::from_ref(input))?)),
            Phase::Whole | Phase::Last(_) => Ok(Total::of(result)),
        }
    }

    /// Whether values are 128-bit decimals, most of which need no wider sum. A set of distinct values is kept
    /// in one width.
    fn starts_small(&self, args: &AccumulatorArgs) -> bool {
        let is_128 = matches!(args.expr_fields[0].data_type(), DataType::Decimal128(..));
        is_128 && !args.is_distinct && !matches!(self.phase, Phase::Last(_))
    }

    fn checked<A>(&self, accumulator: A, total: Total) -> Checked<A> {
        let (widens, narrows) = match self.phase {
            Phase::Whole => (true, true),
            Phase::First => (true, false),
            Phase::Last(_) => (false, true),
        };
        Checked { accumulator, total, widens, narrows }
    }
}

/// The stock sum's arguments as if its result were of the wide type.
fn widened<'a>(args: AccumulatorArgs<'a>, total: &Total) -> AccumulatorArgs<'a> {
    AccumulatorArgs { return_field: total.field(), ..args }
}

/// The same as if it were the narrow one, of which the wide one is the sum.
fn in_128_bits<'a>(args: AccumulatorArgs<'a>, total: &Total) -> AccumulatorArgs<'a> {
    AccumulatorArgs { return_field: Arc::new(Field::new("sum", total.narrow.clone(), true)), ..args }
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.stock.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let result = self.stock.return_type(types)?;
        Ok(match &self.phase {
            Phase::Whole => result,
            Phase::First => Total::of(&result).map_or(result, |total| total.wide),
            Phase::Last(total) => total.clone(),
        })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Some(total) = self.total(args.expr_fields[0].data_type(), args.return_type())? else {
            return self.stock.accumulator(args);
        };
        if self.starts_small(&args) {
            let small = self.stock.accumulator(in_128_bits(args.clone(), &total))?;
            let wide = self.stock.accumulator(widened(args, &total))?;
            return Ok(Box::new(Widening::new(small, wide, total, self.digits, self.phase == Phase::Whole)));
        }
        let wide = self.stock.accumulator(widened(args, &total))?;
        Ok(Box::new(self.checked(wide, total)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Some(total) = self.total(args.expr_fields[0].data_type(), args.return_type())? else {
            return self.stock.create_sliding_accumulator(args);
        };
        if args.is_distinct {
            return not_impl_err!("SUM(DISTINCT …) over a sliding window frame");
        }
        let wide = self.stock.create_sliding_accumulator(widened(args, &total))?;
        Ok(Box::new(self.checked(wide, total)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match self.total(args.input_fields[0].data_type(), args.return_type())? {
            Some(total) => self.stock.state_fields(StateFieldsArgs { return_field: total.field(), ..args }),
            None => self.stock.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.stock.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(total) = self.total(args.expr_fields[0].data_type(), args.return_type())? else {
            return self.stock.create_groups_accumulator(args);
        };
        if self.starts_small(&args) {
            let small = self.stock.create_groups_accumulator(in_128_bits(args.clone(), &total))?;
            let wide = self.stock.create_groups_accumulator(widened(args, &total))?;
            return Ok(Box::new(Widening::new(small, wide, total, self.digits, self.phase == Phase::Whole)));
        }
        let wide = self.stock.create_groups_accumulator(widened(args, &total))?;
        Ok(Box::new(self.checked(wide, total)))
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

/// A type whose sums are kept in a wider one.
#[derive(Debug, Clone)]
pub(super) struct Total {
    narrow: DataType,
    /// 2⁶⁴ rows of the largest value fit, 5 × 10³⁸ of the largest decimal.
    wide: DataType,
}

impl Total {
    fn of(result: &DataType) -> Option<Self> {
        let wide = match result {
            DataType::Int64 | DataType::UInt64 => DataType::Decimal128(38, 0),
            full if !decimal::is_full(full) => return None,
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => DataType::Decimal128(38, *scale),
            DataType::Decimal128(_, scale) => DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale),
            // No wider type exists: five rows of the largest value fit 256 bits.
            _ => return None,
        };
        Some(Self { narrow: result.clone(), wide })
    }

    fn field(&self) -> FieldRef {
        Arc::new(Field::new("sum", self.wide.clone(), true))
    }

    pub(super) fn widen(&self, values: &ArrayRef) -> Result<ArrayRef> {
        match values.data_type() {
            DataType::Int64 => Ok(self.wider::<Int64Type, Decimal128Type>(values)),
            DataType::UInt64 => Ok(self.wider::<UInt64Type, Decimal128Type>(values)),
            DataType::Decimal32(..) => Ok(self.wider::<Decimal32Type, Decimal128Type>(values)),
            DataType::Decimal64(..) => Ok(self.wider::<Decimal64Type, Decimal128Type>(values)),
            DataType::Decimal128(..) => Ok(self.wider::<Decimal128Type, Decimal256Type>(values)),
            other => internal_err!("a sum of {} was given {other}", self.narrow),
        }
    }

    /// Values in more bits. Arrow's casts do the same but multiply each value by a power of ten, be it one.
    fn wider<T, W>(&self, values: &ArrayRef) -> ArrayRef
    where
        T: ArrowPrimitiveType<Native: Into<W::Native>>,
        W: ArrowPrimitiveType,
    {
        let wide: PrimitiveArray<W> = values.as_primitive::<T>().unary(Into::into);
        Arc::new(wide.with_data_type(self.wide.clone()))
    }

    /// The totals in the result's type.
    ///
    /// # Errors
    /// An overflow, with the total if that is an integer.
    pub(super) fn narrow(&self, totals: &ArrayRef) -> Result<ArrayRef> {
        let narrowed = cast_with_options(totals, &self.narrow, &CastOptions::default())?;
        if narrowed.null_count() == totals.null_count() {
            return Ok(narrowed);
        }
        let lost = (0..totals.len()).find(|row| totals.is_valid(*row) && narrowed.is_null(*row));
        Err(match (totals.as_primitive_opt::<Decimal128Type>(), lost) {
            (Some(integers), Some(row)) if self.narrow.is_integer() => {
                let total = integers.value(row);
                ArrowError::ArithmeticOverflow(format!("the sum {total} does not fit 64 bits"))
            }
            _ => decimal::overflow(&self.narrow),
        }
        .into())
    }
}

/// A stock accumulator of wide sums between the narrow values and the narrow total.
#[derive(Debug)]
struct Checked<A> {
    accumulator: A,
    total: Total,
    /// Whether values have to be widened on their way in.
    widens: bool,
    /// Whether totals have to be narrowed on their way out.
    narrows: bool,
}

impl<A> Checked<A> {
    fn widen(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        match self.widens {
            true => values.iter().map(|values| self.total.widen(values)).collect(),
            false => Ok(values.to_vec()),
        }
    }

    fn narrow(&self, totals: ArrayRef) -> Result<ArrayRef> {
        if self.narrows { self.total.narrow(&totals) } else { Ok(totals) }
    }
}

impl Accumulator for Checked<Box<dyn Accumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.widen(values)?;
        self.accumulator.update_batch(&values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = self.accumulator.evaluate()?;
        if total.data_type() != self.total.wide {
            return internal_err!("a sum of {} came as {}", self.total.wide, total.data_type());
        }
        ScalarValue::try_from_array(&self.narrow(total.to_array()?)?, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.accumulator.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.accumulator.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.accumulator.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.widen(values)?;
        self.accumulator.retract_batch(&values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.accumulator.supports_retract_batch()
    }
}

impl GroupsAccumulator for Checked<Box<dyn GroupsAccumulator>> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        let values = self.widen(values)?;
        self.accumulator.update_batch(&values, group_indices, filter, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let totals = self.accumulator.evaluate(emit_to)?;
        self.narrow(totals)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.accumulator.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.accumulator.merge_batch(states, group_indices, groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.accumulator.convert_to_state(&self.widen(values)?, filter)
    }

    fn size(&self) -> usize {
        self.accumulator.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Decimal128Array, Int64Array, UInt64Array};
    use datafusion::arrow::datatypes::DecimalType;

    fn totals(values: Vec<Option<i128>>) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 0).unwrap())
    }

    #[test]
    fn totals_are_narrowed_or_refused() {
        let signed = Total::of(&DataType::Int64).unwrap();
        let narrowed = signed.narrow(&totals(vec![Some(-3), None])).unwrap();
        assert_eq!(narrowed.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(-3), None]));
        let error = signed.narrow(&totals(vec![None, Some(i128::from(i64::MAX) + 1)])).unwrap_err();
        assert!(error.to_string().contains("the sum 9223372036854775808 does not fit 64 bits"), "{error}");
        let unsigned = Total::of(&DataType::UInt64).unwrap();
        assert!(unsigned.narrow(&totals(vec![Some(-1)])).is_err());
    }

    #[test]
    fn decimal_totals_are_narrowed_or_refused() {
        let total = Total::of(&DataType::Decimal128(38, 2)).unwrap();
        let most = Decimal128Type::MAX_FOR_EACH_PRECISION[38];
        let values: ArrayRef =
            Arc::new(Decimal128Array::from(vec![most]).with_precision_and_scale(38, 2).unwrap());
        let wide = total.widen(&values).unwrap();
        assert_eq!(&total.narrow(&wide).unwrap(), &values);
        let twice = datafusion::arrow::compute::kernels::numeric::add(&wide, &wide).unwrap();
        assert_eq!(twice.as_primitive::<Decimal256Type>().len(), 1);
        let error = total.narrow(&twice).unwrap_err();
        assert!(error.to_string().contains("decimal of more than 38 digits"), "{error}");
    }

    #[test]
    fn sums_with_room_to_spare_are_the_stock_ones() {
        assert!(Total::of(&DataType::Decimal128(25, 2)).is_none());
        assert!(Total::of(&DataType::Float64).is_none());
    }

    #[test]
    fn widening_keeps_values_and_nulls() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), None]));
        let wide = Total::of(&DataType::Int64).unwrap().widen(&ints).unwrap();
        assert_eq!(wide.as_primitive::<Decimal128Type>().value(0), i128::from(i64::MIN));
        assert!(wide.is_null(1));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let wide = Total::of(&DataType::UInt64).unwrap().widen(&unsigned).unwrap();
        assert_eq!(wide.as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    }
}
