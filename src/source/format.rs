//! What a file is: its format by its name, its compression by its first bytes.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use bytes::Bytes;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::find::{DataFile, Object};
use crate::error::FileError;
use crate::store::without_query;

/// Bytes that are looked at to tell what a file is.
const HEAD_BYTES: u64 = 4096;
/// Files without a telling name that are looked into at once.
const LOOKS_MAX: usize = 32;

/// A format that tables are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// JSON objects, one per line or in one array.
    Json,
    /// Avro object container files.
    Avro,
    /// Arrow IPC files and streams.
    Arrow,
}

/// How the bytes of one file become those that its format's reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// The compression of the whole file.
    pub(super) compression: FileCompressionType,
    /// The form that its format has here.
    pub(super) layout: Layout,
}

/// Formats that are made of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Values between delimiters.
    Delimited,
    /// An object per line.
    Json,
}

/// The forms that one format may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// The usual one, in which a reader may start in the middle.
    Plain,
    /// All objects of a JSON file in one array.
    JsonArray,
    /// Arrow messages without an index at the end.
    ArrowStream,
}

impl Encoding {
    /// Whether a reader may start in the middle of the file.
    pub(super) fn is_splittable(self) -> bool {
        !self.compression.is_compressed() && self.layout == Layout::Plain
    }
}

impl Format {
    /// The format that a name's extension tells; text formats may have a compression's after their own.
    pub fn of_name(path: &Path) -> Option<Self> {
        const FORMATS: [(&str, Format); 12] = [
            (".parquet", Format::Parquet),
            (".pq", Format::Parquet),
            (".csv", Format::Csv),
            (".tsv", Format::Tsv),
            (".tab", Format::Tsv),
            (".json", Format::Json),
            (".ndjson", Format::Json),
            (".jsonl", Format::Json),
            (".avro", Format::Avro),
            (".arrow", Format::Arrow),
            (".arrows", Format::Arrow),
            (".feather", Format::Arrow),
        ];
        let name = without_query(path.file_name()?.to_str()?).to_ascii_lowercase();
        let stem = [".gz", ".bz2", ".xz", ".zst"].into_iter().find_map(|ending| name.strip_suffix(ending));
        let (_, format) = FORMATS.into_iter().find(|(ending, _)| stem.unwrap_or(&name).ends_with(ending))?;
        (stem.is_none() || format.text().is_some()).then_some(format)
    }

    /// The format and the compression that a name tells, by their usual names.
    pub(super) fn told_by(path: &Path) -> Option<(&'static str, Option<&'static str>)> {
        const COMPRESSIONS: [(&str, &str); 4] =
            [(".gz", "gzip"), (".bz2", "bzip2"), (".xz", "xz"), (".zst", "zstd")];
        let format = Self::of_name(path)?;
        let name = without_query(path.file_name()?.to_str()?).to_ascii_lowercase();
        let compression = COMPRESSIONS.into_iter().find(|(ending, _)| name.ends_with(ending));
        Some((format.reader(), compression.map(|(_, compression)| compression)))
    }

    /// The name of the engine's reader, as in `STORED AS`.
    pub fn reader(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv | Self::Tsv => "csv",
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Arrow => "arrow",
        }
    }

    /// The format of this name in `STORED AS`.
    pub fn of_reader(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "parquet" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "json" | "ndjson" => Some(Self::Json),
            "avro" => Some(Self::Avro),
            "arrow" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The text that it is made of, if it is: text may be compressed as a whole.
    pub(super) fn text(self) -> Option<Text> {
        match self {
            Self::Csv | Self::Tsv => Some(Text::Delimited),
            Self::Json => Some(Text::Json),
            Self::Parquet | Self::Avro | Self::Arrow => None,
        }
    }

    /// The format that the first bytes of an uncompressed file tell.
    fn of_content(head: &[u8]) -> Option<Self> {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        match head {
            _ if head.starts_with(b"PAR1") => Some(Self::Parquet),
            _ if head.starts_with(b"Obj\x01") => Some(Self::Avro),
            // A file's magic, or the mark before the first message of a stream.
            _ if head.starts_with(b"ARROW1") || head.starts_with(&[0xff; 4]) => Some(Self::Arrow),
            _ if text.starts_with(b"{") || text.starts_with(b"[") => Some(Self::Json),
            _ => None,
        }
    }
}

/// The one format of a table's files: by their names, else by the first file's content.
///
/// # Errors
/// Files of several formats, a format that neither name nor content tells.
pub(super) async fn of_all(location: &str, files: &[DataFile]) -> Result<Format> {
    let mut known: Option<(&DataFile, Format)> = None;
    let work = files.iter().cloned().map(|file| async move {
        match Format::of_name(&file.path) {
            Some(format) => Ok(format),
            None => of_unnamed(&file).await,
        }
    });
    let mut formats = stream::iter(work).buffered(LOOKS_MAX);
    for file in files {
        let Some(format) = formats.try_next().await? else { break };
        match known {
            Some((first, other)) if other != format => {
                return plan_err!(
                    "'{location}' has files of several formats: '{}' and '{}'",
                    first.name(),
                    file.name()
                );
            }
            Some(_) => {}
            None => known = Some((file, format)),
        }
    }
    match known {
        Some((_, format)) => Ok(format),
        None => plan_err!("no file matches '{location}'"),
    }
}

