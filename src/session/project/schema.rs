//! The tables of a project among those of the session.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::TableType;

use super::broken::Broken;
use super::{Project, Reach};

/// The catalog and the schema that names without any are in.
pub(super) const CATALOG: &str = "datafusion";
pub(super) const SCHEMA: &str = "public";

/// The session's catalogs, with the project's tables in the default schema.
pub(in crate::session) struct Catalogs {
    pub(in crate::session) inner: Arc<dyn CatalogProviderList>,
    pub(in crate::session) project: Arc<Project>,
}

impl fmt::Debug for Catalogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogs").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(
        &self,
        name: String,
        catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        self.inner.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let inner = self.inner.catalog(name)?;
        match name {
            CATALOG => Some(Arc::new(Catalog { inner, project: Arc::clone(&self.project) })),
            _ => Some(inner),
        }
    }
}

/// The default catalog.
struct Catalog {
    inner: Arc<dyn CatalogProvider>,
    project: Arc<Project>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let session = self.inner.schema(name)?;
        match name {
            SCHEMA => Some(Arc::new(Schema { session, project: Arc::clone(&self.project) })),
            _ => Some(session),
        }
    }

    fn register_schema(
        &self,
        name: &str,
        schema: Arc<dyn SchemaProvider>,
    ) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.inner.register_schema(name, schema)
    }

    fn deregister_schema(&self, name: &str, cascade: bool) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.inner.deregister_schema(name, cascade)
    }
}

/// The default schema: a session's own table hides one of its name that lasts.
struct Schema {
    /// The session's tables, and files by their paths.
    session: Arc<dyn SchemaProvider>,
    project: Arc<Project>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Schema {
    /// One for those who list tables, who are not to fail because of one of them.
    async fn listed(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.project.table(name).await {
            Ok(table) => Ok(table),
            Err(error) => Ok(Some(Arc::new(Broken {
                kind: self.project.kind(name).ok().flatten().unwrap_or(TableType::Base),
                text: self.project.definitions.read(name).ok().flatten().map(|text| super::shown(&text)),
                trouble: error.message().into_owned(),
            }))),
        }
    }
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        let names: BTreeSet<_> =
            self.session.table_names().into_iter().chain(self.project.definitions.names()).collect();
        names.into_iter().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let is_in_session = self.session.table_exist(name);
        match Reach::current() {
            Some(Reach::All) | None if is_in_session => self.session.table(name).await,
            Some(Reach::Session) => self.session.table(name).await,
            Some(Reach::All | Reach::Lasting) => match self.project.table(name).await? {
                Some(table) => Ok(Some(table)),
                None if is_in_session => Err(DataFusionError::Plan(format!(
                    "'{name}' ends with the session, and what lasts cannot read it: write CREATE TEMP VIEW for \
                     a view that ends with it"
                ))),
                None => self.session.table(name).await,
            },
            None => match self.listed(name).await? {
                Some(table) => Ok(Some(table)),
                None => self.session.table(name).await,
            },
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        if !self.session.table_exist(name)
            && let Some(kind) = self.project.kind(name).unwrap_or(Some(TableType::Base))
        {
            return Ok(Some(kind));
        }
        self.session.table_type(name).await
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        self.session.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.session.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        match Reach::current() {
            Some(Reach::Session) => self.session.table_exist(name),
            Some(Reach::Lasting) => self.project.has(name),
            Some(Reach::All) | None => self.session.table_exist(name) || self.project.has(name),
        }
    }
}
