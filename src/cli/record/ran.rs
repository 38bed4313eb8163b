//! What may be told of a statement by `.why` and in a report.

use super::{End, Entry, Pages, told};
use crate::cli::execute::Done;
use crate::cli::secrets::has_secret;
use crate::output::report;
use crate::scheduler::record::JobRun;

/// A statement without its secrets.
pub(super) fn ran(pages: &Pages, entry: &Entry) -> report::Ran {
    let is_secret = entry.sql.is_none();
    let jobs: Vec<_> = entry.jobs_of(pages).iter().map(|job| told_of(job, is_secret)).collect();
    let began = pages.began + entry.start;
    report::Ran {
        sql: entry.sql.clone(),
        script: told(entry.script.clone()),
        line: entry.line,
        end: end(entry),
        engine: entry.options.engine,
        threads: entry.options.threads.get(),
        memory_limit: entry.memory_limit,
        took: entry.took,
        planning: jobs.first().map(|job| job.submitted.saturating_duration_since(began)),
        jobs,
    }
}

fn end(entry: &Entry) -> report::End {
    // Errors quote what they are about.
    let message = |message: &str| match entry.sql {
        Some(_) => message.to_string(),
        None => "the message is withheld: it may hold a secret".to_string(),
    };
    match &entry.end {
        End::Done(Done::Rows(rows)) => report::End::Rows(*rows as u64),
        End::Done(Done::Written(rows)) => report::End::Written(*rows),
        End::Done(Done::Effect) => report::End::Effect,
        End::Failed(why) => report::End::Failed(message(why)),
        End::Cancelled(Some(why)) => report::End::Stopped(message(why)),
        End::Cancelled(None) => report::End::Stopped("the statement was stopped".into()),
    }
}

/// A job without what may not be told. Of a secret statement its operators have only names.
fn told_of(job: &JobRun, is_secret: bool) -> JobRun {
    let withheld = |text: &str| !text.is_empty() && (is_secret || has_secret(text));
    let mut job = job.clone();
    for operator in job.stages.iter_mut().flat_map(|stage| &mut stage.operators) {
        if withheld(&operator.text) || withheld(&operator.words) {
            operator.text.clone_from(&operator.name);
            operator.words.clone_from(&operator.name);
            operator.scan = None;
        }
    }
    for edge in &mut job.edges {
        edge.keys = edge.keys.take().filter(|keys| !withheld(keys));
    }
    for task in job.stages.iter_mut().flat_map(|stage| &mut stage.tasks) {
        if let Some(failure) = &task.failure
            && withheld(&failure.message)
        {
            let operator = failure.operator.clone();
            let failure = crate::scheduler::event::Failure { operator, message: String::new() };
            task.failure = Some(failure.into());
        }
    }
    job.drawing.withhold(withheld);
    job
}
