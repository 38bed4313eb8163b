//! A server of objects in memory, on loopback: as much of S3 and of HTTP as it takes. Every answer is late by a
//! fixed time, and may be in trouble by a plan. `tests/it/servers/proxy.rs` makes the same trouble in front of real
//! servers; those take tens of milliseconds for themselves, and would be what is measured.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::writes::Writes;

/// The bucket that all objects are in.
pub(crate) const BUCKET: &str = "bench";
/// Keys on one page of a listing.
const PAGE: usize = 1000;
/// The version of what has been replaced.
const OTHER_TAG: &str = "\"0123456789abcdef0123456789abcdef\"";

/// What can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503, asking to slow down.
    Busy,
    /// The connection is reset when half of the body has been sent, or half of the head of an answer without one.
    Reset,
    /// Nothing comes any more when half of the body has been sent; the connection stays.
    Stall,
    /// Nothing comes at all; the connection stays.
    Silent,
    /// The connection is closed in order when half of the body has been sent.
    Truncated,
    /// The object is another version from here on: another ETag, other bytes.
    Replaced,
    /// 403, the credentials have expired.
    Expired,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "503",
            Self::Reset => "reset",
            Self::Stall => "stall",
            Self::Silent => "silent",
            Self::Truncated => "truncated",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        })
    }
}

/// Which requests are hit, and by what.
struct Plan {
    fault: Fault,
    percent: u8,
    random: fastrand::Rng,
}

/// What came by since it was last asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    /// Requests that were under way at the same time, at most.
    pub(crate) together: usize,
}

/// A running server. It lives as long as the process.
pub(crate) struct Server {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    objects: BTreeMap<String, Vec<u8>>,
    writes: Writes,
    latency: Duration,
    plan: Mutex<Option<Plan>>,
    /// Keys of objects that were replaced.
    replaced: Mutex<HashSet<String>>,
    is_any_replaced: AtomicBool,
    requests: AtomicUsize,
    hit: AtomicUsize,
    now: AtomicUsize,
    together: AtomicUsize,
}

impl Server {
    /// Serves these objects by key.
    pub(crate) fn start(objects: BTreeMap<String, Vec<u8>>, latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            objects,
            writes: Writes::default(),
            latency,
            plan: Mutex::default(),
            replaced: Mutex::default(),
            is_any_replaced: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            hit: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            together: AtomicUsize::new(0),
        });
        let own = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&own);
                thread::spawn(move || state.serve(client));
            }
        });
        Self { address, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// No trouble from now on, and nothing has been replaced.
    pub(crate) fn calm(&self) {
        *self.state.plan.lock().unwrap() = None;
        self.state.replaced.lock().unwrap().clear();
        self.state.is_any_replaced.store(false, Ordering::Relaxed);
        self.seen();
        self.hit();
    }

    /// A share of all requests is hit from now on, by a seed.
    pub(crate) fn trouble(&self, fault: Fault, percent: u8, seed: u64) {
        self.calm();
        let random = fastrand::Rng::with_seed(seed);
        *self.state.plan.lock().unwrap() = Some(Plan { fault, percent, random });
    }

    /// What was written.
    pub(crate) fn writes(&self) -> &Writes {
        &self.state.writes
    }

    /// Requests that were hit since this was last called.
    pub(crate) fn hit(&self) -> usize {
        self.state.hit.swap(0, Ordering::Relaxed)
    }

    /// What came by since this was last called.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            requests: self.state.requests.swap(0, Ordering::Relaxed),
            together: self.state.together.swap(0, Ordering::Relaxed),
        }
    }
}

/// A request, as far as it matters.
pub(crate) struct Request {
    pub(crate) method: String,
    path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    range: Option<String>,
    if_match: Option<String>,
}

