//! `INSERT INTO` a table of files: a COPY of the rows into new files in the table's folder.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::datasource::file_format::format_as_file_type;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{
    ColumnarValue, DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, WriteOp,
};
use datafusion::prelude::SessionContext;

use crate::source::file;

/// Makes an INSERT into a table of files the COPY that it is; other plans pass through.
///
/// # Errors
/// Tables that no file can be added to, with the reason; forms of INSERT that change rows.
pub(super) async fn into_files(context: &SessionContext, plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Dml(dml) if matches!(dml.op, WriteOp::Insert(_)) => {
            let table = source_as_provider(&dml.target)?;
            match table.is::<MemTable>() {
                true => Ok(LogicalPlan::Dml(dml)),
                false => copy(&context.state(), &dml, table.as_ref()).await,
            }
        }
        LogicalPlan::Explain(mut explain) => {
            let inner = Arc::unwrap_or_clone(explain.plan);
            explain.plan = Arc::new(Box::pin(into_files(context, inner)).await?);
            Ok(LogicalPlan::Explain(explain))
        }
        other => Ok(other),
    }
}

async fn copy(state: &SessionState, dml: &DmlStatement, table: &dyn TableProvider) -> Result<LogicalPlan> {
    let name = dml.table_name.table();
    let refused = |why: String| DataFusionError::Plan(format!("INSERT INTO '{name}' is not possible: {why}"));
    match &dml.op {
        WriteOp::Insert(InsertOp::Append) => {}
        WriteOp::Insert(InsertOp::Overwrite | InsertOp::Replace) => {
            return Err(refused("rows are only added to a table of files, none is replaced".into()));
        }
        _ => {
            return Err(DataFusionError::Internal("not an INSERT".into()));
        }
    }
    let addition = file::addition(state, table)
        .await
        .ok_or_else(|| refused("it is a view, or made by a function".into()))?
        .map_err(refused)?;
    let schema = table.schema();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, (qualifier, own)) in schema.fields().iter().zip(dml.input.schema().iter()) {
        let column = Expr::Column(Column::new(qualifier.cloned(), own.name()));
        columns.push(match field.is_nullable() {
            true => column.alias(field.name()),
            false => required(name, field).call(vec![column]).alias(field.name()),
        });
    }
    let input = LogicalPlanBuilder::from(Arc::clone(&dml.input)).project(columns)?.build()?;
    let format = format_as_file_type(addition.format);
    LogicalPlanBuilder::copy_to(input, addition.folder, format, HashMap::new(), addition.keys)?.build()
}

fn required(table: &str, field: &Field) -> ScalarUDF {
    ScalarUDF::from(Required {
        table: table.to_string(),
        column: field.name().clone(),
        signature: Signature::any(1, Volatility::Immutable),
    })
}

/// Gives its argument, and fails if that is NULL. A table whose files have no NULL in a column is planned with that,
/// so a file that had one would make its queries wrong.
#[derive(Debug)]
struct Required {
    table: String,
    column: String,
    signature: Signature,
}

impl PartialEq for Required {
    fn eq(&self, other: &Self) -> bool {
        (&self.table, &self.column) == (&other.table, &other.column)
    }
}

impl Eq for Required {}

impl Hash for Required {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.table, &self.column).hash(state);
    }
}

impl ScalarUDFImpl for Required {
    fn name(&self) -> &str {
        "required"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kind = args.arg_fields.first().map_or(DataType::Null, |field| field.data_type().clone());
        Ok(Arc::new(Field::new(&self.column, kind, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let value = args.args.into_iter().next();
        let value = value.ok_or_else(|| DataFusionError::Internal("required takes one argument".into()))?;
        let array = value.into_array(rows)?;
        match array.null_count() {
            0 => Ok(ColumnarValue::Array(array)),
            _ => Err(DataFusionError::Execution(format!(
                "column '{}' of '{}' has no NULL in any file, so none can be inserted: write COPY … TO and make the \
                 table again",
                self.column, self.table
            ))),
        }
    }
}
