//! The shell as its users meet it: the built binary on a terminal of its own, judged by its screen.

mod commands;
mod completion;
mod ending;
mod history;
mod interrupt;
mod opening;
mod progress;
mod screens;

use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

/// Nothing that is waited for here takes that long: a shell that does not come to it is stuck.
const HANG: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// What the editor writes when it starts to listen: pasted text is to be marked.
const LISTENS: &[u8] = b"\x1b[?2004h";

const ENTER: &str = "\r";
const TAB: &str = "\t";
const UP: &str = "\x1b[A";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_R: &str = "\x12";

/// A folder to work in and a home beside it.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        fs::create_dir(room.path("")).unwrap();
        fs::create_dir(room.home()).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("work").join(name)
    }

    fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    fn history(&self) -> PathBuf {
        self.home().join(".local/state/query/history")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// A pipe that nobody has opened.
    fn pipe(&self, name: &str) {
        let made = std::process::Command::new("mkfifo").arg(self.path(name)).status().unwrap();
        assert!(made.success());
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// All that is in the folder, hidden files too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn shell(&self) -> Shell {
        self.start(&[], &[])
    }

    fn start(&self, args: &[&str], env: &[(&str, &str)]) -> Shell {
        let mut shell = self.spawn(args, env);
        shell.ready(1);
        shell
    }

    /// Starts the shell without waiting for its prompt.
    fn spawn(&self, args: &[&str], env: &[(&str, &str)]) -> Shell {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_query"));
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("HOME", self.home());
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(self.path(""));
        command.args(args);
        Shell::spawn(command)
    }
}

/// What the terminal has been sent.
struct Seen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    /// How often the editor has started to listen.
    listened: usize,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        // A mark may come in two pieces.
        let from = self.bytes.len().saturating_sub(LISTENS.len() - 1);
        self.bytes.extend_from_slice(bytes);
        self.listened += self.bytes[from..].windows(LISTENS.len()).filter(|found| *found == LISTENS).count();
    }
}

/// The shell on its terminal. Dropped, it is killed.
struct Shell {
    master: Box<dyn MasterPty>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    /// Prompts that have been waited for.
    prompts: usize,
}

impl Shell {
    fn spawn(command: CommandBuilder) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(non_zero(ROWS), non_zero(COLUMNS), 0);
        let seen = Arc::new(Mutex::new(Seen { parser, bytes: Vec::new(), listened: 0 }));
        let sink = Arc::clone(&seen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that has been left gives an error instead of an end.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().take(&buffer[..count]);
            }
        });
        Self { master: pair.master, writer, child, seen, prompts: 0 }
    }

    fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Types a line where the shell waits for one, and waits for the next prompt.
    fn line(&mut self, line: &str) -> String {
        self.send(&format!("{line}{ENTER}"));
        self.ready(1)
    }

    /// Waits for so many more prompts.
    fn ready(&mut self, more: usize) -> String {
        self.prompts += more;
        let prompts = self.prompts;
        self.until(&format!("prompt {prompts}"), |seen| {
            // Where the line before is blank, the last prompt to be seen may be the one before.
            let is_drawn = seen.parser.screen().cursor_position().1 > 0;
            seen.listened >= prompts && is_drawn && last_line(&seen.parser) == "query>"
        })
    }

    /// Waits until the screen shows something.
    fn shows(&mut self, text: &str) -> String {
        self.until(text, |seen| seen.parser.screen().contents().contains(text))
    }

    /// Waits until a statement runs: the editor listens no more.
    fn runs(&mut self) {
        self.until("a running statement", |seen| !seen.parser.screen().bracketed_paste());
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Seen) -> bool) -> String {
        let until = Instant::now() + HANG;
        loop {
            {
                let seen = self.seen.lock().unwrap();
                if is_so(&seen) {
                    return screen(&seen.parser);
                }
                let shown = screen(&seen.parser);
                assert!(Instant::now() < until, "never came to {what}:\n{shown}");
            }
            thread::sleep(POLL);
        }
    }

    fn screen(&self) -> String {
        screen(&self.seen.lock().unwrap().parser)
    }

    fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    fn resize(&mut self, columns: u16) {
        let size = PtySize { rows: ROWS, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.seen.lock().unwrap().parser.set_size(non_zero(ROWS), non_zero(columns));
        self.master.resize(size).unwrap();
    }

    #[expect(unsafe_code, reason = "std sends no signal but SIGKILL")]
    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        // SAFETY: the child has not been waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for the end; gives the exit code.
    fn ends(&mut self) -> u32 {
        let until = Instant::now() + HANG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.signal(), None);
                return status.exit_code();
            }
            assert!(Instant::now() < until, "does not end:\n{}", self.screen());
            thread::sleep(POLL);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A child that has been waited for is not signalled again.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn non_zero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// The screen's text without blanks at the ends of lines and empty lines at the end.
fn screen(parser: &vt100::Parser) -> String {
    let contents = parser.screen().contents();
    contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_string()
}

fn last_line(parser: &vt100::Parser) -> String {
    screen(parser).lines().next_back().unwrap_or_default().to_string()
}
