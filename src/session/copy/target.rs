//! A place in a store that something is written to.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use object_store::ObjectStore;
use object_store::path::Path;

use super::{is_about_input, reworded};
use crate::output::staging::RemoteStaging;
use crate::store::{Kind, Location, Stores};

/// A write to a store; dropped without [`end`](Self::end), it leaves nothing visible.
pub(in crate::session) struct Target {
    /// As messages may call it.
    name: String,
    /// The object, or what the keys of all objects begin with.
    pub(in crate::session) key: Path,
    is_folder: bool,
    staging: RemoteStaging,
}

impl Target {
    /// # Errors
    /// A URL of no store, a store that is only read from.
    pub(in crate::session) fn of(context: &SessionContext, url: &str) -> Result<Self> {
        let stores = context.state_ref().read().config().get_extension::<Stores>();
        let stores = stores.ok_or_else(|| DataFusionError::Internal("a session without stores".into()))?;
        let name = stores.secrets().hide(url).into_owned();
        let Some(Location { kind, store, key }) = stores.locate(url).map_err(DataFusionError::from)? else {
            let text = format!("'{name}' cannot be written: it is neither a path nor the URL of a store");
            return Err(DataFusionError::Plan(text));
        };
        let is_folder = key.is_empty() || key.ends_with('/');
        let key = Path::parse(key.trim_end_matches('/')).map_err(|error| {
            DataFusionError::Plan(format!("'{name}' cannot be the name of what is written: {error}"))
        })?;
        if kind == Kind::Http {
            let text = format!("'{name}' cannot be written: web servers can only be read from");
            return Err(DataFusionError::Plan(text));
        }
        let inner = context.runtime_env().object_store(&store)?;
        let staging = match kind {
            Kind::Hdfs => RemoteStaging::moved(inner, &key),
            Kind::S3 | Kind::Gcs | Kind::Azure | Kind::Http => RemoteStaging::deferred(inner),
        };
        Ok(Self { name, key, is_folder, staging })
    }

    /// Whether it is a folder by its name.
    pub(in crate::session) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// What to write to.
    pub(in crate::session) fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        self.staging.store().ok_or_else(|| DataFusionError::Internal("a write that is over".into()))
    }

    /// Makes everything visible if all was written, or takes it back: when the error is told, nothing is left.
    ///
    /// # Errors
    /// That of the writing, or of the end.
    pub(in crate::session) async fn end<T>(self, written: Result<T>) -> Result<T> {
        match written {
            Ok(written) => {
                self.staging.commit().await.map_err(|failure| failure.told(&self.name))?;
                Ok(written)
            }
            Err(error) => {
                // The sinks tell less of it than the store did, or something else.
                let failure = self.staging.failure().filter(|_| !is_about_input(&error));
                self.staging.abandon().await;
                Err(failure.map_or_else(|| reworded(error, &self.name), |failure| failure.told(&self.name)))
            }
        }
    }
}
