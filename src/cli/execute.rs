//! Running one statement and writing what it gives: what scripts and the shell share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use super::output::Output;
use super::progress::{self, Progress};
use super::record::Book;
use super::shell::items::{Item, Items};
use super::shell::meta::{self, Act, Meta};
use super::supervise::Stop;
use crate::error::{Error, Result};
use crate::frontend::sql::{Params, RawStatement};
use crate::output::{Format, counted};
use crate::session::{Outcome, Session, located};

/// What statements share: tables, parameters, and where results go. A copy shares the tables.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) session: Arc<Session>,
    pub(super) params: Arc<Params>,
    pub(super) output: Output,
    pub(super) quiet: bool,
    /// Whether to say how long each statement took.
    pub(super) timer: bool,
    /// The time that a statement may take.
    pub(super) timeout: Option<Duration>,
    /// Where what happens is written down, if anybody wants it.
    pub(super) book: Option<Book>,
    pub(super) progress: Progress,
    /// Whether somebody reads along: then each result is followed by its count.
    pub(super) is_shell: bool,
}

/// What a statement has done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Done {
    /// A result set of so many rows was written.
    Rows(usize),
    /// So many rows were written into a file or table.
    Written(u64),
    /// An effect without rows.
    Effect,
}

impl Desk {
    /// Runs one statement and writes its outcome, in the time that it may take.
    pub(super) async fn run(&self, raw: &RawStatement, stop: &Stop) -> Result<Done> {
        let work = self.in_time(self.run_to_its_end(raw, stop));
        match &self.book {
            None => work.await,
            // `.why` is asked about what was typed before, not about `.tables`.
            Some(book) if book.is_only_last() && raw.place().script.name == meta::SCRIPT => work.await,
            Some(book) => book.entry(raw, self.session.query_options(), work).await,
        }
    }

    /// Waits for the work of a statement, as long as it may take.
    pub(super) async fn in_time(&self, work: impl Future<Output = Result<Done>>) -> Result<Done> {
        match self.timeout {
            None => work.await,
            Some(time) => tokio::time::timeout(time, work).await.unwrap_or(Err(Error::Timeout { time })),
        }
    }

    async fn run_to_its_end(&self, raw: &RawStatement, stop: &Stop) -> Result<Done> {
        self.carried_out(raw, stop).await.map_err(|error| raw.veiled(error))
    }

    async fn carried_out(&self, raw: &RawStatement, stop: &Stop) -> Result<Done> {
        let statement = raw.parse(&self.session.functions())?;
        match self.session.run(&statement, &self.params).await? {
            Outcome::Rows(mut rows) => {
                let mut results = self.output.open(rows.schema(), &self.session, stop)?;
                let mut count = 0;
                while let Some(batch) = rows.next().await {
                    let batch = batch.map_err(|error| located(error, &statement))?;
                    count += batch.num_rows();
                    results.writer.write(&batch)?;
                }
                shown_whole(stop);
                results.finish().await?;
                Ok(Done::Rows(count))
            }
            Outcome::Written(rows) => {
                shown_whole(stop);
                Ok(Done::Written(rows))
            }
            Outcome::Done => {
                shown_whole(stop);
                Ok(Done::Effect)
            }
        }
    }

    /// Takes note of a statement that went well; gives what there is to say about it. `as_lines`: its rows
    /// were written as lines.
    pub(super) fn settle(&mut self, done: Done, as_lines: bool, took: Duration) -> Option<String> {
        let said = match done {
            Done::Rows(rows) => {
                self.output.wrote();
                self.counted(rows, as_lines)
            }
            Done::Written(rows) => Some(format!("{rows} row{} written", if rows == 1 { "" } else { "s" })),
            Done::Effect => None,
        };
        let time = self.timer.then(|| format!("time: {:.3} s", took.as_secs_f64()));
        let lines: Vec<_> = said.into_iter().chain(time).collect();
        (!self.quiet && !lines.is_empty()).then(|| lines.join("\n"))
    }

    /// A result's count, where neither the result itself nor anybody else says it.
    fn counted(&self, rows: usize, as_lines: bool) -> Option<String> {
        let count = counted(rows, "row");
        match self.output.file() {
            _ if !self.is_shell => None,
            Some(path) => Some(format!("{count} written to '{}'", path.display())),
            None if self.output.format() == Format::Table && !as_lines => None,
            None => Some(count),
        }
    }
}

/// Says that all of a statement is done, unless it was stopped: then what is shown is another one's.
fn shown_whole(stop: &Stop) {
    if !stop.is_set() {
        progress::done();
    }
}

/// What is to be run, in order. Commands put what they stand for in front.
#[derive(Default)]
pub(super) struct Queue(VecDeque<Items>);

/// The next thing in a queue.
pub(super) enum Next {
    /// A statement to run, and whether to write its rows as lines (`\G`).
    Statement { raw: RawStatement, as_lines: bool },
    /// Something to print on standard output.
    Print(String),
    /// Something to say to people.
    Say(String),
    /// The end of everything.
    Quit,
}

impl Queue {
    /// Appends a script.
    pub(super) fn push(&mut self, items: Items) {
        self.0.push_back(items);
    }

    /// Statements and commands still to come.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|items| items.items.len()).sum()
    }

    /// The next statement; commands on the way to it are carried out. `None` at the end.
    ///
    /// # Errors
    /// A command that cannot be carried out, text that is no SQL. The queue goes on behind it.
    pub(super) fn next(&mut self, desk: &mut Desk) -> Result<Option<Next>> {
        while let Some(script) = self.0.front_mut() {
            let depth = script.depth;
            match script.items.pop_front() {
                Some(Item::Statement { raw, as_lines }) => {
                    return Ok(Some(Next::Statement { raw, as_lines }));
                }
                Some(Item::Command(line)) => match Meta::parse(&line)?.apply(desk, depth)? {
                    Act::Run(items) => self.0.push_front(items),
                    Act::Print(text) => return Ok(Some(Next::Print(text))),
                    Act::Say(text) => return Ok(Some(Next::Say(text))),
                    Act::Nothing => {}
                    Act::Quit => return Ok(Some(Next::Quit)),
                },
                None => match self.0.pop_front().and_then(|script| script.failure) {
                    Some(failure) => return Err(failure),
                    None => continue,
                },
            }
        }
        Ok(None)
    }
}
