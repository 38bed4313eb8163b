//! The statistics of row groups as text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

/// The least and greatest value of each column in each row group, decoded as the column's Arrow type.
pub(super) struct Bounds {
    /// By column, each by row group; `None` where they cannot be decoded.
    columns: Vec<Option<(ArrayRef, ArrayRef)>>,
}

impl Bounds {
    pub(super) fn of(footer: &ParquetMetaData) -> Self {
        let file = footer.file_metadata();
        let parquet = file.schema_descr();
        let leaves = match parquet_to_arrow_schema(parquet, file.key_value_metadata()) {
            Ok(arrow) => leaves(arrow.fields()),
            Err(_) => Vec::new(),
        };
        let known = leaves.len() == parquet.num_columns();
        let decoded = |(column, field): (usize, &FieldRef)| {
            let converter = StatisticsConverter::from_column_index(column, field, parquet).ok()?;
            let least = converter.row_group_mins(footer.row_groups()).ok()?;
            let most = converter.row_group_maxes(footer.row_groups()).ok()?;
            Some((least, most))
        };
        Self { columns: if known { leaves.iter().enumerate().map(decoded).collect() } else { Vec::new() } }
    }

    pub(super) fn least(&self, column: usize, group: usize) -> Result<Option<String>> {
        self.columns.get(column).and_then(Option::as_ref).map_or(Ok(None), |(least, _)| text(least, group))
    }

    pub(super) fn most(&self, column: usize, group: usize) -> Result<Option<String>> {
        self.columns.get(column).and_then(Option::as_ref).map_or(Ok(None), |(_, most)| text(most, group))
    }
}

fn text(values: &ArrayRef, row: usize) -> Result<Option<String>> {
    if row >= values.len() || values.is_null(row) {
        return Ok(None);
    }
    let options = FormatOptions::default();
    Ok(Some(ArrayFormatter::try_new(values.as_ref(), &options)?.value(row).try_to_string()?))
}

/// The columns that Parquet stores for nested Arrow fields, in its order.
fn leaves(fields: &Fields) -> Vec<FieldRef> {
    let mut found = Vec::new();
    for field in fields {
        match field.data_type() {
            DataType::Struct(inner) => found.extend(leaves(inner)),
            DataType::List(inner)
            | DataType::LargeList(inner)
            | DataType::ListView(inner)
            | DataType::LargeListView(inner)
            | DataType::FixedSizeList(inner, _)
            | DataType::Map(inner, _) => found.extend(leaves(&Fields::from(vec![Arc::clone(inner)]))),
            _ => found.push(Arc::clone(field)),
        }
    }
    found
}
