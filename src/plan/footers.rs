//! The footers of Parquet files that the session has read to plan a query.

use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

/// What sources of Parquet files call themselves.
const PARQUET: &str = "parquet";

/// The session's cache of footers.
#[derive(Clone)]
pub(super) struct Footers(Arc<FileMetadataCache>);

impl Footers {
    pub(super) fn new(cache: Arc<FileMetadataCache>) -> Self {
        Self(cache)
    }

    /// The footer of a file as it is now, if the session has read it.
    pub(super) fn of(&self, file: &PartitionedFile) -> Option<Arc<ParquetMetaData>> {
        let known = self.0.get(&file.object_meta.location)?;
        if !known.is_valid_for(&file.object_meta) {
            return None;
        }
        let footer = known.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?;
        Some(Arc::clone(footer.parquet_metadata()))
    }
}

impl std::fmt::Debug for Footers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Footers")
    }
}

/// Whether a scan reads Parquet files of this machine, and does not promise which partition has which rows. Footers are
/// known by paths, which are not those of other stores, and row groups of the network cost requests.
pub(super) fn can_be_cut(config: &FileScanConfig) -> bool {
    config.output_partitioning.is_none()
        && config.object_store_url == ObjectStoreUrl::local_filesystem()
        && config.file_source().file_type() == PARQUET
}

/// Where a row group begins, as the scan sees it: it belongs to the range of the file that this is in.
pub(super) fn start(group: &RowGroupMetaData) -> Option<i64> {
    let first = group.columns().first()?;
    Some(first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset()))
}
