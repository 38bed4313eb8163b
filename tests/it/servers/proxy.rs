//! A proxy between a client and a server that makes trouble by a plan.
//!
//! ```text
//! client ── request ──> proxy ── request ──> server      the same bytes, Host too: signatures stay right
//!        <─ trouble ──        <── answer ───
//! ```

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::message::{Head, answer, listen, send};

/// Longer than any client waits.
const STALL: Duration = Duration::from_secs(600);
/// The version of what has been replaced.
const TAG: &str = "\"0123456789abcdef0123456789abcdef\"";

/// What can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503, asking to slow down; the server is not asked.
    Busy,
    /// The connection is reset when half of the body has been sent, or half of the head of an answer without one. The
    /// server has done what was asked.
    Reset,
    /// Nothing comes any more when half of that has been sent; the connection stays.
    Stall,
    /// The connection is closed in order when half of that has been sent.
    Truncated,
    /// The body is of another version of the object: another ETag, and other bytes. From here on the object is that
    /// version: asked for the old one by If-Match, the answer is 412.
    Replaced,
    /// 403, the credentials have expired; the server is not asked.
    Expired,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] =
        [Self::Busy, Self::Reset, Self::Stall, Self::Truncated, Self::Replaced, Self::Expired];
}

/// What happens to which requests.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What can happen. Each is as likely as the others.
    pub(crate) faults: Vec<Fault>,
    /// So many of a hundred requests are hit.
    pub(crate) percent: u8,
    /// Chooses them.
    pub(crate) seed: u64,
    /// Only these methods are hit.
    pub(crate) methods: &'static [&'static str],
    /// Requests before the first that may be hit.
    pub(crate) after: usize,
    /// Each answer is late by this.
    pub(crate) latency: Duration,
}

impl Plan {
    /// No trouble: for counting requests, and for a distance to the server.
    pub(crate) fn calm() -> Self {
        Self { faults: Vec::new(), percent: 0, seed: 0, methods: &[], after: 0, latency: Duration::ZERO }
    }

    /// One kind of trouble for a share of all requests.
    pub(crate) fn of(fault: Fault, percent: u8, seed: u64) -> Self {
        let methods = &["GET", "HEAD", "PUT", "POST", "DELETE"];
        Self { faults: vec![fault], percent, seed, methods, ..Self::calm() }
    }
}

/// What has come by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// First lines and headers of the requests.
    pub(crate) requests: Vec<Head>,
    /// What happened to those that were hit.
    pub(crate) faults: Vec<Fault>,
}

/// A running proxy.
pub(crate) struct Proxy {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    server: String,
    plan: Mutex<(Plan, fastrand::Rng)>,
    /// How many plans there have been.
    plans: AtomicU64,
    seen: Mutex<Seen>,
    bytes: AtomicU64,
    /// Targets that were replaced.
    replaced: Mutex<Vec<String>>,
}

