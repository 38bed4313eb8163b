//! Stages whose tasks did not share the work.

use std::time::Duration;

use super::{At, Finding, Kind, operators, scans, words};
use crate::graph::Op;
use crate::output::numbers::{grouped, percent, rows, time};
use crate::output::report::{Ran, busy, elapsed, operator_time, share};
use crate::scheduler::record::{JobRun, StageRun};

/// A task that was busy for less than this is not worth a word.
const BUSY_MIN: Duration = Duration::from_millis(50);
/// The busiest task is so many times as busy as the others are on average.
const SKEW_MIN: f64 = 2.0;
/// Rows from which on it matters which task gave them.
const ROWS_MIN: u64 = 1_000;
/// A stage that takes less of the time has no skew worth a word.
const SHARE_MIN: f64 = 0.1;
/// The part of the running time that one task was busy for all others.
const ALONE_MIN: f64 = 0.25;

pub(super) fn findings(ran: &Ran, job: &JobRun) -> Vec<Finding> {
    let stages = job.stages.iter().enumerate();
    stages.flat_map(|(id, stage)| [skew(job, id, stage), alone(ran, job, id, stage)]).flatten().collect()
}

fn skew(job: &JobRun, id: usize, stage: &StageRun) -> Option<Finding> {
    let (worst, task) = stage.tasks.iter().enumerate().max_by_key(|(_, task)| task.volume.busy)?;
    let others = u32::try_from(stage.tasks.len()).ok()?.checked_sub(1).filter(|others| *others > 0)?;
    let volume = stage.volume();
    let (most, rest) = (task.volume.busy, (volume.busy - task.volume.busy) / others);
    let weight = share(volume.busy, busy(job));
    let factor = most.as_secs_f64() / rest.as_secs_f64().max(1e-9);
    if most < BUSY_MIN || factor < SKEW_MIN || weight < SHARE_MIN {
        return None;
    }
    let keys = job.edges.iter().filter(|edge| edge.to.index() == id).find_map(|edge| edge.keys.as_deref());
    let rows_share = task.volume.rows as f64 / volume.rows.max(1) as f64;
    let has_most_rows = rows_share * stage.tasks.len() as f64 >= SKEW_MIN;
    let given = match has_most_rows {
        // So few say nothing about what the tasks have taken.
        _ if volume.rows < ROWS_MIN => String::new(),
        true => format!("; it gave {} of the {}", percent(rows_share), rows(volume.rows)),
        false => {
            format!("; it gave {} of {}, no more than others", grouped(task.volume.rows), rows(volume.rows))
        }
    };
    let remedies = match (keys, stage.op) {
        (Some(keys), _) => {
            let keys = keys.trim_start_matches("by ");
            vec![format!(
                "look for values of {keys} that most rows have: SELECT {keys}, count(*) … GROUP BY {keys} ORDER BY count(*) DESC LIMIT 10; \
                 rows with NULL or a default there may need no such join or group"
            )]
        }
        (None, Op::Scan) => {
            vec!["files and row groups of like size: COPY (SELECT * FROM …) TO 'even.parquet'".into()]
        }
        (None, _) => Vec::new(),
    };
    let how = keys.map(|keys| format!(", whose rows come {keys}")).unwrap_or_default();
    Some(Finding {
        kind: Kind::Skew,
        what: format!("one task of a {} stage{how} did the most", stage.op),
        evidence: vec![format!(
            "task {id}.{worst}, one of {}, was busy for {}, the others for {} on average{given}",
            stage.tasks.len(),
            time(most),
            time(rest)
        )],
        remedies,
        stage: Some(id),
        weight: weight * share(most.saturating_sub(rest), most),
    })
}

fn alone(ran: &Ran, job: &JobRun, id: usize, stage: &StageRun) -> Option<Finding> {
    let running = elapsed(job);
    let worked = stage.volume().busy;
    let weight = share(worked, running);
    if stage.tasks.len() != 1 || ran.threads < 2 || worked < BUSY_MIN || weight < ALONE_MIN {
        return None;
    }
    let own = operators(job).filter(|at| at.stage == id && at.operator.edge.is_none());
    let main = own.max_by_key(|at| operator_time(at.operator))?;
    let (reason, remedies) = reason(main, stage);
    let mut evidence = vec![format!(
        "{} of the {} that the query ran, while {} threads were there",
        time(worked),
        time(running),
        ran.threads
    )];
    evidence.extend(reason);
    Some(Finding {
        kind: Kind::OneTask,
        what: format!("one task did all of {}", words(main)),
        evidence,
        remedies,
        stage: Some(id),
        // What one thread did for a time could have been done by all in a part of it.
        weight: weight * (1.0 - 1.0 / ran.threads as f64),
    })
}

/// Why a stage has one task, as far as its plan tells, and what would give it more.
fn reason(main: At<'_>, stage: &StageRun) -> (Option<String>, Vec<String>) {
    let name = main.operator.name.as_str();
    if name.ends_with("WindowAggExec") && !main.operator.text.contains("PARTITION BY") {
        let remedy =
            "PARTITION BY in the window, where the question allows it: each partition can be another task's";
        return (
            Some("a window without PARTITION BY needs all rows in one place".into()),
            vec![remedy.into()],
        );
    }
    if let Some(scan) = stage.operators.iter().find_map(|operator| operator.scan.as_ref()) {
        let file = scans::file_names(scan);
        return match (scan.files, scan.format.as_str()) {
            (0 | 1, "parquet") => (
                Some(format!("{file} was not read in pieces: it is small, or one row group")),
                vec![format!(
                    "write it anew, with more row groups: COPY (SELECT * FROM '{}') TO 'split.parquet'; \
                     or a smaller datafusion.optimizer.repartition_file_min_size",
                    scan.file
                )],
            ),
            (0 | 1, _) => (
                Some(format!(
                    "{file} was not read in pieces: what is small, compressed, has line breaks inside quotes, or is one JSON array is read from its start to its end"
                )),
                vec![format!(
                    "Parquet, written once: COPY (SELECT * FROM '{}') TO 'data.parquet'",
                    scan.file
                )],
            ),
            _ => (None, Vec::new()),
        };
    }
    match stage.op {
        Op::Sort if name.starts_with("Sort") => {
            let remedy = "LIMIT behind ORDER BY, if the first rows are enough: then all tasks sort, and keep those only";
            (Some("all rows are sorted by one task".into()), vec![remedy.into()])
        }
        Op::Write => (
            Some("one task writes the file".into()),
            vec!["COPY … TO 'folder/': several files, written side by side".into()],
        ),
        Op::Sort | Op::Map | Op::Scan | Op::Window | Op::Reduce | Op::GroupBy | Op::Join => {
            (None, Vec::new())
        }
    }
}
