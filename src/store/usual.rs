//! What is usual for a store: how long its answers take.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::counted::Request;
use super::patience::{DOUBLINGS_MAX, Patience};

/// Waits are at most this many times the usual.
const USUAL_TIMES: u32 = 16;
/// Answers that are remembered of each kind.
const RECENT: usize = 64;
/// Percent of them that came in the time that nearly all take.
const NEARLY_ALL: usize = 95;
/// A part of an upload is sent a second time after this many times what nearly all parts of its size take: sending it
/// twice takes the network from the others.
const SECOND_TIMES_PART: u32 = 3;
/// Parts are compared by their sizes in these; each has one more, for the answer.
const PART_BYTES: u64 = 256 << 10;
/// The same is asked for a second time when nothing has come for the time that nearly all answers take; or this many
/// times that, where only answers of the other kind are known: a listing takes longer than a read.
const SECOND_TIMES_OTHER: u32 = 4;

/// What is usual for a store. Shared by all that ask it.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// Microseconds; a moving average of slow answers. 0 before the first.
    micros: AtomicU64,
    /// Whether there has been an answer of any kind.
    heard: AtomicBool,
    /// Until answers with objects, or about them, begin.
    reads: Recent,
    /// Until listings begin.
    lists: Recent,
    /// The longest silences of bodies, each of which came to its end by itself.
    silences: Recent,
    /// Until parts of uploads are answered, for so many bytes of them.
    parts: Recent,
}

impl Usual {
    /// There is a server, whatever it says.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// A good answer began after this time.
    pub(super) fn answered(&self, request: Request, time: Duration) {
        self.heard();
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // Slow answers count at once, quick ones little by little. A lost update costs nothing.
        let old = self.micros.load(Ordering::Relaxed);
        let next = if new >= old { new } else { old - (old - new) / 16 };
        self.micros.store(next, Ordering::Relaxed);
        match request {
            Request::Get | Request::Head => self.reads.add(new),
            Request::List => self.lists.add(new),
            // They take as long as what is sent with them.
            Request::Put | Request::Other => {}
        }
    }

