//! A store in memory that writes down what is asked of it, and fails where it is told to.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// Something that is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Begin,
    Part,
    Complete,
    Abort,
    Put,
    Rename,
    Delete,
}

#[derive(Debug, Default)]
struct Log {
    steps: Vec<(Step, String)>,
    /// The step that fails, and how many of its kind go well before.
    fault: Option<(Step, usize)>,
    /// The step that takes a while.
    slow: Option<Step>,
}

/// The store. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder {
    inner: Arc<InMemory>,
    log: Arc<Mutex<Log>>,
}

impl Recorder {
    /// A store in which a step fails, after so many of its kind.
    pub(super) fn failing(step: Step, after: usize) -> Self {
        let recorder = Self::default();
        recorder.log.lock().unwrap().fault = Some((step, after));
        recorder
    }

    /// A store in which a step takes a while.
    pub(super) fn slow(step: Step) -> Self {
        let recorder = Self::default();
        recorder.log.lock().unwrap().slow = Some(step);
        recorder
    }

    /// All steps that were begun, in order.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.log.lock().unwrap().steps.iter().map(|(step, _)| *step).collect()
    }

    pub(super) fn count(&self, step: Step) -> usize {
        self.steps().into_iter().filter(|other| *other == step).count()
    }

    /// The keys that somebody who lists the store sees, sorted.
    pub(super) async fn keys(&self) -> Vec<String> {
        let objects: Vec<_> = self.inner.list(None).try_collect().await.unwrap();
        let mut keys: Vec<_> = objects.iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        keys
    }

    /// Writes all objects below a folder.
    pub(super) async fn save(&self, folder: &std::path::Path) {
        for key in self.keys().await {
            let bytes = self.inner.get(&Path::parse(&key).unwrap()).await.unwrap().bytes().await.unwrap();
            let file = folder.join(&key);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    }

    pub(super) async fn put_there(&self, key: &str, text: &'static str) {
        self.inner.put(&Path::parse(key).unwrap(), text.into()).await.unwrap();
    }

    pub(super) async fn text(&self, key: &str) -> String {
        let bytes = self.inner.get(&Path::parse(key).unwrap()).await.unwrap().bytes().await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn note(&self, step: Step, key: &Path) -> BoxFuture<'static, Result<()>> {
        let (fails, is_slow) = {
            let mut log = self.log.lock().unwrap();
            log.steps.push((step, key.to_string()));
            let count = log.steps.iter().filter(|(other, _)| *other == step).count();
            (log.fault.is_some_and(|(at, after)| at == step && count > after), log.slow == Some(step))
        };
        async move {
            if is_slow {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            match fails {
                true => Err(Error::Generic { store: "recorder", source: "planted failure".into() }),
                false => Ok(()),
            }
        }
        .boxed()
    }
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("recorder")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Recorder {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.note(Step::Put, key).await?;
        self.inner.put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.note(Step::Begin, key).await?;
        let inner = self.inner.put_multipart_opts(key, options).await?;
        Ok(Box::new(Upload { recorder: self.clone(), key: key.clone(), inner }))
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let recorder = self.clone();
        let noted = keys.and_then(move |key| {
            let noted = recorder.note(Step::Delete, &key);
            async move { noted.await.map(|()| key) }
        });
        self.inner.delete_stream(noted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.note(Step::Rename, to).await?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Upload {
    recorder: Recorder,
    key: Path,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let noted = self.recorder.note(Step::Part, &self.key);
        let part = self.inner.put_part(data);
        async move {
            noted.await?;
            part.await
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.recorder.note(Step::Complete, &self.key).await?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.recorder.note(Step::Abort, &self.key).await?;
        self.inner.abort().await
    }
}
