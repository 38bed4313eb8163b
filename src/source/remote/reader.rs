//! A reader of a Parquet object that asks for a column's Bloom filters together.
//!
//! The engine asks for the filters of one row group after another, before it reads the first page: of an object with
//! fifty row groups that would be fifty answers to wait for.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, coalesce_ranges};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};

/// Filters that take more bytes together are read when it is their turn: most may turn out to be of no use.
const FILTERS_BYTES_MAX: u64 = 8 << 20;
/// Filters that are no further apart are read with what is between them.
const GAP_BYTES_MAX: u64 = 64 << 10;

/// The engine's reader of one share of an object, but for Bloom filters.
pub(super) struct Reader {
    inner: Box<dyn AsyncFileReader + Send>,
    store: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
    meta: ObjectMeta,
    share: Option<FileRange>,
    /// Filters that were read and not asked for yet, by where they begin.
    filters: HashMap<u64, Bytes>,
}

impl Reader {
    pub(super) fn new(
        inner: Box<dyn AsyncFileReader + Send>,
        store: Arc<dyn ObjectStore>,
        footers: Arc<FileMetadataCache>,
        file: &PartitionedFile,
    ) -> Self {
        let (meta, share) = (file.object_meta.clone(), file.range.clone());
        Self { inner, store, footers, meta, share, filters: HashMap::new() }
    }

    /// Where the filters of a column are in the row groups of this share, if these bytes are one of them.
    fn filters_of_column(&self, wanted: &Range<u64>) -> Option<Vec<Range<u64>>> {
        let kept = self.footers.get(&self.meta.location).filter(|kept| kept.meta == self.meta)?;
        let footer = kept.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?;
        let all = filters(footer.parquet_metadata(), self.share.as_ref(), wanted)?;
        let bytes: u64 = all.iter().map(|filter| filter.end - filter.start).sum();
        (all.len() > 1 && bytes <= FILTERS_BYTES_MAX).then_some(all)
    }
}

fn filters(
    footer: &ParquetMetaData,
    share: Option<&FileRange>,
    wanted: &Range<u64>,
) -> Option<Vec<Range<u64>>> {
    let is_wanted = |column: &ColumnChunkMetaData| filter(column).as_ref() == Some(wanted);
    let mut groups = footer.row_groups().iter();
    let column = groups.find_map(|group| group.columns().iter().position(is_wanted))?;
    let groups = footer.row_groups().iter().filter(|group| share.is_none_or(|share| begins_in(group, share)));
    Some(groups.filter_map(|group| filter(group.columns().get(column)?)).collect())
}

/// Where a column's filter is, if there is one of a known length.
fn filter(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
    let length = u64::try_from(column.bloom_filter_length()?).ok()?;
    Some(start..start.checked_add(length)?)
}

/// Whether a row group is read with a share, as the engine decides it.
fn begins_in(group: &RowGroupMetaData, share: &FileRange) -> bool {
    let first = group.columns().first();
    let start = first.map(|column| column.dictionary_page_offset().unwrap_or(column.data_page_offset()));
    start.is_some_and(|start| share.contains(start))
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            if let Some(bytes) = self.filters.remove(&range.start)
                && bytes.len() as u64 == range.end - range.start
            {
                return Ok(bytes);
            }
            if let Some(all) = self.filters_of_column(&range) {
                let read = |range| self.store.get_range(&self.meta.location, range);
                let got = coalesce_ranges(&all, read, GAP_BYTES_MAX).await;
                let got = got.map_err(|error| ParquetError::External(Box::new(error)))?;
                self.filters = all.into_iter().map(|filter| filter.start).zip(got).collect();
            }
            match self.filters.remove(&range.start) {
                Some(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
                Some(_) | None => self.inner.get_bytes(range).await,
            }
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        self.inner.get_metadata(options)
    }
}
