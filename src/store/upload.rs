//! Objects that are sent in parts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::object_store::path::Path;
use datafusion::object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use tokio::sync::Mutex;

use super::wording::About;
use super::{io, pump};

/// An upload whose requests run on the threads for I/O.
pub(super) struct Upload {
    inner: Arc<Mutex<Box<dyn MultipartUpload>>>,
    key: Path,
    about: About,
}

impl Upload {
    pub(super) fn new(inner: Box<dyn MultipartUpload>, key: Path, about: About) -> Self {
        Self { inner: Arc::new(Mutex::new(inner)), key, about }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("key", &self.key).finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (about, key) = (self.about.clone(), self.key.clone());
        let Ok(mut inner) = self.inner.try_lock() else {
            return Box::pin(async {
                Err(pump::broken(std::io::Error::other("a part was sent to an upload that is being ended")))
            });
        };
        let part = inner.put_part(data);
        Box::pin(async move {
            io::run(part).await.map_err(pump::broken).flatten().map_err(|error| about.worded(&key, error))
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let inner = Arc::clone(&self.inner);
        let done = io::run(async move { inner.lock().await.complete().await }).await;
        done.map_err(pump::broken).flatten().map_err(|error| self.about.worded(&self.key, error))
    }

    async fn abort(&mut self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let done = io::run(async move { inner.lock().await.abort().await }).await;
        done.map_err(pump::broken).flatten().map_err(|error| self.about.worded(&self.key, error))
    }
}
