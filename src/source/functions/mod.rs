//! Table functions about files: what there is, and what is in it, without reading the data.

mod file_list;
mod parquet_metadata;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::find::find;

/// Makes the functions known to a session.
pub fn register(context: &SessionContext) {
    for about in [file_list::ABOUT, parquet_metadata::ABOUT] {
        context.register_udtf(about.name, Arc::new(about));
    }
}

/// A function of one path, pattern or folder that gives rows about each file.
#[derive(Debug, Clone, Copy)]
struct About {
    name: &'static str,
    schema: fn() -> SchemaRef,
    /// The rows about some of the files.
    rows: fn(&SchemaRef, &[PathBuf]) -> Result<RecordBatch>,
    /// How many files go into one batch.
    files_per_batch: usize,
}

impl TableFunctionImpl for About {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let files = find(path(self.name, args.exprs())?)?.into_iter().map(|file| file.path);
        let stream = Rows { about: *self, schema: (self.schema)(), files: files.collect() };
        let table = StreamingTable::try_new(Arc::clone(&stream.schema), vec![Arc::new(stream)])?;
        Ok(Arc::new(table))
    }
}

/// The one argument, a text.
fn path<'a>(name: &str, args: &'a [Expr]) -> Result<&'a str> {
    match args {
        [
            Expr::Literal(
                ScalarValue::Utf8(Some(path))
                | ScalarValue::LargeUtf8(Some(path))
                | ScalarValue::Utf8View(Some(path)),
                _,
            ),
        ] => Ok(path),
        _ => plan_err!("{name} takes one path, pattern or folder in quotes: {name}('data/*.parquet')"),
    }
}

/// The files were found when the query was planned; each is opened when its rows are asked for.
#[derive(Debug)]
struct Rows {
    about: About,
    schema: SchemaRef,
    files: Arc<[PathBuf]>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (about, schema) = (self.about, Arc::clone(&self.schema));
        let chunks: Vec<Vec<PathBuf>> =
            self.files.chunks(about.files_per_batch).map(<[PathBuf]>::to_vec).collect();
        let batches = futures::stream::iter(chunks).map(move |files| (about.rows)(&schema, &files));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// A path as it is shown.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
