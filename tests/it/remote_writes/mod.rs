//! Writes through S3 and HDFS as they are, and what they leave there.

mod datanodes;
mod faults;
mod partitions;
mod source;
mod tables;

use datafusion::object_store::path::Path as Key;
use datafusion::object_store::{Error, ObjectStore, ObjectStoreExt};
use futures::TryStreamExt;
use hdfs_native::{Client, ClientBuilder, HdfsError};
use query::Session;
use query::session::SessionOptions;

use crate::engine::{self, Answer, Way};
use crate::remote_tables::let_in;
use crate::servers::{Hdfs, S3};

/// What one can write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    S3,
    Hdfs,
}

impl Server {
    pub(crate) const ALL: [Self; 2] = [Self::S3, Self::Hdfs];
}

/// A bucket, or a folder, that one test writes to. It is looked at by clients that are no part of the program.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    server: Server,
    name: String,
}

impl Place {
    /// An empty one.
    pub(crate) fn new(server: Server, name: &str) -> Self {
        if server == Server::S3 {
            S3::get().bucket(name);
        }
        Self { server, name: name.to_string() }
    }

    /// The URL of something in it.
    pub(crate) fn url(&self, path: &str) -> String {
        match self.server {
            Server::S3 => format!("s3://{}/{path}", self.name),
            Server::Hdfs => format!("{}/written/{}/{path}", Hdfs::get().url(), self.name),
        }
    }

    /// A session that may write to it.
    async fn session(&self) -> Session {
        self.session_with(SessionOptions::default(), &S3::get().endpoint).await
    }

    /// One partition, so that files have the rows in order.
    async fn session_with(&self, options: SessionOptions, endpoint: &str) -> Session {
        let session = Way::local(1).session_with(options).await.unwrap();
        if self.server == Server::S3 {
            let_in(&session, endpoint, &S3::get().writer);
        }
        session
    }

    /// The files in it, and what is left of a write that is not over: sorted paths. Folders end with a slash, and are
    /// named only if nobody is to see them.
    pub(crate) async fn names(&self) -> Vec<String> {
        let mut names = match self.server {
            Server::S3 => {
                let client = S3::client(&S3::get().endpoint, &self.name, &S3::get().writer);
                let objects: Vec<_> = client.list(None).try_collect().await.unwrap();
                let names: Vec<_> = objects.into_iter().map(|object| object.location.to_string()).collect();
                let open = S3::get().unfinished_uploads(&self.name);
                assert_eq!(open, 0, "uploads that are still open beside {names:?}");
                names
            }
            Server::Hdfs => self.hdfs_names().await,
        };
        names.sort();
        names
    }

    async fn hdfs_names(&self) -> Vec<String> {
        let root = format!("/written/{}", self.name);
        let found = match hdfs().list_status(&root, true).await {
            Err(HdfsError::FileNotFound(_)) => Vec::new(),
            found => found.unwrap(),
        };
        let name = |path: &str| path[root.len() + 1..].to_string();
        let is_hidden = |name: &str| name.split('/').any(|part| part.starts_with('.'));
        let named = found.into_iter().map(|status| (name(&status.path), status.isdir));
        named
            .filter(|(name, is_folder)| !is_folder || is_hidden(name))
            .map(|(name, is_folder)| if is_folder { format!("{name}/") } else { name })
            .collect()
    }

    /// A file's bytes; `None` if there is none.
    pub(crate) async fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        match self.server {
            Server::S3 => {
                let client = S3::client(&S3::get().endpoint, &self.name, &S3::get().writer);
                match client.get(&Key::parse(path).unwrap()).await {
                    Err(Error::NotFound { .. }) => None,
                    found => Some(found.unwrap().bytes().await.unwrap().to_vec()),
                }
            }
            Server::Hdfs => match hdfs().read(&format!("/written/{}/{path}", self.name)).await {
                Err(HdfsError::FileNotFound(_)) => None,
                reader => {
                    let reader = reader.unwrap();
                    let pieces: Vec<_> =
                        reader.read_range_stream(0, reader.file_length()).try_collect().await.unwrap();
                    Some(pieces.concat())
                }
            },
        }
    }
}

fn hdfs() -> Client {
    ClientBuilder::new().with_url(Hdfs::get().url()).build().unwrap()
}

/// Runs statements of which the last one writes; gives the number of rows.
async fn write(session: &Session, sql: &str) -> query::Result<u64> {
    match engine::run(session, sql).await? {
        Answer::Count(rows) => Ok(rows),
        Answer::Rows(..) => panic!("{sql}: not a write"),
    }
}
