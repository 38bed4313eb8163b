//! The aggregates' one row made a row for each column.
//!
//! One function of all figures, and not an expression for each: the planner's work on the projection grows with the
//! number of aggregates times the size of all expressions over them (200 columns: 12 s; so it is 1 s).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::column::{Kind, Summary, whole_number};

/// The columns of the answer, in order.
pub(super) const COLUMNS: [(&str, DataType); 13] = [
    ("column_name", DataType::Utf8),
    ("column_type", DataType::Utf8),
    ("count", DataType::Int64),
    ("null_count", DataType::Int64),
    ("null_percentage", DataType::Float64),
    ("approx_distinct", DataType::Int64),
    ("min", DataType::Utf8),
    ("max", DataType::Utf8),
    ("mean", DataType::Float64),
    ("std", DataType::Float64),
    ("q25", DataType::Utf8),
    ("q50", DataType::Utf8),
    ("q75", DataType::Utf8),
];

/// Takes the number of rows and the figures of all columns, in order; gives a list of a struct for each column.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SummaryRows {
    columns: Vec<Summary>,
    signature: Signature,
}

impl SummaryRows {
    pub(super) fn new(columns: Vec<Summary>) -> Self {
        Self { columns, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    /// The list of one row of aggregates.
    fn rows(&self, mut figures: impl Iterator<Item = Result<ScalarValue>>) -> Result<StructArray> {
        let mut next = || figures.next().unwrap_or_else(|| Err(exec_datafusion_err!("a figure is missing")));
        let rows = whole(&next()?);
        let mut lines = COLUMNS.map(|_| Vec::with_capacity(self.columns.len()));
        for column in &self.columns {
            for (line, figure) in lines.iter_mut().zip(column.row(rows, &mut next)?) {
                line.push(figure);
            }
        }
        let arrays = lines.into_iter().map(ScalarValue::iter_to_array).collect::<Result<Vec<_>>>()?;
        Ok(StructArray::try_new(fields(), arrays, None)?)
    }
}

impl ScalarUDFImpl for SummaryRows {
    fn name(&self) -> &str {
        "summary_rows"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let mut lists =
            vec![ScalarValue::new_null_list(DataType::Struct(fields()), true, 0).to_array_of_size(0)?];
        for row in 0..args.number_rows {
            let values = self.rows(arrays.iter().map(|array| ScalarValue::try_from_array(array, row)))?;
            let offsets = OffsetBuffer::from_lengths([self.columns.len()]);
            lists.push(Arc::new(ListArray::try_new(item(), offsets, Arc::new(values), None)?));
        }
        let lists: Vec<_> = lists.iter().map(ArrayRef::as_ref).collect();
        Ok(ColumnarValue::Array(datafusion::arrow::compute::concat(&lists)?))
    }
}

fn fields() -> Fields {
    COLUMNS.map(|(name, data_type)| Field::new(name, data_type, true)).into_iter().collect()
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

fn whole(count: &ScalarValue) -> i64 {
    match count {
        ScalarValue::Int64(Some(count)) => *count,
        ScalarValue::UInt64(Some(count)) => i64::try_from(*count).unwrap_or(i64::MAX),
        _ => 0,
    }
}

impl Summary {
    /// The column's row, in the order of [`COLUMNS`].
    fn row(
        &self,
        rows: i64,
        next: &mut impl FnMut() -> Result<ScalarValue>,
    ) -> Result<[ScalarValue; COLUMNS.len()]> {
        let text = |value: ScalarValue| value.cast_to(&DataType::Utf8);
        let count = whole(&next()?);
        let nulls = rows - count;
        let percentage = (rows > 0).then(|| (nulls as f64 / rows as f64 * 10_000.0).round() / 100.0);
        // An estimate may be too high, but not higher than that.
        let distinct = if self.has_distinct() { Some(whole(&next()?).min(count)) } else { None };
        let no_text = || ScalarValue::Utf8(None);
        let (low, high) = match self.has_bounds() {
            true => (text(next()?)?, text(next()?)?),
            false => (no_text(), no_text()),
        };
        let (mean, std) = match self.has_mean() {
            true => (next()?, next()?),
            false => (ScalarValue::Float64(None), ScalarValue::Float64(None)),
        };
        let mut quartile = || match self.has_quartiles() {
            true => text(self.in_own_type(&next()?)?),
            false => Ok(no_text()),
        };
        Ok([
            ScalarValue::from(self.name.as_str()),
            ScalarValue::from(self.shown_type.to_string().as_str()),
            ScalarValue::from(count),
            ScalarValue::from(nulls),
            ScalarValue::Float64(percentage),
            ScalarValue::Int64(distinct),
            low,
            high,
            mean,
            std,
            quartile()?,
            quartile()?,
            quartile()?,
        ])
    }

    /// A quartile as a value of the column's type; whole numbers as decimals, because the float next to the largest
    /// integer is larger than it.
    fn in_own_type(&self, quartile: &ScalarValue) -> Result<ScalarValue> {
        let rounded = match quartile {
            ScalarValue::Float64(value) => ScalarValue::Float64(value.map(f64::round)),
            other => other.clone(),
        };
        match &self.kind {
            Kind::Time(whole) => rounded.cast_to(&whole_number(whole))?.cast_to(whole),
            _ if self.data_type.is_integer() => rounded.cast_to(&DataType::Decimal128(20, 0)),
            // The float next to the largest decimal may be larger than it.
            _ => quartile.cast_to(&self.data_type).or_else(|_| ScalarValue::try_from(&self.data_type)),
        }
    }
}