impl Proxy {
    /// A proxy to a server at `127.0.0.1:PORT`.
    pub(crate) fn start(server: &str, plan: Plan) -> Self {
        let seed = plan.seed;
        let state = Arc::new(State {
            server: server.to_string(),
            plan: Mutex::new((plan, fastrand::Rng::with_seed(seed))),
            plans: AtomicU64::new(0),
            seen: Mutex::default(),
            bytes: AtomicU64::new(0),
            replaced: Mutex::default(),
        });
        let own = Arc::clone(&state);
        let address = listen(move |head, body, stream| own.pass(head, body, stream));
        Self { address, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Another plan from now on. What was replaced is what it was again, and nothing has been seen yet.
    pub(crate) fn follow(&self, plan: Plan) {
        let rng = fastrand::Rng::with_seed(plan.seed);
        *self.state.plan.lock().unwrap() = (plan, rng);
        *self.state.seen.lock().unwrap() = Seen::default();
        let mut replaced = self.state.replaced.lock().unwrap();
        self.state.plans.fetch_add(1, Ordering::SeqCst);
        replaced.clear();
        drop(replaced);
        self.state.bytes.store(0, Ordering::Relaxed);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state.seen.lock().unwrap().clone()
    }

    /// Bytes of bodies that went to the client.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }
}

impl State {
    fn pass(&self, head: &Head, body: Vec<u8>, client: &mut TcpStream) -> io::Result<bool> {
        let plan = self.plans.load(Ordering::SeqCst);
        let (fault, latency) = self.choose(head);
        thread::sleep(latency);
        match fault {
            Some(fault @ Fault::Busy) => {
                self.happened(fault);
                return self.refuse(client, "503 Slow Down", "SlowDown");
            }
            Some(fault @ Fault::Expired) => {
                self.happened(fault);
                return self.refuse(client, "403 Forbidden", "ExpiredToken");
            }
            Some(Fault::Reset | Fault::Stall | Fault::Truncated | Fault::Replaced) | None => {}
        }
        let (mut answer, mut body) = self.ask(head, &body)?;
        // Only what has content can be replaced by other content, and only for those who have seen it: whoever reads the
        // end by its length is looking the object up.
        let is_lookup = head.get("range").is_some_and(|range| range.starts_with("bytes=-"));
        let is_object =
            head.method() == "GET" && !is_lookup && answer.status() < 300 && answer.get("etag").is_some();
        let object = head.target().split('?').next().unwrap().to_string();
        if fault == Some(Fault::Replaced) && is_object {
            self.happened(Fault::Replaced);
            let mut replaced = self.replaced.lock().unwrap();
            // A request that nobody waits for any more does not replace what is read by the next plan.
            if self.plans.load(Ordering::SeqCst) == plan {
                replaced.push(object.clone());
            }
        }
        if self.replaced.lock().unwrap().contains(&object) && answer.get("etag").is_some() {
            if head.get("if-match").is_some_and(|wanted| wanted != TAG) {
                return self.refuse(client, "412 Precondition Failed", "PreconditionFailed");
            }
            answer.set("ETag", TAG);
            body.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        }
        match fault {
            Some(fault @ (Fault::Reset | Fault::Stall | Fault::Truncated)) => {
                self.happened(fault);
                self.bytes.fetch_add(body.len() as u64 / 2, Ordering::Relaxed);
                match body.len() {
                    // Where there is no body, half of the head is missing.
                    0 => client.write_all(&answer.bytes()[..answer.bytes().len() / 2])?,
                    // A body of one byte too has a half that is missing.
                    length => send(client, &answer, &body[..length / 2])?,
                }
                end(fault, client)
            }
            Some(_) | None => {
                self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                send(client, &answer, &body)?;
                Ok(true)
            }
        }
    }

    fn happened(&self, fault: Fault) {
        self.seen.lock().unwrap().faults.push(fault);
    }

    fn choose(&self, head: &Head) -> (Option<Fault>, Duration) {
        let seen = {
            let mut seen = self.seen.lock().unwrap();
            seen.requests.push(head.clone());
            seen.requests.len()
        };
        let mut plan = self.plan.lock().unwrap();
        let (plan, rng) = &mut *plan;
        let is_hit = seen > plan.after
            && plan.methods.contains(&head.method())
            && rng.u8(0..100) < plan.percent
            && !plan.faults.is_empty();
        (is_hit.then(|| plan.faults[rng.usize(0..plan.faults.len())]), plan.latency)
    }

    /// Has the server answer a request that is passed on as it came.
    fn ask(&self, head: &Head, body: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let mut server = TcpStream::connect(&self.server)?;
        let mut passed = head.clone();
        // One connection a request: what is not signed may change.
        passed.set("Connection", "close");
        passed.remove("Expect");
        send(&mut server, &passed, body)?;
        let mut reader = BufReader::new(server);
        let mut answer = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        answer.remove("Connection");
        if head.method() == "HEAD" || matches!(answer.status(), 204 | 304) {
            return Ok((answer, Vec::new()));
        }
        let body = answer.body(&mut reader)?;
        answer.remove("Transfer-Encoding");
        answer.set("Content-Length", body.len().to_string());
        Ok((answer, body))
    }

    /// An answer of our own, as S3 words it.
    fn refuse(&self, client: &mut TcpStream, status: &str, code: &str) -> io::Result<bool> {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>"
        );
        let (mut head, body) = answer(status, "application/xml", text.as_bytes());
        // Whoever asked with HEAD reads no body, so nothing can follow it.
        head.set("Connection", "close");
        send(client, &head, &body)?;
        Ok(false)
    }
}

/// Ends an answer of which a half is missing.
fn end(fault: Fault, client: &mut TcpStream) -> io::Result<bool> {
    client.flush()?;
    match fault {
        Fault::Reset => {
            // What was sent is to arrive before the reset does, which may overtake it.
            thread::sleep(Duration::from_millis(20));
            reset(client)?;
        }
        Fault::Stall => thread::sleep(STALL),
        Fault::Truncated | Fault::Busy | Fault::Replaced | Fault::Expired => {}
    }
    Ok(false)
}

/// Closes a connection without a goodbye.
fn reset(client: &TcpStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let stream = client.try_clone()?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)?.set_zero_linger()
}
