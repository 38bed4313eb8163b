//! How much of a job is done, as a pure function of what its stages have read and given.
//!
//! Work is counted in rows: those that scans read, those that stages read from each other, and those of the result,
//! each weighted by what is done to it. What scans have to read is known when the job begins. How many rows
//! a stage will give is not: it is taken from how many it has given for what it has read, and from a guess before
//! that. A stage that gives nothing before it has read all (an aggregation, a sort) is held to its guess until then, so
//! that the end of the scans is not taken for the end of the job.

/// More than this is not said of a job that has not ended.
const FRACTION_MAX: f64 = 0.99;
/// How much of its input a stage has to have read until what it gave says all about what it will give.
const INPUT_TOLD: f64 = 0.1;

/// What is known of a job before it runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outline {
    /// Producers before those that read them.
    pub(super) stages: Vec<StageOutline>,
    /// The stage whose rows are the job's.
    pub(super) root: usize,
}

/// What is known of a stage before it runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StageOutline {
    /// What it reads, in the order of its plan: of a join the build side comes first.
    pub(super) sources: Vec<Source>,
    /// Whether it gives its first row when it has read all.
    pub(super) holds: bool,
    /// The rows that it is believed to give for each row of its last source.
    pub(super) ratio: f64,
    /// The rows that it gives at most.
    pub(super) rows_max: Option<f64>,
    /// The work of each row that it gives.
    pub(super) given_work: f64,
}

/// Something that a stage reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    /// A scan of so many rows, if that is known, each of them so much work.
    Scan { rows: Option<f64>, row_work: f64 },
    /// The rows of another stage, each of them so much work.
    Stage { from: usize, row_work: f64 },
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    pub(super) status: Phase,
    /// By source: of a scan the fraction that is read, of a stage its rows that are read.
    pub(super) read: Vec<f64>,
    /// Rows that it has given.
    pub(super) given: f64,
}

/// Where a stage is in its life, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// It runs or may run.
    #[default]
    Open,
    /// It has ended, also if it was stopped: nothing is left to do.
    Over,
    /// It never runs.
    Skipped,
}

/// The estimate of a job. It never goes back.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    outline: Outline,
    best: f64,
}

/// Work done and work there is.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    done: f64,
    total: f64,
}

impl Work {
    fn add(&mut self, done: f64, total: f64) {
        self.total += total;
        self.done += done.min(total);
    }
}

impl Estimate {
    pub(super) fn new(outline: Outline) -> Self {
        Self { outline, best: 0.0 }
    }

    /// The fraction that is done. `None`: nothing is known of what there is to do.
    pub(super) fn take(&mut self, seen: &[Seen]) -> Option<f64> {
        let fraction = self.outline.fraction(seen)?;
        self.best = self.best.max(fraction.min(FRACTION_MAX));
        Some(self.best)
    }
}

impl Outline {
    fn fraction(&self, seen: &[Seen]) -> Option<f64> {
        let mut work = Work::default();
        let mut knows = false;
        // By stage: the rows that it has given in the end, as far as can be said.
        let mut gives: Vec<f64> = Vec::with_capacity(self.stages.len());
        for (stage, seen) in self.stages.iter().zip(seen) {
            let mut last = Last::default();
            for (source, read) in stage.sources.iter().zip(seen.read.iter().copied()) {
                let (rows, fraction, row_work) = match *source {
                    Source::Scan { rows: None, .. } => continue,
                    Source::Scan { rows: Some(rows), row_work } => {
                        knows |= seen.status != Phase::Skipped;
                        (rows, read.clamp(0.0, 1.0), row_work)
                    }
                    Source::Stage { from, row_work } => {
                        let rows = gives.get(from).copied().unwrap_or(0.0).max(read);
                        let given_work = self.stages.get(from).map_or(0.0, |stage| stage.given_work);
                        (rows, if rows > 0.0 { read / rows } else { 0.0 }, row_work + given_work)
                    }
                };
                last = Last { rows, fraction };
                let total = rows * row_work;
                match seen.status {
                    Phase::Open => work.add(fraction * total, total),
                    Phase::Over => work.add(total, total),
                    Phase::Skipped => {}
                }
            }
            gives.push(stage.gives(seen, last));
        }
        let (root, seen) = self.stages.get(self.root).zip(seen.get(self.root))?;
        work.add(seen.given * root.given_work, gives.get(self.root)? * root.given_work);
        (knows && work.total > 0.0).then(|| work.done / work.total)
    }
}

/// The source that a stage's rows come from, when it gives rows.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    rows: f64,
    fraction: f64,
}

