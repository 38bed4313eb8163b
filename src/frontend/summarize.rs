//! `SUMMARIZE`: a row of figures about each column of a relation, as a logical plan.
//!
//! ```text
//! input ─ project ─────> aggregate ────────> project ────────> unnest
//!         values and     one row of all      a list of rows    a row for
//!         numbers        columns' figures                      each column
//! ```
//!
//! One aggregation over all columns: the input is read once, and never held.

mod column;
mod rows;

use datafusion::common::{Column, Result};
use datafusion::config::ConfigOptions;
use datafusion::functions::expr_fn::get_field;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use sqlparser::ast::TableFactor;

use self::column::Summary;
use self::rows::{COLUMNS, SummaryRows};
use super::sql::is_summarized;

/// The column of rows before they are taken apart.
const ROW: &str = "summary";

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
    let aggregates: Vec<Expr> = std::iter::once(count(lit(1_i64)).alias("rows")).chain(aggregates).collect();
    let aggregated =
        LogicalPlanBuilder::from(input).project(inputs)?.aggregate(Vec::<Expr>::new(), aggregates)?;
    let figures = aggregated.schema().columns().into_iter().map(Expr::Column).collect();
    let rows = ScalarUDF::from(SummaryRows::new(columns)).call(figures).alias(ROW);
    let row = || Expr::Column(Column::from_name(ROW));
    aggregated
        .project([rows])?
        .unnest_column(ROW)?
        .project(COLUMNS.map(|(name, _)| get_field(row(), name).alias(name)))?
        .build()
}
