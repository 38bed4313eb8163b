//! `DESCRIBE query`: the columns that the query's rows have.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DescribeTable, LogicalPlan};
use datafusion::sql::parser::Statement as Ast;
use sqlparser::ast::{DescribeAlias, Statement as SqlAst};

/// The query that a statement describes, if it does. The engine describes a query as it was planned first,
/// before the branches of a UNION or CASE are made one type; planned on its own, it can be analysed.
pub(super) fn query_of(ast: &Ast) -> Option<Ast> {
    let Ast::Statement(statement) = ast else { return None };
    match statement.as_ref() {
        SqlAst::Explain {
            describe_alias: DescribeAlias::Describe | DescribeAlias::Desc, statement, ..
        } if matches!(statement.as_ref(), SqlAst::Query(_)) => Some(Ast::Statement(statement.clone())),
        _ => None,
    }
}

/// The plan that gives a row for each column of a query.
pub(super) fn described(state: &SessionState, query: LogicalPlan) -> Result<LogicalPlan> {
    let query = state.analyzer().execute_and_check(query, state.config_options(), |_, _| {})?;
    Ok(LogicalPlan::DescribeTable(DescribeTable {
        schema: Arc::clone(query.schema().inner()),
        output_schema: Arc::new(DFSchema::try_from(LogicalPlan::describe_schema())?),
    }))
}
