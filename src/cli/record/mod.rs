//! What a run did, statement by statement and task by task: `--record`, `--trace`, `--report`, `.why` and `.report`.

mod document;
mod ran;
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
use crate::hidden;
use crate::memory::Resources;
use crate::output::report::why::Why;
use crate::output::report::{Ran, page};
use crate::output::staging::Staging;
use crate::scheduler::event::{Detail, Observers, Record};
use crate::scheduler::record::{History, JobRun};
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
    pub(super) report: Option<PathBuf>,
}

impl Files {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.record.iter().chain(&self.trace).chain(&self.report)
    }
}

/// Writes down what happens. Copies share what they have.
#[derive(Clone)]
pub(super) struct Book {
    files: Files,
    resources: Arc<Resources>,
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
    /// Whether each statement takes the place of the one before.
    is_only_last: bool,
    statements: Vec<Entry>,
    /// Statements that have begun.
    begun: u64,
    /// What went wrong outside of any statement.
    errors: Vec<String>,
}

/// A statement.
struct Entry {
    /// Which it was of all, from 1.
    number: u64,
    script: String,
    line: usize,
    /// `None` if it may hold a secret.
    sql: Option<String>,
    options: QueryOptions,
    /// The most memory that queries may take, in bytes.
    memory_limit: usize,
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
    /// A book about what a session does. Without files it has the last statement only, for those who may ask about it
    /// (`is_asked`); `None` if nobody does.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub(super) fn open(files: Files, is_asked: bool, session: &Session) -> Result<Option<Self>> {
        files.all().try_for_each(|path| check(path))?;
        let is_only_last = files.all().next().is_none();
        if is_only_last && !is_asked {
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
            is_only_last,
            statements: Vec::new(),
            begun: 0,
            errors: Vec::new(),
        };
        let resources = Arc::clone(session.resources());
        Ok(Some(Self { files, resources, pages: Arc::new(Mutex::new(pages)) }))
    }

    /// Nothing below panics half way, so a poisoned lock still guards a sound state.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has the last statement only.
    pub(super) fn is_only_last(&self) -> bool {
        self.files.all().next().is_none()
    }

    /// Runs a statement and writes down what comes of it.
    pub(super) async fn entry(
        &self,
        raw: &RawStatement,
        options: QueryOptions,
        run: impl Future<Output = Result<Done>>,
    ) -> Result<Done> {
        let entry = self.pages().begin(raw, options, self.resources.memory_bytes());
        let end = EntryEnd { book: self, entry };
        let done = tokio::select! {
            done = run => done,
            never = self.fetch() => match never {},
        };
        let ended = match &done {
            Ok(done) => End::Done(*done),
            Err(error @ (Error::Timeout { .. } | Error::BrokenPipe | Error::Interrupted { .. })) => {
                End::Cancelled(Some(error.to_string()))
            }
            Err(error) => End::Failed(told(error.to_string())),
        };
        if let Some(entry) = self.pages().statements.iter_mut().find(|known| known.number == entry) {
            entry.end = ended;
        }
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
        if self.is_only_last() {
            return Ok(());
        }
        let mut pages = self.settled();
        if let Some(path) = &self.files.record {
            write_whole(path, &document::json(&pages, exit_code)?)?;
        }
        if let (Some(path), Some(trace)) = (&self.files.trace, pages.trace.take()) {
            write_whole(path, &trace.json(&pages.history)?)?;
        }
        if let Some(path) = &self.files.report {
            let statements: Vec<_> = pages.statements.iter().map(|entry| ran::ran(&pages, entry)).collect();
            write_whole(path, page::html(&statements, &pages.errors, pages.began_at).as_bytes())?;
        }
        Ok(())
    }

    /// The pages when nothing runs any more, or after a while: what was stopped takes a moment to say so.
    fn settled(&self) -> MutexGuard<'_, Pages> {
        let stopped = Instant::now();
        loop {
            let mut pages = self.pages();
            pages.fetch();
            if pages.history.is_over() || stopped.elapsed() > SETTLE_TIME_MAX {
                return pages;
            }
            drop(pages);
            std::thread::sleep(SETTLE);
        }
    }

    /// The last statement.
    ///
    /// # Errors
    /// There is none yet.
    fn last(&self) -> Result<Ran> {
        let pages = self.settled();
        match pages.statements.last() {
            Some(entry) => Ok(ran::ran(&pages, entry)),
            None => {
                Err(Error::usage_help("no statement was run yet", "run one, then ask why it took its time"))
            }
        }
    }

    /// Why the last statement took its time.
    ///
    /// # Errors
    /// There is none yet.
    pub(super) fn why(&self) -> Result<String> {
        Ok(Why::of(&self.last()?).text())
    }

    /// Writes a page about the last statement, over a file that is there; without a name into a new one. Gives the
    /// file's name.
    ///
    /// # Errors
    /// There is none yet; a file that cannot be written.
    pub(super) fn report(&self, path: Option<PathBuf>) -> Result<PathBuf> {
        let ran = self.last()?;
        let path = path.unwrap_or_else(free_name);
        write_whole(&path, page::html(&[ran], &[], SystemTime::now()).as_bytes())?;
        Ok(path)
    }
}

