//! The lines at the end of the terminal that are ours for a while. All that is printed elsewhere in the command line
//! takes them away first.
//!
//! One statement at a time has a turn. Whoever draws names the turn: what is left of one that is over draws nothing.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keyboard::{Keyboard, may_draw};
use super::line::Line;
use super::typed::{Key, Typed};

static SCREEN: Mutex<Screen> = Mutex::new(Screen {
    turn: 0,
    is_open: false,
    way: Way::Lines,
    drawn: Vec::new(),
    end: None,
    keyboard: None,
    typed: None,
});

/// Whether there is a turn, and whether anything is drawn: looked at before each write.
static IS_OPEN: AtomicBool = AtomicBool::new(false);
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

struct Screen {
    turn: u64,
    is_open: bool,
    way: Way,
    /// The widths of the lines on the screen. The cursor is behind the last one.
    drawn: Vec<usize>,
    /// What is shown when the statement has come to its end, if anything was shown before.
    end: Option<Line>,
    keyboard: Option<Keyboard>,
    /// What was typed during the turn.
    typed: Option<Typed>,
}

/// How lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In place, on a terminal.
    InPlace {
        /// Whether keys are listened to.
        has_keys: bool,
    },
    /// One after the other.
    Lines,
}

/// A statement's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn(u64);

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a turn.
pub(super) fn open(way: Way) -> Turn {
    let mut screen = screen();
    screen.close();
    screen.turn += 1;
    (screen.is_open, screen.way, screen.typed) = (true, way, None);
    IS_OPEN.store(true, Ordering::SeqCst);
    Turn(screen.turn)
}

/// Whether a turn is not over.
pub(super) fn is_open(turn: Turn) -> bool {
    screen().has(turn)
}

/// Shows lines, in place of those shown before; `end` is what to show at the end. Nothing of a turn that is over.
pub(super) fn show(turn: Turn, lines: &[Line], end: Line) {
    let mut screen = screen();
    if !screen.has(turn) {
        return;
    }
    match screen.way {
        Way::Lines => {
            screen.end = Some(end);
            lines.iter().for_each(say);
        }
        Way::InPlace { has_keys } if may_draw() => {
            screen.end = Some(end);
            if has_keys && screen.keyboard.is_none() {
                screen.keyboard = Keyboard::take_over();
            }
            screen.draw(lines);
        }
        Way::InPlace { .. } => {}
    }
}

/// The keys that were pressed since they were last asked for. Those that stop the process do so.
pub(super) fn keys(turn: Turn) -> Vec<Key> {
    let mut screen = screen();
    if !screen.has(turn) {
        return Vec::new();
    }
    let keys = screen.keyboard.as_mut().map(Keyboard::keys).unwrap_or_default();
    for key in &keys {
        let signal = match key {
            Key::Tab => continue,
            Key::Suspend => libc::SIGTSTP,
            Key::Quit => libc::SIGQUIT,
        };
        screen.wipe();
        if let Some(keyboard) = &mut screen.keyboard {
            keyboard.pause(signal);
        }
    }
    keys
}

/// Takes away what is drawn, because something else is about to be printed.
pub(in crate::cli) fn wipe() {
    if IS_DRAWN.load(Ordering::SeqCst) {
        screen().wipe();
    }
}

/// The statement's rows begin to come on the screen: nothing is shown beside them.
pub(in crate::cli) fn rows_come() {
    if IS_OPEN.load(Ordering::SeqCst) {
        screen().close();
    }
}

/// The statement has come to its end: all of it is done.
pub(in crate::cli) fn done() {
    if !IS_OPEN.load(Ordering::SeqCst) {
        return;
    }
    let mut screen = screen();
    if let Some(end) = screen.end.take() {
        match screen.way {
            Way::Lines => say(&end),
            Way::InPlace { .. } if !screen.drawn.is_empty() => screen.draw(&[end]),
            Way::InPlace { .. } => {}
        }
    }
    screen.close();
}

/// Ends the turn, however the statement ended. The terminal is as it was before. Whether keys had been taken from it:
/// then it has not shown them.
pub(in crate::cli) fn close() -> bool {
    let mut screen = screen();
    let had_keys = screen.keyboard.is_some();
    screen.close();
    had_keys
}

/// What was typed during the last turn.
pub(super) fn take_typed() -> Typed {
    screen().typed.take().unwrap_or_default()
}

impl Screen {
    fn has(&self, turn: Turn) -> bool {
        self.is_open && Turn(self.turn) == turn
    }

    fn close(&mut self) {
        self.wipe();
        self.is_open = false;
        self.end = None;
        IS_OPEN.store(false, Ordering::SeqCst);
        if let Some(keyboard) = self.keyboard.take() {
            self.typed = Some(keyboard.release());
        }
    }

    /// Writes the lines over those that are there, and takes away what these were longer or more.
    fn draw(&mut self, lines: &[Line]) {
        let mut text = self.up();
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                text.push_str("\r\n");
            }
            text.push_str(&line.text);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.iter().map(|line| line.cells).collect();
        IS_DRAWN.store(!lines.is_empty(), Ordering::SeqCst);
        write(&text);
    }

    fn wipe(&mut self) {
        if !self.drawn.is_empty() {
            write(&format!("{}\x1b[J", self.up()));
        }
        self.drawn.clear();
        IS_DRAWN.store(false, Ordering::SeqCst);
    }

    /// Goes to the start of the first line. A terminal that has become narrower has folded lines that were wider.
    fn up(&self) -> String {
        let width = width().max(1);
        let rows: usize = self.drawn.iter().map(|cells| cells.div_ceil(width).max(1)).sum();
        match rows {
            0 | 1 => "\r".into(),
            rows => format!("\r\x1b[{}A", rows - 1),
        }
    }
}

/// The columns of the terminal.
pub(super) fn width() -> usize {
    size().0
}

/// The columns and lines of the terminal.
pub(super) fn size() -> (usize, usize) {
    terminal_size::terminal_size_of(std::io::stderr())
        .map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()))
}

fn say(line: &Line) {
    write(&format!("{}\n", line.text.trim()));
}

/// What cannot be shown is dropped.
fn write(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}
