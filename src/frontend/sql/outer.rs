//! Names in subqueries that the planner takes for columns of the query around, although they are ambiguous.
//!
//! A name without a table is one of the FROM beside it, if that has such a column, and ambiguous if several of its tables
//! have. DataFusion's planner (55.2) looks for what is ambiguous in the queries around, and asks `t.id` in
//! `FROM t WHERE EXISTS (SELECT 1 FROM u, v WHERE id = 3)`. A plan does not say whether a column was written with its
//! table, so the names that were not are taken from the text.
//! *Invariant:* a column of a query around is one that no table of the subquery has, or has its table's name.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Diagnostic, SchemaError, Span};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{Expr as SqlExpr, Select, TableFactor, Visit, Visitor};

use super::friendly::normal;

/// The names without a table in the subqueries of a statement that read several tables, and where each stands.
#[derive(Debug, Default)]
pub struct BareNames(HashMap<String, Option<Span>>);

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
        let Some(span) = self.0.get(&column.name) else { return Ok(()) };
        let nodes = [node].into_iter().chain(around.iter().rev().copied());
        match nodes.map(|node| tables(node, &column.name)).find(|count| *count > 0) {
            Some(2..) => Err(ambiguous(&column.name, *span)),
            Some(_) | None => Ok(()),
        }
    }
}

/// How many tables of the FROM that a node belongs to have a column of this name.
fn tables(node: &LogicalPlan, name: &str) -> usize {
    let inputs = node.inputs();
    if inputs.is_empty() || matches!(node, LogicalPlan::SubqueryAlias(_)) {
        return node.schema().fields().iter().filter(|field| field.name() == name).count();
    }
    inputs.into_iter().map(|input| tables(input, name)).sum()
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
    /// Whether each SELECT around reads several tables, outermost first.
    selects: Vec<bool>,
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let tables = select.from.iter().map(|from| {
            let is_nested = matches!(from.relation, TableFactor::NestedJoin { .. });
            1 + usize::from(is_nested) + from.joins.len()
        });
        self.selects.push(tables.sum::<usize>() > 1);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::Identifier(name) = expr
            && self.selects.iter().skip(1).any(|reads_several| *reads_several)
        {
            let span = Span::try_from_sqlparser_span(name.span);
            self.names.0.entry(normal(name)).or_insert(span);
        }
        ControlFlow::Continue(())
    }
}
