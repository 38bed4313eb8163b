//! Google Cloud Storage.

use std::sync::Arc;

use datafusion::object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use datafusion::object_store::{ObjectStore, Result, StaticCredentialProvider};
use url::Url;

use super::{endpoint, options};
use crate::error::StoreError;
use crate::store::secret::Secret;
use crate::store::wire::Wire;

/// A bucket: settings of the secret, what it leaves open from the environment (`GOOGLE_SERVICE_ACCOUNT`,
/// `GOOGLE_APPLICATION_CREDENTIALS` and the rest that the client knows).
pub(super) async fn open(url: &Url, secret: Option<&Secret>, wire: Wire) -> Result<Arc<dyn ObjectStore>> {
    let get = |name: &str| secret.and_then(|secret| secret.get(name));
    if get("key_id").is_some() {
        let trouble = "keys of the kind KEY_ID and SECRET are for the store's S3 protocol";
        let help = "make a secret of TYPE s3 with ENDPOINT 'https://storage.googleapis.com' and read s3://…";
        return Err(StoreError::new(url.as_str(), trouble).with_help(help).into());
    }
    // As a whole: credentials of the environment do not go with those of the secret.
    let mut builder = match get("service_account").or(get("bearer_token")) {
        Some(_) => GoogleCloudStorageBuilder::new(),
        None => GoogleCloudStorageBuilder::from_env(),
    };
    let server = endpoint(secret).or_else(|| builder.get_config_value(&GoogleConfigKey::BaseUrl));
    if let Some(server) = &server {
        builder = builder.with_base_url(server);
    }
    builder = match (get("service_account"), get("bearer_token"), get("provider")) {
        (Some(account), _, _) if account.trim_start().starts_with('{') => {
            builder.with_service_account_key(account)
        }
        (Some(path), _, _) => builder.with_service_account_path(path),
        (None, Some(token), _) => {
            let bearer = token.to_string();
            builder.with_credentials(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer })))
        }
        (None, None, Some("anonymous")) => builder.with_skip_signature(true),
        (None, None, Some(_) | None) => builder,
    };
    let store = builder
        .with_bucket_name(url.host_str().unwrap_or_default())
        .with_retry(Wire::no_retries())
        .with_client_options(options(server.as_deref()))
        .with_http_connector(wire)
        .build()?;
    Ok(Arc::new(store))
}
