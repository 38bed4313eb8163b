//! What a stage mainly does.

use std::fmt;

use datafusion::physical_plan::ExecutionPlan;

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
    pub fn of(plan: &dyn ExecutionPlan) -> Self {
        let inputs = plan.children().into_iter().map(|child| Self::of(child.as_ref()));
        inputs.fold(Self::of_node(plan), Ord::max)
    }

    fn of_node(plan: &dyn ExecutionPlan) -> Self {
        match plan.name() {
            "DataSinkExec" => Self::Write,
            name if name.ends_with("JoinExec") => Self::Join,
            "AggregateExec" => Self::of_aggregate(plan),
            name if name.ends_with("WindowAggExec") => Self::Window,
            "SortExec" | "PartialSortExec" => Self::Sort,
            name if plan.children().is_empty() && name != "EdgeExec" => Self::Scan,
            _ => Self::Map,
        }
    }

    fn of_aggregate(plan: &dyn ExecutionPlan) -> Self {
        use datafusion::physical_plan::aggregates::AggregateExec;
        match plan.downcast_ref::<AggregateExec>() {
            Some(aggregate) if aggregate.group_expr().is_empty() => Self::Reduce,
            _ => Self::GroupBy,
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
