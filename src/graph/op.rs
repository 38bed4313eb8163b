//! What a stage mainly does.

use std::fmt;
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

use super::{EdgeExec, nodes};

/// What a stage mainly does, in the words of dataframes and databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Rows pass one by one: filters, projections, limits.
    Map,
    /// Rows are read from files or memory, and pass one by one.
    Scan,
    /// Rows are brought into an order.
    Sort,
    /// Functions over windows of rows.
    Window,
    /// All rows become one.
    Reduce,
    /// Rows become one per group.
    GroupBy,
    /// Rows of two inputs are matched.
    Join,
    /// Rows are written to a file or a table.
    Write,
}

impl Op {
    /// What a stage with this plan mainly does: the weightiest of its operators.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        nodes(plan).map(|node| Self::of_node(node.plan.as_ref())).max().unwrap_or(Self::Map)
    }

    fn of_node(plan: &dyn ExecutionPlan) -> Self {
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            return if aggregate.group_expr().is_empty() { Self::Reduce } else { Self::GroupBy };
        }
        // A sort with a limit says so in its name.
        match plan.name() {
            _ if plan.is::<EdgeExec>() => Self::Map,
            "DataSinkExec" => Self::Write,
            name if name.ends_with("JoinExec") => Self::Join,
            name if name.ends_with("WindowAggExec") => Self::Window,
            name if name.starts_with("SortExec") => Self::Sort,
            "PartialSortExec" | "PartitionedTopKExec" => Self::Sort,
            // Recursion alone is no scan of anything; an empty relation and one row out of nothing are.
            "WorkTableExec" => Self::Map,
            _ if plan.children().is_empty() => Self::Scan,
            _ => Self::Map,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "Map",
            Self::Scan => "Scan",
            Self::Sort => "Sort",
            Self::Window => "Window",
            Self::Reduce => "Reduce",
            Self::GroupBy => "GroupBy",
            Self::Join => "Join",
            Self::Write => "Write",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
