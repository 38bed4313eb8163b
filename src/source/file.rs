//! `FROM 'sales/*.csv'`: quoted paths that are no table's name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;

use super::Lookup;
use super::find::find;
pub use super::find::local_path;
use super::format::{self, Format};
use super::partition::partitions;
use super::prune::Narrowed;
use super::shape::Reader;
use super::spool::Pipes;
pub use super::table::FILENAME;
use super::table::{Definition, FileTable};

/// Makes tables of paths.
#[derive(Debug, Default)]
pub struct Files {
    /// The engine's own factory, for its link to the session.
    stock: DynamicListTableFactory,
    pipes: Pipes,
}

impl Files {
    /// A factory that knows no session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Links the factory to the session that reads the files.
    pub fn attach(&self, context: &SessionContext) {
        self.stock.session_store().with_state(context.state_weak_ref());
    }

    fn state(&self) -> Result<SessionState> {
        let session = self.stock.session_store().get_session().upgrade();
        let state =
            session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        state.ok_or_else(|| plan_datafusion_err!("the session of this table is gone"))
    }
}

#[async_trait]
impl UrlTableFactory for Files {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let is_none = !looks_like_path(name) && !Path::new(name).exists();
        if is_none || Lookup::current() == Lookup::Nothing {
            return Ok(None);
        }
        let state = self.state()?;
        match self.pipes.spooled(&state, name)? {
            Some(copy) => open_as(&state, &copy, Some(format::of_piped)).await.map(Some),
            None => open(&state, name).await.map(Some),
        }
    }
}

/// Whether a name means a file rather than a table: it has a separator, a wildcard or the extension of a
/// data file.
pub fn looks_like_path(name: &str) -> bool {
    name.contains(['/', '*', '?']) || Format::of_name(Path::new(name)).is_some()
}

/// The keys in the paths of a location's files. No file is opened for it.
///
/// # Errors
/// Nothing there, other stores than the local disk.
pub fn keys(location: &str) -> Result<Vec<FieldRef>> {
    Ok(partitions(&find(location)?, &[])?.fields)
}

/// What a scan asks of a table that was made of `narrowed`: those of its filters that the files' paths answer,
/// if files that the table was not made of pass them all. `None` if it asks nothing more, or if it is another
/// table.
///
/// # Errors
/// Files that cannot be found any more.
pub fn beyond(
    table: &dyn TableProvider,
    narrowed: &Arc<Narrowed>,
    state: &SessionState,
    filters: &[Expr],
) -> Result<Option<Vec<Expr>>> {
    let is_made_of = |table: &&FileTable| table.narrowed().is_some_and(|of| Arc::ptr_eq(of, narrowed));
    match table.downcast_ref::<FileTable>().filter(is_made_of) {
        Some(table) => table.beyond(state, filters),
        None => Ok(None),
    }
}

/// Whether a table has the column `filename` although its files do not.
pub fn has_virtual_filename(table: &dyn TableProvider) -> bool {
    table.downcast_ref::<FileTable>().is_some_and(FileTable::has_filename)
}

/// Opens a file, the files that a pattern matches or the data files of a folder as one table.
///
/// Columns are the union of the files' columns, by name; names like `year=2026` of folders become columns.
///
/// # Errors
/// Nothing there, files of several formats, an unknown format, files without columns, columns of one name
/// whose types do not unite.
pub async fn open(state: &SessionState, location: &str) -> Result<Arc<dyn TableProvider>> {
    open_as(state, location, None).await
}

type Judge = fn(&super::DataFile) -> Result<Format>;

async fn open_as(
    state: &SessionState,
    location: &str,
    judge: Option<Judge>,
) -> Result<Arc<dyn TableProvider>> {
    let files = find(location)?;
    let format = match (judge, files.first()) {
        (Some(judge), Some(file)) => judge(file)?,
        _ => format::of_all(location, &files)?,
    };
    let definition = Definition {
        locations: vec![location.to_string()],
        reader: Reader::new(state, format, &HashMap::new())?,
        declared: None,
        keys: Vec::new(),
        order: Vec::new(),
        filename: Lookup::current() == Lookup::NamedFiles,
        narrowed: Narrowed::current(location),
    };
    Ok(Arc::new(FileTable::open(state, definition).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_are_no_paths() {
        assert!(looks_like_path("data/x"));
        assert!(looks_like_path("x.csv"));
        assert!(looks_like_path("part-*"));
        assert!(!looks_like_path("orders"));
        assert!(!looks_like_path("main.orders"));
    }
}
