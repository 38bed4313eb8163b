//! Which files of its tables a statement can have rows of, found out before any of them is opened.
//!
//! ```text
//! text ─conditions─> guess: year = 2026 ─keys in the paths─> files ─their columns─> plan ─optimise─> scans
//!                      ^                                                                          │
//!                      └───────────── and these, too ── do files beyond these pass their filters? ┘
//!                                                          no: this is the plan
//! ```
//!
//! A plan is made over the columns of some files only, and then asked, by the engine's own rules, what its scans
//! read. Only a plan whose scans read no other files is taken, so a guess costs time if it is wrong, never a
//! row. At the end stands a plan over all files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{EmptyRelation, Expr, Filter, LogicalPlan, TableScan, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as Ast;
use sqlparser::ast::{Expr as SqlExpr, ExprWithAlias};

use crate::frontend::sql::{Params, Readings, Statement};
use crate::plan::shared::parts;
use crate::source::file::{self, FILENAME, looks_like_path};
use crate::source::{Narrowed, Tables};

/// How often a guess is widened before all files are looked into.
pub(super) const ROUNDS_MAX: usize = 4;

/// What the text of a statement says about the files that it wants.
pub(super) fn guessed(state: &SessionState, ast: &Ast, statement: &Statement, params: &Params) -> Tables {
    let known = RefCell::new(HashMap::new());
    let keys = |name: &str| -> Vec<String> {
        let mut known = known.borrow_mut();
        let fields = known.entry(name.to_string()).or_insert_with(|| keys(name, statement));
        fields.iter().map(|field| field.name().clone()).collect()
    };
    let guesses = Statement::conditions(ast, &keys);
    let known = known.take();
    let mut tables = Tables::new();
    for Readings { relation, conditions } in guesses {
        let fields = known.get(&relation).cloned().unwrap_or_default();
        let Ok(schema) = DFSchema::try_from(Schema::new(fields)).map(Arc::new) else { continue };
        let filter = |condition: &SqlExpr| -> Option<Expr> {
            let condition = ExprWithAlias { expr: condition.clone(), alias: None };
            let condition = state.create_logical_expr_from_sql_expr(condition, &schema).ok()?;
            let bind = |plan| params.bind(plan, statement).ok();
            on_keys(state, &schema, condition, bind)
        };
        let readings: Vec<Vec<_>> =
            conditions.iter().map(|reading| reading.iter().filter_map(filter).collect()).collect();
        if readings.iter().all(|filters| !filters.is_empty()) {
            tables.insert(relation, Arc::new(Narrowed::new(readings)));
        }
    }
    tables
}

/// What files tell of themselves by their paths: the keys in them, and their names.
fn keys(location: &str, statement: &Statement) -> Vec<FieldRef> {
    let may_be_files = looks_like_path(location) || std::path::Path::new(location).exists();
    let Some(mut fields) = may_be_files.then(|| file::keys(location).ok()).flatten() else {
        return Vec::new();
    };
    if statement.names_filename() && !fields.iter().any(|field| field.name() == FILENAME) {
        fields.push(Arc::new(Field::new(FILENAME, DataType::Utf8, false)));
    }
    fields
}

/// The files that a condition on rows wants of a location, by its parts that name keys only.
pub(super) fn wanted(state: &SessionState, location: &str, condition: &Expr) -> Tables {
    let fields = file::keys(location).unwrap_or_default();
    let Ok(schema) = DFSchema::try_from(Schema::new(fields)).map(Arc::new) else { return Tables::new() };
    let parts = datafusion::logical_expr::utils::split_conjunction(condition).into_iter();
    let filters: Vec<_> = parts.filter_map(|part| on_keys(state, &schema, part.clone(), Some)).collect();
    match filters.is_empty() {
        true => Tables::new(),
        false => Tables::from([(location.to_string(), Arc::new(Narrowed::new(vec![filters])))]),
    }
}

/// What has to be looked into beyond these files, for a plan that was made over them; `None` if its scans read
/// no others, so that it stands.
///
/// # Errors
/// A plan whose types do not fit, files that cannot be found any more.
pub(super) fn wider(state: &SessionState, tables: &Tables, plan: LogicalPlan) -> Result<Option<Tables>> {
    let mut wider = tables.clone();
    let mut stands = true;
    let mut read = Vec::new();
    for query in queries(plan) {
        read.extend(parts(state.optimize(&query)?, state)?);
    }
    for part in read {
        part.apply_with_subqueries(|node| {
            let LogicalPlan::TableScan(TableScan { source, filters, .. }) = node else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let Ok(provider) = source_as_provider(source) else { return Ok(TreeNodeRecursion::Continue) };
            let filters: Vec<_> = filters.iter().cloned().map(unnormalize_col).collect();
            for (location, narrowed) in tables {
                if let Some(filters) = file::beyond(provider.as_ref(), narrowed, state, &filters)? {
                    stands = false;
                    let known = wider.get(location).unwrap_or(narrowed);
                    wider.insert(location.clone(), Arc::new(known.or(filters)));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok((!stands).then_some(wider))
}

/// The queries whose rows a plan reads.
fn queries(plan: LogicalPlan) -> Vec<LogicalPlan> {
    match plan {
        LogicalPlan::Ddl(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Statement(_) => {
            plan.inputs().into_iter().flat_map(|input| queries(input.clone())).collect()
        }
        query => vec![query],
    }
}

/// A condition as the engine computes it, if it depends on keys alone. Analysed by the session's own rules,
/// so that it means the same here as in the plan.
fn on_keys(
    state: &SessionState,
    schema: &Arc<DFSchema>,
    condition: Expr,
    bind: impl FnOnce(LogicalPlan) -> Option<LogicalPlan>,
) -> Option<Expr> {
    let empty = EmptyRelation { produce_one_row: false, schema: Arc::clone(schema) };
    let filter = Filter::try_new(condition, Arc::new(LogicalPlan::EmptyRelation(empty))).ok()?;
    let plan = bind(LogicalPlan::Filter(filter))?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).ok()?;
    let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan else { return None };
    if !matches!(input.as_ref(), LogicalPlan::EmptyRelation(_)) {
        return None;
    }
    // Some functions are only names for what the optimiser makes of them.
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simple = ExprSimplifier::new(context).simplify(predicate).ok()?;
    is_fixed(&simple).then(|| unnormalize_col(simple))
}

/// Whether an expression has the same value whenever it is computed, and needs nothing but columns for it.
fn is_fixed(expr: &Expr) -> bool {
    let is_other = expr.exists(|part| {
        Ok(match part {
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            Expr::Alias(_)
            | Expr::Column(_)
            | Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::InList(_) => false,
            // Parameters without a value, subqueries, lambdas, what is no condition on a row.
            _ => true,
        })
    });
    is_other.is_ok_and(|is_other| !is_other)
}
