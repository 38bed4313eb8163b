//! How a stage reads files, in words and numbers that outlive the plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, DynamicFilterPhysicalExpr, TryCastExpr,
};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_common::physical_expr::fmt_sql;
use datafusion::physical_plan::ExecutionPlan;

use crate::hidden;

/// A scan of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The files, each once; of a large file tasks read pieces.
    pub files: usize,
    /// The name of the first, without its folder.
    pub file: String,
    /// The format, as `parquet`.
    pub format: String,
    /// Columns that its condition compares as they are stored: parts of files whose statistics rule them out are not
    /// read.
    pub compared: Vec<String>,
    /// Conditions that look at columns through functions, casts and arithmetic only.
    pub computed: Vec<String>,
}

impl Scan {
    /// What a node reads, if it reads files.
    pub fn of(plan: &dyn ExecutionPlan) -> Option<Self> {
        let source = plan.downcast_ref::<DataSourceExec>()?.data_source();
        let config = source.downcast_ref::<FileScanConfig>()?;
        let paths = config.file_groups.iter().flat_map(|group| group.iter()).map(|file| file.path());
        let paths: BTreeSet<_> = paths.collect();
        let first = paths.first().and_then(|path| path.filename()).unwrap_or_default();
        let mut scan = Self {
            files: paths.len(),
            file: first.to_string(),
            format: config.file_source().file_type().to_string(),
            ..Self::default()
        };
        if let Some(filter) = config.file_source().filter() {
            scan.look_at(&filter);
        }
        Some(scan)
    }

    fn look_at(&mut self, condition: &Arc<dyn PhysicalExpr>) {
        let mut compared = BTreeSet::new();
        for part in split_conjunction(condition) {
            if part.is::<DynamicFilterPhysicalExpr>() {
                continue;
            }
            let found = columns(part);
            if found.bare.is_empty() && found.has_computed {
                self.computed.push(hidden::hidden(fmt_sql(part.as_ref()).to_string()));
            }
            compared.extend(found.bare);
        }
        self.compared = compared.into_iter().collect();
    }
}

/// The columns of a condition.
#[derive(Default)]
struct Columns {
    /// Those that are compared as they are.
    bare: BTreeSet<String>,
    /// Whether there are others.
    has_computed: bool,
}

/// Conditions may be deep: a stack of our own.
fn columns(condition: &Arc<dyn PhysicalExpr>) -> Columns {
    let mut found = Columns::default();
    let mut ahead = vec![(condition, false)];
    while let Some((expr, is_computed)) = ahead.pop() {
        match expr.downcast_ref::<Column>() {
            Some(_) if is_computed => found.has_computed = true,
            Some(column) => drop(found.bare.insert(column.name().to_string())),
            None => {
                let is_computed = is_computed || computes(expr);
                ahead.extend(expr.children().into_iter().map(|child| (child, is_computed)));
            }
        }
    }
    found
}

/// Whether an expression makes a value that no statistics are kept of.
fn computes(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let arithmetic = expr
        .downcast_ref::<BinaryExpr>()
        .is_some_and(|expr| expr.op().is_numerical_operators() || *expr.op() == Operator::StringConcat);
    arithmetic || expr.is::<ScalarFunctionExpr>() || expr.is::<CastExpr>() || expr.is::<TryCastExpr>()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::{binary, cast, col, lit};

    use super::*;

    fn looked_at(build: impl Fn(&Schema) -> Arc<dyn PhysicalExpr>) -> Scan {
        let schema = Schema::new(vec![
            Field::new("day", DataType::Utf8, true),
            Field::new("amount", DataType::Int64, true),
        ]);
        let mut scan = Scan::default();
        scan.look_at(&build(&schema));
        scan
    }

    #[test]
    fn columns_that_are_compared_as_they_are_stored_are_told_from_computed_ones() {
        let scan = looked_at(|schema| {
            let amount = binary(col("amount", schema).unwrap(), Operator::Gt, lit(5_i64), schema).unwrap();
            let day = cast(col("day", schema).unwrap(), schema, DataType::Date32).unwrap();
            let day =
                binary(day, Operator::Eq, lit(datafusion::common::ScalarValue::Date32(Some(1))), schema);
            binary(amount, Operator::And, day.unwrap(), schema).unwrap()
        });
        assert_eq!(scan.compared, ["amount"]);
        assert_eq!(scan.computed.len(), 1, "{scan:?}");
        assert!(scan.computed[0].contains("CAST(day"), "{scan:?}");
    }

    #[test]
    fn arithmetic_on_a_column_is_computed() {
        let scan = looked_at(|schema| {
            let sum = binary(col("amount", schema).unwrap(), Operator::Modulo, lit(10_i64), schema).unwrap();
            binary(sum, Operator::Eq, lit(3_i64), schema).unwrap()
        });
        assert_eq!(
            (scan.compared.len(), scan.computed.as_slice()),
            (0, &["amount % 10 = 3".to_string()][..])
        );
    }
}
