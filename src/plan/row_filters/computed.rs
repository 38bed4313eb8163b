//! Joins with groups, some of whose keys the groups have computed.
//!
//! ```text
//!   Join on partkey, cost = min(cost)             Join on partkey, where cost = min(cost)
//!     ├─ build: ...                                 ├─ build: ...            │ partkey IN (...)
//!     └─ Aggregate by partkey; min(cost)            └─ Aggregate by partkey  ▼
//! ```
//!
//! The dynamic filter of a join names all keys of its probe side at once, so one that an aggregation computes keeps it
//! above the aggregation, and groups are made of rows that no partner is waiting for. What is computed is therefore asked
//! as a condition of rows whose groups fit. Groups differ in their keys, so that each row of the build side meets one at
//! most, and the condition is asked no more often than the build side has rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType, NullEquality, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, HashJoinExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;

use super::{Plan, ours};
use crate::config::Applied;

/// Makes conditions of the keys that the probe side of a hash join computes for its groups.
#[derive(Debug)]
pub(super) struct ComputedKeys;

impl PhysicalOptimizerRule for ComputedKeys {
    fn name(&self) -> &str {
        "computed_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let applied = ours(config).map_or(Applied::Off, |options| options.row_filters);
        if applied == Applied::Off || !config.optimizer.enable_join_dynamic_filter_pushdown {
            return Ok(plan);
        }
        let plan = plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join) => Ok(match asked_later(join)? {
                Some(join) => Transformed::yes(join),
                None => Transformed::no(node),
            }),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

/// The join with its computed keys as conditions; `None` where there are none, or all are.
fn asked_later(join: &HashJoinExec) -> Result<Option<Plan>> {
    let keeps_rows = matches!(join.join_type(), JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi);
    if !keeps_rows || join.null_aware || join.null_equality() != NullEquality::NullEqualsNothing {
        return Ok(None);
    }
    let columns: Option<Vec<_>> = join.on().iter().map(|(build, probe)| columns(build, probe)).collect();
    let Some(columns) = columns else { return Ok(None) };
    let places: Option<Vec<_>> = columns.iter().map(|(_, probe)| of_groups(join.right(), *probe)).collect();
    let Some(places) = places else { return Ok(None) };
    let is_key = |place: &Place| place.column < place.keys;
    let has_all_keys = |keys| (0..keys).all(|key| places.iter().any(|place| place.column == key));
    if places.iter().all(is_key)
        || !places.first().is_some_and(|place| place.keys > 0 && has_all_keys(place.keys))
    {
        return Ok(None);
    }
    let mut filter = Condition::of(join);
    let mut on = Vec::new();
    for ((place, (build, probe)), pair) in places.iter().zip(columns).zip(join.on()) {
        match is_key(place) {
            true => on.push(pair.clone()),
            false if has_one_equality(join.left().schema().field(build).data_type()) => {
                filter.add(join, build, probe)
            }
            false => return Ok(None),
        }
    }
    let join = HashJoinExecBuilder::from(join).with_on(on).with_filter(Some(filter.done()));
    Ok(Some(Arc::new(join.recompute_properties().build()?)))
}

/// Where both sides of a key are, if they are columns.
fn columns(build: &Arc<dyn PhysicalExpr>, probe: &Arc<dyn PhysicalExpr>) -> Option<(usize, usize)> {
    Some((build.downcast_ref::<Column>()?.index(), probe.downcast_ref::<Column>()?.index()))
}

/// A column of groups: their keys come first.
struct Place {
    column: usize,
    keys: usize,
}

/// Where an aggregation gives a column of a plan that only passes its groups on.
fn of_groups(plan: &Plan, column: usize) -> Option<Place> {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let groups = aggregate.group_expr();
        return groups.is_single().then(|| Place { column, keys: groups.num_group_exprs() });
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let from = projection.expr().get(column)?.expr.downcast_ref::<Column>()?.index();
        return of_groups(projection.input(), from);
    }
    let filter = plan.downcast_ref::<FilterExec>()?;
    let from = match filter.projection().as_ref() {
        Some(projection) => *projection.get(column)?,
        None => column,
    };
    of_groups(filter.input(), from)
}

/// Whether `=` and the keys of a join agree on what is equal, as they need not for zeros and NaN.
fn has_one_equality(kind: &DataType) -> bool {
    !kind.is_floating() && !kind.is_nested() && !matches!(kind, DataType::Dictionary(..))
}

/// The condition of a join, and what is added to it.
struct Condition {
    parts: Vec<Arc<dyn PhysicalExpr>>,
    columns: Vec<ColumnIndex>,
    fields: Vec<Field>,
}

impl Condition {
    /// The condition that a join has already.
    fn of(join: &HashJoinExec) -> Self {
        match join.filter() {
            Some(filter) => Self {
                parts: vec![Arc::clone(filter.expression())],
                columns: filter.column_indices().to_vec(),
                fields: filter.schema().fields().iter().map(|field| field.as_ref().clone()).collect(),
            },
            None => Self { parts: Vec::new(), columns: Vec::new(), fields: Vec::new() },
        }
    }

    /// Asks that a column of the build side equals one of the probe side.
    fn add(&mut self, join: &HashJoinExec, build: usize, probe: usize) {
        let sides = [(join.left(), JoinSide::Left, build), (join.right(), JoinSide::Right, probe)];
        let [build, probe] = sides.map(|(plan, side, index)| {
            let schema = plan.schema();
            let field = schema.field(index);
            let column = Column::new(field.name(), self.fields.len());
            self.columns.push(ColumnIndex { index, side });
            self.fields.push(field.clone());
            Arc::new(column) as Arc<dyn PhysicalExpr>
        });
        self.parts.push(Arc::new(BinaryExpr::new(build, Operator::Eq, probe)));
    }

    fn done(self) -> JoinFilter {
        JoinFilter::new(conjunction(self.parts), self.columns, Arc::new(Schema::new(self.fields)))
    }
}
