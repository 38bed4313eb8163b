//! How far jobs say that they are, asked between their batches.

use std::sync::Arc;

use futures::StreamExt;
use query::Session;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::graph::Notes;
use query::scheduler::Job;
use query::scheduler::event::Observers;
use query::scheduler::progress::{Progress, Running};
use query::scheduler::state::Status;
use query::session::Outcome;
use tempfile::TempDir;

use super::engine::{Way, run, runtime};

const ROWS: u64 = 20_000;

/// Rows in files of several kinds, the Parquet ones in groups of a tenth.
async fn files(session: &Session) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rows = format!("select value as id, value % 10 as k from generate_series(1, {ROWS})");
    let mut sql = "set datafusion.execution.parquet.max_row_group_size = 2000; \
                   set datafusion.execution.batch_size = 500;"
        .to_string();
    for name in ["t.parquet", "t.csv", "t.csv.gz", "t.json", "t.arrow"] {
        sql.push_str(&format!("copy ({rows} order by id) to '{}';", path(name)));
    }
    sql.push_str(&format!("create table t as {rows}"));
    run(session, &sql).await.unwrap();
    folder
}

/// What the job of a query says before its first batch, behind each, and at its end. `keep`: it is read no further than
/// so many batches.
async fn readings(session: &Session, running: &Running, sql: &str, keep: usize) -> Vec<Progress> {
    let raw = split(&Script::new("test", sql)).statements.remove(0);
    let statement = raw.parse(&session.functions()).unwrap();
    let Outcome::Rows(mut rows) = session.run(&statement, &Params::default()).await.unwrap() else {
        unreachable!("{sql} gives no rows")
    };
    let mut readings = Vec::new();
    let mut jobs: Vec<Arc<Job>> = Vec::new();
    for _ in 0..keep {
        // A stream makes its job when it is first polled, at the latest.
        let next = rows.next().await;
        if jobs.is_empty() {
            jobs = running.jobs();
        }
        readings.push(jobs[0].progress().unwrap());
        if next.is_none() {
            break;
        }
    }
    drop(rows);
    readings.push(jobs[0].progress().unwrap());
    assert_eq!(jobs.len(), 1);
    readings
}

fn fractions(readings: &[Progress]) -> Vec<f64> {
    readings.iter().map(|reading| reading.fraction.unwrap()).collect()
}

async fn session() -> (Session, Running) {
    let session = Way::inline(7).session().await.unwrap();
    let running = Running::new(true);
    session.observe(Observers { running: Some(running.clone()), ..session.observers() });
    (session, running)
}

#[test]
fn scans_of_all_kinds_move_on_and_never_back() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let folder = files(&session).await;
        for name in ["t.parquet", "t.csv", "t.csv.gz", "t.json", ""] {
            let table = match name {
                "" => "t".to_string(),
                name => format!("'{}'", folder.path().join(name).display()),
            };
            let sql = format!("select id, k + 1 as l from {table} where k > 2");
            let readings = readings(&session, &running, &sql, usize::MAX).await;
            let fractions = fractions(&readings);
            assert!(fractions.is_sorted(), "{name}: {fractions:?}");
            for reading in &readings {
                assert_eq!(reading.fraction == Some(1.0), reading.is_finished, "{name}: {reading:?}");
            }
            let last = readings.last().unwrap();
            assert!(last.is_finished && last.rows_read == ROWS, "{name}: {last:?}");
            assert!(last.stages.iter().all(|stage| stage.status == Status::Done), "{name}: {last:?}");
            // Text is read ahead in large pieces; the others move with their rows.
            if matches!(name, "t.parquet" | "") {
                let steps = fractions.windows(2).filter(|pair| pair[1] > pair[0]).count();
                assert!(fractions[0] < 0.3 && steps > 10, "{name}: {fractions:?}");
            }
        }
    });
}

#[test]
fn row_groups_that_are_left_out_do_not_count() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let folder = files(&session).await;
        let sql = format!("select id from '{}' where id > 18000", folder.path().join("t.parquet").display());
        let readings = readings(&session, &running, &sql, usize::MAX).await;
        let last = readings.last().unwrap();
        assert!(last.rows_read <= 4000, "{last:?}");
        // Of the 2,000 rows that are read, a batch of 500 is a quarter.
        let most = fractions(&readings).into_iter().filter(|said| *said < 1.0).fold(0.0, f64::max);
        assert!(most > 0.5, "{readings:?}");
    });
}

#[test]
fn a_sort_is_half_way_when_all_is_read() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let _folder = files(&session).await;
        let readings = readings(&session, &running, "select id from t order by k, id", usize::MAX).await;
        let fractions = fractions(&readings);
        assert!(fractions[0] > 0.2 && fractions[0] < 0.75, "{fractions:?}");
        assert!(fractions.is_sorted());
        assert!(fractions.windows(2).filter(|pair| pair[1] > pair[0]).count() > 10, "{fractions:?}");
    });
}

#[test]
fn a_limit_that_is_met_ends_it() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let _folder = files(&session).await;
        let readings =
            readings(&session, &running, "select id from t where k > 2 limit 10", usize::MAX).await;
        let last = readings.last().unwrap();
        assert!(last.is_finished && last.rows_read < ROWS, "{last:?}");
        assert_eq!(last.fraction, Some(1.0));
    });
}

#[test]
fn a_stopped_query_is_not_asked_for_ever() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let _folder = files(&session).await;
        let readings = readings(&session, &running, "select t.id from t, t as u where t.k < u.k", 3).await;
        assert!(readings.last().unwrap().is_finished);
        // Nobody but the reader keeps a job.
        assert!(running.jobs().is_empty());
    });
}

#[test]
fn a_source_of_unknown_size_has_rows_and_no_fraction() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let sql = "select value * 2 as twice from generate_series(1, 100000)";
        let readings = readings(&session, &running, sql, 3).await;
        assert_eq!(readings[0].fraction, None);
        assert!(readings[1].rows_read > 0);
    });
}

#[test]
fn a_running_graph_can_be_drawn_in_any_height() {
    runtime().block_on(async {
        let (session, running) = session().await;
        let _folder = files(&session).await;
        let sql = "select k, count(*) from t group by k order by k";
        let raw = split(&Script::new("test", sql)).statements.remove(0);
        let statement = raw.parse(&session.functions()).unwrap();
        let Outcome::Rows(mut rows) = session.run(&statement, &Params::default()).await.unwrap() else {
            panic!("no rows")
        };
        let _first = rows.next().await;
        let job = running.jobs().remove(0);
        let mut notes = Notes::default();
        notes.add_to_stage(query::graph::StageId::new(0), "so far");
        for height in 1..40 {
            let lines = job.draw(&notes, height);
            assert!(!lines.is_empty() && lines.len() <= height, "{height}: {lines:#?}");
            assert!(lines[0].contains("stages"), "{lines:#?}");
        }
        assert!(job.draw(&notes, 100).iter().any(|line| line == "  = so far"));
        assert!(
            job.draw(&notes, 5).iter().any(|line| line.ends_with("  = so far")),
            "{:#?}",
            job.draw(&notes, 5)
        );
    });
}

#[test]
fn without_anybody_who_looks_nothing_is_kept() {
    runtime().block_on(async {
        let session = Way::local(2).session().await.unwrap();
        assert!(session.observers().running.is_none());
        assert!(!session.observers().any());
    });
}
