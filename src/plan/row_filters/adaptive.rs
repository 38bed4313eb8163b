//! A condition that is asked as long as it lets few rows through.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::or_kleene;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::known::{Cost, Known};

/// Rows after which it is decided whether to go on asking.
const SAMPLE_ROWS: u64 = 1 << 14;
/// Rows that are let through before the next sample, where too many passed, and twice as many each time that they do
/// again: files may be in some order, so that the next rows are others, but samples cost as much as what they try out.
const REST_ROWS: u64 = 64 * SAMPLE_ROWS;
/// The share of rows up to which it is worth sending each of them to the keys of its partition first.
const MOST_ROUTED: f64 = 0.02;

/// Of so many batches one is asked as well which rows the next join leaves out.
const COMPARED_BATCHES: u64 = 16;

/// A dynamic filter, or another condition that only saves work: a row that it is not true of may be left out, and need
/// not be. While more than a given share of the rows passes, most of them are not asked. True for those. With an infinite
/// share all are asked.
///
/// A row that is left out is spared the way to the condition's join, and to be asked by joins before that. If the next of
/// these leaves it out as well, only the latter: such a row counts as half a row that passes.
///
/// ```text
///                      next: 1 of 100 rows passes    next: all pass
///   20 of 100 pass     20 + 79 / 2, too many         20
/// ```
#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    inner: Condition,
    most: f64,
    /// What the next join knows, if that is another.
    next: Option<Condition>,
    seen: Arc<Seen>,
}

/// A dynamic filter and what it is about now. The latter is kept by each copy for itself: copies may have other columns.
#[derive(Debug, Clone)]
struct Condition {
    filter: Arc<dyn PhysicalExpr>,
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
    /// Batches since the beginning, or since the last rest.
    batches: AtomicU64,
    /// Of a thousand rows that are left out, those that the next join leaves out as well: as last compared.
    left_out_next: AtomicU64,
}

impl Adaptive {
    /// A condition that is asked while at most this share of the rows passes, and what the next join above the rows
    /// knows, if the condition is not that join's.
    pub(super) fn around(
        inner: Arc<dyn PhysicalExpr>,
        most: f64,
        next: Option<Arc<dyn PhysicalExpr>>,
    ) -> Arc<dyn PhysicalExpr> {
        let next = next.map(Condition::new);
        Arc::new(Self { inner: Condition::new(inner), most, next, seen: Arc::default() })
    }

    /// How many of the rows that do not pass the next join leaves out as well; 0 while nothing is known of it.
    fn left_out_next(&self, batch: &RecordBatch, passes: &BooleanArray) -> Result<u64> {
        let left_out = (batch.num_rows() - passes.true_count()) as u64;
        let Some(next) = &self.next else { return Ok(0) };
        let at = self.seen.batches.fetch_add(1, Ordering::Relaxed);
        if left_out > 0 && at.is_multiple_of(COMPARED_BATCHES) {
            let both = match next.known(batch)?.evaluate(batch)? {
                ColumnarValue::Array(next) => {
                    let either = or_kleene(passes, as_condition(&next)?)?;
                    (batch.num_rows() - either.true_count()) as u64
                }
                ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))) => 0,
                ColumnarValue::Scalar(_) => left_out,
            };
            self.seen.left_out_next.store(both * 1000 / left_out, Ordering::Relaxed);
        }
        Ok(left_out * self.seen.left_out_next.load(Ordering::Relaxed) / 1000)
    }
}

impl Condition {
    fn new(filter: Arc<dyn PhysicalExpr>) -> Self {
        Self { filter, known: Arc::default() }
    }

    /// What there is to ask of rows in these columns.
    fn known(&self, batch: &RecordBatch) -> Result<Arc<Known>> {
        let generation = self.filter.snapshot_generation();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && known.is_of(generation)
        {
            return Ok(known);
        }
        let known = Arc::new(Known::new(&self.filter, generation, &batch.schema())?);
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
            if is_vain {
                self.batches.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// The values of a condition.
fn as_condition(values: &ArrayRef) -> Result<&BooleanArray> {
    let wrong = || DataFusionError::Internal(format!("a condition has values of {}", values.data_type()));
    values.as_boolean_opt().ok_or_else(wrong)
}

impl fmt::Display for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.filter.fmt(f)
    }
}

impl PartialEq for Adaptive {
    fn eq(&self, other: &Self) -> bool {
        let next = |of: &Self| of.next.as_ref().map(|next| Arc::clone(&next.filter));
        self.inner.filter.eq(&other.inner.filter) && self.most == other.most && next(self) == next(other)
    }
}

impl Eq for Adaptive {}

impl Hash for Adaptive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.filter.hash(state);
    }
}

