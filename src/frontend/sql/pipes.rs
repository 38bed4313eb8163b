//! Pipe operators made plain: those that the planner does not know, and those that would see too much.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AssignmentTarget, ExcludeSelectItem, ObjectName, PipeOperator, Query, ReplaceSelectElement,
    ReplaceSelectItem, SelectItem, SetExpr, Spanned, WildcardAdditionalOptions,
};

use super::friendly::lower_names;
use super::refuse::Refusal;

/// Makes the operators of a query plain, in place.
pub(super) fn plain(query: &mut Query) -> ControlFlow<Refusal> {
    let mut plain = Vec::with_capacity(query.pipe_operators.len());
    let mut selects = matches!(query.body.as_ref(), SetExpr::Select(_));
    for mut operator in std::mem::take(&mut query.pipe_operators) {
        plain_pipe(&mut operator)?;
        match &operator {
            // ORDER BY finds the columns that a SELECT just before it left out, as it does in plain SQL. Of
            // two more, which the planner removes again, it sees only the columns that are there.
            PipeOperator::OrderBy { .. } if selects => {
                plain.push(select_all(WildcardAdditionalOptions::default()));
                plain.push(select_all(WildcardAdditionalOptions::default()));
            }
            PipeOperator::Select { .. } | PipeOperator::Extend { .. } => selects = true,
            PipeOperator::Where { .. } | PipeOperator::Limit { .. } | PipeOperator::OrderBy { .. } => {}
            _ => selects = false,
        }
        plain.push(operator);
    }
    query.pipe_operators = plain;
    ControlFlow::Continue(())
}

fn select_all(options: WildcardAdditionalOptions) -> PipeOperator {
    PipeOperator::Select { exprs: vec![SelectItem::Wildcard(options)] }
}

fn plain_pipe(operator: &mut PipeOperator) -> ControlFlow<Refusal> {
    match operator {
        PipeOperator::Drop { columns } => {
            let names = columns.iter().map(|column| ObjectName::from(column.clone())).collect();
            let mut options = WildcardAdditionalOptions {
                opt_exclude: Some(ExcludeSelectItem::Multiple(names)),
                ..Default::default()
            };
            lower_names(&mut options);
            *operator = select_all(options);
        }
        PipeOperator::Set { assignments } => {
            let mut items = Vec::new();
            for assignment in assignments {
                let column_name = match &assignment.target {
                    AssignmentTarget::ColumnName(name) => {
                        name.0.first().and_then(|part| part.as_ident()).cloned()
                    }
                    AssignmentTarget::Tuple(_) => None,
                };
                let Some(column_name) = column_name else {
                    return ControlFlow::Break(Refusal::new(
                        "|> SET of several columns at once",
                        assignment.span(),
                    ));
                };
                let expr = assignment.value.clone();
                items.push(Box::new(ReplaceSelectElement { expr, column_name, as_keyword: true }));
            }
            let mut options = WildcardAdditionalOptions {
                opt_replace: Some(ReplaceSelectItem { items }),
                ..Default::default()
            };
            lower_names(&mut options);
            *operator = select_all(options);
        }
        PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } => {
            for item in exprs {
                if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                    lower_names(options);
                }
            }
        }
        _ => {}
    }
    ControlFlow::Continue(())
}
