//! Statements to logical plans, over the files that they want.

use std::collections::HashSet;

use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Ast;

use super::clock::{self, Runs};
use super::{Session, describe, narrow, reference};
use crate::error::{Result, StatementError};
use crate::frontend::sql::{BareNames, Params, Statement};
use crate::source::file::has_virtual_filename;
use crate::source::{Lookup, Narrowed, Tables};

impl Session {
    /// The plan of a statement, its parameters not bound yet.
    ///
    /// # Errors
    /// Planning errors point at their place in the script and name what comes nearest.
    pub(super) async fn plan(
        &self,
        statement: &Statement,
        params: &Params,
        runs: Runs,
    ) -> Result<LogicalPlan> {
        self.remotes().iter().for_each(|remotes| remotes.begin());
        self.reached(statement, Box::pin(self.plan_here(statement, params, runs))).await
    }

    async fn plan_here(&self, statement: &Statement, params: &Params, runs: Runs) -> Result<LogicalPlan> {
        let state = clock::state_for(self.context.state(), runs);
        if let Some(format) = statement.copy_format()
            && state.get_file_format_factory(&format.to_lowercase()).is_none()
        {
            let message = format!("files of format '{format}' cannot be written");
            return Err(StatementError::new(message, Some(statement.place().clone())).into());
        }
        let ast = params.placed(statement);
        let ast = describe::query_of(&ast).unwrap_or(ast);
        let tables = narrow::guessed(&state, &ast, statement, params).await;
        if !tables.is_empty()
            && let Some(plan) = self.narrowed(&state, &ast, statement, params, tables).await
        {
            return Ok(plan);
        }
        match self.planned(&state, ast, statement, Tables::new()).await {
            Ok(plan) => Ok(plan),
            Err(error) => Err(self.diagnose(error, statement).await.into()),
        }
    }

    /// Plans a statement over the files that it wants of each table, and over more until the plan reads no others.
    /// `None` if it needs all: a column may be in the other files only, or have its type from them.
    async fn narrowed(
        &self,
        state: &SessionState,
        ast: &Ast,
        statement: &Statement,
        params: &Params,
        mut tables: Tables,
    ) -> Option<LogicalPlan> {
        for _ in 0..narrow::ROUNDS_MAX {
            let plan = self.planned(state, ast.clone(), statement, tables.clone()).await.ok()?;
            let plan = clock::settled(plan, state).ok()?;
            let bound = params.bind(plan.clone(), statement).ok()?;
            match narrow::wider(state, &tables, bound).await.ok()? {
                None => return Some(plan),
                Some(wider) => tables = wider,
            }
        }
        None
    }

    /// Plans a statement over some files of its tables only, where such are given.
    pub(super) async fn planned(
        &self,
        state: &SessionState,
        mut ast: Ast,
        statement: &Statement,
        tables: Tables,
    ) -> Result<LogicalPlan, DataFusionError> {
        if let Some((columns, probe)) = statement.replace_probe()
            && let Err(error) = Narrowed::during(tables.clone(), state.statement_to_plan(probe)).await
            && names_column(&error, &columns)
        {
            return Err(error);
        }
        let lookup = match &ast {
            // The engine looks for the table that is to be made, and a folder of its name is none.
            Ast::CreateExternalTable(_) => Lookup::Nothing,
            _ if statement.names_filename() => Lookup::NamedFiles,
            _ => Lookup::Files,
        };
        let names = BareNames::of(&ast);
        let plan = async {
            if lookup == Lookup::NamedFiles {
                let named = self.virtually_named(statement).await;
                Statement::hide_filename(&mut ast, &named);
            }
            let plan = state.statement_to_plan(ast).await?;
            names.check(&plan)?;
            Ok(plan)
        };
        lookup.during(Narrowed::during(tables, plan)).await
    }

    /// The relations of a statement that have a column `filename` which `*` does not show.
    async fn virtually_named(&self, statement: &Statement) -> HashSet<String> {
        let mut names = HashSet::new();
        for name in statement.relations() {
            if let Ok(table) = self.context.table_provider(reference(&name)).await
                && has_virtual_filename(table.as_ref())
            {
                names.insert(name.to_string());
            }
        }
        names
    }
}

fn names_column(error: &DataFusionError, columns: &[String]) -> bool {
    use datafusion::common::SchemaError;
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => columns.contains(&field.name),
            _ => false,
        },
        _ => false,
    }
}
