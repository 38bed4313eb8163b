//! Local files: what the page cache has of them is copied by the thread that asks; only what has to come from the disk
//! is waited for on another one.
//!
//! The store of the crate hands every read to a thread for blocking work. The worker that wants the bytes would sleep
//! until another thread has copied them, into a cache that is not its own, on a core that another worker uses.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

/// The local file system.
#[derive(Debug, Default)]
pub(super) struct Local {
    inner: LocalFileSystem,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Local {
    /// What the crate says of a file, by the same tag; `None` where it is no file that can be read. Asked for each file
    /// of each statement: to hand it to another thread takes longer than to ask.
    fn meta(&self, location: &Path) -> Option<ObjectMeta> {
        let path = self.inner.path_to_filesystem(location).ok()?;
        // Whoever opens a pipe waits for a writer.
        if !std::fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let metadata = File::open(&path).ok()?.metadata().ok()?;
        let modified = metadata.modified().ok()?;
        let micros = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let (inode, size) = (inode(&metadata), metadata.len());
        let e_tag = Some(format!("{inode:x}-{micros:x}-{size:x}"));
        Some(ObjectMeta {
            location: location.clone(),
            last_modified: modified.into(),
            size,
            e_tag,
            version: None,
        })
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[async_trait]
impl ObjectStore for Local {
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let file = self.inner.path_to_filesystem(location).ok().and_then(|path| File::open(path).ok());
        match file.and_then(|file| at_hand(ranges, |buffer, offset| cached(&file, buffer, offset))) {
            Some(all) => Ok(all),
            // All of them, so that they are of one file, whatever takes its place now. Errors are told by the crate.
            None => self.inner.get_ranges(location, ranges).await,
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head
            && options.range.is_none()
            && let Some(meta) = self.meta(location)
        {
            options.check_preconditions(&meta)?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            return Ok(GetResult { payload, range: 0..meta.size, meta, attributes: Attributes::default() });
        }
        self.inner.get_opts(location, options).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// These ranges, if all can be read without a wait. `read` reads into what a buffer has room for, and says how much it
/// read.
fn at_hand(
    ranges: &[Range<u64>],
    mut read: impl FnMut(&mut Vec<u8>, u64) -> io::Result<usize>,
) -> Option<Vec<Bytes>> {
    let whole = |range: &Range<u64>| {
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        // A damaged footer may ask for more than there can be.
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(length).ok()?;
        // A range of nothing is the crate's to judge.
        while buffer.len() < length || length == 0 {
            let offset = range.start + buffer.len() as u64;
            match read(&mut buffer, offset) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        // It may have had more room than it was asked for.
        buffer.truncate(length);
        Some(Bytes::from(buffer))
    };
    ranges.iter().map(whole).collect()
}

/// Reads what the page cache has of a file from this offset on, at the end of the buffer, up to its capacity.
///
/// # Errors
/// `WouldBlock` if the next byte would have to come from the disk; file systems that cannot tell give another one.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "std cannot read only what is in memory, nor into memory that is not written yet"
)]
fn cached(file: &File, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let room = buffer.spare_capacity_mut();
    let into = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let offset = libc::off64_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `iov_len` bytes, which are the buffer's own.
    let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const into, 1, offset, libc::RWF_NOWAIT) };
    let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has written that many bytes, which are below the capacity.
    unsafe { buffer.set_len(buffer.len() + count) };
    Ok(count)
}

/// No other system tells what it has in memory.
#[cfg(not(target_os = "linux"))]
fn cached(_: &File, _: &mut Vec<u8>, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::object_store::ObjectStoreExt;
    use std::io::ErrorKind;

    /// A file of which reads give at most 3 bytes at once, and none that begins at `missing` or later.
    fn piecemeal(missing: u64) -> impl FnMut(&mut Vec<u8>, u64) -> io::Result<usize> {
        let mut interrupted = false;
        move |buffer, offset| {
            interrupted = !interrupted;
            if interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            if offset >= missing {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = 3.min(buffer.capacity() - buffer.len());
            buffer.extend((offset..).take(count).map(|at| at as u8));
            Ok(count)
        }
    }

    #[test]
    fn ranges_are_read_if_all_of_them_are_in_memory() {
        let read = |ranges: &[Range<u64>]| at_hand(ranges, piecemeal(9));
        assert_eq!(read(&[0..5, 2..3]).unwrap(), [&[0, 1, 2, 3, 4][..], &[2]]);
        assert_eq!(read(&[0..5, 2..20, 1..2]), None);
        assert_eq!(read(&[9..10, 0..1]), None);
        assert_eq!(read(&[Range { start: 5, end: 2 }, 0..1]), None);
        assert_eq!(read(&[0..u64::MAX, 0..1]), None);
        // The end of the file.
        assert_eq!(at_hand(&[0..5, 0..1], |_, _| Ok(0)), None);
        assert_eq!(at_hand(&[4..4, 0..1], |_, _| Ok(0)), None);
    }

    /// Whatever the page cache has: the same bytes, and the same errors.
    #[tokio::test]
    async fn a_file_is_read_as_the_crate_reads_it() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("numbers");
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &bytes).unwrap();
        let location = Path::from_absolute_path(&path).unwrap();
        let (ours, theirs) = (Local::default(), LocalFileSystem::new());
        for ranges in [
            vec![],
            vec![0..1, 0..1],
            vec![5..70_000, 8_191..8_193, 1_199_999..1_200_000],
            vec![0..1_200_000, 3..4],
            vec![0..4, 1_199_999..1_200_002],
            vec![0..4, 1_200_000..1_200_001, 5..6],
            vec![0..4, 7..7],
        ] {
            match (ours.get_ranges(&location, &ranges).await, theirs.get_ranges(&location, &ranges).await) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{ranges:?}"),
                (ours, theirs) => {
                    assert_eq!(ours.unwrap_err().to_string(), theirs.unwrap_err().to_string(), "{ranges:?}");
                }
            }
        }
        let missing = Path::from_absolute_path(room.path().join("missing")).unwrap();
        let error = ours.get_ranges(&missing, &[0..1, 1..2]).await.unwrap_err();
        assert!(matches!(error, datafusion::object_store::Error::NotFound { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_the_crate_says_of_a_file_is_said_of_it() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a file");
        std::fs::write(&path, "abc").unwrap();
        let (ours, theirs) = (Local::default(), LocalFileSystem::new());
        let at = |path: &std::path::Path| Path::from_absolute_path(path).unwrap();
        let meta = ours.head(&at(&path)).await.unwrap();
        assert_eq!((&meta, meta.size), (&theirs.head(&at(&path)).await.unwrap(), 3));
        for path in [room.path().to_path_buf(), room.path().join("missing"), path.join("below")] {
            let (ours, theirs) = (ours.head(&at(&path)).await, theirs.head(&at(&path)).await);
            assert_eq!(ours.unwrap_err().to_string(), theirs.unwrap_err().to_string());
        }
        let other = GetOptions { head: true, if_match: Some("other".into()), ..GetOptions::default() };
        let error = ours.get_opts(&at(&path), other).await.unwrap_err();
        assert!(matches!(error, datafusion::object_store::Error::Precondition { .. }), "{error}");
        let end = GetOptions { head: true, range: Some((1..2).into()), ..GetOptions::default() };
        assert_eq!(ours.get_opts(&at(&path), end).await.unwrap().range, 1..2);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_page_cache_has_is_read_at_its_offset_after_what_is_there() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("text");
        std::fs::write(&path, "abcdef").unwrap();
        let file = File::open(&path).unwrap();
        let mut buffer = Vec::with_capacity(5);
        buffer.push(b'>');
        match cached(&file, &mut buffer, 2) {
            Ok(count) => assert_eq!((count, &buffer[..]), (4, &b">cdef"[..])),
            // A file system that cannot tell.
            Err(error) => assert_eq!((error.raw_os_error(), buffer.len()), (Some(libc::EOPNOTSUPP), 1)),
        }
    }
}
