//! How fast a statement is, and how long it still takes. The time is handed in.

use std::collections::VecDeque;
use std::time::Duration;

/// The stretch that the speed is taken from.
const WINDOW: Duration = Duration::from_secs(8);
/// No speed is told from a shorter one.
const STRETCH_MIN: Duration = Duration::from_millis(400);
/// Before that, how long it takes is a guess.
const ELAPSED_MIN: Duration = Duration::from_secs(2);
const FRACTION_MIN: f64 = 0.03;
/// How much a new estimate of the end counts against the old one.
const NEW_PART: f64 = 0.2;

/// Readings of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Pace {
    readings: VecDeque<Reading>,
    /// The estimated end, in seconds from the start.
    end: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    fraction: f64,
    rows: u64,
}

/// What a reading tells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Told {
    pub(super) rows_per_second: Option<f64>,
    pub(super) left: Option<Duration>,
}

impl Pace {
    /// Takes a reading, so long after the start.
    pub(super) fn take(&mut self, at: Duration, fraction: Option<f64>, rows: u64) -> Told {
        self.readings.push_back(Reading { at, fraction: fraction.unwrap_or(0.0), rows });
        while self.readings.len() > 2
            && self.readings.front().is_some_and(|first| at.saturating_sub(first.at) > WINDOW)
        {
            self.readings.pop_front();
        }
        let Some(first) = self.readings.front().copied() else { return Told::default() };
        let stretch = at.saturating_sub(first.at);
        if stretch < STRETCH_MIN {
            return Told::default();
        }
        let seconds = stretch.as_secs_f64();
        let rate = rows.saturating_sub(first.rows) as f64 / seconds;
        let recent = fraction.map(|fraction| (fraction - first.fraction) / seconds);
        Told {
            rows_per_second: (rate > 0.0).then_some(rate),
            left: recent.zip(fraction).and_then(|(recent, fraction)| self.left(at, recent, fraction)),
        }
    }

    /// From the speed of the last seconds and that of all of it: each alone would jump at the joints of a query.
    fn left(&mut self, at: Duration, recent: f64, fraction: f64) -> Option<Duration> {
        if at < ELAPSED_MIN || fraction < FRACTION_MIN {
            return None;
        }
        let elapsed = at.as_secs_f64();
        let speed = (recent.max(0.0) + fraction / elapsed) / 2.0;
        let new = elapsed + (1.0 - fraction) / speed;
        let end = self.end.map_or(new, |old| old + NEW_PART * (new - old));
        self.end = Some(end);
        Duration::try_from_secs_f64((end - elapsed).max(0.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_steady_pace_is_told_well() {
        let mut pace = Pace::default();
        let mut told = Told::default();
        for tick in 0..=60 {
            let seconds = f64::from(tick) / 10.0;
            told = pace.take(at(seconds), Some(seconds / 20.0), (seconds * 1e6) as u64);
            assert_eq!(told.left.is_some(), tick >= 20, "{tick}");
        }
        let left = told.left.unwrap().as_secs_f64();
        assert!((left - 14.0).abs() < 0.2, "{left}");
        let rate = told.rows_per_second.unwrap();
        assert!((rate - 1e6).abs() < 1e4, "{rate}");
    }

    #[test]
    fn a_halt_makes_the_end_later_and_never_endless() {
        let mut pace = Pace::default();
        for tick in 0..=40 {
            pace.take(at(f64::from(tick) / 10.0), Some(f64::from(tick) / 80.0), 1);
        }
        let mut last = Duration::ZERO;
        for tick in 0..200 {
            last = pace.take(at(4.0 + f64::from(tick) / 10.0), Some(0.5), 1).left.unwrap();
        }
        assert!(last > at(8.0) && last < at(100.0), "{last:?}");
    }

    #[test]
    fn without_a_fraction_only_the_rate_is_told() {
        let mut pace = Pace::default();
        pace.take(at(0.0), None, 0);
        assert_eq!(pace.take(at(0.1), None, 10), Told::default());
        assert_eq!(pace.take(at(4.0), None, 400), Told { rows_per_second: Some(100.0), left: None });
    }
}
