//! How long to wait for a store, and how often to ask it again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How patient we are with a store.
///
/// A store that usually answers within 30 ms has most likely lost a request that has had no answer for a second. So
/// the time-out follows what is usual, between two bounds; and doubles with each attempt, so that a store that has
/// become slow is not asked over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The shortest time to wait for an answer, or for the next bytes of one.
    pub wait_min: Duration,
    /// The time to wait when it is not known what is usual, and the longest for the first attempt.
    pub wait_max: Duration,
    /// The shortest time to wait for an answer, or for more of one, until the same is asked for a second time beside it.
    pub second_min: Duration,
    /// That time when it is not known how long answers take.
    pub second_unknown: Duration,
    /// How often to ask before giving up; what brings bytes starts the count anew.
    pub attempts_max: u32,
    /// How often to ask a store that has never answered.
    pub attempts_max_unknown: u32,
    /// The pause before the third attempt; it doubles with each. The one before the second is as long as the first
    /// attempt took, if that is less.
    pub pause_first: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// What is sent may take its time: so many bytes are awaited a second.
    pub sent_bytes_per_second: u64,
}

/// Attempts that double the wait; later ones wait no longer.
pub(super) const DOUBLINGS_MAX: u32 = 4;
/// The shortest first pause: answers of a machine in the same rack come in less.
const PAUSE_MIN: Duration = Duration::from_millis(5);

impl Default for Patience {
    fn default() -> Self {
        Self {
            wait_min: Duration::from_secs(1),
            wait_max: Duration::from_secs(10),
            second_min: Duration::from_millis(20),
            second_unknown: Duration::from_millis(300),
            attempts_max: 10,
            attempts_max_unknown: 4,
            pause_first: Duration::from_millis(50),
            pause_max: Duration::from_secs(5),
            sent_bytes_per_second: 512 << 10,
        }
    }
}

impl Patience {
    /// The pause after so many attempts have failed, the last of which took this time: from half of it to all of it, by
    /// chance, so that many that failed together do not come back together. What the server asks for is the least.
    ///
    /// One refusal of many is over when the next request comes, so the first pause is no longer than it takes to ask.
    /// Who is refused again meets a store that is busy, and goes out of its way.
    pub(super) fn pause(&self, failed: u32, asked: Option<Duration>, took: Duration) -> Duration {
        let whole = match failed {
            0 | 1 => took.max(PAUSE_MIN).min(self.pause_first),
            _ => self.pause_first.saturating_mul(1 << (failed - 2).min(16)).min(self.pause_max),
        };
        let pause = by_chance(whole);
        asked.map_or(pause, |asked| pause.max(asked.min(self.pause_max * 4)))
    }

    /// The pause where the store is not busy, but refused this request so often: a quarter of the time that the last
    /// attempt took, and a quarter more with each.
    pub(super) fn quick(&self, failed: u32, took: Duration) -> Duration {
        by_chance((took / 4).saturating_mul(failed).max(PAUSE_MIN).min(self.pause_first))
    }
}

/// From half of a time to all of it.
fn by_chance(whole: Duration) -> Duration {
    let share = f64::from(u32::try_from(chance() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
    whole.mul_f64(0.5 + share / 2.0)
}

fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_have_chance_in_them_and_follow_the_server() {
        let patience = Patience::default();
        let took = Duration::from_millis(20);
        let wholes = [20, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000].map(Duration::from_millis);
        for (failed, whole) in (1..).zip(wholes) {
            let pause = patience.pause(failed, None, took);
            assert!(pause >= whole / 2 && pause <= whole, "{failed}: {pause:?}");
        }
        assert_eq!(patience.pause(1, Some(Duration::from_secs(3)), took), Duration::from_secs(3));
        assert_eq!(patience.pause(1, Some(Duration::from_secs(3600)), took), Duration::from_secs(20));
        let pauses: Vec<_> = (0..8).map(|_| patience.pause(8, None, took)).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }

    #[test]
    fn the_first_pause_is_as_long_as_the_refusal_took_within_bounds() {
        let patience = Patience::default();
        for (took, whole) in [(0, 5), (1, 5), (8, 8), (30, 30), (50, 50), (4000, 50)] {
            let (took, whole) = (Duration::from_millis(took), Duration::from_millis(whole));
            let pause = patience.pause(1, None, took);
            assert!(pause >= whole / 2 && pause <= whole, "{took:?}: {pause:?}");
        }
    }
}