impl PhysicalExpr for Adaptive {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.filter.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows() as u64;
        if self.seen.rests(rows) {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))));
        }
        let known = self.inner.known(batch)?;
        let most = match known.cost() {
            Cost::Routed if self.most.is_finite() => MOST_ROUTED,
            Cost::Routed => self.most,
            Cost::Lookups(lookups) => self.most / lookups as f64,
        };
        let value = known.evaluate(batch)?;
        // One value for all rows is what a filter has before it knows anything, and costs nothing.
        if let ColumnarValue::Array(passes) = &value {
            let passes = as_condition(passes)?;
            let counted = passes.true_count() as u64 + self.left_out_next(batch, passes)? / 2;
            self.seen.count(rows, counted, most);
        }
        Ok(value)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        iter::once(&self.inner).chain(&self.next).map(|condition| &condition.filter).collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let mut children = children.into_iter().map(Condition::new);
        match (children.next(), children.next(), children.next()) {
            (Some(inner), next, None) if next.is_some() == self.next.is_some() => {
                Ok(Arc::new(Self { inner, next, most: self.most, seen: Arc::clone(&self.seen) }))
            }
            _ => Err(DataFusionError::Internal("an adaptive condition has other children".into())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.filter.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, RecordBatchOptions};
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
        Adaptive::around(below, most, None)
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

    /// The keys of so many partitions, none of which is a list: the numbers below 15.
    fn routed(partitions: i64) -> Arc<dyn PhysicalExpr> {
        let schema = schema();
        let n = || col("n", &schema).unwrap();
        let below = || binary(n(), Operator::Lt, lit(15_i64), &schema).unwrap();
        let route = binary(n(), Operator::Modulo, lit(partitions), &schema).unwrap();
        let branches = (0..partitions).map(|partition| (lit(partition), below())).collect();
        Arc::new(CaseExpr::try_new(Some(route), branches, Some(lit(false))).unwrap())
    }

    #[test]
    fn rows_are_sent_to_their_partition_where_very_few_pass() {
        let [many, few] = [100, 1000].map(|keys| batch((0..ROWS as i64).map(|n| Some(n % keys))));
        let asked = |most, batch| {
            let filter = Adaptive::around(routed(5), most, None);
            (0..4).filter(|_| passing(&filter, batch) < ROWS).count()
        };
        assert_eq!((asked(0.5, &many), asked(0.5, &few), asked(f64::INFINITY, &many)), (2, 4, 4));
    }

    #[test]
    fn the_more_lookups_a_row_takes_the_fewer_may_pass() {
        let batch = batch((0..ROWS as i64).map(|n| Some(n % 100)));
        let asked = |partitions| {
            let filter = Adaptive::around(routed(partitions), 0.5, None);
            (0..4).filter(|_| passing(&filter, &batch) < ROWS).count()
        };
        assert_eq!([1, 2, 3, 4].map(asked), [4, 4, 4, 2]);
    }

    /// Of 100 rows 20 pass, and the next join lets through a hundredth of all rows, or half of them.
    #[test]
    fn rows_that_the_next_join_leaves_out_are_half_as_much_worth_leaving_out() {
        let schema = schema();
        let n = || col("n", &schema).unwrap();
        let below = |most: i64| binary(n(), Operator::Lt, lit(most), &schema).unwrap();
        let batch = batch((0..ROWS as i64).map(|n| Some(n % 100)));
        let asked = |next| {
            let filter = Adaptive::around(below(20), 0.5, next);
            (0..200).filter(|_| passing(&filter, &batch) < ROWS).count()
        };
        assert_eq!((asked(None), asked(Some(below(1))), asked(Some(below(50)))), (200, 4, 200));
        assert_eq!((asked(Some(below(100))), asked(Some(lit(true))), asked(Some(lit(false)))), (200, 200, 4));
    }

    /// Before a rest and after it.
    #[test]
    fn what_the_next_join_leaves_out_is_found_out_anew() {
        let schema = schema();
        let next = binary(col("n", &schema).unwrap(), Operator::Lt, lit(100_i64), &schema).unwrap();
        let filter = Adaptive::around(
            binary(col("n", &schema).unwrap(), Operator::Modulo, lit(10_i64), &schema)
                .and_then(|digit| binary(digit, Operator::Lt, lit(2_i64), &schema))
                .unwrap(),
            0.5,
            Some(next),
        );
        let [near, far] = [0_i64, 1000].map(|from| batch((0..ROWS as i64).map(|n| Some(from + n % 100))));
        let left_out = |batch, times| (0..times).filter(|_| passing(&filter, batch) < ROWS).count();
        assert_eq!(left_out(&near, 32), 32);
        assert_eq!(left_out(&far, 100), 2);
        assert_eq!(left_out(&near, 200), 200 - 30);
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
