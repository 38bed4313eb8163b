//! The time at which a statement runs: `now()` and the like, settled when it is planned.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::sql::parser::Statement as Ast;
use sqlparser::ast::Statement as SqlAst;

/// When a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Once, right away: the time of its planning is its time.
    Now,
    /// Later, perhaps often, each time at a time of its own.
    Later,
}

impl Runs {
    /// When a statement that is carried out by itself is.
    pub(super) fn of(ast: &Ast) -> Self {
        match ast {
            Ast::Statement(statement) => match statement.as_ref() {
                SqlAst::CreateView(_) | SqlAst::Prepare { .. } => Self::Later,
                _ => Self::Now,
            },
            Ast::Explain(explain) => Self::of(&explain.statement),
            Ast::CopyTo(_) | Ast::CreateExternalTable(_) | Ast::Reset(_) => Self::Now,
        }
    }
}

/// A state for planning in which the time is known only to what runs now.
pub(super) fn state_for(mut state: SessionState, runs: Runs) -> SessionState {
    if runs == Runs::Later {
        state.execution_props_mut().query_execution_start_time = None;
    }
    state
}

/// Puts the state's time in the place of the functions that give it. Without it they stay as they are.
pub(super) fn settled(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let Some(time) = state.execution_props().query_execution_start_time else { return Ok(plan) };
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(DFSchema::empty()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(Some(time))
        .build();
    let settle = |expr: Expr| match expr {
        Expr::ScalarFunction(call)
            if call.args.is_empty() && call.func.signature().volatility == Volatility::Stable =>
        {
            match call.func.simplify(Vec::new(), &context)? {
                ExprSimplifyResult::Simplified(value) => Ok(Transformed::yes(value)),
                ExprSimplifyResult::Original(_) => Ok(Transformed::no(Expr::ScalarFunction(call))),
            }
        }
        expr => Ok(Transformed::no(expr)),
    };
    let plan = plan.transform_down_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(settle)?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    });
    plan.map(|plan| plan.data)
}
