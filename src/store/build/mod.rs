//! How each kind of store is opened: from the environment and from a secret.

mod azure;
mod gcs;
mod hdfs;
mod http;
mod region;
mod s3;
mod strays;

use std::sync::Arc;

use datafusion::object_store::{ClientOptions, ObjectStore, Result};
use url::Url;

use super::line::Line;
use super::secret::{Kind, Secret};
use super::wire::Wire;

/// Opens the store of a URL, of which only scheme and authority count.
///
/// # Errors
/// Settings that are missing or make no sense; what a source of credentials answers.
pub(super) async fn open(
    kind: Kind,
    url: &Url,
    secret: Option<&Secret>,
    line: &Arc<Line>,
) -> Result<Arc<dyn ObjectStore>> {
    let wire = Wire(Arc::clone(line));
    match kind {
        Kind::S3 => s3::open(url, secret, wire).await,
        Kind::Gcs => gcs::open(url, secret, wire).await,
        Kind::Azure => azure::open(url, secret, wire).await,
        Kind::Http => http::open(url, secret, wire).await,
        Kind::Hdfs => hdfs::open(url, secret, line).await,
    }
}

/// The options of a client of an endpoint: connections are encrypted unless the endpoint says otherwise.
fn options(endpoint: Option<&str>) -> ClientOptions {
    Wire::options().with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
}

/// An endpoint as a URL: one without a scheme is taken to speak TLS unless `use_ssl` is `false`.
fn endpoint(secret: Option<&Secret>) -> Option<String> {
    let secret = secret?;
    let endpoint = secret.get("endpoint")?.trim_end_matches('/');
    if endpoint.contains("://") {
        return Some(endpoint.to_string());
    }
    let plain = secret.get("use_ssl").is_some_and(|value| value.eq_ignore_ascii_case("false"));
    Some(format!("{}://{endpoint}", if plain { "http" } else { "https" }))
}
