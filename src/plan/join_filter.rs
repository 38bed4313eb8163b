//! Conditions of sort-merge joins: those of outer ones see the NULLs which the join makes, and all keep their columns.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};

use super::rules::PhysicalRule;

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

/// The stock rule that moves projections, kept from sort-merge joins that have a condition. It moves projections below
/// these, and the condition then finds another column at the place of its own: another type, or other rows. (Of
/// other joins it moves the condition's columns too.) While it runs, such joins are in a node that no projection passes.
#[derive(Debug)]
struct KeptColumns {
    stock: PhysicalRule,
}

/// Has the columns that conditions of joins read stay, in the place of the stock rule, wherever it is.
pub fn with_kept_columns(rules: Vec<PhysicalRule>) -> Vec<PhysicalRule> {
    let name = ProjectionPushdown::new().name().to_string();
    let ours = |stock: PhysicalRule| match stock.name() == name {
        true => Arc::new(KeptColumns { stock }) as PhysicalRule,
        false => stock,
    };
    rules.into_iter().map(ours).collect()
}

impl PhysicalOptimizerRule for KeptColumns {
    fn name(&self) -> &str {
        self.stock.name()
    }

    fn schema_check(&self) -> bool {
        self.stock.schema_check()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| match node.downcast_ref::<SortMergeJoinExec>() {
            Some(join) if join.filter().is_some() => {
                Ok(Transformed::yes(Arc::new(Kept { join: node }) as Arc<dyn ExecutionPlan>))
            }
            Some(_) | None => Ok(Transformed::no(node)),
        })?;
        if !kept.transformed {
            return self.stock.optimize(kept.data, config);
        }
        let plan = self.stock.optimize(kept.data, config)?.transform_up(|node| {
            let join = node.downcast_ref::<Kept>().map(|kept| Arc::clone(&kept.join));
            Ok(join.map_or_else(|| Transformed::no(node), Transformed::yes))
        })?;
        Ok(plan.data)
    }
}

/// A join that looks like itself to all but projections. It is never run.
#[derive(Debug)]
struct Kept {
    join: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Kept {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.join.fmt_as(format, f)
    }
}

impl ExecutionPlan for Kept {
    fn name(&self) -> &'static str {
        "Kept"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.join]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(join), None) => Ok(Arc::new(Self { join })),
            _ => internal_err!("one join is kept"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("a kept join is not run")
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
