//! Where and how rows are added to a table of files.

use std::path::{Component, Path};
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormatFactory;
use datafusion::datasource::file_format::arrow::ArrowFormatFactory;
use datafusion::datasource::file_format::csv::CsvFormatFactory;
use datafusion::datasource::file_format::json::{JsonFormat, JsonFormatFactory};
use datafusion::datasource::file_format::parquet::{ParquetFormat, ParquetFormatFactory};

use super::FileTable;
use crate::source::find::{DataFile, is_pattern, local_path};
use crate::source::format::Format;

/// How files are added to a table.
#[derive(Debug)]
pub struct Addition {
    /// The folder, with `/` at its end.
    pub folder: String,
    /// Writes files as the table's are read.
    pub format: Arc<dyn FileFormatFactory>,
    /// The keys whose values become folders.
    pub keys: Vec<String>,
}

impl FileTable {
    /// How files are added to the table.
    ///
    /// # Errors
    /// Why none can be, as the end of a sentence.
    pub(in crate::source) async fn addition(&self, state: &dyn Session) -> Result<Addition, String> {
        let [location] = self.definition.locations.as_slice() else {
            return Err("it has several locations".into());
        };
        let folder = folder(location)?;
        let keys: Vec<_> = self.schema.table_partition_cols().iter().map(|key| key.name().clone()).collect();
        if self.definition.filename {
            return Err("it has a column that tells each row's file".into());
        }
        if let Some(key) = keys.iter().find(|key| has_key(location, key)) {
            return Err(format!("its key '{key}' stands in the location itself"));
        }
        let format = self.definition.reader.format;
        let listing = self.listed(state, None).await.map_err(|error| error.message().into_owned())?;
        if let Some(other) = listing.files.iter().find(|listed| is_other(&listed.file, format)) {
            return Err(format!("it has files of several formats, such as '{}'", other.file.name()));
        }
        Ok(Addition { folder, format: self.writer()?, keys })
    }

    /// What writes files that the table's reader reads.
    fn writer(&self) -> Result<Arc<dyn FileFormatFactory>, String> {
        let reader = &self.definition.reader;
        Ok(match reader.format {
            Format::Parquet => {
                let options = reader.engine.downcast_ref::<ParquetFormat>().map(ParquetFormat::options);
                Arc::new(ParquetFormatFactory::new_with_options(options.cloned().unwrap_or_default()))
            }
            Format::Csv | Format::Tsv => {
                if reader.csv.null_regex.is_some() {
                    return Err("what is NULL in its files is told by a pattern".into());
                }
                if reader.csv.terminator.is_some() || reader.csv.comment.is_some() {
                    return Err("its lines end otherwise, or may be comments".into());
                }
                Arc::new(CsvFormatFactory::new_with_options(reader.csv.clone()))
            }
            Format::Json => {
                let options = reader.engine.downcast_ref::<JsonFormat>().map(JsonFormat::options);
                Arc::new(JsonFormatFactory::new_with_options(options.cloned().unwrap_or_default()))
            }
            Format::Arrow => Arc::new(ArrowFormatFactory::new()),
            Format::Avro => return Err("Avro files cannot be written".into()),
        })
    }
}

/// A location that is a folder, with `/` at its end.
fn folder(location: &str) -> Result<String, String> {
    let ended = || format!("{}/", location.trim_end_matches('/'));
    let one_file = || format!("'{location}' is a single file");
    match local_path(location) {
        Some(path) if path.is_dir() => Ok(ended()),
        Some(path) if path.exists() => Err(one_file()),
        Some(_) if is_pattern(location) => Err(format!("'{location}' is a pattern, not a folder")),
        Some(_) => Ok(ended()),
        None if location.starts_with("http://") || location.starts_with("https://") => {
            Err("web servers can only be read from".into())
        }
        None if location.ends_with('/') => Ok(ended()),
        None if is_pattern(location) => Err(format!("'{location}' is a pattern, not a folder")),
        None if Format::of_name(Path::new(location)).is_some() => Err(one_file()),
        None => Ok(ended()),
    }
}

/// Whether a key's value stands in a path.
fn has_key(location: &str, key: &str) -> bool {
    Path::new(location).components().any(|part| match part {
        Component::Normal(name) => {
            name.to_str().and_then(|name| name.split_once('=')).is_some_and(|(name, _)| name == key)
        }
        _ => false,
    })
}

/// Whether a file's name tells another format than the table's.
fn is_other(file: &DataFile, format: Format) -> bool {
    Format::of_name(&file.path).is_some_and(|other| other != format)
}
