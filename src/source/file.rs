//! Paths, globs and folders as tables: `FROM 'sales/*.csv'`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::common::{DataFusionError, Result, plan_datafusion_err, plan_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::SessionState;
use datafusion::object_store::ObjectStoreExt;
use datafusion::prelude::SessionContext;
use url::Url;

/// Makes tables of quoted paths that are no table's name.
#[derive(Debug, Default)]
pub struct Files {
    /// The engine's own factory, for its link to the session.
    stock: DynamicListTableFactory,
}

impl Files {
    /// A factory that knows no session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Links the factory to the session that reads the files.
    pub fn attach(&self, context: &SessionContext) {
        self.stock.session_store().with_state(context.state_weak_ref());
    }

    fn state(&self) -> Result<SessionState> {
        let session = self.stock.session_store().get_session().upgrade();
        let state =
            session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        state.ok_or_else(|| plan_datafusion_err!("the session of this table is gone"))
    }
}

#[async_trait]
impl UrlTableFactory for Files {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !looks_like_path(name) && !Path::new(name).exists() {
            return Ok(None);
        }
        open(&self.state()?, name).await.map(Some)
    }
}

/// Whether a name means a file rather than a table: it has a separator, a wildcard or the extension of a
/// data file.
pub fn looks_like_path(name: &str) -> bool {
    name.contains(['/', '*', '?']) || Kind::of(Path::new(name)).is_some()
}

/// Opens a file, the files that a pattern matches or the data files of a folder as one table.
///
/// Columns are the union of the files' columns, by name; names like `year=2026` of folders below a
/// folder become columns. Hidden files (`.x`, `_x`) are no data.
///
/// # Errors
/// Nothing there, files of several formats, an unknown format, files without columns, CSV files with
/// different headers.
pub async fn open(state: &SessionState, path: &str) -> Result<Arc<dyn TableProvider>> {
    let found = find(path)?;
    let kind = Kind::of_all(path, &found.files)?;
    let factory = state
        .get_file_format_factory(kind.format)
        .ok_or_else(|| plan_datafusion_err!("files of format {} cannot be read", kind.format))?;
    let format = factory.create(state, &kind.options())?;
    let mut options = ListingOptions::new(format).with_file_extension(kind.suffix);

    let urls = found.files.iter().map(|file| listing_url(file)).collect::<Result<Vec<_>>>()?;
    let mut schema = infer_schema(state, &options, &urls, path).await?;
    if urls.len() > 1 {
        // A column that some file lacks is NULL there, whatever the others say of it.
        let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()));
    }
    let urls = match &found.folder {
        Some(folder) if is_partitioned(folder, &found.files) => {
            let root = listing_url(folder)?;
            let columns = options.infer_partitions(state, &root).await?;
            let text = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
            options =
                options.with_table_partition_cols(columns.into_iter().map(|c| (c, text.clone())).collect());
            vec![root]
        }
        _ => urls,
    };
    let config =
        ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    let table = ListingTable::try_new(config)?
        .with_cache(state.runtime_env().cache_manager.get_file_statistic_cache());
    Ok(Arc::new(table))
}

/// Checks that a location of `CREATE EXTERNAL TABLE` has files: the engine would make an empty table of a
/// mistyped path.
pub fn check_location(location: &str) -> Result<()> {
    find(location).map(drop)
}

/// The local path that a location means; `None` for other stores.
pub fn local_path(location: &str) -> Option<PathBuf> {
    match location.split_once("://") {
        Some(("file", _)) => Url::parse(location).ok()?.to_file_path().ok(),
        Some(_) => None,
        None => Some(PathBuf::from(location)),
    }
}

/// The files that a path, pattern or folder means, in the order of their paths.
///
/// # Errors
/// Nothing there, or a folder that cannot be read.
pub fn find_files(path: &str) -> Result<Vec<PathBuf>> {
    find(path).map(|found| found.files)
}

/// The format that a file would be read as and its compression, as the name tells.
pub fn format_of(path: &Path) -> Option<(&'static str, Option<&'static str>)> {
    Kind::of(path).map(|kind| (kind.format, kind.compression))
}

struct Found {
    files: Vec<PathBuf>,
    /// The folder they were found in, if one was named.
    folder: Option<PathBuf>,
}

