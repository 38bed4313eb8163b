//! Reading files whose columns are found by name: each file by its own header, schema and encoding.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::{csv, json};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::file_format::csv::CsvDecoder;
use datafusion::datasource::file_format::json::JsonDecoder;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ArrowSource, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricCategory};
use datafusion::physical_plan::{DisplayFormatType, apply_expression_roots};
use datafusion_datasource::boundary_stream::AlignedBoundaryStream;
use datafusion_datasource::decoder::{Decoder, DecoderDeserializer, deserialize_stream};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::sync::OnceCell;

use super::avro::Blocks;
use super::bytes::{Counted, DecodedStore, Decoding, has_quoted_newlines, watched};
use super::declared::Declared;
use super::format::{Format, Layout, Text};
use super::guard::{Opening, guarded_open, name_of};
use super::shape::{Reader, Shape};
use crate::store::metered;

/// Values of a CSV batch: with very many columns it has fewer rows.
const CELLS_MAX: usize = 1 << 20;

/// A source of CSV, JSON, Arrow and Avro files. Columns that a file lacks are NULL; columns of another
/// type than the table's are read as the table's (text) or cast (Arrow, Avro).
///
/// Text files are split into ranges at line breaks, unless some line break is inside quotes.
#[derive(Clone)]
pub(super) struct ByName {
    reader: Reader,
    files: Arc<HashMap<Path, FileState>>,
    table_schema: TableSchema,
    batch_size: usize,
    projection: SplitProjection,
    metrics: ExecutionPlanMetricsSet,
    /// The store of the network that the files are in; a local one is the engine's.
    store: Option<Arc<dyn ObjectStore>>,
}

/// A file's shape, and what only reading it tells.
struct FileState {
    shape: Shape,
    quoted_newlines: OnceCell<bool>,
}

impl ByName {
    /// A source of these files.
    pub(super) fn new(
        reader: Reader,
        files: impl IntoIterator<Item = (Path, Shape)>,
        table_schema: TableSchema,
        batch_size: usize,
    ) -> Self {
        let state = |shape| FileState { shape, quoted_newlines: OnceCell::new() };
        let files = files.into_iter().map(|(path, shape)| (path, state(shape))).collect();
        let projection = SplitProjection::unprojected(&table_schema);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { reader, files: Arc::new(files), table_schema, batch_size, projection, metrics, store: None }
    }

    /// The same files in another store than the engine's.
    pub(super) fn of_store(self, store: Option<Arc<dyn ObjectStore>>) -> Self {
        Self { store, ..self }
    }
}

