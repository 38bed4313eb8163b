//! The bytes of text files: decompressed, arrays as lines, records bounded.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::Count;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use memchr::memchr_iter;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::format::{Encoding, Layout};
use super::json_array::JsonArray;
use super::quotes::{Marks, OpenLine, Quotes, has};
use super::record_limit::RecordLimit;
use crate::error::FileError;

/// Bytes read from a local file at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Inference stops at the first record after so many bytes.
const SAMPLE_BYTES: usize = 16 << 20;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What has to be done to a file's bytes before its format's reader takes them.
#[derive(Debug, Clone)]
pub(super) struct Decoding {
    /// The file's name in messages.
    pub(super) file: String,
    pub(super) encoding: Encoding,
    /// The marks of delimited text: inside quotes newlines do not end a record.
    pub(super) marks: Option<Marks>,
    pub(super) row_bytes_max: u64,
    /// Where the bytes that are read, as they are stored, are counted.
    pub(super) read: Count,
}

impl Decoding {
    /// The byte that ends a record outside of quotes.
    pub(super) fn terminator(&self) -> u8 {
        self.marks.map_or(b'\n', Marks::terminator)
    }
}

/// A store whose objects are given as plain lines of text. Sizes are those of the stored form.
#[derive(Debug)]
pub(super) struct DecodedStore {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) decoding: Decoding,
}

impl fmt::Display for DecodedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for DecodedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let result = self.inner.get_opts(location, options).await?;
        let GetResult { payload, meta, range, attributes } = result;
        let failed = |error: DataFusionError| object_store::Error::Generic {
            store: "decoded",
            source: Box::new(error),
        };
        let stream = decoded(payload, range.clone(), &self.decoding).map_err(failed)?;
        let payload = GetResultPayload::Stream(stream.map_err(failed).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// The first bytes of an object, of so many.
pub(super) struct Start {
    pub(super) bytes: Bytes,
    pub(super) size: u64,
}

impl Start {
    /// The whole text of the object. What comes after the start is asked for when it is needed.
    fn text(
        self,
        store: &Arc<dyn ObjectStore>,
        location: &Path,
        decoding: &Decoding,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let Self { bytes, size } = self;
        let end = bytes.len() as u64;
        let (store, location) = (Arc::clone(store), location.clone());
        let rest = async move {
            let options = GetOptions::new().with_range(Some(end..size));
            Ok::<_, object_store::Error>(store.get_opts(&location, options).await?.into_stream())
        };
        let first = stream::once(async { Ok(bytes) });
        let stored = match end < size {
            true => first.chain(stream::once(rest).try_flatten()).boxed(),
            false => first.boxed(),
        };
        decoded(GetResultPayload::Stream(stored), 0..size, decoding)
    }
}

/// The first records of a file: at most so many, all whole unless the file itself ends in the middle of one.
///
/// # Errors
/// A record that is too long, a quote that is not closed.
pub(super) async fn sample(
    store: &Arc<dyn ObjectStore>,
    location: &Path,
    decoding: &Decoding,
    records_max: usize,
    start: Option<Start>,
) -> Result<Vec<u8>> {
    let mut chunks = match start {
        None => text(store, location, decoding).await?,
        Some(start) => start.text(store, location, decoding)?,
    };
    let mut limit = RecordLimit::new(decoding);
    let mut quotes = decoding.marks.map(Quotes::new);
    let mut text = Vec::new();
    let mut records = 0;
    while let Some(chunk) = chunks.try_next().await? {
        limit.pass(&chunk)?;
        let mut end = None;
        let mut outside = |stretch: Range<usize>| {
            for at in memchr_iter(decoding.terminator(), &chunk[stretch.clone()]) {
                records += 1;
                if records >= records_max || text.len() + stretch.start + at >= SAMPLE_BYTES {
                    end.get_or_insert(stretch.start + at + 1);
                }
            }
        };
        match &mut quotes {
            Some(quotes) => quotes.pass(&chunk, |stretch, is_inside| {
                if !is_inside {
                    outside(stretch);
                }
            }),
            None => outside(0..chunk.len()),
        }
        text.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        if end.is_some() {
            return Ok(text);
        }
    }
    match limit.is_inside_quotes() {
        true => Err(unclosed(store, location, decoding).await),
        false => Ok(text),
    }
}

/// Whether some line break of a file is inside quotes, so that only a reader which starts at the
/// beginning can tell where its records end. Reads the whole file, at the speed of memory.
///
/// # Errors
/// A quote that is not closed, in the last line.
pub(super) async fn has_quoted_newlines(
    store: &Arc<dyn ObjectStore>,
    location: &Path,
    decoding: &Decoding,
) -> Result<bool> {
    let Some(marks) = decoding.marks else { return Ok(false) };
    let mut chunks = text(store, location, decoding).await?;
    let mut quotes = Quotes::new(marks);
    let mut found = false;
    while let Some(chunk) = chunks.try_next().await? {
        quotes.pass(&chunk, |stretch, is_inside| {
            found |= is_inside && has(marks.terminator(), &chunk[stretch]);
        });
        if found {
            return Ok(true);
        }
    }
    match quotes.is_inside() {
        true => Err(unclosed(store, location, decoding).await),
        false => Ok(false),
    }
}

/// Watches the text of a file from the start of a record on its way to a decoder, which would keep a record
/// that never ends until memory is gone, and take what follows an open quote for one value. `is_plain`: it is
/// known that no line break is inside quotes, and all quotes are closed.
pub(super) fn watched(
    text: BoxStream<'static, Result<Bytes>>,
    store: Arc<dyn ObjectStore>,
    location: Path,
    decoding: Decoding,
    is_plain: bool,
) -> BoxStream<'static, Result<Bytes>> {
    let limit = RecordLimit::new(&decoding);
    let limit = if is_plain { limit.without_quotes() } else { limit };
    stream::try_unfold((text, limit), move |(mut text, mut limit)| {
        let (store, location, decoding) = (Arc::clone(&store), location.clone(), decoding.clone());
        async move {
            match text.try_next().await? {
                Some(chunk) => {
                    limit.pass(&chunk)?;
                    Ok(Some((chunk, (text, limit))))
                }
                None if limit.is_inside_quotes() => Err(unclosed(&store, &location, &decoding).await),
                None => Ok(None),
            }
        }
    })
    .boxed()
}