impl StageOutline {
    /// The rows that a stage has given in the end.
    fn gives(&self, seen: &Seen, last: Last) -> f64 {
        match seen.status {
            Phase::Over => return seen.given,
            Phase::Skipped => return 0.0,
            Phase::Open => {}
        }
        let capped = |rows: f64| self.rows_max.map_or(rows, |most| rows.min(most));
        let guess = capped(last.rows * self.ratio);
        if self.holds {
            return guess.max(seen.given);
        }
        let told = (last.fraction / INPUT_TOLD).min(1.0);
        let seen_rate = if last.fraction > 0.0 { seen.given / last.fraction } else { 0.0 };
        let rate = told * seen_rate + (1.0 - told) * guess;
        capped(seen.given + (1.0 - last.fraction) * rate).max(seen.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(rows: f64) -> Source {
        Source::Scan { rows: Some(rows), row_work: 1.0 }
    }

    fn of_stage(from: usize) -> Source {
        Source::Stage { from, row_work: 0.0 }
    }

    fn stage(sources: Vec<Source>, holds: bool, ratio: f64) -> StageOutline {
        StageOutline { sources, holds, ratio, rows_max: None, given_work: 1.0 }
    }

    fn open(read: &[f64], given: f64) -> Seen {
        Seen { status: Phase::Open, read: read.to_vec(), given }
    }

    fn over(read: &[f64], given: f64) -> Seen {
        Seen { status: Phase::Over, ..open(read, given) }
    }

    /// What is said after each reading.
    fn said(outline: Outline, readings: &[Vec<Seen>]) -> Vec<Option<f64>> {
        let mut estimate = Estimate::new(outline);
        readings.iter().map(|seen| estimate.take(seen)).collect()
    }

    fn near(said: Option<f64>, wanted: f64) {
        let said = said.unwrap();
        assert!((said - wanted).abs() < 0.02, "{said} is not {wanted}");
    }

    /// `SELECT … WHERE …`: half of the rows pass.
    #[test]
    fn a_filter_is_as_far_as_its_scan() {
        let outline = Outline { stages: vec![stage(vec![scan(1000.0)], false, 1.0)], root: 0 };
        let readings: Vec<_> = [0.0, 0.2, 0.5, 0.9].map(|read| vec![open(&[read], read * 500.0)]).to_vec();
        let said = said(outline, &readings);
        for (said, wanted) in said.iter().zip([0.0, 0.2, 0.5, 0.9]) {
            near(*said, wanted);
        }
    }

    /// `ORDER BY`: when all is read, all has still to be given.
    #[test]
    fn a_sort_is_half_done_when_all_is_read() {
        let outline = Outline { stages: vec![stage(vec![scan(1000.0)], true, 1.0)], root: 0 };
        let readings = [vec![open(&[0.5], 0.0)], vec![open(&[1.0], 0.0)], vec![open(&[1.0], 500.0)]];
        let said = said(outline, &readings);
        near(said[0], 0.25);
        near(said[1], 0.5);
        near(said[2], 0.75);
    }

    #[test]
    fn nothing_goes_back_when_a_guess_was_wrong() {
        let stages = vec![stage(vec![scan(1000.0)], true, 0.1), stage(vec![of_stage(0)], true, 0.1)];
        // The aggregation has a group for each row.
        let readings = [
            vec![open(&[1.0], 0.0), open(&[0.0], 0.0)],
            vec![open(&[1.0], 900.0), open(&[300.0], 0.0)],
            vec![over(&[1.0], 1000.0), open(&[900.0], 0.0)],
        ];
        let said: Vec<_> = said(Outline { stages, root: 1 }, &readings).into_iter().flatten().collect();
        assert!(said[0] > 0.85);
        assert!(said.is_sorted(), "{said:?}");
        assert!(said[2] < 1.0);
    }

    #[test]
    fn an_open_job_is_never_whole() {
        let outline = Outline { stages: vec![stage(vec![scan(10.0)], false, 1.0)], root: 0 };
        let said = said(outline, &[vec![open(&[1.0], 10.0)], vec![over(&[1.0], 10.0)]]);
        assert_eq!(said, [Some(FRACTION_MAX), Some(FRACTION_MAX)]);
    }

    /// A LIMIT is met, so that its scan is stopped.
    #[test]
    fn a_stage_that_was_stopped_has_nothing_left_to_do() {
        let stages =
            vec![stage(vec![scan(1000.0)], false, 1.0), stage(vec![scan(10.0), of_stage(0)], false, 1.0)];
        let readings = [
            vec![open(&[0.1], 100.0), open(&[0.5, 100.0], 100.0)],
            vec![over(&[0.1], 100.0), open(&[0.5, 100.0], 100.0)],
        ];
        let said = said(Outline { stages, root: 1 }, &readings);
        assert!(said[0].unwrap() < 0.2);
        assert!(said[1].unwrap() > 0.9);
    }

    #[test]
    fn a_stage_that_never_runs_does_not_count() {
        let stages = vec![stage(vec![scan(1e9)], false, 1.0), stage(vec![scan(10.0)], false, 0.0)];
        let skipped = Seen { status: Phase::Skipped, ..Seen::default() };
        near(said(Outline { stages, root: 1 }, &[vec![skipped, open(&[0.5], 0.0)]])[0], 0.5);
    }

    /// A join: a small build side, then a probe side of which few rows match.
    #[test]
    fn the_rows_of_a_join_are_those_of_its_probe_side() {
        let stages =
            vec![stage(vec![scan(100.0)], false, 1.0), stage(vec![of_stage(0), scan(1000.0)], false, 1.0)];
        let readings = [
            vec![over(&[1.0], 100.0), open(&[100.0, 0.0], 0.0)],
            vec![over(&[1.0], 100.0), open(&[100.0, 0.5], 5.0)],
        ];
        let said = said(Outline { stages, root: 1 }, &readings);
        near(said[0], 200.0 / 2200.0);
        near(said[1], 705.0 / 1210.0);
    }

    #[test]
    fn scans_of_unknown_size_say_nothing() {
        let unknown = Source::Scan { rows: None, row_work: 1.0 };
        let alone = Outline { stages: vec![stage(vec![unknown], false, 1.0)], root: 0 };
        assert_eq!(said(alone, &[vec![open(&[0.0], 1e6)]]), [None]);
        let beside = Outline { stages: vec![stage(vec![unknown, scan(10.0)], false, 0.0)], root: 0 };
        near(said(beside, &[vec![open(&[0.0, 0.4], 0.0)]])[0], 0.4);
    }
}
