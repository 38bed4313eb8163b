//! The conditions that a statement puts on the rows of its relations, as they stand in its text: what is known
//! of a table before its columns are.
//!
//! Only what holds for every row that the statement takes from a relation counts: the parts of `WHERE`
//! that AND joins, in the SELECT that names the relation, and the `|> WHERE` right behind it. A relation
//! whose rows an outer join makes up for has none: there a condition on NULLs would find other rows.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Ast};
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, PipeOperator, Query,
    Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Visit, Visitor, WildcardAdditionalOptions,
};

/// One place where a statement reads a relation.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The name by which the conditions may call it, if it was given one there.
    pub alias: Option<Ident>,
    /// Each holds for all rows that are taken there. They may name other relations' columns too.
    pub conditions: Vec<Expr>,
}

/// The relations of a statement all of whose readings have conditions, by their names without quotes.
pub(super) fn conditions(ast: &Ast) -> Vec<(String, Vec<Reading>)> {
    let mut finder = Finder::default();
    visit(ast, &mut finder);
    let Finder { relations, mut readings, .. } = finder;
    let mut found = Vec::new();
    for (name, count) in relations {
        let readings = readings.remove(&name).unwrap_or_default();
        if readings.len() == count && readings.iter().all(|reading| !reading.conditions.is_empty()) {
            found.push((name, readings));
        }
    }
    found
}

fn visit(ast: &Ast, finder: &mut Finder) {
    match ast {
        Ast::Statement(statement) => {
            let _ = statement.visit(finder);
        }
        Ast::Explain(explain) => visit(&explain.statement, finder),
        Ast::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &copy.source {
                let _ = query.visit(finder);
            }
        }
        Ast::CreateExternalTable(_) | Ast::Reset(_) => {}
    }
}

#[derive(Default)]
struct Finder {
    /// How often each relation is named, wherever that may be.
    relations: HashMap<String, usize>,
    readings: HashMap<String, Vec<Reading>>,
    /// The conditions of pipes, by the SELECT that they start from.
    piped: HashMap<*const Select, Vec<Expr>>,
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_ref()
            && is_all_rows(query, select)
        {
            let wheres = query.pipe_operators.iter().map_while(|operator| match operator {
                PipeOperator::Where { expr } => Some(expr.clone()),
                _ => None,
            });
            self.piped.insert(select.as_ref(), wheres.collect());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let mut conditions = self.piped.remove(&std::ptr::from_ref(select)).unwrap_or_default();
        conditions.extend(select.selection.clone());
        let conditions: Vec<_> = conditions.iter().flat_map(parts).cloned().collect();
        for from in &select.from {
            for (name, alias) in kept(from) {
                let reading = Reading { alias, conditions: conditions.clone() };
                self.readings.entry(last(&name)).or_default().push(reading);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        *self.relations.entry(last(relation)).or_default() += 1;
        ControlFlow::Continue(())
    }
}

/// The last part of a name as the planner looks it up: `t`, `T` and `public.t` are one table.
fn last(name: &ObjectName) -> String {
    match name.0.last().and_then(|part| part.as_ident()) {
        Some(Ident { value, quote_style: Some(_), .. }) => value.clone(),
        Some(Ident { value, quote_style: None, .. }) => value.to_lowercase(),
        None => name.to_string(),
    }
}

/// Whether the pipes of a query get the rows and columns of its FROM just as they are.
fn is_all_rows(query: &Query, select: &Select) -> bool {
    let is_star = |item: &SelectItem| match item {
        SelectItem::Wildcard(options) => is_plain(options),
        _ => false,
    };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    query.limit_clause.is_none()
        && query.fetch.is_none()
        && matches!(select.projection.as_slice(), [item] if is_star(item))
        && ungrouped
        && select.distinct.is_none()
        && select.top.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.lateral_views.is_empty()
}

/// Whether a `*` renames and replaces nothing; columns that it leaves out cannot be meant by a condition.
fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_replace.is_none() && options.opt_rename.is_none()
}

/// The parts of a condition that all have to hold.
fn parts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) => parts(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = parts(left);
            all.extend(parts(right));
            all
        }
        part => vec![part],
    }
}

