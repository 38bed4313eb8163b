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

    /// Follows a column down to the tables that it comes from.
    pub(super) fn of(plan: &LogicalPlan, column: usize) -> Result<Self> {
        // The plans of other shared subplans that it comes through.
        let mut lineage = Self::default();
        let mut ahead = vec![(plan.clone(), column)];
        while let Some((plan, column)) = ahead.pop() {
            if lineage == Self::UNKNOWN {
                break;
            }
            lineage.step(&plan, column, &mut ahead)?;
        }
        Ok(lineage)
    }

    fn step(
        &mut self,
        plan: &LogicalPlan,
        column: usize,
        ahead: &mut Vec<(LogicalPlan, usize)>,
    ) -> Result<()> {
        match plan {
            LogicalPlan::Projection(projection) => {
                self.through(&projection.expr[column], &projection.input, ahead)?;
            }
            LogicalPlan::Aggregate(aggregate) => match group(aggregate, column) {
                Some(key) => self.through(key, &aggregate.input, ahead)?,
                None => {
                    self.is_computed = true;
                    let at = column.saturating_sub(aggregate.group_expr.len());
                    match aggregate.aggr_expr.get(at).filter(|_| !has_sets(aggregate)) {
                        Some(expr) => self.through(expr, &aggregate.input, ahead)?,
                        None => *self = Self::UNKNOWN,
                    }
                }
            },
            LogicalPlan::Window(window) => match column.checked_sub(window.input.schema().fields().len()) {
                Some(at) => {
                    self.is_computed = true;
                    self.through(&window.window_expr[at], &window.input, ahead)?;
                }
                None => ahead.push((window.input.as_ref().clone(), column)),
            },
            LogicalPlan::Join(join) => match side(join, column) {
                Some(side) => ahead.push(side),
                None => *self = Self::UNKNOWN,
            },
            LogicalPlan::Union(union) => {
                ahead.extend(union.inputs.iter().map(|input| (input.as_ref().clone(), column)));
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => {
                ahead.extend(plan.inputs().into_iter().map(|input| (input.clone(), column)));
            }
            LogicalPlan::TableScan(scan) => {
                let inner = share_of(scan).and_then(|share| share.plan.get().cloned());
                let column = scan.projection.as_ref().map_or(Some(column), |all| all.get(column).copied());
                ahead.extend(inner.zip(column));
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {}
            _ => *self = Self::UNKNOWN,
        }
        Ok(())
    }

    fn through(
        &mut self,
        expr: &Expr,
        input: &LogicalPlan,
        ahead: &mut Vec<(LogicalPlan, usize)>,
    ) -> Result<()> {
        self.may_fail |= may_fail(expr, input.schema())?;
        for column in expr.column_refs() {
            match input.schema().maybe_index_of_column(column) {
                Some(at) => ahead.push((input.clone(), at)),
                None => *self = Self::UNKNOWN,
            }
        }
        Ok(())
    }
}

fn has_sets(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
}

/// The key that a column of an aggregation is, if it is one of plain keys.
fn group(aggregate: &Aggregate, column: usize) -> Option<&Expr> {
    if has_sets(aggregate) { None } else { aggregate.group_expr.get(column) }
}

/// The input of a join that a column is from, and which of its columns it is.
fn side(join: &Join, column: usize) -> Option<(LogicalPlan, usize)> {
    let left = join.left.schema().fields().len();
    match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            Some(match column.checked_sub(left) {
                Some(column) => (join.right.as_ref().clone(), column),
                None => (join.left.as_ref().clone(), column),
            })
        }
        JoinType::LeftSemi | JoinType::LeftAnti => Some((join.left.as_ref().clone(), column)),
        JoinType::RightSemi | JoinType::RightAnti => Some((join.right.as_ref().clone(), column)),
        JoinType::LeftMark | JoinType::RightMark => None,
    }
}
