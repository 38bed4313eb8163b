//! The stores of a session, as the engine asks for them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::object_store::ObjectStore;
use url::{Position, Url};

use super::Location;
use super::counted::{Ledger, Usage};
use super::line::Line;
use super::local::Local;
use super::patience::Patience;
use super::remote::Remote;
use super::secret::{Kind, Secrets};
use super::wording::shown;
use crate::config;
use crate::error::StoreError;

/// The stores of a session. Local files have the engine's own; one of the network is made when it is first asked for,
/// without any I/O, and kept; what is registered beats both.
#[derive(Debug)]
pub struct Stores {
    known: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
    remote: Mutex<BTreeMap<String, Arc<Remote>>>,
    secrets: Arc<Secrets>,
    ledger: Ledger,
    options: StoreOptions,
}

/// How stores are used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// How long to wait for them.
    pub patience: Patience,
    /// Where files are kept that can only be read whole; they have no names.
    pub temp_dir: PathBuf,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { patience: Patience::default(), temp_dir: config::temp_dir() }
    }
}

impl Stores {
    /// The local file system, and what these secrets let one into.
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self::with_options(secrets, StoreOptions::default())
    }

    /// The same, used in another way.
    pub fn with_options(secrets: Arc<Secrets>, options: StoreOptions) -> Self {
        let local: Arc<dyn ObjectStore> = Arc::new(Local::default());
        let known = Mutex::new(BTreeMap::from([("file://".to_string(), local)]));
        Self { known, remote: Mutex::default(), secrets, ledger: Ledger::default(), options }
    }

    /// The secrets that the stores are opened with.
    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    /// The place in a store of the network that a text names; `None` if it names none: it may be a local path.
    ///
    /// # Errors
    /// A text that begins as a URL of ours, and is none.
    pub fn locate(&self, text: &str) -> Result<Option<Location>, StoreError> {
        Location::parse(text, &self.secrets)
    }

    /// Forgets the stores of the network: they are opened anew when they are next used.
    pub fn forget(&self) {
        lock(&self.remote).clear();
    }

    /// What was asked of each store of the network since the session began.
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        self.ledger.usage()
    }

    fn remote(&self, url: &Url) -> Option<Arc<dyn ObjectStore>> {
        let kind = Kind::of_scheme(url.scheme())?;
        let mut remote = lock(&self.remote);
        let make = || {
            let counts = self.ledger.of(&shown(&root(url), ""));
            let line = Line::new(counts, self.options.patience, self.options.temp_dir.clone());
            Arc::new(Remote::new(kind, root(url), Arc::clone(&self.secrets), line))
        };
        let found = remote.entry(key(url, Position::BeforeUsername)).or_insert_with(make);
        Some(Arc::clone(found) as Arc<dyn ObjectStore>)
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        lock(&self.known).insert(key(url, Position::BeforeHost), store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let gone = lock(&self.known).remove(&key(url, Position::BeforeHost));
        gone.ok_or_else(|| unknown(url))
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let known = lock(&self.known).get(&key(url, Position::BeforeHost)).cloned();
        known.or_else(|| self.remote(url)).ok_or_else(|| unknown(url))
    }
}

fn unknown(url: &Url) -> DataFusionError {
    let schemes: Vec<_> = Kind::ALL.iter().map(|kind| format!("{}://", kind.schemes()[0])).collect();
    StoreError::new(key(url, Position::BeforeHost), format!("there is no store for '{}://'", url.scheme()))
        .with_help(format!("use a path, or a URL that begins with {}", schemes.join(", ")))
        .into()
}

/// The part of a URL that names its store.
fn key(url: &Url, from: Position) -> String {
    format!("{}://{}", url.scheme(), &url[from..Position::AfterPort])
}

/// The URL of a store alone.
fn root(url: &Url) -> Url {
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    root.set_fragment(None);
    root
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
