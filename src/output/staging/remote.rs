//! Objects in a store of the network that appear at the end or not at all.
//!
//! ```text
//! S3, GCS, Azure:  parts go at once ─────────────── commit: every upload is completed, small objects are put
//! HDFS:            files into .NAME.query-staging-… ─ commit: every file is renamed to its place
//! dropped:         uploads are aborted, files are removed, on the threads for I/O, whoever waits
//! ```

mod deferred;
mod failure;
mod moved;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{self, StreamExt};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result, UploadPart};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Open;
use crate::store::io;
use deferred::{Deferred, Uploads};
pub use failure::Failure;
use moved::{Moved, Moves};

/// How many objects are ended, aborted or removed at the same time.
const CONCURRENCY: usize = 8;
/// How long what is on its way is waited for when a write is given up.
const SETTLING_TIME_MAX: Duration = Duration::from_secs(3);
/// How long taking it back may take when the process is about to end, and when it goes on.
const REMOVAL_TIME_MAX: Duration = Duration::from_secs(6);
const CALM_REMOVAL_TIME_MAX: Duration = Duration::from_secs(60);
/// How often something is taken back if the store refuses that: credentials may be fetched anew in between.
const REMOVALS_MAX: u32 = 12;
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// An upload that was begun; taken out by whoever ends or aborts it.
type Shared = Arc<Mutex<Option<Box<dyn MultipartUpload>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What comes of some work in a store, which goes on to its end when nobody waits for it any more.
async fn followed<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    io::detach(work).map_err(failed)?.await.map_err(failed)?
}

/// A write to a store; dropped without [`commit`](Self::commit), it leaves nothing visible.
#[derive(Debug)]
pub struct RemoteStaging {
    ending: Option<Ending>,
    open: Option<Open>,
}

/// How what was written comes to its place, or goes.
#[derive(Debug, Clone)]
enum Ending {
    Deferred(Arc<Uploads>),
    Moved(Arc<Moves>),
}

impl RemoteStaging {
    /// A write to a store whose uploads nobody sees before they are completed.
    pub fn deferred(inner: Arc<dyn ObjectStore>) -> Self {
        Self::of(Ending::Deferred(Arc::new(Uploads::new(inner))))
    }

    /// A write to a store that renames: into a hidden folder beside `target`.
    pub fn moved(inner: Arc<dyn ObjectStore>, target: &Path) -> Self {
        Self::of(Ending::Moved(Arc::new(Moves::new(inner, target))))
    }

    fn of(ending: Ending) -> Self {
        Self { ending: Some(ending), open: Some(Open::count()) }
    }

    /// What went wrong first, if anything did.
    pub fn failure(&self) -> Option<Failure> {
        match self.ending.as_ref()? {
            Ending::Deferred(uploads) => uploads.failure(),
            Ending::Moved(moves) => moves.failure(),
        }
    }

    /// What to write to, by the keys that the objects will have.
    pub fn store(&self) -> Option<Arc<dyn ObjectStore>> {
        self.ending.as_ref().map(|ending| match ending {
            Ending::Deferred(uploads) => Arc::new(Deferred(Arc::clone(uploads))) as Arc<dyn ObjectStore>,
            Ending::Moved(moves) => Arc::new(Moved(Arc::clone(moves))),
        })
    }

    /// Makes everything visible. Once begun it goes on to its end, also if nobody waits for it.
    ///
    /// # Errors
    /// An object that could not be ended: those that were are removed again, and the rest is given up.
    pub async fn commit(mut self) -> Result<(), Failure> {
        let (Some(ending), open) = (self.ending.take(), self.open.take()) else { return Ok(()) };
        let work = async move {
            let done = match ending {
                Ending::Deferred(uploads) => uploads.commit().await,
                Ending::Moved(moves) => moves.commit().await,
            };
            drop(open);
            done
        };
        followed(work).await.map_err(|error| Failure::of(&error))
    }

    /// Takes back what was written, and waits until that is done, but not for ever.
    pub async fn abandon(mut self) {
        if let Some(Ok(work)) = self.give_up(CALM_REMOVAL_TIME_MAX) {
            drop(work.await);
        }
    }

    fn give_up(&mut self, time_max: Duration) -> Option<std::io::Result<tokio::task::JoinHandle<()>>> {
        let (ending, open) = (self.ending.take()?, self.open.take());
        Some(io::detach(async move {
            match ending {
                Ending::Deferred(uploads) => uploads.give_up(time_max).await,
                Ending::Moved(moves) => moves.give_up(time_max).await,
            }
            drop(open);
        }))
    }
}

