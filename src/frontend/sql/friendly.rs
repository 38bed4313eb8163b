//! SQL forms that the planner does not know, or reads as something else than was meant, made plain.
//!
//! | written | planned as |
//! | --- | --- |
//! | `FROM t` | `SELECT * FROM t` (`from_first`) |
//! | `SELECT a + 1, 2` | `SELECT a + 1 AS "a + 1", 2 AS "2"` (`names`) |
//! | `COPY … TO 'x.tsv.gz'` | with the format and compression spelled out (`copy`) |
//! | `a SEMI JOIN b`, `a ANTI JOIN b` | `LEFT SEMI JOIN`, `LEFT ANTI JOIN` |
//! | `OVER w` | the window's definition |
//! | `SHOW TABLES` | a query of the tables but those of `information_schema` |
//! | `SUMMARIZE t` | a derived table that the planner knows (`summarize`) |
//! | `a JOIN b USING (x) WHERE x = 1` | `… WHERE a.x = 1`, in subqueries of expressions everywhere (`using`) |
//! | `WITH t AS MATERIALIZED (…)` | a derived table that the planner knows (`materialized`) |
//! | `* EXCLUDE (A)`, `* REPLACE (… AS A)` | with unquoted names in lower case |
//! | `\|> DROP a`, `\|> SET a = …` | `\|> SELECT * EXCLUDE (a)`, `\|> SELECT * REPLACE (… AS a)` (`pipes`) |
//!
//! What has a meaning that the planner would drop is refused (`refuse`), never planned as other rows.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, Ident, Join, JoinOperator, NamedWindowDefinition,
    NamedWindowExpr, ObjectName, ObjectNamePart, PipeOperator, Query, Select, SelectFlavor, SelectItem,
    SetExpr, Statement, TableFactor, Value, VisitMut, VisitorMut, WildcardAdditionalOptions, WindowSpec,
    WindowType,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::refuse::{self, Functions, Refusal};
use super::{copy, materialized, names, pipes, summarize, using};

/// Rewrites a statement in place, then checks that nothing in it would be dropped in silence.
pub(super) fn rewrite(ast: &mut Ast, functions: &Functions) -> Result<(), Refusal> {
    match ast {
        Ast::Statement(statement) => {
            own_tables(statement.as_mut());
            names::name_columns(statement.as_mut());
            walk(statement.as_mut())?;
            refuse::check(statement.as_ref(), functions)
        }
        Ast::Explain(explain) => rewrite(&mut explain.statement, functions),
        Ast::CopyTo(copy) => {
            copy::spell_format(copy);
            match &mut copy.source {
                CopyToSource::Query(query) => {
                    names::query_columns(query.as_mut());
                    walk(query.as_mut())?;
                    refuse::check(query.as_ref(), functions)
                }
                CopyToSource::Relation(_) => Ok(()),
            }
        }
        Ast::CreateExternalTable(_) | Ast::Reset(_) => Ok(()),
    }
}

/// The planner's `SHOW TABLES` lists its own seven views among those of the user, in no order.
fn own_tables(statement: &mut Statement) {
    const OWN: &str = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables \
                       WHERE table_schema <> 'information_schema' ORDER BY 1, 2, 3";
    let is_plain =
        matches!(statement, Statement::ShowTables { .. }) && statement.to_string() == "SHOW TABLES";
    if is_plain && let Ok(mut parsed) = Parser::parse_sql(&GenericDialect {}, OWN) {
        parsed.pop().into_iter().for_each(|query| *statement = query);
    }
}