impl Request {
    /// Reads one; `None` if the client has closed the connection instead.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_encoding::percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let (method, path) = (method.to_string(), path.into_owned());
        let mut request = Self { method, path, query, body: Vec::new(), range: None, if_match: None };
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                from.read_exact(&mut request.body)?;
                return Ok(Some(request));
            };
            let value = || Some(value.trim().to_string());
            if name.eq_ignore_ascii_case("range") {
                request.range = value();
            } else if name.eq_ignore_ascii_case("if-match") {
                request.if_match = value();
            } else if name.eq_ignore_ascii_case("content-length") {
                request.body.resize(value().unwrap().parse().unwrap(), 0);
            }
        }
    }

    fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The part of so many bytes that is asked for: `bytes=0-9`, `bytes=10-`, `bytes=-8`.
    fn part(&self, size: usize) -> Option<Range<usize>> {
        let (from, to) = self.range.as_deref()?.strip_prefix("bytes=")?.split_once('-')?;
        Some(match (from.parse::<usize>(), to.parse::<usize>()) {
            (Ok(from), Ok(to)) => from..size.min(to + 1),
            (Ok(from), Err(_)) => from..size,
            (Err(_), Ok(count)) => size.saturating_sub(count)..size,
            (Err(_), Err(_)) => return None,
        })
    }
}

/// An answer.
struct Reply<'a> {
    status: &'static str,
    /// Lines with their ends.
    headers: String,
    /// Of an answer to HEAD too.
    length: usize,
    body: Cow<'a, [u8]>,
}

