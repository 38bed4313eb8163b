//! A file on its way into HDFS.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use datafusion::object_store::path::Path;
use datafusion::object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use futures::FutureExt;
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, HdfsError, WriteOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::close::close;
use super::files::absolute;
use super::wording::Wording;
use crate::error::{StoreAction, StoreError};
use crate::store::io::{self, Stop};

/// Parts in the order of `put_part` go into a hidden file beside the target, which `complete` renames. Whatever
/// happens before that, the target stays as it was; the hidden file goes with an upload that is aborted or dropped.
pub(super) struct Upload {
    client: Client,
    wording: Wording,
    key: Path,
    temporary: String,
    replaces: bool,
    running: Option<Running>,
    /// Whether the hidden file may be there.
    is_open: bool,
}

/// The task that writes, which alone has the file: parts may be waited for in any order.
struct Running {
    parts: mpsc::UnboundedSender<Part>,
    task: JoinHandle<Result<()>>,
    _stop: Stop,
}

/// Bytes, and who is to know what became of them.
type Part = (PutPayload, oneshot::Sender<Result<()>>);

impl Upload {
    /// Makes the hidden file, and the folders above it.
    pub(super) async fn begin(client: Client, wording: Wording, key: &Path, replaces: bool) -> Result<Self> {
        let target = absolute(key);
        let (folder, name) = target.rsplit_once('/').unwrap_or(("", &target));
        let temporary = format!("{folder}/.{name}.{}.tmp", unique());
        let failed = |error| wording.of(StoreAction::Write, key, error);
        let mut writer = client.create(&temporary, WriteOptions::default()).await.map_err(failed)?;
        let (parts, mut incoming) = mpsc::unbounded_channel::<Part>();
        let trouble = Trouble {
            client: client.clone(),
            wording: wording.clone(),
            key: key.clone(),
            temporary: temporary.clone(),
        };
        let (task, stop) = io::spawn(async move {
            let mut failure: Option<StoreError> = None;
            let mut bytes = 0;
            while let Some((payload, tell)) = incoming.recv().await {
                bytes += payload.content_length() as u64;
                let written = match failure {
                    // Whichever part is waited for first is to tell the trouble.
                    Some(_) => Ok(()),
                    None => write(&mut writer, payload).await,
                };
                if let Err(error) = written {
                    failure = Some(trouble.of(error).await);
                }
                // Nobody has to wait for a part.
                let _ = tell.send(failure.as_ref().map_or(Ok(()), |told| Err(told.again().into())));
            }
            match failure {
                Some(told) => Err(told.into()),
                None => match close(&mut writer, || trouble.length(), bytes).await {
                    Ok(()) => Ok(()),
                    Err(error) => Err(trouble.of(error).await.into()),
                },
            }
        })
        .map_err(|error| Error::Generic { store: "HDFS", source: error.into() })?;
        let running = Some(Running { parts, task, _stop: stop });
        Ok(Self { client, wording, key: key.clone(), temporary, replaces, running, is_open: true })
    }

    fn failed(&self, error: HdfsError) -> Error {
        self.wording.of(StoreAction::Write, &self.key, error)
    }

    /// What the writing task gave, all parts being sent.
    async fn written(running: Running) -> Result<()> {
        drop(running.parts);
        running.task.await.unwrap_or_else(|error| Err(Error::JoinError { source: error }))
    }
}

/// What is needed to tell why bytes could not be written.
struct Trouble {
    client: Client,
    wording: Wording,
    key: Path,
    temporary: String,
}

impl Trouble {
    /// Bytes of the file that the NameNode knows of.
    async fn length(&self) -> Result<u64, HdfsError> {
        self.client.get_file_info(&self.temporary).await.map(|status| status.length as u64)
    }

    /// The error in words. A connection that failed was to a DataNode if the NameNode still answers.
    async fn of(&self, error: HdfsError) -> StoreError {
        let of_datanode = match &error {
            HdfsError::IOError(_) => self.client.get_file_info(&self.temporary).await.is_ok(),
            _ => false,
        };
        match of_datanode {
            true => self.wording.of_datanode(&self.key, error),
            false => self.wording.of_writing(&self.key, error),
        }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (tell, told) = oneshot::channel();
        let sent = self.running.as_ref().map(|running| running.parts.send((payload, tell)));
        if !matches!(sent, Some(Ok(()))) {
            return futures::future::ready(Err(ended())).boxed();
        }
        told.map(|told| told.unwrap_or_else(|_| Err(ended()))).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let running = self.running.take().ok_or_else(ended)?;
        let renamed = match Self::written(running).await {
            Ok(()) => {
                let renamed = self.client.rename(&self.temporary, &absolute(&self.key), self.replaces).await;
                renamed.map_err(|error| self.failed(error))
            }
            Err(error) => Err(error),
        };
        match renamed {
            Ok(()) => {
                self.is_open = false;
                Ok(PutResult { e_tag: None, version: None })
            }
            Err(error) => {
                // The first error says more than what the clearing up may come to.
                let _ = self.abort().await;
                Err(error)
            }
        }
    }

    async fn abort(&mut self) -> Result<()> {
        drop(self.running.take());
        if self.is_open {
            let gone = self.client.delete(&self.temporary, false).await;
            gone.map_err(|error| self.failed(error))?;
            self.is_open = false;
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        drop(self.running.take());
        if !self.is_open {
            return;
        }
        let (client, temporary) = (self.client.clone(), std::mem::take(&mut self.temporary));
        io::leave(async move {
            // There is nobody left who could be told.
            let _ = client.delete(&temporary, false).await;
        });
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("temporary", &self.temporary).finish_non_exhaustive()
    }
}

async fn write(writer: &mut FileWriter, payload: PutPayload) -> Result<(), HdfsError> {
    for bytes in payload {
        writer.write_bytes(bytes).await?;
    }
    Ok(())
}

/// Of a part that comes after a failed one, or after the end.
fn ended() -> Error {
    Error::Generic { store: "HDFS", source: "the upload has ended".into() }
}

/// A name that no other upload has, of this process or another.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{:x}-{:x}-{:x}", std::process::id(), time, COUNT.fetch_add(1, Ordering::Relaxed))
}
