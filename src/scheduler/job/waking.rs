//! How tasks wake each other: so that a thread that is idle runs what was woken.
//!
//! A task that another wakes is kept by Tokio for the thread of the one that woke it, where what it waits for is in the
//! cache. No idle thread takes it from there, and that one may go on by itself for long, a whole scan at most: of two
//! tasks that wait for the same hash table, the one that builds it wakes the other and goes on alone. So a task that has
//! woken another and then gets more rows to work on hands the other over. One that has nothing more to do lets its
//! thread go, which runs the other at once.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use crate::graph::NamedExec;
use crate::scheduler::Workers;

thread_local! {
    /// Whose turn it is on this thread.
    static CURRENT: Cell<*const Waking> = const { Cell::new(ptr::null()) };
}

/// Wakes a task.
#[derive(Debug)]
pub(super) struct Waking {
    waker: Waker,
    /// Since its last turn began.
    is_woken: AtomicBool,
}

impl Waking {
    /// Polls a task on a thread of a pool. This wakes it from now on, one for all turns of the task.
    pub(super) fn turn<T>(
        of_task: &mut Option<Arc<Self>>,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        /// Ends the turn, also when the task panics.
        struct Turn;
        impl Drop for Turn {
            fn drop(&mut self) {
                CURRENT.set(ptr::null());
                NamedExec::at_next_batch(None);
            }
        }
        let waking = match of_task {
            Some(waking) if waking.waker.will_wake(cx.waker()) => waking,
            _ => {
                of_task.insert(Arc::new(Self { waker: cx.waker().clone(), is_woken: AtomicBool::new(false) }))
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
            NamedExec::at_next_batch(Some(Workers::hand_over));
        }
    }
}