/// The tables in a FROM whose rows are dropped if WHERE is not true of them, and their aliases.
fn kept(from: &TableWithJoins) -> Vec<(ObjectName, Option<Ident>)> {
    let mut kept: Vec<_> = table(&from.relation).into_iter().collect();
    for join in &from.joins {
        use JoinOperator::{Anti, CrossJoin, Inner, Join, Left, LeftAnti, LeftOuter, LeftSemi, Semi};
        let (constraint, right_counts) = match &join.join_operator {
            Join(on) | Inner(on) | CrossJoin(on) => (on, true),
            Left(on) | LeftOuter(on) | Semi(on) | LeftSemi(on) | Anti(on) | LeftAnti(on) => (on, false),
            // Joins that keep rows of their right side, and what is no join of SQL.
            _ => return Vec::new(),
        };
        // A column that both sides have is one here, and it may be the other side's.
        if matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural) {
            return Vec::new();
        }
        if right_counts {
            kept.extend(table(&join.relation));
        }
    }
    kept
}

fn table(factor: &TableFactor) -> Option<(ObjectName, Option<Ident>)> {
    let TableFactor::Table { name, alias, args: None, sample: None, version: None, .. } = factor else {
        return None;
    };
    match alias {
        // The columns have other names then.
        Some(alias) if !alias.columns.is_empty() => None,
        Some(alias) => Some((name.clone(), Some(alias.name.clone()))),
        None => Some((name.clone(), None)),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParserBuilder;
    use sqlparser::dialect::GenericDialect;

    use super::*;

    /// The conditions on `t`, each reading in brackets.
    fn of_t(sql: &str) -> String {
        let dialect = GenericDialect {};
        let mut parser = DFParserBuilder::new(sql).with_dialect(&dialect).build().unwrap();
        let ast = parser.parse_statement().unwrap();
        let found = conditions(&ast).into_iter().filter(|(name, _)| name == "t");
        let shown = |reading: &Reading| {
            let alias = reading.alias.as_ref().map(|alias| format!("{alias}: ")).unwrap_or_default();
            let parts: Vec<_> = reading.conditions.iter().map(ToString::to_string).collect();
            format!("[{alias}{}]", parts.join("; "))
        };
        found.flat_map(|(_, readings)| readings).map(|reading| shown(&reading)).collect()
    }

    #[test]
    fn a_where_counts_for_the_tables_whose_rows_it_drops() {
        for (sql, expected) in [
            ("select * from t where a = 1 and (b or c) and d in (1, 2)", "[a = 1; b OR c; d IN (1, 2)]"),
            ("select * from t as x where x.a = 1", "[x: x.a = 1]"),
            ("select * from u join t on u.a = t.a where t.a = 1", "[t.a = 1]"),
            ("select * from u, t where a = 1", "[a = 1]"),
            ("select * from t left join u on u.a = t.a where t.a = 1", "[t.a = 1]"),
            ("select a from u where a in (select a from t where b = 1)", "[b = 1]"),
            ("with c as (select * from t where a = 1) select * from c", "[a = 1]"),
            ("copy (select * from t where a = 1) to 'x.csv'", "[a = 1]"),
            ("create table c as select * from t where a = 1", "[a = 1]"),
            ("explain select * from t where a = 1", "[a = 1]"),
            ("select * from t where a = 1 union all select * from t where b = 2", "[a = 1][b = 2]"),
        ] {
            assert_eq!(of_t(sql), expected, "{sql}");
        }
    }

    #[test]
    fn pipes_right_behind_the_table_count() {
        for (sql, expected) in [
            ("select * from t |> where a = 1 |> where b = 2 |> limit 1 |> where c = 3", "[a = 1; b = 2]"),
            ("select * from t where c = 3 |> where a = 1", "[a = 1; c = 3]"),
            ("select a as b from t |> where b = 1", ""),
            ("select * from t limit 1 |> where a = 1", ""),
            ("select distinct * from t |> where a = 1", ""),
            ("select * from t |> limit 1 |> where a = 1", ""),
            ("select * from t |> aggregate count(*) group by a |> where a = 1", ""),
        ] {
            assert_eq!(of_t(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_in_doubt_has_no_conditions() {
        for sql in [
            "select * from t",
            "select * from t where a = 1 union all select * from t",
            "select * from u left join t on u.a = t.a where t.a is null",
            "select * from u right join t on u.a = t.a where t.a is null",
            "select * from t full join u on u.a = t.a where t.a = 1",
            "select * from t join u using (a) where a = 1",
            "select * from t natural join u where a = 1",
            "select * from u left semi join t on u.a = t.a where a = 1",
            "select * from t as x (a, b) where a = 1",
            "select a from t group by a having a = 1",
            "select * from (select * from t) where a = 1",
            "with c as (select * from t) select * from c where a = 1",
            "insert into t select * from u where a = 1",
            "select * from t where a = 1 union all select * from T",
            "select * from t where a = 1 union all select * from public.\"t\"",
        ] {
            assert_eq!(of_t(sql), "", "{sql}");
        }
    }
}
