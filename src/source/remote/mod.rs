//! Stores of the network as a session knows them: what they list, and what was learnt of their objects, kept until
//! somebody says `.refresh`.
//!
//! ```text
//! find ──> lists ─────> objects with size, ETag and time ──> pinned ──> reads of just these versions
//!                                        │                     ^
//!          looks, footers, statistics <──┴──── kept: starts of objects, small objects whole
//! ```
//!
//! A listing is believed until it is forgotten. An object that a statement names is asked for once by each statement, and
//! if it is not the one that was listed, so is the listing forgotten. All else is kept beside the version of the object
//! that it was learnt of, and counts for no other version.

mod footer;
mod kept;
mod lists;
mod pinned;
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::{Result, Statistics};
use datafusion::error::DataFusionError;
use datafusion::execution::cache::cache_manager::{DEFAULT_METADATA_CACHE_LIMIT, FileMetadataCache};
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::LexOrdering;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};

use self::footer::END_BYTES;
pub(super) use self::footer::footer_bytes;
use self::kept::Kept;
pub(super) use self::lists::Level;
use self::lists::Lists;
use self::pinned::Pinned;
use super::shape::Shape;
use crate::store::Kind;

/// Objects named by one statement whose ends are read when they are looked up. Those of more would not be kept until
/// they are of use.
const ENDS_MAX: usize = 32;
/// Requests that are under way at once for one statement's listings.
pub(super) const LISTINGS_MAX: usize = 32;
/// Objects of one scan that are read at once at most, beyond one for each of its partitions.
const STREAMS_MAX: usize = 16;
/// Bytes of these objects together.
const STREAM_BYTES_MAX: u64 = 128 << 20;

/// How many of a scan's objects are read at once: more than there are threads, as long as they are small. A thread
/// waits for an answer most of the time then.
pub(super) fn streams(objects: usize, bytes: u64, partitions: usize) -> usize {
    let mean = (bytes / objects.max(1) as u64).max(1);
    let fit = usize::try_from(STREAM_BYTES_MAX / mean).unwrap_or(STREAMS_MAX).min(STREAMS_MAX);
    partitions.max(fit.min(objects))
}

/// What is wanted of an object that is looked up by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its size and version.
    Meta,
    /// Its footer as well, if it takes no other request.
    Footer,
}

/// The stores of the network that a session has looked into.
#[derive(Debug, Default)]
pub struct Remotes {
    known: Mutex<Vec<Arc<Remote>>>,
    /// Statements that have begun.
    statements: Arc<AtomicU64>,
    /// Whether the last of them is planned, and yet to run.
    is_planned: AtomicBool,
}

impl Remotes {
    /// Begins a statement: objects that it names are asked for anew.
    pub fn begin(&self) {
        self.statements.fetch_add(1, Ordering::AcqRel);
        self.is_planned.store(false, Ordering::Release);
    }

    /// Says that what was begun last will be run later, as a frame is.
    pub fn planned(&self) {
        self.is_planned.store(true, Ordering::Release);
    }

    /// Runs what was planned: what was found then counts for the first run, each other one is a statement of its own.
    pub fn run(&self) {
        if !self.is_planned.swap(false, Ordering::AcqRel) {
            self.begin();
        }
    }

    /// Forgets everything that was listed and learnt.
    pub fn forget(&self) {
        lock(&self.known).clear();
    }

    /// Forgets what was listed: for those who have written.
    pub fn forget_lists(&self) {
        lock(&self.known).iter().for_each(|remote| remote.forget_lists());
    }

    /// The store of a URL.
    ///
    /// # Errors
    /// A store that cannot be opened.
    pub(super) fn at(state: &dyn Session, kind: Kind, url: &ObjectStoreUrl) -> Result<Arc<Remote>> {
        let store = state.runtime_env().object_store(url)?;
        let new = |store, statements| Arc::new(Remote::new(kind, url.clone(), store, statements));
        let Some(remotes) = state.config().get_extension::<Self>() else {
            return Ok(new(store, Arc::default()));
        };
        let mut known = lock(&remotes.known);
        // A store that was opened anew may be another one behind the same URL.
        known.retain(|remote| remote.url != *url || Arc::ptr_eq(&remote.store, &store));
        if let Some(remote) = known.iter().find(|remote| remote.url == *url) {
            return Ok(Arc::clone(remote));
        }
        let remote = new(store, Arc::clone(&remotes.statements));
        known.push(Arc::clone(&remote));
        Ok(remote)
    }
}

