//! A store of the network as the engine sees it: opened when it is first used, on the threads for I/O, with the secret
//! that is for the key.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RenameOptions, Result, coalesce_ranges, collect_bytes,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use tokio::sync::OnceCell;
use url::Url;

use super::counted::Request;
use super::line::Line;
use super::patient::Patient;
use super::pump::{broken, on_io};
use super::secret::{Kind, Secret, Secrets};
use super::upload::Upload;
use super::wording::{About, shown};
use super::{build, ends, io};
use crate::error::StoreAction;

/// Reads of at most this much come in one piece: they are awaited whole anyway (footers, pages).
const WHOLE_BYTES_MAX: u64 = 1 << 20;
/// Deletions that are under way at once.
const DELETIONS_AT_ONCE: usize = 16;

/// A store of the network. Clones are the same store.
#[derive(Clone)]
pub(super) struct Remote(Arc<Inner>);

struct Inner {
    kind: Kind,
    url: Url,
    secrets: Arc<Secrets>,
    line: Arc<Line>,
    /// What was opened, by the name of the secret.
    open: Mutex<BTreeMap<Option<String>, Opening>>,
}

/// A store that is opened, or being opened.
#[derive(Clone)]
struct Opening {
    /// How many changes of secrets there had been.
    version: u64,
    store: Arc<OnceCell<Arc<dyn ObjectStore>>>,
}

/// An opened store and what errors say of it.
#[derive(Clone)]
struct Open {
    store: Arc<dyn ObjectStore>,
    about: About,
}

impl Remote {
    pub(super) fn new(kind: Kind, url: Url, secrets: Arc<Secrets>, line: Arc<Line>) -> Self {
        Self(Arc::new(Inner { kind, url, secrets, line, open: Mutex::default() }))
    }

    /// The store for a key.
    async fn at(&self, key: &Path, action: StoreAction) -> Result<Open> {
        let inner = &self.0;
        let version = inner.secrets.version();
        let secret = inner.secrets.best(inner.kind, &shown(&inner.url, key.as_ref()));
        let name = secret.as_ref().map(|secret| secret.name.clone());
        let opening = {
            let mut open = lock(&inner.open);
            let new = || Opening { version, store: Arc::default() };
            let opening = open.entry(name.clone()).or_insert_with(new);
            if opening.version != version {
                *opening = new();
            }
            opening.clone()
        };
        let about = About { kind: inner.kind, store: inner.url.clone(), secret: name, action };
        let opened = opening.store.get_or_try_init(|| self.opened(secret.as_deref())).await;
        let store = opened.map_err(|error| about.worded(key, error))?;
        Ok(Open { store: Arc::clone(store), about })
    }

    async fn opened(&self, secret: Option<&Secret>) -> Result<Arc<dyn ObjectStore>> {
        build::open(self.0.kind, &self.0.url, secret, &self.0.line).await
    }

    /// Does some work with the store for a key, on the threads for I/O.
    async fn on<T: Send + 'static>(
        &self,
        key: &Path,
        action: StoreAction,
        request: Request,
        work: impl FnOnce(Self, Open, Path) -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (this, key) = (self.clone(), key.clone());
        let work = async move {
            let open = this.at(&key, action).await?;
            let about = open.about.clone();
            let line = Arc::clone(&this.0.line);
            let _slot = line.slots.acquire().await;
            // Requests of the others are counted where they are sent, and reads of this kind by `patient`.
            if this.0.kind == Kind::Hdfs && request != Request::Get {
                this.0.line.counts.request(request, false);
            }
            work(this, open, key.clone()).await.map_err(|error| about.worded(&key, error))
        };
        io::run(work).await.map_err(broken).flatten()
    }

    /// Lists, on the threads for I/O.
    fn listed(
        &self,
        prefix: Option<&Path>,
        list: impl FnOnce(&dyn ObjectStore) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = self.clone();
        let key = prefix.cloned().unwrap_or_default();
        let items = async move {
            let open = this.at(&key, StoreAction::List).await?;
            if this.0.kind == Kind::Hdfs {
                this.0.line.counts.request(Request::List, false);
            }
            let about = open.about;
            let items = list(open.store.as_ref()).map_err(move |error| about.worded(&key, error));
            Ok::<_, Error>(items)
        };
        on_io(items.try_flatten_stream())
    }
}

/// A read with its body on the threads for I/O, or in memory already if it is short.
async fn read(remote: Remote, open: Open, key: Path, options: GetOptions) -> Result<GetResult> {
    let head = options.head;
    let is_short = match &options.range {
        Some(GetRange::Bounded(range)) => range.end.saturating_sub(range.start) <= WHOLE_BYTES_MAX,
        Some(GetRange::Suffix(bytes)) => *bytes <= WHOLE_BYTES_MAX,
        Some(GetRange::Offset(_)) | None => false,
    };
    let line = &remote.0.line;
    let patient = Patient::new(remote.0.kind, open.store, Arc::clone(line));
    let result = ends::get(patient, line, key.clone(), options).await?;
    let GetResult { payload, meta, range, attributes } = result;
    let payload = match payload {
        GetResultPayload::Stream(body) if head => GetResultPayload::Stream(body),
        GetResultPayload::Stream(body) if is_short => {
            let bytes = collect_bytes(body, Some(range.end - range.start)).await?;
            GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed())
        }
        GetResultPayload::Stream(body) => {
            let about = open.about;
            GetResultPayload::Stream(on_io(body.map_err(move |error| about.worded(&key, error))))
        }
        other => other,
    };
    Ok(GetResult { payload, meta, range, attributes })
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0.url, ""))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.to_string()).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Remote {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.on(key, StoreAction::Write, Request::Put, move |_, open, key| {
            async move { open.store.put_opts(&key, payload, options).await }.boxed()
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.on(key, StoreAction::Write, Request::Other, move |_, open, key| {
            async move {
                let upload = open.store.put_multipart_opts(&key, options).await?;
                Ok(Box::new(Upload::new(upload, key, open.about)) as Box<dyn MultipartUpload>)
            }
            .boxed()
        })
        .await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.on(key, StoreAction::Read, Request::Get, move |this, open, key| {
            read(this, open, key, options).boxed()
        })
        .await
    }

    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        coalesce_ranges(ranges, |range| self.get_range(key, range), OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |key: Result<Path>| {
            let this = this.clone();
            async move {
                let key = key?;
                this.on(&key, StoreAction::Delete, Request::Other, |_, open, key| {
                    async move { open.store.delete(&key).await }.boxed()
                })
                .await?;
                Ok(key)
            }
        };
        keys.map(delete).buffered(DELETIONS_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let within = prefix.cloned();
        self.listed(prefix, move |store| store.list(within.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (within, offset) = (prefix.cloned(), offset.clone());
        self.listed(prefix, move |store| store.list_with_offset(within.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let within = prefix.cloned();
        let key = prefix.cloned().unwrap_or_default();
        self.on(&key, StoreAction::List, Request::List, move |_, open, _| {
            async move { open.store.list_with_delimiter(within.as_ref()).await }.boxed()
        })
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let from = from.clone();
        self.on(to, StoreAction::Write, Request::Other, move |_, open, to| {
            async move { open.store.copy_opts(&from, &to, options).await }.boxed()
        })
        .await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let from = from.clone();
        self.on(to, StoreAction::Write, Request::Other, move |_, open, to| {
            async move { open.store.rename_opts(&from, &to, options).await }.boxed()
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
