//! Decoders that panic, and errors that do not say which file they are about.
//!
//! Files may be damaged in ways that their decoders did not think of. A panic in one becomes the file's
//! error, so the query fails and the process goes on.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectStore;

use super::remote::Remote;
use super::routed::without_routes;
use crate::error::FileError;
use crate::store::metered;

/// A stream of a file's batches whose panics and errors are the file's.
pub(super) fn guarded_stream(
    stream: BoxStream<'static, Result<RecordBatch>>,
    file: Arc<str>,
) -> BoxStream<'static, Result<RecordBatch>> {
    AssertUnwindSafe(stream)
        .catch_unwind()
        .map(move |item| match item {
            Ok(batch) => batch.map_err(|error| named(&file, error)),
            Err(panic) => Err(panicked(&file, panic.as_ref())),
        })
        .boxed()
}

/// A look into a file: whatever goes wrong is about the file.
pub(super) async fn inspected<T>(file: &str, look: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(look).catch_unwind().await {
        Ok(done) => done.map_err(|error| FileError::wrap(file, error)),
        Err(panic) => Err(panicked(file, panic.as_ref())),
    }
}

/// Work on a file whose panics and errors are the file's.
pub(super) async fn guarded<T>(file: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done.map_err(|error| named(file, error)),
        Err(panic) => Err(panicked(file, panic.as_ref())),
    }
}

fn guarded_call<T>(file: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| named(file, error)),
        Err(panic) => Err(panicked(file, panic.as_ref())),
    }
}

fn panicked(file: &str, panic: &(dyn Any + Send)) -> DataFusionError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    FileError::new(file, format!("it is damaged, its decoder gave up: {text}")).into()
}

/// An error of reading, with the file's name. Scans also compute expressions, and have limits: errors of
/// these are not about the file.
fn named(file: &str, error: DataFusionError) -> DataFusionError {
    let is_about_file = match error.find_root() {
        DataFusionError::ParquetError(_) | DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => {
            true
        }
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero | ArrowError::ArithmeticOverflow(_) | ArrowError::CastError(_) => false,
            ArrowError::ParseError(_)
            | ArrowError::CsvError(_)
            | ArrowError::JsonError(_)
            | ArrowError::AvroError(_)
            | ArrowError::IpcError(_)
            | ArrowError::ParquetError(_)
            | ArrowError::IoError(..)
            | ArrowError::SchemaError(_)
            | ArrowError::InvalidArgumentError(_)
            | ArrowError::ExternalError(_) => true,
            _ => false,
        },
        _ => false,
    };
    if is_about_file { FileError::wrap(file, error) } else { error }
}

/// Opens one file's stream and guards it.
pub(super) fn guarded_open(
    opener: &dyn FileOpener,
    file: PartitionedFile,
    name: Arc<str>,
) -> Result<Opening> {
    let opening = guarded_call(&name, || opener.open(file))?;
    Ok(async move {
        let stream = guarded(&name, opening).await?;
        Ok(guarded_stream(stream, name))
    }
    .boxed())
}

/// What [`FileOpener::open`] gives.
pub(super) type Opening = datafusion::datasource::physical_plan::FileOpenFuture;

/// A source of files that passes everything on to another one, and guards what it gives.
pub(super) struct Guarded {
    inner: Arc<dyn FileSource>,
    /// The store of the network that the files are in, and the versions of them that it gives.
    remote: Option<(Arc<Remote>, Arc<dyn ObjectStore>)>,
}

impl Guarded {
    /// Guards a source.
    pub(super) fn new(
        inner: Arc<dyn FileSource>,
        remote: Option<(Arc<Remote>, Arc<dyn ObjectStore>)>,
    ) -> Self {
        Self { inner, remote }
    }