async fn of_unnamed(file: &DataFile) -> Result<Format> {
    let head = match &file.object {
        None => head(file)?.into(),
        Some(Object { meta, .. }) if meta.size == 0 => Bytes::new(),
        Some(Object { remote, meta }) => {
            let start = remote.start(meta).await;
            start.map_err(|error| FileError::wrap(&file.name(), error))?
        }
    };
    let plain = decompressed(&head, compression(&head));
    match Format::of_content(&plain) {
        Some(format) => Ok(format),
        None => Err(FileError::new(file.name(), "its format cannot be told from its name or content")
            .with_help("say what it is: CREATE EXTERNAL TABLE … STORED AS …")
            .into()),
    }
}

/// The format of what came from a pipe, which has no name: delimited text if nothing else.
pub(super) fn of_piped(file: &DataFile) -> Result<Format> {
    let head = head(file)?;
    let plain = decompressed(&head, compression(&head));
    let header = plain.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let tabs = header.contains(&b'\t') && !header.contains(&b',');
    Ok(Format::of_content(&plain).unwrap_or(if tabs { Format::Tsv } else { Format::Csv }))
}

/// How a local file of a known format is encoded.
///
/// # Errors
/// A file that cannot be opened, a compression around a format that is read at random.
pub(super) fn encoding(file: &DataFile, format: Format) -> Result<Encoding> {
    encoding_of(&file.name(), format, &head(file)?)
}

/// How a file of a known format that begins so is encoded.
///
/// # Errors
/// A compression around a format that is read at random.
pub(super) fn encoding_of(name: &str, format: Format, head: &[u8]) -> Result<Encoding> {
    let head = &head[..head.len().min(HEAD_BYTES as usize)];
    let compression = compression(head);
    if format.text().is_none() && compression.is_compressed() {
        let trouble = format!("{} files cannot be read through another compression", format.reader());
        return Err(FileError::new(name, trouble).with_help("decompress it first").into());
    }
    let layout = match format {
        Format::Json => {
            let plain = decompressed(head, compression);
            let text = plain.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&plain).trim_ascii_start();
            if text.starts_with(b"[") { Layout::JsonArray } else { Layout::Plain }
        }
        Format::Arrow if !head.starts_with(b"ARROW1") => Layout::ArrowStream,
        Format::Arrow | Format::Csv | Format::Tsv | Format::Parquet | Format::Avro => Layout::Plain,
    };
    Ok(Encoding { compression, layout })
}

fn head(file: &DataFile) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(&file.path)
        .and_then(|open| open.take(HEAD_BYTES).read_to_end(&mut head))
        .map_err(|error| FileError::wrap(&file.name(), error.into()))?;
    Ok(head)
}

fn compression(head: &[u8]) -> FileCompressionType {
    match head {
        [0x1f, 0x8b, ..] => FileCompressionType::GZIP,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => FileCompressionType::BZIP2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => FileCompressionType::XZ,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => FileCompressionType::ZSTD,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}

/// As much of the start of the text as the head of its compressed form gives.
fn decompressed(head: &[u8], compression: FileCompressionType) -> Vec<u8> {
    if !compression.is_compressed() {
        return head.to_vec();
    }
    let mut plain = Vec::new();
    if let Ok(reader) = compression.convert_read(Cursor::new(head.to_vec())) {
        // The head ends in the middle of the compressed stream: that error is expected.
        drop(reader.take(HEAD_BYTES).read_to_end(&mut plain));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_extension() {
        let of = |name: &str| Format::of_name(Path::new(name));
        assert_eq!(of("a/b.parquet"), Some(Format::Parquet));
        assert_eq!(of("a.CSV"), Some(Format::Csv));
        assert_eq!(of("a.b.jsonl.zst"), Some(Format::Json));
        assert_eq!(of("a.tsv.gz"), Some(Format::Tsv));
        assert_eq!(of("a.parquet.gz"), None);
        assert_eq!(of("readme.md"), None);
    }

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(Format::of_content(b"PAR1\x15"), Some(Format::Parquet));
        assert_eq!(Format::of_content(b"\xef\xbb\xbf\n [{"), Some(Format::Json));
        assert_eq!(Format::of_content(&[0xff, 0xff, 0xff, 0xff, 1]), Some(Format::Arrow));
        assert_eq!(Format::of_content(b"a,b\n1,2\n"), None);
    }

    #[tokio::test]
    async fn mixed_formats_are_refused() {
        let files = |names: &[&str]| names.iter().map(DataFile::local).collect::<Vec<_>>();
        let error = of_all("x", &files(&["a.csv", "b.parquet"])).await.unwrap_err();
        assert!(error.to_string().contains("several formats"));
        assert_eq!(of_all("x", &files(&["a.json", "b.ndjson.gz"])).await.unwrap(), Format::Json);
    }
}
