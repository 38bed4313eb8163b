//! `quantile(x, q)`: exact, interpolated as NumPy and pandas do it by default.
//!
//! DataFusion's `percentile_cont` cuts the weight of its interpolation to six digits (0.7 of the way from
//! 0 to 10 may be 6.99999), and its `median` of integers is an integer.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;

/// The aggregate: numbers and a constant from 0 to 1 in, a float out. NULLs are left out; nothing left is
/// NULL. NaN is larger than every number. Holds all values of each group; does not spill.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quantile {
    signature: Signature,
}

impl Default for Quantile {
    fn default() -> Self {
        let kinds = vec![DataType::Float64, DataType::Float64];
        Self { signature: Signature::exact(kinds, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &str {
        "quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let values = DataType::List(value_field());
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "values"), values, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("quantile(DISTINCT …) is not supported");
        }
        Ok(Box::new(Values { q: fraction(&args)?, values: Vec::new() }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("quantile(DISTINCT …) is not supported");
        }
        Ok(Box::new(Sliding { q: fraction(&args)?, sorted: Vec::new() }))
    }
}

fn value_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float64, true))
}

fn fraction(args: &AccumulatorArgs) -> Result<f64> {
    let literal = args.exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
    match literal.map(Literal::value) {
        Some(ScalarValue::Float64(Some(q))) if (0.0..=1.0).contains(q) => Ok(*q),
        Some(ScalarValue::Float64(Some(q))) => plan_err!("a quantile is between 0 and 1, not {q}"),
        _ => plan_err!("the second argument of quantile is a constant between 0 and 1"),
    }
}

fn numbers(columns: &[ArrayRef]) -> Result<&Float64Array> {
    match columns.first().and_then(|column| column.as_primitive_opt::<Float64Type>()) {
        Some(numbers) => Ok(numbers),
        None => exec_err!("quantile of something that is no number"),
    }
}

/// All values seen so far.
#[derive(Debug)]
struct Values {
    q: f64,
    values: Vec<f64>,
}

impl Accumulator for Values {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.values.extend(numbers(columns)?.iter().flatten());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first().and_then(|state| state.as_list_opt::<i32>()) else {
            return exec_err!("quantile cannot be continued from this state");
        };
        for list in lists.iter().flatten() {
            self.update_batch(&[list])?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Float64Array::from(std::mem::take(&mut self.values));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(value_field(), offsets, Arc::new(values), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(interpolated(&mut self.values, self.q)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }
}

/// The values of a window that moves: they come and go one by one, so they are kept in order.
#[derive(Debug)]
struct Sliding {
    q: f64,
    sorted: Vec<f64>,
}

impl Sliding {
    /// Where a value is, or belongs.
    fn place(&self, value: f64) -> usize {
        self.sorted.partition_point(|other| other.total_cmp(&value).is_lt())
    }
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in numbers(columns)?.iter().flatten() {
            self.sorted.insert(self.place(value), value);
        }
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in numbers(columns)?.iter().flatten() {
            let place = self.place(value);
            if self.sorted.get(place).is_some_and(|found| found.total_cmp(&value).is_eq()) {
                self.sorted.remove(place);
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        exec_err!("a quantile over a window is not merged")
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("a quantile over a window has no state to merge")
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (below, weight) = place_in(self.sorted.len(), self.q);
        let neighbour = |at: usize| self.sorted.get(at).copied();
        Ok(ScalarValue::Float64(neighbour(below).map(|low| between(low, neighbour(below + 1), weight))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sorted.capacity() * size_of::<f64>()
    }
}

/// The value at `q` of the way from the least to the largest, by linear interpolation between neighbours.
/// Puts the values into another order.
fn interpolated(values: &mut [f64], q: f64) -> Option<f64> {
    let (below, weight) = place_in(values.len(), q);
    if below >= values.len() {
        return None;
    }
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    Some(between(*low, above.iter().copied().min_by(f64::total_cmp), weight))
}

/// The index of the value below `q` of so many, and the way from there to the next one.
fn place_in(count: usize, q: f64) -> (usize, f64) {
    let last = count.saturating_sub(1);
    let place = q * last as f64;
    let below = (place.floor() as usize).min(last);
    (below, place - below as f64)
}

/// From the nearer side, so that equal neighbours give themselves, and the ends are met exactly.
fn between(low: f64, high: Option<f64>, weight: f64) -> f64 {
    match high {
        Some(high) if weight > 0.0 && low != high => match weight < 0.5 {
            true => low + (high - low) * weight,
            false => high - (high - low) * (1.0 - weight),
        },
        _ => low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let of = |values: &[f64], q| interpolated(&mut values.to_vec(), q);
        assert_eq!(of(&[10.0, 1.0, 2.0, 3.0], 0.5), Some(2.5));
        assert_eq!(of(&[3.0, 1.0], 0.0), Some(1.0));
        assert_eq!(of(&[3.0, 1.0], 1.0), Some(3.0));
        assert_eq!(of(&[7.0], 0.3), Some(7.0));
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[f64::INFINITY, f64::INFINITY], 0.5), Some(f64::INFINITY));
        assert_eq!(of(&[1.0, f64::NAN, 0.0], 0.0), Some(0.0));
    }

    #[test]
    fn the_weight_keeps_all_its_digits() {
        let mut values: Vec<f64> = (0..11).map(|n| f64::from(n * n)).collect();
        let third = interpolated(&mut values, 1.0 / 3.0).unwrap();
        assert!((third - (9.0 + 7.0 / 3.0)).abs() < 1e-12, "{third}");
    }
}
