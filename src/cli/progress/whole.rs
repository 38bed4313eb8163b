//! How far a statement is, from how far its jobs are. Most have one job; one that is refused memory has a second,
//! which begins where the first was left.

use std::collections::BTreeMap;

use crate::scheduler::JobId;
use crate::scheduler::progress::Progress;

/// More is not said of a statement that has not ended: its rows may have still to be written.
const FRACTION_MAX: f64 = 0.99;

/// The jobs of a statement, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Whole {
    jobs: BTreeMap<JobId, Progress>,
    /// The job that the fraction is of.
    current: Option<JobId>,
    /// What had been said when that one began.
    base: f64,
    said: Option<f64>,
}

impl Whole {
    /// Takes a reading of some jobs; gives the fraction of all that is done, which never goes back.
    pub(super) fn take(&mut self, readings: Vec<Progress>) -> Option<f64> {
        for reading in readings {
            self.jobs.insert(reading.job, reading);
        }
        let open = self.jobs.values().rev().find(|job| !job.is_finished);
        let Some(job) = open.or_else(|| self.jobs.values().next_back()) else { return self.said };
        if self.current != Some(job.job) {
            self.current = Some(job.job);
            self.base = self.said.unwrap_or(0.0);
        }
        if let Some(fraction) = job.fraction {
            let new = (self.base + (1.0 - self.base) * fraction).min(FRACTION_MAX);
            self.said = Some(self.said.map_or(new, |said| said.max(new)));
        }
        self.said
    }

    /// The job that the fraction is of, as it was last seen.
    pub(super) fn current(&self) -> Option<&Progress> {
        self.jobs.get(&self.current?)
    }

    /// Rows that were read.
    pub(super) fn rows(&self) -> u64 {
        self.jobs.values().map(|job| job.rows_read).sum()
    }

    /// Bytes that were written to disk because memory was short.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.jobs.values().map(|job| job.spilled_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(job: u64, fraction: Option<f64>, is_finished: bool) -> Progress {
        let job = JobId::of_test(job);
        Progress { job, fraction, rows_read: 10, spilled_bytes: 1, stages: Vec::new(), is_finished }
    }

    #[test]
    fn a_second_job_begins_where_the_first_was_left() {
        let mut whole = Whole::default();
        assert_eq!(whole.take(Vec::new()), None);
        assert_eq!(whole.take(vec![reading(1, Some(0.5), false)]), Some(0.5));
        let both = |fraction| vec![reading(1, Some(1.0), true), reading(2, Some(fraction), false)];
        assert_eq!(whole.take(both(0.0)), Some(0.5));
        assert_eq!(whole.take(both(0.5)), Some(0.75));
        // The first one is gone.
        assert_eq!(whole.take(vec![reading(2, Some(0.8), false)]), Some(0.9));
        assert_eq!((whole.rows(), whole.spilled_bytes()), (20, 2));
        assert_eq!(whole.take(vec![reading(2, Some(1.0), true)]), Some(FRACTION_MAX));
    }

    #[test]
    fn what_was_said_stays_where_nothing_new_is_known() {
        let mut whole = Whole::default();
        assert_eq!(whole.take(vec![reading(1, None, false)]), None);
        assert!(whole.current().is_some());
        assert_eq!(whole.take(vec![reading(2, Some(0.4), false)]), Some(0.4));
        assert_eq!(whole.take(Vec::new()), Some(0.4));
        assert_eq!(whole.take(vec![reading(3, None, false)]), Some(0.4));
    }
}
