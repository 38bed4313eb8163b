//! The sources, in the order in which they are asked.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::imds;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::region::Region;

/// The metadata service is beside the machine, or not there at all: most machines are none of Amazon's.
const METADATA_TIME_MAX: Duration = Duration::from_secs(1);
const METADATA_ATTEMPTS_MAX: u32 = 2;
/// Requests to a service that hands out credentials.
const ATTEMPTS_MAX: u32 = 3;
/// Where roles are asked for when no region is named.
const REGION_DEFAULT: &str = "us-east-1";

pub(super) struct Sources {
    pub(super) provider: SharedCredentialsProvider,
    pub(super) region: Option<String>,
}

/// Who to ask for credentials: one profile, or all sources one after the other. No region is asked of the metadata
/// service: a machine elsewhere would wait for it in vain.
pub(super) async fn sources(profile: Option<&str>) -> Sources {
    let region = region(profile).await;
    let named = region.as_ref().map(ToString::to_string);
    if profile.is_none() {
        let environment = EnvironmentVariableCredentialsProvider::new();
        // Keys in the environment need no client, whose certificates take a while to read.
        if environment.provide_credentials().await.is_ok() {
            return Sources { provider: SharedCredentialsProvider::new(environment), region: named };
        }
    }
    let region = region.unwrap_or_else(|| Region::from_static(REGION_DEFAULT));
    let config = ProviderConfig::without_region()
        .with_region(Some(region.clone()))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .with_http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        );
    let provider = match profile {
        Some(profile) => {
            let profile = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
            SharedCredentialsProvider::new(profile.build())
        }
        None => {
            let metadata = imds::Client::builder()
                .configure(&config)
                .connect_timeout(METADATA_TIME_MAX)
                .read_timeout(METADATA_TIME_MAX)
                .max_attempts(METADATA_ATTEMPTS_MAX)
                .build();
            let chain =
                DefaultCredentialsChain::builder().configure(config).region(region).imds_client(metadata);
            SharedCredentialsProvider::new(chain.build().await)
        }
    };
    Sources { provider, region: named }
}

/// The region of the environment, else of the profile.
async fn region(profile: Option<&str>) -> Option<Region> {
    let of_profile = ProfileFileRegionProvider::builder();
    let of_profile = match profile {
        Some(profile) => of_profile.profile_name(profile),
        None => of_profile,
    };
    match EnvironmentVariableRegionProvider::new().region().await {
        Some(region) => Some(region),
        None => of_profile.build().region().await,
    }
}
