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
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::catalog::TableProvider;
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
///
/// The keys of relations are looked up as far as the text goes: in a store of the network, the folders below
/// `year=2025` are not listed for a statement that wants `year = 2026`. So this guesses, looks up what it asks for,
/// and guesses again with what it knows then, until it knows no more.
pub(super) async fn guessed(
    state: &SessionState,
    ast: &Ast,
    statement: &Statement,
    params: &Params,
) -> Tables {
    let mut known: HashMap<String, Vec<FieldRef>> = HashMap::new();
    let mut settled = HashSet::new();
    loop {
        let Guess { tables, mut asked } = guess(state, ast, statement, params, &known);
        asked.retain(|name| !settled.contains(name));
        if asked.is_empty() {
            return tables;
        }
        for name in asked {
            let before = known.get(&name).map(Vec::as_slice).unwrap_or_default();
            let wanted = tables.get(&name).map(AsRef::as_ref);
            let fields = keys(state, &name, statement, wanted, before).await;
            if fields.len() == before.len() || !file::is_remote(&name) {
                settled.insert(name.clone());
            }
            known.insert(name, fields);
        }
    }
}

/// What a statement wants as far as the keys of its relations are known, and the relations whose keys it asks for.
struct Guess {
    tables: Tables,
    asked: Vec<String>,
}

fn guess(
    state: &SessionState,
    ast: &Ast,
    statement: &Statement,
    params: &Params,
    known: &HashMap<String, Vec<FieldRef>>,
) -> Guess {
    let asked = RefCell::new(Vec::new());
    let keys = |name: &str| -> Vec<String> {
        let mut asked = asked.borrow_mut();
        if !asked.iter().any(|known| known == name) {
            asked.push(name.to_string());
        }
        known.get(name).into_iter().flatten().map(|field| field.name().clone()).collect()
    };
    let guesses = Statement::conditions(ast, &keys);
    let mut tables = Tables::new();
    for Readings { relation, conditions } in guesses {
        let fields = known.get(&relation).cloned().unwrap_or_default();
        let Ok(schema) = DFSchema::try_from(Schema::new(fields.clone())).map(Arc::new) else { continue };
        let filter = |condition: &SqlExpr| -> Option<Expr> {
            let condition = ExprWithAlias { expr: condition.clone(), alias: None };
            let condition = state.create_logical_expr_from_sql_expr(condition, &schema).ok()?;
            let bind = |plan| params.bind(plan, statement).ok();
            on_keys(state, &schema, condition, bind)
        };
        let readings: Vec<Vec<_>> =
            conditions.iter().map(|reading| reading.iter().filter_map(filter).collect()).collect();
        if readings.iter().all(|filters| !filters.is_empty()) {
            // Whether there is such a column is for the table to say.
            let keys = fields.into_iter().filter(|field| field.name() != FILENAME).collect();
            tables.insert(relation, Arc::new(Narrowed::new(readings, keys)));
        }
    }
    Guess { tables, asked: asked.into_inner() }
}

/// What files tell of themselves by their paths: the keys in them, and their names.
async fn keys(
    state: &SessionState,
    location: &str,
    statement: &Statement,
    wanted: Option<&Narrowed>,
    known: &[FieldRef],
) -> Vec<FieldRef> {
    let place = crate::source::located(location);
    let may_be_files = looks_like_path(location) || std::path::Path::new(place.as_ref()).exists();
    if !may_be_files || (file::is_remote(location) && !statement.has_conditions()) {
        return Vec::new();
    }
    let Ok(mut fields) = file::keys(state, location, wanted, known).await else { return Vec::new() };
    if statement.names_filename() && !fields.iter().any(|field| field.name() == FILENAME) {
        fields.push(Arc::new(Field::new(FILENAME, DataType::Utf8, false)));
    }
    fields
}

/// The files that a condition on rows wants of a location, by its parts that name keys only.
pub(super) async fn wanted(state: &SessionState, location: &str, condition: &Expr) -> Tables {
    let mut tables = Tables::new();
    let mut known = Vec::new();
    loop {
        let narrowed = tables.get(location).cloned();
        let fields = file::keys(state, location, narrowed.as_deref(), &known).await.unwrap_or_default();
        let is_settled = fields.len() == known.len() || !file::is_remote(location);
        known.clone_from(&fields);
        let Ok(schema) = DFSchema::try_from(Schema::new(fields)).map(Arc::new) else { return tables };
        let parts = datafusion::logical_expr::utils::split_conjunction(condition).into_iter();
        let filters: Vec<_> = parts.filter_map(|part| on_keys(state, &schema, part.clone(), Some)).collect();
        if !filters.is_empty() {
            let narrowed = Narrowed::new(vec![filters], known.clone());
            tables.insert(location.to_string(), Arc::new(narrowed));
        }
        if is_settled {
            return tables;
        }
    }
}

/// What has to be looked into beyond these files, for a plan that was made over them; `None` if its scans read
/// no others, so that it stands.
///
/// # Errors
/// A plan whose types do not fit, files that cannot be found any more.
pub(super) async fn wider(
    state: &SessionState,
    tables: &Tables,
    plan: LogicalPlan,
) -> Result<Option<Tables>> {
    let mut wider = tables.clone();
    let mut stands = true;
    for Scanned { provider, filters } in scanned(state, plan)? {
        for (location, narrowed) in tables {
            if let Some(filters) = file::beyond(provider.as_ref(), narrowed, state, &filters).await? {
                stands = false;
                let known = wider.get(location).unwrap_or(narrowed);
                wider.insert(location.clone(), Arc::new(known.or(filters)));
            }
        }
    }
    Ok((!stands).then_some(wider))
}

/// A table that a plan reads, and the filters on what it reads.
struct Scanned {
    provider: Arc<dyn TableProvider>,
    filters: Vec<Expr>,
}

/// What the queries of a plan read, once they are optimised.
fn scanned(state: &SessionState, plan: LogicalPlan) -> Result<Vec<Scanned>> {
    let mut read = Vec::new();
    for query in queries(plan) {
        read.extend(parts(state.optimize(&query)?, state)?);
    }
    let mut scanned = Vec::new();
    for part in read {
        part.apply_with_subqueries(|node| {
            let LogicalPlan::TableScan(TableScan { source, filters, .. }) = node else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let Ok(provider) = source_as_provider(source) else { return Ok(TreeNodeRecursion::Continue) };
            let filters: Vec<_> = filters.iter().cloned().map(unnormalize_col).collect();
            scanned.push(Scanned { provider, filters });
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(scanned)
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
