//! The threads on which sockets are polled: one small runtime of the process for all stores of the network.
//!
//! Workers of the scheduler compute for milliseconds at a time. A socket that is polled by one of them waits as
//! long, time-outs fire for nothing, and connections are closed by servers that got no answer.

use std::io;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{AbortHandle, JoinHandle};

/// More threads than this are of no use: they only copy bytes and decrypt.
const THREADS_MAX: usize = 4;
const THREADS_MIN: usize = 2;
/// What the threads are called.
pub const THREAD_NAME: &str = "query-io";

/// Belongs to nobody and is never dropped: a runtime that is dropped inside of another panics.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime, started when it is first asked for.
///
/// # Errors
/// Threads that the system refuses.
pub fn handle() -> io::Result<Handle> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let cores = available_parallelism().map_or(THREADS_MIN, usize::from);
    let new = Builder::new_multi_thread()
        .worker_threads(cores.clamp(THREADS_MIN, THREADS_MAX))
        .thread_name(THREAD_NAME)
        .enable_all()
        .build()?;
    if let Err(second) = RUNTIME.set(new) {
        second.shutdown_background();
    }
    RUNTIME.get().map(|runtime| runtime.handle().clone()).ok_or_else(|| io::Error::other("no I/O runtime"))
}

/// Runs a future on the I/O threads and gives what it gives. Dropped, it is stopped.
///
/// # Errors
/// No runtime, or a future that panicked.
pub async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    let (task, _stop) = spawn(work)?;
    task.await.map_err(io::Error::other)
}

/// Starts a future on the I/O threads that goes on when nobody waits for it any more: work that has begun something
/// elsewhere has to know what became of it.
///
/// # Errors
/// No runtime.
pub fn detach<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    #[expect(clippy::disallowed_methods, reason = "network I/O is no task of a query")]
    Ok(handle()?.spawn(work))
}

/// Starts a future on the I/O threads. It is stopped when the guard goes.
pub(super) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<(JoinHandle<T>, Stop)> {
    #[expect(clippy::disallowed_methods, reason = "the one place where network I/O is spawned")]
    let task = handle()?.spawn(work);
    let stop = Stop(task.abort_handle());
    Ok((task, stop))
}

/// Stops a task when it is dropped.
#[derive(Debug)]
pub(super) struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a future that nobody waits for on the I/O threads: what is left to be cleared up.
pub(super) fn leave(work: impl Future<Output = ()> + Send + 'static) {
    // Without threads there is no store either that would have to be cleared up.
    if let Ok(runtime) = handle() {
        #[expect(
            clippy::disallowed_methods,
            reason = "its end is awaited by nobody, so it is no part of a job"
        )]
        runtime.spawn(work);
    }
}
