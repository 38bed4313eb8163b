//! The terminal that keys come from: while a line is shown, key by key and without echo.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use libc::{STDERR_FILENO, STDIN_FILENO, c_int, termios};

use super::typed::{Key, Typed};

/// How long a signal takes at most until it has stopped the process.
const STOP_TIME: Duration = Duration::from_millis(30);

/// A keyboard whose keys come one by one. Dropped, it is as it was found.
///
/// Ctrl-C stays a signal. Ctrl-Z and Ctrl-\ come as keys, so that the terminal is given back before they work.
#[derive(Debug)]
pub(super) struct Keyboard {
    found: Mode,
    typed: Typed,
}

#[derive(Clone, Copy)]
struct Mode(termios);

impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mode").field("local", &self.0.c_lflag).finish_non_exhaustive()
    }
}

impl Keyboard {
    /// Takes over standard input; `None` if it is no terminal, or not ours at the moment.
    pub(super) fn take_over() -> Option<Self> {
        let found = mode().filter(|_| is_ours(STDIN_FILENO))?;
        set_mode(&keys_of(&found)).then(|| Self { found, typed: Typed::default() })
    }

    /// The keys that were pressed. Somebody else may have changed the terminal while this process was stopped.
    pub(super) fn keys(&mut self) -> Vec<Key> {
        if !is_ours(STDIN_FILENO) {
            return Vec::new();
        }
        if mode().is_some_and(|mode| mode.0.c_lflag & libc::ICANON != 0) {
            set_mode(&keys_of(&self.found));
        }
        let mut buffer = [0; 256];
        let mut keys = Vec::new();
        loop {
            let count = read(&mut buffer);
            keys.extend(buffer[..count].iter().filter_map(|byte| self.typed.take(*byte)));
            if count < buffer.len() {
                return keys;
            }
        }
    }

    /// Gives the terminal back, sends a signal to all that share it, and takes it over again.
    pub(super) fn pause(&mut self, signal: c_int) {
        self.give_back();
        signal_group(signal);
        // The signal may come to another thread first, a moment later.
        std::thread::sleep(STOP_TIME);
        if is_ours(STDIN_FILENO) {
            set_mode(&keys_of(&self.found));
        }
    }

    /// Gives the terminal back; what was typed until now is the next prompt's.
    pub(super) fn release(mut self) -> Typed {
        self.keys();
        std::mem::take(&mut self.typed)
    }

    fn give_back(&self) {
        // From the background it would stop the process; whoever has the terminal then has set it as they like.
        if is_ours(STDIN_FILENO) {
            set_mode(&self.found);
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A mode in which keys come at once, unseen.
fn keys_of(found: &Mode) -> Mode {
    let mut mode = *found;
    mode.0.c_lflag &= !(libc::ICANON | libc::ECHO);
    for key in [libc::VSUSP, libc::VQUIT] {
        mode.0.c_cc[key] = libc::_POSIX_VDISABLE;
    }
    // A read gives what there is, and does not wait.
    mode.0.c_cc[libc::VMIN] = 0;
    mode.0.c_cc[libc::VTIME] = 0;
    mode
}

/// Whether the terminal is this process's, and not lent to another one of its session.
pub(super) fn is_ours(fd: c_int) -> bool {
    #[expect(unsafe_code, reason = "std does not know of terminals and their process groups")]
    // SAFETY: both take and give numbers.
    let (owner, own) = unsafe { (libc::tcgetpgrp(fd), libc::getpgrp()) };
    // One that is not the session's terminal has no owner.
    owner == own || owner == -1
}

/// Whether what is drawn on standard error is not drawn into somebody else's screen.
pub(super) fn may_draw() -> bool {
    is_ours(STDERR_FILENO)
}

fn mode() -> Option<Mode> {
    let mut mode = MaybeUninit::<termios>::uninit();
    #[expect(unsafe_code, reason = "std does not know of terminals")]
    // SAFETY: the structure is written by a call that succeeds, and read only then.
    unsafe {
        (libc::tcgetattr(STDIN_FILENO, mode.as_mut_ptr()) == 0).then(|| Mode(mode.assume_init()))
    }
}

fn set_mode(mode: &Mode) -> bool {
    #[expect(unsafe_code, reason = "std does not know of terminals")]
    // SAFETY: the structure is read during the call only.
    unsafe {
        libc::tcsetattr(STDIN_FILENO, libc::TCSANOW, &mode.0) == 0
    }
}

/// Reads past the buffer of std's standard input, which would wait.
fn read(buffer: &mut [u8]) -> usize {
    #[expect(unsafe_code, reason = "std would wait for a whole buffer")]
    // SAFETY: the buffer is written within its length.
    let count = unsafe { libc::read(STDIN_FILENO, buffer.as_mut_ptr().cast(), buffer.len()) };
    // An error is as good as nothing: the terminal may have gone.
    usize::try_from(count).unwrap_or(0)
}

fn signal_group(signal: c_int) {
    #[expect(unsafe_code, reason = "std sends no signals")]
    // SAFETY: `kill` reads two numbers and touches no memory of ours.
    let sent = unsafe { libc::kill(0, signal) };
    debug_assert!(sent == 0, "{}", io::Error::last_os_error());
}
