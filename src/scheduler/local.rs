//! The worker threads that poll tasks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

use super::event::Worker;
use crate::config::STACK_BYTES;

/// The pools of this process, by their number of threads. They belong to nobody and are never dropped: a runtime
/// that is dropped inside of another panics.
static POOLS: Mutex<BTreeMap<usize, Runtime>> = Mutex::new(BTreeMap::new());

static WORKERS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static WORKER: Cell<Option<Worker>> = const { Cell::new(None) };
}

/// A pool of threads that share their tasks by work stealing. All jobs of the process that ask for so many threads
/// share one pool.
#[derive(Debug, Clone)]
pub struct Workers {
    handle: Handle,
    threads: usize,
}

impl Workers {
    /// The pool of so many threads, started when it is first asked for.
    ///
    /// # Errors
    /// Threads that the system refuses.
    pub fn of_the_process(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = match pools.get(&threads) {
            Some(pool) => pool.handle().clone(),
            None => {
                let pool = Builder::new_multi_thread()
                    .worker_threads(threads)
                    .thread_name("query-worker")
                    .thread_stack_size(STACK_BYTES)
                    .enable_all()
                    .build()?;
                let handle = pool.handle().clone();
                pools.insert(threads, pool);
                handle
            }
        };
        Ok(Self { handle, threads })
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How many tasks there are that have not ended, of all jobs and of the operators in them.
    pub fn tasks(&self) -> usize {
        self.handle.metrics().num_alive_tasks()
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
        self.handle.spawn(task).abort_handle()
    }

    /// Lets an idle thread take the task that was last woken on this thread of a pool, before this one lets go of it.
    /// Tokio keeps but one such task and lets the one before it be taken, so this has another one, which does nothing.
    pub(super) fn hand_over() {
        if let Ok(handle) = Handle::try_current() {
            #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
            handle.spawn(async {});
        }
    }

    /// The number of this thread; each gets one when it first asks.
    pub(super) fn current(&self) -> Worker {
        WORKER.with(|worker| {
            worker.get().unwrap_or_else(|| {
                let new = Worker(WORKERS.fetch_add(1, Ordering::Relaxed));
                worker.set(Some(new));
                new
            })
        })
    }
}
