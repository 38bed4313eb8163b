//! Files as one table.

mod added;
mod files;
mod made;

pub use added::Addition;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, project_schema};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableType, create_ordering};
use datafusion::logical_expr::{Expr, SortExpr, TableProviderFilterPushDown};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion_datasource::compute_all_files_statistics;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use self::files::{Entry, Listed, Listing, Said};
use super::at_once::at_once;
use super::by_name::ByName;
use super::format::Format;
use super::guard::Guarded;
use super::look::Look;
use super::prune::Narrowed;
use super::remote::{Remote, streams};
use super::shape::{Reader, Shape};
use super::unite::unite;
use crate::error::FileError;

/// The virtual column that tells each row's file.
pub const FILENAME: &str = "filename";

/// What a table of files is made from.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    /// What it is called: its name, or its location.
    pub(super) name: Arc<str>,
    /// Paths, patterns, folders.
    pub(super) locations: Vec<String>,
    pub(super) reader: Reader,
    /// The columns as declared; those of the files if none are.
    pub(super) declared: Option<SchemaRef>,
    /// The declared partition columns.
    pub(super) keys: Vec<FieldRef>,
    /// The order in which each file's rows are said to be.
    pub(super) order: Vec<Vec<SortExpr>>,
    /// Whether there is a column `filename`.
    pub(super) filename: bool,
    /// The files that make the columns; all if nothing is known.
    pub(super) narrowed: Option<Arc<Narrowed>>,
    /// Whether the columns are there without any file: they are declared.
    pub(super) may_be_empty: bool,
    /// The statement to show for it, where there is one without secrets.
    pub(super) text: Option<String>,
}

/// Files that have been looked into, with their columns.
pub(super) type Shapes = Arc<Mutex<HashMap<Path, (ObjectMeta, Shape)>>>;

/// A table of files of one format.
///
/// Its columns are those of the files that it is made of, united by name, then the keys in folder names, then `filename`
/// if asked for. Filters on the latter two leave out files before these are opened. Scans give as many partitions as the session wants, in no order unless one was declared or every file says
/// the same of itself.
pub(super) struct FileTable {
    definition: Definition,
    schema: TableSchema,
    /// The files that made the columns.
    made_from: HashSet<PathBuf>,
    /// Kept so that each scan opens only what is new.
    shapes: Shapes,
    said: Said,
}

impl fmt::Debug for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTable").field("locations", &self.definition.locations).finish_non_exhaustive()
    }
}

impl FileTable {
    /// Finds the files and their columns.
    ///
    /// # Errors
    /// No files, a file that cannot be read (unless another can), columns that do not unite, declared
    /// columns that no file has.
    pub(super) async fn open(state: &dyn Session, definition: Definition) -> Result<Self> {
        let schema = TableSchema::from(Arc::new(Schema::empty()));
        let filename = definition.filename;
        let definition = Definition { filename: false, ..definition };
        let shapes = definition.narrowed.as_ref().map(|narrowed| Arc::clone(&narrowed.shapes));
        let shapes = shapes.unwrap_or_default();
        let mut table = Self { definition, schema, made_from: HashSet::new(), shapes, said: Said::default() };
        let (mut fields, files) = table.made_of(state).await?;
        let files = table.wanted(state, &fields, filename, files);
        table.made_from = files.iter().map(|listed| listed.file.path.clone()).collect();
        let entries = table.looked_into(state, files).await?;
        if filename && !has_column(FILENAME, &fields, &entries) {
            table.definition.filename = true;
            fields.push(filename_field());
        }
        let file_schema = match &table.definition.declared {
            Some(declared) => table.checked(declared, &entries)?,
            None => table.united(&fields, entries)?,
        };
        let keys = fields.into_iter().map(|field| match table.definition.declared {
            // Files that come later may lack the key.
            Some(_) => Arc::new(Field::clone(&field).with_nullable(true)),
            None => field,
        });
        table.schema =
            TableSchema::builder(file_schema).with_table_partition_cols(keys.collect::<Vec<_>>()).build();
        Ok(table)
    }

