//! Columns of `USING` in a WHERE, which the planner takes for ambiguous, and in subqueries of expressions, where it then
//! takes them for columns of the query around.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr, TableFactor, VisitMut,
    VisitorMut,
};

use super::friendly::normal;

/// Names the table that a column of `USING` is of: the first one, as the SELECT list has it. In the WHERE, and wherever
/// the SELECT may name it if it `is_within` an expression.
///
/// Only where that is the same column in all rows: all joins of the FROM are inner or left ones over this
/// column. Others stay as they are.
pub(super) fn name_tables(select: &mut Select, is_within: bool) {
    let Some((table, columns)) = first_table(select) else { return };
    let mut names = Names { table, columns: &columns, depth: 0 };
    let _ = select.selection.visit(&mut names);
    if is_within {
        let _ = select.projection.visit(&mut names);
        let _ = select.group_by.visit(&mut names);
        let _ = select.having.visit(&mut names);
        let _ = select.qualify.visit(&mut names);
    }
}

/// The same for the ORDER BY of a query within an expression. A name that the SELECT list gives is that one.
pub(super) fn name_tables_of_order(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some((table, mut columns)) = first_table(select) else { return };
    columns.retain(|column| {
        let is_same = |item: &SelectItem| match item {
            SelectItem::ExprWithAlias { alias, .. } => normal(alias) == normal(column),
            _ => false,
        };
        !select.projection.iter().any(is_same)
    });
    let _ = query.order_by.visit(&mut Names { table, columns: &columns, depth: 0 });
}

/// The first table of a FROM, and its columns that all joins are over.
fn first_table(select: &Select) -> Option<(Vec<Ident>, Vec<Ident>)> {
    let [from] = select.from.as_slice() else { return None };
    let table = name_of(&from.relation)?;
    let (first, others) = from.joins.split_first()?;
    let mut columns = using(&first.join_operator);
    for join in others {
        let here = using(&join.join_operator);
        columns.retain(|column| here.contains(column));
    }
    (!columns.is_empty()).then_some((table, columns))
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
