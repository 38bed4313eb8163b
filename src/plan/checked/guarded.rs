//! AND and OR as an expression that computes its right side only where that is asked for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::compute::kernels::boolean::{and_kleene, or_kleene};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr::utils::collect_columns;

/// `left AND right` or `left OR right`, in three-valued logic; the right side is computed for those rows
/// only that the left side leaves open.
#[derive(Debug, Eq)]
pub(super) struct Guarded {
    left: Arc<dyn PhysicalExpr>,
    op: Operator,
    right: Arc<dyn PhysicalExpr>,
}

// Derived, these would move out of the shared sides (rust-lang/rust#78808).
impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.op.hash(state);
        self.left.hash(state);
        self.right.hash(state);
    }
}

impl Guarded {
    /// `op` is AND or OR.
    pub(super) fn new(left: Arc<dyn PhysicalExpr>, op: Operator, right: Arc<dyn PhysicalExpr>) -> Self {
        Self { left, op, right }
    }

    /// The rows for which the left side does not decide.
    fn open(&self, left: &BooleanArray) -> BooleanArray {
        let settles = self.op == Operator::Or;
        (0..left.len()).map(|row| Some(left.is_null(row) || left.value(row) != settles)).collect()
    }

    /// The batch with nothing in the columns that the right side does not read: the rows left open are
    /// copied from all columns.
    fn read_by_right(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let read = collect_columns(&self.right);
        if read.len() == batch.num_columns() {
            return Ok(batch.clone());
        }
        let mut fields = Vec::with_capacity(batch.num_columns());
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (at, (field, column)) in batch.schema_ref().fields().iter().zip(batch.columns()).enumerate() {
            if read.iter().any(|column| column.index() == at) {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            } else {
                fields.push(Arc::new(Field::new(field.name(), DataType::Null, true)));
                columns.push(new_null_array(&DataType::Null, batch.num_rows()));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BinaryExpr::new(Arc::clone(&self.left), self.op, Arc::clone(&self.right)).fmt(f)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        Ok(self.left.nullable(schema)? || self.right.nullable(schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let left = self.left.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(left) = left.as_boolean_opt() else {
            return internal_err!("{} of {} values", self.op, left.data_type());
        };
        let open = self.open(left);
        if !open.has_true() {
            return Ok(ColumnarValue::Array(Arc::new(left.clone())));
        }
        let right = match open.has_false() {
            true => self.right.evaluate_selection(&self.read_by_right(batch)?, &open)?,
            false => self.right.evaluate(batch)?,
        };
        let right = right.into_array(batch.num_rows())?;
        let Some(right) = right.as_boolean_opt() else {
            return internal_err!("{} of {} values", self.op, right.data_type());
        };
        let both = match self.op {
            Operator::Or => or_kleene(left, right)?,
            _ => and_kleene(left, right)?,
        };
        Ok(ColumnarValue::Array(Arc::new(both)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match <[Arc<dyn PhysicalExpr>; 2]>::try_from(children) {
            Ok([left, right]) => Ok(Arc::new(Self { left, op: self.op, right })),
            Err(children) => internal_err!("{} of {} sides", self.op, children.len()),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.left.fmt_sql(f)?;
        write!(f, " {} ", self.op)?;
        self.right.fmt_sql(f)
    }
}
