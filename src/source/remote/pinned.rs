//! A store of which a query reads just the versions of objects that it was planned with.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::kept::START_BYTES;
use super::{Remote, lock};
use crate::error::FileError;

/// Gives objects in the versions that were listed, and refuses others: half of one version and half of the next are rows
/// that never were. What is kept of an object is not asked for.
pub(super) struct Pinned {
    remote: Arc<Remote>,
    objects: HashMap<Path, ObjectMeta>,
}

impl Pinned {
    pub(super) fn new<'a>(remote: Arc<Remote>, objects: impl IntoIterator<Item = &'a ObjectMeta>) -> Self {
        let objects = objects.into_iter().map(|meta| (meta.location.clone(), meta.clone())).collect();
        Self { remote, objects }
    }

    /// The bytes of a range, if they are kept.
    fn kept(&self, meta: &ObjectMeta, range: &Range<u64>) -> Option<Bytes> {
        lock(&self.remote.kept).bytes(meta, range)
    }

    fn check(&self, planned: &ObjectMeta, got: &ObjectMeta) -> Result<()> {
        if is_same(planned, got) {
            return Ok(());
        }
        self.remote.forget_lists();
        let name = format!("{}{}", self.remote.url, planned.location);
        let changed = FileError::new(name, "it has changed since the query was planned")
            .with_help("what was listed is forgotten, as by .refresh: run the query again");
        Err(object_store::Error::Generic { store: "pinned", source: Box::new(changed) })
    }
}

/// Whether there is anything but its size that tells a version from another.
pub(super) fn has_version(meta: &ObjectMeta) -> bool {
    meta.e_tag.is_some() || meta.last_modified.timestamp() != 0
}

/// Whether two answers are about one version. Stores write one ETag with and without quotes, and one time with and
/// without its milliseconds.
pub(super) fn is_same(planned: &ObjectMeta, got: &ObjectMeta) -> bool {
    let tag = |meta: &ObjectMeta| {
        let tag = meta.e_tag.as_deref()?;
        Some(tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_string())
    };
    let has_size = planned.size == got.size;
    match (tag(planned), tag(got)) {
        (Some(planned), Some(got)) => has_size && planned == got,
        _ => has_size && is_same_time(planned, got),
    }
}

fn is_same_time(planned: &ObjectMeta, got: &ObjectMeta) -> bool {
    let (planned, got) = (planned.last_modified, got.last_modified);
    match planned.timestamp_subsec_millis() > 0 && got.timestamp_subsec_millis() > 0 {
        true => planned.timestamp_millis() == got.timestamp_millis(),
        false => planned.timestamp() == got.timestamp(),
    }
}

/// Bytes that are at hand, as a store gives them.
fn given(meta: &ObjectMeta, range: Range<u64>, bytes: Bytes) -> GetResult {
    let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
    GetResult { payload, meta: meta.clone(), range, attributes: Default::default() }
}

/// The bytes that are asked for, of so many.
fn asked(range: Option<&GetRange>, size: u64) -> Range<u64> {
    match range {
        None => 0..size,
        Some(GetRange::Bounded(range)) => range.start..range.end.min(size),
        Some(GetRange::Offset(start)) => *start..size,
        Some(GetRange::Suffix(length)) => size.saturating_sub(*length)..size,
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.store.fmt(f)
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("remote", &self.remote).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for Pinned {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(meta) = self.objects.get(location) else {
            return self.remote.store.get_opts(location, options).await;
        };
        let range = asked(options.range.as_ref(), meta.size);
        let is_head = options.head;
        if !is_head && let Some(bytes) = self.kept(meta, &range) {
            return Ok(given(meta, range, bytes));
        }
        let remote = &self.remote;
        // It may be gone: then the listing is out of date.
        let got = remote.store.get_opts(location, options).await.inspect_err(|_| remote.forget_lists())?;
        self.check(meta, &got.meta)?;
        // A small object is often read at its end first, for its footer, and then again for its rows.
        if !is_head && range == (0..meta.size) && meta.size <= START_BYTES {
            let bytes = got.bytes().await?;
            lock(&self.remote.kept).add_start(meta, bytes.clone());
            return Ok(given(meta, range, bytes));
        }
        let GetResult { payload, meta, range, attributes } = got;
        let payload = match payload {
            // It may change while it is read.
            GetResultPayload::Stream(body) => {
                let remote = Arc::clone(remote);
                let body = body.inspect(move |piece| {
                    if piece.is_err() {
                        remote.forget_lists();
                    }
                });
                GetResultPayload::Stream(body.boxed())
            }
            other => other,
        };
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.remote.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.remote.store.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.remote.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.remote.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.remote.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.remote.store.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn meta(tag: Option<&str>, size: u64, millis: u64) -> ObjectMeta {
        ObjectMeta {
            location: Path::from("a"),
            last_modified: (UNIX_EPOCH + Duration::from_millis(millis)).into(),
            size,
            e_tag: tag.map(String::from),
            version: None,
        }
    }

    #[test]
    fn versions_are_told_apart_by_tag_else_by_size_and_time() {
        let same = |a: ObjectMeta, b: ObjectMeta| is_same(&a, &b);
        assert!(same(meta(Some("\"x\""), 1, 0), meta(Some("x"), 1, 5000)));
        assert!(!same(meta(Some("x"), 1, 0), meta(Some("y"), 1, 0)));
        assert!(!same(meta(Some("x"), 1, 0), meta(Some("x"), 2, 0)));
        assert!(same(meta(None, 1, 1000), meta(Some("x"), 1, 1999)));
        assert!(!same(meta(None, 1, 1000), meta(None, 1, 2000)));
        assert!(!same(meta(None, 1, 1001), meta(None, 1, 1002)));
    }
}
