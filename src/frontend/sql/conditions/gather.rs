//! Conditions on columns to conditions on keys, reading by reading.

use std::ops::{ControlFlow, Range};

use sqlparser::ast::{BinaryOperator, Expr, Ident, Query, Visit, VisitMut, Visitor, VisitorMut};

use super::Readings;
use super::scope::Scope;

/// A key of one reading: where the values of a column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) reading: usize,
    pub(super) key: String,
}

/// A part of a condition, and where each column that it names comes from.
struct Part {
    condition: Expr,
    names: Vec<(Vec<Ident>, Vec<Source>)>,
}

/// What a walk has found so far.
#[derive(Default)]
pub(super) struct Gathered {
    /// The relation of each reading.
    relations: Vec<String>,
    parts: Vec<Part>,
    /// Keys that are equal in all rows in which both are there.
    equal: Vec<Vec<Source>>,
}

impl Gathered {
    /// Counts one more place where a relation is read.
    pub(super) fn reading(&mut self, relation: &str) -> usize {
        self.relations.push(relation.to_string());
        self.relations.len() - 1
    }

    /// How many there are: the number of the next one.
    pub(super) fn readings(&self) -> usize {
        self.relations.len()
    }

    /// Takes a condition on the columns of a scope, as far as they come from some readings.
    pub(super) fn condition(&mut self, scope: &Scope, condition: &Expr, from: &Range<usize>) {
        for part in parts(condition) {
            let Some(paths) = columns(part) else { continue };
            let sources = |path: &Vec<Ident>| {
                let mut sources = scope.sources(path);
                sources.retain(|source| from.contains(&source.reading));
                sources
            };
            if let Some((left, right)) = equal_columns(part) {
                let (left, right) = (scope.sources(left), scope.sources(right));
                let is_one = |left: &Source| right.iter().any(|right| right.reading == left.reading);
                if !left.iter().any(is_one) {
                    self.equal(left, right);
                    continue;
                }
            }
            let names: Vec<_> = paths.into_iter().map(|path| (sources(&path), path)).collect();
            if !names.is_empty() && names.iter().all(|(sources, _)| !sources.is_empty()) {
                let names = names.into_iter().map(|(sources, path)| (path, sources)).collect();
                self.parts.push(Part { condition: part.clone(), names });
            }
        }
    }

    /// Notes that two columns are equal.
    pub(super) fn equal(&mut self, left: Vec<Source>, right: Vec<Source>) {
        if left.is_empty() || right.is_empty() {
            return;
        }
        let mut together = left;
        together.extend(right);
        let touches = |class: &Vec<Source>| class.iter().any(|source| together.contains(source));
        let (touched, mut apart): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.equal).into_iter().partition(touches);
        together.extend(touched.into_iter().flatten());
        apart.push(together);
        self.equal = apart;
    }

    /// The conditions of all readings, by relation.
    pub(super) fn into_readings(self) -> Vec<Readings> {
        let mut conditions = vec![Vec::new(); self.relations.len()];
        for Part { condition, names } in &self.parts {
            let names: Vec<_> =
                names.iter().map(|(path, sources)| (path, self.with_equals(sources))).collect();
            for (reading, conditions) in conditions.iter_mut().enumerate() {
                let key = |sources: &[Source]| {
                    sources.iter().find(|source| source.reading == reading).map(|source| source.key.clone())
                };
                let keys = names.iter().map(|(path, sources)| Some((path.as_slice(), key(sources)?)));
                if let Some(keys) = keys.collect::<Option<Vec<_>>>() {
                    conditions.push(on_keys(condition, &keys));
                }
            }
        }
        let mut found: Vec<Readings> = Vec::new();
        for (relation, conditions) in self.relations.into_iter().zip(conditions) {
            match found.iter_mut().find(|known| known.relation == relation) {
                Some(known) => known.conditions.push(conditions),
                None => found.push(Readings { relation, conditions: vec![conditions] }),
            }
        }
        found
    }

    fn with_equals(&self, sources: &[Source]) -> Vec<Source> {
        let mut all = sources.to_vec();
        for class in &self.equal {
            if class.iter().any(|source| sources.contains(source)) {
                all.extend(class.iter().cloned());
            }
        }
        all
    }
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

/// The column that an expression is, as it is written.
pub(super) fn column(expr: &Expr) -> Option<&[Ident]> {
    match expr {
        Expr::Nested(inner) => column(inner),
        Expr::Identifier(name) => Some(std::slice::from_ref(name)),
        Expr::CompoundIdentifier(path) => Some(path),
        _ => None,
    }
}

fn equal_columns(part: &Expr) -> Option<(&[Ident], &[Ident])> {
    match part {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => Some((column(left)?, column(right)?)),
        _ => None,
    }
}

/// The columns that an expression names; `None` if a query is a part of it.
fn columns(expr: &Expr) -> Option<Vec<Vec<Ident>>> {
    struct Names(Vec<Vec<Ident>>);
    impl Visitor for Names {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(name) => self.0.push(vec![name.clone()]),
                Expr::CompoundIdentifier(path) => self.0.push(path.clone()),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    expr.visit(&mut names).is_continue().then_some(names.0)
}

/// A condition with keys in the place of the columns that it names.
fn on_keys(condition: &Expr, keys: &[(&[Ident], String)]) -> Expr {
    struct Keys<'a>(&'a [(&'a [Ident], String)]);
    impl VisitorMut for Keys<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let named = match expr {
                Expr::Identifier(name) => std::slice::from_ref(name),
                Expr::CompoundIdentifier(path) => path.as_slice(),
                _ => return ControlFlow::Continue(()),
            };
            if let Some((_, key)) = self.0.iter().find(|(path, _)| *path == named) {
                *expr = Expr::Identifier(Ident::with_quote('"', key));
            }
            ControlFlow::Continue(())
        }
    }
    let mut condition = condition.clone();
    let _ = VisitMut::visit(&mut condition, &mut Keys(keys));
    condition
}
