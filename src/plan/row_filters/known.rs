//! What a dynamic filter knows by now, in a form that is quick to ask.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, InListExpr, Literal, in_list};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use datafusion::physical_plan::joins::HashTableLookupExpr;

/// Partitions of a join whose keys are looked up one after the other, without finding out which of them a row would go to.
const LOOKUPS_MAX: usize = 4;

/// A dynamic filter as it is at one time. It is asked of its own columns alone: a `CASE`, as it has one branch for each
/// partition of a join, copies all that it is given.
#[derive(Debug)]
pub(super) struct Known {
    generation: u64,
    columns: Vec<usize>,
    /// With its columns where `columns` has them.
    condition: Arc<dyn PhysicalExpr>,
    cost: Cost,
}

/// What it takes to ask a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// So many lookups.
    Lookups(usize),
    /// Each row has to be sent to the keys of its partition first. That costs more than a shuffle of few columns: TPC-H
    /// Q22 at scale factor 10, where one row in eight passes, took 1.4 times as long.
    Routed,
}

impl Known {
    /// What a filter knows. The generation is one that it had before.
    pub(super) fn new(filter: &Arc<dyn PhysicalExpr>, generation: u64, schema: &Schema) -> Result<Self> {
        let condition = filter.snapshot()?.unwrap_or_else(|| Arc::clone(filter));
        let partitions = partitions(&condition);
        let (condition, lookups) = match (one_list(&partitions, schema)?, any(&partitions)) {
            (Some(list), _) => (list, 1),
            (None, Some(any)) => (any, partitions.len()),
            (None, None) => (Arc::clone(&condition), 1),
        };
        let mut columns: Vec<_> = collect_columns(&condition).iter().map(Column::index).collect();
        columns.sort_unstable();
        columns.dedup();
        let moved = condition.transform_down(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let Ok(at) = columns.binary_search(&column.index()) else { return Ok(Transformed::no(expr)) };
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), at)) as _))
        })?;
        let cost = match moved.data.exists(|expr| Ok(expr.is::<CaseExpr>()))? {
            true => Cost::Routed,
            false => Cost::Lookups(lookups),
        };
        Ok(Self { generation, columns, condition: moved.data, cost })
    }

    /// Whether it is what the filter knows in a generation of its.
    pub(super) fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Which rows pass; one value where nothing is known, or no row can pass.
    pub(super) fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.condition.evaluate(&batch.project(&self.columns)?)
    }
}

/// The keys of all partitions of a join as one list. Which partition a row would go to need not be known then: a key
/// is in the list of its own partition, if it is in any.
///
/// ```text
///   CASE hash(k) % 2 WHEN 0 THEN k >= 1 AND k <= 8 AND k IN (1, 8)
///                    WHEN 1 THEN k >= 2 AND k <= 9 AND k IN (2, 9) ELSE false END     k IN (1, 8, 2, 9)
/// ```
fn one_list(partitions: &[&Arc<dyn PhysicalExpr>], schema: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let mut key: Option<&Arc<dyn PhysicalExpr>> = None;
    let mut keys = Vec::new();
    for partition in partitions {
        let parts = split_conjunction(partition);
        let Some(list) = parts.into_iter().find_map(|part| part.downcast_ref::<InListExpr>()) else {
            return Ok(None);
        };
        let is_same = key.is_none_or(|key| key.as_ref() == list.expr().as_ref());
        if list.negated() || !is_same || !list.expr().is::<Column>() {
            return Ok(None);
        }
        key = Some(list.expr());
        keys.extend(list.list().iter().cloned());
    }
    key.map(|key| in_list(Arc::clone(key), keys, &false, schema)).transpose()
}

/// The keys of all partitions of a join, if these are few: a row is looked up in each, which is less work than to send it
/// to its own. That another partition may have a row's key does no harm; it has not.
///
/// ```text
///   CASE hash(k) % 2 WHEN 0 THEN k >= 1 AND k <= 8 AND lookup(k)
///                    WHEN 1 THEN k >= 2 AND k <= 9 AND lookup(k) ELSE false END     lookup(k) OR lookup(k)
/// ```
fn any(partitions: &[&Arc<dyn PhysicalExpr>]) -> Option<Arc<dyn PhysicalExpr>> {
    if partitions.len() > LOOKUPS_MAX {
        return None;
    }
    let lookups = partitions.iter().map(|partition| {
        let mut parts = split_conjunction(partition).into_iter();
        Arc::clone(parts.find(|part| part.is::<HashTableLookupExpr>()).unwrap_or(partition))
    });
    lookups.reduce(|any, next| Arc::new(BinaryExpr::new(any, Operator::Or, next)))
}

/// What each partition of a join knows of its own keys, but for those that have none; nothing if that is not all that a
/// condition says.
fn partitions(condition: &Arc<dyn PhysicalExpr>) -> Vec<&Arc<dyn PhysicalExpr>> {
    let Some(case) = condition.downcast_ref::<CaseExpr>() else { return Vec::new() };
    let is_all = case.expr().is_some() && case.else_expr().is_some_and(is_false);
    let branches = case.when_then_expr().iter().filter(|_| is_all).map(|(_, then)| then);
    branches.filter(|then| !is_false(then)).collect()
}

