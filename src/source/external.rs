//! `CREATE EXTERNAL TABLE`: files as a table with a name, options and declared columns.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::CreateExternalTable;

use super::format::Format;
use super::shape::Reader;
use super::table::{Definition, FileTable};

/// Makes tables of files that are looked for anew at each scan.
///
/// Declared columns are found by name in files with a header or a schema, by place in CSV files without a
/// header. `PARTITIONED BY` names keys that folder names must have.
#[derive(Debug, Default)]
pub struct ExternalTables;

#[async_trait]
impl TableProviderFactory for ExternalTables {
    async fn create(
        &self,
        state: &dyn Session,
        command: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        // The engine's text of the statement has its options, which may be secrets.
        self.open(state, command, None).await
    }
}

impl ExternalTables {
    /// The table that a statement makes, with the text to show for it.
    ///
    /// # Errors
    /// No files, columns that do not fit them, options that the format does not have.
    pub async fn open(
        &self,
        state: &dyn Session,
        command: &CreateExternalTable,
        text: Option<String>,
    ) -> Result<Arc<dyn TableProvider>> {
        let state = state
            .as_any()
            .downcast_ref::<SessionState>()
            .ok_or_else(|| plan_datafusion_err!("a table of files needs a session"))?;
        let Some(format) = Format::of_reader(&command.file_type) else {
            return plan_err!("files of format {} cannot be read", command.file_type.to_lowercase());
        };
        let fields = command.schema.fields();
        let is_key = |field: &FieldRef| command.table_partition_cols.contains(field.name());
        let (keys, columns): (Vec<_>, Vec<_>) = fields.iter().cloned().partition(is_key);
        if let Some(field) = columns.iter().find(|field| !field.is_nullable()) {
            return plan_err!(
                "NOT NULL of column '{}' is not checked in a table of files, so it is not supported",
                field.name()
            );
        }
        let mut reader = Reader::new(state, format, &command.options)?;
        reader.names = columns.iter().map(|field| field.name().clone()).collect();
        let definition = Definition {
            name: command.name.table().into(),
            locations: command.locations.clone(),
            reader,
            declared: (!columns.is_empty()).then(|| Arc::new(Schema::new(columns.clone()))),
            keys,
            order: command.order_exprs.clone(),
            filename: false,
            narrowed: None,
            may_be_empty: !columns.is_empty(),
            text,
        };
        let table = FileTable::open(state, definition).await?;
        if let Some(key) = command.table_partition_cols.iter().find(|key| !table.has_key(key)) {
            return plan_err!("no folder of '{}' is named '{key}=…'", command.locations.join("', '"));
        }
        Ok(Arc::new(table))
    }
}
