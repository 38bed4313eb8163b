//! The copies that joins make of their build sides, which nobody reserves.
//!
//! A join keeps the batches of its build side, each reserved as it comes; when all are there it makes one
//! batch of them. Until that is done both exist: for numbers twice what is reserved. (Of texts only the
//! views are copied, but the account does not tell them apart.)

use std::collections::HashMap;
use std::thread::ThreadId;

/// How far the reserved bytes and the copies together may go beyond the limit. With what a process needs
/// beside its account it stays below the limit and 300 MB; below this limit copies never count.
pub(super) const BEYOND_LIMIT_BYTES: usize = 240_000_000;

/// What joins may be copying, by consumer.
///
/// A join copies without a pause after its last reservation, so what it may be copying is over when its
/// thread turns to the account again, or it does itself from another one. Nothing is held for copies: they only
/// decide whether a join may go on.
#[derive(Debug, Default)]
pub(super) struct Copies(HashMap<usize, Copy>);

#[derive(Debug)]
struct Copy {
    thread: ThreadId,
    bytes: usize,
}

impl Copies {
    /// What a join may copy after it has reserved `additional` bytes more than it held; `None` for other
    /// consumers.
    pub(super) fn bytes(consumer: &str, held: usize, additional: usize) -> Option<usize> {
        match consumer.split('[').next() {
            // Its last reservation is for the hash table.
            Some("HashJoinInput") => Some(held),
            Some("CrossJoinExec" | "NestedLoopJoinLoad") => Some(held.saturating_add(additional)),
            _ => None,
        }
    }

    /// Whatever a thread copied is done.
    pub(super) fn done(&mut self, thread: ThreadId) {
        self.0.retain(|_, copy| copy.thread != thread);
    }

    /// A consumer is gone, and its copy with it.
    pub(super) fn forget(&mut self, consumer: usize) {
        self.0.remove(&consumer);
    }

    /// A consumer may copy so much from now on, on this thread.
    pub(super) fn start(&mut self, consumer: usize, thread: ThreadId, bytes: usize) {
        self.0.insert(consumer, Copy { thread, bytes });
    }

    /// What consumers other than one may be copying.
    pub(super) fn of_others(&self, consumer: usize) -> usize {
        let others = self.0.iter().filter(|(other, _)| **other != consumer);
        others.fold(0, |sum, (_, copy)| sum.saturating_add(copy.bytes))
    }
}