fn is_false(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let literal = expr.downcast_ref::<Literal>();
    literal.is_some_and(|literal| matches!(literal.value(), ScalarValue::Boolean(Some(false))))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, lit};

    use super::*;

    fn batch() -> RecordBatch {
        let numbers = |keys: [i64; 6]| Arc::new(Int64Array::from_iter_values(keys)) as ArrayRef;
        let text = Arc::new(StringArray::from(vec!["a"; 6])) as ArrayRef;
        let keys = numbers([1, 2, 3, 7, 8, 9]);
        RecordBatch::try_from_iter([("text", text), ("k", keys), ("n", numbers([0; 6]))]).unwrap()
    }

    fn number(value: i64) -> Arc<dyn PhysicalExpr> {
        lit(value)
    }

    fn list(schema: &Schema, column: &str, keys: &[i64]) -> Arc<dyn PhysicalExpr> {
        let key = || col(column, schema).unwrap();
        let least = binary(key(), Operator::GtEq, number(keys[0]), schema).unwrap();
        let listed = in_list(key(), keys.iter().copied().map(number).collect(), &false, schema).unwrap();
        binary(least, Operator::And, listed, schema).unwrap()
    }

    /// As hash joins have it for two partitions, with a route that is wrong half of the time.
    fn routed(schema: &Schema, branches: [Arc<dyn PhysicalExpr>; 2], other: bool) -> Arc<dyn PhysicalExpr> {
        let route = binary(col("k", schema).unwrap(), Operator::Modulo, number(2), schema).unwrap();
        let branches = (0..).map(number).zip(branches).collect();
        Arc::new(CaseExpr::try_new(Some(route), branches, Some(lit(other))).unwrap())
    }

    fn known(condition: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Known {
        Known::new(condition, 1, &batch.schema()).unwrap()
    }

    fn passing(known: &Known, batch: &RecordBatch) -> Vec<i64> {
        let passes = known.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
        let keys = batch.column(1).as_primitive::<datafusion::arrow::datatypes::Int64Type>();
        let rows = passes.as_boolean().iter().zip(keys.values());
        rows.filter_map(|(passes, key)| (passes == Some(true)).then_some(*key)).collect()
    }

    #[test]
    fn the_lists_of_all_partitions_are_one() {
        let batch = batch();
        let schema = batch.schema();
        let known = known(
            &routed(&schema, [list(&schema, "k", &[2, 8]), list(&schema, "k", &[1, 9])], false),
            &batch,
        );
        assert!(known.condition.is::<InListExpr>(), "{:?}", known.condition);
        assert_eq!(passing(&known, &batch), [1, 2, 8, 9]);
        assert_eq!((known.cost(), &known.columns[..]), (Cost::Lookups(1), &[1][..]));
    }

    #[test]
    fn an_empty_partition_has_no_list() {
        let batch = batch();
        let schema = batch.schema();
        let known = known(&routed(&schema, [lit(false), list(&schema, "k", &[1, 9])], false), &batch);
        assert!(known.condition.is::<InListExpr>(), "{:?}", known.condition);
        assert_eq!(passing(&known, &batch), [1, 9]);
    }

    /// Keys that are not listed, other keys.
    #[test]
    fn without_lists_a_row_is_looked_up_in_each_of_few_partitions() {
        let batch = batch();
        let schema = batch.schema();
        let bounds = binary(col("k", &schema).unwrap(), Operator::Lt, number(3), &schema).unwrap();
        let of_k = list(&schema, "k", &[2, 8]);
        for (condition, expected) in [
            (routed(&schema, [of_k.clone(), bounds], false), &[1, 2, 8][..]),
            (routed(&schema, [of_k, list(&schema, "n", &[0])], false), &[1, 2, 3, 7, 8, 9]),
        ] {
            let known = known(&condition, &batch);
            assert_eq!(known.cost(), Cost::Lookups(2), "{:?}", known.condition);
            assert_eq!(passing(&known, &batch), expected, "{condition}");
        }
    }

    /// A partition of which nothing is known, more partitions than are looked up one after the other: the route decides.
    #[test]
    fn other_rows_are_sent_to_their_partition() {
        let batch = batch();
        let schema = batch.schema();
        let lists = [list(&schema, "k", &[2, 8]), list(&schema, "k", &[1, 9])];
        let below = |most| binary(col("k", &schema).unwrap(), Operator::Lt, number(most), &schema).unwrap();
        let route = binary(col("k", &schema).unwrap(), Operator::Modulo, number(5), &schema).unwrap();
        // One of them has all keys, and none of the rows.
        let branches = (0..5).map(|digit| (number(digit), below(if digit == 0 { 100 } else { digit + 2 })));
        let branches = branches.collect();
        let many = CaseExpr::try_new(Some(route), branches, Some(lit(false))).unwrap();
        for (condition, expected) in
            [(routed(&schema, lists, true), &[1, 2, 8, 9][..]), (Arc::new(many) as _, &[1, 2, 3])]
        {
            let known = known(&condition, &batch);
            assert_eq!(known.cost(), Cost::Routed, "{:?}", known.condition);
            assert_eq!(passing(&known, &batch), expected, "{condition}");
        }
    }
}
