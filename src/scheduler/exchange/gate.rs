//! Queues of batches that hold their producers back together.
//!
//! A producer waits only while *every* open queue of its gate is full. One that waited for a single full queue
//! could wait for a reader that waits for another queue of the same producer: a merge over a shuffle with skew
//! does. What comes beyond a queue's capacity is counted against the memory pool and goes to disk under pressure.
//! The idea is that of DataFusion's `RepartitionExec`.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;

use super::run::Run;

/// What waits in a queue.
pub(super) enum Item {
    /// Rows in memory, for which so many bytes are reserved.
    Batch(RecordBatch, usize),
    /// Rows on disk.
    Run(Arc<Run>),
    /// The end of a producer that failed.
    Failure(Arc<DataFusionError>),
}

/// A group of queues.
pub(super) struct Gate {
    state: Mutex<State>,
    /// Items from which on a queue is full.
    capacity: usize,
}

struct State {
    queues: Vec<Queue>,
    open: usize,
    /// Open queues that are not full.
    with_room: usize,
    /// Producers that wait for room.
    waiting: Vec<Waker>,
}

struct Queue {
    items: VecDeque<Item>,
    is_open: bool,
    producers: usize,
    reader: Option<Waker>,
}

impl Gate {
    /// So many empty queues, each with the same producers.
    pub(super) fn new(queues: usize, producers: usize, capacity: usize) -> Self {
        let queue = || Queue { items: VecDeque::new(), is_open: true, producers, reader: None };
        let state = State {
            queues: (0..queues).map(|_| queue()).collect(),
            open: queues,
            with_room: queues,
            waiting: Vec::new(),
        };
        Self { state: Mutex::new(state), capacity: capacity.max(1) }
    }

    /// No call below panics half way, so a poisoned lock still guards a sound state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many queues it has.
    pub(super) fn queues(&self) -> usize {
        self.state().queues.len()
    }

    /// Waits until a queue has room. False: all are closed, nobody wants anything any more.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.open == 0 {
            return Poll::Ready(false);
        }
        if state.with_room > 0 {
            return Poll::Ready(true);
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the reader of a queue still wants rows.
    pub(super) fn is_open(&self, queue: usize) -> bool {
        self.state().queues[queue].is_open
    }

    /// Appends to a queue. One that is closed gives the item back.
    pub(super) fn push(&self, queue: usize, item: Item) -> Result<(), Item> {
        let mut guard = self.state();
        let state = &mut *guard;
        let queue = &mut state.queues[queue];
        if !queue.is_open {
            return Err(item);
        }
        queue.items.push_back(item);
        if queue.items.len() == self.capacity {
            state.with_room -= 1;
        }
        let reader = queue.reader.take();
        drop(guard);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The rows on disk at the end of a queue, if that is what its last item is.
    pub(super) fn last_run(&self, queue: usize) -> Option<Arc<Run>> {
        match self.state().queues[queue].items.back() {
            Some(Item::Run(run)) => Some(Arc::clone(run)),
            Some(Item::Batch(..) | Item::Failure(_)) | None => None,
        }
    }

    /// Takes the next item of a queue. `None`: it is empty, and all its producers have ended.
    pub(super) fn poll_pop(&self, queue: usize, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let queue = &mut state.queues[queue];
        let Some(item) = queue.items.pop_front() else {
            if queue.producers == 0 {
                return Poll::Ready(None);
            }
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let mut woken = Vec::new();
        if queue.items.len() + 1 == self.capacity && queue.is_open {
            state.with_room += 1;
            woken = mem::take(&mut state.waiting);
        }
        drop(guard);
        woken.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(item))
    }

    /// One producer of all queues has ended.
    pub(super) fn end_producer(&self) {
        let mut state = self.state();
        let mut woken = Vec::new();
        for queue in &mut state.queues {
            queue.producers = queue.producers.saturating_sub(1);
            if queue.producers == 0 {
                woken.extend(queue.reader.take());
            }
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// The reader of a queue wants no more; gives what it has left there.
    pub(super) fn close(&self, queue: usize) -> VecDeque<Item> {
        let mut guard = self.state();
        let state = &mut *guard;
        let queue = &mut state.queues[queue];
        if !queue.is_open {
            return VecDeque::new();
        }
        queue.is_open = false;
        queue.reader = None;
        let left = mem::take(&mut queue.items);
        state.open -= 1;
        if left.len() < self.capacity {
            state.with_room -= 1;
        }
        // Producers may have to stop, or to wait for the other queues.
        let woken = if state.open == 0 { mem::take(&mut state.waiting) } else { Vec::new() };
        drop(guard);
        woken.into_iter().for_each(Waker::wake);
        left
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    fn item() -> Item {
        Item::Failure(Arc::new(DataFusionError::Internal("x".into())))
    }

    fn room(gate: &Gate) -> Option<bool> {
        match gate.poll_room(&mut Context::from_waker(&noop_waker())) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }

    fn pop(gate: &Gate, queue: usize) -> Option<bool> {
        match gate.poll_pop(queue, &mut Context::from_waker(&noop_waker())) {
            Poll::Ready(item) => Some(item.is_some()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_producer_waits_only_while_every_open_queue_is_full() {
        let gate = Gate::new(2, 1, 1);
        assert!(gate.push(0, item()).is_ok() && gate.push(0, item()).is_ok());
        assert_eq!(room(&gate), Some(true));
        assert!(gate.push(1, item()).is_ok());
        assert_eq!(room(&gate), None);
        assert_eq!(pop(&gate, 0), Some(true));
        assert_eq!(room(&gate), None, "one of two items is left");
        assert_eq!(pop(&gate, 0), Some(true));
        assert_eq!(room(&gate), Some(true));
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_is_not_waited_for() {
        let gate = Gate::new(2, 1, 1);
        assert!(gate.push(0, item()).is_ok());
        assert_eq!(gate.close(1).len(), 0);
        assert!(gate.push(1, item()).is_err());
        assert_eq!(room(&gate), None);
        assert_eq!(gate.close(0).len(), 1);
        assert_eq!(room(&gate), Some(false));
        assert!(gate.close(0).is_empty());
    }

    #[test]
    fn a_queue_ends_when_it_is_empty_and_its_producers_have_ended() {
        let gate = Gate::new(1, 2, 1);
        assert_eq!(pop(&gate, 0), None);
        gate.end_producer();
        assert!(gate.push(0, item()).is_ok());
        gate.end_producer();
        assert_eq!(pop(&gate, 0), Some(true));
        assert_eq!(pop(&gate, 0), Some(false));
    }
}
