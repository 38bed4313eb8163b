//! Statements that make or drop what lasts.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{CreateExternalTable, CreateView, DdlStatement, LogicalPlan, TableType};
use datafusion::sql::parser::Statement as Ast;
use futures::future::BoxFuture;
use sqlparser::ast::Statement as SqlAst;

use super::schema::{CATALOG, SCHEMA};
use super::{Project, Reach, coerced, reach, secrets};
use crate::frontend::sql::Statement;
use crate::session::{Failure, Outcome, Session, reference};
use crate::source::ExternalTables;

impl Session {
    /// The project that the session is in.
    pub(in crate::session) fn project(&self) -> Option<Arc<Project>> {
        self.context.state_ref().read().config().get_extension::<Project>()
    }

    /// Does the planning of a statement, in which names mean what they mean to it.
    pub(in crate::session) async fn reached(
        &self,
        statement: &Statement,
        planning: BoxFuture<'_, crate::Result<LogicalPlan>>,
    ) -> crate::Result<LogicalPlan> {
        let Some(project) = self.project() else { return planning.await };
        match view_that_lasts(statement.ast()) {
            // A view that is replaced must not read itself.
            Some(name) => {
                let work = async { planning.await.map_err(Failure::Own) };
                let planned = project.within(reach::making(&name, work)).await;
                planned.map_err(|failure| match failure {
                    Failure::Engine(error) => crate::session::located(error, statement).into(),
                    Failure::Own(error) => error,
                })
            }
            // It may take the place of one that cannot be made any more.
            None if matches!(statement.ast(), Ast::CreateExternalTable(_)) => {
                Reach::Session.during(planning).await
            }
            None => Reach::All.during(planning).await,
        }
    }

    /// Carries out a statement that makes or drops a table or view that lasts; `None` if it is another one.
    pub(in crate::session) async fn last(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
    ) -> Result<Option<Outcome>, Failure> {
        let (Some(project), LogicalPlan::Ddl(ddl)) = (self.project(), plan) else { return Ok(None) };
        let text = || statement.place().script.text[statement.place().span.clone()].to_string();
        let done = match ddl {
            DdlStatement::CreateExternalTable(table) if lasts(&table.name) && !table.temporary => {
                self.make_table(&project, table, text()).await?
            }
            DdlStatement::CreateView(view) if lasts(&view.name) && !view.temporary => {
                refuse_parameters(statement)?;
                self.make_view(&project, view, statement.only_if_new(), text())?
            }
            DdlStatement::CreateMemoryTable(table)
                if lasts(&table.name) && project.has(table.name.table()) && !table.temporary =>
            {
                match table.if_not_exists {
                    true => true,
                    false => return Err(exists(table.name.table())),
                }
            }
            DdlStatement::DropTable(drop) if lasts(&drop.name) => {
                self.drop_lasting(&project, &drop.name, TableType::Base)?
            }
            DdlStatement::DropView(drop) if lasts(&drop.name) => {
                self.drop_lasting(&project, &drop.name, TableType::View)?
            }
            _ => false,
        };
        Ok(done.then_some(Outcome::Done))
    }

    async fn make_table(
        &self,
        project: &Project,
        table: &CreateExternalTable,
        text: String,
    ) -> Result<bool, Failure> {
        let name = table.name.table();
        self.refuse_hidden(name, table.if_not_exists)?;
        if table.if_not_exists && (self.is_in_session(name) || project.has(name)) {
            return Ok(true);
        }
        if !table.or_replace && project.has(name) {
            return Err(exists(name));
        }
        refuse_secrets(&text, table.options.keys())?;
        let mut table = table.clone();
        project.locate(&mut table.locations);
        ExternalTables.open(&self.context.state(), &table, None).await?;
        self.keep(project, name, &text, table.or_replace)
    }

    fn make_view(
        &self,
        project: &Project,
        view: &CreateView,
        only_if_new: bool,
        text: String,
    ) -> Result<bool, Failure> {
        let name = view.name.table();
        self.refuse_hidden(name, only_if_new)?;
        if only_if_new && (self.is_in_session(name) || project.has(name)) {
            return Ok(true);
        }
        refuse_secrets(&text, std::iter::empty())?;
        coerced(LogicalPlan::clone(&view.input))?;
        self.keep(project, name, &text, view.or_replace)
    }

    fn keep(&self, project: &Project, name: &str, text: &str, replaces: bool) -> Result<bool, Failure> {
        match project.definitions.write(name, text, replaces)? {
            true => {
                project.forget(name);
                Ok(true)
            }
            false => Err(exists(name)),
        }
    }

    /// Drops what lasts, unless a table of the session hides it.
    fn drop_lasting(
        &self,
        project: &Project,
        name: &TableReference,
        kind: TableType,
    ) -> Result<bool, Failure> {
        let name = name.table();
        let Some(known) = project.kind(name)?.filter(|_| !self.is_in_session(name)) else { return Ok(false) };
        if known != kind {
            let (is, word) = if kind == TableType::View { ("table", "TABLE") } else { ("view", "VIEW") };
            let text = format!("'{name}' is a {is}: write DROP {word}");
            return Err(DataFusionError::Plan(text).into());
        }
        project.forget(name);
        Ok(project.definitions.remove(name)?)
    }

    /// Whether a DROP of this name is about what lasts.
    pub(in crate::session) fn drops_lasting(&self, project: &Project, name: &TableReference) -> bool {
        lasts(name) && project.has(name.table()) && !self.is_in_session(name.table())
    }

    pub(in crate::session) fn is_in_session(&self, name: &str) -> bool {
        Reach::Session.during_call(|| self.context.table_exist(TableReference::bare(name))).unwrap_or(false)
    }

    /// Refuses to make what nobody would see: a table of the session has its name.
    fn refuse_hidden(&self, name: &str, only_if_new: bool) -> Result<(), Failure> {
        match self.is_in_session(name) && !only_if_new {
            true => Err(DataFusionError::Plan(format!(
                "'{name}' is a table or view of this session, which would hide one that lasts: drop it first"
            ))
            .into()),
            false => Ok(()),
        }
    }
}

/// Whether a name is one that can last: one without a schema.
pub(in crate::session) fn lasts(name: &TableReference) -> bool {
    name.catalog().is_none_or(|catalog| catalog == CATALOG)
        && name.schema().is_none_or(|schema| schema == SCHEMA)
}

/// The name of the view that a statement makes to last, in a project.
fn view_that_lasts(ast: &Ast) -> Option<String> {
    let Ast::Statement(statement) = ast else { return None };
    let SqlAst::CreateView(view) = statement.as_ref() else { return None };
    let name = reference(&view.name);
    (!view.temporary && lasts(&name)).then(|| name.table().to_string())
}

fn refuse_parameters(statement: &Statement) -> Result<(), Failure> {
    match statement.parameters().first() {
        Some((name, _)) => Err(DataFusionError::Plan(format!(
            "a view that lasts has no parameters, and this one has ${name}: write its value, or CREATE TEMP VIEW"
        ))
        .into()),
        None => Ok(()),
    }
}

fn refuse_secrets<'a>(text: &str, options: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    match secrets::found(text, options) {
        Some(what) => Err(DataFusionError::Plan(format!(
            "{what} may hold a secret, and what lasts is kept as text: make it known with CREATE SECRET, or write \
             CREATE EXTERNAL TEMP TABLE or CREATE TEMP VIEW"
        ))
        .into()),
        None => Ok(()),
    }
}

fn exists(name: &str) -> Failure {
    DataFusionError::Execution(format!("'{name}' already exists")).into()
}