impl Reply<'_> {
    fn text(status: &'static str, text: String) -> Self {
        let headers = "Content-Type: application/xml\r\n".to_string();
        Self { status, headers, length: text.len(), body: Cow::Owned(text.into_bytes()) }
    }

    /// An error as S3 words it.
    fn error(status: &'static str, code: &str) -> Self {
        let text = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
        Self::text(status, text)
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client.try_clone()?);
        while let Some(request) = Request::read(&mut reader)? {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.together.fetch_max(now, Ordering::Relaxed);
            thread::sleep(self.latency);
            let goes_on = self.answer(&request, &mut client);
            self.now.fetch_sub(1, Ordering::Relaxed);
            match goes_on? {
                End::Open => {}
                End::Closed => break,
                End::Stalled => {
                    // Until the client has had enough.
                    client.set_read_timeout(Some(Duration::from_secs(600)))?;
                    while matches!(client.read(&mut [0; 64]), Ok(1..)) {}
                    break;
                }
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, client: &mut TcpStream) -> io::Result<End> {
        let fault = self.fault();
        let reply = match fault {
            Some(Fault::Busy) => Reply::error("503 Slow Down", "SlowDown"),
            Some(Fault::Expired) => Reply::error("403 Forbidden", "ExpiredToken"),
            Some(Fault::Silent) => return Ok(End::Stalled),
            Some(Fault::Reset | Fault::Stall | Fault::Truncated | Fault::Replaced) | None => {
                self.reply(request, fault)
            }
        };
        let head =
            format!("HTTP/1.1 {}\r\n{}Content-Length: {}\r\n\r\n", reply.status, reply.headers, reply.length);
        let body = if request.is_head() { &[] } else { reply.body.as_ref() };
        match fault {
            Some(fault @ (Fault::Reset | Fault::Stall | Fault::Truncated)) => {
                match body.len() {
                    0 => client.write_all(&head.as_bytes()[..head.len() / 2])?,
                    length => {
                        client.write_all(head.as_bytes())?;
                        client.write_all(&body[..length / 2])?;
                    }
                }
                end(fault, client)
            }
            Some(_) | None => {
                client.write_all(head.as_bytes())?;
                client.write_all(body)?;
                Ok(End::Open)
            }
        }
    }

    /// What happens to the next request.
    fn fault(&self) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        let plan = plan.as_mut()?;
        let is_hit = plan.random.u8(0..100) < plan.percent;
        self.hit.fetch_add(usize::from(is_hit), Ordering::Relaxed);
        is_hit.then_some(plan.fault)
    }

    fn reply(&self, request: &Request, fault: Option<Fault>) -> Reply<'_> {
        let (bucket, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
        if bucket != BUCKET {
            return Reply::error("404 Not Found", "NoSuchBucket");
        }
        if let Some(answer) = self.writes.answer(key, request) {
            let mut reply = Reply::text(answer.status, answer.text);
            if answer.is_tagged {
                reply.headers.push_str("ETag: \"written\"\r\n");
            }
            return reply;
        }
        if key.is_empty() {
            return Reply::text("200 OK", self.listing(&request.query));
        }
        let Some(bytes) = self.objects.get(key) else { return Reply::error("404 Not Found", "NoSuchKey") };
        // Whoever reads the end by its length has not seen the version before: nothing is replaced for them.
        let is_lookup = request.range.as_deref().is_some_and(|range| range.starts_with("bytes=-"));
        if fault == Some(Fault::Replaced) && !request.is_head() && !is_lookup {
            self.replaced.lock().unwrap().insert(key.to_string());
            self.is_any_replaced.store(true, Ordering::Relaxed);
        }
        let is_replaced =
            self.is_any_replaced.load(Ordering::Relaxed) && self.replaced.lock().unwrap().contains(key);
        let tag = if is_replaced { OTHER_TAG.to_string() } else { tag(key) };
        if request.if_match.as_ref().is_some_and(|wanted| *wanted != tag) {
            return Reply::error("412 Precondition Failed", "PreconditionFailed");
        }
        let mut headers = format!(
            "Content-Type: application/octet-stream\r\nETag: {tag}\r\nAccept-Ranges: bytes\r\n\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        );
        let part = request.part(bytes.len());
        let (status, range) = match part {
            Some(part) if part.start < part.end => {
                let (first, last) = (part.start, part.end - 1);
                headers.push_str(&format!("Content-Range: bytes {first}-{last}/{}\r\n", bytes.len()));
                ("206 Partial Content", part)
            }
            Some(_) => return Reply::error("416 Range Not Satisfiable", "InvalidRange"),
            None => ("200 OK", 0..bytes.len()),
        };
        let body = match is_replaced {
            true => Cow::Owned(bytes[range.clone()].iter().map(|byte| byte.wrapping_add(1)).collect()),
            false => Cow::Borrowed(&bytes[range.clone()]),
        };
        Reply { status, headers, length: range.len(), body }
    }

    /// ListObjectsV2.
    fn listing(&self, query: &BTreeMap<String, String>) -> String {
        let get = |name: &str| query.get(name).map_or("", String::as_str);
        let (prefix, delimiter) = (get("prefix"), get("delimiter"));
        let after = get("continuation-token").max(get("start-after"));
        let page = query.get("max-keys").and_then(|text| text.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>");
        let (mut count, mut last, mut folder) = (0, "", "");
        let mut is_cut = false;
        for (key, bytes) in self.objects.range(after.to_string()..) {
            let Some(rest) = key.strip_prefix(prefix).filter(|_| key.as_str() > after) else { continue };
            let end = if delimiter.is_empty() { None } else { rest.find(delimiter) };
            let within = end.map(|end| &key[..prefix.len() + end + delimiter.len()]);
            // What is on this page already, or was the last of the page before.
            if within.is_some_and(|within| within == folder || after.starts_with(within)) {
                continue;
            }
            if count == page {
                is_cut = true;
                break;
            }
            match within {
                Some(within) => {
                    text.push_str(&format!("<CommonPrefixes><Prefix>{within}</Prefix></CommonPrefixes>"));
                    folder = within;
                }
                None => text.push_str(&format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>{}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    tag(key),
                    bytes.len()
                )),
            }
            count += 1;
            last = key;
        }
        if is_cut {
            text.push_str(&format!("<NextContinuationToken>{last}</NextContinuationToken>"));
        }
        text.push_str(&format!(
            "<Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{page}</MaxKeys>\
             <IsTruncated>{is_cut}</IsTruncated></ListBucketResult>"
        ));
        text
    }
}

/// Keys are chosen so that they need no escape in a listing, nor in a tag.
fn tag(key: &str) -> String {
    format!("\"{key}\"")
}

/// What becomes of a connection after an answer.
enum End {
    Open,
    Closed,
    Stalled,
}

/// Ends an answer of which a half is missing.
fn end(fault: Fault, client: &mut TcpStream) -> io::Result<End> {
    match fault {
        Fault::Reset => {
            // What was sent is to arrive before the reset does, which may overtake it.
            thread::sleep(Duration::from_millis(5));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let _inside = runtime.enter();
            let stream = client.try_clone()?;
            stream.set_nonblocking(true)?;
            // The standard library has no way to close without a goodbye.
            tokio::net::TcpStream::from_std(stream)?.set_zero_linger()?;
            Ok(End::Closed)
        }
        Fault::Stall | Fault::Silent => Ok(End::Stalled),
        Fault::Truncated | Fault::Busy | Fault::Replaced | Fault::Expired => Ok(End::Closed),
    }
}
