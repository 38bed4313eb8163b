//! What a session has, by name: for those who complete what somebody types.

use datafusion::common::TableReference;

use super::Session;

/// The schema of the engine's own views.
const INFORMATION_SCHEMA: &str = "information_schema";

impl Session {
    /// Tables and views as they are named in SQL, sorted: those of the default schema by their name alone,
    /// others as `schema.name`. The engine's own are left out.
    pub fn table_names(&self) -> Vec<String> {
        let state = self.context.state();
        let defaults = &state.config_options().catalog;
        let Some(catalog) = self.context.catalog(&defaults.default_catalog) else { return Vec::new() };
        let mut names = Vec::new();
        for schema in catalog.schema_names().into_iter().filter(|name| name != INFORMATION_SCHEMA) {
            let tables = catalog.schema(&schema).map(|schema| schema.table_names()).unwrap_or_default();
            names.extend(tables.into_iter().map(|table| match schema == defaults.default_schema {
                true => table,
                false => format!("{schema}.{table}"),
            }));
        }
        names.sort();
        names
    }

    /// Functions that stand after FROM, sorted.
    pub fn table_function_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.context.state().table_functions().keys().cloned().collect();
        names.sort();
        names
    }

    /// The columns of a table, view or file, in their order; `None` if there is none of this name or it
    /// cannot be read. The name of a file is taken as it is, other names by the rules of SQL (`T` is `t`).
    /// A file's header or footer is read.
    pub async fn column_names(&self, name: &str, is_path: bool) -> Option<Vec<String>> {
        let reference = if is_path { TableReference::bare(name) } else { TableReference::from(name) };
        let table = self.context.table_provider(reference).await.ok()?;
        Some(table.schema().fields().iter().map(|field| field.name().clone()).collect())
    }
}