    fn again(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner, remote: self.remote.clone() })
    }

    /// The source and the store with which a partition is read: what is asked of the store is counted.
    fn opened(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> (Arc<dyn FileSource>, Arc<dyn ObjectStore>) {
        let store = self.remote.as_ref().map_or(store, |(_, store)| Arc::clone(store));
        let store = metered(store, &config.object_store_url, self.metrics(), partition);
        let inner = match self.inner.downcast_ref::<ParquetSource>() {
            Some(source) => Arc::new(self.parquet(source, &store)) as Arc<dyn FileSource>,
            None => Arc::clone(&self.inner),
        };
        (inner, store)
    }

    fn parquet(&self, source: &ParquetSource, store: &Arc<dyn ObjectStore>) -> ParquetSource {
        let mut source = source.clone();
        if let Some((remote, _)) = &self.remote {
            source = source.with_parquet_file_reader_factory(remote.parquet_readers(Arc::clone(store)));
        }
        match source.filter() {
            // Where the reader asks rows, it has to know all of it.
            Some(filter) if !source.table_parquet_options().global.pushdown_filters => {
                source.with_predicate(without_routes(&filter))
            }
            _ => source,
        }
    }
}

impl FileSource for Guarded {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let (inner, store) = self.opened(store, config, partition);
        inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let (inner, store) = self.opened(store, config, partition);
        let inner = inner.create_morselizer(store, config, partition)?;
        Ok(Box::new(GuardedMorselizer { inner }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.again(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, form: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.inner.fmt_extra(form, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        partitions: usize,
        min_size: usize,
        ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        // Objects of the network are read in more streams than there are threads: these wait most of the time.
        if self.remote.is_some() && config.file_groups.len() > partitions {
            return Ok(None);
        }
        self.inner.repartitioned(partitions, min_size, ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_filters(filters, config)?;
        Ok(FilterPushdownPropagation {
            filters: pushed.filters,
            updated_node: pushed.updated_node.map(|inner| self.again(inner)),
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.inner.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => {
                SortOrderPushdownResult::Exact { inner: self.again(inner) }
            }
            SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: self.again(inner) }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_projection(projection)?.map(|inner| self.again(inner)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}

/// The name of a file that an error gets.
pub(super) fn name_of(file: &PartitionedFile) -> Arc<str> {
    match file.extension::<FileName>() {
        Some(name) => Arc::clone(&name.0),
        None => format!("/{}", file.object_meta.location).into(),
    }
}

/// The file's name as the query wrote it; travels with the file.
#[derive(Debug, Clone)]
pub(super) struct FileName(pub(super) Arc<str>);

#[derive(Debug)]
struct GuardedMorselizer {
    inner: Box<dyn Morselizer>,
}

impl Morselizer for GuardedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let name = name_of(&file);
        let inner = guarded_call(&name, || self.inner.plan_file(file))?;
        Ok(Box::new(GuardedPlanner { inner, name }))
    }
}

#[derive(Debug)]
struct GuardedPlanner {
    inner: Box<dyn MorselPlanner>,
    name: Arc<str>,
}

impl MorselPlanner for GuardedPlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, name } = *self;
        let Some(mut plan) = guarded_call(&name, || inner.plan())? else { return Ok(None) };
        let morsels = plan.take_morsels().into_iter();
        let planners = plan.take_ready_planners().into_iter();
        let pending = plan.take_pending_planner();
        let guard = |inner: Box<dyn MorselPlanner>| {
            Box::new(Self { inner, name: Arc::clone(&name) }) as Box<dyn MorselPlanner>
        };
        let mut guarded_plan = MorselPlan::new().with_planners(planners.map(guard).collect()).with_morsels(
            morsels
                .map(|inner| Box::new(GuardedMorsel { inner, name: Arc::clone(&name) }) as Box<dyn Morsel>)
                .collect(),
        );
        if let Some(pending) = pending {
            guarded_plan.set_pending_planner(async move {
                let inner = guarded(&name, pending.into_future()).await?;
                Ok(Box::new(Self { inner, name }) as Box<dyn MorselPlanner>)
            });
        }
        Ok(Some(guarded_plan))
    }
}

#[derive(Debug)]
struct GuardedMorsel {
    inner: Box<dyn Morsel>,
    name: Arc<str>,
}

impl Morsel for GuardedMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, name } = *self;
        match guarded_call(&name, || Ok(inner.into_stream())) {
            Ok(stream) => guarded_stream(stream, name),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }
}
