//! What a text names: a store and a key in it, or nothing of ours.

use datafusion::execution::object_store::ObjectStoreUrl;
use url::Url;

use super::secret::{Kind, Secrets};
use crate::error::StoreError;

/// A place in a store of the network, as a text has it: `s3://bucket/2026/*/part-*.parquet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// What kind of store it is in.
    pub kind: Kind,
    /// The store. Neither a password nor the query of a URL is in it.
    pub store: ObjectStoreUrl,
    /// The key, not percent-decoded, and perhaps a pattern; without a slash at the beginning.
    pub key: String,
}

impl Location {
    /// The place that a text names; `None` if the text has no scheme of a store of the network.
    ///
    /// Keys are taken as they are written: `%20` is three characters. Those of web servers are the path as the URL has
    /// it; passwords and queries, which may let one in, are put aside in `secrets`.
    ///
    /// # Errors
    /// A text that begins as a URL of ours, and is none.
    pub fn parse(text: &str, secrets: &Secrets) -> Result<Option<Self>, StoreError> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let Some(kind) = Kind::of_scheme(scheme) else { return Ok(None) };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, key) = rest.split_at(end);
        if authority.is_empty() {
            return Err(StoreError::new(text, "the URL names no bucket or host"));
        }
        let wrong = |trouble: String| StoreError::new(secrets.hide(text), trouble);
        let (authority, key) = match kind {
            Kind::Http => super::aside::put(authority, key, secrets),
            Kind::S3 | Kind::Gcs | Kind::Azure | Kind::Hdfs => {
                (authority.to_string(), key.trim_start_matches('/').to_string())
            }
        };
        let scheme = match kind {
            Kind::Http => scheme.to_ascii_lowercase(),
            Kind::S3 | Kind::Gcs | Kind::Hdfs => kind.schemes()[0].to_string(),
            // The account is in the URL of some, and in the secret for others.
            Kind::Azure if authority.contains('@') => "abfss".to_string(),
            Kind::Azure => "az".to_string(),
        };
        let store = format!("{scheme}://{authority}");
        if let Err(error) = Url::parse(&store) {
            return Err(wrong(format!("it is no URL: {error}")));
        }
        let store = ObjectStoreUrl::parse(&store).map_err(|error| wrong(error.message().into_owned()))?;
        Ok(Some(Self { kind, store, key }))
    }
}
