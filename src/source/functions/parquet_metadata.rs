//! `parquet_metadata('data/*.parquet')`: what the footers of Parquet files say.

mod bounds;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::basic::{ConvertedType, LogicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};

use self::bounds::Bounds;
use super::super::find::{DataFile, Object};
use super::super::guard::inspected;
use super::super::remote::footer_bytes;
use super::{About, shown};

/// One row for each file, row group and column, in this order; the names are DuckDB's where it has the column.
///
/// Sizes are in bytes. `row_group_bytes` is the row group before compression. `stats_min` and `stats_max` are
/// text, NULL where the file keeps none or where they are of a kind that is not decoded. Only the footer is read, one
/// file at a time; memory: the footer of one file.
///
/// Errors name the file: it cannot be read, is no Parquet file, or its footer is broken.
pub(super) const ABOUT: About = About { name: "parquet_metadata", schema, rows, files_per_batch: 1 };

fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("file_name"),
        number("row_group_id"),
        number("row_group_num_rows"),
        number("row_group_num_columns"),
        number("row_group_bytes"),
        number("column_id"),
        text("path_in_schema"),
        text("type"),
        text("logical_type"),
        number("num_values"),
        number("stats_null_count"),
        number("stats_distinct_count"),
        text("stats_min"),
        text("stats_max"),
        text("compression"),
        text("encodings"),
        number("total_compressed_size"),
        number("total_uncompressed_size"),
        number("dictionary_page_offset"),
        number("data_page_offset"),
        number("bloom_filter_offset"),
        number("bloom_filter_length"),
        Field::new("has_page_index", DataType::Boolean, true),
    ]))
}

fn rows(schema: SchemaRef, files: Vec<DataFile>) -> BoxFuture<'static, Result<RecordBatch>> {
    async move {
        let mut columns = Columns::default();
        for file in &files {
            columns.add(&file.path, footer(file).await?.as_ref())?;
        }
        columns.finish(&schema)
    }
    .boxed()
}

async fn footer(file: &DataFile) -> Result<Arc<ParquetMetaData>> {
    let path = &file.path;
    if let Some(Object { remote, meta }) = &file.object {
        let footer = inspected(&file.name(), remote.footer(meta, footer_bytes(1))).await;
        return footer.map_err(|error| match error.find_root() {
            DataFusionError::ParquetError(parquet) => trouble(path, parquet),
            _ => error,
        });
    }
    let failed = |error: ParquetError| trouble(path, &error);
    let open = File::open(path).map_err(|error| failed(ParquetError::from(error)))?;
    Ok(Arc::new(ParquetMetaDataReader::new().parse_and_finish(&open).map_err(failed)?))
}

fn trouble(path: &Path, error: &ParquetError) -> DataFusionError {
    let path = path.display();
    let reason = match error {
        ParquetError::General(text) | ParquetError::EOF(text) => text.clone(),
        ParquetError::External(error) => error.to_string(),
        other => other.to_string(),
    };
    DataFusionError::Execution(format!("'{path}' is not a readable Parquet file: {reason}"))
}

/// Columns of the answer that grow with each row.
#[derive(Default)]
struct Columns {
    file_names: StringBuilder,
    group_ids: Int64Builder,
    group_rows: Int64Builder,
    group_columns: Int64Builder,
    group_bytes: Int64Builder,
    column_ids: Int64Builder,
    paths: StringBuilder,
    physical_types: StringBuilder,
    logical_types: StringBuilder,
    values: Int64Builder,
    nulls: Int64Builder,
    distincts: Int64Builder,
    mins: StringBuilder,
    maxes: StringBuilder,
    compressions: StringBuilder,
    encodings: StringBuilder,
    compressed_sizes: Int64Builder,
    uncompressed_sizes: Int64Builder,
    dictionary_offsets: Int64Builder,
    data_offsets: Int64Builder,
    bloom_offsets: Int64Builder,
    bloom_lengths: Int64Builder,
    page_indexes: BooleanBuilder,
}

impl Columns {
    fn add(&mut self, path: &Path, footer: &ParquetMetaData) -> Result<()> {
        let bounds = Bounds::of(footer);
        let path = shown(path);
        for (group_id, group) in footer.row_groups().iter().enumerate() {
            for (column_id, column) in group.columns().iter().enumerate() {
                self.file_names.append_value(&path);
                self.group(group_id, group);
                self.column(column_id, column);
                self.mins.append_option(bounds.least(column_id, group_id)?);
                self.maxes.append_option(bounds.most(column_id, group_id)?);
            }
        }
        Ok(())
    }