    fn united(&self, keys: &[FieldRef], entries: Vec<Entry>) -> Result<SchemaRef> {
        let mut known = Vec::with_capacity(entries.len());
        let mut failure = None;
        for entry in entries {
            match entry.shape {
                Ok(shape) => known.push((entry.file.name(), shape.schema)),
                // An empty file among others adds nothing.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let (true, Some(failure)) = (known.is_empty(), failure) {
            return Err(failure);
        }
        let schema = unite(known.iter().map(|(name, schema)| (name.as_str(), schema)))?;
        // The key in the path is the one that was written last, by whoever laid the files out.
        let is_key = |field: &FieldRef| keys.iter().any(|key| key.name() == field.name());
        let fields: Vec<FieldRef> = schema.fields().iter().filter(|field| !is_key(field)).cloned().collect();
        Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
    }

    /// The declared columns, if the files have them.
    fn checked(&self, declared: &SchemaRef, entries: &[Entry]) -> Result<SchemaRef> {
        let known = || entries.iter().filter_map(|entry| entry.shape.as_ref().ok());
        for field in declared.fields() {
            let is_there = known().any(|shape| shape.schema.index_of(field.name()).is_ok());
            if !is_there && known().next().is_some() {
                let name = self.definition.locations.join("', '");
                let trouble = format!("it has no column '{}'", field.name());
                let columns = known().next().map(|shape| column_names(&shape.schema)).unwrap_or_default();
                return Err(FileError::new(name, trouble).with_help(format!("it has {columns}")).into());
            }
        }
        Ok(Arc::clone(declared))
    }

    fn order(&self, files: &[PartitionedFile]) -> Result<Vec<LexOrdering>> {
        if !self.definition.order.is_empty() {
            let table = self.schema.table_schema();
            return create_ordering(table, &self.definition.order);
        }
        let first = files.first().and_then(|file| file.ordering.clone());
        let same = files.iter().all(|file| file.ordering == first);
        Ok(first.filter(|_| same).into_iter().collect())
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.definition.text.as_deref()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| match self.is_about_keys(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let about_keys: Vec<_> =
            filters.iter().filter(|filter| self.is_about_keys(filter)).cloned().collect();
        let entries = self.files(state, &about_keys).await?;
        let Some(first) = entries.first() else {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        };
        let remote = first.file.object.as_ref().map(|object| Arc::clone(&object.remote));
        let url = match &remote {
            Some(remote) => remote.url.clone(),
            None => listing_url(&first.file.path)?.object_store(),
        };
        let store = match &remote {
            Some(remote) => remote.pinned(entries.iter().map(|entry| &entry.meta)),
            None => state.runtime_env().object_store(&url)?,
        };
        let concurrency = state.config_options().execution.meta_fetch_concurrency.get();
        let look = &Look::new(entries.len());
        let work = entries.into_iter().map(|entry| self.partitioned(state, &store, entry, look));
        let files = at_once(work, concurrency).await?;
        let (files, shapes): (Vec<_>, Vec<_>) = files.into_iter().unzip();

        let order = self.order(&files)?;
        let shapes = files.iter().map(|file| file.object_meta.location.clone()).zip(shapes);
        let shapes = shapes.filter_map(|(location, shape)| Some((location, shape?)));
        let reader = &self.definition.reader;
        let source: Arc<dyn FileSource> = match reader.format {
            Format::Parquet => reader.engine.file_source(self.schema.clone()),
            Format::Csv | Format::Tsv | Format::Json | Format::Arrow | Format::Avro => {
                let batch_size = state.config().batch_size();
                let source = ByName::new(reader.clone(), shapes, self.schema.clone(), batch_size);
                Arc::new(source.of_store(remote.is_some().then(|| Arc::clone(&store))))
            }
        };
        let limit_of_files = limit.filter(|_| filters.len() == about_keys.len());
        // A few rows come from the first object, if it has that many: nothing is read of it in vain.
        let is_few = limit_of_files.is_some_and(|limit| limit <= state.config().batch_size());
        let is_one = is_few && remote.is_some() && has_rows(&files, limit_of_files);
        // Or from the first objects.
        let partitions = match (is_one, remote.is_some() && limit.is_none()) {
            (true, _) => 1,
            (false, true) => streams(
                files.len(),
                files.iter().map(|file| file.object_meta.size).sum(),
                state.config().target_partitions(),
            ),
            (false, false) => state.config().target_partitions(),
        };
        let groups = FileGroup::new(files).split_files(partitions);
        let (groups, statistics) = compute_all_files_statistics(groups, self.schema(), true, false)?;
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit_of_files)
            // What is declared here, the engine does not cut further.
            .with_output_partitioning(is_one.then_some(Partitioning::UnknownPartitioning(1)))
            .with_output_ordering(order)
            .build();
        match reader.format {
            Format::Parquet => {
                let plan = reader.engine.create_physical_plan(state, config).await?;
                Ok(with_guard(plan, remote.map(|remote| (remote, store))))
            }
            Format::Csv | Format::Tsv | Format::Json | Format::Arrow | Format::Avro => {
                Ok(DataSourceExec::from_data_source(config))
            }
        }
    }
}

impl FileTable {
    /// Whether there is a column `filename` that is not in the files.
    pub(super) fn has_filename(&self) -> bool {
        self.definition.filename
    }

