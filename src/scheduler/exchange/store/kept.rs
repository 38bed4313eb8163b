//! What is kept of one partition, and how far each of its readers is.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};

use super::super::run::Run;
use super::super::{internal, stopped};
use super::{Held, Memory};

/// The rows of one partition from the first that a reader has still to take. It has one producer.
pub(super) struct Kept {
    state: Mutex<State>,
}

struct State {
    items: VecDeque<Item>,
    /// Items that were before these, and that all have passed.
    passed: usize,
    held: Held,
    readers: Vec<Cursor>,
    /// `None`: more may come.
    end: Option<End>,
}

enum Item {
    Batch(RecordBatch),
    /// Rows on disk, of so many batches until now.
    Run(Arc<Run>, usize),
}

/// How the producer has ended.
pub(super) enum End {
    /// All rows are here.
    Done,
    /// By an error, which comes behind the rows that are here.
    Failed(Arc<DataFusionError>),
}

/// A reader's place.
struct Cursor {
    claim: Claim,
    /// The item that comes next, from the first that ever was.
    item: usize,
    /// Batches of it that the reader was given, if it is a run.
    of_run: usize,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It has not begun to read, and may do so at any time.
    Unopened,
    Open,
    /// It wants no more.
    Closed,
}

/// What a reader gets.
pub(super) enum Next {
    /// Rows from memory.
    Batch(RecordBatch),
    /// The next so many batches of a run.
    OfRun(Arc<Run>, usize),
    /// The producer's error.
    Failure(Arc<DataFusionError>),
    /// There is no more.
    End,
}

impl Kept {
    /// Nothing yet, for so many readers.
    pub(super) fn new(readers: usize) -> Self {
        let reader = || Cursor { claim: Claim::Unopened, item: 0, of_run: 0, waker: None };
        let state = State {
            items: VecDeque::new(),
            passed: 0,
            held: Held::default(),
            readers: (0..readers).map(|_| reader()).collect(),
            end: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// No call below panics half way, so a poisoned lock still guards a sound state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a reader that has not closed.
    pub(super) fn is_wanted(&self) -> bool {
        self.state().readers.iter().any(|reader| reader.claim != Claim::Closed)
    }

    /// The rows on disk at the end, if that is what its last item is.
    pub(super) fn last_run(&self) -> Option<Arc<Run>> {
        match self.state().items.back() {
            Some(Item::Run(run, _)) => Some(Arc::clone(run)),
            Some(Item::Batch(_)) | None => None,
        }
    }

    /// Appends a batch, if memory has room for it; else gives it back.
    pub(super) fn push(&self, batch: RecordBatch, memory: &Memory) -> Result<(), RecordBatch> {
        let mut state = self.state();
        let bytes = state.held.add(&batch);
        if !memory.try_hold(bytes) {
            state.held.remove(&batch);
            return Err(batch);
        }
        state.items.push_back(Item::Batch(batch));
        wake(state, memory);
        Ok(())
    }

    /// Appends a run of one batch.
    pub(super) fn push_run(&self, run: Arc<Run>, memory: &Memory) {
        let mut state = self.state();
        state.items.push_back(Item::Run(run, 1));
        wake(state, memory);
    }

    /// Takes note of a batch that was appended to the run at the end.
    pub(super) fn appended(&self, memory: &Memory) {
        let mut state = self.state();
        if let Some(Item::Run(_, batches)) = state.items.back_mut() {
            *batches += 1;
        }
        wake(state, memory);
    }

    /// The producer has ended. The first end counts.
    pub(super) fn end(&self, end: End, memory: &Memory) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        wake(state, memory);
    }

    /// A reader begins.
    ///
    /// # Errors
    /// One that has begun before.
    pub(super) fn open(&self, reader: usize) -> Result<()> {
        let claim = &mut self.state().readers[reader].claim;
        match claim {
            Claim::Unopened => *claim = Claim::Open,
            // Its stage was told to stop before it came so far; what it reads says so.
            Claim::Closed => {}
            Claim::Open => return Err(internal("a partition that is kept is read twice by one reader")),
        }
        Ok(())
    }

    /// A reader wants no more. What no other reader has still to take goes.
    pub(super) fn close(&self, reader: usize, memory: &Memory) {
        let mut state = self.state();
        let cursor = &mut state.readers[reader];
        cursor.claim = Claim::Closed;
        let waker = cursor.waker.take();
        release(state, memory);
        waker.into_iter().for_each(Waker::wake);
    }

    /// What comes next for a reader.
    pub(super) fn poll(&self, reader: usize, memory: &Memory, cx: &mut Context<'_>) -> Poll<Next> {
        let mut guard = self.state();
        let state = &mut *guard;
        let cursor = &mut state.readers[reader];
        if cursor.claim == Claim::Closed {
            return Poll::Ready(Next::Failure(stopped()));
        }
        let next = loop {
            let at = cursor.item - state.passed;
            match state.items.get(at) {
                Some(Item::Batch(batch)) => {
                    cursor.item += 1;
                    break Poll::Ready(Next::Batch(batch.clone()));
                }
                Some(Item::Run(run, batches)) if cursor.of_run < *batches => {
                    let more = *batches - mem::replace(&mut cursor.of_run, *batches);
                    break Poll::Ready(Next::OfRun(Arc::clone(run), more));
                }
                // The last run is left when it cannot grow any more.
                Some(Item::Run(..)) if at + 1 < state.items.len() || state.end.is_some() => {
                    (cursor.item, cursor.of_run) = (cursor.item + 1, 0);
                }
                Some(Item::Run(..)) | None => match &state.end {
                    Some(End::Done) => break Poll::Ready(Next::End),
                    Some(End::Failed(error)) => break Poll::Ready(Next::Failure(Arc::clone(error))),
                    None => {
                        cursor.waker = Some(cx.waker().clone());
                        break Poll::Pending;
                    }
                },
            }
        };
        release(guard, memory);
        next
    }
}

/// Lets go of what all readers have passed: of all, if there is no reader left.
fn release(mut guard: MutexGuard<'_, State>, memory: &Memory) {
    let state = &mut *guard;
    let last = state.passed + state.items.len();
    let claimed = state.readers.iter().filter(|reader| reader.claim != Claim::Closed);
    let first = claimed.map(|reader| reader.item).min().unwrap_or(last);
    let (mut gone, mut bytes) = (Vec::new(), 0);
    while state.passed < first
        && let Some(item) = state.items.pop_front()
    {
        state.passed += 1;
        if let Item::Batch(batch) = &item {
            bytes += state.held.remove(batch);
        }
        gone.push(item);
    }
    drop(guard);
    memory.free(bytes);
    // Outside of the lock: files are deleted.
    drop(gone);
}

/// Wakes all that wait, and lets go of what came for nobody.
fn wake(mut state: MutexGuard<'_, State>, memory: &Memory) {
    let woken: Vec<_> = state.readers.iter_mut().filter_map(|reader| reader.waker.take()).collect();
    release(state, memory);
    woken.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests;
