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
use super::base::located;
pub use super::find::local_path;
use super::find::{self, find};
use super::format::{self, Format};
use super::prune::{Conditions, Narrowed};
use super::shape::Reader;
use super::spool::Pipes;
pub use super::table::{Addition, FILENAME};
use super::table::{Definition, FileTable};
use crate::hidden;

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

    /// The state of that session as it is now.
    ///
    /// # Errors
    /// The session is gone.
    pub fn state(&self) -> Result<SessionState> {
        let session = self.stock.session_store().get_session().upgrade();
        let state =
            session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        state.ok_or_else(|| plan_datafusion_err!("the session of this table is gone"))
    }
}

#[async_trait]
impl UrlTableFactory for Files {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let location = located(name);
        let is_none = !looks_like_path(name) && !Path::new(location.as_ref()).exists();
        if is_none || Lookup::current() == Lookup::Nothing {
            return Ok(None);
        }
        let state = self.state()?;
        match self.pipes.spooled(&state, &location)? {
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

/// The keys in the paths of a location's files, as far as it takes to say what a statement wants of them. No file is
/// opened for it.
///
/// A store of the network is looked into on one way down, to the first keys that are not known yet; folders that have
/// no `wanted` rows, by what is known of these, are not looked into. So it is to be asked until it tells no more.
///
/// # Errors
/// Nothing there, a store that cannot be opened.
pub async fn keys(
    state: &SessionState,
    location: &str,
    wanted: Option<&Narrowed>,
    known: &[FieldRef],
) -> Result<Vec<FieldRef>> {
    let props = state.execution_props();
    let wanted = wanted.map(|wanted| Conditions::new(wanted.readings.clone(), &[], props));
    find::keys(state, &located(location), wanted.as_ref(), known).await
}

/// Whether a location is in a store of the network.
pub fn is_remote(location: &str) -> bool {
    location.contains("://") && local_path(location).is_none()
}

/// What a scan asks of a table that was made of `narrowed`: those of its filters that the files' paths answer,
/// if files that the table was not made of pass them all. `None` if it asks nothing more, or if it is another
/// table.
///
/// # Errors
/// Files that cannot be found any more.
pub async fn beyond(
    table: &dyn TableProvider,
    narrowed: &Arc<Narrowed>,
    state: &SessionState,
    filters: &[Expr],
) -> Result<Option<Vec<Expr>>> {
    let is_made_of = |table: &&FileTable| table.narrowed().is_some_and(|of| Arc::ptr_eq(of, narrowed));
    match table.downcast_ref::<FileTable>().filter(is_made_of) {
        Some(table) => table.beyond(state, filters).await,
        None => Ok(None),
    }
}

/// How files are added to a table; `None` if it is no table of files.
///
/// # Errors
/// Why none can be, as the end of a sentence.
pub async fn addition(state: &SessionState, table: &dyn TableProvider) -> Option<Result<Addition, String>> {
    Some(table.downcast_ref::<FileTable>()?.addition(state).await)
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
    let narrowed = Narrowed::current(location);
    let location = &*located(location);
    let files = files(state, location, narrowed.as_deref()).await?;
    let format = match (judge, files.first()) {
        (Some(judge), Some(file)) => judge(file)?,
        _ => format::of_all(location, &files).await?,
    };
    let definition = Definition {
        name: hidden::hide(location).into(),
        locations: vec![location.to_string()],
        reader: Reader::new(state, format, &HashMap::new())?,
        declared: None,
        keys: Vec::new(),
        order: Vec::new(),
        filename: Lookup::current() == Lookup::NamedFiles,
        narrowed,
        may_be_empty: false,
        text: None,
    };
    Ok(Arc::new(FileTable::open(state, definition).await?))
}

/// The files of a location: those that are wanted of a store of the network, if there are such.
async fn files(
    state: &SessionState,
    location: &str,
    narrowed: Option<&Narrowed>,
) -> Result<Vec<super::DataFile>> {
    if let Some(narrowed) = narrowed {
        let wanted = Conditions::new(narrowed.readings.clone(), &[], state.execution_props());
        let found = find(state, location, Some(&wanted)).await?;
        if !found.files.is_empty() {
            return Ok(found.files);
        }
    }
    Ok(find(state, location, None).await?.files)
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
