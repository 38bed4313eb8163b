//! A store in which uploads begin at once and are completed together, at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::time::timeout;

use super::{
    CALM_REMOVAL_TIME_MAX, CONCURRENCY, Failure, Gate, Shared, abort, failed, followed, lock, remove,
    stopped, unfit,
};

/// Bytes of small objects that are kept until the end; more go at once, as uploads of one part.
const HELD_BYTES_MAX: usize = 64 << 20;

/// What was written and is not to be seen yet.
#[derive(Debug)]
pub(super) struct Uploads {
    inner: Arc<dyn ObjectStore>,
    gate: Gate,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    begun: BTreeMap<u64, Begun>,
    held: Vec<Object>,
    held_bytes: usize,
    next: u64,
    /// Whether all was given up: what comes late has to go by itself.
    is_over: bool,
}

#[derive(Debug)]
struct Begun {
    key: Path,
    upload: Shared,
    /// Whether all its parts are there.
    is_whole: bool,
}

/// One object that is to appear.
#[derive(Debug)]
enum Object {
    Begun { key: Path, upload: Shared },
    Held { key: Path, payload: PutPayload, options: PutOptions },
}

impl Uploads {
    pub(super) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, gate: Gate::new(), state: Mutex::default() }
    }

    /// Begins an upload, and takes note of it whoever waits for that.
    async fn begin(self: &Arc<Self>, key: &Path, options: PutMultipartOptions) -> Result<Upload> {
        let pass = self.gate.enter()?;
        let (uploads, key) = (Arc::clone(self), key.clone());
        let work = async move {
            let begun = uploads.gate.noted(uploads.inner.put_multipart_opts(&key, options).await);
            let kept = match begun {
                Ok(upload) => uploads.keep(key, upload).await,
                Err(error) => Err(error),
            };
            drop(pass);
            kept.map(|(number, upload)| Upload { uploads: Arc::clone(&uploads), number, upload })
        };
        followed(work).await
    }

    /// What went wrong first, if anything did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.gate.failure()
    }

    async fn keep(&self, key: Path, upload: Box<dyn MultipartUpload>) -> Result<(u64, Shared)> {
        let upload: Shared = Arc::new(Mutex::new(Some(upload)));
        {
            let mut state = lock(&self.state);
            if !state.is_over {
                let number = state.next;
                state.next += 1;
                let begun = Begun { key, upload: Arc::clone(&upload), is_whole: false };
                state.begun.insert(number, begun);
                return Ok((number, upload));
            }
        }
        abort(upload).await;
        Err(stopped())
    }

    /// Keeps a small object, if there is room for it.
    fn hold(&self, key: &Path, payload: &PutPayload, options: &PutOptions) -> bool {
        let mut state = lock(&self.state);
        let bytes = payload.content_length();
        let fits = bytes == 0 || state.held_bytes + bytes <= HELD_BYTES_MAX;
        if fits {
            state.held_bytes += bytes;
            let (payload, options) = (payload.clone(), options.clone());
            state.held.push(Object::Held { key: key.clone(), payload, options });
        }
        fits
    }

    /// Makes everything visible.
    pub(super) async fn commit(&self) -> Result<()> {
        self.gate.close();
        let (begun, held) = {
            let mut state = lock(&self.state);
            state.is_over = true;
            (std::mem::take(&mut state.begun), std::mem::take(&mut state.held))
        };
        let is_whole = begun.values().all(|begun| begun.is_whole);
        let begun = begun.into_values().map(|Begun { key, upload, .. }| Object::Begun { key, upload });
        let objects: Vec<_> = begun.chain(held).collect();
        let has_failed = AtomicBool::new(!is_whole);
        let has_failed = Arc::new(has_failed);
        let end = |object: Object| object.end(Arc::clone(&self.inner), Arc::clone(&has_failed));
        let ends: Vec<_> = objects.into_iter().map(end).collect();
        let is_alone = ends.len() == 1;
        let ends: Vec<_> = stream::iter(ends).buffer_unordered(CONCURRENCY).collect().await;
        let mut keys = Vec::new();
        let mut failure = (!is_whole).then(|| failed(std::io::Error::other("a file was not ended")));
        for (key, end) in ends {
            match end {
                Ok(End::Visible) => keys.push(key),
                Ok(End::GivenUp) => {}
                Err(error) => {
                    // It may be there all the same, if only the answer was lost. One that is alone stays as it is: the
                    // one in its place may be the one from before. Several have names that none had before.
                    keys.extend(Some(key).filter(|_| !is_alone));
                    failure = failure.or(Some(error));
                }
            }
        }
        let Some(failure) = failure else { return Ok(()) };
        // What is whole by itself is a part of what was to be written.
        let _ = timeout(CALM_REMOVAL_TIME_MAX, remove(&self.inner, keys)).await;
        Err(failure)
    }

    /// Aborts all that was begun.
    pub(super) async fn give_up(&self, time_max: Duration) {
        self.gate.stop().await;
        let begun = {
            let mut state = lock(&self.state);
            state.is_over = true;
            state.held.clear();
            std::mem::take(&mut state.begun)
        };
        let aborts: Vec<_> = begun.into_values().map(|begun| abort(begun.upload)).collect();
        let aborts = stream::iter(aborts).buffer_unordered(CONCURRENCY).collect::<Vec<_>>();
        let _ = timeout(time_max, aborts).await;
    }
}