fn find(path: &str) -> Result<Found> {
    let Some(local) = local_path(path) else {
        let scheme = path.split("://").next().unwrap_or_default();
        return plan_err!("{scheme}:// locations cannot be read yet, only local files: '{path}'");
    };
    let folder = match std::fs::metadata(&local) {
        Ok(meta) if meta.is_dir() => Some(local),
        Ok(_) => return Ok(Found { files: vec![local], folder: None }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.contains(['*', '?', '[']) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return plan_err!("no such file: '{path}'");
        }
        Err(error) => return plan_err!("'{path}' cannot be read: {error}"),
    };
    let pattern = match &folder {
        Some(folder) => format!("{}/**/*", glob::Pattern::escape(&folder.to_string_lossy())),
        None => path.to_string(),
    };
    let paths =
        glob::glob(&pattern).map_err(|e| plan_datafusion_err!("'{path}' is not a pattern: {}", e.msg))?;
    let mut files = Vec::new();
    for entry in paths {
        let file = entry
            .map_err(|e| plan_datafusion_err!("'{}' cannot be read: {}", e.path().display(), e.error()))?;
        if file.is_file() && !is_hidden(&file, folder.as_deref()) {
            files.push(file);
        }
    }
    if folder.is_some() && files.iter().any(|file| Kind::of(file).is_some()) {
        files.retain(|file| Kind::of(file).is_some());
    }
    match (files.is_empty(), &folder) {
        (true, Some(_)) => plan_err!("folder '{path}' has no data files"),
        (true, None) => plan_err!("no file matches '{path}'"),
        (false, _) => Ok(Found { files, folder }),
    }
}

fn is_hidden(file: &Path, folder: Option<&Path>) -> bool {
    let inside = folder.and_then(|folder| file.strip_prefix(folder).ok());
    let named = inside.unwrap_or_else(|| Path::new(file.file_name().unwrap_or_default()));
    named.components().any(|part| part.as_os_str().to_string_lossy().starts_with(['.', '_']))
}

fn is_partitioned(folder: &Path, files: &[PathBuf]) -> bool {
    files.iter().all(|file| {
        let below = file.strip_prefix(folder).ok().and_then(Path::parent);
        below.is_some_and(|below| {
            below.components().any(|part| part.as_os_str().to_string_lossy().contains('='))
        })
    })
}

/// A location without special meaning for `*`, `?` or `[` in it.
pub fn listing_url(path: &Path) -> Result<ListingTableUrl> {
    let absolute = std::fs::canonicalize(path)?;
    let url = match path.is_dir() {
        true => Url::from_directory_path(&absolute),
        false => Url::from_file_path(&absolute),
    };
    let url = url.map_err(|()| plan_datafusion_err!("'{}' is no path", path.display()))?;
    ListingTableUrl::try_new(url, None)
}

async fn infer_schema(
    state: &SessionState,
    options: &ListingOptions,
    urls: &[ListingTableUrl],
    path: &str,
) -> Result<SchemaRef> {
    let Some(first) = urls.first() else { return plan_err!("no file matches '{path}'") };
    let store = state.runtime_env().object_store(first.object_store())?;
    let mut objects = Vec::with_capacity(urls.len());
    for url in urls {
        let object = store.head(url.prefix()).await?;
        if object.size > 0 {
            objects.push(object);
        }
    }
    if objects.is_empty() {
        return plan_err!("'{path}' is empty");
    }
    let schema =
        options.format.infer_schema(state, &store, &objects).await.map_err(|e| name_file(e, path))?;
    if schema.fields().is_empty() {
        return plan_err!("'{path}' has no columns");
    }
    // The engine reads CSV columns by position: files with other headers would give other rows.
    if options.format.get_ext() == "csv" {
        for object in &objects {
            let one = options.format.infer_schema(state, &store, std::slice::from_ref(object)).await?;
            let names =
                |schema: &SchemaRef| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
            if names(&one) != names(&schema) {
                return plan_err!(
                    "the CSV files of '{path}' have different headers: '/{}' has {:?}, others {:?}",
                    object.location,
                    names(&one),
                    names(&schema)
                );
            }
        }
    }
    Ok(schema)
}

fn name_file(error: DataFusionError, path: &str) -> DataFusionError {
    plan_datafusion_err!("'{path}' cannot be read: {}", error.find_root().message())
}

