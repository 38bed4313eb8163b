//! Follows the names of columns through the clauses of a statement.

use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use sqlparser::ast::{
    Cte, Join, JoinConstraint, JoinOperator, ObjectName, PipeOperator, Query, Select, SetExpr, TableFactor,
    TableWithJoins, Visit, Visitor, With,
};

use super::super::friendly::normal;
use super::Readings;
use super::gather::Gathered;
use super::scope::{Column, Scope, last};

/// Queries that are walked at most, each use of a common table expression counting as one: chains of them that
/// each read the one before twice grow without bound.
const QUERIES_MAX: usize = 2_000;

/// The common table expressions that can be named in a place.
#[derive(Clone, Default)]
struct Ctes(Option<Rc<Named>>);

struct Named {
    cte: Cte,
    outer: Ctes,
}

impl Ctes {
    fn with(&self, with: Option<&With>) -> Self {
        let mut all = self.clone();
        for cte in with.into_iter().flat_map(|with| &with.cte_tables) {
            all = Self(Some(Rc::new(Named { cte: cte.clone(), outer: all })));
        }
        all
    }

    fn get(&self, name: &ObjectName) -> Option<Rc<Named>> {
        let [_] = name.0.as_slice() else { return None };
        let name = last(name);
        let mut next = self.0.clone();
        while let Some(named) = next {
            if normal(&named.cte.alias.name) == name {
                return Some(named);
            }
            next = named.outer.0.clone();
        }
        None
    }
}

pub(super) struct Walker<'a> {
    keys: &'a dyn Fn(&str) -> Vec<String>,
    gathered: Gathered,
    queries: usize,
}

impl<'a> Walker<'a> {
    pub(super) fn new(keys: &'a dyn Fn(&str) -> Vec<String>) -> Self {
        Self { keys, gathered: Gathered::default(), queries: 0 }
    }

    /// What was found; nothing if there was too much to walk.
    pub(super) fn readings(self) -> Vec<Readings> {
        match self.queries > QUERIES_MAX {
            true => Vec::new(),
            false => self.gathered.into_readings(),
        }
    }

    /// Walks the queries in a node.
    pub(super) fn all_queries(&mut self, node: &impl Visit) {
        self.queries(node, &Ctes::default());
    }

    fn queries(&mut self, node: &impl Visit, ctes: &Ctes) {
        struct Outermost<'w, 'a, 'c> {
            walker: &'w mut Walker<'a>,
            ctes: &'c Ctes,
            depth: usize,
        }
        impl Visitor for Outermost<'_, '_, '_> {
            type Break = ();

            fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
                if self.depth == 0 {
                    self.walker.query(query, self.ctes);
                }
                self.depth += 1;
                ControlFlow::Continue(())
            }

            fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
                self.depth -= 1;
                ControlFlow::Continue(())
            }
        }
        let _ = node.visit(&mut Outermost { walker: self, ctes, depth: 0 });
    }

    fn query(&mut self, query: &Query, ctes: &Ctes) -> Scope {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return Scope::default();
        }
        let ctes = ctes.with(query.with.as_ref());
        let mut scope = self.body(&query.body, &ctes);
        if query.limit_clause.is_some() || query.fetch.is_some() {
            scope = scope.closed();
        }
        for operator in &query.pipe_operators {
            scope = self.piped(scope, operator, &ctes);
        }
        scope
    }

    fn body(&mut self, body: &SetExpr, ctes: &Ctes) -> Scope {
        match body {
            SetExpr::Select(select) => self.select(select, ctes),
            SetExpr::Query(query) => self.query(query, ctes),
            SetExpr::SetOperation { left, right, .. } => {
                let left = self.body(left, ctes);
                left.united(&self.body(right, ctes))
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => {
                self.queries(statement, ctes);
                Scope::default()
            }
            SetExpr::Values(_) | SetExpr::Table(_) => Scope::default(),
        }
    }

    fn select(&mut self, select: &Select, ctes: &Ctes) -> Scope {
        let mut scope = Scope { columns: Vec::new(), is_complete: true };
        for from in &select.from {
            let factor = self.joined(from, ctes);
            scope = scope.beside(factor);
        }
        let everything = 0..self.gathered.readings();
        self.queries(&select.projection, ctes);
        let projected = scope.projected(&select.projection);
        for condition in [&select.selection, &select.having, &select.qualify].into_iter().flatten() {
            self.queries(condition, ctes);
            self.gathered.condition(&scope, condition, &everything);
        }
        // These may name what the SELECT list has given a name.
        for condition in [&select.having, &select.qualify].into_iter().flatten() {
            self.gathered.condition(&projected, condition, &everything);
        }
        match select.top.is_some() {
            true => projected.closed(),
            false => projected,
        }
    }

    fn joined(&mut self, from: &TableWithJoins, ctes: &Ctes) -> Scope {
        let first = self.gathered.readings();
        let mut scope = self.factor(&from.relation, ctes);
        for join in &from.joins {
            scope = self.join(scope, first, join, ctes);
        }
        scope
    }

    /// Joins a table to what has been read from the reading `first` on.
    fn join(&mut self, left: Scope, first: usize, join: &Join, ctes: &Ctes) -> Scope {
        use JoinOperator as J;
        let middle = self.gathered.readings();
        let right = self.factor(&join.relation, ctes);
        let end = self.gathered.readings();
        // A condition chooses among the rows of those sides that are not kept without a match.
        let (constraint, chooses): (_, Range<usize>) = match &join.join_operator {
            J::Join(on) | J::Inner(on) | J::CrossJoin(on) | J::StraightJoin(on) => (on, first..end),
            J::Semi(on) | J::LeftSemi(on) | J::RightSemi(on) => (on, first..end),
            J::Left(on) | J::LeftOuter(on) | J::Anti(on) | J::LeftAnti(on) => (on, middle..end),
            J::Right(on) | J::RightOuter(on) | J::RightAnti(on) => (on, first..middle),
            J::FullOuter(on) => (on, end..end),
            J::AsOf { constraint, .. } => (constraint, end..end),
            J::CrossApply | J::OuterApply | J::ArrayJoin | J::LeftArrayJoin | J::InnerArrayJoin => {
                return left.beside(right);
            }
        };
        match constraint {
            JoinConstraint::On(condition) => {
                self.queries(condition, ctes);
                let both = left.clone().beside(right.clone());
                self.gathered.condition(&both, condition, &chooses);
            }
            JoinConstraint::Using(names) => {
                for name in names.iter().filter_map(|name| name.0.last()?.as_ident()) {
                    let path = std::slice::from_ref(name);
                    self.gathered.equal(left.sources(path), right.sources(path));
                }
            }
            JoinConstraint::Natural => {
                for column in &left.columns {
                    let same = right.columns.iter().find(|same| same.name == column.name);
                    let same = same.map(|same| same.sources.clone()).unwrap_or_default();
                    self.gathered.equal(column.sources.clone(), same);
                }
            }
            JoinConstraint::None => {}
        }
        match &join.join_operator {
            J::Semi(_) | J::LeftSemi(_) | J::Anti(_) | J::LeftAnti(_) => left,
            J::RightSemi(_) | J::RightAnti(_) => right,
            _ => left.beside(right),
        }
    }

    fn factor(&mut self, factor: &TableFactor, ctes: &Ctes) -> Scope {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let scope = match ctes.get(name) {
                    Some(named) => {
                        let body = self.query(&named.cte.query, &named.outer);
                        body.called(Some(&named.cte.alias))
                    }
                    None => self.relation(name),
                };
                scope.called(alias.as_ref())
            }
            TableFactor::Derived { subquery, alias, .. } => self.query(subquery, ctes).called(alias.as_ref()),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.joined(table_with_joins, ctes).called(alias.as_ref())
            }
            other => {
                self.queries(other, ctes);
                Scope::default()
            }
        }
    }

    fn relation(&mut self, name: &ObjectName) -> Scope {
        let relation = last(name);
        let keys = (self.keys)(&relation);
        if keys.is_empty() {
            return Scope::default();
        }
        let reading = self.gathered.reading(&relation);
        let column = |key: String| Column {
            table: Some(relation.clone()),
            name: key.clone(),
            sources: vec![super::gather::Source { reading, key }],
        };
        Scope { columns: keys.into_iter().map(column).collect(), is_complete: false }
    }

    fn piped(&mut self, scope: Scope, operator: &PipeOperator, ctes: &Ctes) -> Scope {
        match operator {
            PipeOperator::Where { expr } => {
                self.queries(expr, ctes);
                self.gathered.condition(&scope, expr, &(0..self.gathered.readings()));
                scope
            }
            PipeOperator::Limit { .. } | PipeOperator::TableSample { .. } => scope.closed(),
            PipeOperator::OrderBy { .. } => scope,
            PipeOperator::Select { exprs } => {
                self.queries(exprs, ctes);
                scope.projected(exprs)
            }
            PipeOperator::Extend { exprs } => {
                self.queries(exprs, ctes);
                let more = scope.projected(exprs);
                scope.beside(more)
            }
            PipeOperator::As { alias } => scope.named(alias),
            PipeOperator::Aggregate { full_table_exprs, group_by_expr } => {
                let keys =
                    group_by_expr.iter().map(|key| scope.item(&key.expr.expr, key.expr.alias.as_ref()));
                let mut columns: Vec<_> = keys.collect();
                columns.extend(full_table_exprs.iter().map(|_| Column::default()));
                Scope { columns, is_complete: true }
            }
            PipeOperator::Rename { mappings } => {
                let mut scope = scope;
                for mapping in mappings {
                    let (from, to) = (normal(&mapping.ident), normal(&mapping.alias));
                    let renamed = scope.columns.iter_mut().filter(|column| column.name == from);
                    renamed.for_each(|column| column.name.clone_from(&to));
                }
                scope
            }
            PipeOperator::Union { queries, .. }
            | PipeOperator::Intersect { queries, .. }
            | PipeOperator::Except { queries, .. } => queries.iter().fold(scope, |scope, query| {
                let other = self.query(query, ctes);
                scope.united(&other)
            }),
            PipeOperator::Join(join) => self.join(scope, 0, join, ctes),
            // Made other operators before this, or not supported.
            PipeOperator::Set { .. }
            | PipeOperator::Drop { .. }
            | PipeOperator::Call { .. }
            | PipeOperator::Pivot { .. }
            | PipeOperator::Unpivot { .. } => Scope::default(),
        }
    }
}
