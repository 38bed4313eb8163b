//! The store that a staging folder is: files are made in it until it is closed, and none after that.
//!
//! A store of local files makes them on threads that go on when nobody waits any more, and makes the folders that
//! a file lacks, too: a stopped write would bring back the folder that was just removed.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// How long files that are just being made are waited for: a disk may be slow, but not for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many files are being made, and whether more may be.
#[derive(Debug, Default)]
struct Count {
    making: usize,
    is_closed: bool,
}

/// Lets files be made until it is closed.
#[derive(Debug, Default)]
struct Gate {
    count: Mutex<Count>,
    changed: Condvar,
}

impl Gate {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Option<Pass> {
        let mut count = self.count();
        if count.is_closed {
            return None;
        }
        count.making += 1;
        drop(count);
        Some(Pass(Arc::clone(self)))
    }
}

/// One file that is being made.
struct Pass(Arc<Gate>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.count().making -= 1;
        self.0.changed.notify_all();
    }
}

/// Closes the store when it is dropped: waits for files that are just being made, refuses those that come later.
#[derive(Debug)]
pub(super) struct Closing(Arc<Gate>);

impl Drop for Closing {
    fn drop(&mut self) {
        let mut count = self.0.count();
        count.is_closed = true;
        let waited = self.0.changed.wait_timeout_while(count, PATIENCE, |count| count.making > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The files below one folder, as a store.
#[derive(Debug)]
pub(super) struct StagedStore {
    inner: Arc<LocalFileSystem>,
    gate: Arc<Gate>,
}

impl StagedStore {
    /// The store of an existing folder, and what closes it.
    pub(super) fn open(folder: &Path) -> Result<(Self, Closing)> {
        let inner = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
        let gate = Arc::new(Gate::default());
        Ok((Self { inner, gate: Arc::clone(&gate) }, Closing(gate)))
    }

    /// Makes a file on a thread that holds a pass until it is made, whoever waits for it.
    async fn make<T: Send + 'static>(
        &self,
        make: impl AsyncFnOnce(Arc<LocalFileSystem>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(pass) = self.gate.enter() else { return Err(stopped("the write was stopped")) };
        let (inner, handle) = (Arc::clone(&self.inner), Handle::current());
        let made = spawn_blocking(move || {
            let made = handle.block_on(make(inner));
            drop(pass);
            made
        });
        made.await.map_err(stopped)?
    }
}

fn stopped(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "staging", source: source.into() }
}

impl fmt::Display for StagedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "staging of {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for StagedStore {
    async fn put_opts(
        &self,
        location: &Location,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let location = location.clone();
        self.make(async move |store| store.put_opts(&location, payload, options).await).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let location = location.clone();
        self.make(async move |store| store.put_multipart_opts(&location, options).await).await
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Location>>,
    ) -> BoxStream<'static, Result<Location>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;
    use std::future::Future;
    use std::task::{Context, Waker};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_that_nobody_waits_for_makes_no_file_after_the_close() {
        for _ in 0..200 {
            let room = tempfile::tempdir().unwrap();
            let folder = room.path().join("staging");
            std::fs::create_dir(&folder).unwrap();
            let (store, closing) = StagedStore::open(&folder).unwrap();
            let store = Arc::new(store);
            // Begun, then forgotten, as a stopped statement does.
            let location = Location::from("out.csv");
            let mut begun = Box::pin(store.put_multipart(&location));
            let polled = begun.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop((begun, polled));
            drop(closing);
            std::fs::remove_dir_all(&folder).unwrap();
            assert!(store.put(&location, "late".into()).await.is_err(), "closed");
            tokio::task::yield_now().await;
            assert!(!folder.exists());
        }
    }

    #[tokio::test]
    async fn a_whole_write_is_in_the_folder() {
        let room = tempfile::tempdir().unwrap();
        let (store, closing) = StagedStore::open(room.path()).unwrap();
        store.put(&Location::from("k=1/a b.csv"), "x".into()).await.unwrap();
        drop(closing);
        assert_eq!(std::fs::read_to_string(room.path().join("k=1/a b.csv")).unwrap(), "x");
    }
}
