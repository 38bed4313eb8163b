//! What the columns of a query are called that have no name of their own: what they are, as written.
//!
//! The planner's own names spell out types and tables: `Int64(1)`, `sum(t.amount)`. They stay where nobody sees or
//! uses them, in subqueries of expressions.

use std::collections::HashSet;

use sqlparser::ast::{
    Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, OrderBy, OrderByKind,
    PipeOperator, Query, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins,
};

/// Names the columns of a statement's rows, and of the tables that it makes up for itself.
pub(super) fn name_columns(statement: &mut Statement) {
    match statement {
        Statement::Query(query) => query_columns(query),
        Statement::CreateView(view) if view.columns.is_empty() => query_columns(&mut view.query),
        Statement::CreateTable(table) => table.query.iter_mut().for_each(|query| query_columns(query)),
        Statement::Explain { statement, .. } => name_columns(statement),
        // What is inserted goes into columns that have names.
        _ => {}
    }
}

/// Names the columns of a query.
pub(super) fn query_columns(query: &mut Query) {
    for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
        query_columns(&mut cte.query);
    }
    set_columns(&mut query.body);
    for operator in &mut query.pipe_operators {
        if let PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } = operator {
            name(exprs);
        }
    }
    if let SetExpr::Select(select) = query.body.as_ref()
        && matches!(select.distinct, Some(Distinct::Distinct))
    {
        query.order_by.iter_mut().for_each(|order| name_keys(order, &select.projection));
    }
}

/// The planner finds the keys of a DISTINCT's order by their names.
fn name_keys(order: &mut OrderBy, items: &[SelectItem]) {
    let OrderByKind::Expressions(keys) = &mut order.kind else { return };
    for key in keys {
        let name = items.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if *expr == key.expr => Some(alias.clone()),
            _ => None,
        });
        name.into_iter().for_each(|name| key.expr = Expr::Identifier(name));
    }
}

fn set_columns(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            select.from.iter_mut().for_each(table_columns);
            name(&mut select.projection);
        }
        SetExpr::Query(query) => query_columns(query),
        SetExpr::SetOperation { left, right, .. } => {
            set_columns(left);
            set_columns(right);
        }
        _ => {}
    }
}

/// Names what has no name. A column that is there twice gets a number, as what is written twice does.
fn name(items: &mut [SelectItem]) {
    let mut names: HashSet<String> = items.iter().filter_map(own_name).collect();
    let mut seen = HashSet::new();
    for item in items {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let text = expr.to_string();
        let is_repeated = !seen.insert(text.clone());
        let name = match column(expr) {
            Some(_) if !is_repeated => continue,
            Some(column) => column.value.clone(),
            None if is_many(expr) => continue,
            None => text,
        };
        let alias = Ident::with_quote('"', unused(name, &mut names));
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
}

fn table_columns(from: &mut TableWithJoins) {
    let joined = from.joins.iter_mut().map(|join| &mut join.relation);
    for table in std::iter::once(&mut from.relation).chain(joined) {
        match table {
            TableFactor::Derived { subquery, .. } => query_columns(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => table_columns(table_with_joins),
            _ => {}
        }
    }
}

/// The name that a column has by itself.
fn own_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(expr) => column(expr).map(|column| column.value.clone()),
        _ => None,
    }
}

fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

/// Whether an expression may be several columns, or is named by what it is made of: a struct that is unnested.
fn is_many(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let is_unnest = |name: &str| name.eq_ignore_ascii_case("unnest");
    let inner = match &function.args {
        FunctionArguments::List(list) => list.args.first(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => None,
    };
    is_unnest(&function.name.to_string())
        && !matches!(inner, Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(_)))))
}

/// A name as it is, or with a number behind it if it is taken.
fn unused(name: String, names: &mut HashSet<String>) -> String {
    if names.insert(name.clone()) {
        return name;
    }
    let numbered = (1..).map(|number| format!("{name}_{number}"));
    numbered.into_iter().find(|name| names.insert(name.clone())).unwrap_or(name)
}