/// What became of an object at the end.
enum End {
    Visible,
    /// Another one had failed.
    GivenUp,
}

impl Object {
    /// Makes it visible; gives it up if another one has failed. Gives its key too.
    async fn end(self, inner: Arc<dyn ObjectStore>, has_failed: Arc<AtomicBool>) -> (Path, Result<End>) {
        let is_over = has_failed.load(Ordering::SeqCst);
        let (key, done) = match self {
            Self::Begun { key, upload } if is_over => {
                let _ = timeout(CALM_REMOVAL_TIME_MAX, abort(upload)).await;
                return (key, Ok(End::GivenUp));
            }
            Self::Held { key, .. } if is_over => return (key, Ok(End::GivenUp)),
            Self::Begun { key, upload } => (key, completed(upload).await),
            Self::Held { key, payload, options } => {
                let put = inner.put_opts(&key, payload, options).await;
                (key, put.map(drop))
            }
        };
        if done.is_err() {
            has_failed.store(true, Ordering::SeqCst);
        }
        (key, done.map(|()| End::Visible))
    }
}

async fn completed(upload: Shared) -> Result<()> {
    let taken = lock(&upload).take();
    let Some(mut taken) = taken else { return Err(stopped()) };
    let done = taken.complete().await;
    if done.is_err() {
        *lock(&upload) = Some(taken);
        let _ = timeout(CALM_REMOVAL_TIME_MAX, abort(upload)).await;
    }
    done.map(drop)
}

/// The store that is written to.
#[derive(Debug, Clone)]
pub(super) struct Deferred(pub(super) Arc<Uploads>);

impl fmt::Display for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.inner)
    }
}

#[async_trait]
impl ObjectStore for Deferred {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let pass = self.0.gate.enter()?;
        if !self.0.hold(key, &payload, &options) {
            let mut upload = self.0.begin(key, PutMultipartOptions::default()).await?;
            upload.put_part(payload).await?;
            upload.complete().await?;
        }
        drop(pass);
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(self.0.begin(key, options).await?))
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.inner.get_opts(key, options).await
    }

    fn delete_stream(&self, _keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(unfit("delete")) }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(unfit("copy"))
    }
}

/// An upload whose end is put off.
#[derive(Debug)]
struct Upload {
    uploads: Arc<Uploads>,
    number: u64,
    upload: Shared,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.uploads.gate.send(&self.upload, data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        match lock(&self.uploads.state).begun.get_mut(&self.number) {
            Some(begun) => {
                begun.is_whole = true;
                Ok(PutResult { e_tag: None, version: None })
            }
            None => Err(stopped()),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        let begun = lock(&self.uploads.state).begun.remove(&self.number);
        match begun {
            Some(begun) => {
                let work = async move {
                    abort(begun.upload).await;
                    Ok(())
                };
                followed(work).await
            }
            None => Ok(()),
        }
    }
}
