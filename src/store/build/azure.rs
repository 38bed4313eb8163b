//! Azure's blobs and its data lake.

use std::sync::Arc;

use datafusion::object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use datafusion::object_store::{ObjectStore, Result};
use url::Url;

use super::{endpoint, options};
use crate::error::StoreError;
use crate::store::secret::Secret;
use crate::store::wire::Wire;

/// A container: settings of the secret, what it leaves open from the environment (`AZURE_STORAGE_ACCOUNT_NAME` and the
/// rest that the client knows). The account is in the URL (`abfss://container@account.dfs.core.windows.net/`), in the
/// secret or in the environment.
pub(super) async fn open(url: &Url, secret: Option<&Secret>, wire: Wire) -> Result<Arc<dyn ObjectStore>> {
    let mut settings = Settings::of(secret);
    // As a whole: credentials of the environment do not go with those of the secret.
    let mut builder = match settings.key.is_some() || settings.token.is_some() {
        true => MicrosoftAzureBuilder::new(),
        false => MicrosoftAzureBuilder::from_env(),
    };
    let host = url.host_str().unwrap_or_default();
    if url.username().is_empty() {
        builder = builder.with_container_name(host);
    } else {
        builder = builder.with_container_name(url.username());
        settings.account = host.split('.').next().map(String::from);
    }
    let server = settings.endpoint.or_else(|| builder.get_config_value(&AzureConfigKey::Endpoint));
    if let Some(server) = &server {
        builder = builder.with_endpoint(server.clone());
    }
    if let Some(account) = &settings.account {
        builder = builder.with_account(account);
    } else if builder.get_config_value(&AzureConfigKey::AccountName).is_none() {
        let help = "write abfss://container@account.dfs.core.windows.net/…, make a secret with ACCOUNT_NAME, or set \
                    AZURE_STORAGE_ACCOUNT_NAME";
        return Err(StoreError::new(url.as_str(), "no account is named").with_help(help).into());
    }
    if let Some(key) = settings.key {
        builder = builder.with_access_key(key);
    }
    if let Some(token) = settings.token {
        builder = builder.with_config(AzureConfigKey::SasKey, token);
    }
    if settings.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let store = builder
        .with_retry(Wire::no_retries())
        .with_client_options(options(server.as_deref()))
        .with_http_connector(wire)
        .build()?;
    Ok(Arc::new(store))
}

/// What a secret says, its connection string taken apart.
#[derive(Default)]
struct Settings {
    account: Option<String>,
    key: Option<String>,
    token: Option<String>,
    endpoint: Option<String>,
    anonymous: bool,
}

impl Settings {
    fn of(secret: Option<&Secret>) -> Self {
        let get = |name: &str| secret.and_then(|secret| secret.get(name)).map(String::from);
        let mut settings = get("connection_string").map(|text| Self::connection(&text)).unwrap_or_default();
        settings.account = get("account_name").or(settings.account);
        settings.key = get("account_key").or(settings.key);
        settings.token = get("sas_token").or(settings.token);
        settings.endpoint = endpoint(secret).or(settings.endpoint);
        settings.anonymous = get("provider").as_deref() == Some("anonymous");
        settings
    }

    /// `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net`. Keys end with `=`,
    /// so only the first one of a part is a separator.
    fn connection(text: &str) -> Self {
        let parts = || text.split(';').filter_map(|part| part.trim().split_once('='));
        let part = |name: &str| {
            let own = parts().find(|(key, _)| key.eq_ignore_ascii_case(name));
            own.map(|(_, value)| value.to_string()).filter(|value| !value.is_empty())
        };
        let account = part("AccountName");
        let suffixed = part("EndpointSuffix").zip(account.as_ref()).map(|(suffix, account)| {
            let scheme = part("DefaultEndpointsProtocol").unwrap_or_else(|| "https".into());
            format!("{scheme}://{account}.blob.{suffix}")
        });
        let endpoint = part("BlobEndpoint").map(|url| url.trim_end_matches('/').to_string()).or(suffixed);
        let (key, token) = (part("AccountKey"), part("SharedAccessSignature"));
        Self { account, key, token, endpoint, anonymous: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_taken_apart() {
        let text =
            "DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=a2V5PT0=;EndpointSuffix=test.local;";
        let settings = Settings::connection(text);
        assert_eq!(settings.account.as_deref(), Some("acc"));
        assert_eq!(settings.key.as_deref(), Some("a2V5PT0="));
        assert_eq!(settings.endpoint.as_deref(), Some("http://acc.blob.test.local"));
        let text = "BlobEndpoint=http://127.0.0.1:10000/acc/;SharedAccessSignature=sv=1&sig=x%3D";
        let settings = Settings::connection(text);
        assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:10000/acc"));
        assert_eq!(settings.token.as_deref(), Some("sv=1&sig=x%3D"));
    }
}
