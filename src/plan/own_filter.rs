//! Filters that look to all others like the stock one and hand their rows on in another way.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};

use super::{first_rows, row_filters};

type Plan = Arc<dyn ExecutionPlan>;

/// How a filter hands on the rows that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The first as soon as there are some (`first_rows.rs`).
    Promptly,
    /// Whole batches as they are, where all of their rows pass (`row_filters.rs`).
    Lightly,
}

/// The rows that pass a stock filter, in the same order, in the partitions of its input.
pub(super) struct OwnFilter {
    filter: Arc<FilterExec>,
    how: How,
    metrics: ExecutionPlanMetricsSet,
}

impl OwnFilter {
    pub(super) fn around(filter: FilterExec, how: How) -> Plan {
        Arc::new(Self { filter: Arc::new(filter), how, metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl fmt::Debug for OwnFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt(f)
    }
}

impl DisplayAs for OwnFilter {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_as(format, f)
    }
}

impl ExecutionPlan for OwnFilter {
    fn name(&self) -> &str {
        self.filter.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.filter.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.filter.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.filter.maintains_input_order()
    }

    fn children(&self) -> Vec<&Plan> {
        self.filter.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.filter.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Plan>,
        options: ReplaceChildrenOptions,
    ) -> Result<Plan> {
        let replaced = Arc::clone(&self.filter).replace_children(children, options)?;
        Ok(match replaced.downcast_ref::<FilterExec>() {
            Some(filter) => Self::around(filter.clone(), self.how),
            None => replaced,
        })
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Plan>) -> Result<Plan> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.filter.input().execute(partition, context)?;
        let (filter, metrics, schema) = (&self.filter, &self.metrics, self.schema());
        Ok(match self.how {
            How::Promptly => {
                let rows = first_rows::passing(filter, input, partition, metrics);
                Box::pin(RecordBatchStreamAdapter::new(schema, rows))
            }
            How::Lightly => {
                let rows = row_filters::passing(filter, input, partition, metrics);
                Box::pin(RecordBatchStreamAdapter::new(schema, rows))
            }
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.filter.statistics_from_inputs(inputs, args)
    }

    fn fetch(&self) -> Option<usize> {
        self.filter.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.filter.cardinality_effect()
    }
}
