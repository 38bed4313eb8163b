//! The leaf of a physical plan that reads a shared subplan.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{EvaluationType, SchedulingType};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};

use super::ShareId;

/// Reads a shared subplan: the same partitions, in the same order, as the subplan has. To the planner's rules it is a
/// leaf that nothing crosses; lowering makes a stage of the subplan, and an edge of each leaf.
#[derive(Debug, Clone)]
pub struct SharedExec {
    id: ShareId,
    name: Arc<str>,
    readers: usize,
    plan: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// Whether the subplan is seen below this leaf; it is below one of them.
    is_shown: bool,
}

impl SharedExec {
    /// A leaf for a subplan that is planned, with the columns that its readers expect.
    ///
    /// # Errors
    /// Columns of other types than the subplan's.
    pub(super) fn try_new(
        id: ShareId,
        name: &str,
        readers: usize,
        plan: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
    ) -> Result<Self> {
        // The optimiser may have found out more about the subplan's columns than its readers were told.
        let equivalences = plan.properties().eq_properties.clone().with_new_schema(schema)?;
        let properties = PlanProperties::clone(plan.properties())
            .with_eq_properties(equivalences)
            .with_evaluation_type(EvaluationType::Lazy)
            // An edge's leaf gives way to other tasks by itself.
            .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { id, name: name.into(), readers, plan, properties: Arc::new(properties), is_shown: false })
    }

    /// Which subplan it reads.
    pub fn id(&self) -> ShareId {
        self.id
    }

    /// What its readers call the subplan.
    pub fn called(&self) -> &Arc<str> {
        &self.name
    }

    /// The subplan.
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, readers, .. } = self;
        match (format, self.is_shown) {
            (DisplayFormatType::Default | DisplayFormatType::Verbose, true) => {
                write!(f, "SharedExec: {name}, computed once, readers={readers}")
            }
            (DisplayFormatType::Default | DisplayFormatType::Verbose, false) => {
                write!(f, "SharedExec: {name}, shown elsewhere")
            }
            (DisplayFormatType::TreeRender, true) => {
                writeln!(f, "name={name}")?;
                writeln!(f, "computed once")?;
                writeln!(f, "readers={readers}")
            }
            (DisplayFormatType::TreeRender, false) => {
                writeln!(f, "name={name}")?;
                writeln!(f, "shown elsewhere")
            }
        }
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &'static str {
        "SharedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        if self.is_shown { vec![&self.plan] } else { Vec::new() }
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
        match (self.is_shown, children.pop(), children.is_empty()) {
            (true, Some(plan), true) => Ok(Arc::new(Self { plan, ..Self::clone(&self) })),
            (false, None, _) => Ok(self),
            _ => internal_err!("a shared subplan has other children than it shows"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("the shared subplan {} is read outside of a task graph", self.name)
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let args = StatisticsArgs::new().with_partition(args.partition());
        StatisticsContext::new().compute(self.plan.as_ref(), &args)
    }
}

/// Shows each shared subplan once, below the first of its leaves, for EXPLAIN. Runs after all other rules, which must
/// not see into the leaves.
#[derive(Debug)]
pub struct ShownOnce;

impl PhysicalOptimizerRule for ShownOnce {
    fn name(&self) -> &str {
        "shown_once"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        shown(plan, &mut HashSet::new())
    }
}

fn shown(plan: Arc<dyn ExecutionPlan>, seen: &mut HashSet<ShareId>) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_down(|node| {
        let Some(shared) = node.downcast_ref::<SharedExec>() else { return Ok(Transformed::no(node)) };
        let is_shown = seen.insert(shared.id);
        let plan = match is_shown {
            true => shown(Arc::clone(&shared.plan), seen)?,
            false => Arc::clone(&shared.plan),
        };
        let node = Arc::new(SharedExec { plan, is_shown, ..shared.clone() });
        Ok(Transformed::new(node as _, true, TreeNodeRecursion::Jump))
    })?;
    Ok(plan.data)
}
