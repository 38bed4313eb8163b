//! Footers of Parquet objects, each read once: by store, so that two buckets with a key of one name are told apart.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::{
    DFParquetMetadata, ordering_from_parquet_metadata,
};
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory, transform_binary_to_string,
    transform_schema_to_view,
};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;

use super::pinned::has_version;
use super::reader::Reader;
use super::{Known, Remote, lock};

/// Bytes at the end of an object that are read at once: most footers are shorter, and with few objects a longer read
/// costs less than a second one.
const FOOTER_BYTES: Range<usize> = 64 << 10..512 << 10;
/// Bytes at the end of an object that are read to find out what it is. Its footer is there, and it costs no more time
/// than to ask for its size and version alone.
pub(super) const END_BYTES: u64 = FOOTER_BYTES.end as u64;
/// Bytes that are read of all footers of a table, if each may have its part of it.
const FOOTERS_BYTES: usize = 32 << 20;

/// How many bytes are read at the end of each of so many objects.
pub(in crate::source) fn footer_bytes(objects: usize) -> usize {
    (FOOTERS_BYTES / objects.max(1)).clamp(FOOTER_BYTES.start, FOOTER_BYTES.end)
}

impl Remote {
    /// The footer of an object.
    ///
    /// # Errors
    /// No Parquet file, a damaged one.
    pub(in crate::source) async fn footer(
        self: &Arc<Self>,
        meta: &ObjectMeta,
        read_bytes: usize,
    ) -> Result<Arc<ParquetMetaData>> {
        drop_other(&self.footers, meta);
        let store = self.pinned([meta]);
        let metadata = DFParquetMetadata::new(store.as_ref(), meta)
            .with_metadata_size_hint(Some(read_bytes))
            .with_file_metadata_cache(Some(Arc::clone(&self.footers)));
        metadata.fetch_metadata().await
    }

    /// The columns of an object, as the engine reads them.
    ///
    /// # Errors
    /// No Parquet file, a damaged one.
    pub(in crate::source) async fn parquet_schema(
        self: &Arc<Self>,
        engine: &ParquetFormat,
        meta: &ObjectMeta,
        read_bytes: usize,
    ) -> Result<SchemaRef> {
        let options = &engine.options().global;
        self.footer(meta, read_bytes).await?;
        let store = self.pinned([meta]);
        let schema = DFParquetMetadata::new(store.as_ref(), meta)
            .with_file_metadata_cache(Some(Arc::clone(&self.footers)))
            .with_coerce_int96(options.coerce_int96.as_deref().map(time_unit).transpose()?)
            .with_coerce_int96_tz(options.coerce_int96_tz.as_deref().map(Into::into))
            .fetch_schema()
            .await?;
        let schema = match engine.skip_metadata() {
            true => without_metadata(&schema),
            false => schema,
        };
        let schema = if engine.binary_as_string() { transform_binary_to_string(&schema) } else { schema };
        Ok(Arc::new(if engine.force_view_types() { transform_schema_to_view(&schema) } else { schema }))
    }

    /// What the footer of an object says of the rows of a table with this schema.
    ///
    /// # Errors
    /// No Parquet file, a damaged one.
    pub(in crate::source) async fn known(
        self: &Arc<Self>,
        meta: &ObjectMeta,
        schema: &SchemaRef,
        read_bytes: usize,
    ) -> Result<Known> {
        if let Some((seen, of, known)) = lock(&self.statistics).get(&meta.location)
            && seen == meta
            && of == schema
        {
            return Ok(known.clone());
        }
        let footer = self.footer(meta, read_bytes).await?;
        let statistics = DFParquetMetadata::statistics_from_parquet_metadata(&footer, schema)?;
        let ordering = ordering_from_parquet_metadata(&footer, schema)?;
        let known = Known { statistics, ordering };
        let kept = (meta.clone(), Arc::clone(schema), known.clone());
        lock(&self.statistics).insert(meta.location.clone(), kept);
        Ok(known)
    }

    /// Whether the footer of an object is known as the object was when it was last seen. One that cannot be told from
    /// the next is not.
    pub(super) fn has_footer(&self, key: &Path) -> bool {
        let Some(last) = lock(&self.lists).last(key).filter(has_version) else { return false };
        self.footers.get(key).is_some_and(|kept| kept.meta == last)
    }

    /// What opens this store's Parquet objects for a scan.
    pub(in crate::source) fn parquet_readers(
        self: &Arc<Self>,
        store: Arc<dyn ObjectStore>,
    ) -> Arc<dyn ParquetFileReaderFactory> {
        let footers = Arc::clone(&self.footers);
        let inner = CachedParquetFileReaderFactory::new(Arc::clone(&store), Arc::clone(&footers));
        Arc::new(Readers { inner, store, footers })
    }
}

/// The engine's readers, with footers of just the versions that are read.
#[derive(Debug)]
struct Readers {
    inner: CachedParquetFileReaderFactory,
    store: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        read_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        drop_other(&self.footers, &file.object_meta);
        let inner = self.inner.create_reader(partition, file.clone(), read_bytes, metrics)?;
        let (store, footers) = (Arc::clone(&self.store), Arc::clone(&self.footers));
        Ok(Box::new(Reader::new(inner, store, footers, &file)))
    }
}

/// Drops the footer of another version: the engine does not look at ETags.
fn drop_other(footers: &Arc<FileMetadataCache>, meta: &ObjectMeta) {
    if footers.get(&meta.location).is_some_and(|kept| kept.meta != *meta) {
        footers.remove(&meta.location);
    }
}

fn without_metadata(schema: &Schema) -> Schema {
    let plain = |field: &Arc<datafusion::arrow::datatypes::Field>| {
        field.as_ref().clone().with_metadata(Default::default())
    };
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}

fn time_unit(name: &str) -> Result<TimeUnit> {
    match name.to_ascii_lowercase().as_str() {
        "ns" => Ok(TimeUnit::Nanosecond),
        "us" => Ok(TimeUnit::Microsecond),
        "ms" => Ok(TimeUnit::Millisecond),
        "s" => Ok(TimeUnit::Second),
        _ => plan_err!("'{name}' is no unit of time: ns, us, ms or s"),
    }
}
