//! How many requests may be sent that may turn out not to have been needed.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many may be sent before there has been an answer, and at most that many are saved up.
const MOST: u32 = 32;

/// What is left of the requests that may be sent before it is known that they are needed: beside one that is slow, or at
/// once after one that broke. Each good answer allows one more, so a store in trouble is never asked much more than twice
/// as often as it answers, and one that does not answer at all is left in peace after a few.
#[derive(Debug)]
pub(super) struct Allowance(AtomicU32);

impl Default for Allowance {
    fn default() -> Self {
        Self(AtomicU32::new(MOST))
    }
}

impl Allowance {
    /// A good answer came.
    pub(super) fn earn(&self) {
        let more = |left: u32| (left < MOST).then_some(left + 1);
        // Nothing to do where all is saved up.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Whether one may be sent, which is then counted.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_is_left_in_peace_and_each_answer_allows_one_more() {
        let allowance = Allowance::default();
        assert_eq!((0..1000).filter(|_| allowance.take()).count(), 32);
        allowance.earn();
        allowance.earn();
        assert_eq!((0..1000).filter(|_| allowance.take()).count(), 2);
        (0..1000).for_each(|_| allowance.earn());
        assert_eq!((0..1000).filter(|_| allowance.take()).count(), 32, "not all that was earned is saved up");
    }
}
