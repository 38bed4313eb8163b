//! One column's part in the plan: what is computed of each row, and the aggregates over it.

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, Result};
use datafusion::functions_aggregate::expr_fn::{
    approx_distinct, approx_percentile_cont, avg, count, max, min, stddev,
};
use datafusion::logical_expr::{Expr, cast, lit, when};

const QUARTILES: [f64; 3] = [0.25, 0.5, 0.75];

/// Which figures a type has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// All of them.
    Number,
    /// Those that say where values lie, not how far apart; the type whose whole numbers the quartiles are made of.
    Time(DataType),
    /// Those that need an order or equality alone.
    Ordered,
    /// How many distinct values there are.
    Bytes,
    /// Only counts.
    Opaque,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            number if number.is_numeric() => Self::Number,
            // Nanoseconds since 1970 have more digits than a 64-bit float.
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                Self::Time(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
            }
            DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(..)
            | DataType::Time32(_)
            | DataType::Time64(_) => Self::Time(data_type.clone()),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Bytes,
            DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Ordered,
            DataType::Interval(_) | DataType::Duration(_) if can_cast_types(data_type, &DataType::Utf8) => {
                Self::Ordered
            }
            _ => Self::Opaque,
        }
    }
}

/// A column of the input, and the names under which its figures pass through the plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Summary {
    at: usize,
    pub(super) name: String,
    /// As the column has it.
    pub(super) shown_type: DataType,
    /// Of its values, without a dictionary.
    pub(super) data_type: DataType,
    pub(super) kind: Kind,
}

impl Summary {
    pub(super) fn new(at: usize, field: &Field) -> Self {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        };
        let kind = Kind::of(&data_type);
        Self { at, name: field.name().clone(), shown_type: field.data_type().clone(), data_type, kind }
    }

    /// A column that stands for this one's figure of that name.
    fn named(&self, figure: &str) -> String {
        format!("{figure}_{}", self.at)
    }

    fn column(&self, figure: &str) -> Expr {
        Expr::Column(Column::from_name(self.named(figure)))
    }

    /// Under names of their own, because names of the input may hold dots or occur twice: `value`; `number`, a float,
    /// of numbers; `place`, a finite float, of what has quartiles.
    pub(super) fn inputs(&self, column: Expr) -> Result<Vec<Expr>> {
        let value = match self.shown_type == self.data_type {
            true => column,
            false => cast(column, self.data_type.clone()),
        };
        let float = |value: Expr| cast(value, DataType::Float64);
        let mut inputs = vec![value.clone().alias(self.named("value"))];
        match &self.kind {
            Kind::Number if self.data_type.is_floating() => {
                let number = float(value);
                let finite = number.clone().between(lit(f64::MIN), lit(f64::MAX));
                inputs.push(number.clone().alias(self.named("number")));
                inputs.push(when(finite, number).end()?.alias(self.named("place")));
            }
            Kind::Number => inputs.push(float(value).alias(self.named("number"))),
            Kind::Time(whole) => {
                let value = cast(value, whole.clone());
                inputs.push(float(cast(value, whole_number(whole))).alias(self.named("place")));
            }
            Kind::Ordered | Kind::Bytes | Kind::Opaque => {}
        }
        Ok(inputs)
    }

    /// The figures that the type has, in the order in which the rows read them: count, distinct values, least and
    /// greatest, mean and deviation, quartiles.
    pub(super) fn aggregates(&self) -> Vec<Expr> {
        let value = self.column("value");
        let mut figures = vec![count(value.clone())];
        if self.has_distinct() {
            figures.push(approx_distinct(match self.data_type.is_floating() {
                // Distinct floats are not counted by the engine, but their texts are; 0 and -0 are one number.
                true => cast(self.column("number") + lit(0.0_f64), DataType::Utf8),
                false => value.clone(),
            }));
        }
        if self.has_bounds() {
            figures.extend([min(value.clone()), max(value)]);
        }
        if self.has_mean() {
            figures.extend([avg(self.column("number")), stddev(self.column("number"))]);
        }
        if let Some(place) = self.place() {
            let quartile = |share| approx_percentile_cont(place.clone().sort(true, false), lit(share), None);
            figures.extend(QUARTILES.map(quartile));
        }
        let named = figures.into_iter().enumerate();
        named.map(|(figure, expr)| expr.alias(self.named(&format!("figure{figure}")))).collect()
    }

    /// Whether equal values are known.
    pub(super) fn has_distinct(&self) -> bool {
        !matches!(self.kind, Kind::Opaque)
    }

    /// Whether values have an order.
    pub(super) fn has_bounds(&self) -> bool {
        !matches!(self.kind, Kind::Opaque | Kind::Bytes)
    }

    /// Whether values can be added up.
    pub(super) fn has_mean(&self) -> bool {
        matches!(self.kind, Kind::Number)
    }

    /// Whether values lie on a line.
    pub(super) fn has_quartiles(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Time(_))
    }

    /// What the quartiles are taken of, as a float.
    fn place(&self) -> Option<Expr> {
        match &self.kind {
            Kind::Number if self.data_type.is_floating() => Some(self.column("place")),
            Kind::Number => Some(self.column("number")),
            Kind::Time(_) => Some(self.column("place")),
            Kind::Ordered | Kind::Bytes | Kind::Opaque => None,
        }
    }
}

/// The integers that a time type is stored as.
pub(super) fn whole_number(time: &DataType) -> DataType {
    match time {
        DataType::Date32 | DataType::Time32(_) => DataType::Int32,
        _ => DataType::Int64,
    }
}
