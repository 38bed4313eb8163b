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
        if let Some(trouble) = credentials(kind, authority) {
            let help = format!(
                "make them known with CREATE SECRET name (TYPE {kind}, …), and leave them out of the URL"
            );
            return Err(wrong(trouble.into()).with_help(help));
        }
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

/// What is wrong with an authority that has keys in it. Those of web servers are put aside; elsewhere nobody would look
/// for them there, and names of files would show them.
fn credentials(kind: Kind, authority: &str) -> Option<&'static str> {
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    // A slash in a key ends the authority.
    let is_torn = host.split_once(':').is_some_and(|(_, port)| port.contains(|c: char| !c.is_ascii_digit()));
    match kind {
        Kind::Http => None,
        Kind::S3 | Kind::Gcs => {
            (user.is_some() || is_torn).then_some("a URL of this kind has no name or keys before the bucket")
        }
        // Of Azure the container, of HDFS the user.
        Kind::Azure | Kind::Hdfs => (is_torn || user.is_some_and(|user| user.contains(':')))
            .then_some("a URL of this kind has no password"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_a_url_are_refused_and_not_shown() {
        let secrets = Secrets::new();
        for text in [
            "s3a://AKIDINURL:hush/now@bucket/x.csv",
            "gs://hush-now-1@bucket/x.csv",
            "hdfs://ann:hush-now-2@nn:8020/x.csv",
            "abfss://container:hush-now-3@account.dfs.core.windows.net/x.csv",
        ] {
            let error = Location::parse(text, &secrets).unwrap_err();
            let told = format!("{error} {}", error.help.as_deref().unwrap_or_default());
            assert!(
                told.contains("CREATE SECRET") && !told.contains("hush") && !told.contains("AKID"),
                "{told}"
            );
        }
        for text in ["hdfs://ann@nn:8020/x.csv", "abfss://container@account.dfs.core.windows.net/x.csv"] {
            assert!(Location::parse(text, &secrets).unwrap().is_some(), "{text}");
        }
    }
}
