//! Running scripts: statements in order, results out, the first error ends it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::args::Args;
use super::output::Output;
use super::report::Reporter;
use super::{STACK_BYTES, guarded, script};
use crate::error::{Error, Result};
use crate::frontend::sql::{Params, RawStatement, Split, split};
use crate::output::staging;
use crate::session::{Outcome, Session, SessionOptions, located};

/// How long a stopped query may take to end, and how long if it has half a file to take away. What it
/// leaves all the same, the next write sweeps.
fn cleanup_time_max() -> Duration {
    if staging::is_open() { Duration::from_secs(10) } else { Duration::from_millis(500) }
}

/// Runs everything that the arguments ask for; gives the exit code.
pub(super) fn main(args: Args, fit_allocator: fn(usize), reporter: Reporter) -> u8 {
    match guarded(|| prepare(args)) {
        Ok(Prepared { workers, supervisor, job }) => {
            let resources = Arc::clone(job.session.resources());
            fit_allocator(resources.memory_bytes());
            let work = workers.spawn(job.run(reporter));
            let code = supervisor.block_on(supervise(work, reporter));
            workers.shutdown_background();
            // Tasks that have not ended yet cannot make files any more.
            resources.close();
            code
        }
        Err(error) => reporter.fail(&error),
    }
}

/// An error for a caught panic.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Error::Internal { message: text.unwrap_or_else(|| "a part of the program panicked".into()) }
}

/// What is to be run, checked as far as it can be before anything runs.
struct Job {
    session: Session,
    splits: Vec<Split>,
    params: Params,
    output: Output,
    keep_going: bool,
    quiet: bool,
}

struct Prepared {
    workers: Runtime,
    /// Waits for signals on a thread of its own: workers may all be busy with operators that do not yield.
    supervisor: Runtime,
    job: Job,
}

fn prepare(args: Args) -> Result<Prepared> {
    let output = Output::new(&args)?;
    let mut splits: Vec<Split> = script::read_all(args.inputs)?.iter().map(split).collect();
    let session = Session::with_options(&SessionOptions { limits: args.limits.clone() })?;
    let statements = || splits.iter().flat_map(|split| &split.statements);
    args.params.check(statements())?;
    if output.takes_one() {
        let functions = session.functions();
        let mut results = 0;
        for statement in statements() {
            results += usize::from(statement.parse(&functions)?.returns_rows());
        }
        if let Some(failure) = splits.iter_mut().find_map(|split| split.failure.take()) {
            return Err(failure);
        }
        if results != 1 {
            return Err(Error::usage_help(
                format!("the output takes one result set, the SQL gives {results}"),
                "write each with a call of its own, or with COPY … TO",
            ));
        }
    }
    let failed = |source| Error::io("start the runtime for", "query", source);
    let workers =
        Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build().map_err(failed)?;
    let supervisor = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let job =
        Job { session, splits, params: args.params, output, keep_going: args.keep_going, quiet: args.quiet };
    Ok(Prepared { workers, supervisor, job })
}

/// Waits for the job, or for a signal that stops it.
async fn supervise(mut work: JoinHandle<u8>, reporter: Reporter) -> u8 {
    let stop = async {
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
            },
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        done = &mut work => done.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => reporter.fail(&panicked(panic.as_ref())),
            Err(_) => 1,
        }),
        signal = stop => {
            let code = reporter.fail(&Error::Interrupted { signal });
            // What the stopped work has to say about it is not worth a word.
            reporter.silence();
            work.abort();
            let stopped = Instant::now();
            while !work.is_finished() && stopped.elapsed() < cleanup_time_max() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            code
        }
    }
}

impl Job {
    async fn run(mut self, reporter: Reporter) -> u8 {
        let mut code = 0;
        for split in std::mem::take(&mut self.splits) {
            for statement in split.statements {
                let done = AssertUnwindSafe(self.statement(statement, reporter)).catch_unwind().await;
                let Err(error) = done.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))) else { continue };
                code = reporter.fail(&error);
                if !self.keep_going || matches!(error, Error::BrokenPipe) {
                    return code;
                }
            }
            if let Some(error) = split.failure {
                code = reporter.fail(&error);
                if !self.keep_going {
                    return code;
                }
            }
        }
        code
    }

    async fn statement(&self, raw: RawStatement, reporter: Reporter) -> Result<()> {
        let statement = raw.parse(&self.session.functions())?;
        match self.session.run(&statement, &self.params).await? {
            Outcome::Rows(mut rows) => {
                let mut results = self.output.open(rows.schema())?;
                while let Some(batch) = rows.next().await {
                    let batch = batch.map_err(|error| located(error, &statement))?;
                    results.writer.write(&batch)?;
                }
                results.finish()
            }
            Outcome::Written(rows) => {
                if !self.quiet {
                    reporter.note(&format!("{rows} row{} written", if rows == 1 { "" } else { "s" }));
                }
                Ok(())
            }
            Outcome::Done => Ok(()),
        }
    }
}
