//! What one file holds: its own columns and how its bytes are read.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::arrow::json::reader::infer_json_schema;
use datafusion::catalog::Session;
use datafusion::common::config::CsvOptions;
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::SessionState;
use datafusion::physical_plan::metrics::Count;
use object_store::{ObjectMeta, ObjectStore};
use regex::Regex;

use super::arrow_check::{self, Parts};
use super::bytes::{self, Decoding};
use super::find::DataFile;
use super::format::{self, Encoding, Format, Text};
use super::guard::inspected;
use super::quotes::Marks;
use crate::config::QueryOptions;
use crate::error::FileError;

/// Records from which the types of a text file's columns are inferred, unless an option says otherwise.
const RECORDS_MAX: usize = 1000;

/// A file's own columns, in its own order, and its encoding.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) schema: SchemaRef,
    pub(super) encoding: Encoding,
}

/// How the files of a table are read: their format with its options.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) format: Format,
    /// The engine's format: it reads Parquet and Avro whole, and keeps the options of the text formats.
    pub(super) engine: Arc<dyn FileFormat>,
    /// The CSV options, what they leave open taken from the session.
    pub(super) csv: CsvOptions,
    /// Names for the columns of CSV files without a header, by place.
    pub(super) names: Vec<String>,
    row_bytes_max: u64,
}

impl Reader {
    /// A reader with the options of `CREATE EXTERNAL TABLE … OPTIONS`.
    ///
    /// # Errors
    /// Options that the format does not have.
    pub(super) fn new(
        state: &SessionState,
        format: Format,
        options: &HashMap<String, String>,
    ) -> Result<Self> {
        let factory = state
            .get_file_format_factory(format.reader())
            .ok_or_else(|| plan_datafusion_err!("files of format {} cannot be read", format.reader()))?;
        let engine = factory.create(state, options)?;
        let settings = state.config_options();
        let mut csv = engine.downcast_ref::<CsvFormat>().map(|f| f.options().clone()).unwrap_or_default();
        csv.has_header.get_or_insert(settings.catalog.has_header);
        if format == Format::Tsv && !options.keys().any(|key| key.ends_with("delimiter")) {
            csv.delimiter = b'\t';
        }
        let own = settings.extensions.get::<QueryOptions>().cloned().unwrap_or_default();
        Ok(Self { format, engine, csv, names: Vec::new(), row_bytes_max: own.max_row_bytes.0 })
    }

    /// What turns a file's bytes into the lines that its decoder takes.
    pub(super) fn decoding(&self, file: String, encoding: Encoding) -> Decoding {
        let marks = (self.format.text() == Some(Text::Delimited)).then(|| Marks::new(&self.csv));
        Decoding { file, encoding, marks, row_bytes_max: self.row_bytes_max, read: Count::new() }
    }

    /// The arrow reader's options for CSV. `header`: the text at hand starts with one.
    pub(super) fn csv_format(&self, header: bool) -> Result<csv::reader::Format> {
        let options = &self.csv;
        let mut format = csv::reader::Format::default()
            .with_header(header)
            .with_delimiter(options.delimiter)
            .with_quote(options.quote)
            .with_truncated_rows(options.truncated_rows.unwrap_or(false));
        if let Some(escape) = options.escape {
            format = format.with_escape(escape);
        }
        if let Some(terminator) = options.terminator {
            format = format.with_terminator(terminator);
        }
        if let Some(comment) = options.comment {
            format = format.with_comment(comment);
        }
        let null = options.null_regex.clone();
        let null = null.or_else(|| options.null_value.as_ref().map(|v| format!("^{}$", regex::escape(v))));
        if let Some(null) = null {
            let null = Regex::new(&null)
                .map_err(|error| plan_datafusion_err!("'{null}' is not a regular expression: {error}"))?;
            format = format.with_null_regex(null);
        }
        Ok(format)
    }

    /// What it is, as far as it makes a difference to what is seen of a file.
    pub(super) fn id(&self) -> Arc<str> {
        let Self { format, engine, csv, names, row_bytes_max } = self;
        format!("{format:?} {engine:?} {csv:?} {names:?} {row_bytes_max}").into()
    }

