//! A project: a folder whose tables and views last, as statements in files.
//!
//! ```text
//! CREATE VIEW v AS … ─> .query/catalog/v.sql ─ read when the name is used ─> parsed, planned ─> a table
//! ```
//!
//! The files are the truth: nothing of them is kept but the last table of files made from each text. So what another
//! process makes or drops is seen by the next statement, and a table whose files are gone stops only those who use it.

mod broken;
mod definitions;
mod reach;
mod schema;
mod secrets;
mod statements;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::config::ConfigOptions;
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{DdlStatement, LogicalPlan, TableType};
use datafusion::optimizer::Analyzer;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Ast;
use sqlparser::ast::Statement as SqlAst;

use super::clock::{self, Runs};
use super::{Failure, Session};
use crate::error::{Error, Script, StatementError};
use crate::frontend::sql::{Functions, RawStatement, Statement, split};
use crate::hidden;
use crate::memory::Resources;
use crate::source::{ExternalTables, Files, Tables, below, from_base};
use crate::store::Stores;
use definitions::Definitions;
pub(super) use reach::Reach;
pub(super) use schema::Catalogs;
pub(super) use statements::lasts;

/// The folder that makes its parent a project.
const FOLDER: &str = ".query";

/// The root of the project that a folder is in: the nearest folder, itself or above it, with a `.query/` that belongs
/// to this user. Somebody else's would decide what the names in our queries mean.
pub fn find_project(from: &Path) -> Option<PathBuf> {
    let is_ours = |folder: &Path| {
        let meta = std::fs::metadata(folder.join(FOLDER));
        meta.is_ok_and(|meta| meta.is_dir() && meta.uid() == crate::scratch::user())
    };
    from.ancestors().find(|folder| is_ours(folder)).map(Path::to_path_buf)
}

/// A table, with the text that it was made from.
type Made = (String, Arc<dyn TableProvider>);

/// The tables and views of a project.
pub(super) struct Project {
    /// From where the locations in its statements count.
    root: PathBuf,
    definitions: Definitions,
    /// Tables of files by their names, with the texts that they were made from.
    tables: Mutex<HashMap<String, Made>>,
    files: Arc<Files>,
    resources: Arc<Resources>,
    stores: Arc<Stores>,
}

impl Project {
    /// The project in a folder. Nothing is read yet.
    pub(super) fn new(
        root: &Path,
        files: &Arc<Files>,
        resources: &Arc<Resources>,
        stores: &Arc<Stores>,
    ) -> Self {
        let here = std::env::current_dir().ok();
        let same = |here: &PathBuf| std::fs::canonicalize(root).is_ok_and(|root| root == *here);
        // From the working directory, files are called what they were written as.
        let base = if here.as_ref().is_some_and(same) { PathBuf::new() } else { root.to_path_buf() };
        Self {
            root: base,
            definitions: Definitions::new(root.join(FOLDER).join("catalog")),
            tables: Mutex::default(),
            files: Arc::clone(files),
            resources: Arc::clone(resources),
            stores: Arc::clone(stores),
        }
    }

    /// Does some work as if it stood in the project's statements: its locations count from the project.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        from_base(&self.root, Reach::Lasting.during(work)).await
    }

    /// Whether there is a table or view of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.definitions.has(name)
    }

    /// What kind of table a name is, by its statement alone; `None` if there is none.
    fn kind(&self, name: &str) -> Result<Option<TableType>> {
        let Some(text) = self.definitions.read(name).map_err(external)? else { return Ok(None) };
        let statement = parse(&self.definitions.file(name), &text, &Functions::default());
        Ok(Some(match statement {
            Ok(statement) if is_view(statement.ast()) => TableType::View,
            Ok(_) | Err(_) => TableType::Base,
        }))
    }

    /// The table of a name as it is now; `None` if there is none.
    ///
    /// # Errors
    /// A statement that does not make such a table any more, with the table's name.
    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(text) = self.definitions.read(name).map_err(external)? else { return Ok(None) };
        let known = || self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, table)) = known().get(name)
            && *of == text
        {
            return Ok(Some(Arc::clone(table)));
        }
        let made = reach::making(name, self.made(name, &text)).await;
        let table = made.map_err(|failure| {
            let trouble = match failure {
                Failure::Engine(error) => Error::Engine(error).to_string(),
                Failure::Own(error) => error.to_string(),
            };
            let file = self.definitions.file(name);
            DataFusionError::Plan(format!("'{name}' cannot be used ({}): {trouble}", file.display()))
        })?;
        // A view is planned anew for each statement, for what it reads may have been replaced.
        if table.table_type() == TableType::Base {
            known().insert(name.to_string(), (text, Arc::clone(&table)));
        }
        Ok(Some(table))
    }

    async fn made(&self, name: &str, text: &str) -> Result<Arc<dyn TableProvider>, Failure> {
        let state = clock::state_for(self.files.state()?, Runs::Later);
        let context = SessionContext::new_with_state(state.clone());
        let session =
            Session { context, resources: Arc::clone(&self.resources), stores: Arc::clone(&self.stores) };
        let statement = parse(&self.definitions.file(name), text, &session.functions())?;
        let ast = statement.ast().clone();
        let is_table = matches!(ast, Ast::CreateExternalTable(_));
        let planning = session.planned(&state, ast, &statement, Tables::new());
        let plan = match is_table {
            // The engine looks for a table of the name that is being made.
            true => Reach::Session.during(planning).await?,
            false => self.within(planning).await?,
        };
        let LogicalPlan::Ddl(ddl) = plan else { return Err(other_name(name).into()) };
        match ddl {
            DdlStatement::CreateView(view) if view.name.table() == name => {
                let query = coerced(Arc::unwrap_or_clone(view.input))?;
                Ok(Arc::new(ViewTable::new(query, Some(shown(text)))))
            }
            DdlStatement::CreateExternalTable(mut table) if table.name.table() == name => {
                self.locate(&mut table.locations);
                Ok(ExternalTables.open(&state, &table, Some(shown(text))).await?)
            }
            _ => Err(other_name(name).into()),
        }
    }

    /// Makes locations in the project's statements count from the working directory.
    fn locate(&self, locations: &mut [String]) {
        for location in locations {
            *location = below(&self.root, location).into_owned();
        }
    }

    /// Forgets the table that was made of a statement.
    fn forget(&self, name: &str) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// Our own error on its way through the engine.
fn external(error: Error) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}

fn other_name(name: &str) -> DataFusionError {
    DataFusionError::Plan(format!("the file does not make a table or view '{name}'"))
}

/// A statement as lists have it.
fn shown(text: &str) -> String {
    hidden::hide(text.trim_end()).into_owned()
}

fn is_view(ast: &Ast) -> bool {
    matches!(ast, Ast::Statement(statement) if matches!(statement.as_ref(), SqlAst::CreateView(_)))
}

/// The one statement of a file.
fn parse(file: &Path, text: &str, functions: &Functions) -> Result<Statement, Error> {
    let split = split(&Script::new(file.display().to_string(), text));
    if let Some(failure) = split.failure {
        return Err(failure);
    }
    let [raw] = <[RawStatement; 1]>::try_from(split.statements)
        .map_err(|several| StatementError::new(format!("it has {} statements", several.len()), None))?;
    raw.parse(functions)
}

/// The query of a view as the engine keeps it.
fn coerced(query: LogicalPlan) -> Result<LogicalPlan> {
    let analyzer = Analyzer::with_rules(vec![Arc::new(TypeCoercion::new())]);
    analyzer.execute_and_check(query, &ConfigOptions::default(), |_, _| {})
}
