//! S3 and all that speak its protocol.

use std::sync::Arc;

use datafusion::object_store::aws::{
    AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider,
};
use datafusion::object_store::{ObjectStore, Result, StaticCredentialProvider};
use url::Url;

use super::region::{InRegion, Place};
use super::{endpoint, options};
use crate::store::credentials as chain;
use crate::store::secret::Secret;
use crate::store::wire::Wire;

/// Where a bucket is taken to be until its answers say something else.
const REGION: &str = "us-east-1";

/// A bucket: settings of the secret, what it leaves open from the environment. Its region is found out if it is not the
/// one that is set.
pub(super) async fn open(url: &Url, secret: Option<&Secret>, wire: Wire) -> Result<Arc<dyn ObjectStore>> {
    let get = |name: &str| secret.and_then(|secret| secret.get(name));
    let mut builder = AmazonS3Builder::from_env();
    let credentials = credentials(url, secret).await?;
    let region = match get("region") {
        Some(region) => Some(region.to_string()),
        None => builder.get_config_value(&AmazonS3ConfigKey::Region).or(credentials.region),
    };
    let from_env = |builder: &AmazonS3Builder| {
        let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
        keys.iter().find_map(|key| builder.get_config_value(key))
    };
    let server = endpoint(secret).or_else(|| from_env(&builder));
    let bucket = url.host_str().unwrap_or_default().to_string();
    let by_host = get("url_style") == Some("vhost");
    let (signed, signer) = match credentials.signer {
        Signer::Nobody => (builder.with_skip_signature(true), None),
        Signer::Given(provider) => (builder.with_credentials(Arc::clone(&provider)), Some(provider)),
    };
    builder = signed;
    builder = builder
        .with_bucket_name(&bucket)
        .with_retry(Wire::no_retries())
        .with_client_options(options(server.as_deref()))
        .with_http_connector(wire.clone())
        .with_virtual_hosted_style_request(by_host);
    let address = match &server {
        Some(server) if by_host => server.replacen("://", &format!("://{bucket}."), 1),
        Some(server) => format!("{server}/{bucket}"),
        None => format!("https://s3.amazonaws.com/{bucket}"),
    };
    if let Some(server) = server {
        // With the bucket in the host's name, the builder wants the whole of it.
        let server = if by_host { address.clone() } else { server };
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, server);
    }
    let make = move |region: &str| -> Result<AmazonS3> { builder.clone().with_region(region).build() };
    let place = Place { wire, address, signer };
    Ok(Arc::new(InRegion::new(place, region.as_deref().unwrap_or(REGION), Box::new(make))?))
}

/// Who signs, and what region they say.
struct Credentials {
    signer: Signer,
    region: Option<String>,
}

enum Signer {
    /// Requests are not signed: what is public is read.
    Nobody,
    Given(AwsCredentialProvider),
}

/// The keys of the secret, else what the machine has.
async fn credentials(url: &Url, secret: Option<&Secret>) -> Result<Credentials> {
    let get = |name: &str| secret.and_then(|secret| secret.get(name));
    let signer = match (get("key_id").zip(get("secret")), get("provider")) {
        (Some((id, key)), _) => {
            // As a whole: a token of the environment does not belong to the keys of the secret.
            let key = AwsCredential {
                key_id: id.to_string(),
                secret_key: key.to_string(),
                token: get("session_token").map(str::to_string),
            };
            Signer::Given(Arc::new(StaticCredentialProvider::new(key)))
        }
        (None, Some("anonymous")) => Signer::Nobody,
        (None, Some(_) | None) => {
            let chain::Found { provider, region } = chain::find(url.as_str(), get("profile")).await?;
            let signer = provider.map_or(Signer::Nobody, |provider| Signer::Given(provider));
            return Ok(Credentials { signer, region });
        }
    };
    Ok(Credentials { signer, region: None })
}
