//! A server in a process of its own: what it tells when it starts, and what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A server that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running `tests/servers.sh`. It ends when this is dropped, and with this process.
pub(super) struct Process {
    name: String,
    // Its standard input ends with it.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    complaints: Arc<Mutex<String>>,
    child: Child,
}

impl Process {
    /// Starts a server, and gives what it told before it was ready: pairs of a word and the rest of the line.
    pub(super) fn start(arguments: &[&str]) -> (Self, Vec<(String, String)>) {
        let mut child = Command::new("tests/servers.sh")
            .args(arguments)
            // Settings of whoever runs the tests are not the server's.
            .env_remove("HADOOP_CONF_DIR")
            .env_remove("HADOOP_USER_NAME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, answers) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let complaints = Arc::new(Mutex::new(String::new()));
        let (kept, mut from) = (Arc::clone(&complaints), child.stderr.take().unwrap());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let commands = child.stdin.take();
        let process = Self { name: arguments.join(" "), commands, answers, complaints, child };
        let mut told = Vec::new();
        loop {
            let line = process.answer().unwrap();
            if line == "ready" {
                return (process, told);
            }
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            told.push((word.to_string(), rest.to_string()));
        }
    }

    /// Has the server carry out a command, or says what is wrong.
    pub(super) fn command(&mut self, command: &str) -> Result<(), String> {
        let answer = self.ask(command)?;
        if answer.is_empty() { Ok(()) } else { Err(format!("{}: {command}: {answer}", self.name)) }
    }

    /// Has the server carry out a command, and gives what it answers after `done`, or what is wrong.
    pub(super) fn ask(&mut self, command: &str) -> Result<String, String> {
        let wrong = |what: &str| format!("{}: {command}: {what}", self.name);
        let commands = self.commands.as_mut().ok_or_else(|| wrong("ended"))?;
        writeln!(commands, "{command}").map_err(|error| wrong(&error.to_string()))?;
        let answer = self.answer()?;
        let rest = answer.strip_prefix("done").ok_or_else(|| wrong(&answer))?;
        Ok(rest.trim_start().to_string())
    }

    /// The server's next line.
    fn answer(&self) -> Result<String, String> {
        self.answers.recv_timeout(PATIENCE).map_err(|_| {
            format!("tests/servers.sh {} is silent: {}", self.name, self.complaints.lock().unwrap())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It has been told; that it is gone is not to hold up anybody.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
