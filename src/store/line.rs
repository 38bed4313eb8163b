//! What is known of the way to a store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::allowance::Allowance;
use super::counted::{Counts, Request};
use super::patience::Patience;
use super::trouble::What;
use super::usual::Usual;

/// Requests to one store that are under way at once.
const AT_ONCE_MAX: usize = 256;

/// A request that was refused so often is no longer sent again soon, however good the answers to others are.
const QUICK_MAX: u32 = 4;

/// What is known of the way to a store; shared by all that use it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) counts: Arc<Counts>,
    pub(super) usual: Usual,
    pub(super) patience: Patience,
    pub(super) allowance: Allowance,
    /// Where files are kept that can only be read whole.
    pub(super) temp_dir: PathBuf,
    /// Taken by requests until their answers are here: each is a connection, and there are only so many files that a
    /// process may have open. Bodies that are read piece by piece have none, for their readers may wait for each other.
    pub(super) slots: Semaphore,
    /// Uploads that the server may have begun although nobody heard of it.
    pub(super) lost_begins: AtomicU64,
    /// Whether the server is known not to give bytes by their number from an object's end.
    pub(super) counts_from_start: AtomicBool,
}

impl Line {
    pub(super) fn new(counts: Arc<Counts>, patience: Patience, temp_dir: PathBuf) -> Arc<Self> {
        let slots = Semaphore::new(AT_ONCE_MAX);
        let (usual, allowance) = (Usual::default(), Allowance::default());
        let (lost_begins, counts_from_start) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { counts, usual, patience, allowance, temp_dir, slots, lost_begins, counts_from_start })
    }

    /// How often to ask before giving up.
    pub(super) fn attempts_max(&self) -> u32 {
        match self.usual.is_heard() {
            true => self.patience.attempts_max,
            false => self.patience.attempts_max_unknown,
        }
    }

    /// A good answer began after this time.
    pub(super) fn answered(&self, request: Request, time: Duration) {
        self.usual.answered(request, time);
        self.allowance.earn();
    }

    /// How long to wait before asking again, when so many attempts have failed, the last of which took this time.
    pub(super) fn pause(&self, what: &What, request: Request, failed: u32, took: Duration) -> Duration {
        match what {
            // The time has been waited already.
            What::Silent(_) => Duration::ZERO,
            // The server is not busy but has lost a connection, maybe one that nobody had used for long.
            What::Broken(_) if failed == 1 && request != Request::Other && self.allowance.take() => {
                Duration::ZERO
            }
            // One refusal among many good answers: nothing tells that the store is busy.
            What::Answer(_) if failed <= QUICK_MAX && what.after().is_none() && self.allowance.take() => {
                self.patience.quick(failed, took)
            }
            // It is known at once that nobody listens, which tells nothing of how long it takes to ask.
            What::Connect(_) => self.patience.pause(failed, None, self.patience.pause_first),
            What::Answer(_) | What::Broken(_) => self.patience.pause(failed, what.after(), took),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trouble::Answer;
    use super::*;

    fn line() -> Arc<Line> {
        Line::new(Arc::default(), Patience::default(), std::env::temp_dir())
    }

    const TOOK: Duration = Duration::from_millis(20);

    #[test]
    fn what_broke_is_asked_for_at_once_but_not_again_and_again() {
        let (line, broken) = (line(), What::Broken("reset".into()));
        assert_eq!(line.pause(&broken, Request::Get, 1, TOOK), Duration::ZERO);
        assert!(line.pause(&broken, Request::Get, 2, TOOK) >= Duration::from_millis(25));
        // What may have been done already is not asked for before the server is done with it.
        assert!(line.pause(&broken, Request::Other, 1, TOOK) >= TOOK / 2);
        while line.allowance.take() {}
        assert!(line.pause(&broken, Request::Get, 1, TOOK) >= TOOK / 2);
        line.answered(Request::Get, TOOK);
        assert_eq!(line.pause(&broken, Request::Get, 1, TOOK), Duration::ZERO);
    }

    #[test]
    fn a_refusal_among_good_answers_is_followed_soon_but_never_at_once() {
        let (line, busy) = (line(), What::Answer(Answer { status: 503, ..Answer::default() }));
        for failed in 1..=4 {
            let pause = line.pause(&busy, Request::Get, failed, TOOK);
            let whole = (TOOK / 4 * failed).max(Duration::from_millis(5));
            assert!(pause >= whole / 2 && pause <= whole, "{failed}: {pause:?}");
        }
        assert!(line.pause(&busy, Request::Get, 5, TOOK) >= Duration::from_millis(200));
        let asked = Answer { status: 503, after: Some(Duration::from_secs(2)), ..Answer::default() };
        assert!(line.pause(&What::Answer(asked), Request::Get, 1, TOOK) >= Duration::from_secs(2));
    }

    #[test]
    fn a_store_that_only_refuses_is_asked_after_pauses_that_double() {
        let line = line();
        let busy = What::Answer(Answer { status: 503, ..Answer::default() });
        while line.allowance.take() {}
        for failed in 1..10 {
            let least = match failed {
                1 => TOOK / 2,
                _ => (Duration::from_millis(25) * (1 << (failed - 2))).min(Duration::from_millis(2500)),
            };
            assert!(line.pause(&busy, Request::Get, failed, TOOK) >= least, "{failed}");
        }
        let refused = What::Connect("connection refused".into());
        assert!(line.pause(&refused, Request::Get, 1, Duration::ZERO) >= Duration::from_millis(25));
        assert_eq!(line.pause(&What::Silent(TOOK), Request::Get, 1, TOOK), Duration::ZERO);
    }
}
