//! The interactive shell: reads statements and commands on a terminal and runs them in one session.

mod ahead;
mod complete;
mod helper;
mod highlight;
mod history;
pub(in crate::cli) mod items;
mod lookup;
pub(in crate::cli) mod meta;
mod scope;
pub(in crate::cli) mod words;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustyline::config::{BellStyle, ColorMode, CompletionType};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::runtime::Runtime;

use self::ahead::Ahead;
use self::helper::SqlHelper;
use self::history::History;
use self::items::Items;
use self::lookup::Lookup;
use super::args::Args;
use super::data::Data;
use super::execute::{Desk, Next, Queue};
use super::guarded;
use super::output::Output;
use super::progress::{self, Progress, Typed};
use super::record::Book;
use super::report::Reporter;
use super::run::print;
use super::supervise::{self, Ended, Signal, Signals, Stop, supervise};
use crate::config::ColorChoice;
use crate::error::{Error, Result};
use crate::frontend::sql::RawStatement;
use crate::session::Session;

const PROMPT: &str = "query> ";
/// A stopped query gets so much time before the prompt comes back without it.
const PATIENCE: Duration = Duration::from_millis(50);
/// More completions than these are asked about before they fill the screen.
const COMPLETIONS_ASKED: usize = 100;

/// Runs the shell until its user leaves; gives the exit code.
pub(super) fn main(args: Args, fit_allocator: fn(usize), reporter: Reporter) -> u8 {
    match guarded(|| Shell::open(args)) {
        Ok(mut shell) => {
            let resources = Arc::clone(shell.desk.session.resources());
            fit_allocator(resources.memory_bytes());
            let code = shell.run();
            let closed = shell.desk.book.as_ref().map_or(Ok(()), |book| book.close(code));
            // Tasks that have not ended yet cannot make files any more.
            resources.close();
            match closed {
                Ok(()) => code,
                Err(error) => reporter.fail(&error).max(code),
            }
        }
        Err(error) => reporter.fail(&error),
    }
}

struct Shell {
    desk: Desk,
    editor: Editor<SqlHelper, DefaultHistory>,
    history: History,
    signals: Signals,
    supervisor: Runtime,
    workers: Option<Runtime>,
    color: ColorChoice,
    threads: Option<NonZeroUsize>,
    keep_going: bool,
    /// What was typed while progress was shown.
    typed: Typed,
    /// While somebody could print between keystrokes, the editor also waits for changes of the window.
    /// `None` on a terminal that has no editor.
    printer: Option<Box<dyn ExternalPrinter>>,
}

/// Whether to go on.
enum Flow {
    Next,
    Leave(u8),
}

impl Shell {
    fn open(args: Args) -> Result<Self> {
        let output = Output::new(&args)?;
        let session = Arc::new(Session::with_options(&args.session)?);
        let book = Book::open(args.files.clone(), true, &session)?;
        let progress = Progress::open(args.quiet, args.color, &session);
        let workers = supervise::workers(args.session.threads)?;
        let (mut editor, printer) = editor(&args)?;
        let lookup = Lookup::new(Arc::clone(&session), workers.handle().clone());
        editor.set_helper(Some(SqlHelper { lookup }));
        let (history, remark) = History::load(editor.history_mut());
        let desk = Desk {
            session,
            params: Arc::new(args.params),
            output,
            quiet: args.quiet,
            timer: false,
            timeout: args.timeout,
            book,
            progress,
            is_shell: true,
        };
        let mut shell = Self {
            desk,
            editor,
            history,
            signals: Signals::hear(true)?,
            supervisor: supervise::supervisor()?,
            workers: Some(workers),
            color: args.color,
            threads: args.session.threads,
            keep_going: args.keep_going,
            typed: Typed::default(),
            printer,
        };
        let opened = args.data.map(|data| shell.view(data)).transpose()?;
        if !shell.desk.quiet {
            let version = env!("CARGO_PKG_VERSION");
            let lines = [Some(format!("query {version} (.help for help, Ctrl-D to leave)")), opened, remark];
            lines.into_iter().flatten().for_each(|line| shell.reporter().note(&line));
        }
        Ok(shell)
    }

    /// Makes the view of a file named on the command line; gives what to say about it.
    fn view(&mut self, data: Data) -> Result<String> {
        let view = data.view(&self.desk.session.functions());
        for raw in view.items().statements() {
            let statement = raw.parse(&self.desk.session.functions())?;
            let session = Arc::clone(&self.desk.session);
            let params = Arc::clone(&self.desk.params);
            let workers = self.workers()?;
            #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
            let made = workers.spawn(async move { session.run(&statement, &params).await.map(drop) });
            let ended = self.supervisor.block_on(supervise(
                made,
                &mut self.signals,
                &Stop::default(),
                |_| (),
                || PATIENCE,
            ));
            match ended {
                Ended::Done(made) => made?,
                Ended::Panicked(error) => return Err(error),
                Ended::Stopped { signal, .. } => return Err(signal.error()),
            }
        }
        Ok(format!("table {} is '{}'", view.name, view.path))
    }

