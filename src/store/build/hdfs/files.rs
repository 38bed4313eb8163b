//! The files of an HDFS as objects. Folders are no objects; they come into being with the first file in them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    RenameTargetMode, Result,
};
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryFutureExt, TryStreamExt};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError};
use tokio::time::{sleep, timeout};

use super::upload::Upload;
use super::wording::{Wording, is_passing, passing};
use crate::error::StoreAction;
use crate::store::counted::Request;
use crate::store::line::Line;
use crate::store::tries::Tries;
use crate::store::trouble::What;

/// Deletions at a time.
const DELETIONS: usize = 16;
/// Rights of folders that are made on the way.
const FOLDER_RIGHTS: u32 = 0o755;

/// The files of an HDFS. Clones are the same.
#[derive(Clone)]
pub(super) struct Files {
    client: Client,
    wording: Wording,
    line: Arc<Line>,
}

impl Files {
    pub(super) fn new(client: Client, root: String, line: Arc<Line>) -> Self {
        Self { client, wording: Wording { root: root.into() }, line }
    }

    /// What the NameNode knows of a file.
    async fn meta(&self, key: &Path) -> Result<ObjectMeta> {
        let status = self.client.get_file_info(&absolute(key)).await;
        let status = status.map_err(|error| self.wording.of(StoreAction::Read, key, error))?;
        if status.isdir {
            let source = Box::new(HdfsError::IsADirectoryError(status.path));
            return Err(Error::NotFound { path: key.to_string(), source });
        }
        meta(&status)
    }

    /// What is in a folder, or below it; nothing if there is no such folder. A file is not in itself.
    async fn listed(&self, folder: Option<&Path>, is_deep: bool) -> Result<Vec<FileStatus>> {
        let key = folder.cloned().unwrap_or_default();
        let own = absolute(&key);
        let mut tries = Tries::first();
        loop {
            let wait = self.line.usual.wait(&self.line.patience, tries.attempts());
            let error = match self.listed_once(&own, is_deep, wait).await {
                Ok(found) => return Ok(found.into_iter().filter(|status| status.path != own).collect()),
                Err(Some(HdfsError::FileNotFound(_))) => return Ok(Vec::new()),
                Err(error) => error,
            };
            if !self.line.is_over(tries) && error.as_ref().is_none_or(is_passing) {
                let patience = &self.line.patience;
                sleep(patience.pause(tries.attempts(), None, patience.pause_first)).await;
                tries.again();
                self.line.counts.request(Request::List, true);
                continue;
            }
            return Err(match error {
                Some(error) => self.wording.of(StoreAction::List, &key, error),
                None => passing(What::Silent(wait)),
            });
        }
    }

    /// The error is none where nothing came for too long.
    async fn listed_once(
        &self,
        folder: &str,
        is_deep: bool,
        wait: Duration,
    ) -> Result<Vec<FileStatus>, Option<HdfsError>> {
        let mut found = Vec::new();
        let pages = self.client.list_status_iter(folder, is_deep);
        while let Some(status) = timeout(wait, pages.next()).await.map_err(|_| None)? {
            found.push(status.map_err(Some)?);
        }
        Ok(found)
    }