    /// A body came to its end by itself; this is the longest that nothing came of it.
    pub(super) fn ended(&self, silence: Duration) {
        self.silences.add(u64::try_from(silence.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// A part of an upload was taken after this time.
    pub(super) fn sent(&self, bytes: u64, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.parts.add((micros / u64::from(pieces(bytes))).max(1));
    }

    /// How long to wait until a part of an upload is sent a second time, that having been done so often; `None` where
    /// it is not known how long parts take.
    pub(super) fn second_part(&self, patience: &Patience, bytes: u64, done: u32) -> Option<Duration> {
        let whole = self.parts.nearly_all()? * pieces(bytes) * SECOND_TIMES_PART;
        Some(whole.max(patience.second_min) * (1 << done.min(DOUBLINGS_MAX)))
    }

    /// Whether there has been an answer of any kind.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// How long to wait for an answer, or for more of one, before the same is asked for beside it, that having been
    /// done in vain so often. It doubles with each, so that a slow network is not made slower.
    pub(super) fn second(&self, patience: &Patience, request: Request, done: u32) -> Duration {
        let (own, other) = match request {
            Request::List => (&self.lists, &self.reads),
            Request::Get | Request::Head | Request::Put | Request::Other => (&self.reads, &self.lists),
        };
        let after = match (own.nearly_all(), other.nearly_all()) {
            (Some(own), _) => own,
            (None, Some(other)) => other * SECOND_TIMES_OTHER,
            (None, None) => patience.second_unknown,
        };
        after.max(patience.second_min) * (1 << done.min(DOUBLINGS_MAX))
    }

    /// How long to wait for more of a body before the rest is asked for beside it, as in [`Self::second`]. What has
    /// begun to come is seldom silent for as long as it takes to begin, least of all where many requests wait for
    /// their turn.
    pub(super) fn second_body(&self, patience: &Patience, done: u32) -> Duration {
        match self.silences.nearly_all() {
            Some(silence) => silence.max(patience.second_min) * (1 << done.min(DOUBLINGS_MAX)),
            None => self.second(patience, Request::Get, done),
        }
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

fn pieces(bytes: u64) -> u32 {
    u32::try_from(bytes / PART_BYTES + 1).unwrap_or(u32::MAX)
}

/// How long the last answers of a kind took.
#[derive(Debug, Default)]
struct Recent {
    kept: Mutex<Kept>,
    /// Microseconds in which nearly all of them came; 0 before the first.
    nearly_all: AtomicU64,
}

/// Microseconds, and the place of the oldest.
#[derive(Debug, Default)]
struct Kept {
    micros: Vec<u64>,
    oldest: usize,
}

impl Recent {
    fn add(&self, micros: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = kept.oldest;
        match kept.micros.get_mut(oldest) {
            Some(place) => *place = micros,
            None => kept.micros.push(micros),
        }
        kept.oldest = (oldest + 1) % RECENT;
        let mut sorted = kept.micros.clone();
        let place = (sorted.len() * NEARLY_ALL).div_ceil(100) - 1;
        let (_, nearly_all, _) = sorted.select_nth_unstable(place);
        self.nearly_all.store(*nearly_all, Ordering::Relaxed);
    }

    fn nearly_all(&self) -> Option<Duration> {
        match self.nearly_all.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn waits_follow_what_is_usual_and_double() {
        let (patience, usual) = (Patience::default(), Usual::default());
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(10));
        usual.answered(Request::Get, millis(20));
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(1));
        assert_eq!(usual.wait(&patience, 3), Duration::from_secs(4));
        usual.answered(Request::Get, millis(250));
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(4));
        usual.answered(Request::Get, Duration::from_secs(60));
        assert_eq!(usual.wait(&patience, 1), Duration::from_secs(10));
        assert_eq!(usual.wait(&patience, 100), Duration::from_secs(160));
    }

    #[test]
    fn the_same_is_asked_for_beside_an_answer_long_before_it_is_given_up() {
        let (patience, usual) = (Patience::default(), Usual::default());
        let second = |done| usual.second(&patience, Request::Get, done);
        assert_eq!(second(0), patience.second_unknown);
        usual.answered(Request::Get, millis(1));
        assert_eq!(second(0), patience.second_min);
        usual.answered(Request::Head, millis(40));
        assert_eq!(second(0), millis(40));
        assert_eq!(second(2), millis(160));
        assert_eq!(second(100), millis(640));
        assert!(second(0) < usual.wait(&patience, 1));
    }

    #[test]
    fn one_slow_answer_of_many_makes_no_difference_and_all_of_them_do() {
        let (patience, usual) = (Patience::default(), Usual::default());
        let second = || usual.second(&patience, Request::Get, 0);
        (0..63).for_each(|_| usual.answered(Request::Get, millis(40)));
        usual.answered(Request::Get, millis(900));
        assert_eq!(second(), millis(40));
        // A store that has become slow is soon not asked twice for everything.
        (0..4).for_each(|_| usual.answered(Request::Get, millis(900)));
        assert_eq!(second(), millis(900));
        (0..64).for_each(|_| usual.answered(Request::Get, millis(40)));
        assert_eq!(second(), millis(40));
    }

    #[test]
    fn bodies_are_measured_by_their_longest_silences() {
        let (patience, usual) = (Patience::default(), Usual::default());
        let second = |done| usual.second_body(&patience, done);
        usual.answered(Request::Get, millis(150));
        assert_eq!((second(0), second(1)), (millis(150), millis(300)));
        (0..64).for_each(|_| usual.ended(millis(1)));
        assert_eq!((second(0), second(1), second(9)), (millis(20), millis(40), millis(320)));
        // A network on which bodies come with gaps is not asked twice for each.
        (0..4).for_each(|_| usual.ended(millis(400)));
        assert_eq!(second(0), millis(400));
        assert_eq!(usual.second(&patience, Request::Get, 0), millis(150));
    }

    #[test]
    fn listings_are_not_measured_by_reads() {
        let (patience, usual) = (Patience::default(), Usual::default());
        let of = |request| usual.second(&patience, request, 0);
        usual.answered(Request::Get, millis(25));
        assert_eq!((of(Request::Get), of(Request::List)), (millis(25), millis(100)));
        usual.answered(Request::List, millis(200));
        assert_eq!((of(Request::Get), of(Request::List)), (millis(25), millis(200)));
        // What is sent takes its own time.
        usual.answered(Request::Put, Duration::from_secs(5));
        assert_eq!(of(Request::Get), millis(25));
    }

    #[test]
    fn parts_are_measured_by_parts_and_their_size() {
        let (patience, usual) = (Patience::default(), Usual::default());
        usual.answered(Request::Get, millis(20));
        assert_eq!(usual.second_part(&patience, 10 << 20, 0), None);
        usual.sent(10 << 20, millis(410));
        assert_eq!(usual.second_part(&patience, 10 << 20, 0), Some(millis(1230)));
        assert_eq!(usual.second_part(&patience, 10 << 20, 1), Some(millis(2460)));
        assert_eq!(usual.second_part(&patience, 1 << 20, 0), Some(millis(150)));
        assert_eq!(usual.second_part(&patience, 0, 0), Some(millis(30)));
    }
}
