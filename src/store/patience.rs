//! How long to wait for a store, and how often to ask it again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// The shortest time to wait for more of an answer until the rest of it is asked for a second time, beside it.
    pub second_min: Duration,
    /// How often to ask before giving up; what brings bytes starts the count anew.
    pub attempts_max: u32,
    /// How often to ask a store that has never answered.
    pub attempts_max_unknown: u32,
    /// The pause before the second attempt; it doubles with each.
    pub pause_first: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// What is sent may take its time: so many bytes are awaited a second.
    pub sent_bytes_per_second: u64,
}

/// Waits are at most this many times the usual.
const USUAL_TIMES: u32 = 16;
/// The rest of a body is asked for a second time when nothing has come for this many times the usual. Once an answer
/// has begun, the rest of it comes without pauses, unless packets were lost.
const SECOND_TIMES: u32 = 3;
/// Attempts that double the wait; later ones wait no longer.
const DOUBLINGS_MAX: u32 = 4;

impl Default for Patience {
    fn default() -> Self {
        Self {
            wait_min: Duration::from_secs(1),
            wait_max: Duration::from_secs(10),
            second_min: Duration::from_millis(50),
            attempts_max: 10,
            attempts_max_unknown: 4,
            pause_first: Duration::from_millis(50),
            pause_max: Duration::from_secs(5),
            sent_bytes_per_second: 512 << 10,
        }
    }
}

impl Patience {
    /// The pause before an attempt (2 is the second): from half of it to all of it, by chance, so that many that failed
    /// together do not come back together. What the server asks for is the least.
    pub(super) fn pause(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doublings = attempt.saturating_sub(2).min(16);
        let whole = self.pause_first.saturating_mul(1 << doublings).min(self.pause_max);
        let share = f64::from(u32::try_from(chance() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        let pause = whole.mul_f64(0.5 + share / 2.0);
        asked.map_or(pause, |asked| pause.max(asked.min(self.pause_max * 4)))
    }
}

fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What is usual for a store: how long its answers take. Shared by all that ask it.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// Microseconds; a moving average of slow answers. 0 before the first.
    micros: AtomicU64,
    /// Whether there has been an answer of any kind.
    heard: AtomicBool,
}

impl Usual {
    /// There is a server, whatever it says.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// A good answer came after this time.
    pub(super) fn answered(&self, time: Duration) {
        self.heard();
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // Slow answers count at once, quick ones little by little. A lost update costs nothing.
        let old = self.micros.load(Ordering::Relaxed);
        let next = if new >= old { new } else { old - (old - new) / 16 };
        self.micros.store(next, Ordering::Relaxed);
    }

    /// Whether there has been an answer of any kind.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// How long to wait for more of an answer before the rest is asked for beside it, having done so this often. It
    /// doubles with each, so that a slow network is not made slower.
    pub(super) fn second(&self, patience: &Patience, done: u32) -> Duration {
        let usual = match self.micros.load(Ordering::Relaxed) {
            0 => patience.wait_max,
            micros => Duration::from_micros(micros),
        };
        (usual * SECOND_TIMES).max(patience.second_min) * (1 << done.min(DOUBLINGS_MAX))
    }

    /// How long to wait in an attempt (1 is the first) for an answer, or for more of one.
    pub(super) fn wait(&self, patience: &Patience, attempt: u32) -> Duration {
        let micros = self.micros.load(Ordering::Relaxed);
        let first = match micros {
            0 => patience.wait_max,
            micros => (Duration::from_micros(micros) * USUAL_TIMES)
                .clamp(patience.wait_min, patience.wait_max.max(patience.wait_min)),
        };
        first * (1 << attempt.saturating_sub(1).min(DOUBLINGS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_what_is_usual_and_double() {
        let (patience, usual) = (Patience::default(), Usual::default());
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(10));
        usual.answered(Duration::from_millis(20));
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(1));
        assert_eq!(usual.wait(&patience, 3), Duration::from_secs(4));
        usual.answered(Duration::from_millis(250));
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(4));
        usual.answered(Duration::from_secs(60));
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(10));
        assert_eq!(usual.wait(&patience, 100), Duration::from_secs(160));
    }

    #[test]
    fn the_rest_is_asked_for_beside_a_body_long_before_it_is_given_up() {
        let (patience, usual) = (Patience::default(), Usual::default());
        usual.answered(Duration::from_millis(1));
        assert_eq!(usual.second(&patience, 0), Duration::from_millis(50));
        usual.answered(Duration::from_millis(40));
        assert_eq!(usual.second(&patience, 0), Duration::from_millis(120));
        assert_eq!(usual.second(&patience, 2), Duration::from_millis(480));
        assert!(usual.second(&patience, 0) < usual.wait(&patience, 1));
    }

    #[test]
    fn pauses_double_have_chance_in_them_and_follow_the_server() {
        let patience = Patience::default();
        for attempt in 2..12 {
            let whole = (Duration::from_millis(50) * (1 << (attempt - 2))).min(Duration::from_secs(5));
            let pause = patience.pause(attempt, None);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
        assert_eq!(patience.pause(2, Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(patience.pause(2, Some(Duration::from_secs(3600))), Duration::from_secs(20));
        let pauses: Vec<_> = (0..8).map(|_| patience.pause(8, None)).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