fn walk(node: &mut impl VisitMut) -> Result<(), Refusal> {
    match node.visit(&mut Rewriter::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

#[derive(Default)]
struct Rewriter {
    /// The `WINDOW` clauses in scope, innermost last.
    windows: Vec<Vec<NamedWindowDefinition>>,
    /// How many expressions around have a query in them.
    subqueries: usize,
}

impl VisitorMut for Rewriter {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
        if let Some(with) = &mut query.with {
            let is_recursive = with.recursive;
            with.cte_tables.iter_mut().for_each(|cte| materialized::plain(cte, is_recursive));
        }
        if self.subqueries > 0 {
            using::name_tables_of_order(query);
        }
        // ORDER BY stands in the query, the windows it may name in the select.
        let windows = match query.body.as_ref() {
            SetExpr::Select(select) => select.named_window.clone(),
            _ => Vec::new(),
        };
        self.windows.push(windows);
        pipes::plain(query)
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Refusal> {
        self.windows.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Refusal> {
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
            select.flavor = SelectFlavor::Standard;
        }
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                lower_names(options);
            }
        }
        for from in &mut select.from {
            from.joins.iter_mut().for_each(plain_join);
        }
        using::name_tables(select, self.subqueries > 0);
        self.windows.push(select.named_window.clone());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Refusal> {
        self.windows.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Refusal> {
        summarize::plain(factor);
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            table_with_joins.joins.iter_mut().for_each(plain_join);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        self.subqueries -= usize::from(has_query(expr));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        self.subqueries += usize::from(has_query(expr));
        balance(expr);
        bind_distinct_from(expr);
        if let Expr::Function(function) = expr
            && let Some(WindowType::NamedWindow(name)) = &function.over
        {
            match self.window(name) {
                Some(spec) => function.over = Some(WindowType::WindowSpec(spec)),
                None => {
                    return ControlFlow::Break(Refusal::new(
                        format!("window '{name}' is not defined"),
                        name.span,
                    ));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter {
    fn window(&self, name: &Ident) -> Option<WindowSpec> {
        let same = |other: &Ident| normal(other) == normal(name);
        let scope = self.windows.last()?;
        let NamedWindowDefinition(_, definition) =
            scope.iter().find(|NamedWindowDefinition(n, _)| same(n))?;
        match definition {
            NamedWindowExpr::WindowSpec(spec) => Some(spec.clone()),
            NamedWindowExpr::NamedWindow(_) => None,
        }
    }
}

fn has_query(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. })
}

/// Makes `(a IS DISTINCT FROM b) AND c` of `a IS DISTINCT FROM (b AND c)`, unless the parentheses were written:
/// the parser takes everything that follows for the right side.
fn bind_distinct_from(expr: &mut Expr) {
    let (Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right)) = expr else { return };
    if !is_logic(right) {
        return;
    }
    let logic = std::mem::replace(right.as_mut(), Expr::value(Value::Null));
    let comparison = std::mem::replace(expr, logic);
    let mut first = expr;
    while is_logic(first) {
        let Expr::BinaryOp { left, .. } = first else { return };
        first = left;
    }
    let operand = std::mem::replace(first, comparison);
    if let Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) = first {
        **right = operand;
    }
}

fn is_logic(expr: &Expr) -> bool {
    let Expr::BinaryOp { op, .. } = expr else { return false };
    matches!(op, BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor)
}

/// Chains of AND or OR longer than this are balanced.
const CHAIN_MAX: usize = 16;

/// Makes a balanced tree of `a OR b OR c OR …`, which the parser nests a level for each term, so that
/// generated filters of thousands of terms plan in no time. AND and OR are associative, with NULL too.
fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } = expr else { return };
    let op = op.clone();
    if chain_length(expr, &op) <= CHAIN_MAX {
        return;
    }
    let mut terms = Vec::new();
    let mut rest = std::mem::replace(expr, Expr::value(Value::Null));
    loop {
        match rest {
            Expr::BinaryOp { left, op: same, right } if same == op => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                break;
            }
        }
    }
    terms.reverse();
    *expr = tree(terms, &op);
}

fn chain_length(expr: &Expr, op: &BinaryOperator) -> usize {
    let mut length = 0;
    let mut rest = expr;
    while let Expr::BinaryOp { left, op: same, .. } = rest
        && same == op
    {
        length += 1;
        rest = left;
    }
    length
}

