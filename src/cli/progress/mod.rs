//! How far a statement is, on standard error while it runs: a line on a terminal, which a key unfolds into the graph
//! of what runs; without a terminal, if it is asked for, a line now and then.
//!
//! A thread of its own asks the statement's jobs, because all others may be busy.

mod graph;
mod keyboard;
mod line;
mod pace;
mod screen;
mod typed;
mod whole;

use std::io::IsTerminal;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

pub(super) use screen::{close, done, rows_come, wipe};
pub(super) use typed::Typed;

use self::line::{Line, Shown, Style};
use self::pace::Pace;
use self::screen::{Turn, Way};
use self::typed::Key;
use self::whole::Whole;
use crate::config::{self, ColorChoice, ProgressChoice};
use crate::scheduler::Job;
use crate::scheduler::event::Observers;
use crate::scheduler::progress::{Progress as JobProgress, Running};
use crate::session::Session;

/// A statement that is done before that shows nothing.
const DELAY: Duration = Duration::from_millis(500);
/// How often keys are looked for, and the line is drawn.
const KEYS: Duration = Duration::from_millis(50);
const DRAW: Duration = Duration::from_millis(100);
/// Asking may take one part of so many of the time.
const ASKING_PARTS: u32 = 200;
/// The first line where there is no terminal; the next ones come after twice the time, up to the second.
const FIRST_LINE: Duration = Duration::from_secs(1);
const LINE_GAP_MAX: Duration = Duration::from_secs(30);
/// A graph leaves so many lines of the screen.
const LINES_LEFT: usize = 2;

/// Shows how far the statements of a session are.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    running: Running,
    /// Whether lines can be drawn in place.
    is_terminal: bool,
    has_keys: bool,
    utf8: bool,
    colours: bool,
    quiet: bool,
}

impl Progress {
    /// Has the jobs of a session from now on.
    pub(super) fn open(quiet: bool, color: ColorChoice, session: &Session) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && !config::is_dumb();
        let running = Running::new(is_terminal);
        session.observe(Observers { running: Some(running.clone()), ..session.observers() });
        Self {
            running,
            is_terminal,
            has_keys: is_terminal && std::io::stdin().is_terminal(),
            utf8: config::is_utf8(),
            colours: color.colours(is_terminal),
            quiet,
        }
    }

    /// Shows how far a statement is that is about to run.
    pub(super) fn begin(&self, session: &Session) -> Showing {
        let way = match (session.query_options().progress, self.is_terminal) {
            _ if self.quiet => return Showing(None),
            (ProgressChoice::Off, _) | (ProgressChoice::Auto, false) => return Showing(None),
            (ProgressChoice::Auto | ProgressChoice::On, true) => Way::InPlace { has_keys: self.has_keys },
            (ProgressChoice::On, false) => Way::Lines,
        };
        let turn = screen::open(way);
        let view = View { progress: self.clone(), way, turn, began: Instant::now(), is_unfolded: false };
        // Without the thread nothing is shown, and that is all.
        let spawned = thread::Builder::new().name("progress".into()).spawn(move || view.run());
        Showing(spawned.ok().map(|thread| thread.thread().clone()))
    }
}

/// A statement whose progress is shown until this is dropped.
pub(super) struct Showing(Option<Thread>);

impl Showing {
    /// Ends it; gives what was typed meanwhile.
    pub(super) fn finish(self) -> Typed {
        let is_shown = self.0.is_some();
        drop(self);
        if is_shown { screen::take_typed() } else { Typed::default() }
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        if let Some(thread) = &self.0 {
            screen::close();
            thread.unpark();
        }
    }
}

/// What is shown of one statement.
struct View {
    progress: Progress,
    way: Way,
    turn: Turn,
    began: Instant,
    is_unfolded: bool,
}

