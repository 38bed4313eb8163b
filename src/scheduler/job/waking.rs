//! How tasks wake each other: so that a thread that is idle runs what was woken.
//!
//! A task that another wakes is kept by Tokio for the thread of the one that woke it, where what it waits for is in the
//! cache. No idle thread takes it from there, and that one may go on by itself for long, a whole scan at most: of two
//! tasks that wait for the same hash table, the one that builds it wakes the other and goes on alone. Tokio keeps but one
//! task like that and lets the one before it be taken, so another is woken after it, which does nothing.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use crate::scheduler::Workers;

thread_local! {
    /// Whose turn it is on this thread.
    static CURRENT: Cell<*const Waking> = const { Cell::new(ptr::null()) };
}

/// Wakes a task.
#[derive(Debug)]
pub(super) struct Waking {
    waker: Waker,
    workers: Workers,
    /// Since its last turn began.
    is_woken: AtomicBool,
}

impl Waking {
    /// Polls a task on a pool. This wakes it from now on, one for all turns of the task.
    pub(super) fn turn<T>(
        of_task: &mut Option<Arc<Self>>,
        workers: &Workers,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        /// Ends the turn, also when the task panics.
        struct Turn;
        impl Drop for Turn {
            fn drop(&mut self) {
                CURRENT.set(ptr::null());
            }
        }
        let waking = match of_task {
            Some(waking) if waking.waker.will_wake(cx.waker()) => waking,
            _ => {
                let (waker, workers) = (cx.waker().clone(), workers.clone());
                of_task.insert(Arc::new(Self { waker, workers, is_woken: AtomicBool::new(false) }))
            }
        };
        // What it was woken for before is seen by this turn; what it is woken for after, by another.
        waking.is_woken.swap(false, Ordering::AcqRel);
        CURRENT.set(Arc::as_ptr(waking));
        let _turn = Turn;
        poll(&mut Context::from_waker(&Waker::from(Arc::clone(waking))))
    }
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        self.waker.wake_by_ref();
        let current = CURRENT.get();
        // A task that wakes itself waits where all can take it.
        if !current.is_null() && !ptr::eq(current, Arc::as_ptr(self)) {
            self.workers.spawn(async {});
        }
    }
}