    /// Looks into a local file: Parquet, Avro and Arrow say their columns, text is judged by its first records.
    ///
    /// # Errors
    /// A file that cannot be read, holds nothing, or names two columns alike.
    pub(super) async fn shape(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        file: &DataFile,
        meta: &ObjectMeta,
    ) -> Result<Shape> {
        let name = file.name();
        inspected(&name, async {
            if meta.size == 0 {
                return Err(FileError::new(&name, "it is empty").into());
            }
            let encoding = format::encoding(file, self.format)?;
            let schema = match (self.format.text(), self.format) {
                (Some(text), _) => {
                    let decoding = self.decoding(name.clone(), encoding);
                    let records = self.records_max() + 1;
                    let sample = bytes::sample(store, &meta.location, &decoding, records, None).await?;
                    self.text_schema(&name, text, sample)?
                }
                (None, Format::Arrow) => {
                    arrow_check::check(&mut Parts::of_file(&file.path)?, encoding.layout).await?;
                    let schema = arrow_check::schema(&file.path, encoding.layout)?;
                    check_names(&name, names(&schema))?;
                    self.engine.infer_schema(state, store, std::slice::from_ref(meta)).await?
                }
                (None, Format::Parquet) => {
                    let schema = self.engine.infer_schema(state, store, std::slice::from_ref(meta)).await?;
                    check_footer(&name, state, store, meta).await?;
                    schema
                }
                (None, _) => self.engine.infer_schema(state, store, std::slice::from_ref(meta)).await?,
            };
            check_names(&name, names(&schema))?;
            Ok(Shape { schema, encoding })
        })
        .await
    }

    pub(super) fn text_schema(&self, name: &str, text: Text, sample: Vec<u8>) -> Result<SchemaRef> {
        if sample.trim_ascii().is_empty() {
            return Err(FileError::new(name, "it is empty").into());
        }
        let records_max = Some(self.records_max());
        let (schema, _) = match text {
            Text::Delimited => {
                let header = self.csv.has_header.unwrap_or(true);
                let (schema, records) =
                    self.csv_format(header)?.infer_schema(Cursor::new(sample), records_max)?;
                (if header { schema } else { self.named(&schema) }, records)
            }
            Text::Json => infer_json_schema(Cursor::new(sample), records_max)?,
        };
        Ok(Arc::new(schema))
    }

    fn named(&self, schema: &Schema) -> Schema {
        let named = |(place, field): (usize, &FieldRef)| match self.names.get(place) {
            Some(name) => Arc::new(field.as_ref().clone().with_name(name)),
            None => Arc::clone(field),
        };
        Schema::new(schema.fields().iter().enumerate().map(named).collect::<Vec<_>>())
    }

    pub(super) fn records_max(&self) -> usize {
        let json = self.engine.downcast_ref::<JsonFormat>().and_then(|f| f.options().schema_infer_max_rec);
        self.csv.schema_infer_max_rec.or(json).unwrap_or(RECORDS_MAX).max(1)
    }
}

/// Checks the columns of a Parquet file as its footer has them: the engine makes one column of two that are
/// named alike. The footer has just been read, and is in the cache.
async fn check_footer(
    file: &str,
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
) -> Result<()> {
    let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
    let metadata = DFParquetMetadata::new(store.as_ref(), meta).with_file_metadata_cache(Some(cache));
    let footer = metadata.fetch_metadata().await?;
    let columns = footer.file_metadata().schema_descr().root_schema().get_fields();
    check_names(file, columns.iter().map(|column| column.name()))
}

pub(super) fn names(schema: &Schema) -> impl ExactSizeIterator<Item = &str> {
    schema.fields().iter().map(|field| field.name().as_str())
}

pub(super) fn check_names<'a>(file: &str, mut names: impl ExactSizeIterator<Item = &'a str>) -> Result<()> {
    if names.len() == 0 {
        return Err(FileError::new(file, "it has no columns").into());
    }
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(twice) => Err(FileError::new(file, format!("two columns are named '{twice}'")).into()),
        None => Ok(()),
    }
}