    /// Whether the paths have a key of this name.
    pub(super) fn has_key(&self, name: &str) -> bool {
        self.schema.table_partition_cols().iter().any(|key| key.name() == name)
    }

    /// Whether a filter can be answered from the files' paths alone.
    fn is_about_keys(&self, filter: &Expr) -> bool {
        let keys: Vec<_> = self.schema.table_partition_cols().iter().map(|key| key.name().as_str()).collect();
        !keys.is_empty() && expr_applicable_for_cols(&keys, filter)
    }
}

/// Whether the first of some files is known to have so many rows.
fn has_rows(files: &[PartitionedFile], rows: Option<usize>) -> bool {
    let statistics = files.first().and_then(|file| file.statistics.as_ref());
    let known = statistics.and_then(|statistics| match statistics.num_rows {
        Precision::Exact(known) => Some(known),
        Precision::Inexact(_) | Precision::Absent => None,
    });
    known.zip(rows).is_some_and(|(known, rows)| known >= rows)
}

fn filename_field() -> FieldRef {
    Arc::new(Field::new(FILENAME, DataType::Utf8, false))
}

fn has_column(name: &str, keys: &[FieldRef], entries: &[Entry]) -> bool {
    let shapes = entries.iter().filter_map(|entry| entry.shape.as_ref().ok());
    keys.iter().any(|key| key.name() == name)
        || shapes.into_iter().any(|shape| shape.schema.index_of(name).is_ok())
}

/// The engine's scan with its decoders guarded, and its files read from another store, if there is one.
fn with_guard(
    plan: Arc<dyn ExecutionPlan>,
    remote: Option<(Arc<Remote>, Arc<dyn ObjectStore>)>,
) -> Arc<dyn ExecutionPlan> {
    let Some(scan) = plan.downcast_ref::<DataSourceExec>() else { return plan };
    let source = scan.data_source();
    let Some(config) = source.downcast_ref::<datafusion::datasource::physical_plan::FileScanConfig>() else {
        return plan;
    };
    let guarded = Guarded::new(Arc::clone(config.file_source()), remote);
    let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(guarded)).build();
    DataSourceExec::from_data_source(config)
}

fn column_names(schema: &Schema) -> String {
    let names: Vec<_> = schema.fields().iter().map(|field| format!("'{}'", field.name())).collect();
    names.join(", ")
}

/// A location without special meaning for `*`, `?` or `[` in it.
fn listing_url(path: &std::path::Path) -> Result<ListingTableUrl> {
    let unnamed = || FileError::new(path.to_string_lossy(), "it is no path");
    if path.to_string_lossy().contains(char::is_control) {
        return Err(FileError::new(
            path.to_string_lossy(),
            "its name has a line break or another control character",
        )
        .with_help("rename it, or leave it out of the pattern")
        .into());
    }
    // The folder without `..` and links; the file by its own name, since two names may be one file.
    let folder = match path.parent() {
        Some(folder) if folder != std::path::Path::new("") => folder,
        Some(_) | None => std::path::Path::new("."),
    };
    let folder = std::fs::canonicalize(folder)?;
    let url = Url::from_file_path(folder.join(path.file_name().ok_or_else(unnamed)?));
    let url = url.map_err(|()| unnamed())?;
    ListingTableUrl::try_new(url, None)
}
