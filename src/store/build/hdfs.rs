//! HDFS, spoken natively: no JVM, no Hadoop on this machine.
//!
//! Name services, their NameNodes and whether Kerberos is asked for are read from the settings in `HADOOP_CONF_DIR` (or
//! `HADOOP_HOME/etc/hadoop`): `core-site.xml` and `hdfs-site.xml`. Without Kerberos the user is the secret's, the URL's,
//! that of `HADOOP_USER_NAME`, or whoever runs this process. With it, the ticket is in the machine's usual place
//! (`kinit`).

mod close;
mod files;
mod upload;
mod wording;

use std::sync::Arc;

use datafusion::object_store::{ObjectStore, Result};
use hdfs_native::{ClientBuilder, HdfsError};
use url::{Position, Url};

use crate::error::StoreError;
use crate::store::io;
use crate::store::line::Line;
use crate::store::secret::Secret;
use files::Files;

/// Where a NameNode listens that nobody says anything about.
const PORT: u16 = 8020;

/// A NameNode (`hdfs://host:8020`) or a name service of the settings (`hdfs://name`). A host that is neither is a
/// NameNode on the usual port. Nothing is asked of it yet.
pub(super) async fn open(
    url: &Url,
    secret: Option<&Secret>,
    line: &Arc<Line>,
) -> Result<Arc<dyn ObjectStore>> {
    let root = format!("hdfs://{}", &url[Position::BeforeHost..Position::AfterPort]);
    let runtime = io::handle().map_err(|error| StoreError::new(&root, error.to_string()))?;
    let user = secret.and_then(|secret| secret.get("user"));
    let user = user.or(Some(url.username()).filter(|user| !user.is_empty()));
    let client = |root: &str, is_alone: bool| {
        let builder = ClientBuilder::new().with_url(root).with_io_runtime(runtime.clone());
        let builder = match is_alone {
            // There is none to fail over to, and the client would ask it for minutes.
            true => builder.with_config([("dfs.client.failover.max.attempts", "0")]),
            false => builder,
        };
        match user {
            Some(user) => builder.with_user(user).build(),
            None => builder.build(),
        }
    };
    let client = match client(&root, url.port().is_some()) {
        // It has no word of its own for a name service that the settings do not know.
        Err(HdfsError::InvalidArgument(_)) if url.port().is_none() => client(&format!("{root}:{PORT}"), true),
        made => made,
    };
    let client = client.map_err(|error| wording::settings(&root, error))?;
    Ok(Arc::new(Files::new(client, root, Arc::clone(line))))
}
