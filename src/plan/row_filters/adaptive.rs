//! A condition that is asked as long as it lets few rows through.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::known::Known;

/// Rows after which it is decided whether to go on asking.
const SAMPLE_ROWS: u64 = 1 << 14;
/// Rows that are let through before the next sample, where too many passed, and twice as many each time that they do
/// again: files may be in some order, so that the next rows are others, but samples cost as much as what they try out.
const REST_ROWS: u64 = 64 * SAMPLE_ROWS;
/// The share of rows up to which it is worth sending each of them to the keys of its partition first.
const MOST_ROUTED: f64 = 0.02;

/// A dynamic filter, or another condition that only saves work: a row that it is not true of may be left out, and need
/// not be. While more than a given share of the rows passes, most of them are not asked. True for those. With an infinite
/// share all are asked.
#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    inner: Arc<dyn PhysicalExpr>,
    most: f64,
    seen: Arc<Seen>,
    /// What it is about now. Kept by each copy for itself: copies may have other columns.
    known: Arc<RwLock<Option<Arc<Known>>>>,
}

/// What all partitions have seen together. Counts may miss a batch where two partitions end a sample at once.
#[derive(Debug, Default)]
struct Seen {
    asked: AtomicU64,
    passed: AtomicU64,
    /// Rows to let through unasked.
    rest: AtomicU64,
    /// The rest before, if the sample after it was in vain as well.
    last: AtomicU64,
}

impl Adaptive {
    /// A condition that is asked while at most this share of the rows passes.
    pub(super) fn around(inner: Arc<dyn PhysicalExpr>, most: f64) -> Arc<dyn PhysicalExpr> {
        Arc::new(Self { inner, most, seen: Arc::default(), known: Arc::default() })
    }

    /// What there is to ask of rows in these columns.
    fn known(&self, batch: &RecordBatch) -> Result<Arc<Known>> {
        let generation = self.inner.snapshot_generation();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && known.is_of(generation)
        {
            return Ok(known);
        }
        let known = Arc::new(Known::new(&self.inner, generation, &batch.schema())?);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
        Ok(known)
    }
}

impl Seen {
    /// Whether these rows are let through unasked.
    fn rests(&self, rows: u64) -> bool {
        let left = self.rest.load(Ordering::Relaxed);
        if left > 0 {
            self.rest.store(left.saturating_sub(rows), Ordering::Relaxed);
        }
        left > 0
    }

    fn count(&self, rows: u64, passed: u64, most: f64) {
        let asked = self.asked.fetch_add(rows, Ordering::Relaxed) + rows;
        let passed = self.passed.fetch_add(passed, Ordering::Relaxed) + passed;
        if asked >= SAMPLE_ROWS {
            self.asked.store(0, Ordering::Relaxed);
            self.passed.store(0, Ordering::Relaxed);
            let is_vain = passed as f64 > asked as f64 * most;
            let last = self.last.load(Ordering::Relaxed);
            let rest = if is_vain { last.saturating_mul(2).max(REST_ROWS) } else { 0 };
            self.rest.store(rest, Ordering::Relaxed);
            self.last.store(rest, Ordering::Relaxed);
        }
    }
}

impl fmt::Display for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Adaptive {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && self.most == other.most
    }
}

impl Eq for Adaptive {}