impl FileSource for ByName {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let wanted = self.table_schema.file_schema().project(&self.projection.file_indices)?;
        let store = self.store.clone().unwrap_or(store);
        let store = metered(store, &config.object_store_url, &self.metrics, partition);
        let opener = Opener {
            source: self.clone(),
            wanted: Arc::new(wanted),
            store,
            config: config.clone(),
            partition,
            read: MetricBuilder::new(&self.metrics)
                .with_category(MetricCategory::Bytes)
                .counter("bytes_scanned", partition),
        };
        let schema = self.projection.source.project_schema(self.table_schema.table_schema())?;
        let inner = ProjectionOpener::try_new(
            self.projection.clone(),
            Arc::new(opener),
            self.table_schema.file_schema(),
        )?;
        Ok(Arc::new(Declared { inner, schema: Arc::new(schema) }))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        self.reader.format.reader()
    }

    fn supports_repartitioning(&self) -> bool {
        let may_split = self.reader.csv.newlines_in_values != Some(true);
        // Whether some line break is inside quotes is seen by reading all of a file: over a network that costs more
        // than it gains.
        let may_look = self.store.is_none()
            || self.reader.format.text() != Some(Text::Delimited)
            || self.reader.csv.newlines_in_values == Some(false);
        may_split
            && may_look
            && self.reader.format != Format::Avro
            && self.files.values().all(|file| file.shape.encoding.is_splittable())
    }

    fn fmt_extra(&self, form: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.reader.format.text(), form) {
            (Some(Text::Delimited), DisplayFormatType::Default | DisplayFormatType::Verbose) => {
                write!(f, ", has_header={}", self.reader.csv.has_header.unwrap_or(true))
            }
            _ => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

/// Opens the files of one partition.
struct Opener {
    source: ByName,
    /// The columns to give, as the table has them.
    wanted: SchemaRef,
    store: Arc<dyn ObjectStore>,
    config: FileScanConfig,
    partition: usize,
    /// The bytes that are read, as they are stored; not counted of Arrow files, which the stock reader reads.
    read: Count,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<Opening> {
        let name = name_of(&file);
        let location = &file.object_meta.location;
        let Some(state) = self.source.files.get(location) else {
            return Err(internal_datafusion_err!("'{name}' is not a file of this table"));
        };
        let plan = ReadPlan::new(&self.source.reader, &state.shape.schema, &self.wanted);
        guarded_open(&Inner { opener: self, plan }, file, name)
    }
}

/// How one file's columns become the wanted ones.
#[derive(Clone)]
struct ReadPlan {
    /// The file's columns with the types in which they are read.
    read: SchemaRef,
    /// The places in the file of the wanted columns that it has, ascending.
    places: Vec<usize>,
    /// For each wanted column, which of the columns read it is.
    columns: Vec<Option<usize>>,
    wanted: SchemaRef,
}

impl ReadPlan {
    fn new(reader: &Reader, own: &SchemaRef, wanted: &SchemaRef) -> Self {
        // Looked up once per file: a schema finds a name by going through all of its fields.
        let by_name = |schema: &SchemaRef| -> HashMap<String, usize> {
            schema.fields().iter().enumerate().map(|(place, field)| (field.name().clone(), place)).collect()
        };
        let (own_places, wanted_places) = (by_name(own), by_name(wanted));
        let mut places: Vec<usize> =
            wanted.fields().iter().filter_map(|field| own_places.get(field.name()).copied()).collect();
        places.sort_unstable();
        let column = |field: &Arc<Field>| {
            let place = own_places.get(field.name())?;
            places.binary_search(place).ok()
        };
        let columns = wanted.fields().iter().map(column).collect();
        let read = own.fields().iter().map(|field| match wanted_places.get(field.name()) {
            Some(place) if reader.format.text().is_some() => Arc::clone(&wanted.fields()[*place]),
            _ => Arc::clone(field),
        });
        Self {
            read: Arc::new(Schema::new(read.collect::<Vec<_>>())),
            places,
            columns,
            wanted: Arc::clone(wanted),
        }
    }

    /// A batch of the columns read as a batch of the wanted ones.
    fn adapt(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let column = |(field, column): (&Arc<Field>, &Option<usize>)| -> Result<ArrayRef> {
            match column {
                Some(column) => {
                    let column = batch.column(*column);
                    match column.data_type() == field.data_type() {
                        true => Ok(Arc::clone(column)),
                        false => Ok(cast_with_options(column, field.data_type(), &options)?),
                    }
                }
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        let columns =
            self.wanted.fields().iter().zip(&self.columns).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.wanted), columns, &options)?)
    }
}

/// Opens one file with its plan.
struct Inner<'a> {
    opener: &'a Opener,
    plan: ReadPlan,
}

impl FileOpener for Inner<'_> {
    fn open(&self, file: PartitionedFile) -> Result<Opening> {
        let Opener { source, store, .. } = self.opener;
        let plan = self.plan.clone();
        let adapt = plan.clone();
        let opening = match (source.reader.format.text(), source.reader.format) {
            (Some(text), _) => {
                let source = source.clone();
                let (store, read) = (Arc::clone(store), self.opener.read.clone());
                async move { source.text(text, store, file, plan, read).await }.boxed()
            }
            (None, Format::Avro) => self.avro(file),
            (None, _) => self.arrow(file)?,
        };
        Ok(opening
            .map_ok(move |batches| {
                batches.map(move |batch| batch.and_then(|batch| adapt.adapt(&batch))).boxed()
            })
            .boxed())
    }
}