/// A store of the network, and what is known of its objects.
pub(super) struct Remote {
    pub(super) kind: Kind,
    pub(super) url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
    statements: Arc<AtomicU64>,
    lists: Mutex<Lists>,
    kept: Mutex<Kept>,
    /// The last statement, and how many objects it has asked for with their ends.
    ends: Mutex<(u64, usize)>,
    footers: Arc<FileMetadataCache>,
    looks: Mutex<HashMap<(Path, Arc<str>), Looked>>,
    statistics: Mutex<HashMap<Path, Told>>,
}

/// The columns of an object as it was.
type Looked = (ObjectMeta, Shape);

/// What is known of an object as it was, for a table of these columns.
type Told = (ObjectMeta, SchemaRef, Known);

/// What a Parquet file's footer says of its rows.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) statistics: Statistics,
    pub(super) ordering: Option<LexOrdering>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Remote {
    fn new(kind: Kind, url: ObjectStoreUrl, store: Arc<dyn ObjectStore>, statements: Arc<AtomicU64>) -> Self {
        let footers = DefaultCache::new(DEFAULT_METADATA_CACHE_LIMIT).with_name("footers");
        Self {
            kind,
            url,
            store,
            statements,
            lists: Mutex::default(),
            kept: Mutex::default(),
            ends: Mutex::default(),
            footers: Arc::new(footers),
            looks: Mutex::default(),
            statistics: Mutex::default(),
        }
    }

    /// The object of a key; `None` if there is none. One request for each statement.
    pub(super) async fn object(&self, key: &Path, wanted: Wanted) -> Result<Option<ObjectMeta>> {
        let statement = self.statements.load(Ordering::Acquire);
        if let Some(meta) = lock(&self.lists).asked(key, statement) {
            return Ok(Some(meta));
        }
        let wants_end = wanted == Wanted::Footer && !self.has_footer(key) && self.may_have_end(statement);
        let found = match wants_end {
            true => self.with_end(key).await,
            false => self.store.head(key).await.map(|meta| (meta, None)),
        };
        match found {
            Ok((meta, end)) => {
                let meta = self.seen(meta, statement);
                if let Some(end) = end {
                    lock(&self.kept).add_end(&meta, end);
                }
                Ok(Some(meta))
            }
            Err(Error::NotFound { .. }) => {
                if lock(&self.lists).last(key).is_some() {
                    self.forget_lists();
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Size and version of an object, with its last bytes: of a Parquet file the footer, of a small one all.
    async fn with_end(&self, key: &Path) -> object_store::Result<(ObjectMeta, Option<Bytes>)> {
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(END_BYTES)));
        let got = match self.store.get_opts(key, options).await {
            // One of somebody else's.
            Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => {
                return Ok((self.store.head(key).await?, None));
            }
            got => got?,
        };
        let (meta, range) = (got.meta.clone(), got.range.clone());
        let end = got.bytes().await?;
        let is_end = range.end == meta.size && range.end - range.start == end.len() as u64;
        Ok((meta, is_end.then_some(end)))
    }

    /// Whether a statement may ask for the end of one more object.
    fn may_have_end(&self, statement: u64) -> bool {
        let mut ends = lock(&self.ends);
        if ends.0 != statement {
            *ends = (statement, 0);
        }
        ends.1 += 1;
        ends.1 <= ENDS_MAX
    }

    /// Takes note of an object as a statement has found it. What is known of another version is forgotten.
    fn seen(&self, meta: ObjectMeta, statement: u64) -> ObjectMeta {
        let last = lock(&self.lists).last(&meta.location);
        let meta = match last {
            // Listings write of one version what answers to HEAD write in another form.
            Some(last) if pinned::has_version(&meta) && pinned::is_same(&last, &meta) => last,
            Some(_) => {
                self.forget_lists();
                self.forget_object(&meta.location);
                meta
            }
            None => meta,
        };
        lock(&self.lists).add_object(meta.clone(), statement);
        meta
    }

    fn forget_object(&self, key: &Path) {
        lock(&self.kept).forget(key);
        lock(&self.looks).retain(|(other, _), _| other != key);
        lock(&self.statistics).remove(key);
        self.footers.remove(key);
    }

    /// The objects and the folders of a folder, not what is below these.
    pub(super) async fn level(&self, folder: &Path) -> Result<Arc<Level>> {
        if let Some(level) = lock(&self.lists).level(folder) {
            return Ok(level);
        }
        let listed = self.store.list_with_delimiter(prefix(folder)).await.map_err(DataFusionError::from)?;
        let level = Arc::new(Level { folders: listed.common_prefixes, files: listed.objects });
        lock(&self.lists).add_level(folder.clone(), Arc::clone(&level));
        Ok(level)
    }

    /// All objects in a folder and below it.
    pub(super) async fn tree(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        if let Some(tree) = lock(&self.lists).tree(folder) {
            return Ok(tree);
        }
        let listed = self.store.list(prefix(folder)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(DataFusionError::from)?;
        lock(&self.lists).add_tree(folder.clone(), listed.clone());
        Ok(listed)
    }

    /// The first bytes of an object, or all of them if it has no more.
    pub(super) async fn start(self: &Arc<Self>, meta: &ObjectMeta) -> Result<Bytes> {
        if let Some(start) = lock(&self.kept).start(meta) {
            return Ok(start);
        }
        let length = meta.size.min(kept::START_BYTES);
        let start = self.bytes(meta, 0..length).await?;
        lock(&self.kept).add_start(meta, start.clone());
        Ok(start)
    }

    /// Some bytes of an object.
    ///
    /// # Errors
    /// An object that has changed, one that ends before these bytes do.
    pub(super) async fn bytes(self: &Arc<Self>, meta: &ObjectMeta, range: Range<u64>) -> Result<Bytes> {
        Ok(self.pinned([meta]).get_range(&meta.location, range).await?)
    }

    /// The store, giving just these versions of its objects.
    pub(super) fn pinned<'a>(
        self: &Arc<Self>,
        objects: impl IntoIterator<Item = &'a ObjectMeta>,
    ) -> Arc<dyn ObjectStore> {
        Arc::new(Pinned::new(Arc::clone(self), objects))
    }

    /// What a look into an object with a reader has shown.
    pub(super) fn look(&self, meta: &ObjectMeta, reader: &Arc<str>) -> Option<Shape> {
        let looks = lock(&self.looks);
        let (seen, shape) = looks.get(&(meta.location.clone(), Arc::clone(reader)))?;
        (seen == meta).then(|| shape.clone())
    }

    /// Keeps what a look into an object has shown.
    pub(super) fn add_look(&self, meta: &ObjectMeta, reader: &Arc<str>, shape: Shape) {
        let key = (meta.location.clone(), Arc::clone(reader));
        lock(&self.looks).insert(key, (meta.clone(), shape));
    }

    fn forget_lists(&self) {
        *lock(&self.lists) = Lists::default();
    }
}

/// The root is asked for without a prefix.
fn prefix(folder: &Path) -> Option<&Path> {
    (!folder.is_root()).then_some(folder)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_objects_are_read_many_at_once_and_large_ones_by_partition() {
        let mega = 1 << 20;
        assert_eq!(streams(1000, 1000 * mega, 2), 16);
        assert_eq!(streams(3, 3 * mega, 2), 3);
        assert_eq!(streams(1000, 1000 * 1024 * mega, 2), 2);
        assert_eq!(streams(1000, 1000 * 32 * mega, 2), 4);
        assert_eq!(streams(1, 0, 8), 8);
    }
}