    fn run(&mut self) -> u8 {
        let code = loop {
            let read = self.read();
            if self.signals.terminated() {
                break Signal::Terminate.error().exit_code();
            }
            match read {
                Ok(input) => {
                    self.history.add(self.editor.history_mut(), &input);
                    if let Flow::Leave(code) = self.input(&input) {
                        break code;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break 0,
                Err(error) => {
                    let source = std::io::Error::other(error.to_string());
                    break self.reporter().fail(&Error::io("read", "-", source));
                }
            }
        };
        self.leave();
        code
    }

    /// The next input: what was typed while the last one ran, if it is whole, else what is typed now.
    fn read(&mut self) -> Result<String, ReadlineError> {
        let Ahead { text, is_end } = Ahead::take(std::mem::take(&mut self.typed));
        if is_end && text.trim().is_empty() {
            return Err(ReadlineError::Eof);
        }
        // A Ctrl-C from now on is the editor's.
        self.signals.forget();
        if text.trim().is_empty() {
            let read = self.editor.readline(PROMPT);
            if self.printer.is_none() {
                self.signals.forget();
            }
            return read;
        }
        // A line that was begun waits for its end.
        let (lines, begun) = text.split_at(text.rfind('\n').map_or(0, |end| end + 1));
        if !lines.trim().is_empty() && items::is_complete(lines) {
            self.typed = Typed::of(begun, is_end);
            // They were shown, if at all, where they were typed, amid the output.
            drop(print(&format!("{PROMPT}{}", lines.trim_end())));
            return Ok(lines.to_string());
        }
        self.editor.readline_with_initial(PROMPT, (&text, ""))
    }

    /// Waits for what stopped queries have still to take away.
    fn leave(&mut self) {
        supervise::clear_up();
        if let Some(workers) = self.workers.take() {
            workers.shutdown_background();
        }
    }

    /// Runs what was typed or pasted, up to the first error.
    fn input(&mut self, input: &str) -> Flow {
        let mut queue = Queue::default();
        queue.push(Items::with_commands("<shell>", input));
        loop {
            let done = match queue.next(&mut self.desk) {
                Ok(None) => return Flow::Next,
                Ok(Some(Next::Quit)) => return Flow::Leave(0),
                Ok(Some(Next::Statement { raw, as_lines })) => self.statement(raw, as_lines),
                Ok(Some(Next::Print(text))) => print(&text),
                Ok(Some(Next::Say(text))) => {
                    self.reporter().note(&text);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            let Err(error) = done else { continue };
            match error {
                Error::Interrupted { signal: libc::SIGINT } => {}
                Error::Interrupted { .. } => return Flow::Leave(error.exit_code()),
                _ => drop(self.reporter().fail(&error)),
            }
            let left = queue.len();
            if !self.keep_going || matches!(error, Error::Interrupted { .. }) {
                if left > 0 {
                    let (what, verb) = if left == 1 { ("statement", "was") } else { ("statements", "were") };
                    self.reporter().note(&format!("{left} {what} after it {verb} not run"));
                }
                return Flow::Next;
            }
        }
    }

    /// Runs one statement on the workers. Ctrl-C brings the prompt back at once, whatever the query does.
    fn statement(&mut self, raw: RawStatement, as_lines: bool) -> Result<()> {
        let reporter = self.reporter();
        let mut desk = self.desk.clone();
        if as_lines {
            desk.output.set_lines(true);
        }
        let stop = Stop::default();
        let started = Instant::now();
        let seen = stop.clone();
        let showing = desk.progress.begin(&desk.session);
        #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
        let work = self.workers()?.spawn(async move { desk.run(&raw, &seen).await });
        let say = |signal| {
            let had_keys = progress::close();
            match signal {
                Signal::Interrupt if had_keys => reporter.note("interrupted"),
                // The terminal has written ^C into the line.
                Signal::Interrupt => reporter.note("\ninterrupted"),
                Signal::Terminate => drop(reporter.fail(&Signal::Terminate.error())),
            }
        };
        let ended = self.supervisor.block_on(supervise(work, &mut self.signals, &stop, say, || PATIENCE));
        let typed = showing.finish();
        // Ctrl-C takes with it what was typed before it, as the terminal does.
        if !matches!(ended, Ended::Stopped { .. }) {
            self.typed.append(typed);
        }
        if let Some(helper) = self.editor.helper() {
            helper.lookup.forget();
        }
        match ended {
            Ended::Done(done) => {
                if let Some(said) = self.desk.settle(done?, as_lines, started.elapsed()) {
                    reporter.note(&said);
                }
                Ok(())
            }
            Ended::Panicked(error) => Err(error),
            Ended::Stopped { signal, is_gone } => {
                if !is_gone {
                    self.abandon_workers();
                }
                Err(signal.error())
            }
        }
    }

    /// Leaves the workers to a query that does not yield; the next one gets others.
    fn abandon_workers(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.shutdown_background();
        }
    }

    fn workers(&mut self) -> Result<&Runtime> {
        let workers = match self.workers.take() {
            Some(workers) => workers,
            None => {
                let workers = supervise::workers(self.threads)?;
                if let Some(helper) = self.editor.helper() {
                    helper.lookup.move_to(workers.handle().clone());
                }
                workers
            }
        };
        Ok(self.workers.insert(workers))
    }

    /// Made anew for each message: a window may have another size.
    fn reporter(&self) -> Reporter {
        Reporter::new(self.color)
    }
}

type Terminal = (Editor<SqlHelper, DefaultHistory>, Option<Box<dyn ExternalPrinter>>);

fn editor(args: &Args) -> Result<Terminal> {
    let failed = |error: ReadlineError| Error::io("use", "-", std::io::Error::other(error.to_string()));
    let colours = args.color.colours(true);
    let config = Config::builder()
        .max_history_size(history::ENTRIES_MAX)
        .map_err(failed)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .completion_prompt_limit(COMPLETIONS_ASKED)
        .bell_style(BellStyle::None)
        .color_mode(if colours { ColorMode::Enabled } else { ColorMode::Disabled })
        .tab_stop(4)
        .build();
    let mut editor = Editor::with_config(config).map_err(failed)?;
    let printer = editor.create_external_printer().ok();
    Ok((editor, printer.map(|printer| Box::new(printer) as Box<dyn ExternalPrinter>)))
}
