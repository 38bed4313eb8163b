//! What a column of a subplan is made of.

use datafusion::common::Result;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, JoinType, LogicalPlan};

use super::table::share_of;
use crate::plan::checked::may_fail;

/// How a column comes about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lineage {
    /// By an aggregate or a window function: conditions on it stay above that.
    pub(super) is_computed: bool,
    /// Through something that is an error for some rows. A sum that overflows is not meant: no condition on a group
    /// is there to keep one from it.
    pub(super) may_fail: bool,
}

impl Lineage {
    const UNKNOWN: Self = Self { is_computed: true, may_fail: true };

    /// Follows a column down to the tables that it comes from, through other shared subplans.
    pub(super) fn of(plan: &LogicalPlan, column: usize) -> Result<Self> {
        let mut lineage = Self::default();
        let mut ahead = vec![(plan, column)];
        while let Some((plan, column)) = ahead.pop() {
            if lineage == Self::UNKNOWN {
                break;
            }
            lineage.step(plan, column, &mut ahead)?;
        }
        Ok(lineage)
    }

    fn step<'a>(
        &mut self,
        plan: &'a LogicalPlan,
        column: usize,
        ahead: &mut Vec<(&'a LogicalPlan, usize)>,
    ) -> Result<()> {
        match plan {
            LogicalPlan::Projection(projection) => {
                self.through(projection.expr.get(column), &projection.input, ahead)?;
            }
            LogicalPlan::Aggregate(aggregate) if has_sets(aggregate) => *self = Self::UNKNOWN,
            LogicalPlan::Aggregate(aggregate) => {
                let computed = column.checked_sub(aggregate.group_expr.len());
                self.is_computed |= computed.is_some();
                let expr = match computed {
                    Some(at) => aggregate.aggr_expr.get(at),
                    None => aggregate.group_expr.get(column),
                };
                self.through(expr, &aggregate.input, ahead)?;
            }
            LogicalPlan::Window(window) => match column.checked_sub(window.input.schema().fields().len()) {
                Some(at) => {
                    self.is_computed = true;
                    self.through(window.window_expr.get(at), &window.input, ahead)?;
                }
                None => ahead.push((&window.input, column)),
            },
            LogicalPlan::Join(join) => match side(join, column) {
                Some(side) => ahead.push(side),
                None => *self = Self::UNKNOWN,
            },
            LogicalPlan::Union(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => {
                ahead.extend(plan.inputs().into_iter().map(|input| (input, column)));
            }
            LogicalPlan::TableScan(scan) => {
                let column = scan.projection.as_ref().map_or(Some(column), |all| all.get(column).copied());
                if let (Some(share), Some(column)) = (share_of(scan), column)
                    && let Some(inner) = share.plan.get()
                {
                    let inner = Self::of(inner, column)?;
                    self.is_computed |= inner.is_computed;
                    self.may_fail |= inner.may_fail;
                }
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {}
            _ => *self = Self::UNKNOWN,
        }
        Ok(())
    }

    fn through<'a>(
        &mut self,
        expr: Option<&Expr>,
        input: &'a LogicalPlan,
        ahead: &mut Vec<(&'a LogicalPlan, usize)>,
    ) -> Result<()> {
        let Some(expr) = expr else {
            *self = Self::UNKNOWN;
            return Ok(());
        };
        self.may_fail |= may_fail(expr, input.schema())?;
        for column in expr.column_refs() {
            match input.schema().maybe_index_of_column(column) {
                Some(at) => ahead.push((input, at)),
                None => *self = Self::UNKNOWN,
            }
        }
        Ok(())
    }
}

fn has_sets(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
}

/// The input of a join that a column is from, and which of its columns it is.
fn side(join: &Join, column: usize) -> Option<(&LogicalPlan, usize)> {
    let left = join.left.schema().fields().len();
    match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            Some(match column.checked_sub(left) {
                Some(column) => (&join.right, column),
                None => (&join.left, column),
            })
        }
        JoinType::LeftSemi | JoinType::LeftAnti => Some((&join.left, column)),
        JoinType::RightSemi | JoinType::RightAnti => Some((&join.right, column)),
        JoinType::LeftMark | JoinType::RightMark => None,
    }
}
