//! `file_list('data/**/*.csv')`: the files that a table of this path would read.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use datafusion::arrow::array::{Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DataFusionError, Result};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::super::find::DataFile;
use super::super::format::Format;
use super::{About, shown};

/// One row for each file, in the order of their paths: `path`, `size_bytes`, `modified` (when its content last
/// changed, UTC), `format` and `compression` as the name tells them (NULL if it does not).
///
/// Reads the folders when it is planned and each file's entry when its row is asked for. A file that is gone by then
/// is an error. Of objects in a store of the network it tells what the store has listed.
pub(super) const ABOUT: About = About { name: "file_list", schema, rows, files_per_batch: 1024 };

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("size_bytes", DataType::Int64, false),
        Field::new("modified", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("format", DataType::Utf8, true),
        Field::new("compression", DataType::Utf8, true),
    ]))
}

fn rows(schema: SchemaRef, files: Vec<DataFile>) -> BoxFuture<'static, Result<RecordBatch>> {
    async move { entries(&schema, &files) }.boxed()
}

/// A file's size, and when it last changed, in microseconds since 1970.
fn entry(file: &DataFile) -> Result<(u64, Option<i64>)> {
    if let Some(object) = &file.object {
        return Ok((object.meta.size, Some(object.meta.last_modified.timestamp_micros())));
    }
    let failed =
        |error| DataFusionError::Execution(format!("'{}' cannot be read: {error}", file.path.display()));
    let meta = std::fs::metadata(&file.path).map_err(failed)?;
    // Not every file system keeps the time; a clock before 1970 is as good as none.
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((meta.len(), modified.and_then(|since| i64::try_from(since.as_micros()).ok())))
}

fn entries(schema: &SchemaRef, files: &[DataFile]) -> Result<RecordBatch> {
    let mut paths = StringBuilder::new();
    let mut sizes = Int64Builder::new();
    let mut times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut formats = StringBuilder::new();
    let mut compressions = StringBuilder::new();
    for file in files {
        let (size, modified) = entry(file)?;
        paths.append_value(shown(&file.path));
        sizes.append_value(i64::try_from(size).unwrap_or(i64::MAX));
        times.append_option(modified);
        let (format, compression) = Format::told_by(&file.path).unzip();
        formats.append_option(format);
        compressions.append_option(compression.flatten());
    }
    Ok(RecordBatch::try_new(
        Arc::clone(schema),
        vec![
            Arc::new(paths.finish()),
            Arc::new(sizes.finish()),
            Arc::new(times.finish()),
            Arc::new(formats.finish()),
            Arc::new(compressions.finish()),
        ],
    )?)
}