/// A file format with its compression, as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    format: &'static str,
    delimiter: Option<&'static str>,
    compression: Option<&'static str>,
    /// What the file's name ends in.
    suffix: &'static str,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        const COMPRESSIONS: [(&str, &str); 5] =
            [(".gz", "gzip"), (".bz2", "bzip2"), (".xz", "xz"), (".zst", "zstd"), ("", "")];
        const FORMATS: [(&str, &str, Option<&str>); 8] = [
            (".parquet", "parquet", None),
            (".csv", "csv", None),
            (".tsv", "csv", Some("\t")),
            (".json", "json", None),
            (".ndjson", "json", None),
            (".jsonl", "json", None),
            (".avro", "avro", None),
            (".arrow", "arrow", None),
        ];
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (ending, compression) = COMPRESSIONS.into_iter().find(|(ending, _)| name.ends_with(ending))?;
        let stem = name.strip_suffix(ending)?;
        let (suffix, format, delimiter) = FORMATS.into_iter().find(|(suffix, ..)| stem.ends_with(suffix))?;
        let compressed = !compression.is_empty();
        if compressed && matches!(format, "parquet" | "avro" | "arrow") {
            return None;
        }
        // The engine compares endings with the letters' case; an empty ending takes the files as listed.
        let spelled = path.to_str().is_some_and(|path| path.ends_with(suffix));
        let suffix = if spelled { suffix } else { "" };
        Some(Self { format, delimiter, compression: compressed.then_some(compression), suffix })
    }

    fn of_all(path: &str, files: &[PathBuf]) -> Result<Self> {
        let mut known: Option<(&Path, Self)> = None;
        for file in files {
            let Some(kind) = Self::of(file) else {
                return plan_err!(
                    "the format of '{}' cannot be told from its name: use CREATE EXTERNAL TABLE … STORED AS …",
                    file.display()
                );
            };
            match known {
                None => known = Some((file, kind)),
                Some((first, other)) if !other.reads_like(kind) => {
                    return plan_err!(
                        "'{path}' has files of several formats: '{}' and '{}'",
                        first.display(),
                        file.display()
                    );
                }
                Some((_, other)) if other.suffix != kind.suffix => {
                    known = Some((file, Self { suffix: "", ..other }))
                }
                Some(_) => {}
            }
        }
        known.map(|(_, kind)| kind).ok_or_else(|| plan_datafusion_err!("no file matches '{path}'"))
    }

    fn reads_like(self, other: Self) -> bool {
        (self.format, self.delimiter, self.compression) == (other.format, other.delimiter, other.compression)
    }

    fn options(self) -> HashMap<String, String> {
        let mut options = HashMap::new();
        if let Some(delimiter) = self.delimiter {
            options.insert("format.delimiter".to_string(), delimiter.to_string());
        }
        if let Some(compression) = self.compression {
            options.insert("format.compression".to_string(), compression.to_string());
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> Option<(&'static str, Option<&'static str>)> {
        Kind::of(Path::new(path)).map(|kind| (kind.format, kind.compression))
    }

    #[test]
    fn formats_are_told_by_extension() {
        assert_eq!(kind("a/b.parquet"), Some(("parquet", None)));
        assert_eq!(kind("a.CSV"), Some(("csv", None)));
        assert_eq!(kind("a.b.jsonl.zst"), Some(("json", Some("zstd"))));
        assert_eq!(kind("a.tsv.gz"), Some(("csv", Some("gzip"))));
        assert_eq!(kind("a.parquet.gz"), None);
        assert_eq!(kind("readme.md"), None);
    }

    #[test]
    fn names_of_tables_are_no_paths() {
        assert!(looks_like_path("data/x"));
        assert!(looks_like_path("x.csv"));
        assert!(looks_like_path("part-*"));
        assert!(!looks_like_path("orders"));
        assert!(!looks_like_path("main.orders"));
    }

    #[test]
    fn mixed_formats_are_refused() {
        let files = ["a.csv", "b.parquet"].map(PathBuf::from);
        assert!(Kind::of_all("x", &files).unwrap_err().to_string().contains("several formats"));
        let files = ["a.json", "b.ndjson"].map(PathBuf::from);
        assert_eq!(Kind::of_all("x", &files).unwrap().suffix, "");
    }
}
