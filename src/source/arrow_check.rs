//! Lengths in Arrow files that lie.
//!
//! The readers make room for what a file says before they look whether it is there; a length of a
//! terabyte would end the process. So the lengths are held against the file's size first. Only the
//! messages' heads are read, not the data between them.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::{FileReader, StreamReader, read_footer_length};
use datafusion::arrow::ipc::{root_as_footer, root_as_message};
use datafusion::common::Result;

use super::format::Layout;

const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic behind it.
const TRAILER_BYTES: u64 = 10;
const CONTINUATION: u32 = u32::MAX;

/// Checks that all parts of a local Arrow file lie within it.
///
/// # Errors
/// A file that ends before one of its parts does, or whose parts cannot be told.
pub(super) fn check(path: &Path, layout: Layout) -> Result<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    match layout {
        Layout::ArrowStream => check_stream(&mut reader, size),
        Layout::Plain | Layout::JsonArray => check_file(&mut reader, size),
    }
}

/// The columns as the file has them: the engine makes one of two that are named alike.
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

fn check_file(reader: &mut (impl Read + Seek), size: u64) -> Result<()> {
    if size < TRAILER_BYTES + MAGIC.len() as u64 {
        return Err(damaged("it is too short"));
    }
    reader.seek(SeekFrom::Start(size - TRAILER_BYTES))?;
    let mut trailer = [0; TRAILER_BYTES as usize];
    reader.read_exact(&mut trailer)?;
    let length = read_footer_length(trailer)? as u64;
    if length + TRAILER_BYTES > size {
        return Err(damaged("its footer is longer than the file"));
    }
    reader.seek(SeekFrom::Start(size - TRAILER_BYTES - length))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    reader.read_exact(&mut bytes)?;
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

fn check_stream(reader: &mut (impl Read + Seek), size: u64) -> Result<()> {
    let mut at = 0u64;
    // A stream may end without a mark, between two messages.
    while at < size {
        let mut length = number(reader, &mut at)?;
        if length == CONTINUATION {
            length = number(reader, &mut at)?;
        }
        if length == 0 {
            return Ok(());
        }
        let end = at + u64::from(length);
        if end > size {
            return Err(damaged("it ends in the middle of a message"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        reader.read_exact(&mut bytes)?;
        let message =
            root_as_message(&bytes).map_err(|error| damaged(&format!("a message is broken: {error}")))?;
        let body =
            u64::try_from(message.bodyLength()).map_err(|_| damaged("a message has a negative length"))?;
        at = end
            .checked_add(body)
            .filter(|at| *at <= size)
            .ok_or_else(|| damaged("it ends in the middle of a batch"))?;
        reader.seek(SeekFrom::Start(at))?;
    }
    Ok(())
}

fn number(reader: &mut impl Read, at: &mut u64) -> Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    *at += bytes.len() as u64;
    Ok(u32::from_le_bytes(bytes))
}

fn damaged(trouble: &str) -> datafusion::error::DataFusionError {
    ArrowError::IpcError(trouble.into()).into()
}
