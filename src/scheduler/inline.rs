//! One thread, one task at a time, in an order that a seed gives.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::BoxFuture;

/// Polls tasks from where the results are read, and chooses the next among those that can go on by a seeded random
/// number: the same seed gives the same order (as far as tasks wait for each other and not for files), another seed
/// another order.
pub struct Inline {
    state: Mutex<State>,
}

/// The place of a task, and which of those that have it one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    place: usize,
    number: u64,
}

struct State {
    tasks: Vec<Option<Task>>,
    free: Vec<usize>,
    /// Tasks until now.
    spawned: u64,
    random: u64,
    /// Readers of results that wait until a task can go on. Each partition of the results may have its own.
    drivers: Vec<Waker>,
}

struct Task {
    number: u64,
    /// `None`: it is being polled.
    future: Option<BoxFuture<'static, ()>>,
    flag: Arc<Flag>,
    is_stopped: bool,
}

/// Whether a task can go on.
struct Flag {
    is_ready: AtomicBool,
    inline: std::sync::Weak<Inline>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_ready.store(true, Ordering::SeqCst);
        if let Some(inline) = self.inline.upgrade() {
            inline.wake_drivers();
        }
    }
}

/// What a step came to.
pub(super) enum Step {
    /// A task was polled.
    Polled,
    /// None can go on; its driver is woken when one can.
    Idle,
}

impl Inline {
    /// An executor whose order the seed gives.
    pub fn new(seed: u64) -> Arc<Self> {
        let state =
            State { tasks: Vec::new(), free: Vec::new(), spawned: 0, random: seed, drivers: Vec::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// No call below panics half way, so a poisoned lock still guards a sound state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) -> Slot {
        let flag = Flag { is_ready: AtomicBool::new(true), inline: Arc::downgrade(self) };
        let mut state = self.state();
        let number = state.spawned;
        state.spawned += 1;
        let task = Task { number, future: Some(future), flag: Arc::new(flag), is_stopped: false };
        let place = match state.free.pop() {
            Some(place) => place,
            None => {
                state.tasks.push(None);
                state.tasks.len() - 1
            }
        };
        state.tasks[place] = Some(task);
        drop(state);
        self.wake_drivers();
        Slot { place, number }
    }

    pub(super) fn stop(&self, slot: Slot) {
        let mut state = self.state();
        // The task may have ended, and another may have its place.
        if let Some(task) = state.tasks.get_mut(slot.place).and_then(Option::as_mut)
            && task.number == slot.number
        {
            task.is_stopped = true;
            task.flag.is_ready.store(true, Ordering::SeqCst);
        }
        drop(state);
        self.wake_drivers();
    }

    fn wake_drivers(&self) {
        let drivers = mem::take(&mut self.state().drivers);
        drivers.into_iter().for_each(Waker::wake);
    }

    /// Polls one of the tasks that can go on, or drops one that was stopped.
    pub(super) fn step(&self, cx: &mut Context<'_>) -> Step {
        let Some((slot, future, flag, is_stopped)) = self.take(cx) else { return Step::Idle };
        let Some(mut future) = future else { return Step::Polled };
        // Outside of the lock: it may spawn, stop, or wake others.
        let is_done = is_stopped || {
            let waker = Waker::from(flag);
            future.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
        };
        if is_done {
            {
                let mut state = self.state();
                state.tasks[slot] = None;
                state.free.push(slot);
            }
            drop(future);
        } else {
            self.put_back(slot, future);
        }
        Step::Polled
    }

    fn put_back(&self, slot: usize, future: BoxFuture<'static, ()>) {
        let mut state = self.state();
        let Some(task) = state.tasks[slot].as_mut() else { return };
        task.future = Some(future);
        // Another driver that was woken for it meanwhile did not find it.
        let is_ready = task.flag.is_ready.load(Ordering::SeqCst);
        drop(state);
        if is_ready {
            self.wake_drivers();
        }
    }

    #[expect(clippy::type_complexity, reason = "the parts of a task, taken apart in one place")]
    fn take(&self, cx: &mut Context<'_>) -> Option<(usize, Option<BoxFuture<'static, ()>>, Arc<Flag>, bool)> {
        let mut state = self.state();
        let is_ready = |task: &Task| task.future.is_some() && task.flag.is_ready.load(Ordering::SeqCst);
        let ready: Vec<usize> =
            (0..state.tasks.len()).filter(|slot| state.tasks[*slot].as_ref().is_some_and(is_ready)).collect();
        if ready.is_empty() {
            if !state.drivers.iter().any(|driver| driver.will_wake(cx.waker())) {
                state.drivers.push(cx.waker().clone());
            }
            return None;
        }
        let slot = ready[state.below(ready.len())];
        let task = state.tasks[slot].as_mut()?;
        task.flag.is_ready.store(false, Ordering::SeqCst);
        Some((slot, task.future.take(), Arc::clone(&task.flag), task.is_stopped))
    }

    /// Drops what is left of tasks that were stopped: nobody polls them any more.
    pub(super) fn sweep(&self) {
        loop {
            let stopped: Vec<_> = {
                let mut state = self.state();
                let mut stopped = Vec::new();
                for slot in 0..state.tasks.len() {
                    let is_stopped = state.tasks[slot]
                        .as_ref()
                        .is_some_and(|task| task.is_stopped && task.future.is_some());
                    if is_stopped {
                        stopped.extend(state.tasks[slot].take());
                        state.free.push(slot);
                    }
                }
                stopped
            };
            // Dropping one may stop others.
            if stopped.is_empty() {
                return;
            }
        }
    }
}

impl State {
    /// A number below a limit, by SplitMix64 (Steele, Lea and Flood 2014).
    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = (z ^ (z >> 31)) % u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(drawn).unwrap_or(0)
    }
}

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inline").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::task::noop_waker;

    use super::*;

    #[test]
    fn stopping_a_task_that_has_ended_leaves_the_next_in_its_place_alone() {
        let inline = Inline::new(1);
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let first = inline.spawn(async {}.boxed());
        assert!(matches!(inline.step(&mut cx), Step::Polled));
        let (send, receive) = std::sync::mpsc::channel();
        let second = inline.spawn(async move { send.send(()).unwrap() }.boxed());
        assert_eq!(first.place, second.place);
        inline.stop(first);
        assert!(matches!(inline.step(&mut cx), Step::Polled));
        assert_eq!(receive.try_recv(), Ok(()));
    }
}
