//! A headless Chromium, spoken to in its DevTools protocol over pipes. A browser that is missing is a failed test.

use std::io::{BufRead, BufReader, PipeWriter, Write, pipe};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing that a page does here takes that long.
const HANG: Duration = Duration::from_secs(120);
/// Events come behind the answers that they belong to.
const QUIET: Duration = Duration::from_millis(300);

/// A browser with one page. Dropped, it is ended.
pub(super) struct Browser {
    child: Child,
    requests: PipeWriter,
    messages: Receiver<Value>,
    session: Value,
    next: u64,
    events: Vec<Value>,
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) width: u32,
    pub(super) is_dark: bool,
}

fn path() -> String {
    let found = Command::new("tests/browser.sh").output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().to_string()
}

impl Browser {
    pub(super) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (to_child, requests) = pipe().unwrap();
        let (answers, from_child) = pipe().unwrap();
        let mut command = Command::new("sh");
        // The browser reads from 3 and writes to 4.
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"]).arg(path());
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(to_child).stdout(from_child).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        drop(command);
        let (send, messages) = channel();
        thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|count| count > 0) {
                message.pop();
                if send.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            requests,
            messages,
            session: Value::Null,
            next: 1,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.ask("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sends a command and waits for its answer.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.requests.write_all(&bytes).unwrap();
        loop {
            let answer = self.messages.recv_timeout(HANG).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Opens a file and waits until it is loaded. What was seen of other pages is forgotten.
    pub(super) fn open(&mut self, file: &Path, look: Look) {
        let Look { width, is_dark } = look;
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", features);
        self.events.clear();
        self.ask("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        let until = Instant::now() + HANG;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let left = until.saturating_duration_since(Instant::now());
            self.events.push(self.messages.recv_timeout(left).unwrap());
        }
    }

    /// The value of an expression in the page.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub(super) fn number(&mut self, expression: &str) -> f64 {
        let value = self.value(expression);
        assert!(value.is_number(), "{expression}: {value}");
        value.as_f64().unwrap()
    }

    /// The addresses that the page has asked for, itself left out.
    pub(super) fn requests(&mut self) -> Vec<String> {
        self.settle();
        let asked = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let asked = asked.filter(|event| event["params"]["type"] != "Document");
        asked.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_string()).collect()
    }

    /// What went wrong in scripts, and what the page was not allowed to do.
    pub(super) fn troubles(&mut self) -> Vec<String> {
        self.settle();
        let troubles = self.events.iter().filter(|event| {
            let logged = &event["params"]["entry"]["level"];
            event["method"] == "Runtime.exceptionThrown"
                || (event["method"] == "Log.entryAdded" && logged == "error")
        });
        troubles.map(Value::to_string).collect()
    }

    /// Takes what is still on its way.
    fn settle(&mut self) {
        while let Ok(event) = self.messages.recv_timeout(QUIET) {
            self.events.push(event);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
