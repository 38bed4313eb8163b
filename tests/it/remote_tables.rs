//! Sessions and tables for tests that read through S3, HDFS and the web.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::csv::WriterBuilder;
use datafusion::object_store::ObjectStoreExt;
use datafusion::object_store::path::Path as Key;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use hdfs_native::{ClientBuilder, WriteOptions};
use query::Session;
use query::store::{Kind, Secret};

use crate::engine::{self, Answer};
use crate::servers::{Hdfs, Keys, S3};
use crate::tpch;

/// The bucket, and the folder, of the tables of TPC-H.
const PLACE: &str = "tpch";
/// Files that the large tables are cut into, beside whole ones.
const PARTS: usize = 4;
/// The tables that are cut.
const LARGE: [&str; 2] = ["lineitem", "orders"];

/// A format of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Parquet,
    Csv,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        })
    }
}

/// TPC-H at scale factor 0.1 in a local folder: `parquet/<table>.parquet`, `csv/<table>.csv`, and the large tables in
/// parts too: `parquet/lineitem/0.parquet` … Made once and kept beside what was built.
pub(crate) fn tables() -> &'static Path {
    static TABLES: OnceLock<PathBuf> = OnceLock::new();
    TABLES.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = place.join("tpch-0.1");
        if folder.exists() {
            return folder;
        }
        let room = tempfile::tempdir_in(place).unwrap();
        let parquet = room.path().join("parquet");
        fs::create_dir_all(&parquet).unwrap();
        fs::create_dir_all(room.path().join("csv")).unwrap();
        tpch::generate(&parquet, tpch::SCALE);
        for file in glob::glob(&format!("{}/*.parquet", parquet.display())).unwrap() {
            write_others(room.path(), &file.unwrap());
        }
        // Whole or not at all. Another process may have been quicker.
        if fs::rename(room.path(), &folder).is_err() {
            assert!(folder.exists());
        }
        folder
    })
}

/// The CSV file of a table's Parquet file, and the parts of both.
fn write_others(room: &Path, file: &Path) {
    let table = file.file_stem().unwrap().to_str().unwrap();
    let reader = || ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let rows = usize::try_from(reader().metadata().file_metadata().num_rows()).unwrap();
    let schema = Arc::clone(reader().schema());
    let mut whole = WriterBuilder::new().build(File::create(room.join(format!("csv/{table}.csv"))).unwrap());
    reader().build().unwrap().for_each(|batch| whole.write(&batch.unwrap()).unwrap());
    if !LARGE.contains(&table) {
        return;
    }
    for form in [Form::Parquet, Form::Csv] {
        fs::create_dir_all(room.join(format!("{form}/{table}"))).unwrap();
    }
    let size = rows.div_ceil(PARTS);
    for part in 0..PARTS {
        let batches = reader().with_offset(part * size).with_limit(size).build().unwrap();
        let path = |form: Form| File::create(room.join(format!("{form}/{table}/{part}.{form}"))).unwrap();
        let mut parquet = ArrowWriter::try_new(path(Form::Parquet), Arc::clone(&schema), None).unwrap();
        let mut csv = WriterBuilder::new().build(path(Form::Csv));
        for batch in batches {
            let batch = batch.unwrap();
            parquet.write(&batch).unwrap();
            csv.write(&batch).unwrap();
        }
        parquet.close().unwrap();
    }
}

/// The files of the tables, as paths below their folder.
fn files() -> Vec<PathBuf> {
    let found = glob::glob(&format!("{}/**/*.*", tables().display())).unwrap().map(Result::unwrap);
    found
        .filter(|path| path.is_file())
        .map(|path| path.strip_prefix(tables()).unwrap().to_path_buf())
        .collect()
}

/// The tables in S3: `s3://tpch`.
pub(crate) async fn tables_in_s3() -> &'static str {
    static DONE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    DONE.get_or_init(|| async {
        let s3 = S3::get();
        s3.bucket(PLACE);
        let client = S3::client(&s3.endpoint, PLACE, &s3.writer);
        for file in files() {
            let bytes = fs::read(tables().join(&file)).unwrap();
            client.put(&Key::from(file.to_str().unwrap()), bytes.into()).await.unwrap();
        }
    })
    .await;
    "s3://tpch"
}

/// The tables in HDFS.
pub(crate) async fn tables_in_hdfs() -> String {
    static DONE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    DONE.get_or_init(|| async {
        for file in files() {
            let bytes = fs::read(tables().join(&file)).unwrap();
            put_in_hdfs(&format!("/{PLACE}/{}", file.display()), bytes).await;
        }
    })
    .await;
    format!("{}/{PLACE}", Hdfs::get().url())
}

/// Writes a file by the client itself, not by the program.
pub(crate) async fn put_in_hdfs(path: &str, bytes: Vec<u8>) {
    let client = ClientBuilder::new().with_url(Hdfs::get().url()).build().unwrap();
    let mut writer = client.create(path, WriteOptions::default().overwrite(true)).await.unwrap();
    writer.write_bytes(bytes.into()).await.unwrap();
    writer.close().await.unwrap();
}

/// Lets a session into S3 as one of its users, by an endpoint that may be a proxy's.
pub(crate) fn let_in(session: &Session, endpoint: &str, keys: &Keys) {
    let settings = [
        ("key_id", keys.key.as_str()),
        ("secret", &keys.secret),
        ("endpoint", endpoint.trim_start_matches("http://")),
        ("use_ssl", "false"),
        ("url_style", "path"),
        ("region", "us-east-1"),
    ];
    let settings: BTreeMap<_, _> =
        settings.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let secret = Secret { name: "tests".into(), kind: Kind::S3, scope: None, settings };
    session.stores().secrets().insert(secret);
}

/// Makes the tables known that are below a location; the large ones in parts where it can be listed.
pub(crate) async fn add_tables(session: &Session, location: &str, form: Form, has_lists: bool) {
    for table in ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"] {
        let name = match has_lists && LARGE.contains(&table) {
            true => format!("{table}/*.{form}"),
            false => format!("{table}.{form}"),
        };
        let sql =
            format!("CREATE EXTERNAL TABLE {table} STORED AS {form} LOCATION '{location}/{form}/{name}'");
        engine::run(session, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// A query's rows as text.
pub(crate) async fn rows(session: &Session, sql: &str) -> query::Result<Vec<Vec<Option<String>>>> {
    match engine::run(session, sql).await? {
        Answer::Rows(_, batches) => Ok(engine::texts(&batches)),
        Answer::Count(count) => panic!("{sql}: {count}, and no rows"),
    }
}
