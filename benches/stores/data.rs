//! The objects that are served: TPC-H's lineitem as one Parquet object, and parts of it as 1,000 small ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use query::datafusion::arrow::array::RecordBatch;
use query::datafusion::parquet::arrow::ArrowWriter;
use query::datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use query::datafusion::parquet::basic::Compression;
use query::datafusion::parquet::file::properties::WriterProperties;

/// How many small objects there are.
pub(crate) const MANY: usize = 1000;
/// The small objects.
pub(crate) const MANY_KEYS: &str = "many/*.parquet";
/// One of them.
pub(crate) const SMALL_KEY: &str = "many/0000.parquet";
/// The large one: 6 million rows in row groups of some megabytes each.
pub(crate) const LARGE_KEY: &str = "lineitem.parquet";
/// Rows of a small object: about 200 KB.
const ROWS: usize = 4000;

/// All objects by key.
pub(crate) fn objects(lineitem: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = File::open(lineitem).expect("benches/setup.sh makes tpch1/lineitem.parquet");
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(ROWS).build().unwrap();
    let many = reader.take(MANY).enumerate();
    let mut objects: BTreeMap<_, _> =
        many.map(|(number, rows)| (format!("many/{number:04}.parquet"), written(&rows.unwrap()))).collect();
    assert_eq!(objects.len(), MANY, "lineitem has too few rows: it is to be of scale 1");
    objects.insert(LARGE_KEY.into(), fs::read(lineitem).unwrap());
    objects
}

fn written(rows: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}