    /// Makes the folders above a file.
    async fn make_folders(&self, key: &Path) -> Result<()> {
        let own = absolute(key);
        let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.is_empty() {
            return Ok(());
        }
        let made = self.client.mkdirs(folder, FOLDER_RIGHTS, true).await;
        made.map_err(|error| self.wording.of(StoreAction::Write, key, error))
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wording.root)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("root", &self.wording.root).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for Files {
    /// Writes a hidden file beside the target and renames it: readers see the old file or the new one.
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let replaces = match options.mode {
            PutMode::Create => false,
            PutMode::Overwrite => true,
            PutMode::Update(_) => {
                return Err(Error::NotSupported { source: "HDFS cannot update a version of a file".into() });
            }
        };
        let mut upload = Upload::begin(self.client.clone(), self.wording.clone(), key, replaces).await?;
        let written = async {
            upload.put_part(payload).await?;
            upload.complete().await
        };
        let done = written.await;
        if done.is_err() {
            // The first error says more than what the clearing up may come to.
            let _ = upload.abort().await;
        }
        done
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload::begin(self.client.clone(), self.wording.clone(), key, true).await?))
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = self.meta(key).await?;
        options.check_preconditions(&meta)?;
        let all = || 0..meta.size;
        let range = match &options.range {
            _ if options.head => 0..0,
            None => all(),
            Some(range) => range
                .as_range(meta.size)
                .map_err(|error| Error::Generic { store: "HDFS", source: Box::new(error) })?,
        };
        let payload = if range.is_empty() {
            stream::empty().boxed()
        } else {
            self.bytes(key, &meta, range.clone()).await?
        };
        let payload = GetResultPayload::Stream(payload);
        Ok(GetResult { payload, range, meta, attributes: Default::default() })
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (client, wording) = (self.client.clone(), self.wording.clone());
        keys.map(move |key| {
            let (client, wording) = (client.clone(), wording.clone());
            async move {
                let key = key?;
                match client.delete(&absolute(&key), false).await {
                    Ok(true) => Ok(key),
                    Ok(false) => {
                        let source = Box::new(HdfsError::FileNotFound(absolute(&key)));
                        Err(Error::NotFound { path: key.to_string(), source })
                    }
                    Err(error) => Err(wording.of(StoreAction::Delete, &key, error)),
                }
            }
        })
        .buffered(DELETIONS)
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (files, prefix) = (self.clone(), prefix.cloned());
        let listed =
            async move { files.listed(prefix.as_ref(), true).await.map(|all| stream::iter(all).map(Ok)) };
        let files = listed.try_flatten_stream().try_filter(|status| ready(!status.isdir));
        files.and_then(|status| ready(meta(&status))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        for status in self.listed(prefix, false).await? {
            match status.isdir {
                true => found.common_prefixes.push(Path::parse(&status.path)?),
                false => found.objects.push(meta(&status)?),
            }
        }
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let replaces = match options.mode {
            CopyMode::Overwrite => true,
            CopyMode::Create => false,
        };
        let mut upload = Upload::begin(self.client.clone(), self.wording.clone(), to, replaces).await?;
        let copied = async {
            let mut bytes = self.get_opts(from, GetOptions::default()).await?.into_stream();
            while let Some(bytes) = bytes.try_next().await? {
                upload.put_part(bytes.into()).await?;
            }
            upload.complete().await
        };
        if let Err(error) = copied.await {
            let _ = upload.abort().await;
            return Err(error);
        }
        Ok(())
    }

    /// One step of the NameNode; of a folder, with all that is in it.
    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let replaces = match options.target_mode {
            RenameTargetMode::Overwrite => true,
            RenameTargetMode::Create => false,
        };
        self.make_folders(to).await?;
        let renamed = self.client.rename(&absolute(from), &absolute(to), replaces).await;
        renamed.map_err(|error| self.wording.of(StoreAction::Write, to, error))
    }
}

impl Files {
    /// Bytes of a file that is as it was when `meta` was asked for.
    async fn bytes(
        &self,
        key: &Path,
        meta: &ObjectMeta,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let wording = self.wording.clone();
        let own = key.clone();
        let failed = move |error| wording.of(StoreAction::Read, &own, error);
        let reader = self.client.read(&absolute(key)).await.map_err(&failed)?;
        // The blocks may be those of a file that took the place of this one since; beyond the end of a shorter one
        // the reader would panic.
        if reader.file_length() as u64 != meta.size || self.meta(key).await?.e_tag != meta.e_tag {
            let source =
                format!("'{}{}' changed while it was opened", self.wording.root, absolute(key)).into();
            return Err(Error::Precondition { path: key.to_string(), source });
        }
        let place = |at: u64| {
            usize::try_from(at).map_err(|error| Error::Generic { store: "HDFS", source: error.into() })
        };
        let (start, length) = (place(range.start)?, place(range.end - range.start)?);
        Ok(reader.read_range_stream(start, length).map_err(failed).boxed())
    }
}

/// HDFS has no ETags; what is written anew has another time, or another length.
fn meta(status: &FileStatus) -> Result<ObjectMeta> {
    let time = UNIX_EPOCH + Duration::from_millis(status.modification_time);
    Ok(ObjectMeta {
        location: Path::parse(&status.path)?,
        last_modified: time.into(),
        size: status.length as u64,
        e_tag: Some(format!("{:x}-{:x}", status.modification_time, status.length)),
        version: None,
    })
}

/// The path of a key, as HDFS has it.
pub(super) fn absolute(key: &Path) -> String {
    format!("/{key}")
}