/// The error of a file that ends inside quotes. Reads it once more to know where they opened.
async fn unclosed(store: &Arc<dyn ObjectStore>, location: &Path, decoding: &Decoding) -> DataFusionError {
    let line = async {
        let mut line = OpenLine::new(decoding.marks?);
        let mut chunks = text(store, location, decoding).await.ok()?;
        while let Some(chunk) = chunks.try_next().await.ok()? {
            line.pass(&chunk);
        }
        line.line()
    };
    let place = line.await.map(|line| format!(" in line {line}")).unwrap_or_default();
    let trouble = format!("a quote that opens{place} is not closed");
    FileError::new(&decoding.file, trouble)
        .with_help("if quotes are values there, name another quote: OPTIONS ('format.quote' '…')")
        .into()
}

/// The whole text of a file.
async fn text(
    store: &Arc<dyn ObjectStore>,
    location: &Path,
    decoding: &Decoding,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let result = store.get(location).await?;
    decoded(result.payload, result.range, decoding)
}

/// The plain text of an object, or of a range of one that can be split.
fn decoded(
    payload: GetResultPayload,
    range: Range<u64>,
    decoding: &Decoding,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let Decoding { file, encoding, read, .. } = decoding.clone();
    let plain = match payload {
        GetResultPayload::File(open, _) => local(open, range.clone(), encoding, read)?,
        GetResultPayload::Stream(stream) => {
            let stream = stream.inspect_ok(move |chunk| read.add(chunk.len()));
            encoding.compression.convert_stream(stream.map_err(DataFusionError::from).boxed())?
        }
    };
    let plain = if range.start == 0 { without_mark(plain) } else { plain };
    let lines = if encoding.layout == Layout::JsonArray { array_lines(plain, file.clone()) } else { plain };
    Ok(lines.map_err(move |error| FileError::wrap(&file, error)).boxed())
}

/// A local file, read where it is needed: its pages are most often in memory, and a hop to another
/// thread for each chunk would cost more than the read.
fn local(
    mut open: std::fs::File,
    range: Range<u64>,
    encoding: Encoding,
    read: Count,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    open.seek(SeekFrom::Start(range.start))?;
    let stored = Counted { inner: open.take(range.end - range.start), read };
    let reader = encoding.compression.convert_read(stored)?;
    Ok(stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = reader.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        Ok((read > 0).then(|| (Bytes::from(chunk), reader)))
    })
    .boxed())
}

/// A reader whose bytes are counted.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) read: Count,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.add(read);
        Ok(read)
    }
}

/// The text without the mark that some programs write before UTF-8.
fn without_mark(text: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>> {
    let mut is_first = true;
    text.map_ok(move |chunk| match std::mem::take(&mut is_first) && chunk.starts_with(BOM) {
        true => chunk.slice(BOM.len()..),
        false => chunk,
    })
    .boxed()
}

fn array_lines(text: BoxStream<'static, Result<Bytes>>, file: String) -> BoxStream<'static, Result<Bytes>> {
    let refuse = move |trouble: &str| DataFusionError::from(FileError::new(&file, trouble));
    stream::try_unfold((text, JsonArray::default()), move |(mut text, mut array)| {
        let refuse = refuse.clone();
        async move {
            loop {
                let Some(chunk) = text.try_next().await? else {
                    return array.finish().map(|()| None).map_err(&refuse);
                };
                let lines = array.lines(&chunk).map_err(&refuse)?;
                if !lines.is_empty() {
                    return Ok(Some((Bytes::from(lines), (text, array))));
                }
            }
        }
    })
    .boxed()
}
