//! A file that is read up to a place, and from there on when the test says so.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use query::Session;
use query::datafusion::execution::object_store::ObjectStoreRegistry;
use tokio::sync::watch;
use url::Url;

/// Bytes that come at once: less than a batch has, for the engine takes a piece for each batch that it gives.
const PIECE: usize = 16 << 10;

/// A store with files that end too late. Clones are the same store.
#[derive(Debug, Clone)]
pub(super) struct Gated {
    inner: Arc<InMemory>,
    /// Bytes that are read without asking.
    free: u64,
    gate: Arc<watch::Sender<bool>>,
}

impl Gated {
    /// One file of text of which so many bytes can be read. Gives its URL in this session.
    pub(super) async fn start(session: &Session, text: &str, free: u64) -> (Self, String) {
        let inner = Arc::new(InMemory::new());
        inner.put_opts(&Path::from("a.csv"), text.to_string().into(), PutOptions::default()).await.unwrap();
        let gated = Self { inner, free, gate: Arc::new(watch::Sender::new(false)) };
        session.stores().register_store(&Url::parse("gs://gated").unwrap(), Arc::new(gated.clone()));
        (gated, "gs://gated/a.csv".to_string())
    }

    /// Lets the rest be read.
    pub(super) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// The bytes of a range, those behind the gate when it is open.
    fn pieces(&self, range: Range<u64>, bytes: Bytes) -> BoxStream<'static, Result<Bytes>> {
        let free = usize::try_from(self.free.saturating_sub(range.start)).unwrap().min(bytes.len());
        let (before, behind) = (bytes.slice(..free), bytes.slice(free..));
        let cut = |bytes: Bytes| {
            let starts = (0..bytes.len()).step_by(PIECE);
            stream::iter(starts.map(move |start| Ok(bytes.slice(start..bytes.len().min(start + PIECE)))))
        };
        let mut gate = self.gate.subscribe();
        let is_empty = behind.is_empty();
        let opened = async move {
            if !is_empty {
                gate.wait_for(|is_open| *is_open).await.unwrap();
            }
            cut(behind)
        };
        cut(before).chain(opened.flatten_stream()).boxed()
    }
}

impl fmt::Display for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gated")
    }
}

fn read_only<T>() -> Result<T> {
    Err(Error::NotSupported { source: "it is only read from".into() })
}

#[async_trait::async_trait]
impl ObjectStore for Gated {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        read_only()
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let found = self.inner.get_opts(key, options).await?;
        if is_head {
            return Ok(found);
        }
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let bytes = found.bytes().await?;
        let payload = GetResultPayload::Stream(self.pieces(range.clone(), bytes));
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        read_only()
    }
}
