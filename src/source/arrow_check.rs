//! Lengths in Arrow files that lie.
//!
//! The readers make room for what a file says before they look whether it is there; a length of a
//! terabyte would end the process. So the lengths are held against the file's size first. Only the
//! messages' heads are read, not the data between them.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::convert::fb_to_schema;
use datafusion::arrow::ipc::reader::{FileReader, StreamReader, read_footer_length};
use datafusion::arrow::ipc::{root_as_footer, root_as_message};
use datafusion::common::Result;
use object_store::ObjectMeta;

use super::format::Layout;
use super::remote::Remote;

const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic behind it.
const TRAILER_BYTES: u64 = 10;
const CONTINUATION: u32 = u32::MAX;
/// Bytes of an object that are read at once.
const WINDOW_BYTES: u64 = 64 << 10;

/// A file of which some parts are read.
pub(super) struct Parts {
    place: Place,
    size: u64,
}

enum Place {
    Local(File),
    Object {
        remote: Arc<Remote>,
        meta: ObjectMeta,
        /// What was read last, and where it begins: messages that follow each other are in it.
        window: (u64, Bytes),
    },
}

impl Parts {
    /// The parts of a local file.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { place: Place::Local(file), size })
    }

    /// The parts of an object.
    pub(super) fn of_object(remote: Arc<Remote>, meta: ObjectMeta) -> Self {
        let size = meta.size;
        Self { place: Place::Object { remote, meta, window: (0, Bytes::new()) }, size }
    }

    /// So many bytes from a place on, which have to be there.
    async fn read(&mut self, at: u64, length: u64) -> Result<Bytes> {
        let end = at.checked_add(length).filter(|end| *end <= self.size);
        let end = end.ok_or_else(|| damaged("it ends in the middle of a message"))?;
        match &mut self.place {
            Place::Local(file) => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes.into())
            }
            Place::Object { remote, meta, window } => {
                let has = |window: &(u64, Bytes)| window.0 <= at && end <= window.0 + window.1.len() as u64;
                if !has(window) {
                    let until = end.max(at.saturating_add(WINDOW_BYTES)).min(self.size);
                    *window = (at, remote.bytes(meta, at..until).await?);
                }
                let from = usize::try_from(at - window.0).unwrap_or(usize::MAX);
                let until = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                match until <= window.1.len() {
                    true => Ok(window.1.slice(from..until)),
                    false => Err(damaged("it ends in the middle of a message")),
                }
            }
        }
    }

    /// The last bytes: the trailer at least.
    async fn end(&mut self) -> Result<Bytes> {
        let wanted = match self.place {
            Place::Local(_) => TRAILER_BYTES,
            Place::Object { .. } => WINDOW_BYTES,
        };
        let length = wanted.min(self.size);
        self.read(self.size - length, length).await
    }

    async fn number(&mut self, at: &mut u64) -> Result<u32> {
        let bytes = self.read(*at, 4).await?;
        *at += 4;
        Ok(bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }
}

/// Checks that all parts of an Arrow file lie within it.
///
/// # Errors
/// A file that ends before one of its parts does, or whose parts cannot be told.
pub(super) async fn check(parts: &mut Parts, layout: Layout) -> Result<()> {
    match layout {
        Layout::ArrowStream => check_stream(parts).await,
        Layout::Plain | Layout::JsonArray => check_file(parts).await,
    }
}

/// The columns as a local file has them: the engine makes one of two that are named alike.
///
/// # Errors
/// A file that is damaged where it names its columns.
pub(super) fn schema(path: &Path, layout: Layout) -> Result<SchemaRef> {
    let reader = BufReader::new(File::open(path)?);
    Ok(match layout {
        Layout::ArrowStream => StreamReader::try_new(reader, None)?.schema(),
        Layout::Plain | Layout::JsonArray => FileReader::try_new(reader, None)?.schema(),
    })
}

/// The columns that a file's footer has, which has been checked.
///
/// # Errors
/// A footer that names none.
pub(super) async fn footer_schema(parts: &mut Parts) -> Result<SchemaRef> {
    let bytes = footer(parts).await?;
    let footer =
        root_as_footer(&bytes).map_err(|error| damaged(&format!("its footer is broken: {error}")))?;
    let schema = footer.schema().ok_or_else(|| damaged("its footer names no columns"))?;
    Ok(Arc::new(fb_to_schema(schema)))
}

async fn footer(parts: &mut Parts) -> Result<Bytes> {
    let size = parts.size;
    if size < TRAILER_BYTES + MAGIC.len() as u64 {
        return Err(damaged("it is too short"));
    }
    // Over a network the footer comes along with what says how long it is.
    let end = parts.end().await?;
    let trailer = end.last_chunk::<{ TRAILER_BYTES as usize }>();
    let trailer = trailer.ok_or_else(|| damaged("it is too short"))?;
    let length = read_footer_length(*trailer)? as u64;
    if length + TRAILER_BYTES > size {
        return Err(damaged("its footer is longer than the file"));
    }
    parts.read(size - TRAILER_BYTES - length, length).await
}

async fn check_file(parts: &mut Parts) -> Result<()> {
    let size = parts.size;
    let bytes = footer(parts).await?;
    let footer =
        root_as_footer(&bytes).map_err(|error| damaged(&format!("its footer is broken: {error}")))?;
    let blocks =
        footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for block in blocks {
        let parts = [block.offset(), block.bodyLength(), i64::from(block.metaDataLength())];
        let end = parts.into_iter().try_fold(0u64, |sum, part| sum.checked_add(u64::try_from(part).ok()?));
        if end.is_none_or(|end| end > size) {
            return Err(damaged("a batch ends after the file"));
        }
    }
    Ok(())
}

async fn check_stream(parts: &mut Parts) -> Result<()> {
    let size = parts.size;
    let mut at = 0u64;
    // A stream may end without a mark, between two messages.
    while at < size {
        let mut length = parts.number(&mut at).await?;
        if length == CONTINUATION {
            length = parts.number(&mut at).await?;
        }
        if length == 0 {
            return Ok(());
        }
        let end = at + u64::from(length);
        if end > size {
            return Err(damaged("it ends in the middle of a message"));
        }
        let bytes = parts.read(at, u64::from(length)).await?;
        let message =
            root_as_message(&bytes).map_err(|error| damaged(&format!("a message is broken: {error}")))?;
        let body =
            u64::try_from(message.bodyLength()).map_err(|_| damaged("a message has a negative length"))?;
        at = end
            .checked_add(body)
            .filter(|at| *at <= size)
            .ok_or_else(|| damaged("it ends in the middle of a batch"))?;
    }
    Ok(())
}

fn damaged(trouble: &str) -> datafusion::error::DataFusionError {
    ArrowError::IpcError(trouble.into()).into()
}
