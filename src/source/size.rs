//! How much a scan would read, as far as that is known before it runs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{
    ParquetAccessPlan, ParquetFileMetrics, RowGroupAccessPlanFilter,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::ObjectStore;

use super::at_once::at_once;
use super::format::Format;
use super::guard::FileName;

/// The table that a file is read for; an extension of files in a plan.
#[derive(Debug, Clone)]
pub(super) struct TableName(pub(super) Arc<str>);

/// What a scan would read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanSize {
    /// The table: its name, or the location of its files.
    pub table: String,
    /// Files, each once.
    pub files: usize,
    /// Bytes of the files, or of the parts of them that are wanted.
    pub bytes: u64,
    /// Columns wanted of those that the files have, where each can be read alone.
    pub columns: Option<(usize, usize)>,
    /// Row groups wanted of those that the files have, where there are any.
    pub row_groups: Option<(usize, usize)>,
}

/// What a node of a plan would read, if it reads files: all bytes of those that were not left out by their paths; of
/// Parquet the columns that are wanted, in the row groups whose statistics do not rule their rows out. What joins rule
/// out while the query runs is not known yet, nor where a LIMIT is met, so it may turn out to be less.
///
/// # Errors
/// A footer that cannot be read.
pub async fn size(state: &dyn Session, plan: &dyn ExecutionPlan) -> Result<Option<ScanSize>> {
    let Some(scan) = plan.downcast_ref::<DataSourceExec>() else { return Ok(None) };
    let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>() else { return Ok(None) };
    // Of a large file, tasks read pieces.
    let files: BTreeMap<_, _> =
        config.file_groups.iter().flat_map(|group| group.iter()).map(|file| (file.path(), file)).collect();
    let table = files.values().next().and_then(|file| file.extension::<TableName>());
    let table = table.map_or_else(|| config.object_store_url.to_string(), |name| name.0.to_string());
    let mut size = ScanSize { table, files: files.len(), bytes: 0, columns: None, row_groups: None };
    if config.file_source().file_type() != Format::Parquet.reader() {
        size.bytes = files.values().map(|file| file.object_meta.size).sum();
        return Ok(Some(size));
    }
    let wanted = wanted(config);
    let all = config.file_schema().fields().len();
    size.columns = Some((wanted.len(), all));
    let store = state.runtime_env().object_store(&config.object_store_url)?;
    let predicate = config.file_source().filter();
    let predicate = predicate.and_then(|filter| {
        PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(config.file_schema()))
            .try_build(filter)
            .ok()
    });
    let concurrency = state.config_options().execution.meta_fetch_concurrency.get();
    let files: Vec<_> = files.into_values().cloned().collect();
    let footers = files.into_iter().map(|file| footer(state, &store, file));
    let footers = at_once(footers, concurrency).await?;
    let mut groups = (0, 0);
    let mut rows_left = config.limit.map(|limit| limit.saturating_mul(config.file_groups.len()));
    for (path, footer) in &footers {
        let kept = match &predicate {
            Some(predicate) => kept(config, path, footer, predicate),
            None => (0..footer.num_row_groups()).collect(),
        };
        groups.1 += footer.num_row_groups();
        for group in kept.into_iter().map(|group| footer.row_group(group)) {
            // Each task stops when it has as many rows as are asked for.
            if rows_left == Some(0) {
                break;
            }
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            rows_left = rows_left.map(|left| left.saturating_sub(rows));
            groups.0 += 1;
            size.bytes += bytes(group, &wanted);
        }
    }
    size.row_groups = Some(groups);
    Ok(Some(size))
}

/// The columns of the files that are read: those that are given, and those that rows are chosen by.
fn wanted(config: &FileScanConfig) -> HashSet<String> {
    let fields = config.file_schema().fields();
    let named = |index: usize| fields.get(index).map(|field| field.name().clone());
    let source = config.file_source();
    let mut wanted: HashSet<_> = match source.projection() {
        Some(projection) => projection.column_indices().into_iter().filter_map(named).collect(),
        None => fields.iter().map(|field| field.name().clone()).collect(),
    };
    let chosen_by = source.filter().map(|filter| collect_columns(&filter)).unwrap_or_default();
    let is_of_files = |name: &str| fields.iter().any(|field| field.name() == name);
    wanted.extend(chosen_by.iter().map(|column| column.name().to_string()).filter(|name| is_of_files(name)));
    wanted
}

/// A file's footer, which the session has read already to know the file's columns.
async fn footer(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    file: PartitionedFile,
) -> Result<(String, Arc<ParquetMetaData>)> {
    let name =
        file.extension::<FileName>().map_or_else(|| file.path().to_string(), |name| name.0.to_string());
    let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
    let metadata =
        DFParquetMetadata::new(store.as_ref(), &file.object_meta).with_file_metadata_cache(Some(cache));
    let footer = super::guard::inspected(&name, metadata.fetch_metadata()).await?;
    Ok((name, footer))
}

/// The row groups that may have rows for a predicate.
fn kept(
    config: &FileScanConfig,
    name: &str,
    footer: &ParquetMetaData,
    predicate: &PruningPredicate,
) -> Vec<usize> {
    let groups = footer.row_groups();
    let mut filter = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(groups.len()));
    let metrics = ParquetFileMetrics::new(0, name, &ExecutionPlanMetricsSet::new());
    let schema = footer.file_metadata().schema_descr();
    filter.prune_by_statistics(config.file_schema(), schema, groups, predicate, &metrics);
    filter.row_group_indexes().collect()
}

/// The bytes of some columns of a row group.
fn bytes(group: &RowGroupMetaData, columns: &HashSet<String>) -> u64 {
    let is_wanted = |path: &[String]| path.first().is_some_and(|root| columns.contains(root));
    let chunks = group.columns().iter().filter(|chunk| is_wanted(chunk.column_path().parts()));
    chunks.map(|chunk| u64::try_from(chunk.compressed_size()).unwrap_or(0)).sum()
}
