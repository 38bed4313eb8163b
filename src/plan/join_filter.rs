//! Conditions of outer sort-merge joins that see the NULLs which the join makes.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;

/// Declares the columns of a sort-merge join's condition nullable. The join computes the condition also for
/// rows without a partner, with NULL for that one's columns; where these are declared NOT NULL, the stock
/// join fails.
#[derive(Debug)]
pub struct NullableJoinFilters;

impl PhysicalOptimizerRule for NullableJoinFilters {
    fn name(&self) -> &str {
        "nullable_join_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| match node.downcast_ref::<SortMergeJoinExec>() {
            Some(join) => match join.filter() {
                Some(filter) => Ok(Transformed::yes(with_filter(join, nullable(filter))?)),
                None => Ok(Transformed::no(node)),
            },
            None => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

fn nullable(filter: &JoinFilter) -> JoinFilter {
    let schema = filter.schema();
    let fields = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    JoinFilter::new(Arc::clone(filter.expression()), filter.column_indices().to_vec(), Arc::new(schema))
}

/// A join with another filter; the engine has no builder for this kind.
pub(super) fn with_filter(join: &SortMergeJoinExec, filter: JoinFilter) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        Some(filter),
        join.join_type(),
        join.sort_options().to_vec(),
        join.null_equality(),
    )?))
}
