//! Which files of its tables a statement can have rows of, found out before any of them is opened.
//!
//! ```text
//! WHERE year = 2026 AND amount > 5 ─conditions─> year = 2026; amount > 5
//!                                                     │ typed by the keys in the paths alone
//!                                                 year = 2026 ──> the table is made of these files
//! ```
//!
//! The statement is planned as ever, so each condition is applied to the rows as well: files may only be left
//! out if all their rows would be.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{EmptyRelation, Expr, Filter, LogicalPlan, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as Ast;
use sqlparser::ast::{Expr as SqlExpr, ExprWithAlias, Ident};

use crate::frontend::sql::{Params, Statement};
use crate::source::Narrowed;
use crate::source::file::{keys, looks_like_path};

/// The tables of files of which a statement wants some files only, by location.
pub(super) fn narrowed(
    state: &SessionState,
    ast: &Ast,
    statement: &Statement,
    params: &Params,
) -> HashMap<String, Narrowed> {
    let mut tables = HashMap::new();
    for (name, readings) in Statement::conditions(ast) {
        let may_be_files = looks_like_path(&name) || std::path::Path::new(&name).exists();
        let Some(fields) = may_be_files.then(|| keys(&name).ok()).flatten() else { continue };
        if fields.is_empty() {
            continue;
        }
        let schema = Schema::new(fields);
        let filters = |alias: &Option<Ident>, conditions: &[SqlExpr]| -> Vec<Expr> {
            let qualifier = alias.as_ref().map_or_else(|| TableReference::bare(name.as_str()), called);
            let Ok(schema) = DFSchema::try_from_qualified_schema(qualifier, &schema) else {
                return Vec::new();
            };
            let schema = Arc::new(schema);
            let filter = |condition: &SqlExpr| on_keys(state, &schema, condition.clone(), statement, params);
            conditions.iter().filter_map(|condition| filter(condition).ok().flatten()).collect()
        };
        let readings: Vec<_> =
            readings.iter().map(|reading| filters(&reading.alias, &reading.conditions)).collect();
        if readings.iter().all(|filters| !filters.is_empty()) {
            tables.insert(name, Narrowed { readings });
        }
    }
    tables
}

/// The name that an alias gives to a table.
fn called(alias: &Ident) -> TableReference {
    match alias.quote_style {
        Some(_) => TableReference::bare(alias.value.as_str()),
        None => TableReference::bare(alias.value.to_lowercase()),
    }
}

/// A condition as the engine computes it, if it depends on keys alone. Analysed by the session's own rules,
/// so that it means the same here as in the plan.
fn on_keys(
    state: &SessionState,
    schema: &Arc<DFSchema>,
    condition: SqlExpr,
    statement: &Statement,
    params: &Params,
) -> crate::Result<Option<Expr>> {
    let planned = || -> Result<LogicalPlan> {
        let condition = ExprWithAlias { expr: condition, alias: None };
        let condition = state.create_logical_expr_from_sql_expr(condition, schema)?;
        let empty = EmptyRelation { produce_one_row: false, schema: Arc::clone(schema) };
        let filter = Filter::try_new(condition, Arc::new(LogicalPlan::EmptyRelation(empty)))?;
        Ok(LogicalPlan::Filter(filter))
    };
    let Ok(plan) = planned() else { return Ok(None) };
    let plan = params.bind(plan, statement)?;
    let Ok(plan) = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}) else {
        return Ok(None);
    };
    match plan {
        LogicalPlan::Filter(Filter { predicate, input, .. })
            if matches!(input.as_ref(), LogicalPlan::EmptyRelation(_)) && is_fixed(&predicate)? =>
        {
            // Some functions are only names for what the optimiser makes of them.
            let context = SimplifyContext::builder()
                .with_schema(Arc::clone(schema))
                .with_config_options(Arc::clone(state.config_options()))
                .build();
            let simple = ExprSimplifier::new(context).simplify(predicate);
            Ok(simple.ok().map(unnormalize_col))
        }
        _ => Ok(None),
    }
}

/// Whether an expression has the same value whenever it is computed, and needs nothing but columns for it.
fn is_fixed(expr: &Expr) -> Result<bool> {
    let mut is_fixed = true;
    expr.apply(|part| {
        is_fixed &= match part {
            Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
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
            | Expr::InList(_) => true,
            // Parameters without a value, subqueries, lambdas, what is no condition on a row.
            _ => false,
        };
        Ok(if is_fixed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_fixed)
}
