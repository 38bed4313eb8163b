//! `SUMMARIZE`: a row of figures about each column of a relation, as a logical plan.
//!
//! ```text
//! input ─ project ─────> aggregate ────────> project ──────────> unnest
//!         values and     one row: count0,    one list for each   one row for
//!         numbers        min0, …, count1, …  kind of figure      each column
//! ```
//!
//! One aggregation over all columns: the input is read once, and never held.

use std::sync::Arc;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, Result, ScalarValue, UnnestOptions};
use datafusion::config::ConfigOptions;
use datafusion::functions::expr_fn::{least, nullif, round};
use datafusion::functions_aggregate::expr_fn::{
    approx_distinct, approx_percentile_cont, avg, count, max, min, stddev,
};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit, try_cast, when};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use sqlparser::ast::TableFactor;

use super::sql::is_summarized;

/// Plans the relations that the statement form SUMMARIZE makes.
#[derive(Debug)]
pub struct SummarizePlanner;

impl RelationPlanner for SummarizePlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Derived { lateral, subquery, alias, sample } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if !is_summarized(alias.as_ref()) {
            let relation = TableFactor::Derived { lateral, subquery, alias, sample };
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let inner = context.plan(TableFactor::Derived { lateral, subquery, alias: None, sample })?;
        let plan = summarize(inner, context.context_provider().options())?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// The columns of the answer, in order.
const COLUMNS: [&str; 13] = [
    "column_name",
    "column_type",
    "count",
    "null_count",
    "null_percentage",
    "approx_distinct",
    "min",
    "max",
    "mean",
    "std",
    "q25",
    "q50",
    "q75",
];
const QUARTILES: [(&str, f64); 3] = [("q25", 0.25), ("q50", 0.5), ("q75", 0.75)];
const ROWS: &str = "rows";

/// One row for each column of the input, in their order.
///
/// | column | type | of |
/// | --- | --- | --- |
/// | `column_name`, `column_type` | text | every column; the type as DESCRIBE names it |
/// | `count`, `null_count`, `null_percentage` | Int64, Int64, Float64 | every column; the percentage is NULL without rows |
/// | `approx_distinct` | Int64 | every column but those of lists, structs and maps; by HyperLogLog |
/// | `min`, `max` | text | numbers, text, booleans, dates and times |
/// | `mean`, `std` | Float64 | numbers; computed as 64-bit floats, so no sum overflows; `std` is the sample's |
/// | `q25`, `q50`, `q75` | text | numbers (finite ones), dates and times; by t-digest, as values of the column's type |
///
/// Everything else is NULL, as is every figure of a column without values. NaN counts as a value greater than all
/// others, and makes mean and standard deviation NaN.
///
/// The plan reads its input once and is blocking; it holds a few kilobytes for each column and partition.
///
/// # Errors
/// None of its own; those of the planner.
pub fn summarize(input: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
    // The types of CASE and UNION are only settled by the analyzer. What it refuses, it refuses again later.
    let input = TypeCoercion::new().analyze(input.clone(), options).unwrap_or(input);
    let columns: Vec<Summary> =
        input.schema().iter().enumerate().map(|(at, (_, field))| Summary::new(at, field)).collect();
    let mut inputs = Vec::new();
    for ((qualifier, field), summary) in input.schema().iter().zip(&columns) {
        inputs.extend(summary.inputs(Expr::Column(Column::new(qualifier.cloned(), field.name())))?);
    }
    let aggregates = columns.iter().flat_map(Summary::aggregates);
    let aggregates: Vec<Expr> = std::iter::once(count(lit(1_i64)).alias(ROWS)).chain(aggregates).collect();
    let mut lists = vec![Vec::with_capacity(columns.len()); COLUMNS.len()];
    for summary in &columns {
        for (list, figure) in lists.iter_mut().zip(summary.figures()?) {
            list.push(figure);
        }
    }
    let lists = lists.into_iter().zip(COLUMNS).map(|(list, name)| make_array(list).alias(name));
    LogicalPlanBuilder::from(input)
        .project(inputs)?
        .aggregate(Vec::<Expr>::new(), aggregates)?
        .project(lists)?
        .unnest_columns_with_options(
            COLUMNS.iter().map(|name| Column::from_name(*name)).collect(),
            UnnestOptions::default(),
        )?
        .build()
}

/// Which figures a type has.
enum Kind {
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
struct Summary {
    at: usize,
    name: String,
    /// As the column has it.
    shown_type: DataType,
    /// Of its values, without a dictionary.
    data_type: DataType,
    kind: Kind,
}

impl Summary {
    fn new(at: usize, field: &Arc<datafusion::arrow::datatypes::Field>) -> Self {
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
    fn inputs(&self, column: Expr) -> Result<Vec<Expr>> {
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

    fn aggregates(&self) -> Vec<Expr> {
        let value = self.column("value");
        let mut figures = vec![count(value.clone()).alias(self.named("count"))];
        match &self.kind {
            Kind::Opaque => return figures,
            // Distinct floats are not counted by the engine, but their texts are; 0 and -0 are one number.
            Kind::Number if self.data_type.is_floating() => {
                let text = cast(self.column("number") + lit(0.0_f64), DataType::Utf8);
                figures.push(approx_distinct(text).alias(self.named("distinct")));
            }
            Kind::Number | Kind::Time(_) | Kind::Ordered | Kind::Bytes => {
                figures.push(approx_distinct(value.clone()).alias(self.named("distinct")));
            }
        }
        if !matches!(self.kind, Kind::Bytes) {
            figures.push(min(value.clone()).alias(self.named("min")));
            figures.push(max(value).alias(self.named("max")));
        }
        if matches!(self.kind, Kind::Number) {
            figures.push(avg(self.column("number")).alias(self.named("mean")));
            figures.push(stddev(self.column("number")).alias(self.named("std")));
        }
        if let Some(place) = self.place() {
            for (name, share) in QUARTILES {
                let order = place.clone().sort(true, false);
                figures.push(approx_percentile_cont(order, lit(share), None).alias(self.named(name)));
            }
        }
        figures
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

    /// The column's row, in the order of [`COLUMNS`].
    fn figures(&self) -> Result<[Expr; COLUMNS.len()]> {
        let no_text = || lit(ScalarValue::Utf8(None));
        let no_number = || lit(ScalarValue::Float64(None));
        let text = |expr: Expr| cast(expr, DataType::Utf8);
        let rows = || Expr::Column(Column::from_name(ROWS));
        let nulls = rows() - self.column("count");
        let share = cast(nulls.clone(), DataType::Float64) * lit(100.0_f64)
            / nullif(cast(rows(), DataType::Float64), lit(0.0_f64));
        let distinct = match self.kind {
            Kind::Opaque => lit(ScalarValue::Int64(None)),
            Kind::Number | Kind::Time(_) | Kind::Ordered | Kind::Bytes => {
                // An estimate may be too high, but not higher than that.
                least(vec![cast(self.column("distinct"), DataType::Int64), self.column("count")])
            }
        };
        let (low, high) = match self.kind {
            Kind::Number | Kind::Time(_) | Kind::Ordered => {
                (text(self.column("min")), text(self.column("max")))
            }
            Kind::Bytes | Kind::Opaque => (no_text(), no_text()),
        };
        let (mean, std) = match self.kind {
            Kind::Number => (self.column("mean"), self.column("std")),
            Kind::Time(_) | Kind::Ordered | Kind::Bytes | Kind::Opaque => (no_number(), no_number()),
        };
        let [q25, q50, q75] = QUARTILES.map(|(name, _)| match self.place() {
            Some(_) => text(self.in_own_type(self.column(name))),
            None => no_text(),
        });
        Ok([
            lit(self.name.clone()),
            lit(self.shown_type.to_string()),
            self.column("count"),
            nulls,
            round(vec![share, lit(2_i64)]),
            distinct,
            low,
            high,
            mean,
            std,
            q25,
            q50,
            q75,
        ])
    }

    /// A quartile as a value of the column's type; whole numbers as decimals, because the float next to the largest
    /// integer is larger than it.
    fn in_own_type(&self, quartile: Expr) -> Expr {
        match &self.kind {
            Kind::Time(whole) => cast(cast(round(vec![quartile]), whole_number(whole)), whole.clone()),
            _ if self.data_type.is_integer() => cast(round(vec![quartile]), DataType::Decimal128(20, 0)),
            _ => try_cast(quartile, self.data_type.clone()),
        }
    }
}

/// The integers that a time type is stored as.
fn whole_number(time: &DataType) -> DataType {
    match time {
        DataType::Date32 | DataType::Time32(_) => DataType::Int32,
        _ => DataType::Int64,
    }
}
