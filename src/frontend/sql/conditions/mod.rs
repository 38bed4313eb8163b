//! What a statement's text says about the keys of the relations that it reads, before anything is known of
//! their other columns.
//!
//! ```text
//! WITH c AS (SELECT year AS y FROM 'd/') SELECT * FROM c WHERE y = 2026 ─walk─> c.y is year of reading 0 of 'd/'
//!                                                                       ─gather─> reading 0: "year" = 2026
//! ```
//!
//! *These are guesses.* The walk follows names and knows little of what SQL means: a condition may be found
//! that does not hold for all rows (above a window function, on a side of an outer join), and one may be missed.
//! Whoever leaves out files for it has to ask the planned statement whether it agrees.

mod gather;
mod scope;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{Expr, PipeOperator, Query, SetExpr, Visit, Visitor};

use walk::Walker;

/// The places where a statement reads one relation.
#[derive(Debug, Clone)]
pub struct Readings {
    /// The relation's name as the planner looks it up.
    pub relation: String,
    /// For each place, the conditions that may hold for all rows taken there. They name keys of the relation
    /// only, in quotes and without its name.
    pub conditions: Vec<Vec<Expr>>,
}

/// The relations all of whose readings have conditions on their keys, with these. `keys` tells the keys of a
/// relation by its name; there are none in what is no relation of files.
pub(super) fn conditions(ast: &Ast, keys: &dyn Fn(&str) -> Vec<String>) -> Vec<Readings> {
    let mut walker = Walker::new(keys);
    walk(ast, &mut walker);
    let mut found = walker.readings();
    found.retain(|readings| readings.conditions.iter().all(|conditions| !conditions.is_empty()));
    found
}

fn walk(ast: &Ast, walker: &mut Walker<'_>) {
    match ast {
        Ast::Statement(statement) => walker.all_queries(statement.as_ref()),
        Ast::Explain(explain) => walk(&explain.statement, walker),
        Ast::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &copy.source {
                walker.all_queries(query.as_ref());
            }
        }
        Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
    }
}

/// Whether some query of a statement has a condition on rows at all.
pub(super) fn are_there(ast: &Ast) -> bool {
    match ast {
        Ast::Statement(statement) => has_condition(statement.as_ref()),
        Ast::Explain(explain) => are_there(&explain.statement),
        Ast::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => has_condition(query.as_ref()),
            CopyToSource::Relation(_) => false,
        },
        Ast::CreateExternalTable(_) | Ast::Reset(_) => false,
    }
}

fn has_condition(node: &impl Visit) -> bool {
    struct Search;
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let is_condition = |operator: &PipeOperator| matches!(operator, PipeOperator::Where { .. });
            match in_body(&query.body) || query.pipe_operators.iter().any(is_condition) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    node.visit(&mut Search).is_break()
}

fn in_body(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => {
            let conditions = [&select.selection, &select.having, &select.qualify];
            conditions.into_iter().any(Option::is_some)
                || select.from.iter().any(|from| !from.joins.is_empty())
        }
        SetExpr::SetOperation { left, right, .. } => in_body(left) || in_body(right),
        // Queries inside of others are visited on their own.
        SetExpr::Query(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Values(_)
        | SetExpr::Table(_) => false,
    }
}