    fn group(&mut self, id: usize, group: &RowGroupMetaData) {
        self.group_ids.append_value(index(id));
        self.group_rows.append_value(group.num_rows());
        self.group_columns.append_value(index(group.num_columns()));
        self.group_bytes.append_value(group.total_byte_size());
    }

    fn column(&mut self, id: usize, column: &ColumnChunkMetaData) {
        let statistics = column.statistics();
        let count = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
        let encodings: Vec<String> = column.encodings().map(|encoding| encoding.to_string()).collect();
        self.column_ids.append_value(index(id));
        self.paths.append_value(column.column_path().string());
        self.physical_types.append_value(column.column_type().to_string());
        self.logical_types.append_option(logical_type(column));
        self.values.append_value(column.num_values());
        self.nulls.append_option(count(statistics.and_then(|s| s.null_count_opt())));
        self.distincts.append_option(count(statistics.and_then(|s| s.distinct_count_opt())));
        self.compressions.append_value(column.compression_codec().to_string());
        self.encodings.append_value(encodings.join(", "));
        self.compressed_sizes.append_value(column.compressed_size());
        self.uncompressed_sizes.append_value(column.uncompressed_size());
        self.dictionary_offsets.append_option(column.dictionary_page_offset());
        self.data_offsets.append_value(column.data_page_offset());
        self.bloom_offsets.append_option(column.bloom_filter_offset());
        self.bloom_lengths.append_option(column.bloom_filter_length().map(i64::from));
        let has_page_index = column.column_index_offset().is_some() && column.offset_index_offset().is_some();
        self.page_indexes.append_value(has_page_index);
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.file_names.finish()),
            Arc::new(self.group_ids.finish()),
            Arc::new(self.group_rows.finish()),
            Arc::new(self.group_columns.finish()),
            Arc::new(self.group_bytes.finish()),
            Arc::new(self.column_ids.finish()),
            Arc::new(self.paths.finish()),
            Arc::new(self.physical_types.finish()),
            Arc::new(self.logical_types.finish()),
            Arc::new(self.values.finish()),
            Arc::new(self.nulls.finish()),
            Arc::new(self.distincts.finish()),
            Arc::new(self.mins.finish()),
            Arc::new(self.maxes.finish()),
            Arc::new(self.compressions.finish()),
            Arc::new(self.encodings.finish()),
            Arc::new(self.compressed_sizes.finish()),
            Arc::new(self.uncompressed_sizes.finish()),
            Arc::new(self.dictionary_offsets.finish()),
            Arc::new(self.data_offsets.finish()),
            Arc::new(self.bloom_offsets.finish()),
            Arc::new(self.bloom_lengths.finish()),
            Arc::new(self.page_indexes.finish()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

fn index(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `DECIMAL(8, 2)`; the older name (`UTF8`) of files that have only that; NULL if there is nothing to add to the
/// physical type.
fn logical_type(column: &ColumnChunkMetaData) -> Option<String> {
    let zone = |utc: bool| if utc { ", UTC" } else { "" };
    let name = match column.column_descr().logical_type_ref() {
        Some(LogicalType::Decimal(of)) => format!("DECIMAL({}, {})", of.precision, of.scale),
        Some(LogicalType::Time(of)) => format!("TIME({:?}{})", of.unit, zone(of.is_adjusted_to_u_t_c)),
        Some(LogicalType::Timestamp(of)) => {
            format!("TIMESTAMP({:?}{})", of.unit, zone(of.is_adjusted_to_u_t_c))
        }
        Some(LogicalType::Integer(of)) => {
            format!("{}INT({})", if of.is_signed { "" } else { "U" }, of.bit_width)
        }
        Some(LogicalType::Variant(_)) => "VARIANT".into(),
        Some(LogicalType::Geometry(_)) => "GEOMETRY".into(),
        Some(LogicalType::Geography(_)) => "GEOGRAPHY".into(),
        Some(plain) => format!("{plain:?}").to_uppercase(),
        None => match column.column_descr().converted_type() {
            ConvertedType::NONE => return None,
            converted => converted.to_string(),
        },
    };
    Some(name)
}
