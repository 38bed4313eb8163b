//! Sums of decimals in as many bits as their values need.
//!
//! 256 bits hold every sum, but cost twice the memory of 128. Values of up to 27 digits, which is nearly all
//! there are, add up in 128 bits for 10¹⁰ rows; only beyond that the sum so far moves into 256.

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::decimal;
use super::sum::Total;

/// Digits of values, and their number, whose sum has no more than 37 digits; 128 bits hold 17 times as much.
const SMALL_DIGITS: u8 = 27;
const SMALL_ROWS_MAX: usize = 10_000_000_000;
/// Digits of the sum of those values that are not looked at, because they are known to have few.
const UNSEEN_DIGITS: u32 = 37;

/// A sum that starts in 128 bits.
#[derive(Debug)]
pub(super) struct Widening<A> {
    /// The sum in 128 bits; `None` once values have come that may not fit.
    small: Option<A>,
    /// Rows that the small sum may still take without a look at their values.
    unseen_left: usize,
    /// Rows with small values that it may still take.
    rows_left: usize,
    wide: A,
    total: Total,
    /// Whether the total is to be narrowed: not between two aggregations.
    narrows: bool,
}

impl<A> Widening<A> {
    /// `digits` is the most that the values may have.
    pub(super) fn new(small: A, wide: A, total: Total, digits: u32, narrows: bool) -> Self {
        let unseen_left = UNSEEN_DIGITS.checked_sub(digits).and_then(|spare| 10usize.checked_pow(spare));
        let unseen_left = unseen_left.unwrap_or(if digits > UNSEEN_DIGITS { 0 } else { usize::MAX });
        Self { small: Some(small), unseen_left, rows_left: SMALL_ROWS_MAX, wide, total, narrows }
    }

    /// Counts the values as added to the small sum, if they may be.
    fn takes(&mut self, values: &[ArrayRef]) -> Result<bool> {
        let [values] = values else { return internal_err!("sum of {} columns", values.len()) };
        if self.small.is_some() && self.unseen_left >= values.len() {
            self.unseen_left -= values.len();
            return Ok(true);
        }
        let takes = self.small.is_some()
            && self.rows_left >= values.len()
            && decimal::has_digits_at_most(values, SMALL_DIGITS)?;
        if takes {
            self.rows_left -= values.len();
        }
        Ok(takes)
    }

    fn widen(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().map(|values| self.total.widen(values)).collect()
    }

    /// A total that was kept in 128 bits.
    fn small_total(&self, total: ArrayRef) -> Result<ArrayRef> {
        if self.narrows { Ok(decimal::fitting(total)?) } else { self.total.widen(&total) }
    }

    fn wide_total(&self, total: ArrayRef) -> Result<ArrayRef> {
        if self.narrows { self.total.narrow(&total) } else { Ok(total) }
    }
}

impl Widening<Box<dyn GroupsAccumulator>> {
    /// Moves the sums so far into 256 bits.
    fn leave_small(&mut self) -> Result<()> {
        let Some(mut small) = self.small.take() else { return Ok(()) };
        let states = self.widen(&small.state(EmitTo::All)?)?;
        let groups = states.first().map_or(0, |state| state.len());
        let indices: Vec<usize> = (0..groups).collect();
        self.wide.merge_batch(&states, &indices, groups)
    }
}

impl GroupsAccumulator for Widening<Box<dyn GroupsAccumulator>> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        if self.takes(values)?
            && let Some(small) = &mut self.small
        {
            return small.update_batch(values, group_indices, filter, groups);
        }
        self.leave_small()?;
        let values = self.widen(values)?;
        self.wide.update_batch(&values, group_indices, filter, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        if let Some(small) = &mut self.small {
            let total = small.evaluate(emit_to)?;
            return self.small_total(total);
        }
        let total = self.wide.evaluate(emit_to)?;
        self.wide_total(total)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        if let Some(small) = &mut self.small {
            let states = small.state(emit_to)?;
            return self.widen(&states);
        }
        self.wide.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.leave_small()?;
        self.wide.merge_batch(states, group_indices, groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.wide.convert_to_state(&self.widen(values)?, filter)
    }

    fn size(&self) -> usize {
        self.wide.size() + self.small.as_ref().map_or(0, |small| small.size())
    }
}

impl Widening<Box<dyn Accumulator>> {
    /// Moves the sum so far into 256 bits.
    fn leave_small(&mut self) -> Result<()> {
        let Some(mut small) = self.small.take() else { return Ok(()) };
        let states = small.state()?.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        let states = self.widen(&states)?;
        self.wide.merge_batch(&states)
    }
}

impl Accumulator for Widening<Box<dyn Accumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if self.takes(values)?
            && let Some(small) = &mut self.small
        {
            return small.update_batch(values);
        }
        self.leave_small()?;
        let values = self.widen(values)?;
        self.wide.update_batch(&values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = match &mut self.small {
            Some(small) => {
                let total = small.evaluate()?.to_array()?;
                self.small_total(total)?
            }
            None => {
                let total = self.wide.evaluate()?.to_array()?;
                self.wide_total(total)?
            }
        };
        ScalarValue::try_from_array(&total, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.wide.size() + self.small.as_ref().map_or(0, |small| small.size())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.leave_small()?;
        self.wide.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.leave_small()?;
        self.wide.merge_batch(states)
    }
}
