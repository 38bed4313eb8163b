//! What the engine may believe of a file's statistics.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;

/// A file's statistics as far as they are about the table's columns: those of a column that is read as
/// another type say nothing certain.
pub(super) fn trusted(mut statistics: Statistics, table: &Schema, own: &Schema) -> Statistics {
    for (field, column) in table.fields().iter().zip(&mut statistics.column_statistics) {
        let same = own.field_with_name(field.name()).is_ok_and(|own| own.data_type() == field.data_type());
        if !same {
            *column = ColumnStatistics::new_unknown();
        }
    }
    statistics
}

/// Mends what the engine says of partition columns: it takes a key for never NULL.
pub(super) fn with_null_keys(mut file: PartitionedFile) -> PartitionedFile {
    if let Some(statistics) = &file.statistics
        && file.partition_values.iter().any(ScalarValue::is_null)
    {
        let mut mended = Statistics::clone(statistics);
        let rows = mended.num_rows;
        let first = mended.column_statistics.len().saturating_sub(file.partition_values.len());
        for (key, column) in file.partition_values.iter().zip(&mut mended.column_statistics[first..]) {
            if key.is_null() {
                *column = ColumnStatistics::new_unknown();
                column.null_count = rows;
                column.distinct_count = Precision::Exact(0);
            }
        }
        file.statistics = Some(Arc::new(mended));
    }
    file
}
