//! What a scan is told of a dynamic filter that leaves nothing unread.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CaseExpr, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::utils::{collect_columns, conjunction, split_conjunction};

/// A scan's condition without what dynamic filters say of each partition of a join: `CASE hash(k) % 2 WHEN 0 THEN k IN
/// (…) … END`. Statistics of a column tell nothing of that, but DataFusion simplifies it, with lists of 150 keys, for
/// each piece of a file that it opens: for TPC-H Q17 a fifth of the time.
pub(super) fn without_routes(condition: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    let parts = split_conjunction(condition).into_iter().map(|part| {
        let part = Arc::clone(part);
        if part.is::<DynamicFilterPhysicalExpr>() { Arc::new(Unrouted(part)) as _ } else { part }
    });
    conjunction(parts)
}

/// A dynamic filter. What is taken of it at a time is true where it depends on a row's partition.
#[derive(Debug, Clone)]
struct Unrouted(Arc<dyn PhysicalExpr>);

impl fmt::Display for Unrouted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Unrouted {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for Unrouted {}

impl Hash for Unrouted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PhysicalExpr for Unrouted {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.0.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Arc::new(Self(inner))),
            _ => Err(DataFusionError::Internal("a dynamic filter is one expression".into())),
        }
    }

    /// Its inner has been taken by then. One without columns is about a whole file, by the values in its path or by
    /// those that all its rows have.
    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let is_by_row = self.0.is::<CaseExpr>() && !collect_columns(&self.0).is_empty();
        Ok(Some(if is_by_row { lit(true) } else { Arc::clone(&self.0) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array};
    use datafusion::arrow::datatypes::Field;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col};
    use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![Field::new("k", DataType::Int64, true)])
    }

    fn k() -> Arc<dyn PhysicalExpr> {
        col("k", &schema()).unwrap()
    }

    fn below(most: i64) -> Arc<dyn PhysicalExpr> {
        binary(k(), Operator::Lt, lit(most), &schema()).unwrap()
    }

    fn routed(key: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        let route = binary(key, Operator::Modulo, lit(2_i64), &schema()).unwrap();
        let branches = vec![(lit(0_i64), lit(true)), (lit(1_i64), lit(false))];
        Arc::new(CaseExpr::try_new(Some(route), branches, Some(lit(false))).unwrap())
    }

    /// What a scan sees of a condition with a dynamic filter that knows this.
    fn seen(known: Arc<dyn PhysicalExpr>) -> String {
        let dynamic = Arc::new(DynamicFilterPhysicalExpr::new(vec![k()], lit(true)));
        let condition = without_routes(&conjunction([below(9), Arc::clone(&dynamic) as _]));
        dynamic.update(known).unwrap();
        snapshot_physical_expr(condition).unwrap().to_string()
    }

    #[test]
    fn what_depends_on_the_partition_of_a_row_is_not_seen() {
        assert_eq!(seen(routed(k())), "k@0 < 9 AND true");
    }

    #[test]
    fn all_else_is() {
        assert_eq!(seen(below(5)), "k@0 < 9 AND k@0 < 5");
        assert_eq!(seen(lit(true)), "k@0 < 9 AND true");
        assert_eq!(seen(lit(false)), "k@0 < 9 AND false");
        let of_all_rows = seen(routed(lit(3_i64)));
        assert!(of_all_rows.starts_with("k@0 < 9 AND CASE 3 % 2"), "{of_all_rows}");
    }

    #[test]
    fn rows_are_asked_as_before() {
        let dynamic = Arc::new(DynamicFilterPhysicalExpr::new(vec![k()], below(5)));
        let condition = without_routes(&(Arc::clone(&dynamic) as _));
        assert_eq!(condition.to_string(), dynamic.to_string());
        let batch =
            RecordBatch::try_from_iter([("k", Arc::new(Int64Array::from(vec![4, 5])) as ArrayRef)]).unwrap();
        let passes = condition.evaluate(&batch).unwrap().into_array(2).unwrap();
        assert_eq!(passes.as_boolean(), &BooleanArray::from(vec![true, false]));
        assert!(condition.nullable(&schema()).unwrap());
        assert_eq!(condition.data_type(&schema()).unwrap(), DataType::Boolean);
    }
}