impl View {
    fn run(mut self) {
        let (mut whole, mut pace) = (Whole::default(), Pace::default());
        let mut next = self.began + DELAY;
        let mut costs = [Duration::ZERO; 4];
        let mut gap = FIRST_LINE;
        let mut line_at = self.began + FIRST_LINE;
        loop {
            // Woken up early, there is nothing more to show.
            thread::park_timeout(KEYS);
            if !screen::is_open(self.turn) {
                return;
            }
            let has_folded = self.keys();
            let now = Instant::now();
            if now < next && !has_folded {
                continue;
            }
            let jobs = self.jobs();
            let readings = jobs.iter().filter_map(|job| job.progress()).collect();
            // On a busy machine most of the time is not spent asking: what took least is believed.
            costs.rotate_left(1);
            costs[0] = now.elapsed();
            let cost = costs.iter().min().copied().unwrap_or_default();
            next = now + DRAW.max(cost * ASKING_PARTS);
            let Some(shown) = self.read(&mut whole, &mut pace, readings) else { continue };
            match self.way {
                Way::InPlace { .. } => self.draw(shown, &whole, &jobs),
                Way::Lines if now >= line_at => {
                    self.draw(shown, &whole, &jobs);
                    gap = (gap * 2).min(LINE_GAP_MAX);
                    line_at = now + gap;
                }
                Way::Lines => {}
            }
        }
    }

    /// Does what was asked for by keys. Whether anything is to be drawn anew.
    fn keys(&mut self) -> bool {
        let keys = screen::keys(self.turn);
        let tabs = keys.iter().filter(|key| **key == Key::Tab).count();
        self.is_unfolded ^= tabs % 2 == 1;
        !keys.is_empty()
    }

    /// The statement's jobs, without those that are left of statements before it.
    fn jobs(&self) -> Vec<Arc<Job>> {
        let age = self.began.elapsed();
        self.progress.running.jobs().into_iter().filter(|job| job.age() <= age).collect()
    }

    /// `None` before anything runs.
    fn read(&self, whole: &mut Whole, pace: &mut Pace, readings: Vec<JobProgress>) -> Option<Shown> {
        let fraction = whole.take(readings);
        whole.current()?;
        let elapsed = self.began.elapsed();
        let told = pace.take(elapsed, fraction, whole.rows());
        Some(Shown {
            fraction,
            rows: whole.rows(),
            rows_per_second: told.rows_per_second,
            left: told.left,
            spilled_bytes: whole.spilled_bytes(),
            elapsed,
        })
    }

    fn draw(&self, shown: Shown, whole: &Whole, jobs: &[Arc<Job>]) {
        let (columns, lines_max) = screen::size();
        // A line that fills the last column is folded by some terminals.
        let width = match self.way {
            Way::InPlace { .. } => columns.saturating_sub(1),
            Way::Lines => usize::MAX / 2,
        };
        let style =
            Style { width, utf8: self.progress.utf8, colours: self.progress.colours, hint: self.hint() };
        let mut lines = Vec::new();
        if self.is_unfolded
            && let Some(job) = whole.current()
            && let Some(running) = jobs.iter().find(|running| running.id() == job.job)
        {
            let graph = running.draw(&graph::notes(job), lines_max.saturating_sub(LINES_LEFT));
            lines = graph::fitted(graph, width, style.utf8);
        }
        lines.push(self.line(shown, style));
        let whole = Shown { fraction: Some(1.0), left: None, ..shown };
        screen::show(self.turn, &lines, self.line(whole, Style { hint: None, ..style }));
    }

    fn line(&self, shown: Shown, style: Style) -> Line {
        match self.way {
            Way::InPlace { .. } => shown.line(style),
            Way::Lines => shown.line_without_bar(style),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match (self.way, self.is_unfolded) {
            (Way::InPlace { has_keys: true }, false) => Some("[Tab] graph"),
            (Way::InPlace { has_keys: true }, true) => Some("[Tab] fold"),
            (Way::InPlace { has_keys: false } | Way::Lines, _) => None,
        }
    }
}
