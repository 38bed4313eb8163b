//! A store in memory that writes down what it is asked for.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// How often a request gives way before it is answered: the others of its kind begin meanwhile.
const TURNS: usize = 20;

#[derive(Debug)]
pub(super) struct Watched {
    inner: InMemory,
    log: Mutex<Vec<String>>,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
    /// Requests beyond so many are not answered.
    answers_max: AtomicUsize,
    asked: AtomicUsize,
    /// Whether no bytes are given by their number from the end.
    counts_from_start: AtomicBool,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            inner: InMemory::new(),
            log: Mutex::default(),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
            answers_max: AtomicUsize::new(usize::MAX),
            asked: AtomicUsize::new(0),
            counts_from_start: AtomicBool::new(false),
        }
    }
}

impl Watched {
    /// Answers so many requests from now on, and then no more.
    pub(super) fn answer_only(&self, count: usize) {
        self.asked.store(0, Ordering::SeqCst);
        self.answers_max.store(count, Ordering::SeqCst);
    }

    /// Refuses from now on what Azure refuses.
    pub(super) fn count_from_start(&self) {
        self.counts_from_start.store(true, Ordering::SeqCst);
    }

    pub(super) async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.inner.put(&Path::parse(key).unwrap(), bytes.into()).await.unwrap();
    }

    pub(super) async fn delete(&self, key: &str) {
        self.inner.delete(&Path::parse(key).unwrap()).await.unwrap();
    }

    /// The requests since this was last called.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.log())
    }

    /// How many requests were under way at once, at most.
    pub(super) fn together(&self) -> usize {
        self.under_way_max.load(Ordering::SeqCst)
    }

    /// Counts them anew.
    pub(super) fn count_anew(&self) {
        self.under_way_max.store(0, Ordering::SeqCst);
    }

    fn log(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap()
    }

    /// Writes a request down, and lets others come in before it is answered.
    async fn request(&self, text: String) {
        self.log().push(text);
        if self.asked.fetch_add(1, Ordering::SeqCst) >= self.answers_max.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.under_way_max.fetch_max(now, Ordering::SeqCst);
        let mut turns = 0;
        std::future::poll_fn(|context| {
            turns += 1;
            context.waker().wake_by_ref();
            if turns < TURNS { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

fn shown(range: Option<&GetRange>) -> String {
    range.map_or_else(|| "all".into(), ToString::to_string)
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let text = match options.head {
            true => format!("head {key}"),
            false => format!("get {key} {}", shown(options.range.as_ref())),
        };
        self.request(text).await;
        if self.counts_from_start.load(Ordering::SeqCst) && matches!(options.range, Some(GetRange::Suffix(_)))
        {
            return Err(Error::NotSupported { source: "it counts from the start".into() });
        }
        self.inner.get_opts(key, options).await
    }

    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.log().push(format!("list {}", prefix.map(Path::as_ref).unwrap_or_default()));
        self.inner.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request(format!("level {}", prefix.map(Path::as_ref).unwrap_or_default())).await;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
