//! What a run did, statement by statement and task by task: `--record` and `--trace`.

mod document;
mod trace;

use std::convert::Infallible;
use std::future::poll_fn;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::trace::Trace;
use super::execute::Done;
use super::output::write_whole;
use super::secrets::has_secret;
use crate::config::QueryOptions;
use crate::error::{Error, Result};
use crate::frontend::sql::RawStatement;
use crate::output::staging::Staging;
use crate::scheduler::event::{Detail, Observers, Record};
use crate::scheduler::record::History;
use crate::session::Session;

/// How often records are fetched while a statement runs.
const FETCH: Duration = Duration::from_millis(50);
/// How long the end waits for tasks that were stopped to say so.
const SETTLE_TIME_MAX: Duration = Duration::from_millis(500);
const SETTLE: Duration = Duration::from_millis(2);

/// Where to write down what happens.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) record: Option<PathBuf>,
    pub(super) trace: Option<PathBuf>,
}

/// Writes down what happens. Copies share what they have.
#[derive(Clone)]
pub(super) struct Book {
    files: Files,
    pages: Arc<Mutex<Pages>>,
}

/// What has happened until now.
struct Pages {
    records: UnboundedReceiver<Record>,
    began: Instant,
    began_at: SystemTime,
    history: History,
    /// `None` if nobody wants it.
    trace: Option<Trace>,
    statements: Vec<Entry>,
    /// What went wrong outside of any statement.
    errors: Vec<String>,
}

/// A statement.
struct Entry {
    script: String,
    line: usize,
    /// `None` if it may hold a secret.
    sql: Option<String>,
    options: QueryOptions,
    start: Duration,
    took: Option<Duration>,
    end: End,
    /// Its jobs, among all of them.
    jobs: Range<usize>,
}

/// How a statement ended.
enum End {
    /// It did not, or was dropped.
    Cancelled(Option<String>),
    Done(Done),
    Failed(String),
}

impl Book {
    /// A book about what a session does; `None` if nothing is to be written.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub(super) fn open(files: Files, session: &Session) -> Result<Option<Self>> {
        for path in files.record.iter().chain(&files.trace) {
            check(path)?;
        }
        if files.record.is_none() && files.trace.is_none() {
            return Ok(None);
        }
        let (every, records) = unbounded_channel();
        let polls = files.trace.is_some();
        let detail = if polls { Detail::Polls } else { Detail::Measures };
        session.observe(Observers { every: vec![every], detail, ..session.observers() });
        let began = Instant::now();
        let pages = Pages {
            records,
            began,
            began_at: SystemTime::now(),
            history: History::default(),
            trace: polls.then(|| Trace::new(began)),
            statements: Vec::new(),
            errors: Vec::new(),
        };
        Ok(Some(Self { files, pages: Arc::new(Mutex::new(pages)) }))
    }

    /// Nothing below panics half way, so a poisoned lock still guards a sound state.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a statement and writes down what comes of it.
    pub(super) async fn entry(
        &self,
        raw: &RawStatement,
        options: QueryOptions,
        run: impl Future<Output = Result<Done>>,
    ) -> Result<Done> {
        let entry = self.pages().begin(raw, options);
        let end = EntryEnd { book: self, entry };
        let done = tokio::select! {
            done = run => done,
            never = self.fetch() => match never {},
        };
        self.pages().statements[entry].end = match &done {
            Ok(done) => End::Done(*done),
            Err(error @ (Error::Timeout { .. } | Error::BrokenPipe | Error::Interrupted { .. })) => {
                End::Cancelled(Some(error.to_string()))
            }
            Err(error) => End::Failed(told(error.to_string())),
        };
        drop(end);
        done
    }

    /// Takes records as they come: of long statements there may be many.
    async fn fetch(&self) -> Infallible {
        loop {
            tokio::time::sleep(FETCH).await;
            poll_fn(|_| {
                self.pages().fetch();
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Takes note of an error that is no statement's.
    pub(super) fn fail(&self, error: &Error) {
        self.pages().errors.push(told(error.to_string()));
    }

    /// Writes the files, when all is over.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn close(&self, exit_code: u8) -> Result<()> {
        let stopped = Instant::now();
        loop {
            let mut pages = self.pages();
            pages.fetch();
            if pages.history.is_over() || stopped.elapsed() > SETTLE_TIME_MAX {
                break;
            }
            drop(pages);
            std::thread::sleep(SETTLE);
        }
        let mut pages = self.pages();
        if let Some(path) = &self.files.record {
            write_whole(path, &document::json(&pages, exit_code)?)?;
        }
        if let (Some(path), Some(trace)) = (&self.files.trace, pages.trace.take()) {
            write_whole(path, &trace.json(&pages.history)?)?;
        }
        Ok(())
    }
}

/// Ends a statement's entry, also when the statement is dropped before its end.
struct EntryEnd<'a> {
    book: &'a Book,
    entry: usize,
}

impl Drop for EntryEnd<'_> {
    fn drop(&mut self) {
        let mut pages = self.book.pages();
        pages.fetch();
        let now = pages.began.elapsed();
        let jobs = pages.history.jobs().len();
        let entry = &mut pages.statements[self.entry];
        entry.took = Some(now.saturating_sub(entry.start));
        entry.jobs.end = jobs;
        if std::thread::panicking() {
            entry.end = End::Failed("a part of the program panicked".into());
        }
    }
}

impl Pages {
    fn begin(&mut self, raw: &RawStatement, options: QueryOptions) -> usize {
        self.fetch();
        let place = raw.place();
        let sql = &place.script.text[place.span.clone()];
        let jobs = self.history.jobs().len();
        self.statements.push(Entry {
            script: place.script.name.clone(),
            line: place.script.text[..place.span.start].matches('\n').count() + 1,
            sql: (!has_secret(sql)).then(|| sql.to_string()),
            options,
            start: self.began.elapsed(),
            took: None,
            end: End::Cancelled(None),
            jobs: jobs..jobs,
        });
        self.statements.len() - 1
    }

    fn fetch(&mut self) {
        while let Ok(record) = self.records.try_recv() {
            if let Some(trace) = &mut self.trace {
                trace.take(&record);
            }
            self.history.take(record);
        }
    }
}

/// Makes sure, before anything runs, that a file can be made.
fn check(path: &Path) -> Result<()> {
    if path.is_file() || !path.exists() { Staging::beside(path).map(drop) } else { Ok(()) }
}

/// A text that may be written down.
fn told(text: String) -> String {
    if has_secret(&text) { "withheld: it may hold a secret".into() } else { text }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
