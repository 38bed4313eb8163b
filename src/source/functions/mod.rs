//! Table functions about files: what there is, and what is in it, without reading the data.

mod file_list;
mod parquet_metadata;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::base::located;
use super::file::is_remote;
use super::find::{DataFile, find, find_local};

/// Batches that are worked on at once: over a network each waits for an answer.
const BATCHES_AHEAD: usize = 8;

/// Makes the functions known to a session.
pub fn register(context: &SessionContext) {
    for about in [file_list::ABOUT, parquet_metadata::ABOUT] {
        context.register_udtf(about.name, Arc::new(about));
    }
}

/// A function of one path, pattern, folder or URL that gives rows about each file.
#[derive(Debug, Clone, Copy)]
struct About {
    name: &'static str,
    schema: fn() -> SchemaRef,
    /// The rows about some of the files.
    rows: fn(SchemaRef, Vec<DataFile>) -> BoxFuture<'static, Result<RecordBatch>>,
    /// How many files go into one batch.
    files_per_batch: usize,
}

impl TableFunctionImpl for About {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let location = located(path(self.name, args.exprs())?).into_owned();
        let files = match is_remote(&location) {
            true => None,
            false => Some(find_local(&location)?.into()),
        };
        Ok(Arc::new(AboutFiles { about: *self, location, files }))
    }
}

/// The rows about a location's files.
#[derive(Debug)]
struct AboutFiles {
    about: About,
    location: String,
    /// Local files, found when the query was parsed. A store of the network is asked when it is planned.
    files: Option<Arc<[DataFile]>>,
}

#[async_trait]
impl TableProvider for AboutFiles {
    fn schema(&self) -> SchemaRef {
        (self.about.schema)()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = match &self.files {
            Some(files) => Arc::clone(files),
            None => find(state, &self.location, None).await?.files.into(),
        };
        let stream = Rows { about: self.about, schema: self.schema(), files };
        let table = StreamingTable::try_new(self.schema(), vec![Arc::new(stream)])?;
        table.scan(state, projection, filters, limit).await
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

/// Each file is opened when its rows are asked for, and a few that come after it.
#[derive(Debug)]
struct Rows {
    about: About,
    schema: SchemaRef,
    files: Arc<[DataFile]>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (about, schema) = (self.about, Arc::clone(&self.schema));
        let chunks: Vec<Vec<DataFile>> =
            self.files.chunks(about.files_per_batch).map(<[DataFile]>::to_vec).collect();
        let rows = move |files| (about.rows)(Arc::clone(&schema), files);
        let batches = futures::stream::iter(chunks).map(rows).buffered(BATCHES_AHEAD);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// A path as it is shown.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