impl Hash for Adaptive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Adaptive {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows() as u64;
        if self.seen.rests(rows) {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))));
        }
        let known = self.known(batch)?;
        let most = if known.is_routed() && self.most.is_finite() { MOST_ROUTED } else { self.most };
        let value = known.evaluate(batch)?;
        // One value for all rows is what a filter has before it knows anything, and costs nothing.
        if let ColumnarValue::Array(passes) = &value {
            let passes = passes.as_boolean_opt().ok_or_else(|| {
                DataFusionError::Internal(format!(
                    "{} is no condition but {}",
                    self.inner,
                    passes.data_type()
                ))
            })?;
            self.seen.count(rows, passes.true_count() as u64, most);
        }
        Ok(value)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Arc::new(Self { inner, known: Arc::default(), ..Self::clone(&self) })),
            _ => Err(DataFusionError::Internal("an adaptive condition is around one other".into())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BooleanArray, Int64Array, RecordBatchOptions};
    use datafusion::arrow::datatypes::Field;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{CaseExpr, binary, col, lit};

    use super::*;

    const ROWS: usize = 1 << 13;

    fn schema() -> Schema {
        Schema::new(vec![Field::new("n", DataType::Int64, true)])
    }

    fn batch(values: impl Iterator<Item = Option<i64>>) -> RecordBatch {
        let column = Arc::new(values.collect::<Int64Array>());
        let rows = RecordBatchOptions::new().with_row_count(Some(column.len()));
        RecordBatch::try_new_with_options(Arc::new(schema()), vec![column], &rows).unwrap()
    }

    /// Of the numbers up to 100, those below 50.
    fn half(most: f64) -> Arc<dyn PhysicalExpr> {
        let schema = schema();
        let below = binary(col("n", &schema).unwrap(), Operator::Lt, lit(50_i64), &schema).unwrap();
        Adaptive::around(below, most)
    }

    fn passing(filter: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> usize {
        let value = filter.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
        value.as_any().downcast_ref::<BooleanArray>().unwrap().true_count()
    }

    #[test]
    fn few_enough_rows_are_all_asked() {
        let filter = half(0.6);
        let batch = batch((0..ROWS as i64).map(|n| Some(n % 100)));
        let all: Vec<_> = (0..400).map(|_| passing(&filter, &batch)).collect();
        assert!(all.iter().all(|passed| (4000..4200).contains(passed)), "{all:?}");
    }

    /// Of batches of 8,192 rows, two are a sample.
    #[test]
    fn too_many_are_let_through_and_asked_again_later_and_later() {
        let filter = half(0.4);
        let batch = batch((0..ROWS as i64).map(|n| Some(n % 100)));
        let asked = (0..1000).filter(|_| passing(&filter, &batch) < ROWS);
        assert_eq!(asked.collect::<Vec<_>>(), [0, 1, 130, 131, 388, 389, 902, 903]);
    }

    /// Files are often in an order: what passes at the beginning says nothing of the end.
    #[test]
    fn what_comes_after_a_rest_is_found_out_anew() {
        let filter = half(0.4);
        let (all, none) = (batch((0..ROWS).map(|_| Some(1))), batch((0..ROWS).map(|_| Some(99))));
        let let_through = |batches| (0..batches).map(|_| passing(&filter, &all)).collect::<Vec<_>>();
        assert_eq!(let_through(2 + 128), [ROWS; 2 + 128]);
        assert_eq!((passing(&filter, &none), passing(&filter, &none)), (0, 0));
        // What was found out then counts: the next rest is a first one.
        assert_eq!(let_through(2 + 128), [ROWS; 2 + 128]);
        assert_eq!(passing(&filter, &none), 0);
    }

    #[test]
    fn a_row_of_which_nothing_is_known_does_not_pass() {
        assert_eq!(passing(&half(0.9), &batch([Some(1), None, Some(99)].into_iter())), 1);
    }

    /// The keys of several partitions that are no lists. Of 100 rows 15 pass.
    #[test]
    fn rows_are_routed_where_very_few_pass() {
        let schema = schema();
        let n = || col("n", &schema).unwrap();
        let below = |most| binary(n(), Operator::Lt, lit(most), &schema).unwrap();
        let route = binary(n(), Operator::Modulo, lit(2_i64), &schema).unwrap();
        let branches = vec![(lit(0_i64), below(10_i64)), (lit(1_i64), below(20_i64))];
        let routed: Arc<dyn PhysicalExpr> =
            Arc::new(CaseExpr::try_new(Some(route), branches, Some(lit(false))).unwrap());
        let batches = [0..100, 0..1000].map(|keys| {
            let keys = keys.cycle().take(ROWS);
            batch(keys.map(Some))
        });
        let asked = |most, batch| {
            let filter = Adaptive::around(Arc::clone(&routed), most);
            (0..4).filter(|_| passing(&filter, batch) < ROWS).count()
        };
        let [many, few] = &batches;
        assert_eq!((asked(0.5, many), asked(0.5, few), asked(f64::INFINITY, many)), (2, 4, 4));
    }

    #[test]
    fn copies_count_together() {
        let filter = half(0.4);
        let copy =
            Arc::clone(&filter).with_new_children(filter.children().into_iter().cloned().collect()).unwrap();
        let batch = batch((0..ROWS as i64).map(|n| Some(n % 100)));
        assert!(passing(&filter, &batch) < ROWS && passing(&copy, &batch) < ROWS);
        assert_eq!((passing(&filter, &batch), passing(&copy, &batch)), (ROWS, ROWS));
        assert_eq!(filter.as_ref(), copy.as_ref());
    }
}
