//! Batches with the schema that their scan declares.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use datafusion::error::DataFusionError;
use futures::{FutureExt, StreamExt, TryFutureExt};

/// Opens files whose batches say of themselves what the scan says.
///
/// A file's values of the keys in its path are literals to the engine, so its batches say of a key that it is
/// never NULL if it is not NULL in this file. Operators that put batches of several files together take the first
/// one's word for all.
pub(super) struct Declared {
    pub(super) inner: Arc<dyn FileOpener>,
    pub(super) schema: SchemaRef,
}

impl FileOpener for Declared {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let schema = Arc::clone(&self.schema);
        let opening = self.inner.open(file)?.map_ok(move |batches| {
            let declared = move |batch: Result<datafusion::arrow::array::RecordBatch>| {
                batch?.with_schema(Arc::clone(&schema)).map_err(DataFusionError::from)
            };
            batches.map(declared).boxed()
        });
        Ok(opening.boxed())
    }
}
