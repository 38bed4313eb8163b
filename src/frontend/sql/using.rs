//! Columns of `USING` in a WHERE, which the planner takes for ambiguous.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, Query, Select, TableFactor, VisitMut, VisitorMut,
};

use super::friendly::normal;

/// Names the table that a column of `USING` in the WHERE is of: the first one, as the SELECT list has it.
///
/// Only where that is the same column in all rows: all joins of the FROM are inner or left ones over this
/// column. Others stay as they are.
pub(super) fn name_tables(select: &mut Select) {
    let (Some(selection), [from]) = (&mut select.selection, select.from.as_slice()) else { return };
    let Some(table) = name_of(&from.relation) else { return };
    let Some((first, others)) = from.joins.split_first() else { return };
    let mut columns = using(&first.join_operator);
    for join in others {
        let here = using(&join.join_operator);
        columns.retain(|column| here.contains(column));
    }
    if !columns.is_empty() {
        let _ = selection.visit(&mut Names { table, columns: &columns, depth: 0 });
    }
}

/// The columns of a join that are those of its left side.
fn using(join: &JoinOperator) -> Vec<Ident> {
    use JoinOperator::{Inner, Join, Left, LeftOuter};
    match join {
        Join(JoinConstraint::Using(names))
        | Inner(JoinConstraint::Using(names))
        | Left(JoinConstraint::Using(names))
        | LeftOuter(JoinConstraint::Using(names)) => {
            names.iter().filter_map(|name| name.0.last()?.as_ident().cloned()).collect()
        }
        _ => Vec::new(),
    }
}

fn name_of(factor: &TableFactor) -> Option<Vec<Ident>> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(vec![alias.name.clone()])
        }
        TableFactor::Table { name, alias: None, .. } => {
            name.0.iter().map(|part| part.as_ident().cloned()).collect()
        }
        _ => None,
    }
}

struct Names<'a> {
    table: Vec<Ident>,
    columns: &'a [Ident],
    /// Of subqueries, whose tables may have such a column themselves.
    depth: usize,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.depth == 0
            && self.columns.iter().any(|column| normal(column) == normal(name))
        {
            // Errors point at the column as it was written.
            let path = self.table.iter().chain([&*name]).cloned();
            let path = path.map(|part| Ident { span: name.span, ..part });
            *expr = Expr::CompoundIdentifier(path.collect());
        }
        ControlFlow::Continue(())
    }
}