fn tree(mut terms: Vec<Expr>, op: &BinaryOperator) -> Expr {
    if terms.len() > 1 {
        let right = terms.split_off(terms.len() / 2);
        let (left, right) = (Box::new(tree(terms, op)), Box::new(tree(right, op)));
        return Expr::BinaryOp { left, op: op.clone(), right };
    }
    terms.pop().unwrap_or_else(|| Expr::value(Value::Null))
}

/// A name as the planner will look for it.
pub(super) fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn lower(ident: &mut Ident) {
    ident.value = normal(ident);
}

pub(super) fn lower_names(options: &mut WildcardAdditionalOptions) {
    let lower_object = |name: &mut ObjectName| {
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                lower(ident);
            }
        }
    };
    match &mut options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => lower_object(name),
        Some(ExcludeSelectItem::Multiple(names)) => names.iter_mut().for_each(lower_object),
        None => {}
    }
    if let Some(except) = &mut options.opt_except {
        lower(&mut except.first_element);
        except.additional_elements.iter_mut().for_each(lower);
    }
    for element in options.opt_replace.iter_mut().flat_map(|replace| &mut replace.items) {
        lower(&mut element.column_name);
    }
}

fn plain_join(join: &mut Join) {
    let operator = std::mem::replace(
        &mut join.join_operator,
        JoinOperator::CrossJoin(sqlparser::ast::JoinConstraint::None),
    );
    join.join_operator = match operator {
        JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(constraint),
        JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(constraint),
        other => other,
    };
}

/// The columns that `* REPLACE (…)` names, for the check that each exists; the planner ignores others.
pub(super) fn replaced_columns(ast: &Ast) -> Vec<Ident> {
    let mut finder = ReplaceFinder { found: Vec::new(), exclude: false };
    finder.run(&mut ast.clone());
    finder.found
}

/// The statement with each `* REPLACE (x AS a)` as `* EXCLUDE (a), x AS a`: it plans only if `a` exists.
pub(super) fn replace_probe(ast: &Ast) -> Ast {
    let mut probe = ast.clone();
    ReplaceFinder { found: Vec::new(), exclude: true }.run(&mut probe);
    probe
}

struct ReplaceFinder {
    found: Vec<Ident>,
    exclude: bool,
}

impl ReplaceFinder {
    fn run(&mut self, ast: &mut Ast) {
        match ast {
            Ast::Statement(statement) => {
                let _ = statement.visit(self);
            }
            Ast::Explain(explain) => self.run(&mut explain.statement),
            Ast::CopyTo(copy) => {
                if let CopyToSource::Query(query) = &mut copy.source {
                    let _ = query.visit(self);
                }
            }
            Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
        }
    }

    fn items(&mut self, items: &mut Vec<SelectItem>) {
        let mut added = Vec::new();
        for item in items.iter_mut() {
            let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else {
                continue;
            };
            let Some(replace) = &options.opt_replace else { continue };
            self.found.extend(replace.items.iter().map(|element| element.column_name.clone()));
            if !self.exclude {
                continue;
            }
            let replaced = options.opt_replace.take().map(|replace| replace.items).unwrap_or_default();
            let mut names: Vec<ObjectName> = match options.opt_exclude.take() {
                Some(ExcludeSelectItem::Single(name)) => vec![name],
                Some(ExcludeSelectItem::Multiple(names)) => names,
                None => Vec::new(),
            };
            for element in replaced {
                names.push(ObjectName::from(element.column_name.clone()));
                added.push(SelectItem::ExprWithAlias { expr: element.expr, alias: element.column_name });
            }
            options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
        }
        items.extend(added);
    }
}

impl VisitorMut for ReplaceFinder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for operator in &mut query.pipe_operators {
            if let PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } = operator {
                self.items(exprs);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.items(&mut select.projection);
        ControlFlow::Continue(())
    }
}
