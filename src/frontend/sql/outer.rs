//! Names in subqueries that the planner takes for columns of the query around, although they are ambiguous.
//!
//! A name without a table is one of the FROM beside it, if that has such a column, and ambiguous if several of its tables
//! have. DataFusion's planner (55.2) looks for what is ambiguous in the queries around, and asks `t.id` in
//! `FROM t WHERE EXISTS (SELECT 1 FROM u, v WHERE id = 3)`. A plan does not say whether a column was written with its
//! table, so the names that were not are taken from the text.
//! *Invariant:* a column of a query around is one that no table of the subquery has, or has its table's name.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Diagnostic, SchemaError, Span, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{Expr as SqlExpr, Select, TableFactor, TableWithJoins, Visit, Visitor};

use super::friendly::normal;

/// The names without a table in the subqueries of a statement that read several tables.
#[derive(Debug, Default)]
pub struct BareNames(HashMap<String, Vec<Bare>>);

/// A name without a table.
#[derive(Debug)]
struct Bare {
    /// The tables of the subquery that it stands in; `None` if some of them cannot be told by their names.
    tables: Option<HashSet<String>>,
    span: Option<Span>,
}

impl BareNames {
    /// Those of a statement.
    pub fn of(ast: &Ast) -> Self {
        let mut finder = Finder::default();
        match ast {
            Ast::Statement(statement) => {
                let _ = statement.visit(&mut finder);
            }
            Ast::Explain(explain) => return Self::of(&explain.statement),
            Ast::CopyTo(copy) => {
                if let CopyToSource::Query(query) = &copy.source {
                    let _ = query.visit(&mut finder);
                }
            }
            Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
        }
        finder.names
    }

    /// # Errors
    /// One of the names is that of a column of a query around, and of several tables of its own subquery, in this plan
    /// of the statement.
    pub fn check(&self, plan: &LogicalPlan) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { self.visit(plan, &[]) }
    }

    /// `around`: the nodes that the subqueries are in, outermost first.
    fn visit(&self, plan: &LogicalPlan, around: &[&LogicalPlan]) -> Result<()> {
        plan.apply(|node| {
            node.apply_expressions(|root| {
                root.apply(|expr| {
                    match expr {
                        Expr::OuterReferenceColumn(_, column) => self.look_up(column, node, around)?,
                        Expr::ScalarSubquery(subquery)
                        | Expr::Exists(Exists { subquery, .. })
                        | Expr::InSubquery(InSubquery { subquery, .. })
                        | Expr::SetComparison(SetComparison { subquery, .. }) => {
                            self.within(subquery, node, around)?;
                        }
                        _ => {}
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(())
    }

    fn within(&self, subquery: &Subquery, node: &LogicalPlan, around: &[&LogicalPlan]) -> Result<()> {
        let around: Vec<&LogicalPlan> = around.iter().copied().chain([node]).collect();
        self.visit(&subquery.subquery, &around)
    }

    /// Looks for a column as SQL does: in the query that it stands in first.
    fn look_up(&self, column: &Column, node: &LogicalPlan, around: &[&LogicalPlan]) -> Result<()> {
        let Some(bare) = self.0.get(&column.name) else { return Ok(()) };
        let nodes = [node].into_iter().chain(around.iter().rev().copied());
        let mut found = nodes.map(|node| tables(node, &column.name)).filter(|tables| !tables.is_empty());
        let Some(found) = found.next().filter(|tables| tables.len() > 1) else { return Ok(()) };
        // Another subquery may have a column of this name without its table.
        let is_of = |bare: &&Bare| match &bare.tables {
            Some(tables) => found.iter().flatten().all(|table| tables.contains(*table)),
            None => true,
        };
        match bare.iter().find(is_of) {
            Some(bare) => Err(ambiguous(&column.name, bare.span)),
            None => Ok(()),
        }
    }
}

/// The tables of the FROM that a node belongs to that have a column of this name; `None` for one without a name.
fn tables<'a>(node: &'a LogicalPlan, name: &str) -> Vec<Option<&'a str>> {
    let inputs = node.inputs();
    if inputs.is_empty() || matches!(node, LogicalPlan::SubqueryAlias(_)) {
        let columns = node.schema().iter().filter(|(_, field)| field.name() == name);
        return columns.map(|(table, _)| table.map(TableReference::table)).collect();
    }
    inputs.into_iter().flat_map(|input| tables(input, name)).collect()
}

fn ambiguous(name: &str, span: Option<Span>) -> DataFusionError {
    let field = Box::new(Column::new_unqualified(name));
    let error = SchemaError::AmbiguousReference { field };
    let diagnostic = Diagnostic::new_error(format!("column '{name}' is ambiguous"), span);
    DataFusionError::SchemaError(Box::new(error), Box::new(None)).with_diagnostic(diagnostic)
}

#[derive(Default)]
struct Finder {
    names: BareNames,
    /// The SELECTs around, outermost first: `None` for those that read one table, or none.
    selects: Vec<Option<Option<HashSet<String>>>>,
}

/// What a table is called; `None` if that is not to be seen.
fn called(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(normal(&alias.name))
        }
        TableFactor::Table { name, alias: None, args: None, .. } => match name.0.last()?.as_ident()? {
            name if name.quote_style.is_none() => Some(normal(name)),
            _ => None,
        },
        _ => None,
    }
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let joined =
            |from: &TableWithJoins| from.joins.iter().map(|join| called(&join.relation)).collect::<Vec<_>>();
        let tables: Vec<_> = select
            .from
            .iter()
            .flat_map(|from| [vec![called(&from.relation)], joined(from)].concat())
            .collect();
        let is_nested = |from: &TableWithJoins| matches!(from.relation, TableFactor::NestedJoin { .. });
        let reads_several = tables.len() > 1 || select.from.iter().any(is_nested);
        self.selects.push(reads_several.then(|| tables.into_iter().collect()));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::Identifier(name) = expr {
            for tables in self.selects.iter().skip(1).flatten() {
                let span = Span::try_from_sqlparser_span(name.span);
                let bare = Bare { tables: tables.clone(), span };
                self.names.0.entry(normal(name)).or_default().push(bare);
            }
        }
        ControlFlow::Continue(())
    }
}
