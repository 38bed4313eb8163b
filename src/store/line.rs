//! What is known of the way to a store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::allowance::Allowance;
use super::counted::{Counts, Request};
use super::patience::Patience;
use super::tries::Tries;
use super::trouble::What;
use super::usual::Usual;

/// Requests to one store that are under way at once.
const AT_ONCE_MAX: usize = 256;

/// A request is sent again soon after a refusal so often, however good the answers to others are.
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
    /// Whether the same part of an upload has another tag each time that it is sent: it is encrypted with a key of its
    /// own. An upload that is ended by one tag, where the store has a part of another, is refused.
    pub(super) parts_differ: AtomicBool,
}

impl Line {
    pub(super) fn new(counts: Arc<Counts>, patience: Patience, temp_dir: PathBuf) -> Arc<Self> {
        let slots = Semaphore::new(AT_ONCE_MAX);
        let (usual, allowance) = (Usual::default(), Allowance::default());
        Arc::new(Self {
            counts,
            usual,
            patience,
            allowance,
            temp_dir,
            slots,
            lost_begins: AtomicU64::new(0),
            counts_from_start: AtomicBool::new(false),
            parts_differ: AtomicBool::new(false),
        })
    }

    /// A good answer began after this time.
    pub(super) fn answered(&self, request: Request, time: Duration) {
        self.usual.answered(request, time);
        self.allowance.earn();
    }

    /// Whether to give up, when these attempts have failed.
    pub(super) fn is_over(&self, tries: Tries) -> bool {
        let most = match self.usual.is_heard() {
            true => self.patience.attempts_max,
            false => self.patience.attempts_max_unknown,
        };
        tries.patient() >= most
    }

    /// How long to wait before asking again, when these attempts have failed, the last of which took this time.
    pub(super) fn pause(&self, what: &What, request: Request, tries: &mut Tries, took: Duration) -> Duration {
        match what {
            // The time has been waited already.
            What::Silent(_) => Duration::ZERO,
            // The server is not busy but has lost a connection, maybe one that nobody had used for long.
            What::Broken(_) if tries.is_first() && request != Request::Other && self.allowance.take() => {
                Duration::ZERO
            }
            // One refusal among many good answers: nothing tells that the store is busy.
            What::Answer(_)
                if tries.quick_so_far() < QUICK_MAX && what.after().is_none() && self.allowance.take() =>
            {
                self.patience.quick(tries.quick(), took)
            }
            // It is known at once that nobody listens, which tells nothing of how long it takes to ask.
            What::Connect(_) => self.patience.pause(tries.patient(), None, self.patience.pause_first),
            What::Answer(_) | What::Broken(_) => self.patience.pause(tries.patient(), what.after(), took),
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

    /// So many attempts have failed, none of which followed a refusal soon.
    fn failed(attempts: u32) -> Tries {
        let mut tries = Tries::first();
        (1..attempts).for_each(|_| tries.again());
        tries
    }

    fn busy() -> What {
        What::Answer(Answer { status: 503, ..Answer::default() })
    }

    #[test]
    fn what_broke_is_asked_for_at_once_but_not_again_and_again() {
        let (line, broken) = (line(), What::Broken("reset".into()));
        let pause = |request, attempts| line.pause(&broken, request, &mut failed(attempts), TOOK);
        assert_eq!(pause(Request::Get, 1), Duration::ZERO);
        assert!(pause(Request::Get, 2) >= Duration::from_millis(25));
        // What may have been done already is not asked for before the server is done with it.
        assert!(pause(Request::Other, 1) >= TOOK / 2);
        while line.allowance.take() {}
        assert!(pause(Request::Get, 1) >= TOOK / 2);
        line.answered(Request::Get, TOOK);
        assert_eq!(pause(Request::Get, 1), Duration::ZERO);
    }

    /// The pauses, at most, while the store answers others: 5, 10, 15, 20 ms; 20 ms, 50 ms, 100 ms …
    #[test]
    fn a_refusal_among_good_answers_is_followed_soon_but_never_at_once() {
        let (line, mut tries) = (line(), Tries::first());
        let mut pause = || {
            let pause = line.pause(&busy(), Request::Get, &mut tries, TOOK);
            let is_over = line.is_over(tries);
            tries.again();
            (pause, is_over)
        };
        line.usual.heard();
        for refused in 1..=4 {
            let whole = (TOOK / 4 * refused).max(Duration::from_millis(5));
            let (pause, _) = pause();
            assert!(pause >= whole / 2 && pause <= whole, "{refused}: {pause:?}");
        }
        // From here on as if it had been asked for the first time.
        for (refused, whole) in (5..14).zip([20, 50, 100, 200, 400, 800, 1600, 3200, 5000]) {
            let whole = Duration::from_millis(whole);
            let (pause, is_over) = pause();
            assert!(pause >= whole / 2 && pause <= whole, "{refused}: {pause:?}");
            assert!(!is_over, "{refused}");
        }
        assert!(pause().1);
        let asked = Answer { status: 503, after: Some(Duration::from_secs(2)), ..Answer::default() };
        let pause = line.pause(&What::Answer(asked), Request::Get, &mut failed(1), TOOK);
        assert!(pause >= Duration::from_secs(2));
    }

    #[test]
    fn a_store_that_only_refuses_is_asked_after_pauses_that_double() {
        let line = line();
        while line.allowance.take() {}
        for attempts in 1..10 {
            let least = match attempts {
                1 => TOOK / 2,
                _ => (Duration::from_millis(25) * (1 << (attempts - 2))).min(Duration::from_millis(2500)),
            };
            let pause = line.pause(&busy(), Request::Get, &mut failed(attempts), TOOK);
            assert!(pause >= least, "{attempts}");
        }
        line.usual.heard();
        assert_eq!((line.is_over(failed(9)), line.is_over(failed(10))), (false, true));
        let refused = What::Connect("connection refused".into());
        assert!(
            line.pause(&refused, Request::Get, &mut failed(1), Duration::ZERO) >= Duration::from_millis(25)
        );
        let silent = What::Silent(TOOK);
        assert_eq!(line.pause(&silent, Request::Get, &mut failed(1), TOOK), Duration::ZERO);
    }

    #[test]
    fn a_server_that_has_never_answered_is_given_up_sooner() {
        let line = line();
        assert_eq!((line.is_over(failed(3)), line.is_over(failed(4))), (false, true));
    }
}
