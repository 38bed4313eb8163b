//! How often something has been asked for.

/// The attempts at a request, the one under way included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tries {
    attempts: u32,
    /// Attempts that followed a refusal soon, because the store was answering others.
    quick: u32,
}

impl Tries {
    /// The first attempt is under way.
    pub(super) fn first() -> Self {
        Self { attempts: 1, quick: 0 }
    }

    /// It has failed, and another is made.
    pub(super) fn again(&mut self) {
        self.attempts += 1;
    }

    /// The next attempt follows soon; says how many have by then.
    pub(super) fn quick(&mut self) -> u32 {
        self.quick += 1;
        self.quick
    }

    pub(super) fn attempts(self) -> u32 {
        self.attempts
    }

    pub(super) fn is_first(self) -> bool {
        self.attempts == 1
    }

    pub(super) fn quick_so_far(self) -> u32 {
        self.quick
    }

    /// Attempts that were not made soon after a refusal: these count for how long to go on, and how long to wait.
    pub(super) fn patient(self) -> u32 {
        self.attempts - self.quick
    }
}
