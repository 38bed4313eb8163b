//! `--readonly`: what a session may do that is to leave everything as it is.
//!
//! Refused is what changes a file, a table that lasts, or a secret. What ends with the session is no change.

use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};

use super::Session;
use super::project::{Project, lasts};

/// What a session may do; an extension of its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Access {
    pub(super) is_readonly: bool,
}

impl Session {
    /// Whether the session may change nothing that outlives it.
    pub fn is_readonly(&self) -> bool {
        let access = self.context.state_ref().read().config().get_extension::<Access>();
        access.is_some_and(|access| access.is_readonly)
    }

    /// Refuses a plan that would change what outlives the session, if it may not.
    pub(super) async fn refuse_changes(&self, plan: &LogicalPlan) -> Result<()> {
        if !self.is_readonly() {
            return Ok(());
        }
        let project = self.project();
        match self.change(plan, project.as_deref()).await? {
            Some(what) => {
                let text =
                    format!("{what} is refused: the session is read-only (it was started with --readonly)");
                Err(DataFusionError::Plan(text))
            }
            None => Ok(()),
        }
    }

    /// What a plan would change; `None` if nothing that outlives the session.
    async fn change(&self, plan: &LogicalPlan, project: Option<&Project>) -> Result<Option<String>> {
        match plan {
            LogicalPlan::Copy(copy) => Ok(Some(format!("COPY TO '{}'", copy.output_url))),
            LogicalPlan::Dml(dml) => {
                let provider = self.context.table_provider(dml.table_name.clone()).await?;
                let is_memory = provider.is::<MemTable>();
                Ok((!is_memory).then(|| format!("{} '{}'", verb(&dml.op), dml.table_name.table())))
            }
            LogicalPlan::Ddl(ddl) => Ok(project.and_then(|project| self.changed(ddl, project))),
            LogicalPlan::Statement(Statement::Prepare(prepare)) => {
                Box::pin(self.change(&prepare.input, project)).await
            }
            LogicalPlan::Statement(
                Statement::SetVariable(_)
                | Statement::ResetVariable(_)
                | Statement::TransactionStart(_)
                | Statement::TransactionEnd(_)
                | Statement::Execute(_)
                | Statement::Deallocate(_),
            )
            // What is explained is not run, or is a query.
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_) => Ok(None),
        }
    }

    /// What a statement would change of a project.
    fn changed(&self, ddl: &DdlStatement, project: &Project) -> Option<String> {
        match ddl {
            DdlStatement::CreateExternalTable(table) => (lasts(&table.name) && !table.temporary)
                .then(|| format!("CREATE EXTERNAL TABLE '{}', which would last,", table.name.table())),
            DdlStatement::CreateView(view) => (lasts(&view.name) && !view.temporary).then(|| {
                format!("CREATE VIEW '{}', which would last (CREATE TEMP VIEW does not),", view.name.table())
            }),
            DdlStatement::DropTable(drop) => (self.drops_lasting(project, &drop.name))
                .then(|| format!("DROP TABLE '{}'", drop.name.table())),
            DdlStatement::DropView(drop) => (self.drops_lasting(project, &drop.name))
                .then(|| format!("DROP VIEW '{}'", drop.name.table())),
            // These end with the session.
            DdlStatement::CreateMemoryTable(_)
            | DdlStatement::CreateCatalogSchema(_)
            | DdlStatement::CreateCatalog(_)
            | DdlStatement::CreateIndex(_)
            | DdlStatement::DropCatalogSchema(_)
            | DdlStatement::CreateFunction(_)
            | DdlStatement::DropFunction(_) => None,
        }
    }
}

fn verb(op: &datafusion::logical_expr::WriteOp) -> &'static str {
    use datafusion::logical_expr::WriteOp;
    match op {
        WriteOp::Insert(_) | WriteOp::Ctas => "INSERT INTO",
        WriteOp::Delete => "DELETE FROM",
        WriteOp::Update => "UPDATE",
        WriteOp::Truncate => "TRUNCATE",
        _ => "a change of",
    }
}
