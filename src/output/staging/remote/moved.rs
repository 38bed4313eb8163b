//! A store in which files are written into a hidden folder and renamed together, at the end.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::time::timeout;

use super::{CALM_REMOVAL_TIME_MAX, Failure, Gate, Shared, followed, lock, remove, stopped, unfit};
use crate::output::staging::MARK;
use crate::scratch;

/// What was written into the hidden folder.
#[derive(Debug)]
pub(super) struct Moves {
    inner: Arc<dyn ObjectStore>,
    gate: Gate,
    target: Path,
    /// The folder that the target is in, and the hidden one beside the target.
    parent: Path,
    hidden: Path,
    /// Whether there may be anything in the hidden folder.
    has_begun: AtomicBool,
    /// The keys of whole files.
    keys: Mutex<Vec<Path>>,
}

impl Moves {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, target: &Path) -> Self {
        let mut parts: Vec<_> = target.parts().collect();
        let name = parts.pop().map(|name| name.as_ref().to_string()).unwrap_or_default();
        let parent: Path = parts.into_iter().collect();
        let hidden = parent.clone().join(format!(".{name}{MARK}{}", scratch::random_suffix()));
        let (target, has_begun) = (target.clone(), AtomicBool::new(false));
        Self { inner, gate: Gate::new(), target, parent, hidden, has_begun, keys: Mutex::default() }
    }

    /// What went wrong first, if anything did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.gate.failure()
    }

    /// The key that a file is to have. HDFS has no colons in names, and values of keys (times) have some: they are
    /// escaped below the target as other marks are, and read back alike.
    fn fit(&self, key: &Path) -> Result<Path> {
        let Some(below) = key.prefix_match(&self.target) else { return Err(unfit("write elsewhere")) };
        let below = below.map(|part| part.as_ref().replace(':', "%3A"));
        let names: Vec<_> = self.target.parts().map(|part| part.as_ref().to_string()).chain(below).collect();
        // The parts are encoded already.
        Ok(Path::parse(names.join("/"))?)
    }

    /// Where the file of a key is until the end.
    fn begin(&self, key: &Path) -> Result<Path> {
        self.has_begun.store(true, Ordering::SeqCst);
        self.staged(key)
    }

    fn staged(&self, key: &Path) -> Result<Path> {
        let rest = key.prefix_match(&self.parent).ok_or_else(|| unfit("write elsewhere"))?;
        Ok(self.hidden.parts().chain(rest).collect())
    }

    /// Renames every file to its place. The first that fails stops it, and those before it are removed.
    pub(super) async fn commit(&self) -> Result<()> {
        self.gate.close();
        let keys = std::mem::take(&mut *lock(&self.keys));
        let mut moved = Vec::new();
        let mut failure = None;
        for key in keys {
            let renamed = match self.staged(&key) {
                Ok(staged) => self.inner.rename(&staged, &key).await,
                Err(error) => Err(error),
            };
            match renamed {
                Ok(()) => moved.push(key),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if failure.is_some() {
            let _ = timeout(CALM_REMOVAL_TIME_MAX, remove(&self.inner, moved)).await;
        }
        let _ = timeout(CALM_REMOVAL_TIME_MAX, self.remove()).await;
        failure.map_or(Ok(()), Err)
    }

    /// Removes the hidden folder.
    pub(super) async fn give_up(&self, time_max: Duration) {
        self.gate.stop().await;
        let _ = timeout(time_max, self.remove()).await;
    }

    async fn remove(&self) -> Result<()> {
        if !self.has_begun.load(Ordering::SeqCst) {
            return Ok(());
        }
        let files: Vec<_> = self.inner.list(Some(&self.hidden)).try_collect().await?;
        remove(&self.inner, files.into_iter().map(|file| file.location).collect()).await;
        // The folders, the deepest first: stores without any have none.
        let mut folders = vec![self.hidden.clone()];
        let mut at = 0;
        while let Some(folder) = folders.get(at).cloned() {
            folders.extend(self.inner.list_with_delimiter(Some(&folder)).await?.common_prefixes);
            at += 1;
        }
        for folder in folders.iter().rev() {
            let _ = self.inner.delete(folder).await;
        }
        Ok(())
    }
}

/// The store that is written to.
#[derive(Debug, Clone)]
pub(super) struct Moved(pub(super) Arc<Moves>);

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.inner)
    }
}

#[async_trait]
impl ObjectStore for Moved {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let pass = self.0.gate.enter()?;
        let (moves, key) = (Arc::clone(&self.0), self.0.fit(key)?);
        let staged = moves.begin(&key)?;
        let work = async move {
            let put = moves.gate.noted(moves.inner.put_opts(&staged, payload, options).await);
            if put.is_ok() {
                lock(&moves.keys).push(key);
            }
            drop(pass);
            put
        };
        followed(work).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let pass = self.0.gate.enter()?;
        let (moves, key) = (Arc::clone(&self.0), self.0.fit(key)?);
        let staged = moves.begin(&key)?;
        let work = async move {
            let begun = moves.gate.noted(moves.inner.put_multipart_opts(&staged, options).await);
            drop(pass);
            let upload = Arc::new(Mutex::new(Some(begun?)));
            Ok(Box::new(Upload { moves, key, upload }) as Box<dyn MultipartUpload>)
        };
        followed(work).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.inner.get_opts(&self.0.staged(&self.0.fit(key)?)?, options).await
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

/// A file that is written in parts.
#[derive(Debug)]
struct Upload {
    moves: Arc<Moves>,
    key: Path,
    upload: Shared,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.moves.gate.send(&self.upload, data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let pass = self.moves.gate.enter()?;
        let taken = lock(&self.upload).take();
        let Some(mut upload) = taken else { return Err(stopped()) };
        let (moves, key) = (Arc::clone(&self.moves), self.key.clone());
        let work = async move {
            let done = moves.gate.noted(upload.complete().await);
            if done.is_ok() {
                lock(&moves.keys).push(key);
            }
            drop(pass);
            done
        };
        followed(work).await
    }

    async fn abort(&mut self) -> Result<()> {
        let taken = lock(&self.upload).take();
        let Some(mut upload) = taken else { return Ok(()) };
        followed(async move { upload.abort().await }).await
    }
}
