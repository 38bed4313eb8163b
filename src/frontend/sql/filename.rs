//! The virtual column `filename` of tables of files: there for those who name it, hidden from `*`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TableFactor, Visit,
    VisitMut, Visitor, VisitorMut,
};

/// The column's name.
const NAME: &str = "filename";

/// Whether some expression of a statement names the column.
pub(super) fn is_named(ast: &Ast) -> bool {
    match ast {
        Ast::Statement(statement) => statement.visit(&mut Finder).is_break(),
        Ast::Explain(explain) => is_named(&explain.statement),
        Ast::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => query.visit(&mut Finder).is_break(),
            CopyToSource::Relation(_) => false,
        },
        Ast::CreateExternalTable(_) | Ast::Reset(_) => false,
    }
}

/// Takes the column out of each `*` over a single one of these relations. Pipes go on with all columns.
pub(super) fn hide(ast: &mut Ast, relations: &HashSet<String>) {
    let mut hider = Hider { relations };
    match ast {
        Ast::Statement(statement) => {
            let _ = statement.visit(&mut hider);
        }
        Ast::Explain(explain) => hide(&mut explain.statement, relations),
        Ast::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                let _ = query.visit(&mut hider);
            }
        }
        Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
    }
}

struct Finder;

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        match name.is_some_and(|name| name.value.eq_ignore_ascii_case(NAME)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

struct Hider<'a> {
    relations: &'a HashSet<String>,
}

impl VisitorMut for Hider<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if query.pipe_operators.is_empty()
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            self.select(select);
        }
        ControlFlow::Continue(())
    }
}

impl Hider<'_> {
    fn select(&self, select: &mut Select) {
        let [only] = select.from.as_slice() else { return };
        let TableFactor::Table { name, .. } = &only.relation else { return };
        if !only.joins.is_empty() || !self.relations.contains(&name.to_string()) {
            return;
        }
        for item in &mut select.projection {
            let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else {
                continue;
            };
            let mut names = match options.opt_exclude.take() {
                Some(ExcludeSelectItem::Single(name)) => vec![name],
                Some(ExcludeSelectItem::Multiple(names)) => names,
                None => Vec::new(),
            };
            if !names.iter().any(|name| name.to_string().eq_ignore_ascii_case(NAME)) {
                names.push(ObjectName::from(Ident::new(NAME)));
            }
            options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
        }
    }
}
