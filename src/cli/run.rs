//! Running scripts: statements in order, results out, the first error ends it.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use tokio::runtime::Runtime;

use super::args::Args;
use super::execute::{Desk, Next, Queue};
use super::graph::Drawing;
use super::output::Output;
use super::progress::{self, Progress};
use super::record::Book;
use super::report::Reporter;
use super::shell::items::{Item, Items};
use super::supervise::{self, Ended, Signals, Stop, cleanup_time_max, panicked, supervise};
use super::{guarded, script};
use crate::error::{Error, Result};
use crate::frontend::sql::RawStatement;
use crate::hidden;
use crate::session::Session;

/// Runs everything that the arguments ask for; gives the exit code.
pub(super) fn main(args: Args, fit_allocator: fn(usize), reporter: Reporter) -> u8 {
    match guarded(|| prepare(args)) {
        Ok(Prepared { workers, supervisor, mut signals, job }) => {
            let resources = Arc::clone(job.desk.session.resources());
            fit_allocator(resources.memory_bytes());
            let stop = Stop::default();
            let book = job.desk.book.clone();
            #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
            let work = workers.spawn(job.run(reporter, stop.clone()));
            let say = |signal: supervise::Signal| {
                progress::close();
                reporter.fail(&signal.error());
                // What the stopped work has to say about it is not worth a word.
                reporter.silence();
            };
            let ended = supervisor.block_on(supervise(work, &mut signals, &stop, say, cleanup_time_max));
            let is_gone = !matches!(ended, Ended::Stopped { is_gone: false, .. });
            let code = match ended {
                Ended::Done(code) => code,
                Ended::Panicked(error) => reporter.fail(&error),
                Ended::Stopped { signal, is_gone: _ } => signal.error().exit_code(),
            };
            if is_gone {
                supervise::clear_up();
            }
            let closed = book.map_or(Ok(()), |book| book.close(code));
            workers.shutdown_background();
            // Tasks that have not ended yet cannot make files any more.
            resources.close();
            match closed {
                Err(error) if code == 0 => reporter.fail(&error),
                Err(error) => {
                    reporter.fail(&error);
                    code
                }
                Ok(()) => code,
            }
        }
        Err(error) => reporter.fail(&error),
    }
}

/// What is to be run, checked as far as it can be before anything runs.
struct Job {
    desk: Desk,
    scripts: Vec<Items>,
    keep_going: bool,
    drawing: Option<Drawing>,
}

struct Prepared {
    workers: Runtime,
    supervisor: Runtime,
    signals: Signals,
    job: Job,
}

fn prepare(mut args: Args) -> Result<Prepared> {
    let output = Output::new(&args)?;
    let mut scripts = script::read_all(args.inputs)?;
    let session = Session::with_options(&args.session)?;
    let mut first = Vec::new();
    match args.data {
        Some(data) if scripts.is_empty() => scripts.push(data.rows()),
        Some(data) => first.push(data.view(&session.functions()).items()),
        None => {}
    }
    args.params.check(scripts.iter().flat_map(Items::statements))?;
    if let Some(drawing) = &mut args.drawing {
        drawing.count(&scripts, &session.functions())?;
    }
    if output.takes_one() {
        check_takes_one(&session, &mut scripts)?;
    }
    scripts.splice(0..0, first);
    let is_asked = scripts.iter().any(Items::has_commands);
    let book = Book::open(args.files, is_asked, &session)?;
    let progress = Progress::open(args.quiet, args.color, &session);
    let desk = Desk {
        session: Arc::new(session),
        params: Arc::new(args.params),
        output,
        quiet: args.quiet,
        timer: false,
        timeout: args.timeout,
        book,
        progress,
        is_shell: false,
    };
    Ok(Prepared {
        workers: supervise::workers(args.session.threads)?,
        supervisor: supervise::supervisor()?,
        signals: Signals::hear(false)?,
        job: Job { desk, scripts, keep_going: args.keep_going, drawing: args.drawing },
    })
}

/// Checks that the scripts give exactly one result set.
fn check_takes_one(session: &Session, scripts: &mut [Items]) -> Result<()> {
    let functions = session.functions();
    let mut results = 0;
    for item in scripts.iter().flat_map(|script| &script.items) {
        match item {
            Item::Statement { raw, .. } => results += usize::from(raw.parse(&functions)?.returns_rows()),
            Item::Command(line) => {
                let message = format!("'{line}' may give results, and the output takes one result set");
                return Err(Error::usage_help(message, "run SQL alone"));
            }
        }
    }
    if let Some(failure) = scripts.iter_mut().find_map(|script| script.failure.take()) {
        return Err(failure);
    }
    if results != 1 {
        return Err(Error::usage_help(
            format!("the output takes one result set, the SQL gives {results}"),
            "write each with a call of its own, or with COPY … TO",
        ));
    }
    Ok(())
}

impl Job {
    async fn run(mut self, reporter: Reporter, stop: Stop) -> u8 {
        let (code, is_whole) = self.statements(reporter, &stop).await;
        match self.drawing.filter(|_| is_whole).map(|drawing| drawing.finish(code, &stop)) {
            Some(Err(error)) => reporter.fail(&error),
            Some(Ok(())) | None => code,
        }
    }

    /// Runs one statement after another; gives the exit code, and whether all had their turn.
    async fn statements(&mut self, reporter: Reporter, stop: &Stop) -> (u8, bool) {
        let mut queue = Queue::default();
        for script in std::mem::take(&mut self.scripts) {
            queue.push(script);
        }
        let mut code = 0;
        loop {
            let done = match queue.next(&mut self.desk) {
                Ok(None | Some(Next::Quit)) => return (code, true),
                Ok(Some(Next::Statement { raw, as_lines })) => {
                    self.statement(&raw, as_lines, reporter, stop).await
                }
                Ok(Some(Next::Print(text))) => print(&text),
                Ok(Some(Next::Say(text))) => {
                    reporter.note(&text);
                    Ok(())
                }
                Err(error) => {
                    if let Some(book) = &self.desk.book {
                        book.fail(&error);
                    }
                    Err(error)
                }
            };
            if let Err(error) = done {
                code = reporter.fail(&error);
                if !self.keep_going || matches!(error, Error::BrokenPipe) {
                    return (code, false);
                }
            }
        }
    }

    async fn statement(
        &mut self,
        raw: &RawStatement,
        as_lines: bool,
        reporter: Reporter,
        stop: &Stop,
    ) -> Result<()> {
        let mut desk = self.desk.clone();
        if as_lines {
            desk.output.set_lines(true);
        }
        let started = Instant::now();
        let showing = desk.progress.begin(&desk.session);
        let done = match &mut self.drawing {
            Some(drawing) => {
                AssertUnwindSafe(desk.in_time(drawing.take(raw, &desk, stop))).catch_unwind().await
            }
            None => AssertUnwindSafe(desk.run(raw, stop)).catch_unwind().await,
        };
        drop(showing);
        let done = done.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))?;
        if let Some(said) = self.desk.settle(done, as_lines, started.elapsed()) {
            reporter.note(&said);
        }
        Ok(())
    }
}

/// Prints a text that was asked for, without the values of secrets.
pub(super) fn print(text: &str) -> Result<()> {
    progress::wipe();
    writeln!(std::io::stdout(), "{}", hidden::hide(text)).map_err(|source| Error::write("-", source))
}
