//! Lines typed while a statement ran.
//!
//! When the editor starts, it reads all that waits and keeps the first line only. Until then the terminal
//! hands out line by line, so whole lines are taken before it starts.

use std::io;

use libc::{POLLIN, STDIN_FILENO, pollfd};

use crate::cli::progress::Typed;

/// What was typed ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Whole lines.
    pub(super) text: String,
    /// Whether Ctrl-D came after them.
    pub(super) is_end: bool,
}

impl Ahead {
    /// Takes the lines that wait on standard input, a terminal in line mode. Never blocks.
    /// `typed` is what came before them.
    pub(super) fn take(typed: Typed) -> Self {
        let mut ahead = Self { text: typed.text(), is_end: typed.is_end };
        while !ahead.is_end && line_waits() {
            // A line that is no UTF-8 text, or a terminal that has gone, ends it too.
            ahead.is_end = !matches!(io::stdin().read_line(&mut ahead.text), Ok(1..));
        }
        ahead
    }
}

#[expect(unsafe_code, reason = "std cannot ask whether a read would wait")]
fn line_waits() -> bool {
    let mut input = pollfd { fd: STDIN_FILENO, events: POLLIN, revents: 0 };
    // SAFETY: `poll` reads and writes the one structure it is given, which outlives the call.
    let ready = unsafe { libc::poll(&mut input, 1, 0) };
    ready == 1 && input.revents & POLLIN != 0
}
