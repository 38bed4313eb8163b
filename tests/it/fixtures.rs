//! The same five rows as files of every format, compression and layout.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_avro::writer::AvroWriter;
use datafusion::arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::writer::{FileWriter, StreamWriter};
use datafusion::arrow::json::{ArrayWriter, LineDelimitedWriter};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::parquet::arrow::ArrowWriter;
use futures::StreamExt;

/// Extensions of formats; the second array form of JSON and the stream form of Arrow have names of their
/// own here, but extensions that tell only `json` and `arrow`.
pub(crate) const FORMATS: [(&str, &str); 8] = [
    ("parquet", "parquet"),
    ("csv", "csv"),
    ("tsv", "tsv"),
    ("lines", "ndjson"),
    ("array", "json"),
    ("avro", "avro"),
    ("arrow", "arrow"),
    ("stream", "arrow"),
];

/// Compressions of text files, by the folder that holds them and the extension they add. The last one
/// says nothing in its name.
pub(crate) const COMPRESSIONS: [(&str, &str, FileCompressionType); 6] = [
    ("plain", "", FileCompressionType::UNCOMPRESSED),
    ("gzip", ".gz", FileCompressionType::GZIP),
    ("bzip2", ".bz2", FileCompressionType::BZIP2),
    ("xz", ".xz", FileCompressionType::XZ),
    ("zstd", ".zst", FileCompressionType::ZSTD),
    ("unsaid", "", FileCompressionType::GZIP),
];

/// Writes `<format>/<compression>/{1,2}.<ext>` and `<format>/<compression>/hive/k=<k>/x.<ext>` into a folder.
pub(crate) fn write_all(folder: &Path) {
    let (first, second) = (rows(0, 3), rows(3, 2));
    for (format, extension) in FORMATS {
        let is_text = matches!(format, "csv" | "tsv" | "lines" | "array");
        for (name, ending, compression) in COMPRESSIONS {
            if compression.is_compressed() && !is_text {
                continue;
            }
            let place = folder.join(format).join(name);
            for (rows, file, key) in [(&first, "1", "k=1"), (&second, "2", "k=2")] {
                let bytes = compressed(encoded(rows, format), compression);
                let hive = place.join("hive").join(key);
                fs::create_dir_all(&hive).unwrap();
                fs::create_dir_all(place.join("flat")).unwrap();
                fs::write(place.join("flat").join(format!("{file}.{extension}{ending}")), &bytes).unwrap();
                fs::write(hive.join(format!("x.{extension}{ending}")), &bytes).unwrap();
            }
        }
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("score", DataType::Float64, true),
    ]))
}

/// Rows from the five, by place.
fn rows(from: usize, count: usize) -> RecordBatch {
    let names = [Some("a"), Some("b, \"c\""), None, Some("é"), Some("e\tf")];
    let scores = [Some(1.5), None, Some(-2.25), Some(4.0), Some(0.5)];
    let ids: Vec<i64> = (1..=5).collect();
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(StringArray::from(names.to_vec())),
        Arc::new(Float64Array::from(scores.to_vec())),
    ];
    RecordBatch::try_new(schema(), columns).unwrap().slice(from, count)
}

/// A file of one format with these rows.
pub(crate) fn encoded(rows: &RecordBatch, format: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let schema = rows.schema();
    match format {
        "parquet" => {
            let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
            writer.write(rows).unwrap();
            writer.close().unwrap();
        }
        "csv" => WriterBuilder::new().build(&mut bytes).write(rows).unwrap(),
        "tsv" => WriterBuilder::new().with_delimiter(b'\t').build(&mut bytes).write(rows).unwrap(),
        "lines" => LineDelimitedWriter::new(&mut bytes).write(rows).unwrap(),
        "array" => {
            let mut writer = ArrayWriter::new(&mut bytes);
            writer.write(rows).unwrap();
            writer.finish().unwrap();
        }
        "avro" => {
            let mut writer = AvroWriter::new(&mut bytes, schema.as_ref().clone()).unwrap();
            writer.write(rows).unwrap();
            writer.finish().unwrap();
        }
        "arrow" => {
            let mut writer = FileWriter::try_new(&mut bytes, &schema).unwrap();
            writer.write(rows).unwrap();
            writer.finish().unwrap();
        }
        "stream" => {
            let mut writer = StreamWriter::try_new(&mut bytes, &schema).unwrap();
            writer.write(rows).unwrap();
            writer.finish().unwrap();
        }
        other => unreachable!("no writer for {other}"),
    }
    bytes
}

/// All five rows as one file of a format.
pub(crate) fn whole(format: &str) -> Vec<u8> {
    encoded(&rows(0, 5), format)
}

/// Bytes as a compressed file of them.
pub(crate) fn compressed(bytes: Vec<u8>, compression: FileCompressionType) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let plain = futures::stream::once(async { Ok(bytes.into()) }).boxed();
    let chunks: Vec<_> = runtime.block_on(compression.convert_to_compress_stream(plain).unwrap().collect());
    chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect()
}
