//! The command as its users meet it: the built binary in a process of its own, judged by what it prints,
//! how it exits and what it leaves behind.

mod atomic;
mod bad_input;
mod batch;
mod deep;
mod formats;
mod graph;
mod insert;
mod inspect;
mod memory;
mod messages;
mod params;
mod progress;
mod project;
mod peak;
mod pruned;
mod quotes;
mod readonly;
mod record;
mod report;
mod secrets;
mod scan;
mod stores;
mod streaming;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Nothing that is run here takes that long: a child that does is stuck.
const HANG: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// Variables that change what the command prints.
const VARIABLES: [&str; 10] = [
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TERM",
    "RUST_BACKTRACE",
    "QUERY_MEMORY_LIMIT",
    "QUERY_MAX_TEMP_SIZE",
    "QUERY_TEMP_DIR",
    "QUERY_PROGRESS",
    "QUERY_CONFIG",
];

/// A folder of its own, in which the command runs.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let bytes = fs::read(self.path(name));
        assert!(bytes.is_ok(), "{name}: {bytes:?}");
        bytes.unwrap()
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    /// All that is in the folder, hidden files too.
    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// The command with these arguments, in this folder, with nothing on standard input.
    fn query<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Query {
        let mut command = Command::new(env!("CARGO_BIN_EXE_query"));
        command.args(args).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in VARIABLES {
            command.env_remove(name);
        }
        // Where no configuration file is, unless the test writes one.
        command.env("XDG_CONFIG_HOME", self.path("config"));
        Query { command, input: None, hang: HANG }
    }

    /// Runs one SQL text.
    fn sql(&self, sql: &str) -> Done {
        self.query(["-c", sql]).run()
    }
}

/// What is in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs one SQL text in a folder that nothing else needs.
fn sql(sql: &str) -> Done {
    Room::new().sql(sql)
}

/// The command before it runs.
struct Query {
    command: Command,
    input: Option<Vec<u8>>,
    hang: Duration,
}

impl Query {
    /// What comes on standard input, by a pipe.
    fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Where standard output goes instead of into [`Done::stdout`].
    fn stdout_to(mut self, path: &str) -> Self {
        self.command.stdout(fs::File::options().write(true).open(path).unwrap());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// For what is known to take longer than [`HANG`] on a slow machine.
    fn hang(mut self, hang: Duration) -> Self {
        self.hang = hang;
        self
    }

    fn run(self) -> Done {
        self.start().read_all().wait()
    }

    /// Starts it; the caller reads the output.
    fn start(mut self) -> Running {
        let shown: String = format!("{:?}", self.command).chars().take(300).collect();
        let mut child = self.command.spawn().unwrap();
        if let (Some(input), Some(mut pipe)) = (self.input.take(), child.stdin.take()) {
            // A command that fails early need not read its input: that is no failure of the test.
            thread::spawn(move || drop(pipe.write_all(&input)));
        }
        Running { child, stdout: None, stderr: None, until: Instant::now() + self.hang, shown }
    }
}

/// The command while it runs. Dropped early (by a failing test), it is killed.
struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    until: Instant,
    shown: String,
}

/// How it ended.
#[derive(Debug)]
struct Done {
    /// `None` if a signal ended it.
    code: Option<i32>,
    signal: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

impl Running {
    fn read_all(mut self) -> Self {
        self.stdout = self.child.stdout.take().map(drain);
        self
    }

    /// Reads the first bytes of standard output, then closes the pipe under the writer's hands.
    fn read_and_close(mut self, bytes: usize) -> Self {
        let mut first = vec![0; bytes];
        self.child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        self
    }

    /// Waits until something is the case.
    fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended ({ended:?}) before {what}", self.shown);
            assert!(Instant::now() < self.until, "{} never came to {what}", self.shown);
            thread::sleep(POLL);
        }
    }

    #[expect(unsafe_code, reason = "std sends no signal but SIGKILL")]
    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the child has not been waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    fn kill(mut self) -> Done {
        self.child.kill().unwrap();
        self.wait()
    }

    fn wait(mut self) -> Done {
        self.stderr = self.child.stderr.take().map(drain);
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < self.until, "{} does not end", self.shown),
            }
            thread::sleep(POLL);
        };
        let text = |reader: Option<JoinHandle<Vec<u8>>>| reader.map_or_else(Vec::new, |r| r.join().unwrap());
        Done {
            code: status.code(),
            signal: status.signal(),
            stdout: text(self.stdout.take()),
            stderr: String::from_utf8(text(self.stderr.take())).unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that has been waited for is not signalled again.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Done {
    /// Standard output of a run that went well and had nothing to remark.
    #[track_caller]
    fn rows(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        String::from_utf8(self.stdout).unwrap()
    }

    /// Standard error of a run that ended with this exit code and gave no data.
    #[track_caller]
    fn error(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(String::from_utf8_lossy(&self.stdout), "");
        assert!(!self.stderr.is_empty());
        self.stderr
    }

    /// Standard output and standard error of a run that ended with this exit code.
    #[track_caller]
    fn both(self, code: i32) -> (String, String) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        (String::from_utf8(self.stdout).unwrap(), self.stderr)
    }
}
