//! Stores of the network against small servers on loopback.

mod beside;
mod broken;
mod certificates;
mod environment;
mod files;
mod first_row;
mod gcs_azure;
mod http;
mod messages;
mod s3;
mod server;
mod signed;
mod threads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use object_store::path::Path;
use query::datafusion;
use query::store::{Kind, Patience, Secret, Secrets, StoreOptions, Stores};
use url::Url;

/// Short, so that what hangs is soon over, but not so short that a busy machine looks like a broken one.
fn impatient() -> StoreOptions {
    StoreOptions {
        patience: Patience {
            wait_min: Duration::from_millis(400),
            wait_max: Duration::from_millis(400),
            // Never: a busy machine would change the number of requests.
            second_min: Duration::from_secs(600),
            pause_first: Duration::from_millis(1),
            pause_max: Duration::from_millis(20),
            ..Patience::default()
        },
        ..StoreOptions::default()
    }
}

fn secret(kind: Kind, settings: &[(&str, &str)]) -> Secret {
    let settings: BTreeMap<_, _> =
        settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Secret { name: "planted".into(), kind, scope: None, settings }
}

fn stores(secrets: impl IntoIterator<Item = Secret>) -> Arc<Stores> {
    stores_with(impatient(), secrets)
}

fn stores_with(options: StoreOptions, secrets: impl IntoIterator<Item = Secret>) -> Arc<Stores> {
    let known = Secrets::new();
    for secret in secrets {
        known.insert(secret);
    }
    Arc::new(Stores::with_options(Arc::new(known), options))
}

/// The bucket `data` of a server that speaks S3, with keys that it does not check.
fn s3_stores(server: &server::Server) -> Arc<Stores> {
    stores([s3_secret(server)])
}

fn s3_secret(server: &server::Server) -> Secret {
    let endpoint = server.url();
    secret(
        Kind::S3,
        &[("key_id", "AKIDPLANTED"), ("secret", "planted-secret-value"), ("endpoint", &endpoint)],
    )
}

fn at(stores: &Stores, url: &str) -> (Arc<dyn ObjectStore>, Path) {
    let location = stores.locate(url).unwrap().unwrap();
    let root: &Url = location.store.as_ref();
    (stores.get_store(root).unwrap(), Path::parse(location.key).unwrap())
}

/// Runs a test's own part. The deadline is generous: it only ends what hangs.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), work).await.unwrap() })
}