impl Drop for RemoteStaging {
    fn drop(&mut self) {
        drop(self.give_up(REMOVAL_TIME_MAX));
    }
}

/// Who is at work in a store, and whether anybody may still begin. Clones are the same gate.
#[derive(Debug, Clone)]
struct Gate {
    state: watch::Sender<Passes>,
    /// What went wrong first.
    failure: Arc<OnceLock<Failure>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Passes {
    busy: usize,
    is_closed: bool,
    /// Whether those at work are to stop.
    is_over: bool,
}

/// One that is at work.
struct Pass(watch::Sender<Passes>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.send_modify(|passes| passes.busy -= 1);
    }
}

impl Gate {
    fn new() -> Self {
        Self { state: watch::Sender::new(Passes::default()), failure: Arc::default() }
    }

    /// Leave to begin something.
    ///
    /// # Errors
    /// The write is over.
    fn enter(&self) -> Result<Pass> {
        let entered = self.state.send_if_modified(|passes| {
            passes.busy += usize::from(!passes.is_closed);
            !passes.is_closed
        });
        match entered {
            true => Ok(Pass(self.state.clone())),
            false => Err(stopped()),
        }
    }

    /// Takes note of a failure that nobody asked for.
    fn noted<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done
            && !self.state.borrow().is_over
        {
            self.failure.get_or_init(|| Failure::of(error));
        }
        done
    }

    fn failure(&self) -> Option<Failure> {
        self.failure.get().cloned()
    }

    /// Lets nobody begin anything any more.
    fn close(&self) {
        self.state.send_modify(|passes| passes.is_closed = true);
    }

    /// Stops those who are at work, and waits for them, but not for ever.
    async fn stop(&self) {
        self.state.send_modify(|passes| (passes.is_closed, passes.is_over) = (true, true));
        let mut state = self.state.subscribe();
        let _ = timeout(SETTLING_TIME_MAX, state.wait_for(|passes| passes.busy == 0)).await;
    }

    /// Does some work of one who is at work, unless that is to stop.
    async fn pursue<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut state = self.state.subscribe();
        tokio::select! {
            done = work => done,
            _ = state.wait_for(|passes| passes.is_over) => Err(stopped()),
        }
    }

    /// Sends a part of an upload. It is on its way before it is waited for, and known to be until it is there.
    fn send(&self, upload: &Shared, data: PutPayload) -> UploadPart {
        let pass = match self.enter() {
            Ok(pass) => pass,
            Err(error) => return async { Err(error) }.boxed(),
        };
        let part = lock(upload).as_mut().map(|upload| upload.put_part(data));
        let Some(part) = part else { return async { Err(stopped()) }.boxed() };
        let gate = self.clone();
        let sent = io::detach(async move {
            let sent = gate.noted(gate.pursue(part).await);
            drop(pass);
            sent
        });
        async { sent.map_err(failed)?.await.map_err(failed)? }.boxed()
    }
}

/// Removes objects.
async fn remove(inner: &Arc<dyn ObjectStore>, keys: Vec<Path>) {
    let removals: Vec<_> = keys.into_iter().map(|key| removal(Arc::clone(inner), key)).collect();
    stream::iter(removals).buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await;
}

async fn removal(inner: Arc<dyn ObjectStore>, key: Path) {
    let mut attempt = 0;
    while let Err(error) = inner.delete(&key).await {
        attempt += 1;
        if !is_removed_again(&error, attempt).await {
            return;
        }
    }
}

/// Aborts an upload, unless somebody else ended it.
async fn abort(upload: Shared) {
    let taken = lock(&upload).take();
    let Some(mut upload) = taken else { return };
    let mut attempt = 0;
    while let Err(error) = upload.abort().await {
        attempt += 1;
        if !is_removed_again(&error, attempt).await {
            return;
        }
    }
}

/// Whether something that could not be taken back is to be taken back once more. Waits until it is time for that.
async fn is_removed_again(error: &Error, attempt: u32) -> bool {
    if matches!(error, Error::NotFound { .. }) || attempt >= REMOVALS_MAX {
        return false;
    }
    sleep(REMOVAL_PAUSE).await;
    true
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "staging", source: Box::new(source) }
}

fn stopped() -> Error {
    Error::Generic { store: "staging", source: "the write was stopped".into() }
}

fn unfit(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.into(), implementer: "a write".into() }
}