/// `report.html`, or the next such name that no file has.
fn free_name() -> PathBuf {
    let names = (2_u32..).map(|number| PathBuf::from(format!("report-{number}.html")));
    let mut names = std::iter::once(PathBuf::from("report.html")).chain(names);
    names.find(|name| !name.exists()).unwrap_or_default()
}

impl Entry {
    /// Its jobs. A statement that was left behind has all the jobs since.
    fn jobs_of<'a>(&self, pages: &'a Pages) -> &'a [JobRun] {
        let jobs = pages.history.jobs();
        match self.took {
            Some(_) => jobs.get(self.jobs.clone()).unwrap_or_default(),
            None => jobs.get(self.jobs.start..).unwrap_or_default(),
        }
    }
}

/// Ends a statement's entry, also when the statement is dropped before its end.
struct EntryEnd<'a> {
    book: &'a Book,
    entry: u64,
}

impl Drop for EntryEnd<'_> {
    fn drop(&mut self) {
        let mut pages = self.book.pages();
        pages.fetch();
        let now = pages.began.elapsed();
        let jobs = pages.history.jobs().len();
        // One that was left behind may be forgotten by now.
        let Some(entry) = pages.statements.iter_mut().find(|entry| entry.number == self.entry) else {
            return;
        };
        entry.took = Some(now.saturating_sub(entry.start));
        entry.jobs.end = jobs;
        if std::thread::panicking() {
            entry.end = End::Failed("a part of the program panicked".into());
        }
    }
}

impl Pages {
    /// Begins an entry; gives its number.
    fn begin(&mut self, raw: &RawStatement, options: QueryOptions, memory_limit: usize) -> u64 {
        self.fetch();
        if self.is_only_last {
            self.statements.clear();
            self.history.clear();
        }
        let place = raw.place();
        let sql = &place.script.text[place.span.clone()];
        let jobs = self.history.jobs().len();
        self.begun += 1;
        self.statements.push(Entry {
            number: self.begun,
            script: place.script.name.clone(),
            line: place.script.text[..place.span.start].matches('\n').count() + 1,
            sql: (!has_secret(sql)).then(|| sql.to_string()),
            options,
            memory_limit,
            start: self.began.elapsed(),
            took: None,
            end: End::Cancelled(None),
            jobs: jobs..jobs,
        });
        self.begun
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

/// A text that may be written down. Values of secrets that are known are taken out; what speaks of others is withheld.
fn told(text: String) -> String {
    let text = hidden::hidden(text);
    if has_secret(&text) { "withheld: it may hold a secret".into() } else { text }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