impl Inner<'_> {
    fn avro(&self, file: PartitionedFile) -> Opening {
        let store = Arc::clone(&self.opener.store);
        let (places, batch_size) = (self.plan.places.clone(), self.opener.source.batch_size);
        let read = self.opener.read.clone();
        async move {
            let result = store.get(&file.object_meta.location).await?;
            let size = result.meta.size;
            let reader: Box<dyn std::io::Read + Send> = match result.payload {
                GetResultPayload::File(open, _) => Box::new(open),
                GetResultPayload::Stream(_) => Box::new(std::io::Cursor::new(result.bytes().await?)),
            };
            let reader = Box::new(Counted { inner: reader, read });
            let blocks = Blocks::open(reader, size, &places, batch_size)?;
            Ok(futures::stream::iter(blocks).boxed())
        }
        .boxed()
    }

    fn arrow(&self, file: PartitionedFile) -> Result<Opening> {
        let Opener { source, store, config, partition, .. } = self.opener;
        let layout = source.files.get(&file.object_meta.location).map(|state| state.shape.encoding.layout);
        let schema = TableSchema::from(Arc::clone(&self.plan.read));
        let stock = match layout {
            Some(Layout::ArrowStream) => ArrowSource::new_stream_file_source(schema),
            _ => ArrowSource::new_file_source(schema),
        };
        let projection = ProjectionExprs::from_indices(&self.plan.places, &self.plan.read);
        let stock = stock
            .try_pushdown_projection(&projection)?
            .ok_or_else(|| internal_datafusion_err!("the Arrow reader takes no projection"))?;
        stock.create_file_opener(Arc::clone(store), config, *partition)?.open(file)
    }
}

impl ByName {
    /// The batches of a text file, or of a range of its lines.
    async fn text(
        self,
        text: Text,
        store: Arc<dyn ObjectStore>,
        file: PartitionedFile,
        plan: ReadPlan,
        read: Count,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let location = file.object_meta.location.clone();
        let Some(state) = self.files.get(&location) else {
            return Err(internal_datafusion_err!("'{location}' is not a file of this table"));
        };
        let decoding = self.reader.decoding(name_of(&file).to_string(), state.shape.encoding);
        let mut range = file.range.clone();
        let mut is_plain = false;
        if range.is_some() && self.reader.csv.newlines_in_values.is_none() && decoding.marks.is_some() {
            let scan = || has_quoted_newlines(&store, &location, &decoding);
            if *state.quoted_newlines.get_or_try_init(scan).await? {
                // Only a reader that starts at the beginning knows which line breaks end a record.
                match range.take() {
                    Some(part) if part.start > 0 => return Ok(futures::stream::empty().boxed()),
                    _ => {}
                }
            } else {
                is_plain = true;
            }
        }
        let stored = Arc::clone(&store);
        // Looking for quotes was no reading yet.
        let counted = Decoding { read, ..decoding.clone() };
        let store: Arc<dyn ObjectStore> = Arc::new(DecodedStore { inner: store, decoding: counted });
        let header = range.as_ref().is_none_or(|range| range.start == 0);
        let input = match range {
            None => store.get(&location).await?.into_stream(),
            Some(range) => {
                let (start, end) = (range.start.max(0).cast_unsigned(), range.end.max(0).cast_unsigned());
                let size = file.object_meta.size;
                let terminator = self.reader.csv.terminator.unwrap_or(b'\n');
                let location = location.clone();
                AlignedBoundaryStream::new(store, location, start, end, size, terminator).await?.boxed()
            }
        };
        let input =
            watched(input.map_err(DataFusionError::from).boxed(), stored, location, decoding, is_plain);
        match text {
            Text::Json => {
                let read = Arc::new(plan.read.project(&plan.places)?);
                let decoder =
                    json::ReaderBuilder::new(read).with_batch_size(self.batch_size).build_decoder()?;
                Ok(batches(input, JsonDecoder::new(decoder)))
            }
            Text::Delimited => {
                let header = header && self.reader.csv.has_header.unwrap_or(true);
                // The decoder makes room for all values of a batch before it has read one.
                let rows_max = (CELLS_MAX / plan.read.fields().len().max(1)).max(1);
                let decoder = csv::ReaderBuilder::new(plan.read)
                    .with_format(self.reader.csv_format(header)?)
                    .with_projection(plan.places)
                    .with_batch_size(self.batch_size.min(rows_max))
                    .build_decoder();
                Ok(batches(input, CsvDecoder::new(decoder)))
            }
        }
    }
}

fn batches(
    input: BoxStream<'static, Result<bytes::Bytes>>,
    decoder: impl Decoder + 'static,
) -> BoxStream<'static, Result<RecordBatch>> {
    deserialize_stream(input.fuse(), DecoderDeserializer::new(decoder)).map_err(DataFusionError::from).boxed()
}
